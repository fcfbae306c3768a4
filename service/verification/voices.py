"""Voices: the statements that count for something now, each with its weight, its interest and its origin.

Sections 3, 5 and 6 of the rules, up to the point where origins are counted.
"""

from collections import defaultdict
from collections.abc import Iterable
from enum import StrEnum
from functools import cached_property

from msgspec import Struct

from events.records import Story
from events.words import Hedge, Policy, Quantity, Stance
from service.verification import origins, quantities
from service.verification.facts import StatementFacts
from service.verification.in_force import InForce, Shown
from service.verification.origins import Marks
from service.verification.sources import Interest, Interests, Profile, Side, Sources

UNATTRIBUTED = "unattributed"
"""Why a statement does not count behind which nobody can be named."""
_CAREFUL: dict[Hedge, int] = {"none": 0, "likely": 1, "possible": 2}


class Weight(StrEnum):
    """What an effective statement weighs, and so the reason that a verdict lists it under."""

    FULL_SUPPORT = "full_support"
    PARTIAL_SUPPORT = "partial_support"
    DENIAL = "denial"
    PARTIAL_DENIAL = "partial_denial"


POSITIONAL: dict[Stance, Weight] = {
    Stance.ASSERTS: Weight.FULL_SUPPORT,
    Stance.CONFIRMS: Weight.FULL_SUPPORT,
    Stance.PARTIALLY_CONFIRMS: Weight.PARTIAL_SUPPORT,
    Stance.DENIES: Weight.DENIAL,
    Stance.PARTIALLY_DENIES: Weight.PARTIAL_DENIAL,
}
"""The stances that take a position, and what they weigh at most. No other stance changes a state."""


_WEIGHTS = tuple(Weight)
SUPPORT = {Weight.FULL_SUPPORT, Weight.PARTIAL_SUPPORT}


class Scene(Struct, frozen=True, gc=False):
    """What a verdict depends on beside the claim: its story, the sources, the figures it should sum."""

    story: Story
    sources: Sources
    summands: tuple[Quantity, ...] = ()
    """The figures that the claim's ``sum_of`` names, in that order."""
    summed: tuple[str, ...] = ()
    """The claims that these figures are of."""


class Voice(Struct, frozen=True, gc=False):
    """An effective statement. ``not_counted`` says why it is shown but not counted, if so."""

    statement: StatementFacts
    speaker: Profile
    weight: Weight
    marks: Marks
    interest: Interest
    not_counted: str | None

    @property
    def counts(self) -> bool:
        """Whether it counts towards origins."""
        return self.not_counted is None


class Exhibit(Struct, frozen=True, gc=False):
    """Authenticated evidence that supports or refutes."""

    evidence: Shown
    marks: Marks
    interest: Interest


class Voices:
    """All that speaks on a claim: statements by weight, authenticated evidence by bearing, and what was left out."""

    def __init__(self, record: InForce, scene: Scene, policy: Policy) -> None:
        self.record, self.scene, self.policy = record, scene, policy
        self.sources = scene.sources
        self.interests = Interests(record.claim, scene.story, scene.sources)
        lines = _lines(record.statements.values(), self.sources)
        self.in_force, self.lines = _without_withdrawn(record, lines)
        gone = record.statements.keys() - self.in_force.keys()
        gone |= {said.statement_id for said in record.withdrawn}
        self.left_out: dict[str, list[str]] = {"repeats": record.repeats, "withdrawn": sorted(gone)}
        self.by_weight: dict[Weight, list[Voice]] = {weight: [] for weight in _WEIGHTS}
        self._hear()
        self.supporting = self._exhibits("supports", "supports")
        self.refuting = self._exhibits("refutes", "opposes")

    @cached_property
    def effective(self) -> list[Voice]:
        """Every effective statement."""
        return [voice for voices in self.by_weight.values() for voice in voices]

    @cached_property
    def no_positions(self) -> list[StatementFacts]:
        """Every statement in force that takes no position."""
        return [said for said in self.in_force.values() if said.stance not in POSITIONAL]

    @property
    def full_supports(self) -> list[Voice]:
        """Effective statements that support the claim as it stands."""
        return self.by_weight[Weight.FULL_SUPPORT]

    @cached_property
    def denials(self) -> list[Voice]:
        """Effective denials and partial denials."""
        return self.by_weight[Weight.DENIAL] + self.by_weight[Weight.PARTIAL_DENIAL]

    def _hear(self) -> None:
        superseded: list[str] = []
        for line in self.lines.values():
            newest = line[0].lo if len(line) == 1 else max(said.lo for said in line)
            for said in line:
                if said.hi < newest:
                    superseded.append(said.statement_id)
                    continue
                voice = self._voice(said)
                self.by_weight[voice.weight].append(voice)
                if voice.not_counted:
                    self.left_out.setdefault(voice.not_counted, []).append(said.statement_id)
        self.left_out["superseded"] = superseded

    def _voice(self, said: StatementFacts) -> Voice:
        weight, speaker = POSITIONAL[said.stance], self.sources[said.speaker_id]
        if weight is Weight.FULL_SUPPORT and not self._is_full(said):
            weight = Weight.PARTIAL_SUPPORT
        side: Side = "supports" if weight in SUPPORT else "opposes"
        not_counted = self._why_not_counted(said, speaker)
        if not said.rests_on:
            interest = self.interests.of_source(said.speaker_id, side)
            return Voice(said, speaker, weight, speaker.marks, interest, not_counted)
        named = [rest for rest in said.rests_on if rest.startswith("source_")]
        evidence = self.record.things
        shown = [evidence[rest] for rest in said.rests_on if rest in evidence]
        marks = speaker.marks.union(
            *(self.sources[source].marks for source in named),
            *(origins.of_evidence(item, evidence, self.sources) for item in shown),
        )
        suppliers = [item.supplied_by for item in shown if item.supplied_by]
        interest = self.interests.of_statement(said.speaker_id, named, suppliers, side)
        return Voice(said, speaker, weight, marks, interest, not_counted)

    def _is_full(self, said: StatementFacts) -> bool:
        """Whether a statement that is for the claim is for all of it, and as sure."""
        claim = self.record.claim
        if said.hedge != claim.hedge and _CAREFUL[said.hedge] > _CAREFUL[claim.hedge]:
            return False
        return not claim.quantities or quantities.entailed(
            claim.quantities, said.quantities, self.policy.about_tolerance
        )

    def _why_not_counted(self, said: StatementFacts, speaker: Profile) -> str | None:
        if speaker.unbound and not said.rests_on and (speaker.withheld or (speaker.media and said.basis == "unstated")):
            return UNATTRIBUTED
        countable, excluded = self.policy.countable_grades, self.policy.excluded_grades
        if countable or excluded:
            grade = speaker.grade(self.record.claim.tags)
            if grade in excluded or (countable and grade not in countable):
                return "grade_excluded"
        if said.rests_on:
            evidence = self.record.things
            if all(rest in evidence and evidence[rest].status == "challenged" for rest in said.rests_on):
                return "rests_on_challenged_evidence"
        return None

    def _exhibits(self, bearing: str, side: Side) -> list[Exhibit]:
        return [
            Exhibit(
                item,
                origins.of_evidence(item, self.record.things, self.sources),
                "interested"
                if item.supplied_by and self.interests.of_source(item.supplied_by, side) == "interested"
                else "disinterested",
            )
            for item in self.record.evidence.values()
            if item.status == "authenticated" and item.bearing == bearing
        ]


_Lines = dict[tuple[str, str | None], list[StatementFacts]]


def _without_withdrawn(record: InForce, lines: _Lines) -> tuple[dict[str, StatementFacts], _Lines]:
    """Return the statements and the lines that speakers' withdrawals leave.

    Of its line a withdrawn statement takes with it what came before it, and all of its side up to the withdrawal.
    """
    gone = {said.statement_id for said in record.withdrawn}
    if not gone:
        return record.statements, lines
    for line in lines.values():
        for taken in line:
            until = max((each.hi for each in taken.withdrawals if each.by == "speaker"), default=None)
            if until is None:
                continue
            side = POSITIONAL[taken.stance] in SUPPORT
            gone |= {
                said.statement_id
                for said in line
                if said.hi < taken.lo or ((POSITIONAL[said.stance] in SUPPORT) == side and said.lo <= until)
            }
    left = {key: [said for said in line if said.statement_id not in gone] for key, line in lines.items()}
    kept = {key: said for key, said in record.statements.items() if key not in gone}
    return kept, {key: line for key, line in left.items() if line}


def _lines(said: Iterable[StatementFacts], sources: Sources) -> _Lines:
    """Return the positional statements of each line: of one speaker or, if withheld, one speaker and publisher."""
    lines: dict[tuple[str, str | None], list[StatementFacts]] = defaultdict(list)
    for each in said:
        if each.stance in POSITIONAL:
            publisher = each.publisher_id if sources[each.speaker_id].withheld else None
            lines[each.speaker_id, publisher].append(each)
    return lines
