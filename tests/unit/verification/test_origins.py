"""Origins: many outlets may have one origin, and one side is one origin."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.verification import origins

if TYPE_CHECKING:
    from tests.unit.verification.conftest import Case


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ([], []),
        (["a"], ["a"]),
        (["a", "a"], ["a"]),
        (["a", "b"], ["a", "b"]),
        (["ab", "bc"], ["ab"]),
        (["ab", "bc", "cd"], ["ab", "cd"]),
        (["abc", "a", "b"], ["a", "b"]),
        (["abc", "b", "c"], ["b", "c"]),
        (["bc", "ab"], ["ab"]),
        (["abcd", "ab", "cd"], ["ab", "cd"]),
        (["bcd", "ab", "ef"], ["ab", "ef"]),
        (["bd", "ab", "cd"], ["ab", "cd"]),
    ],
)
def test_fewest_marks_are_taken_first_then_in_order_of_the_alphabet(sets: list[str], expected: list[str]) -> None:
    """Origins are picked in one fixed order, so that every reader counts the same ones."""
    for order in permutations(sets):
        found = origins.independent(frozenset(marks) for marks in order)
        assert {frozenset(marks) for marks in expected} == set(found)
        assert len(expected) == len(found)


mark_sets = st.lists(st.frozensets(st.sampled_from("abcdefgh"), min_size=1, max_size=4), max_size=10)


@given(mark_sets)
def test_no_two_counted_origins_share_a_mark_and_none_is_left_that_could_count(sets: list[frozenset[str]]) -> None:
    """What is counted is independent, and everything that is not counted shares a mark with what is."""
    taken = origins.independent(sets)
    assert sum(map(len, taken)) == len(frozenset().union(*taken))
    assert all(any(marks & counted for counted in taken) for marks in sets)


@given(mark_sets, st.randoms())
def test_the_order_in_which_voices_came_does_not_count(sets: list[frozenset[str]], random: st.DataObject) -> None:
    """The number of origins is the same in whatever order they were recorded, and however often."""
    shuffled = sets * 2
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert set(origins.independent(sets)) == set(origins.independent(shuffled))


def counted(case: Case) -> int:
    """Return n of the rules."""
    return case.counts()[0]


@pytest.mark.parametrize(
    ("speakers", "expected"),
    [
        (["witness"], 1),
        (["witness", "neighbour"], 2),
        (["witness", "neighbour", "institute"], 3),
        (["red-gov", "red-mod"], 1),
        (["red-gov", "red-mod", "red-leak"], 1),
        (["red-mod", "blue-mod"], 2),
        (["red-mod", "blue-mod", "witness"], 3),
        (["blue-gov", "green-gov"], 2),
    ],
)
def test_one_side_is_one_origin_however_many_speak_for_it(case: Case, speakers: list[str], expected: int) -> None:
    """Affiliates and officials of one party are one origin; people who answer to nobody are one each."""
    for speaker in speakers:
        case.says(speaker)
    assert expected == counted(case)


def test_two_of_one_party_without_a_common_root_are_one_origin(case: Case) -> None:
    """A party's many voices are one origin also where nothing above joins them."""
    case.source("red-friend", kind="person", parties=["red"])
    case.says("red-gov")
    case.says("red-friend")
    assert counted(case) == 1


def test_two_under_one_roof_are_one_origin_without_any_party(case: Case) -> None:
    """Two institutes of one foundation are one origin."""
    case.source("foundation", kind="organisation")
    for name in ("north", "south"):
        case.source(name, kind="research", affiliated_to=["foundation"])
        case.says(name)
    assert counted(case) == 1


def test_relays_and_publishers_are_no_origins(case: Case) -> None:
    """A statement found in five outlets and passed on by three more is one origin."""
    relays = [case.id_of("source", name) for name in ("agency", "outlet")]
    for publisher in ("agency", "outlet", "channel"):
        case.says("witness", publisher=publisher, relay_ids=relays)
    assert counted(case) == 1


def test_who_rests_on_the_same_source_shares_its_origin(case: Case) -> None:
    """Two outlets that know it from one witness are one origin, and one with that witness."""
    case.says("agency", rests_on=["source:witness"])
    case.says("outlet", rests_on=["source:witness"])
    assert counted(case) == 1
    case.says("witness")
    assert counted(case) == 1
    case.says("institute", rests_on=["source:neighbour"])
    assert counted(case) == 2


def test_who_rests_on_the_same_film_shares_its_origin(case: Case) -> None:
    """Copies of a film are that film: whoever rests on any of them has one origin."""
    case.evidence(name="film")
    case.evidence(name="copy", derived_from="film")
    case.evidence(name="copy-of-copy", derived_from="copy")
    case.evidence(name="other-film")
    case.says("agency", rests_on=["evidence:film"])
    case.says("outlet", rests_on=["evidence:copy-of-copy"])
    assert counted(case) == 1
    case.says("institute", rests_on=["evidence:other-film"])
    assert counted(case) == 2


def test_authenticated_copies_are_one_origin_and_so_is_who_rests_on_them(case: Case) -> None:
    """Authenticating a film and its copy adds one origin, which a statement resting on the film shares."""
    case.evidence(name="film", authentic=True)
    case.evidence(name="copy", derived_from="film", authentic=True)
    assert counted(case) == 1
    case.says("agency", rests_on=["evidence:copy"])
    assert counted(case) == 1
    case.says("witness")
    assert counted(case) == 2


def test_evidence_has_its_suppliers_origin_too(case: Case) -> None:
    """A film that a side supplied is that side's origin; supplied by nobody it is its own."""
    case.says("red-gov")
    case.evidence(by="red-mod", authentic=True)
    assert counted(case) == 1
    case.evidence(name="film", authentic=True)
    assert counted(case) == 2
    case.evidence(by="blue-mod", derived_from="film", authentic=True)
    assert counted(case) == 2
    case.says("blue-gov")
    assert counted(case) == 3


def test_the_marks_of_a_copy_are_the_first_film_and_its_own_supplier(case: Case) -> None:
    """A copy is recognised by what it was copied from, at any remove, and by who supplied the copy."""
    case.evidence(name="film")
    case.evidence(name="copy", derived_from="film", by="red-mod")
    voices = case.voices()
    shown = voices.record.evidence
    marks = origins.of_evidence(shown[case.id_of("evidence", "copy")], shown, voices.sources)
    first, root = case.id_of("evidence", "film"), case.id_of("source", "red-gov")
    assert {f"evidence:{first}", f"root:{root}", "party:red"} == marks


@pytest.mark.timeout(5)
def test_copies_in_a_circle_come_to_an_end(case: Case) -> None:
    """Evidence derived from itself, which no command records, hangs nobody."""
    case.evidence(name="a", derived_from="b", authentic=True)
    case.evidence(name="b", derived_from="a", authentic=True)
    assert counted(case) >= 1


@pytest.mark.parametrize(
    ("some", "others", "expected"),
    [
        (["ab"], ["bc"], False),
        (["ab"], ["bc", "cd"], True),
        (["ab", "ac"], ["bc", "acd"], False),
        (["ab", "x"], ["bc", "acd"], True),
        (["ab"], [], False),
        ([], ["ab"], False),
    ],
)
def test_two_sets_of_marks_without_a_common_one_are_found(
    some: list[str],
    others: list[str],
    expected: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Of two groups, somebody of one shares no mark with somebody of the other, or everybody does with everybody."""
    assert origins.some_disjoint([*map(frozenset, some)], [*map(frozenset, others)]) is expected
