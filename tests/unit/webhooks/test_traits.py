"""Which events name a source: a webhook's filter and the feed's say the same."""

import pytest

from events import catalog, records
from events.catalog import Event
from events.endpoints import Filters
from events.envelope import Entry, Provenance, encode, stored
from events.identifiers import new_id
from events.selection import Selection
from events.words import SourceKind, Stance
from service.webhooks.matching import concerns
from service.webhooks.traits import Traits

NAMED, OTHER, CLAIM, STORY = new_id("source"), new_id("source"), new_id("claim"), new_id("story")
STATEMENT = new_id("statement")


def said(**more: object) -> catalog.StatementRecorded:
    """Return a statement of somebody, with whoever else is named."""
    statement = records.Statement(**({"speaker_id": OTHER, "stance": Stance.ASSERTS} | more))  # type: ignore[arg-type]
    return catalog.StatementRecorded(claim_id=CLAIM, statement_id=STATEMENT, statement=statement)


def corrected(**changes: object) -> catalog.StatementCorrected:
    """Return a correction."""
    correction = records.Correction(by="silent", after=records.StatementChanges(**changes))  # type: ignore[arg-type]
    return catalog.StatementCorrected(claim_id=CLAIM, statement_id=STATEMENT, correction=correction)


def claimed(**more: object) -> catalog.ClaimRegistered:
    """Return a claim."""
    claim = records.Claim(**({"story_id": STORY, "text": "It fell."} | more))  # type: ignore[arg-type]
    return catalog.ClaimRegistered(claim_id=CLAIM, claim=claim)


def described(source_id: str, **more: object) -> catalog.SourceRegistered:
    """Return a source."""
    source = records.Source(**({"name": "Voice", "kind": SourceKind.PERSON} | more))  # type: ignore[arg-type]
    return catalog.SourceRegistered(source_id=source_id, source=source)


NAMING: list[Event] = [
    said(speaker_id=NAMED),
    said(publisher_id=NAMED),
    said(relay_ids=(new_id("source"), NAMED)),
    said(rests_on=(NAMED,)),
    corrected(speaker_id=NAMED),
    claimed(declared_by=NAMED),
    described(NAMED),
    described(OTHER, affiliated_to=(NAMED,)),
]
NOT_NAMING: list[Event] = [
    said(quote=f'He said: "{NAMED}".'),
    said(quote=f"{NAMED} said so"),
    corrected(quote="So."),
    claimed(text=f"It was '{NAMED}'."),
    described(OTHER),
]


def recorded(event: Event) -> Entry:
    """Return an event as the log has it."""
    draft = encode("main", event, Provenance("system", "test", "ab" * 32))
    return Entry(7, stored(draft, 7, "2024-01-24T08:15:00.000000Z"))


@pytest.mark.parametrize(("event", "is_named"), [(e, True) for e in NAMING] + [(e, False) for e in NOT_NAMING])
def test_whoever_is_named_in_whatever_role_is_named_for_webhooks_and_feed(event: Event, *, is_named: bool) -> None:
    """A role that one of them forgot would be news that somebody waits for; a name within a text is none."""
    entry = recorded(event)
    assert is_named == concerns(Filters(sources=(NAMED,)), Traits(entry), "webhook_1")
    assert is_named == Selection(source=NAMED).wants(entry)


def test_an_event_of_a_later_release_is_known_by_what_its_bytes_name() -> None:
    """It cannot be read, and whoever asks for the source that it names is told all the same."""
    entry = recorded(said(publisher_id=NAMED))
    later = Entry(7, entry.raw.replace(b'"statement.recorded"', b'"statement.rethought"'))
    assert concerns(Filters(sources=(NAMED,)), Traits(later), "webhook_1")
    assert not concerns(Filters(sources=(new_id("source"),)), Traits(later), "webhook_1")
