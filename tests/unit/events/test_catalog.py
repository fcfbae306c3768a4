"""The catalogue: what each event may say, and that it comes back as it was written."""

from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from events import catalog
from events.catalog import CATALOG
from events.identifiers import derived_id
from events.records import Claim, Evidence, Source, Statement, Story
from events.words import Policy, Quantity

STORY, CLAIM, SOURCE, PERSON = (derived_id(kind, "x") for kind in ("story", "claim", "source", "person"))
STATEMENT, EVIDENCE, ASSESSMENT = (derived_id(kind, "x") for kind in ("statement", "evidence", "assessment"))
INQUIRY, PUBLICATION = derived_id("inquiry", "x"), derived_id("publication", "x")
WEBHOOK, KEPT = derived_id("webhook", "x"), "0" * 26
SEALED = {"kid": "k1", "nonce": "AAAAAAAAAAAAAAAA", "ct": "c2VjcmV0"}
NAMED = {"name": "strict-two-source", "version": 1, "hash": "0" * 64}
POLICY = {
    "name": "strict-two-source",
    "version": 1,
    "min_origins": 2,
    "adverse_agreement": True,
    "excluded_grades": ["E"],
    "countable_grades": [],
    "about_tolerance": 0.1,
    "refuting_evidence": "contests",
    "single_source_grades": [],
}
FIGURE = {"measure": "killed", "value": 74, "qualifier": "at_least", "unit": "people", "as_at": "2024-01-24"}
RANGE = {"measure": "missiles", "low": 1.5, "high": 3, "qualifier": "range"}
MENTIONS = {"ids": [STATEMENT], "total": 300}
BECAUSE = {"rule": "unverified", "n": 0, "nd": 0, "od": 0, "reasons": {}, "excluded": {}}

ON_STATEMENT = {"claim_id": CLAIM, "statement_id": STATEMENT}
ON_EVIDENCE = {"claim_id": CLAIM, "evidence_id": EVIDENCE}
ON_INQUIRY = {"claim_id": CLAIM, "inquiry_id": INQUIRY}
CHANGED = {
    "speaker_id": SOURCE,
    "stance": "denies",
    "said_at": "2024-01-24",
    "published_at": "2024",
    "quote": "q",
    "translation": "t",
    "url": "https://ap.example/1",
    "attribution": "a",
    "basis": "reporting",
    "rests_on": [SOURCE],
    "hedge": "likely",
    "evidence_offered": "none",
    "quantities": [],
}
CLEARED = {"said_at": None, "published_at": None, "quote": None, "translation": None, "url": None, "attribution": None}
USE = {"claim_id": CLAIM}

LEAST: dict[str, dict[str, Any]] = {
    "webhook.registered": {"webhook_id": WEBHOOK, "webhook": {}, "kept": KEPT},
    "webhook.updated": {"webhook_id": WEBHOOK, "changes": {}},
    "webhook.verified": {"webhook_id": WEBHOOK},
    "webhook.secret_rotated": {"webhook_id": WEBHOOK, "kept": KEPT, "until": "2024-01-25T08:15:00.000000Z"},
    "webhook.enabled": {"webhook_id": WEBHOOK},
    "webhook.disabled": {"webhook_id": WEBHOOK, "why": "gone"},
    "webhook.circuit_opened": {"webhook_id": WEBHOOK, "failures": 10},
    "webhook.circuit_closed": {"webhook_id": WEBHOOK},
    "webhook.deleted": {"webhook_id": WEBHOOK},
    "projection.event_skipped": {"projection": "claims", "position": 1, "why": "It is of no use here."},
    "ledger.restored": {"ledger": "main", "epoch": "f", "size": 7, "root": "A" * 43 + "="},
    "ledger.archive_lost": {"ledger": "main", "sealed": 7, "reason": "The disk burnt."},
    "ledger.created": {"ledger": "main", "epoch": "e", "policy": POLICY},
    "story.opened": {"story_id": STORY, "story": {"title": "A crash"}},
    "source.registered": {"source_id": SOURCE, "source": {"name": "Tass", "kind": "news_agency"}},
    "claim.registered": {"claim_id": CLAIM, "claim": {"story_id": STORY, "text": "It fell."}},
    "statement.recorded": {
        "claim_id": CLAIM,
        "statement_id": STATEMENT,
        "statement": {"speaker_id": SOURCE, "stance": "asserts"},
    },
    "evidence.added": {
        "claim_id": CLAIM,
        "evidence_id": EVIDENCE,
        "evidence": {"kind": "video", "bearing": "supports", "description": "A fireball."},
    },
    "evidence.authenticated": {
        "claim_id": CLAIM,
        "evidence_id": EVIDENCE,
        "authentication": {"method": "Geolocated.", "by": PERSON},
    },
    "evidence.absence_noted": {"claim_id": CLAIM, "absence": {}},
    "assessment.made": {
        "claim_id": CLAIM,
        "assessment_id": ASSESSMENT,
        "assessment": {"verdict": "verified", "rationale": "Seen.", "by": PERSON},
    },
    "story.updated": {"story_id": STORY, "changes": {}},
    "story.closed": {"story_id": STORY, "closing": {}},
    "source.updated": {"source_id": SOURCE, "changes": {}},
    "source.graded": {"source_id": SOURCE, "grade": {"reliability": None, "rationale": "New.", "by": PERSON}},
    "claim.updated": {"claim_id": CLAIM, "changes": {}},
    "claim.split": {"claim_id": CLAIM, "split": {"parts": [{"claim_id": CLAIM, "statement_ids": [STATEMENT]}]}},
    "claim.merged": {"claim_id": CLAIM, "merge": {"into": CLAIM}},
    "claim.unmerged": {"claim_id": CLAIM, "out_of": CLAIM, "unmerge": {}},
    "statement.corrected": ON_STATEMENT | {"correction": {"by": "silent", "after": {}}},
    "statement.withdrawn": ON_STATEMENT | {"withdrawal": {"by": "speaker"}},
    "evidence.challenged": ON_EVIDENCE | {"challenge": {"ground": "Older.", "by": PERSON}},
    "inquiry.sent": ON_INQUIRY | {"inquiry": {"source_id": SOURCE, "deadline": "2024-01-25"}},
    "inquiry.answered": ON_INQUIRY | {"response": {}},
    "inquiry.expired": ON_INQUIRY,
    "assessment.revoked": {
        "claim_id": CLAIM,
        "assessment_id": ASSESSMENT,
        "revocation": {"reason": "Too soon.", "by": PERSON},
    },
    "recording.voided": {"claim_id": CLAIM, "position": 7, "voided": STATEMENT, "void": {"reason": "Mistaken."}},
    "publication.recorded": {
        "publication_id": PUBLICATION,
        "publication": {
            "title": "A text",
            "url": "https://desk.example/1",
            "published_at": "2024-01-25",
            "claims": [USE],
        },
    },
    "publication.corrected": {
        "publication_id": PUBLICATION,
        "claim_ids": [CLAIM],
        "correction": {"note": "It was not so."},
    },
    "policy.activated": {"policy": POLICY},
    "subject.erased": {"subject_id": "subject-1"},
    "claim.state_changed": {
        "claim_id": CLAIM,
        "from": None,
        "to": "unverified",
        "flags": [],
        "credibility": 6,
        "because": BECAUSE,
        "policy": NAMED,
        "engine": 1,
        "changed": [],
    },
}
HOOKED = {
    "description": "The alerts.",
    "filters": {
        "types": ["claim.*"],
        "stories": [STORY],
        "claims": [CLAIM],
        "sources": [SOURCE],
        "states": ["contested"],
    },
    "format": "slack",
    "ordered": "per_claim",
    "rate": 0.5,
    "concurrency": 2,
}
MOST: dict[str, dict[str, Any]] = LEAST | {
    "webhook.registered": {"webhook_id": WEBHOOK, "webhook": HOOKED, "kept": KEPT, "verified": True},
    "webhook.updated": {"webhook_id": WEBHOOK, "changes": HOOKED, "kept": KEPT, "verified": False},
    "webhook.disabled": {"webhook_id": WEBHOOK, "why": "by_request", "reason": "The alerts moved."},
    "story.opened": {
        "story_id": STORY,
        "story": {
            "title": "A crash",
            "summary": "Over Belgorod.",
            "parties": ["russia", "ukraine"],
            "allies": {"germany": ["ukraine"]},
        },
    },
    "source.registered": {
        "source_id": SOURCE,
        "source": {
            "name": "Tass",
            "kind": "news_agency",
            "parties": ["russia"],
            "affiliated_to": [SOURCE],
            "identity": "known_to_desk",
            "reliability": "C",
            "url": "https://tass.example/",
            "sealed": SEALED,
        },
    },
    "claim.registered": {
        "claim_id": CLAIM,
        "claim": {
            "story_id": STORY,
            "text": "All were killed.",
            "serves": [],
            "harms": ["ukraine"],
            "quantities": [FIGURE, RANGE],
            "sum_of": [{"claim_id": CLAIM, "measure": "killed"}],
            "hedge": "likely",
            "declared_by": SOURCE,
            "parent_id": CLAIM,
            "about_statement_id": STATEMENT,
            "tags": ["il-76"],
        },
    },
    "statement.recorded": {
        "claim_id": CLAIM,
        "statement_id": STATEMENT,
        "statement": {
            "speaker_id": SOURCE,
            "stance": "partially_denies",
            "publisher_id": SOURCE,
            "relay_ids": [SOURCE],
            "said_at": "2024-01-24T08:15Z",
            "published_at": "2024-01-24",
            "quote": "«Нет»",
            "language": "ru",
            "translation": "No",
            "url": "https://ap.example/1",
            "archived_url": "https://archive.example/1",
            "attribution": "on Telegram",
            "terms": "on_record",
            "channel": "social_media",
            "basis": "first_hand",
            "rests_on": [SOURCE, EVIDENCE],
            "repeats": STATEMENT,
            "hedge": "possible",
            "evidence_offered": "described",
            "quantities": [FIGURE],
            "inquiry_id": INQUIRY,
            "sealed": SEALED,
        },
    },
    "evidence.added": {
        "claim_id": CLAIM,
        "evidence_id": EVIDENCE,
        "evidence": {
            "kind": "video",
            "bearing": "supports",
            "description": "A fireball.",
            "supplied_by": SOURCE,
            "derived_from": EVIDENCE,
            "url": "https://video.example/1",
            "archived_url": "https://archive.example/1",
            "sha256": "a" * 64,
            "made_public_at": "2024-01-24",
            "sealed": SEALED,
        },
    },
    "evidence.authenticated": {
        "claim_id": CLAIM,
        "evidence_id": EVIDENCE,
        "authentication": {
            "method": "Geolocated.",
            "by": PERSON,
            "pillars": {"provenance": "a", "source": "b", "date": "c", "location": "d", "motivation": "e"},
            "sealed": SEALED,
        },
    },
    "evidence.absence_noted": {
        "claim_id": CLAIM,
        "absence": {"source_id": SOURCE, "publisher_id": SOURCE, "quote": "did not provide evidence"},
    },
    "assessment.made": {
        "claim_id": CLAIM,
        "assessment_id": ASSESSMENT,
        "assessment": {
            "verdict": "misleading",
            "rationale": "Seen.",
            "by": PERSON,
            "reviewed_by": derived_id("person", "y"),
            "sealed": SEALED,
        },
    },
    "story.updated": {
        "story_id": STORY,
        "changes": {"title": "Anew", "summary": None, "parties": [], "allies": {"germany": ["ukraine"]}},
    },
    "story.closed": {"story_id": STORY, "closing": {"reason": "Over."}},
    "source.updated": {
        "source_id": SOURCE,
        "changes": {
            "name": "TASS",
            "kind": "outlet",
            "parties": [],
            "affiliated_to": [SOURCE],
            "identity": None,
            "url": None,
            "sealed": SEALED,
        },
    },
    "source.graded": {
        "source_id": SOURCE,
        "grade": {"reliability": "C", "rationale": "Often wrong.", "by": PERSON, "topic": "il-76"},
    },
    "claim.updated": {
        "claim_id": CLAIM,
        "changes": {
            "text": "Anew.",
            "serves": None,
            "harms": [],
            "quantities": [RANGE],
            "sum_of": [],
            "hedge": "none",
            "declared_by": None,
            "parent_id": None,
            "tags": ["il-76"],
        },
    },
    "claim.split": LEAST["claim.split"] | {"split": LEAST["claim.split"]["split"] | {"reason": "Two things."}},
    "claim.merged": {"claim_id": CLAIM, "merge": {"into": CLAIM, "inverted": True, "reason": "Its negation."}},
    "claim.unmerged": {"claim_id": CLAIM, "out_of": CLAIM, "unmerge": {"reason": "Not the same."}},
    "statement.corrected": ON_STATEMENT
    | {
        "correction": {
            "by": "publisher",
            "after": CHANGED,
            "before": CHANGED | CLEARED,
            "at": "2024-01-25",
            "note": "It said so.",
            "url": "https://ap.example/2",
        }
    },
    "statement.withdrawn": ON_STATEMENT
    | {
        "withdrawal": {"by": "silent", "at": "2024-01-25", "reason": "Gone.", "url": "https://ap.example/2"},
        "relied_on_by": [PUBLICATION],
    },
    "evidence.challenged": ON_EVIDENCE
    | {"challenge": {"ground": "Older.", "source_id": SOURCE, "url": "https://ap.example/3"}},
    "inquiry.sent": ON_INQUIRY
    | {
        "inquiry": {
            "source_id": SOURCE,
            "deadline": "2024-01-25T12:00Z",
            "question": "Is it so?",
            "channel": "email",
            "sent_at": "2024-01-24T12:00Z",
            "by": PERSON,
            "sealed": SEALED,
        }
    },
    "inquiry.answered": ON_INQUIRY | {"response": {"at": "2024-01-24", "statement_id": STATEMENT, "note": "By phone."}},
    "recording.voided": LEAST["recording.voided"] | {"void": {"reason": "Mistaken.", "by": PERSON}},
    "publication.recorded": {
        "publication_id": PUBLICATION,
        "publication": LEAST["publication.recorded"]["publication"] | {"claims": [USE | {"state": "contested"}]},
    },
    "publication.corrected": LEAST["publication.corrected"]
    | {"correction": {"note": "It was not so.", "at": "2024-01-26", "url": "https://desk.example/2"}},
    "policy.activated": {"policy": POLICY, "reason": "As of now."},
    "subject.erased": {"subject_id": "subject-1", "reason": "As asked."},
    "claim.state_changed": LEAST["claim.state_changed"]
    | {
        "from": "unverified",
        "to": "contested",
        "flags": ["single_origin", "unnamed_source"],
        "because": BECAUSE | {"reasons": {"full_support": MENTIONS}, "excluded": {"repeats": MENTIONS}},
        "changed": ["state", "flags"],
    },
}


@pytest.mark.parametrize("type_", CATALOG)
@pytest.mark.parametrize("said", [LEAST, MOST], ids=["least", "most"])
def test_every_event_comes_back_as_it_was_written(said: dict[str, dict[str, Any]], type_: str) -> None:
    """What an event says is kept member by member: nothing is added that was left out, and nothing is lost."""
    written = msgspec.json.encode(said[type_])
    event = msgspec.json.decode(written, type=CATALOG[type_])
    assert type_ == event.TYPE
    assert written == msgspec.json.encode(event)
    assert event == msgspec.json.decode(msgspec.json.encode(event), type=CATALOG[type_])


@pytest.mark.parametrize("type_", CATALOG)
def test_every_event_refuses_what_it_does_not_know(type_: str) -> None:
    """A member that no event of the type has is refused, at the top and inside its parts."""
    said = MOST[type_]
    parts = [name for name, part in said.items() if isinstance(part, dict)]
    for unknown in ({"colour": 1}, *({name: said[name] | {"colour": 1}} for name in parts)):
        with pytest.raises(msgspec.ValidationError, match="unknown field `colour`"):
            msgspec.convert(said | unknown, CATALOG[type_])


@pytest.mark.parametrize("type_", CATALOG)
def test_every_event_refuses_to_leave_out_what_it_needs(type_: str) -> None:
    """Each member of the shortest form is needed."""
    for name in LEAST[type_]:
        with pytest.raises(msgspec.ValidationError, match=f"missing required field `{name}`"):
            msgspec.convert({key: value for key, value in LEAST[type_].items() if key != name}, CATALOG[type_])


def test_no_party_is_not_the_same_as_no_word_of_parties() -> None:
    """A claim that harms nobody says so with an empty list; leaving it out says nothing, and stays left out."""
    least = {"story_id": STORY, "text": "It fell."}
    empty = msgspec.convert(least | {"serves": [], "harms": []}, Claim)
    unset = msgspec.convert(least, Claim)
    assert least | {"serves": [], "harms": []} == msgspec.json.decode(msgspec.json.encode(empty))
    assert least == msgspec.json.decode(msgspec.json.encode(unset))
    assert empty != unset


def test_a_policy_is_always_written_out_in_full() -> None:
    """A recorded policy keeps its every parameter, so that a later default cannot change it."""
    assert msgspec.json.decode(msgspec.json.encode(Policy(name="strict-two-source"))) == POLICY


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, "a figure has a value"),
        ({"low": 1}, "a figure has a value"),
        ({"value": 1, "low": 1}, "no low or high"),
        ({"value": 1, "high": 1}, "no low or high"),
        ({"value": 1, "low": 1, "high": 2}, "no low or high"),
        ({"value": None}, "a figure has a value"),
        ({"qualifier": "range"}, "a range has low and high"),
        ({"qualifier": "range", "low": 1}, "a range has low and high"),
        ({"qualifier": "range", "high": 1}, "a range has low and high"),
        ({"qualifier": "range", "low": 1, "high": 2, "value": 1}, "no value"),
        ({"qualifier": "range", "low": 2, "high": 1}, "low is at most its high"),
        ({"qualifier": "roughly", "value": 1}, "Invalid enum value 'roughly'"),
        ({"value": "74"}, "got `str`"),
        ({"value": True}, "got `bool`"),
        ({"value": 10**15 + 1}, "<= 1000000000000000"),
        ({"value": -(10**15) - 1}, ">= -1000000000000000"),
        ({"value": 2.0e15}, "<= 1000000000000000.0"),
        ({"value": -1, "qualifier": "at_most"}, "no number is at most -1"),
        ({"value": 0, "qualifier": "fewer_than"}, "no number is fewer than 0"),
        ({"value": 1, "as_at": "2024-02-30"}, "day is out of range"),
        ({"value": 1, "measure": ""}, "length >= 1"),
    ],
)
def test_a_figure_that_is_none_is_refused(said: dict[str, Any], why: str) -> None:
    """A figure has a value or, for a range, an ordered low and high; it is a number, and dated by a real date."""
    with pytest.raises(msgspec.ValidationError, match=why):
        msgspec.convert({"measure": "killed"} | said, Quantity)


@pytest.mark.parametrize("qualifier", ["exactly", "about", "at_least", "more_than", "at_most", "fewer_than"])
@given(value=st.integers(0, 10**15) | st.floats(0, 1e15, allow_nan=False))
def test_every_qualifier_takes_any_figure_as_it_is(qualifier: str, value: float) -> None:
    """A whole number stays whole and a decimal stays the same decimal."""
    assume(qualifier != "fewer_than" or value > 0)
    written = msgspec.json.encode({"measure": "x", "value": value, "qualifier": qualifier})
    figure = msgspec.json.decode(written, type=Quantity)
    assert value == figure.value
    assert type(value) is type(figure.value)


@pytest.mark.parametrize(
    ("type_", "member", "value"),
    [
        (Statement, "said_at", "2024-02-30"),
        (Statement, "published_at", "2024-13"),
        (Statement, "said_at", "2024-01-24T08:15"),
        (Statement, "said_at", "2024-01-24T08:15:30.1234567Z"),
        (Statement, "said_at", "2024-01-24 08:15Z"),
        (Statement, "said_at", "24 January 2024"),
        (Statement, "said_at", "2024-01-24\n"),
        (Statement, "said_at", "٢٠٢٤"),
        (Statement, "url", "ftp://x.example"),
        (Statement, "url", "https://x.example/a b"),
        (Statement, "url", "https://x.example/\n"),
        (Evidence, "made_public_at", "2024-01-32"),
        (Evidence, "sha256", "A" * 64),
        (Evidence, "sha256", "a" * 64 + "\n"),
        (Source, "kind", "oracle"),
        (Source, "reliability", "G"),
        (Source, "name", ""),
        (Story, "parties", ["Russia"]),
        (Story, "parties", ["russia\n"]),
        (Story, "parties", ["-russia"]),
        (Story, "allies", {"Bad Party": ["ukraine"]}),
        (Claim, "tags", ["il_76"]),
        (Claim, "text", "x" * 2_001),
    ],
)
def test_words_that_are_none_of_ours_are_refused(type_: type, member: str, value: object) -> None:
    """Moments, links, digests, parties, tags and kinds are what they say, to the last character."""
    least = {
        Statement: LEAST["statement.recorded"]["statement"],
        Evidence: LEAST["evidence.added"]["evidence"],
        Source: LEAST["source.registered"]["source"],
        Story: LEAST["story.opened"]["story"],
        Claim: LEAST["claim.registered"]["claim"],
    }[type_]
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(least | {member: value}, type_)


def test_the_catalogue_names_each_type_with_its_version() -> None:
    """An event's schema is found by its type and version."""
    assert set(LEAST) == set(CATALOG)
    assert catalog.schema_urn("claim.registered", 1) == "urn:onrecord:schema:claim.registered:1"
