"""Quantities: whether one figure entails another, whether two can both be true, and what a sum allows."""

from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.words import Quantity
from service.verification import quantities

TENTH = 0.10


def figure(said: str, **more: Any) -> Quantity:
    """Read ``at_least 5`` or ``range 5 10`` as a figure of killed."""
    qualifier, *numbers = said.split()
    low, high = map(float, numbers) if len(numbers) > 1 else (None, None)
    value = None if len(numbers) > 1 else float(numbers[0])
    content = {"measure": "killed", "qualifier": qualifier, "value": value, "low": low, "high": high}
    return msgspec.convert(content | more, Quantity)


ENTAILS: list[tuple[str, str, bool]] = [
    # what is stated, what is claimed, whether the one entails the other
    ("exactly 5", "exactly 5", True),
    ("exactly 5", "exactly 6", False),
    ("exactly 5", "at_least 5", True),
    ("exactly 4", "at_least 5", False),
    ("exactly 5", "more_than 5", False),
    ("exactly 6", "more_than 5", True),
    ("exactly 5", "at_most 5", True),
    ("exactly 6", "at_most 5", False),
    ("exactly 0", "at_most 5", True),
    ("exactly 5", "fewer_than 5", False),
    ("exactly 4", "fewer_than 5", True),
    ("exactly 5", "range 5 10", True),
    ("exactly 10", "range 5 10", True),
    ("exactly 11", "range 5 10", False),
    ("exactly 90", "about 100", True),
    ("exactly 110", "about 100", True),
    ("exactly 89.999", "about 100", False),
    ("exactly 110.001", "about 100", False),
    ("exactly 3.3", "about 3", True),
    ("exactly 0.33", "about 0.3", True),
    ("exactly 0.331", "about 0.3", False),
    ("at_least 5", "exactly 5", False),
    ("at_least 5", "at_least 5", True),
    ("at_least 6", "at_least 5", True),
    ("at_least 4", "at_least 5", False),
    ("at_least 5", "more_than 5", False),
    ("at_least 6", "more_than 5", True),
    ("at_least 5", "at_most 500", False),
    ("at_least 5", "range 5 500", False),
    ("more_than 5", "at_least 5", True),
    ("more_than 5", "more_than 5", True),
    ("more_than 5", "at_least 6", False),
    ("more_than 5", "more_than 4", True),
    ("more_than 4", "more_than 5", False),
    ("at_most 5", "at_most 5", True),
    ("at_most 5", "fewer_than 5", False),
    ("at_most 4", "fewer_than 5", True),
    ("at_most 5", "range 0 5", True),
    ("at_most 5", "range 1 5", False),
    ("at_most 5", "exactly 5", False),
    ("fewer_than 5", "at_most 5", True),
    ("fewer_than 5", "fewer_than 5", True),
    ("fewer_than 5", "at_most 4", False),
    ("fewer_than 5", "at_least 0", True),
    ("about 100", "about 100", True),
    ("about 100", "exactly 100", False),
    ("about 100", "range 90 110", True),
    ("about 100", "range 91 110", False),
    ("about 100", "at_least 90", True),
    ("about 100", "more_than 90", False),
    ("about 100", "at_most 110", True),
    ("about 100", "fewer_than 110", False),
    ("range 90 110", "about 100", True),
    ("range 90 111", "about 100", False),
    ("range 5 10", "at_least 5", True),
    ("range 5 10", "more_than 5", False),
    ("range 5 10", "at_most 10", True),
    ("range 5 10", "range 5 10", True),
    ("range 5 11", "range 5 10", False),
    ("range 7 7", "exactly 7", True),
]


@pytest.mark.parametrize(("stated", "claimed", "expected"), ENTAILS)
def test_a_figure_entails_another_if_it_allows_nothing_else(stated: str, claimed: str, expected: bool) -> None:  # noqa: FBT001 - a column of the table
    """A statement's figure supports the claim's only if everything it allows is what the claim says."""
    assert expected == quantities.entailed([figure(claimed)], [figure(stated)], TENTH)


DISJOINT: list[tuple[str, str, bool]] = [
    ("exactly 65", "exactly 63", True),
    ("exactly 65", "exactly 65", False),
    ("exactly 5", "more_than 5", True),
    ("exactly 5", "at_least 5", False),
    ("exactly 5", "fewer_than 5", True),
    ("exactly 5", "at_most 5", False),
    ("exactly 4", "at_least 5", True),
    ("exactly 6", "at_most 5", True),
    ("exactly 110", "about 100", False),
    ("exactly 110.1", "about 100", True),
    ("exactly 90", "about 100", False),
    ("exactly 89.9", "about 100", True),
    ("exactly 10", "range 5 10", False),
    ("exactly 11", "range 5 10", True),
    ("at_least 5", "at_most 5", False),
    ("at_least 5", "fewer_than 5", True),
    ("more_than 5", "at_most 5", True),
    ("more_than 5", "fewer_than 5", True),
    ("more_than 5", "fewer_than 6", False),
    ("more_than 5", "at_least 500", False),
    ("at_most 5", "fewer_than 1", False),
    ("range 5 10", "range 10 20", False),
    ("range 5 10", "range 11 20", True),
    ("range 5 10", "more_than 10", True),
    ("range 5 10", "fewer_than 5", True),
    ("about 100", "about 120", False),
    ("about 100", "about 123", True),
    ("about 100", "more_than 110", True),
    ("about 100", "at_least 110", False),
    ("about 100", "fewer_than 90", True),
]


@pytest.mark.parametrize(("one", "other", "expected"), DISJOINT)
def test_figures_disagree_if_both_cannot_be_true(one: str, other: str, expected: bool) -> None:  # noqa: FBT001 - a column of the table
    """Two figures disagree if no number satisfies both, whichever is named first."""
    assert expected == quantities.disagree([figure(one), figure(other)], TENTH)
    assert expected == quantities.disagree([figure(other), figure(one)], TENTH)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({}, {}, True),
        ({"as_at": "2024-01-24"}, {"as_at": "2024-01-24"}, True),
        ({"as_at": "2024-01-24"}, {}, True),
        ({}, {"as_at": "2024-01-24"}, True),
        ({"as_at": "2024-01-24"}, {"as_at": "2024-01-25"}, False),
        ({"unit": "people"}, {"unit": "people"}, True),
        ({"unit": "people"}, {"unit": "bodies"}, False),
        ({"unit": "people"}, {}, False),
        ({"measure": "injured"}, {}, False),
    ],
)
def test_only_figures_of_the_same_thing_are_compared(
    one: dict[str, str],
    other: dict[str, str],
    expected: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Figures compare if measure and unit match, and their dates are equal or missing on either side."""
    five, six = figure("exactly 5", **one), figure("exactly 6", **other)
    assert expected == quantities.comparable(five, six)
    assert expected == quantities.disagree([five, six], TENTH)
    assert expected == quantities.entailed([figure("at_least 5", **one)], [six], TENTH)


def test_undated_figures_are_compared_with_those_of_every_date() -> None:
    """An undated figure disagrees with a dated one, even among figures of other dates that agree."""
    dated = [figure("exactly 5", as_at="2024-01-24"), figure("exactly 9", as_at="2024-01-25")]
    assert not quantities.disagree(dated, TENTH)
    assert quantities.disagree([*dated, figure("exactly 5")], TENTH)
    assert not quantities.disagree([*dated, figure("range 5 9")], TENTH)


def test_every_measure_of_the_claim_wants_a_figure() -> None:
    """A statement that gives one of two figures, or none, does not entail the claim; one that gives more does."""
    crew, others = figure("exactly 6"), figure("exactly 3", measure="others")
    assert quantities.entailed([crew, others], [others, crew, figure("exactly 1", measure="dogs")], TENTH)
    assert not quantities.entailed([crew, others], [crew], TENTH)
    assert not quantities.entailed([crew], [], TENTH)
    assert quantities.entailed([], [], TENTH)
    assert quantities.entailed([], [crew], TENTH)


@pytest.mark.parametrize(
    ("total", "terms", "expected"),
    [
        ("exactly 74", ["exactly 65", "exactly 6", "exactly 3"], False),
        ("exactly 75", ["exactly 65", "exactly 6", "exactly 3"], True),
        ("exactly 0.3", ["exactly 0.1", "exactly 0.2"], False),
        ("exactly 10", ["at_least 5", "exactly 5"], False),
        ("exactly 9", ["at_least 5", "exactly 5"], True),
        ("exactly 10", ["more_than 5", "exactly 5"], True),
        ("exactly 11", ["more_than 5", "exactly 5"], False),
        ("exactly 10", ["more_than 5", "more_than 5"], True),
        ("exactly 10", ["at_most 5", "at_most 5"], False),
        ("exactly 11", ["at_most 5", "at_most 5"], True),
        ("exactly 10", ["fewer_than 5", "at_most 5"], True),
        ("exactly 9", ["fewer_than 5", "at_most 5"], False),
        ("exactly 1000", ["at_least 5", "fewer_than 5"], False),
        ("at_most 9", ["at_least 5", "exactly 5"], True),
        ("more_than 10", ["fewer_than 5", "exactly 5"], True),
        ("range 10 20", ["range 1 5", "range 2 5"], False),
        ("range 11 20", ["range 1 5", "range 2 5"], True),
        ("exactly 121", ["about 100", "exactly 11"], False),
        ("exactly 121.1", ["about 100", "exactly 11"], True),
    ],
)
def test_a_total_disagrees_with_terms_that_cannot_add_up_to_it(total: str, terms: list[str], expected: bool) -> None:  # noqa: FBT001 - a column of the table
    """A total is disjoint from a sum if no figures that the terms allow add up to it, open bounds included."""
    assert expected == quantities.disjoint_from_sum(figure(total), map(figure, terms), TENTH)


def test_the_tolerance_of_about_is_the_policys() -> None:
    """A policy may read "about" more narrowly or more widely."""
    assert quantities.entailed([figure("about 100")], [figure("exactly 105")], 0.05)
    assert not quantities.entailed([figure("about 100")], [figure("exactly 105.1")], 0.05)
    assert not quantities.entailed([figure("about 100")], [figure("exactly 100.1")], 0.0)


def figure_of(qualifier: str, ends: tuple[float, float]) -> Quantity:
    """Return a figure that allows some number."""
    if qualifier == "range":
        return figure(f"range {min(ends)} {max(ends)}")
    value = abs(ends[0]) + 0.5 if qualifier in {"at_most", "fewer_than"} else ends[0]
    return figure(f"{qualifier} {value}")


QUALIFIERS = ["exactly", "about", "at_least", "more_than", "at_most", "fewer_than", "range"]
values = st.integers(-50, 50).map(lambda n: n / 2)
figures = st.builds(figure_of, st.sampled_from(QUALIFIERS), st.tuples(values, values))


def allows(one: Quantity, number: Fraction) -> bool:
    """Whether a figure allows a number, straight from the table of the rules."""
    value, low, high = (Fraction(bound or 0) for bound in (one.value, one.low, one.high))
    return {
        "exactly": number == value,
        "about": abs(number - value) <= abs(value) / 10,
        "at_least": number >= value,
        "more_than": number > value,
        "at_most": 0 <= number <= value,
        "fewer_than": 0 <= number < value,
        "range": low <= number <= high,
    }[one.qualifier]


numbers = st.integers(-1200, 1200).map(lambda n: Fraction(n, 20))


@given(figures, figures, numbers)
def test_what_a_figure_entails_is_true_of_every_number_it_allows(one: Quantity, other: Quantity, n: Fraction) -> None:
    """If one figure entails another, no number satisfies the first alone; if they disagree, none satisfies both."""
    if quantities.entailed([other], [one], TENTH) and allows(one, n):
        assert allows(other, n)
    if allows(one, n) and allows(other, n):
        assert not quantities.disagree([one, other], TENTH)


@given(figures)
def test_a_figure_disagrees_with_no_repetition_of_itself(one: Quantity) -> None:
    """A figure alone, or given by two speakers alike, is no disagreement, and entails itself."""
    assert not quantities.disagree([one], TENTH)
    assert not quantities.disagree([one, one], TENTH)
    assert quantities.entailed([one], [one], TENTH)
