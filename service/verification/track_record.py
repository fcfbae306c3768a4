"""A source's track record: where the claims stand that it said are so. Pure.

A claim counts once for a source, however often the source said it and in however many claims that are merged: it is
counted where the source was first heard on it. In a claim that is merged inverted a denial says that the other is so.
"""

from msgspec import Struct

from events.words import State
from service.verification.decide import World
from service.verification.facts import Facts, StatementFacts
from service.verification.in_force import Dossier
from service.verification.voices import POSITIONAL, SUPPORT, Voices


class Assertion(Struct, frozen=True):
    """A source said that a claim is so, first at ``since`` (microseconds since 1970), and what became of it.

    ``outcome`` is the claim's state as it was last recorded; ``withdrawn`` if nothing is left of what the source said.
    """

    claim_id: str
    since: int
    outcome: State


def asserted(source_id: str, claim_id: str, world: World) -> Assertion | None:
    """Return what a source asserted in a claim; None if it did not, or if that counts for another claim of a merge."""
    facts = world.facts[claim_id]
    while facts.merged_into:
        facts = world.facts[facts.merged_into]
    together = _together(facts, world)
    first = min((each for each in together if _heard(source_id, each)), key=_registered, default=None)
    if first is None or first.claim_id != claim_id:
        return None
    record = Dossier(facts, world.facts).in_force()
    ever = {each.statement_id: each for each in (*record.withdrawn, *record.statements.values())}
    said = [each for each in ever.values() if each.speaker_id == source_id and _supports(each)]
    if not said or facts.last is None:
        return None
    left = Voices(record, world.context(facts.claim).at(), world.policy).in_force
    stands = any(each.statement_id in left for each in said)
    return Assertion(facts.claim_id, min(each.lo for each in said), facts.last.state if stands else State.WITHDRAWN)


def _together(facts: Facts, world: World) -> list[Facts]:
    """Return a claim and all that are merged into it now, at any remove."""
    found = [facts]
    for each in found:
        found += [world.facts[member.claim_id] for member in each.members if member.ended is None]
    return found


def _heard(source_id: str, facts: Facts) -> bool:
    """Whether a source speaks in a claim's own statements, by what was recorded first or by a correction."""
    return any(
        source_id in (said.speaker_id, *(each.changes.speaker_id for each in said.corrections))
        for said in facts.statements.values()
    )


def _supports(said: StatementFacts) -> bool:
    return POSITIONAL.get(said.stance) in SUPPORT


def _registered(facts: Facts) -> int:
    return facts.wordings[0].position
