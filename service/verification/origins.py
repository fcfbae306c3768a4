"""Origins, not outlets: how many independent origins stand behind a set of voices (rules, section 6)."""

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

from service.verification.in_force import Shown
from service.verification.sources import Sources

_MOST_REMEMBERED = 1_000
"""Sets of marks that are worth remembering what became of them: more take too much memory."""
Marks = frozenset[str]
"""What an origin is recognised by. Two voices that share a mark share an origin."""


def independent(mark_sets: Iterable[Marks]) -> list[Marks]:
    """Return the origins among these: fewest marks first, then alphabetically, each that shares none with one taken."""
    distinct = frozenset(mark_sets)
    found = _remembered if len(distinct) <= _MOST_REMEMBERED else _independent
    return list(found(distinct))


def some_disjoint(some: Collection[Marks], others: Collection[Marks]) -> bool:
    """Whether one of these shares no mark with one of the others.

    Only what a set shares with any of the others matters, and in that few differ: linear in their number as a rule.
    """
    marks = frozenset().union(*others)
    return any(any(map(shared.isdisjoint, others)) for shared in {each & marks for each in some})


def _independent(distinct: frozenset[Marks]) -> tuple[Marks, ...]:
    taken: list[Marks] = []
    used: set[str] = set()
    for marks in sorted(distinct, key=lambda marks: (len(marks), sorted(marks))):
        if used.isdisjoint(marks):
            taken.append(marks)
            used |= marks
    return tuple(taken)


_remembered = lru_cache(maxsize=256)(_independent)


def of_evidence(item: Shown, evidence: Mapping[str, Shown], sources: Sources) -> Marks:
    """Return the marks of a piece of evidence: the first of its chain of copies, and its supplier's."""
    first, seen = item, {item.evidence_id}
    while first.derived_from and first.derived_from in evidence and first.derived_from not in seen:
        seen.add(first.derived_from)
        first = evidence[first.derived_from]
    marks = {f"evidence:{first.evidence_id}"}
    if item.supplied_by:
        marks |= sources[item.supplied_by].marks
    return frozenset(marks)
