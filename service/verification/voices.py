"""Voices: the statements that count for something now, each with its weight, its interest and its origin.

Sections 3, 5 and 6 of the rules, up to the point where origins are counted.
"""

from collections import defaultdict
from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from events.catalog import Policy, Quantity, Stance, Story
from service.verification import origins, quantities
from service.verification.facts import EvidenceFacts, Facts, StatementFacts
from service.verification.origins import Marks
from service.verification.sources import Interest, Interests, Side, Sources

HEDGES = ("none", "likely", "possible")
"""From the firmest to the most careful."""


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


class Context(Struct, frozen=True):
    """What a verdict depends on beside the claim's own facts: its story, the sources, the figures it should sum."""

    story: Story
    sources: Sources
    summands: tuple[Quantity, ...] = ()
    """The figures that the claim's ``sum_of`` names, in that order."""


class Voice(Struct, frozen=True):
    """An effective statement. ``not_counted`` says why it is shown but not counted, if so."""

    statement: StatementFacts
    weight: Weight
    marks: Marks
    interest: Interest
    not_counted: str | None

    @property
    def counts(self) -> bool:
        """Whether it counts towards origins."""
        return self.not_counted is None


class Exhibit(Struct, frozen=True):
    """Authenticated evidence that supports or refutes."""

    evidence: EvidenceFacts
    marks: Marks
    interest: Interest


class Voices:
    """All that speaks on a claim: statements by weight, authenticated evidence by bearing, and what was left out."""

    def __init__(self, facts: Facts, context: Context, policy: Policy) -> None:
        self.facts, self.context, self.policy = facts, context, policy
        self.sources = context.sources
        self.interests = Interests(facts.claim, context.story, context.sources)
        self.in_force = [said for said in facts.statements.values() if said.repeats is None]
        self.lines = _lines(self.in_force, self.sources)
        self.left_out: dict[str, list[str]] = {
            "repeats": [said.statement_id for said in facts.statements.values() if said.repeats is not None]
        }
        self.by_weight: dict[Weight, list[Voice]] = {weight: [] for weight in Weight}
        self._hear()
        self.supporting = self._exhibits("supports", "supports")
        self.refuting = self._exhibits("refutes", "opposes")

    @property
    def effective(self) -> list[Voice]:
        """Every effective statement."""
        return [voice for voices in self.by_weight.values() for voice in voices]

    @property
    def full_supports(self) -> list[Voice]:
        """Effective statements that support the claim as it stands."""
        return self.by_weight[Weight.FULL_SUPPORT]

    @property
    def denials(self) -> list[Voice]:
        """Effective denials and partial denials."""
        return self.by_weight[Weight.DENIAL] + self.by_weight[Weight.PARTIAL_DENIAL]

    def is_unattributed(self, said: StatementFacts) -> bool:
        """Whether nobody can be named behind a statement: it is shown, and not counted."""
        speaker = self.sources[said.speaker_id]
        if said.rests_on or speaker.affiliated_to or self.sources.parties(said.speaker_id):
            return False
        return self.sources.withheld(said.speaker_id) or (
            said.basis == "unstated" and self.sources.is_media(said.speaker_id)
        )

    def _hear(self) -> None:
        superseded = []
        for line in self.lines.values():
            newest = max(said.lo for said in line)
            for said in line:
                if said.hi < newest:
                    superseded.append(said.statement_id)
                else:
                    voice = self._voice(said)
                    self.by_weight[voice.weight].append(voice)
        self.left_out["superseded"] = superseded
        for voice in self.effective:
            if voice.not_counted:
                self.left_out.setdefault(voice.not_counted, []).append(voice.statement.statement_id)

    def _voice(self, said: StatementFacts) -> Voice:
        weight = self._weigh(said)
        side: Side = "supports" if weight in {Weight.FULL_SUPPORT, Weight.PARTIAL_SUPPORT} else "opposes"
        named = [rest for rest in said.rests_on if rest.startswith("source_")]
        shown = [self.facts.evidence[rest] for rest in said.rests_on if rest in self.facts.evidence]
        marks = self.sources.marks(said.speaker_id).union(
            *(self.sources.marks(source) for source in named),
            *(origins.of_evidence(item, self.facts.evidence, self.sources) for item in shown),
        )
        suppliers = [item.supplied_by for item in shown if item.supplied_by]
        interest = self.interests.of_statement(said.speaker_id, named, suppliers, side)
        return Voice(said, weight, marks, interest, self._why_not_counted(said))

    def _weigh(self, said: StatementFacts) -> Weight:
        weight, claim = POSITIONAL[said.stance], self.facts.claim
        if weight is not Weight.FULL_SUPPORT:
            return weight
        firm = HEDGES.index(said.hedge) <= HEDGES.index(claim.hedge)
        exact = quantities.entailed(claim.quantities, said.quantities, self.policy.about_tolerance)
        return weight if firm and exact else Weight.PARTIAL_SUPPORT

    def _why_not_counted(self, said: StatementFacts) -> str | None:
        if self.is_unattributed(said):
            return "unattributed"
        grade = self.sources[said.speaker_id].reliability
        countable = self.policy.countable_grades
        if grade in self.policy.excluded_grades or (countable and grade not in countable):
            return "grade_excluded"
        return None

    def _exhibits(self, bearing: str, side: Side) -> list[Exhibit]:
        return [
            Exhibit(
                item,
                origins.of_evidence(item, self.facts.evidence, self.sources),
                "interested"
                if item.supplied_by and self.interests.of_source(item.supplied_by, side) == "interested"
                else "disinterested",
            )
            for item in self.facts.evidence.values()
            if item.authenticated and item.bearing == bearing
        ]


def _lines(said: Iterable[StatementFacts], sources: Sources) -> dict[tuple[str, str | None], list[StatementFacts]]:
    """Return the positional statements of each line: of one speaker or, if withheld, one speaker and publisher."""
    lines: dict[tuple[str, str | None], list[StatementFacts]] = defaultdict(list)
    for each in said:
        if each.stance in POSITIONAL:
            publisher = each.publisher_id if sources.withheld(each.speaker_id) else None
            lines[each.speaker_id, publisher].append(each)
    return lines
