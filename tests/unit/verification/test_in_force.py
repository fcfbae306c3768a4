"""In force: what holds at a moment, after voids, corrections, withdrawals, merges and splits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import methodcaller
from typing import TYPE_CHECKING, Any

import pytest

from events.moments import interval
from service.verification.facts import NOW, Horizon

if TYPE_CHECKING:
    from tests.unit.verification.conftest import Case

Step = Callable[[Any], object]
says = partial(methodcaller, "says")
correct = partial(methodcaller, "correct")
withdraw = partial(methodcaller, "withdraw")


def in_force(case: Case, horizon: Horizon = NOW) -> set[str]:
    """Return the identifiers of the statements in force."""
    return {*case.voices(horizon=horizon).in_force}


def effective(case: Case, horizon: Horizon = NOW) -> set[str]:
    """Return the identifiers of the effective statements."""
    return {voice.statement.statement_id for voice in case.voices(horizon=horizon).effective}


def named(case: Case, *names: str) -> set[str]:
    """Return the identifiers of statements by their names."""
    return {case.id_of("statement", name) for name in names}


def until(moment: str) -> Horizon:
    """Return the moment in the world that the end of an interval is, with all that is recorded."""
    return Horizon(said_by=interval(moment).hi)


# ------------------------------------------------------------------------------------------------ 2.1 voids


VOIDED: list[tuple[Step, str, Step]] = [
    # what was recorded by mistake, its identifier, and what the claim then has to differ from
    (says("neighbour", name="x"), "statement:x", says("neighbour")),
    (says("neighbour", "denies", name="x"), "statement:x", says("neighbour", "denies")),
    (methodcaller("evidence", name="x", authentic=True), "evidence:x", methodcaller("evidence", authentic=True)),
    (methodcaller("evidence", "refutes", name="x"), "evidence:x", methodcaller("evidence", "refutes")),
    (methodcaller("assess", "refuted", name="x"), "assessment:x", methodcaller("assess", "refuted")),
]


@pytest.mark.parametrize(("recorded", "key", "again"), VOIDED)
def test_what_was_voided_is_as_if_it_had_never_been(case: Case, recorded: Step, key: str, again: Step) -> None:
    """A void takes its target with all that was made of it; the same thing may be recorded anew."""
    case.says("witness")
    before = case.verdict()
    recorded(case)
    with_it = case.verdict()
    case.void(key)
    assert before == case.verdict()
    again(case)
    assert with_it.state == case.state()


def test_a_voided_statement_takes_its_corrections_and_its_withdrawal_with_it(case: Case) -> None:
    """Nothing that was said of a recording outlives it: neither flags, nor the state withdrawn."""
    case.says("witness", name="x")
    case.correct("x", hedge="likely")
    case.withdraw("x", by="publisher")
    assert (case.state(), case.flags()) == ("withdrawn", {"corrected"})
    case.void("statement:x")
    assert (case.state(), case.flags()) == ("unverified", set())


def test_voiding_an_assessment_restores_the_one_before(case: Case) -> None:
    """A judgement that was recorded by mistake superseded nothing; one that was revoked leaves none in force."""
    case.assess("verified", name="first")
    case.assess("refuted", name="second")
    assert case.state() == "refuted"
    case.revoke("second")
    assert case.state() == "unverified"
    case.void("assessment:second")
    assert case.state() == "verified"
    case.void("assessment:first")
    assert case.state() == "unverified"


def test_before_it_was_voided_a_recording_was_there(case: Case) -> None:
    """The claim of a past moment has what was recorded by then, in the order in which it was."""
    first, second = case.says("witness"), case.says("neighbour", name="x")
    film = case.evidence(authentic=True)
    case.assess("verified", name="a")
    then, was = Horizon(len(case.happened)), case.verdict()
    case.void("assessment:a")
    case.void("statement:x")
    case.void(film)
    assert was == case.verdict(horizon=then)
    assert [first, second] == [*case.in_force(then).statements]
    assert case.state() == "unverified"


def test_what_is_voided_was_never_said_by_any_moment(case: Case) -> None:
    """Once we know that it was our mistake, it is part of no moment in the world either."""
    case.says("witness", name="x", said_at="2023-01-01")
    assert named(case, "x") == in_force(case, until("2023-02"))
    case.void("statement:x")
    assert set() == in_force(case, until("2023-02"))


def test_an_assessment_never_judged_what_was_voided(case: Case) -> None:
    """It was as if it had never been recorded, so that what was judged has not changed with the void."""
    case.says("witness", name="x")
    case.assess()
    case.void("statement:x")
    assert "needs_review" not in case.flags()
    case.says("witness")
    assert "needs_review" in case.flags()


# ------------------------------------------------------------------------------------------ 2.2 corrections


@pytest.mark.parametrize(
    ("after", "state", "flagged"),
    [
        ({"stance": "denies"}, "denied", True),
        ({"hedge": "likely"}, "unverified", True),
        ({"speaker": "neighbour"}, "corroborated", True),
        ({"quantities": [{"measure": "killed", "value": 3}]}, "unverified", True),
        ({"rests_on": ["source:neighbour"]}, "unverified", False),
        ({"basis": "first_hand"}, "unverified", False),
    ],
)
def test_a_correction_says_what_a_statement_says_now(
    case: Case,
    after: dict[str, Any],
    state: str,
    flagged: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """The corrected statement is the one that is weighed."""
    case.says("witness", name="said", said_at="2023-01-02")
    if state != "denied":
        case.says("witness", said_at="2023-01-02")
    case.correct("said", **after)
    assert (state, flagged) == (case.state(), "corrected" in case.flags())


def test_corrections_apply_in_the_order_of_recording_whenever_they_were_made(case: Case) -> None:
    """The last recorded values stand, each member for itself, even if the correction was made before another."""
    case.says("witness", name="said")
    case.correct("said", stance="denies", hedge="likely", at="2023-05-01")
    case.correct("said", stance="partially_confirms", at="2023-04-01")
    (said,) = case.in_force().statements.values()
    assert (said.stance.value, said.hedge) == ("partially_confirms", "likely")


def test_a_correction_can_say_when_it_was_said(case: Case) -> None:
    """Its place in its line is that of the corrected moment, and what is cleared falls back to what is left."""
    case.says("witness", name="said", said_at="2023-01-05", published_at="2023-01-01")
    later = case.says("witness", "denies", said_at="2023-01-03")
    assert named(case, "said") == effective(case)
    case.correct("said", said_at="2023-01-02")
    assert {later} == effective(case)
    case.correct("said", said_at=None, published_at="2023-01-04")
    assert named(case, "said") == effective(case)
    case.correct("said", published_at=None)
    (said,) = (each for each in case.in_force().statements.values() if each.statement_id != later)
    assert (said.recorded_at, said.recorded_at) == (said.lo, said.hi)


def test_a_corrected_speaker_has_the_statement_in_another_line(case: Case) -> None:
    """What was taken for one person's is then another's, with its interest and its origin."""
    earlier = case.says("witness", said_at="2023-01-01")
    case.says("witness", "denies", name="said", said_at="2023-01-02")
    case.correct("said", speaker="blue-gov")
    assert {earlier, *named(case, "said")} == effective(case)
    assert case.counts() == (1, 1, 0)


# ---------------------------------------------------------------------------------------------- 2.3 repeats


def test_a_repetition_is_never_evaluated_whatever_becomes_of_it(case: Case) -> None:
    """Correcting or withdrawing another publication changes nothing but what is shown."""
    case.says("witness", name="said")
    before = case.verdict()
    case.says("witness", "denies", name="again", publisher="outlet", repeats="said")
    case.correct("again", stance="partially_denies")
    case.withdraw("again", by="publisher")
    after = case.verdict()
    assert (before.state, before.flags, before.because.reasons) == (after.state, after.flags, after.because.reasons)
    assert {"repeats"} == {*after.because.excluded}


# ------------------------------------------------------------------------------------------ 2.5 withdrawals

A, B, C, D = ({"said_at": f"2023-01-0{day}"} for day in (1, 3, 5, 7))
WITHDRAWN: list[tuple[list[Step], set[str]]] = [
    # what was said and taken back, and what of a, b, c, d is left in force
    # by the publisher or silently: only that statement
    ([says("witness", name="a"), withdraw("a", by="publisher")], set()),
    ([says("witness", name="a"), withdraw("a", by="silent")], set()),
    ([says("witness", name="a", **A), says("witness", name="b", **B), withdraw("b", by="publisher")], {"a"}),
    ([says("witness", name="a", **A), says("witness", name="b", **B), withdraw("a", by="silent", at="2024")], {"b"}),
    # by the speaker: that statement itself
    ([says("witness", name="a"), withdraw("a")], set()),
    ([says("witness", "comments", name="a"), withdraw("a")], set()),
    # all that was surely said before it, on either side
    ([says("witness", name="a", **A), says("witness", name="b", **B), withdraw("b", at="2023-01-04")], set()),
    (
        [says("witness", "denies", name="a", **A), says("witness", name="b", **B), withdraw("b", at="2023-01-04")],
        set(),
    ),
    # of the other side, what was not surely said before it stays
    (
        [says("witness", "denies", name="a", **B), says("witness", name="b", **B), withdraw("b", at="2023-01-04")],
        {"a"},
    ),
    (
        [
            says("witness", "denies", name="a", said_at="2023"),
            says("witness", name="b", **B),
            withdraw("b", at="2023-01-04"),
        ],
        {"a"},
    ),
    # all of its side up to the withdrawal
    (
        [says("witness", name="b", **B), says("witness", "confirms", name="c", **C), withdraw("b", at="2023-01-06")],
        set(),
    ),
    (
        [
            says("witness", name="b", **B),
            says("witness", "partially_confirms", name="c", **C),
            withdraw("b", at="2023-01-05"),
        ],
        set(),
    ),
    ([says("witness", name="b", **B), says("witness", name="c", **C), withdraw("b", at="2023-01-04")], {"c"}),
    ([says("witness", name="b", **B), says("witness", name="c", **C), withdraw("b", at="2023")], set()),
    (
        [says("witness", name="b", **B), says("witness", "denies", name="c", **C), withdraw("b", at="2023-01-06")],
        {"c"},
    ),
    (
        [
            says("witness", "denies", name="b", **B),
            says("witness", "partially_denies", name="c", **C),
            says("witness", name="d", **D),
            withdraw("b", at="2023-01-08"),
        ],
        {"d"},
    ),
    # only of its line
    (
        [says("red-gov", name="a", **A), says("red-mod", name="b", **B), withdraw("b", at="2023-01-04")],
        {"a"},
    ),
    (
        [
            says("red-leak", name="a", publisher="agency", **A),
            says("red-leak", name="b", publisher="outlet", **A),
            says("red-leak", name="c", publisher="agency", **B),
            withdraw("c", at="2023-01-04"),
        ],
        {"b"},
    ),
    # what has no position is in no line
    (
        [
            says("witness", "investigating", name="a", **A),
            says("witness", name="b", **B),
            withdraw("b", at="2023-01-04"),
        ],
        {"a"},
    ),
    (
        [says("witness", name="a", **A), says("witness", "comments", name="b", **B), withdraw("b", at="2023-01-04")],
        {"a"},
    ),
    # what the withdrawn statement says now decides, and without a date the withdrawal was made when it was recorded
    (
        [
            says("witness", name="b", **B),
            says("witness", name="c", **C),
            correct("b", stance="denies"),
            withdraw("b", at="2023-01-06"),
        ],
        {"c"},
    ),
    (
        [
            says("witness", name="a", **A),
            says("witness", "denies", name="b", **B),
            correct("b", said_at="2023-01-01"),
            withdraw("b", at="2023-01-04"),
        ],
        {"a"},
    ),
    ([says("witness", name="a", **A), says("witness", name="b", **B), withdraw("a")], set()),
    ([says("witness", name="a", **A), says("witness", name="b", said_at="2030"), withdraw("a")], {"b"}),
    # a publisher's withdrawal is no speaker's, also of a statement that a speaker's would remove
    (
        [
            says("witness", name="a", **A),
            says("witness", name="b", **B),
            says("witness", name="c", **C),
            withdraw("c", by="publisher"),
            withdraw("a", at="2023-01-02"),
        ],
        {"b"},
    ),
]


@pytest.mark.parametrize(("steps", "left"), WITHDRAWN)
def test_a_withdrawal_removes_what_its_kind_says_and_no_more(case: Case, steps: list[Step], left: set[str]) -> None:
    """A publisher takes back one statement; a speaker what came before it, and its side until then."""
    for step in steps:
        step(case)
    assert named(case, *left) == in_force(case)
    gone = named(case, *"abcd") & {*case.facts.statements} - named(case, *left)
    assert gone == {*case.voices().left_out["withdrawn"]}


STATES: list[tuple[list[Step], str]] = [
    ([says("witness", name="a"), withdraw("a")], "withdrawn"),
    ([says("witness", "partially_confirms", name="a"), withdraw("a", by="publisher")], "withdrawn"),
    ([says("witness", name="a"), withdraw("a"), says("neighbour", "denies")], "withdrawn"),
    ([says("witness", name="a"), withdraw("a"), methodcaller("evidence", "refutes", authentic=True)], "withdrawn"),
    ([says("witness", name="a"), withdraw("a"), methodcaller("evidence")], "withdrawn"),
    ([says("witness", name="a"), withdraw("a"), methodcaller("evidence", authentic=True)], "unverified"),
    ([says("witness", name="a"), withdraw("a"), says("neighbour")], "unverified"),
    ([says("witness", name="a"), withdraw("a"), says("neighbour", "partially_confirms")], "unverified"),
    ([says("witness", name="a"), withdraw("a"), says("somebody")], "unverified"),
    ([says("witness", name="a"), withdraw("a"), methodcaller("assess", "refuted")], "refuted"),
    ([says("witness", "denies", name="a"), withdraw("a")], "unverified"),
    ([says("witness", "partially_denies", name="a"), withdraw("a")], "unverified"),
    ([says("witness", "comments", name="a"), withdraw("a")], "unverified"),
    ([says("witness", name="a"), correct("a", stance="denies"), withdraw("a")], "unverified"),
    ([says("witness", "denies", name="a"), correct("a", stance="confirms"), withdraw("a")], "withdrawn"),
    # what a withdrawal merely takes with it was not itself withdrawn
    ([says("witness", **A), says("witness", "denies", name="b", **B), withdraw("b", at="2023-01-04")], "unverified"),
]


@pytest.mark.parametrize(("steps", "state"), STATES)
def test_a_claim_that_nobody_stands_by_any_more_is_withdrawn(case: Case, steps: list[Step], state: str) -> None:
    """It is, if something that supported it was taken back and nothing supports it now."""
    for step in steps:
        step(case)
    assert state == case.state()
    if state == "withdrawn":
        assert (case.verdict().credibility, case.verdict().because.rule) == (6, "withdrawn")


# ---------------------------------------------------------------------------------------- 2.6 as_of, said_by


def test_as_of_a_position_later_recordings_are_not_there(case: Case) -> None:
    """Statements, corrections, withdrawals, evidence and its checks, assessments: each from its own position on."""
    case.says("witness", name="said")
    moments = [(len(case.happened), case.verdict())]

    def and_then(step: Step) -> None:
        step(case)
        moments.append((len(case.happened), case.verdict()))

    for step in (
        correct("said", hedge="likely"),
        methodcaller("evidence", name="film"),
        methodcaller("authenticate", "film"),
        methodcaller("challenge", "film", "red-gov"),
        methodcaller("challenge", "film"),
        methodcaller("authenticate", "film"),
        methodcaller("update", text="Otherwise.", hedge="likely"),
        methodcaller("update_source", "witness", parties=["red"]),
        methodcaller("update_story", allies={"blue": ["red"]}),
        methodcaller("grade", "witness", "E"),
        methodcaller("update", quantities=[{"measure": "killed", "value": 74}]),
        methodcaller("sums", {"measure": "killed", "value": 65}, {"measure": "killed", "value": 8}),
        methodcaller("update", "term-1", quantities=[{"measure": "killed", "value": 9}]),
        methodcaller("update", sum_of=[]),
        methodcaller("assess", "refuted", name="judged"),
        withdraw("said"),
        methodcaller("revoke", "judged"),
        methodcaller("absence"),
        methodcaller("void", "evidence:film"),
    ):
        and_then(step)
    for position, was in moments:
        assert was == case.verdict(horizon=Horizon(position))


SAID_BY: list[tuple[list[Step], str, str]] = [
    # what was recorded, a moment in the world, and where the claim stood then
    ([says("witness", **A), says("neighbour", **C)], "2022", "unverified"),
    ([says("witness", **A), says("neighbour", **C)], "2023-01-05", "corroborated"),
    ([says("witness", **A), says("neighbour", **C)], "2023-01-05T12:00Z", "unverified"),
    ([says("witness", **A), says("neighbour", said_at="2023")], "2023-06", "unverified"),
    ([says("witness", published_at="2023-01-01"), says("neighbour", **C)], "2023-01-05", "corroborated"),
    ([says("witness", **A), says("neighbour")], "2023-06", "unverified"),
    ([says("witness", **A), says("neighbour")], "2024", "corroborated"),
    # corrections and withdrawals by their moment, else by their recording
    ([says("witness", name="a", **A), correct("a", stance="denies", at="2023-01-03")], "2023-01-02", "unverified"),
    ([says("witness", name="a", **A), correct("a", stance="denies", at="2023-01-03")], "2023-01-03", "denied"),
    ([says("witness", name="a", **A), correct("a", stance="denies")], "2023-06", "unverified"),
    ([says("witness", name="a", **A), correct("a", stance="denies")], "2024", "denied"),
    ([says("witness", name="a", **A), withdraw("a", at="2023-01-03")], "2023-01-02", "unverified"),
    ([says("witness", name="a", **A), withdraw("a", at="2023-01-03")], "2023-01-03", "withdrawn"),
    ([says("witness", name="a", **A), withdraw("a", at="2023-01")], "2023-01-03", "unverified"),
    ([says("witness", name="a", **A), withdraw("a")], "2023-06", "unverified"),
    # evidence by when it was made public; that it is authentic we knew when we found it
    ([methodcaller("evidence", "refutes", authentic=True, public="2023-01-01")], "2023-01-01", "unverified"),
    ([methodcaller("evidence", "refutes", authentic=True, public="2023-01-01")], "2024", "contested"),
    ([methodcaller("evidence", "refutes", authentic=True, public="2030")], "2024", "unverified"),
    # what has no moment in the world, by its recording
    ([says("witness", **A), methodcaller("assess", "refuted")], "2023-06", "unverified"),
    ([says("witness", **A), methodcaller("assess", "refuted")], "2024", "refuted"),
    ([says("witness", **A), methodcaller("update", hedge="none", text="Anew.")], "2023-06", "unverified"),
]


@pytest.mark.parametrize(("steps", "moment", "state"), SAID_BY)
def test_said_by_a_moment_the_claim_stood_where_the_world_knew(
    case: Case, steps: list[Step], moment: str, state: str
) -> None:
    """What was said, corrected, withdrawn and made public by then counts, whenever it was recorded."""
    for step in steps:
        step(case)
    assert state == case.verdict(horizon=until(moment)).state.value


def test_said_by_evidence_is_there_when_it_was_public(case: Case) -> None:
    """Before that it was not shown, after it was."""
    case.evidence(public="2023-01-01")
    assert not case.in_force(until("2022-12-31")).evidence
    assert case.in_force(until("2023-01-01")).evidence


def test_both_axes_hold_together(case: Case) -> None:
    """What we knew at a position of what had been said by a moment."""
    case.says("witness", name="a", **A)
    then = len(case.happened)
    case.says("neighbour", name="b", **A)
    said_by = interval("2023-02").hi
    assert named(case, "a") == effective(case, Horizon(then, said_by))
    assert named(case, "a", "b") == effective(case, Horizon(then + 1, said_by))
    assert set() == effective(case, Horizon(then + 1, interval("2022").hi))


# ------------------------------------------------------------------------------------------------ 11. merges


def test_a_canonical_claim_reads_what_is_said_on_its_members(case: Case) -> None:
    """Statements and evidence of a merged claim count with its own, at any remove; its assessments do not."""
    case.says("witness")
    case.claim("other")
    case.claim("further")
    case.says("neighbour", on="other", name="theirs")
    case.evidence("refutes", authentic=True, on="further")
    case.assess("verified", on="other")
    case.merge("other")
    assert (case.state(), case.counts()) == ("corroborated", (2, 2, 0))
    assert named(case, "theirs") < effective(case)
    case.unmerge("other")
    assert case.state() == "unverified"
    case.merge("further", into="other")
    case.merge("other")
    assert (case.state(), case.counts()) == ("contested", (2, 2, 1))


def test_a_member_is_read_with_the_canonical_claims_own_text_interest_and_figures(case: Case) -> None:
    """What counts as full support, and who is interested, is decided by the claim that speaks for all."""
    killed = {"measure": "killed", "value": 3}
    case.claim("other", serves=["blue"], harms=[], hedge="possible", tags=["far"])
    case.says("red-gov", on="other", hedge="likely")
    case.says("witness", on="other")
    assert case.counts(on="other") == (2, 2, 0)
    case.merge("other")
    assert case.counts() == (1, 1, 0)
    assert "partially_confirmed" in case.flags()
    case.update(quantities=[killed])
    assert case.counts() == (0, 0, 0)


@pytest.mark.parametrize(
    ("stance", "state", "inverted"),
    [
        ("asserts", "unverified", "denied"),
        ("confirms", "unverified", "denied"),
        ("denies", "denied", "unverified"),
        ("partially_confirms", "unverified", "unverified"),
        ("partially_denies", "unverified", "unverified"),
        ("questions", "unverified", "unverified"),
    ],
)
def test_an_inverted_member_is_the_negation(new_case: type[Case], stance: str, state: str, inverted: str) -> None:
    """Who supports the negation denies the claim, in whole or in part; twice inverted it is the claim again."""
    for turns, expected in ((0, state), (1, inverted), (2, state)):
        case = new_case()
        case.claim("other")
        case.claim("further")
        case.says("witness", stance, on="further")
        case.merge("further", into="other", inverted=turns > 0)
        case.merge("other", inverted=turns > 1)
        assert expected == case.state()
        partly = {"partially_confirms": "confirmed", "partially_denies": "denied"}.get(stance)
        if partly and turns == 1:
            partly = {"confirmed": "denied", "denied": "confirmed"}[partly]
        flagged = {flag for flag in case.flags() if flag.startswith("partially")}
        assert ({f"partially_{partly}"} if partly else set()) == flagged


@pytest.mark.parametrize(
    ("bearing", "counts"), [("supports", (0, 0, 1)), ("refutes", (1, 1, 0)), ("context", (0, 0, 0))]
)
def test_evidence_of_an_inverted_member_shows_the_opposite(
    case: Case, bearing: str, counts: tuple[int, int, int]
) -> None:
    """What shows the negation shows the claim false."""
    case.claim("other")
    case.evidence(bearing, authentic=True, on="other")
    case.merge("other", inverted=True)
    assert counts == case.counts()


def test_the_speaker_can_take_back_what_its_publisher_took_back(case: Case) -> None:
    """An agency retracts its report, later its source does: then what the source had said before is gone as well."""
    case.says("witness", name="before", said_at="2023-01-01", publisher="outlet")
    case.says("witness", name="said", said_at="2023-02-01", publisher="agency")
    assert case.act(case.withdrawal("said", by="publisher", at="2023-02-02"))
    assert named(case, "before") == in_force(case)
    assert not case.act(case.withdrawal("said", by="silent"))
    assert case.act(case.withdrawal("said", by="speaker", at="2023-03-01"))
    assert (set(), "withdrawn", {"corrected"}) == (in_force(case), case.state(), case.flags())
    assert named(case, "before") == in_force(case, until("2023-02-15"))
    assert not case.act(case.withdrawal("said", by="speaker"))


def test_a_withdrawn_denial_of_the_negation_withdraws_the_claim(case: Case) -> None:
    """What was taken back is read as everything else on an inverted member."""
    case.claim("other")
    case.says("witness", "denies", name="said", on="other")
    case.withdraw("said", on="other")
    case.merge("other", inverted=True)
    assert case.state() == "withdrawn"


def test_a_line_runs_through_merged_claims(case: Case) -> None:
    """What a speaker says later on a member replaces what it said on the canonical claim."""
    case.claim("other")
    case.says("witness", **A)
    case.says("witness", "denies", on="other", name="later", **B)
    case.merge("other")
    assert named(case, "later") == effective(case)
    assert "self_contradicted" in case.flags()
    case.says("witness", on="other", name="last", **C)
    case.withdraw("last", on="other", at="2023-01-06")
    assert set() == in_force(case)


def test_an_absence_noted_on_a_member_is_noted_but_not_that_of_its_negation(case: Case) -> None:
    """That no evidence was offered for the negation says nothing of the evidence for the claim."""
    case.says("witness")
    case.claim("other")
    case.claim("negation")
    case.absence(on="negation")
    case.merge("negation", inverted=True)
    assert "no_evidence_supplied" not in case.flags()
    case.absence(on="other")
    case.merge("other")
    assert "no_evidence_supplied" in case.flags()


# ------------------------------------------------------------------------------------------------ 11. splits


def test_a_part_reads_the_statements_that_the_split_gives_it(case: Case) -> None:
    """The parent keeps its own; each part reads its share as it is now; assessments do not travel."""
    case.says("witness", name="one")
    case.says("neighbour", name="two")
    case.says("institute", "denies", name="three")
    case.assess("refuted")
    for part in ("p", "q"):
        case.claim(part, parent_id="c")
    case.split({"p": ["one", "two"], "q": ["two", "three"]})
    assert (case.state(), case.counts()) == ("refuted", (2, 2, 1))
    assert (case.state(on="p"), case.counts(on="p")) == ("corroborated", (2, 2, 0))
    assert (case.state(on="q"), case.counts(on="q")) == ("contested", (1, 1, 1))
    case.correct("two", stance="denies")
    assert case.counts(on="p") == (1, 1, 1)
    case.withdraw("three", by="publisher")
    assert (case.state(on="q"), "corrected" in case.flags(on="q")) == ("denied", True)
    case.says("institute", on="p")
    assert case.counts() == (1, 1, 1)


def test_evidence_that_shows_the_whole_shows_nothing_of_a_part(case: Case) -> None:
    """What a film shows of the whole it need not show of a part; that a statement rests on it still counts."""
    case.evidence(name="film", authentic=True, by="red-gov")
    case.says("witness", name="one", rests_on=["evidence:film"])
    case.claim("p", parent_id="c", serves=["red"], harms=["blue"])
    case.split({"p": ["one"]})
    assert not case.in_force(on="p").evidence
    assert case.counts(on="p") == (1, 0, 0)
    case.challenge("film")
    assert (case.counts(on="p"), case.flags(on="p") & {"evidence_challenged"}) == ((0, 0, 0), set())


def test_a_part_knows_what_the_copies_are_copies_of_that_its_statements_rest_on(case: Case) -> None:
    """Whoever rests on two copies of one film is one origin, in the whole and in a part of it alike."""
    case.evidence("context", name="film")
    for name in ("copy", "other-copy"):
        case.evidence("context", name=name, derived_from="film")
    case.says("witness", name="one", rests_on=["evidence:copy"])
    case.says("neighbour", name="two", rests_on=["evidence:other-copy"])
    case.claim("p", parent_id="c")
    case.split({"p": ["one", "two"]})
    assert (case.counts(), case.counts(on="p")) == ((1, 1, 0), (1, 1, 0))


def test_a_statement_rests_on_what_it_did_after_claims_are_parted_again(case: Case) -> None:
    """A film found on a claim that was merged still ties together the statements that rest on it."""
    case.claim("other")
    case.evidence("context", name="film", by="red-gov", on="other")
    case.merge("other")
    for speaker in ("witness", "neighbour"):
        assert case.act(case.statement(speaker, rests_on=["evidence:film"], name=speaker))
    before = case.counts()
    case.unmerge("other")
    assert before == case.counts() == (1, 0, 0)
    assert case.act(case.challenged("film", on="other"))
    assert case.counts() == (0, 0, 0)
    assert case.facts.last is not None
    assert (case.facts.last.n, case.facts.last.state) == (0, "unverified")


def test_whom_evidence_ties_together_it_did_before_it_was_public(case: Case) -> None:
    """Two who know it from one film were one origin, as interested as its supplier, before anybody had seen it."""
    case.evidence("supports", name="film", by="red-gov", public="2023-06", authentic=True)
    for speaker in ("witness", "neighbour"):
        case.says(speaker, rests_on=["evidence:film"], said_at="2023-01")
    then = case.verdict(horizon=until("2023-03"))
    assert (then.because.n, then.because.nd) == (1, 0)
    assert "supporting_evidence" not in then.because.reasons


def test_a_copy_that_was_public_first_is_still_a_copy(case: Case) -> None:
    """Two authenticated copies of a film that nobody had seen yet are one origin."""
    case.evidence("context", name="film", public="2024")
    for name in ("copy", "other-copy"):
        case.record(case.shown(name=name, derived_from="film", public="2023-01"))
        case.authenticate(name)
    then = until("2023-12")
    assert case.verdict(horizon=then).because.n == 1


def test_what_a_claim_has_of_its_own_is_not_taken_for_borrowed(case: Case) -> None:
    """A part into which the whole is merged has the evidence of the whole with its bearing."""
    case.evidence(name="film", authentic=True)
    case.says("witness", name="one", rests_on=["evidence:film"])
    case.claim("p", parent_id="c")
    case.split({"p": ["one"]})
    case.merge("c", into="p")
    shown = {key: item.bearing for key, item in case.in_force(on="p").evidence.items()}
    assert {case.id_of("evidence", "film"): "supports"} == shown
    assert [*named(case, "one")] == [*case.in_force(on="p").statements]


def test_a_split_and_a_merge_hold_from_their_position_on(case: Case) -> None:
    """Before, each claim stood for itself."""
    case.says("witness", name="one")
    case.claim("p")
    case.claim("other")
    case.says("neighbour", on="other")
    moments = [(len(case.happened), case.verdict(), case.verdict(on="p"))]
    for step in (
        methodcaller("split", {"p": ["one"]}),
        methodcaller("merge", "other"),
        methodcaller("unmerge", "other"),
        methodcaller("merge", "other", inverted=True),
    ):
        step(case)
        moments.append((len(case.happened), case.verdict(), case.verdict(on="p")))
    for position, whole, part in moments:
        assert whole == case.verdict(horizon=Horizon(position))
        assert part == case.verdict(horizon=Horizon(position), on="p")


def test_whoever_heard_an_utterance_is_a_speaker_at_first_hand(case: Case) -> None:
    """Of the claim that something was said, two outlets that heard it are two origins."""
    case.says("red-gov", name="speech")
    case.claim("said-so", about_statement_id=case.id_of("statement", "speech"), serves=[], harms=[])
    case.says("agency", on="said-so", basis="first_hand", rests_on=[])
    assert case.state(on="said-so") == "unverified"
    case.says("outlet", on="said-so", basis="first_hand")
    assert (case.state(on="said-so"), case.state()) == ("corroborated", "unverified")
