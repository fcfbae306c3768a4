"""The envelope: the bytes of an event, which are never encoded again, and the cursor that names a place among them."""

from collections.abc import Callable

import msgspec
import pytest

from events import catalog, endpoints, records, words
from events.catalog import Event
from events.envelope import (
    LARGEST_EVENT,
    REFERENCE,
    Cursor,
    Entry,
    Provenance,
    encode,
    stored_size,
    streams_of,
    subject_of,
)
from events.errors import BadCursor, UnreadableEvent
from events.identifiers import derived_id
from events.ledger import Command, Ledger
from events.records import Evidence, Source, Statement, Story
from events.words import Pillars
from service.verification.policy import STRICT_TWO_SOURCE

STORY, CLAIM, SOURCE, PERSON = (derived_id(kind, "x") for kind in ("story", "claim", "source", "person"))
STATEMENT, EVIDENCE, ASSESSMENT = (derived_id(kind, "x") for kind in ("statement", "evidence", "assessment"))
INQUIRY, PUBLICATION, WEBHOOK = (derived_id(kind, "x") for kind in ("inquiry", "publication", "webhook"))
OTHER, THIRD = derived_id("claim", "y"), derived_id("claim", "z")
BARE = Provenance(actor="system", command_id="c1", command_hash="ab" * 32)
FULL = Provenance("key_1", "c2", "cd" * 32, story_id=STORY, correlation_id="cor", causation_id="cau")
POLICY_NAME = words.PolicyName("strict-two-source", 1, "0" * 64)


def said(at: str | None, quote: str | None = None) -> Event:
    """Return a statement said at a moment."""
    return catalog.StatementRecorded(
        claim_id=CLAIM,
        statement_id=STATEMENT,
        statement=Statement(speaker_id=SOURCE, stance=words.Stance.ASSERTS, said_at=at, quote=quote),
    )


BECAUSE = words.Because(rule="unverified", n=0, nd=0, od=0, reasons={}, excluded={})
BELONGS: list[tuple[Event, tuple[str, ...]]] = [
    # an event, and the streams it belongs to: its subject's first
    (
        catalog.StoryOpened(story_id=STORY, story=Story(title="A crash")),
        (STORY,),
    ),
    (catalog.StoryUpdated(story_id=STORY, changes=records.StoryChanges(title="Anew", summary=None)), (STORY,)),
    (catalog.StoryUpdated(story_id=STORY, changes=records.StoryChanges(parties=())), (STORY, REFERENCE)),
    (catalog.StoryUpdated(story_id=STORY, changes=records.StoryChanges(allies={})), (STORY, REFERENCE)),
    (catalog.StoryClosed(story_id=STORY, closing=records.Closing()), (STORY,)),
    (
        catalog.SourceRegistered(source_id=SOURCE, source=Source(name="Tass", kind=words.SourceKind.NEWS_AGENCY)),
        (SOURCE,),
    ),
    (catalog.SourceUpdated(source_id=SOURCE, changes=records.SourceChanges()), (SOURCE, REFERENCE)),
    (
        catalog.SourceGraded(source_id=SOURCE, grade=records.Grade(reliability="A", rationale="r", by=PERSON)),
        (SOURCE, REFERENCE),
    ),
    (catalog.ClaimRegistered(claim_id=CLAIM, claim=records.Claim(story_id=STORY, text="It fell.")), (CLAIM,)),
    (catalog.ClaimUpdated(claim_id=CLAIM, changes=records.ClaimChanges()), (CLAIM,)),
    (catalog.ClaimMerged(claim_id=CLAIM, merge=records.Merge(into=OTHER)), (CLAIM, OTHER)),
    (catalog.ClaimUnmerged(claim_id=CLAIM, out_of=OTHER, unmerge=records.Unmerge()), (CLAIM, OTHER)),
    (
        catalog.ClaimSplit(
            claim_id=CLAIM,
            split=records.Split(
                parts=tuple(records.SplitPart(claim_id=each, statement_ids=(STATEMENT,)) for each in (OTHER, THIRD))
            ),
        ),
        (CLAIM, OTHER, THIRD),
    ),
    (said("2024"), (CLAIM,)),
    (
        catalog.StatementCorrected(
            claim_id=CLAIM,
            statement_id=STATEMENT,
            correction=records.Correction(by="silent", after=records.StatementChanges(hedge="likely")),
        ),
        (CLAIM,),
    ),
    (
        catalog.StatementWithdrawn(claim_id=CLAIM, statement_id=STATEMENT, withdrawal=records.Withdrawal(by="speaker")),
        (CLAIM,),
    ),
    (
        catalog.EvidenceAdded(
            claim_id=CLAIM,
            evidence_id=EVIDENCE,
            evidence=Evidence(kind="video", bearing="context", description="Snow."),
        ),
        (CLAIM,),
    ),
    (
        catalog.EvidenceAuthenticated(
            claim_id=CLAIM,
            evidence_id=EVIDENCE,
            authentication=records.Authentication(method="Seen.", by=PERSON, pillars=Pillars(date="today")),
        ),
        (CLAIM,),
    ),
    (
        catalog.EvidenceChallenged(
            claim_id=CLAIM, evidence_id=EVIDENCE, challenge=records.Challenge(ground="Older.", source_id=SOURCE)
        ),
        (CLAIM,),
    ),
    (catalog.EvidenceAbsenceNoted(claim_id=CLAIM, absence=records.Absence()), (CLAIM,)),
    (
        catalog.InquirySent(
            claim_id=CLAIM, inquiry_id=INQUIRY, inquiry=records.Inquiry(source_id=SOURCE, deadline="2024")
        ),
        (CLAIM,),
    ),
    (catalog.InquiryAnswered(claim_id=CLAIM, inquiry_id=INQUIRY, response=records.Response()), (CLAIM,)),
    (catalog.InquiryExpired(claim_id=CLAIM, inquiry_id=INQUIRY), (CLAIM,)),
    (
        catalog.AssessmentMade(
            claim_id=CLAIM,
            assessment_id=ASSESSMENT,
            assessment=records.Assessment(verdict="verified", rationale="Seen.", by=PERSON),
        ),
        (CLAIM,),
    ),
    (
        catalog.AssessmentRevoked(
            claim_id=CLAIM, assessment_id=ASSESSMENT, revocation=records.Revocation(reason="r", by=PERSON)
        ),
        (CLAIM,),
    ),
    (
        catalog.RecordingVoided(claim_id=CLAIM, position=2, voided=STATEMENT, void=records.Void(reason="r")),
        (CLAIM,),
    ),
    (
        catalog.PublicationRecorded(
            publication_id=PUBLICATION,
            publication=records.Publication(
                title="t",
                url="https://desk.example/1",
                published_at="2024",
                claims=(records.Use(claim_id=CLAIM), records.Use(claim_id=OTHER)),
            ),
        ),
        (PUBLICATION, CLAIM, OTHER),
    ),
    (
        catalog.PublicationCorrected(
            publication_id=PUBLICATION,
            claim_ids=(CLAIM, OTHER),
            correction=records.PublicationCorrection(note="It was not so."),
        ),
        (PUBLICATION, CLAIM, OTHER),
    ),
    (
        catalog.ClaimStateChanged(
            claim_id=CLAIM,
            from_=None,
            to=words.State.UNVERIFIED,
            flags=(),
            credibility=6,
            because=BECAUSE,
            policy=POLICY_NAME,
            engine=1,
            changed=(),
        ),
        (CLAIM,),
    ),
]
BELONGS += [
    (event, (WEBHOOK,))
    for event in (
        catalog.WebhookRegistered(webhook_id=WEBHOOK, webhook=endpoints.Webhook(), kept="0" * 26),
        catalog.WebhookUpdated(webhook_id=WEBHOOK, changes=endpoints.WebhookChanges()),
        catalog.WebhookVerified(webhook_id=WEBHOOK),
        catalog.WebhookSecretRotated(webhook_id=WEBHOOK, kept="0" * 26, until="2024-01-25T08:15:00.000000Z"),
        catalog.WebhookEnabled(webhook_id=WEBHOOK),
        catalog.WebhookDisabled(webhook_id=WEBHOOK, why="gone"),
        catalog.WebhookCircuitOpened(webhook_id=WEBHOOK, failures=10),
        catalog.WebhookCircuitClosed(webhook_id=WEBHOOK),
        catalog.WebhookDeleted(webhook_id=WEBHOOK),
    )
]
OF_THE_LEDGER: list[tuple[Event, str, tuple[str, ...]]] = [
    # an event of what has no stream of its own name: its subject, and the streams it belongs to
    (catalog.LedgerRestored(ledger="main", epoch="f", size=7, root="A" * 43 + "="), "main", ("ledger",)),
    (catalog.LedgerArchiveLost(ledger="main", sealed=7, reason="It burnt."), "main", ("ledger",)),
    (catalog.LedgerCreated(ledger="main", epoch="e", policy=STRICT_TWO_SOURCE), "main", ("ledger",)),
    (catalog.PolicyActivated(policy=STRICT_TWO_SOURCE), "strict-two-source", ("policy", REFERENCE)),
    (catalog.SubjectErased(subject_id="subject-1"), "subject-1", ("subject-1",)),
    (
        catalog.ProjectionEventSkipped(projection="claims", position=7, why="It is of no use here."),
        "projection:claims",
        ("projection:claims",),
    ),
]


@pytest.mark.parametrize(
    ("event", "subject", "streams"), [*((event, streams[0], streams) for event, streams in BELONGS), *OF_THE_LEDGER]
)
def test_every_event_changes_one_thing_and_belongs_to_its_stream(
    event: Event, subject: str, streams: tuple[str, ...]
) -> None:
    """An event's subject is what it changes, and its first stream is that thing's; others are those it concerns."""
    assert subject == subject_of(event)
    assert streams == streams_of(event)


def test_every_event_of_the_catalogue_is_among_these() -> None:
    """No type is without its subject and its streams."""
    assert {*catalog.CATALOG} == {row[0].TYPE for row in (*BELONGS, *OF_THE_LEDGER)}


@pytest.mark.parametrize(
    ("event", "provenance", "expected"),
    [
        (
            said("2024-01-24T08:15Z"),
            FULL,
            """specversion id source type subject dataschema time actor storyid commandid commandhash correlationid
            causationid data sequence recordedtime""",
        ),
        (
            said("2024-01-24"),
            BARE,
            "specversion id source type subject dataschema actor commandid commandhash data sequence recordedtime",
        ),
    ],
    ids=["all", "fewest"],
)
async def test_members_stand_in_the_order_that_the_format_fixes(
    ledger: Ledger, event: Event, provenance: Provenance, expected: str
) -> None:
    """A stored event has its members in the order of the design, sequence and recordedtime last."""
    await ledger.append(Command([event], {}, provenance))
    (entry,) = await ledger.read(after=1)
    assert expected.split() == list(msgspec.json.decode(entry.raw))


async def test_the_envelope_says_what_happened_where_and_by_whom(ledger: Ledger) -> None:
    """A stored event is a CloudEvents 1.0 object with our extensions."""
    appended = await ledger.append(Command([said("2024-01-24T08:15Z")], {}, FULL))
    (entry,) = await ledger.read(after=1)
    stored = msgspec.json.decode(entry.raw)
    expected = {
        "specversion": "1.0",
        "id": stored["id"],
        "source": f"/ledgers/{ledger.name}",
        "type": "statement.recorded",
        "subject": CLAIM,
        "dataschema": "urn:onrecord:schema:statement.recorded:1",
        "time": "2024-01-24T08:15:00Z",
        "actor": "key_1",
        "storyid": STORY,
        "commandid": "c2",
        "commandhash": "cd" * 32,
        "correlationid": "cor",
        "causationid": "cau",
        "data": {
            "claim_id": CLAIM,
            "statement_id": STATEMENT,
            "statement": {"speaker_id": SOURCE, "stance": "asserts", "said_at": "2024-01-24T08:15Z"},
        },
        "sequence": "0000000000000002",
        "recordedtime": appended.recordedtime,
    }
    assert expected == stored
    assert said("2024-01-24T08:15Z") == entry.event
    assert 2 == entry.position == entry.envelope.position


@pytest.mark.parametrize("at", [None, "2024", "2024-01", "2024-01-24"])
def test_a_time_less_precise_than_a_minute_is_no_time_of_the_event(at: str | None) -> None:
    """CloudEvents wants a time to the second: a day, a month or a year stays inside the data only."""
    assert b'"time"' not in encode("main", said(at), BARE)


async def test_the_size_that_is_checked_is_the_size_that_is_stored(ledger: Ledger) -> None:
    """What an event will take in the store is known to the byte before it is stored, in any script and any order."""
    events = [said("2024", "ž" * n) for n in (1, 100, 5_000)] + [said("2024-01-24T08:15Z", '"\n\u2028😀')]
    for n, event in enumerate(events):
        provenance = Provenance("key_1", f"command {n}", "cd" * 32, STORY)
        appended = await ledger.append(Command([event], {}, provenance))
        (entry,) = await ledger.read(after=appended.first - 1)
        assert stored_size(encode(ledger.name, event, provenance)) == len(entry.raw)
    assert LARGEST_EVENT == 60 * 1024


def altered(change: Callable[[dict[str, object]], None]) -> Entry:
    """Return the stored form of a statement, changed."""
    stored = msgspec.json.decode(
        encode("main", said("2024"), BARE)
        + b',"sequence":"0000000000000007","recordedtime":"2026-01-01T00:00:00.000000Z"}'
    )
    change(stored)
    return Entry(7, msgspec.json.encode(stored))


@pytest.mark.parametrize(
    ("change", "schema", "why"),
    [
        ({"dataschema": "urn:onrecord:schema:statement.sung:1"}, "statement.sung:1", "does not know"),
        ({"dataschema": "urn:onrecord:schema:statement.recorded:2"}, "statement.recorded:2", "does not know"),
        ({"data": {"claim_id": CLAIM}}, "statement.recorded:1", "missing required field `statement_id`"),
        ({"data": []}, "statement.recorded:1", "got `array`"),
    ],
    ids=["unknown type", "newer version", "incomplete data", "other data"],
)
def test_an_event_that_cannot_be_read_says_which_and_why(change: dict[str, object], schema: str, why: str) -> None:
    """Reading stops at what this release does not know, and names the position and the schema."""
    entry = altered(lambda stored: stored.update(change))
    with pytest.raises(UnreadableEvent, match=why) as raised:
        _ = entry.event
    assert raised.value.position == 7
    assert f"urn:onrecord:schema:{schema}" == raised.value.dataschema
    assert "event 7" in str(raised.value)


def test_an_envelope_with_a_member_of_later_days_is_read() -> None:
    """An extension attribute that this release does not know does not keep it from reading the event."""
    entry = altered(lambda stored: stored.update(traceparent="00-1"))
    assert said("2024") == entry.event


@pytest.mark.parametrize("text", ["e.0", "3jk9m2c7q8w5x.17", "e.9999999999999999"])
def test_a_cursor_reads_back_as_it_was_written(text: str) -> None:
    """A cursor is epoch and position, and is written the same way again."""
    cursor = Cursor.parse(text)
    assert text == str(cursor)
    assert (text.partition(".")[0], int(text.partition(".")[2])) == cursor


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "e",
        "e.",
        ".5",
        "e.-1",
        "e.+1",
        "e.1.5",
        "e.x",
        "e. 1",
        "e.1 ",
        "e.1\n",
        "e.1e3",
        "e.٣",
        "e." + "1" * 17,
    ],
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    """Nothing is guessed from a malformed cursor, least of all "from the beginning"."""
    with pytest.raises(BadCursor):
        Cursor.parse(text)
