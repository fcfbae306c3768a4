"""Origins, not outlets: how many independent origins stand behind a set of voices (rules, section 6)."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from service.verification.in_force import Shown
from service.verification.sources import Sources

Marks = frozenset[str]
"""What an origin is recognised by. Two voices that share a mark share an origin."""


def independent(mark_sets: Iterable[Marks]) -> list[Marks]:
    """Return the origins among these: fewest marks first, then alphabetically, each that shares none with one taken."""
    return list(_independent(frozenset(mark_sets)))


@lru_cache(maxsize=4096)
def _independent(distinct: frozenset[Marks]) -> tuple[Marks, ...]:
    taken: list[Marks] = []
    used: set[str] = set()
    for marks in sorted(distinct, key=lambda marks: (len(marks), sorted(marks))):
        if used.isdisjoint(marks):
            taken.append(marks)
            used |= marks
    return tuple(taken)


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
