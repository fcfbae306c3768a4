"""Folding and indexing: what a document and its lists are after each kind of event, without a store."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from events import catalog
from events.catalog import CATALOG, Event
from events.identifiers import Kind, derived_id
from service.projections.catalog import (
    CHANGED,
    CLAIMS,
    DUE,
    INQUIRIES,
    ON_ONE,
    PARTS,
    PUBLICATIONS,
    TO_CORRECT,
    Membership,
    Projection,
    words_of,
)
from service.projections.documents import MOST_LISTED
from service.verification.fold import Happened

PERSON = derived_id("person", "editor")


def key(kind: Kind, name: str = "one") -> str:
    """Return an identifier."""
    return derived_id(kind, name)


CLAIM, OTHER, SAID, TEXT = key("claim"), key("claim", "other"), key("statement"), key("publication")
STORY, SOURCE, ASKED = key("story"), key("source"), key("inquiry")


def event(type_: str, **data: Any) -> Event:
    """Return an event of a type from its data as JSON has it."""
    return msgspec.convert(data, CATALOG[type_])


def registered(claim_id: str = CLAIM, **more: Any) -> Event:
    """Return the registration of a claim."""
    return event("claim.registered", claim_id=claim_id, claim={"story_id": STORY, "text": "It fell."} | more)


def stands(state: str, nd: int = 1, flags: Sequence[str] = ()) -> Event:
    """Return a verdict."""
    because = {"rule": state, "n": 2, "nd": nd, "od": 0, "reasons": {}, "excluded": {}}
    policy = {"name": "p", "version": 1, "hash": "h"}
    return event(
        "claim.state_changed", claim_id=CLAIM, **{"from": None}, to=state, flags=flags, credibility=2, because=because,
        policy=policy, engine=1, changed=["state"],
    )  # fmt: skip


class Kept:
    """One document of a projection with its memberships, as the store would have them."""

    def __init__(self, projection: Projection) -> None:
        self.projection, self.document = projection, None
        self.indexes: dict[Membership, int] = {}
        self._position = 0

    def after(self, *happenings: Event) -> Any:
        """Fold a batch of events, and return the document."""
        its = []
        for each in happenings:
            self._position += 1
            its.append(Happened(each, self._position, self._position * 1_000_000))
        before = self.document
        self.document = self.projection.fold(before, its)
        for change in self.projection.indexed(before, self.document, its):
            if change.action == "add":
                self.indexes[change.membership] = change.score or self.document.position
            else:
                self.indexes.pop(change.membership, None)
        return self.document


def test_a_split_makes_its_parts_parts_of_the_whole() -> None:
    """A part knows each claim it is a part of, once, and is listed under it even when its parent changes."""
    kept = Kept(CLAIMS)
    kept.after(registered(OTHER, parent_id=key("claim", "parent")))
    split = event("claim.split", claim_id=CLAIM, split={"parts": [{"claim_id": OTHER, "statement_ids": [SAID]}]})
    assert kept.after(split, split).part_of == (CLAIM,)
    kept.after(event("claim.updated", claim_id=OTHER, changes={"parent_id": CLAIM}))
    kept.after(event("claim.updated", claim_id=OTHER, changes={"parent_id": None}))
    assert [each for each in kept.indexes if each[0] == "parent"] == [("parent", CLAIM)]
    whole = Kept(CLAIMS)
    assert whole.after(registered(), split).part_of == ()


@pytest.mark.parametrize(
    ("state", "nd", "there"), [("corroborated", 1, True), ("corroborated", 2, False), ("denied", 1, False)]
)
def test_what_rests_on_one_origin_is_listed(state: str, nd: int, *, there: bool) -> None:
    """Only a claim that is corroborated by exactly one disinterested origin, and only as long as it is."""
    kept = Kept(CLAIMS)
    kept.after(registered(), stands(state, nd))
    assert (ON_ONE in kept.indexes) == there
    kept.after(stands("unverified", 0))
    assert ON_ONE not in kept.indexes


def test_a_merged_claim_stands_nowhere() -> None:
    """It leaves the lists by state and flag, and comes back with the verdict that follows the unmerge."""
    kept = Kept(CLAIMS)
    kept.after(registered(), stands("contested", flags=["single_origin"]))
    assert kept.after(event("claim.merged", claim_id=CLAIM, merge={"into": OTHER})).standing is None
    assert not [each for each in kept.indexes if each[0] in {"state", "flag"}]
    kept.after(event("claim.unmerged", claim_id=CLAIM, out_of=OTHER, unmerge={}), stands("contested"))
    assert [each for each in kept.indexes if each[0] in {"state", "flag"}] == [("state", "contested")]


def test_every_document_is_listed_by_its_last_change() -> None:
    """A claim's place among the changed is the position of its last event; in other lists, of its registration."""
    kept = Kept(CLAIMS)
    kept.after(registered())
    kept.after(stands("contested"), stands("denied"))
    assert (kept.indexes[CHANGED], kept.indexes["state", "denied"], kept.indexes["story", STORY]) == (3, 1, 1)


def test_an_open_inquiry_is_listed_at_its_deadline() -> None:
    """Until it is answered, expired or voided; an answer that comes late changes its status only."""
    sent = event("inquiry.sent", claim_id=CLAIM, inquiry_id=ASKED, inquiry={"source_id": SOURCE, "deadline": "2026"})
    ends = {
        "answered": event("inquiry.answered", claim_id=CLAIM, inquiry_id=ASKED, response={}),
        "expired": event("inquiry.expired", claim_id=CLAIM, inquiry_id=ASKED),
        "voided": event("recording.voided", claim_id=CLAIM, position=1, voided=ASKED, void={"reason": "r"}),
    }
    for status, end in ends.items():
        kept = Kept(INQUIRIES)
        deadline = kept.after(sent).deadline
        assert (kept.indexes[DUE], kept.indexes["status", "open"]) == (deadline, 1)
        assert kept.after(end).status == status
        assert DUE not in kept.indexes
        assert [each for each in kept.indexes if each[0] == "status"] == [("status", status)]
    at_once = Kept(INQUIRIES)
    at_once.after(sent, ends["answered"])
    assert DUE not in at_once.indexes


def test_a_text_is_to_be_corrected_from_a_withdrawal_to_a_correction() -> None:
    """Withdrawals that name it are kept beside it, and are no versions of it."""
    uses = {"title": "t", "url": "https://example.org", "published_at": "2026", "claims": [{"claim_id": CLAIM}]}
    withdrawn = event(
        "statement.withdrawn", claim_id=CLAIM, statement_id=SAID, withdrawal={"by": "speaker"}, relied_on_by=[TEXT]
    )
    corrected = event("publication.corrected", publication_id=TEXT, claim_ids=[CLAIM], correction={"note": "n"})
    assert (PUBLICATIONS.keys(withdrawn), PUBLICATIONS.keys(corrected)) == ((TEXT,), [TEXT])
    kept = Kept(PUBLICATIONS)
    recorded = kept.after(event("publication.recorded", publication_id=TEXT, publication=uses))
    assert (recorded.version, recorded.to_correct, TO_CORRECT in kept.indexes) == (1, False, False)
    affected = kept.after(withdrawn)
    assert (affected.version, affected.to_correct, TO_CORRECT in kept.indexes) == (1, True, True)
    assert [(each.claim_id, each.statement_id) for each in affected.affected_by] == [(CLAIM, SAID)]
    mended = kept.after(corrected)
    assert (mended.version, mended.to_correct, TO_CORRECT in kept.indexes) == (2, False, False)
    assert kept.after(withdrawn).to_correct
    assert len(kept.after(*[withdrawn] * 100).affected_by) == MOST_LISTED


def test_every_part_of_a_claim_says_to_which_it_belongs() -> None:
    """A statement, a piece of evidence, an inquiry and an assessment each have a document that names the claim."""
    sent = event("inquiry.sent", claim_id=CLAIM, inquiry_id=ASKED, inquiry={"source_id": SOURCE, "deadline": "2026"})
    said = event(
        "statement.recorded", claim_id=CLAIM, statement_id=SAID, statement={"speaker_id": SOURCE, "stance": "asserts"}
    )
    judged = {"verdict": "verified", "rationale": "r", "by": PERSON}
    film = {"kind": "video", "bearing": "supports", "description": "d"}
    assessed, shown = key("assessment"), key("evidence")
    made = event("assessment.made", claim_id=CLAIM, assessment_id=assessed, assessment=judged)
    added = event("evidence.added", claim_id=CLAIM, evidence_id=shown, evidence=film)
    for each, part_id in ((sent, ASKED), (said, SAID), (made, assessed), (added, shown)):
        assert PARTS.keys(each) == [part_id]
        document = Kept(PARTS).after(each)
        assert (document.id, document.claim_id) == (part_id, CLAIM)


@pytest.mark.parametrize("projection", [CLAIMS, INQUIRIES, PUBLICATIONS, PARTS], ids=lambda each: each.name)
def test_what_does_not_follow_is_refused(projection: Projection) -> None:
    """A fold stops at an event that cannot be the next one; it never guesses."""
    answered = event("inquiry.answered", claim_id=CLAIM, inquiry_id=ASKED, response={})
    for it in (answered, catalog.SubjectErased(subject_id=SOURCE)):
        with pytest.raises(TypeError):
            projection.fold(None, [Happened(it, 1, 1)])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It fell at 08:15.", {"it", "fell", "at", "08", "15"}), ("ÉMILE'S Straße", {"émile", "s", "strasse"}),
        ("Київ", {"київ"}), ("… — !", set()), ("", set()), ("x" * 41 + " y", {"y"}),
    ],
)  # fmt: skip
def test_a_text_is_found_by_its_words(text: str, words: set[str]) -> None:
    """Words are letters and digits of any script, without regard to case; overlong ones are none."""
    assert words == words_of(text)
