"""In force: what of the facts holds at a moment, with its last values (rules, sections 2 and 11).

The claim is read with its merged members and with what it borrowed from the claim that it is a part of.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct, structs

from events.records import Claim
from events.words import Bearing, Stance
from service.verification.facts import (
    NOW,
    AssessmentFacts,
    EvidenceFacts,
    Facts,
    Horizon,
    Membership,
    StatementFacts,
    known,
)
from service.verification.fold import changed, spoken

Status = Literal["unexamined", "authenticated", "challenged"]

_NEGATED = {
    Stance.ASSERTS: Stance.DENIES,
    Stance.CONFIRMS: Stance.DENIES,
    Stance.DENIES: Stance.ASSERTS,
    Stance.PARTIALLY_CONFIRMS: Stance.PARTIALLY_DENIES,
    Stance.PARTIALLY_DENIES: Stance.PARTIALLY_CONFIRMS,
}
_NEGATED_BEARING: dict[Bearing, Bearing] = {"supports": "refutes", "refutes": "supports", "context": "context"}
_SUBSTANTIAL = {"stance", "quantities", "hedge", "speaker_id"}
"""What a correction has to touch for the claim to be flagged as corrected."""


class Dossier(Struct, frozen=True, gc=False):
    """A claim's facts, and those of every claim that it reads or is read in, at one position."""

    facts: Facts
    others: Mapping[str, Facts] = {}

    def in_force(self, horizon: Horizon = NOW, voids: int | None = None) -> "InForce":
        """Return what holds at a moment, without what was voided up to the position ``voids``: by then if left out."""
        voids = horizon.position if voids is None else voids
        found = InForce(claim=self.claim(horizon))
        everyone = [(facts.before(voids), inverted) for facts, inverted in self._together(self.facts, horizon)]
        for facts, inverted in everyone:
            self._read(facts, horizon, found, inverted=inverted)
        for facts, inverted in everyone:  # last: what a claim has of its own is not taken for borrowed
            self._borrow(facts, horizon, voids, found, inverted=inverted)
        self._complete(horizon, voids, found)
        made = [each for each in everyone[0][0].assessments if horizon.holds(each.position, each.recorded_at)]
        latest = made[-1] if made else None
        if latest and not (latest.revoked and horizon.holds(latest.revoked.position, latest.revoked.recorded_at)):
            found.assessment = latest
        return found

    def claim(self, horizon: Horizon = NOW) -> Claim:
        """Return the claim as it was put at a moment: at least as it was registered."""
        return known(self.facts.wordings, horizon).claim

    def _together(self, facts: Facts, horizon: Horizon, *, inverted: bool = False) -> Iterator[tuple[Facts, bool]]:
        """Yield a claim and every claim that it speaks for at a moment, each with whether it is the negation."""
        yield facts, inverted
        for member in facts.members:
            if _holds(member, horizon):
                yield from self._together(self.others[member.claim_id], horizon, inverted=inverted ^ member.inverted)

    @staticmethod
    def _read(facts: Facts, horizon: Horizon, found: "InForce", *, inverted: bool) -> None:
        """Add what was recorded on a claim to what was found."""
        for said in facts.statements.values():
            found.add_statement(said, horizon, inverted=inverted)
        for item in facts.evidence.values():
            found.add_evidence(item, horizon, inverted=inverted)
        if not inverted:
            held = (horizon.holds(each.position, each.recorded_at) for each in facts.absences)
            found.absence_noted = found.absence_noted or any(held)

    def _borrow(self, facts: Facts, horizon: Horizon, voids: int, found: "InForce", *, inverted: bool) -> None:
        """Add the statements that a claim borrowed, and what they may rest on."""
        for part in facts.borrowed:
            if not horizon.holds(part.position, part.recorded_at):
                continue
            lender = self.others[part.claim_id].before(voids)
            for key in part.statement_ids:
                if key in lender.statements:
                    found.add_statement(lender.statements[key], horizon, inverted=inverted)
            found.add_things(lender.evidence.values(), horizon)

    def _complete(self, horizon: Horizon, voids: int, found: "InForce") -> None:
        """Add what statements rest on that is on record on a claim which this one was once read with."""
        rests = {rest for said in found.statements.values() for rest in said.rests_on}
        if any(rest.startswith("evidence_") and rest not in found.things for rest in rests):
            for other in self.others.values():
                if not rests.isdisjoint(other.evidence):
                    found.add_things(other.before(voids).evidence.values(), horizon)


class Shown(Struct, frozen=True, gc=False):
    """A piece of evidence at a moment. ``disputed``: somebody challenged it after its last authentication."""

    evidence_id: str
    bearing: Bearing
    status: Status
    disputed: bool
    supplied_by: str | None = None
    derived_from: str | None = None


class InForce(Struct, gc=False):
    """What holds at a moment.

    ``statements`` are those that no publisher alone took back; what a speaker's withdrawal removes depends on who the
    speaker is, and is left to :class:`~service.verification.voices.Voices`. ``withdrawn`` are those with a withdrawal
    of any kind, ``corrected`` those with a correction of their substance. ``evidence`` is what the claim reads and was
    public; ``things`` is all that a statement may rest on and evidence be a copy of: whose origins they share does not
    hang on when that was made public, nor on which claim it was recorded.
    """

    claim: Claim
    statements: dict[str, StatementFacts] = {}
    repeats: list[str] = []
    withdrawn: list[StatementFacts] = []
    evidence: dict[str, Shown] = {}
    things: dict[str, Shown] = {}
    absence_noted: bool = False
    corrected: set[str] = set()
    seen: set[str] = set()
    assessment: AssessmentFacts | None = None

    def bearing(self) -> dict[str, Shown]:
        """Return the evidence that the verdict may hang on: what the claim reads, and what its statements rest on."""
        rests = {rest for said in self.statements.values() for rest in said.rests_on}
        return self.evidence | {key: item for key, item in self.things.items() if key in rests}

    def add_statement(self, said: StatementFacts, horizon: Horizon, *, inverted: bool = False) -> StatementFacts | None:
        """Add a statement as it is at a moment, unless it was not made by then or is there already."""
        if said.statement_id in self.seen:
            return None
        substantial = False
        if said.corrections or inverted:
            said, substantial = _as_it_is(said, horizon, inverted=inverted)
        if horizon is not NOW and not horizon.holds(said.position, said.hi):
            return None
        self.seen.add(said.statement_id)
        if said.repeats is not None:
            self.repeats.append(said.statement_id)
            return None
        if said.withdrawals:
            taken = tuple(each for each in said.withdrawals if horizon.holds(each.position, each.hi))
            said = structs.replace(said, withdrawals=taken)
            if taken:
                self.withdrawn.append(said)
            if taken and all(each.by != "speaker" for each in taken):
                return None
        self.statements[said.statement_id] = said
        if substantial:
            self.corrected.add(said.statement_id)
        return said

    def add_evidence(self, item: EvidenceFacts, horizon: Horizon, *, inverted: bool = False) -> None:
        """Add a piece of evidence as it is at a moment, unless it was not recorded by then."""
        if item.position > horizon.position:
            return
        shown = self.things[item.evidence_id] = _as_shown(item, horizon, inverted=inverted)
        if horizon.holds(item.position, item.public):
            self.evidence[item.evidence_id] = shown

    def add_things(self, items: Iterable[EvidenceFacts], horizon: Horizon) -> None:
        """Add what statements may rest on, as it is at a moment, unless it is there already."""
        for item in items:
            if item.evidence_id not in self.things and item.position <= horizon.position:
                self.things[item.evidence_id] = _as_shown(item, horizon, inverted=False)


def _as_shown(item: EvidenceFacts, horizon: Horizon, *, inverted: bool) -> Shown:
    status: Status = "unexamined"
    disputed = False
    for check in item.checks:
        if not horizon.holds(check.position, check.recorded_at):
            continue
        disputed = check.found != "authenticated"
        if check.found != "disputed":
            status = check.found
    bearing = _NEGATED_BEARING[item.bearing] if inverted else item.bearing
    return Shown(item.evidence_id, bearing, status, disputed, item.supplied_by, item.derived_from)


def _holds(member: Membership, horizon: Horizon) -> bool:
    ended = member.ended
    return horizon.holds(member.position, member.recorded_at) and not (
        ended and horizon.holds(ended.position, ended.recorded_at)
    )


def _as_it_is(said: StatementFacts, horizon: Horizon, *, inverted: bool) -> tuple[StatementFacts, bool]:
    """Return a statement with its corrections up to a moment, and whether one of them is substantial."""
    values: dict[str, Any] = {}
    for correction in said.corrections:
        if horizon.holds(correction.position, correction.hi):
            values |= changed(correction.changes)
    substantial = not _SUBSTANTIAL.isdisjoint(values)
    if "said_at" in values or "published_at" in values:
        said_at = values.get("said_at", said.said_at)
        values["lo"], values["hi"] = spoken(said_at, values.get("published_at", said.published_at), said.recorded_at)
    if inverted:
        stance = values.get("stance", said.stance)
        values["stance"] = _NEGATED.get(stance, stance)
    kept = {name: value for name, value in values.items() if name in StatementFacts.__struct_fields__}
    return structs.replace(said, **kept), substantial
