"""What has no date of its own: when it may be recorded anew, and when that might change where a claim stands."""

from collections.abc import Sequence

import pytest

from events import catalog
from events.catalog import Event
from events.identifiers import derived_id
from events.records import Correction, Merge, Statement, StatementChanges, Void, Withdrawal
from events.words import Stance
from service.desk.rows import Row
from service.desk.undated import Line, losing_their_place

CLAIM, OTHER = derived_id("claim", "a"), derived_id("claim", "b")
_HOUR = "2024-05-0{day}T12:00:00.000000Z"


def says(key: str, said_at: str | None = None, *, speaker: str = "ministry", claim: str = CLAIM) -> Event:
    """Return a statement."""
    said = Statement(speaker_id=derived_id("source", speaker), stance=Stance.ASSERTS, said_at=said_at)
    return catalog.StatementRecorded(claim_id=claim, statement_id=derived_id("statement", key), statement=said)


def takes_back(key: str, at: str | None = None, *, by: str = "speaker") -> Event:
    """Return a withdrawal."""
    withdrawal = Withdrawal(by=by, at=at)  # type: ignore[arg-type]
    return catalog.StatementWithdrawn(claim_id=CLAIM, statement_id=derived_id("statement", key), withdrawal=withdrawal)


def corrects(key: str, after: StatementChanges) -> Event:
    """Return a correction."""
    correction = Correction(by="speaker", at="2024-05-01", after=after)
    return catalog.StatementCorrected(claim_id=CLAIM, statement_id=derived_id("statement", key), correction=correction)


def lost(*events: Event) -> list[str]:
    """Return which of these lose their place, each recorded at noon of a further day in May 2024, from the first on."""
    lines = [Line(str(n), event, _HOUR.format(day=n)) for n, event in enumerate(events, start=1)]
    return [line.where for line in losing_their_place(lines, [Row(line.where, line.event) for line in lines])]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([says("a"), says("b")], []),
        ([says("a", "2024-05-01"), says("b", "2024-05-09")], []),
        ([says("a", "2024-04-30"), says("b")], []),
        ([says("a"), says("b", "2024-05-02")], ["1"]),
        ([says("a"), says("b", "2024-05-01")], ["1"]),
        ([says("a"), says("b", "2024-05-01T11:59Z")], []),
        ([says("a", "2024-05"), says("b")], ["2"]),
        ([says("a"), says("b", "2024-05-02", speaker="agency")], []),
        ([says("a"), says("b", "2024-05-02", claim=OTHER)], []),
    ],
)
def test_an_undated_statement_keeps_its_place_after_what_was_surely_earlier(
    said: Sequence[Event], expected: list[str]
) -> None:
    """Recorded now it is later than all that has a date; it may be only if it was before."""
    assert expected == lost(*said)


def test_claims_that_are_merged_are_one() -> None:
    """Their speakers' lines run through both."""
    merge = catalog.ClaimMerged(claim_id=OTHER, merge=Merge(into=CLAIM))
    assert lost(says("a"), says("b", "2024-05-02", claim=OTHER), merge) == ["1"]


def test_what_was_voided_does_not_matter() -> None:
    """It is as if it had never been recorded."""
    void = catalog.RecordingVoided(
        claim_id=CLAIM, position=2, voided=derived_id("statement", "b"), void=Void(reason="Wrong.")
    )
    assert lost(says("a"), says("b", "2024-05-02"), void) == []


def test_a_correction_may_date_a_statement_or_give_it_another_speaker() -> None:
    """The last values stand."""
    dated = corrects("a", StatementChanges(said_at="2024-05-01"))
    assert lost(says("a"), says("b", "2024-05-02"), dated) == []
    moved = corrects("a", StatementChanges(speaker_id=derived_id("source", "agency")))
    assert lost(says("a"), says("b", "2024-05-02", speaker="agency"), moved) == ["1"]


def test_a_speakers_withdrawal_reaches_as_far_as_it_did() -> None:
    """An undated one would take back what was said after it; a dated one would spare what it took back."""
    assert lost(says("a", "2024-05-01"), takes_back("a"), says("b", "2024-05-03")) == ["2"]
    assert lost(says("a", "2024-05-01"), takes_back("a", by="publisher"), says("b", "2024-05-03")) == []
    assert lost(says("a"), says("b", "2024-04-30"), takes_back("b", "2024-05-03")) == ["1"]
    assert lost(says("a", "2024-05-01"), says("b", "2024-05-01"), takes_back("a", "2024-05-02")) == []
