"""Voices: which statements are effective, what they weigh, and which of them are shown but not counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from events.words import Policy
from service.verification.policy import STRICT_TWO_SOURCE

if TYPE_CHECKING:
    from tests.unit.verification.conftest import Case


def effective(case: Case) -> set[str]:
    """Return the identifiers of the effective statements."""
    return {voice.statement.statement_id for voice in case.voices().effective}


def test_what_a_speaker_says_later_replaces_what_it_said(case: Case) -> None:
    """The last word of a speaker is what it says now; who recorded it first does not matter."""
    later = case.says("red-gov", "denies", said_at="2024-01-25")
    case.says("red-gov", "asserts", said_at="2024-01-24")
    assert {later} == effective(case)


def test_every_speaker_has_a_line_of_its_own(case: Case) -> None:
    """What a ministry says does not replace what its government said."""
    said = {case.says("red-gov", said_at="2024"), case.says("red-mod", "denies", said_at="2025")}
    assert said == effective(case)


@pytest.mark.parametrize(
    ("first", "second", "replaced"),
    [
        ("2024-01-24", "2024-01-25", True),
        ("2024-01-24", "2024-01-24", False),
        ("2024-01-24", "2024-01", False),
        ("2024-01", "2024-01-31", False),
        ("2024-01", "2024-02-01", True),
        ("2023", "2024-01-01T00:00Z", True),
        ("2024", "2024-12-31T23:59:59.999999Z", False),
        ("2024-01-24T08:15Z", "2024-01-24T08:15:59Z", False),
        ("2024-01-24T08:15Z", "2024-01-24T08:16Z", True),
        ("2024-01-24T08:15:00.000001Z", "2024-01-24T08:15:00.000002Z", True),
    ],
)
def test_what_cannot_be_ordered_counts_together(case: Case, first: str, second: str, replaced: bool) -> None:  # noqa: FBT001 - a column of the table
    """A statement is replaced only by one that was surely said after it."""
    earlier, later = case.says("witness", said_at=first), case.says("witness", "denies", said_at=second)
    assert ({later} if replaced else {earlier, later}) == effective(case)
    assert ([earlier] if replaced else []) == case.voices().left_out["superseded"]


def test_of_three_those_that_reach_the_latest_beginning_stand(case: Case) -> None:
    """A vague statement may stand beside a late one that surely replaced an early one."""
    vague = case.says("witness", "partially_confirms", said_at="2024")
    case.says("witness", "asserts", said_at="2024-01-24")
    last = case.says("witness", "denies", said_at="2024-06-01")
    assert {vague, last} == effective(case)


def test_a_statement_without_a_date_was_said_when_it_was_published_or_else_recorded(case: Case) -> None:
    """Said comes before published, and published before recorded."""
    case.says("witness", said_at="2023-01-01", published_at="2031")
    published = case.says("witness", published_at="2030")
    case.says("witness", "denies")
    assert {published} == effective(case)


def test_a_stance_without_a_position_replaces_nothing(case: Case) -> None:
    """Declining to comment is no retraction."""
    said = case.says("red-gov", said_at="2024-01-24")
    case.says("red-gov", "declines_comment", said_at="2024-01-25")
    assert {said} == effective(case)


def test_a_repetition_is_shown_and_never_heard(case: Case) -> None:
    """Another publication of a statement is listed as left out, even if it was published later."""
    case.says("red-gov", said_at="2024-01-24", name="said")
    repeated = case.says("red-gov", "denies", said_at="2025", repeats="said", publisher="outlet")
    assert {case.id_of("statement", "said")} == effective(case)
    assert [repeated] == case.voices().left_out["repeats"]


def test_whoever_is_withheld_has_a_line_with_each_publisher(case: Case) -> None:
    """Two outlets' unnamed officials may be two people: one does not replace the other; the same outlet's do."""
    case.says("red-leak", said_at="2024-01-24", publisher="agency")
    last = case.says("red-leak", "denies", said_at="2024-01-25", publisher="agency")
    other = case.says("red-leak", said_at="2024-01-01", publisher="outlet")
    unpublished = case.says("red-leak", said_at="2024-01-02")
    assert {last, other, unpublished} == effective(case)


def test_whoever_is_known_to_the_desk_has_one_line(case: Case) -> None:
    """A source whom the desk knows is one person wherever it was published."""
    case.source("insider", kind="anonymous", identity="known_to_desk")
    case.says("insider", said_at="2024-01-24", publisher="agency")
    last = case.says("insider", "denies", said_at="2024-01-25", publisher="outlet")
    assert {last} == effective(case)


def figures(*said: str) -> list[dict[str, Any]]:
    """Return ``killed 74`` or ``killed at_least 74`` as quantities."""
    return [
        {"measure": words[0], "qualifier": words[1] if len(words) > 2 else "exactly", "value": int(words[-1])}
        for words in map(str.split, said)
    ]


WEIGHTS: list[tuple[dict[str, Any], str, dict[str, Any], str | None]] = [
    # the claim, the stance, the statement, its weight
    ({}, "asserts", {}, "full_support"),
    ({}, "confirms", {}, "full_support"),
    ({}, "partially_confirms", {}, "partial_support"),
    ({}, "denies", {}, "denial"),
    ({}, "partially_denies", {}, "partial_denial"),
    ({}, "questions", {}, None),
    ({}, "neither_confirms_nor_denies", {}, None),
    ({}, "declines_comment", {}, None),
    ({}, "no_response", {}, None),
    ({}, "investigating", {}, None),
    ({}, "unable_to_verify", {}, None),
    ({}, "comments", {}, None),
    ({}, "asserts", {"hedge": "likely"}, "partial_support"),
    ({}, "confirms", {"hedge": "possible"}, "partial_support"),
    ({"hedge": "likely"}, "asserts", {}, "full_support"),
    ({"hedge": "likely"}, "asserts", {"hedge": "likely"}, "full_support"),
    ({"hedge": "likely"}, "asserts", {"hedge": "possible"}, "partial_support"),
    ({"hedge": "possible"}, "asserts", {"hedge": "possible"}, "full_support"),
    ({"hedge": "possible"}, "asserts", {"hedge": "likely"}, "full_support"),
    ({}, "denies", {"hedge": "possible"}, "denial"),
    ({"quantities": figures("killed 74")}, "asserts", {}, "partial_support"),
    ({"quantities": figures("killed 74")}, "asserts", {"quantities": figures("killed 74")}, "full_support"),
    ({"quantities": figures("killed 74")}, "asserts", {"quantities": figures("killed 73")}, "partial_support"),
    (
        {"quantities": figures("killed 74")},
        "confirms",
        {"quantities": figures("killed at_least 74")},
        "partial_support",
    ),
    ({"quantities": figures("killed at_least 70")}, "asserts", {"quantities": figures("killed 74")}, "full_support"),
    ({"quantities": figures("killed 74")}, "asserts", {"quantities": figures("injured 74")}, "partial_support"),
    ({"quantities": figures("crew 6", "others 3")}, "asserts", {"quantities": figures("crew 6")}, "partial_support"),
    (
        {"quantities": figures("crew 6", "others 3")},
        "asserts",
        {"quantities": figures("others 3", "crew 6", "dogs 1")},
        "full_support",
    ),
    ({"quantities": figures("killed 74")}, "denies", {}, "denial"),
    ({}, "asserts", {"quantities": figures("killed 74")}, "full_support"),
]


@pytest.mark.parametrize(("claim", "stance", "said", "expected"), WEIGHTS)
def test_a_statement_weighs_what_it_says_and_no_more(
    new_case: type[Case], claim: dict[str, Any], stance: str, said: dict[str, Any], expected: str | None
) -> None:
    """Support is full only if it is as firm as the claim and gives every figure that the claim gives."""
    case = new_case(**claim)
    case.says("witness", stance, **said)
    assert ([expected] if expected else []) == [voice.weight.value for voice in case.voices().effective]


UNATTRIBUTED: list[tuple[str, dict[str, Any], bool]] = [
    # the speaker, what it says, whether nobody can be named behind it
    ("somebody", {}, True),
    ("somebody", {"basis": "first_hand"}, True),
    ("somebody", {"rests_on": ["source:witness"]}, False),
    ("somebody", {"rests_on": ["evidence:film"]}, False),
    ("channel", {}, True),
    ("channel", {"basis": "reporting"}, True),
    ("red-leak", {}, False),
    ("agency", {}, True),
    ("agency", {"basis": "reporting"}, False),
    ("agency", {"basis": "first_hand"}, False),
    ("agency", {"rests_on": ["source:witness"]}, False),
    ("agency", {"rests_on": ["evidence:film"]}, False),
    ("outlet", {"publisher": "agency"}, True),
    ("outlet", {"attribution": "officials"}, True),
    ("state-agency", {}, False),
    ("bureau", {}, False),
    ("named-channel", {}, True),
    ("named-channel", {"basis": "first_hand"}, False),
    ("insider", {}, False),
    ("hidden-person", {}, True),
    ("witness", {}, False),
    ("institute", {}, False),
    ("red-gov", {}, False),
]


@pytest.mark.parametrize(("speaker", "said", "expected"), UNATTRIBUTED)
@pytest.mark.parametrize("stance", ["asserts", "denies"])
def test_what_nobody_stands_behind_is_shown_and_not_counted(
    case: Case,
    speaker: str,
    said: dict[str, Any],
    expected: bool,  # noqa: FBT001 - a column of the table
    stance: str,
) -> None:
    """A voice without name, party or source, and media that do not say how they know, are not counted."""
    case.source("state-agency", kind="news_agency", parties=["red"])
    case.source("bureau", kind="outlet", affiliated_to=["agency"])
    case.source("named-channel", kind="social_media", identity="named")
    case.source("insider", kind="anonymous", identity="known_to_desk")
    case.source("hidden-person", kind="person", identity="withheld")
    case.evidence(name="film")
    key = case.says(speaker, stance, **said)
    (voice,) = case.voices().effective
    assert expected == (not voice.counts)
    assert ([key] if expected else None) == case.voices().left_out.get("unattributed")


ADMIRALTY = Policy(name="admiralty", countable_grades=("A", "B", "C"))
EVERYBODY = Policy(name="everybody", excluded_grades=())


@pytest.mark.parametrize(
    ("grade", "policy", "counts"),
    [
        *((grade, STRICT_TWO_SOURCE, grade != "E") for grade in (None, *"ABCDEF")),
        *((grade, ADMIRALTY, grade in {"A", "B", "C"}) for grade in (None, *"ABCDEF")),
        *((grade, EVERYBODY, True) for grade in (None, *"ABCDEF")),
    ],
)
def test_a_policy_says_which_grades_count(case: Case, grade: str | None, policy: Policy, counts: bool) -> None:  # noqa: FBT001 - a column of the table
    """A speaker of an excluded grade is shown, and the verdict says why it was not counted."""
    case.source("graded", kind="person", reliability=grade)
    key = case.says("graded")
    assert (1 if counts else 0) == case.counts(policy)[0]
    assert ({} if counts else {"grade_excluded": (key,)}) == {
        reason: told.ids for reason, told in case.verdict(policy).because.excluded.items()
    }


def test_the_grade_of_whoever_is_above_or_rested_on_does_not_matter(case: Case) -> None:
    """Only the speaker's own grade decides whether it counts."""
    case.source("gossip", kind="person", reliability="E")
    case.source("nephew", kind="person", affiliated_to=["gossip"])
    case.says("nephew", rests_on=["source:gossip"])
    assert case.counts()[0] == 1
