"""Figures as intervals: whether one entails another, and whether figures can both be true (rules, section 4)."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from events.words import Quantity

Bound = tuple[Fraction | float, int]
"""A value and where the bound lies: 0 on it, 1 just above it, -1 just below it."""
_INFINITY = float("inf")


class Range(NamedTuple):
    """All values from ``lo`` to ``hi``."""

    lo: Bound
    hi: Bound

    def within(self, other: "Range") -> bool:
        """Whether every value of this range lies in the other."""
        return other.lo <= self.lo and self.hi <= other.hi


@lru_cache(maxsize=4096)
def range_of(quantity: Quantity, about_tolerance: float = 0.10) -> Range:
    """Return the values that a figure allows. Exact: decimal figures are read as decimals."""
    low = _exact(quantity.low if quantity.low is not None else quantity.value)
    high = _exact(quantity.high if quantity.high is not None else quantity.value)
    match quantity.qualifier:
        case "about":
            width = Fraction(str(about_tolerance)) * max(low, -low)
            return Range((_plain(low - width), 0), (_plain(high + width), 0))
        case "at_least":
            return Range((low, 0), (_INFINITY, 0))
        case "more_than":
            return Range((low, 1), (_INFINITY, 0))
        case "at_most":
            return Range((0, 0), (high, 0))
        case "fewer_than":
            return Range((0, 0), (high, -1))
        case _:
            return Range((low, 0), (high, 0))


def comparable(one: Quantity, other: Quantity) -> bool:
    """Whether two figures speak of the same thing at the same time, as far as they say."""
    return (
        one.measure == other.measure
        and one.unit == other.unit
        and (one.as_at is None or other.as_at is None or one.as_at == other.as_at)
    )


def entailed(claimed: Sequence[Quantity], stated: Sequence[Quantity], about_tolerance: float) -> bool:
    """Whether for every figure of a claim the statement gives one, and none that does not entail it."""
    return all(_entailed(figure, stated, about_tolerance) for figure in claimed)


def _entailed(figure: Quantity, stated: Sequence[Quantity], about_tolerance: float) -> bool:
    given = [own for own in stated if comparable(figure, own)]
    return bool(given) and all(
        range_of(own, about_tolerance).within(range_of(figure, about_tolerance)) for own in given
    )


def disagree(figures: Iterable[Quantity], about_tolerance: float) -> bool:
    """Whether two comparable figures among these are disjoint. Linear in their number.

    Figures without ``as_at`` are comparable with all of their measure and unit, so they join every group.
    """
    given = tuple(figures)
    if len(given) <= 1:
        return False
    groups: dict[tuple[str, str | None], dict[str | None, list[Range]]] = defaultdict(lambda: defaultdict(list))
    for figure in given:
        groups[figure.measure, figure.unit][figure.as_at].append(range_of(figure, about_tolerance))
    for by_time in groups.values():
        timeless = by_time.get(None, [])
        for as_at, ranges in by_time.items():
            together = ranges if as_at is None else ranges + timeless
            if max(each.lo for each in together) > min(each.hi for each in together):
                return True
    return False


def disjoint_from_sum(figure: Quantity, terms: Iterable[Quantity], about_tolerance: float) -> bool:
    """Whether a figure cannot be the sum of these terms."""
    ranges = [range_of(term, about_tolerance) for term in terms]
    total = Range(_add(each.lo for each in ranges), _add(each.hi for each in ranges))
    own = range_of(figure, about_tolerance)
    return max(own.lo, total.lo) > min(own.hi, total.hi)


def _add(bounds: Iterable[Bound]) -> Bound:
    """Add bounds; a sum with a term just off its value is itself just off."""
    value: Fraction | float = Fraction(0)
    off = 0
    for each, beside in bounds:
        value, off = value + each, off or beside
    return value, off


def _exact(number: float | None) -> Fraction | int:
    return _plain(Fraction(str(number)))


def _plain(number: Fraction) -> Fraction | int:
    """Return a whole number as such: most figures are, and they compare much faster."""
    return number.numerator if number.denominator == 1 else number
