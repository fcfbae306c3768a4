"""A second reading of the rules of verification: plain, slow, and written from the rules' page alone.

It takes what was recorded, as events with their positions and times, and works every verdict out from the beginning.
It shares nothing with the service but the shapes of events and the reading of moments as intervals, so that where the
two agree, two people have understood the rules alike. The sections are those of the rules.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations, product
from typing import Any, NamedTuple

from events.words import Policy, Quantity
from tests.property.second_record import (
    OPPOSING,
    POSITIONAL,
    SUPPORTING,
    OnRecord,
    Range,
    Recorded,
    Said,
    Thing,
    as_range,
    comparable,
    disjoint,
    within,
    without_voided,
)

FULL, PARTIAL, DENIAL, PARTIAL_DENIAL = "full support", "partial support", "denial", "partial denial"
MEDIA = ("outlet", "news_agency", "social_media")
HEDGES = ("none", "likely", "possible")


class Verdict(NamedTuple):
    """What the rules say of a claim."""

    rule: str
    state: str
    flags: frozenset[str]
    credibility: int
    n: int
    nd: int
    od: int


# §6


def number_of_origins(mark_sets: Iterable[frozenset[str]]) -> int:
    """How many origins there are behind sets of marks."""
    taken: list[frozenset[str]] = []
    for marks in sorted(set(mark_sets), key=lambda marks: (len(marks), sorted(marks))):
        if not any(marks & other for other in taken):
            taken.append(marks)
    return len(taken)


def verdict(
    history: Sequence[Recorded],
    claim_id: str,
    policy: Policy,
    *,
    as_of: int | None = None,
    said_by: int | None = None,
) -> Verdict | None:
    """Return what the rules say of a claim at a position; None if it is merged into another one."""
    by_then = without_voided([recorded for recorded in history if as_of is None or recorded.position <= as_of])
    reading = Reading(OnRecord(by_then, said_by), claim_id, policy)
    if claim_id in reading.record.merges:
        return None
    flags = reading.flags()
    if reading.assessment is not None:
        position = reading.assessment[0]
        then = Reading(
            OnRecord([recorded for recorded in by_then if recorded.position <= position], said_by), claim_id, policy
        )
        if then.substance() != reading.substance():
            flags.add("needs_review")
    rule, state = reading.state()
    return Verdict(rule, state, frozenset(flags), reading.credibility(state), reading.n, reading.nd, reading.od)


class Reading:
    """A claim read by a policy: §2.3 to §9."""

    def __init__(self, record: OnRecord, claim_id: str, policy: Policy) -> None:
        self.record, self.policy = record, policy
        self.claim = record.claims[claim_id]
        self.story = record.stories[self.claim.story_id]
        self.assessment = record.assessments.get(claim_id)
        statements, self.evidence, self.absence_noted = record.read_in(claim_id)
        self.recorded = [said for said in statements if said.statement.repeats is None]
        self.in_force = self._in_force()
        self.effective = [said for said in self.in_force if self._is_effective(said)]
        self.full = self._weighing(FULL)
        self.partial = self._weighing(PARTIAL)
        self.denials = self._weighing(DENIAL)
        self.partial_denials = self._weighing(PARTIAL_DENIAL)
        self.shown = [thing for thing in self.evidence if thing.status == "authenticated"]
        self.for_it = [thing for thing in self.shown if thing.bearing == "supports"]
        self.against_it = [thing for thing in self.shown if thing.bearing == "refutes"]
        self.counting = [said for said in self.full if self.counts(said)]
        marks_of, things_of = record.statement_marks, record.evidence_marks
        self.n = number_of_origins(
            [marks_of(said) for said in self.counting] + [frozenset(things_of(thing.id)) for thing in self.for_it]
        )
        self.nd = number_of_origins(
            [marks_of(said) for said in self.counting if self.interest(said) == "disinterested"]
            + [frozenset(things_of(thing.id)) for thing in self.for_it if not self.is_interested(thing)]
        )
        self.od = number_of_origins(
            [
                marks_of(said)
                for said in self.denials + self.partial_denials
                if self.counts(said) and self.interest(said) == "disinterested"
            ]
            + [frozenset(things_of(thing.id)) for thing in self.against_it]
        )

    # §2.5

    def line_of(self, said: Said) -> tuple[str, ...] | None:
        """Whose line a statement belongs to; None for a stance that takes no position."""
        if said.stance not in POSITIONAL:
            return None
        speaker = said.statement.speaker_id
        return (speaker, said.statement.publisher_id or "") if self.record.withheld(speaker) else (speaker,)

    def _in_force(self) -> list[Said]:
        removed: set[str] = set()
        for taken_back in self.recorded:
            for by, at in taken_back.withdrawals:
                removed.add(taken_back.id)
                line = self.line_of(taken_back)
                if by != "speaker" or line is None:
                    continue
                for said in self.recorded:
                    if self.line_of(said) == line and (
                        said.when.hi < taken_back.when.lo
                        or (side(said.stance) == side(taken_back.stance) and said.when.lo <= at.hi)
                    ):
                        removed.add(said.id)
        return [said for said in self.recorded if said.id not in removed]

    # §3

    def _is_effective(self, said: Said) -> bool:
        line = self.line_of(said)
        if line is None:
            return False
        return said.when.hi >= max(other.when.lo for other in self.in_force if self.line_of(other) == line)

    def _weighing(self, weight: str) -> list[Said]:
        return [said for said in self.effective if self.weight(said) == weight]

    def weight(self, said: Said) -> str:
        """What an effective statement weighs."""
        if said.stance in {"asserts", "confirms"}:
            hedged = HEDGES.index(said.statement.hedge) > HEDGES.index(self.claim.hedge)
            return PARTIAL if hedged or not self._figures_entail(said) else FULL
        return {"partially_confirms": PARTIAL, "denies": DENIAL, "partially_denies": PARTIAL_DENIAL}[said.stance]

    def _figures_entail(self, said: Said) -> bool:
        for wanted in self.claim.quantities:
            given = [figure for figure in said.statement.quantities if comparable(figure, wanted)]
            if not given or not all(within(self._range(figure), self._range(wanted)) for figure in given):
                return False
        return True

    def _range(self, figure: Quantity) -> Range:
        return as_range(figure, self.policy.about_tolerance)

    # §5

    def interest_of(self, source_id: str, *, supporting: bool) -> str:
        """The interest of a source in one side."""
        serves = set(self.story.parties if self.claim.serves is None else self.claim.serves)
        harms = set(self.story.parties if self.claim.harms is None else self.claim.harms)
        own = self.record.parties(source_id)
        z = own
        if not (z & serves or z & harms):
            z = {ally for party in own for ally in self.story.allies.get(party, ())} - own
        if z & serves and z & harms:
            interest = "interested"
        elif z & serves:
            interest = "interested" if supporting else "against interest"
        elif z & harms:
            interest = "against interest" if supporting else "interested"
        else:
            interest = "disinterested"
        if self.record.withheld(source_id) and interest != "interested":
            return "undetermined"
        return interest

    def interest(self, said: Said) -> str:
        """The interest of a statement."""
        supporting = said.stance in SUPPORTING
        sources, suppliers = [said.statement.speaker_id], []
        for named in said.statement.rests_on:
            if named.startswith("evidence_"):
                shown = self.record.evidence.get(named)
                supplier = shown.evidence.supplied_by if shown else None
                suppliers += [supplier] if supplier else []
            else:
                sources.append(named)
        if any(self.interest_of(one, supporting=supporting) == "interested" for one in sources + suppliers):
            return "interested"
        if any(self.interest_of(one, supporting=supporting) == "undetermined" for one in sources):
            return "undetermined"
        return "disinterested"

    def is_interested(self, thing: Thing) -> bool:
        """Whether evidence is interested: its supplier is."""
        supplier = thing.evidence.supplied_by
        return supplier is not None and (
            self.interest_of(supplier, supporting=thing.bearing == "supports") == "interested"
        )

    # §6

    def unattributed(self, said: Said) -> bool:
        """Whether nobody can be named whose knowledge it is."""
        speaker = self.record.sources[said.statement.speaker_id]
        return (
            not said.statement.rests_on
            and not speaker.parties
            and not speaker.affiliated_to
            and (
                self.record.withheld(said.statement.speaker_id)
                or (speaker.kind in MEDIA and said.statement.basis == "unstated")
            )
        )

    def counts(self, said: Said) -> bool:
        """Whether a statement counts."""
        grade = self.record.grade(said.statement.speaker_id, self.claim.tags)
        excluded = grade in self.policy.excluded_grades or (
            bool(self.policy.countable_grades) and grade not in self.policy.countable_grades
        )
        rests_on = said.statement.rests_on
        challenged = {thing.id for thing in self.record.evidence.values() if thing.status == "challenged"}
        undone = bool(rests_on) and challenged.issuperset(rests_on)
        return not (self.unattributed(said) or excluded or undone)

    def adverse_agreement(self) -> bool:
        """Whether two adversaries support the claim, each from an origin of its own."""
        for one, other in combinations(self.counting, 2):
            if self.record.statement_marks(one) & self.record.statement_marks(other):
                continue
            speakers = one.statement.speaker_id, other.statement.speaker_id
            if any(self.record.withheld(speaker) for speaker in speakers):
                continue
            for p, q in product(*(self.record.parties(speaker) & set(self.story.parties) for speaker in speakers)):
                if p != q and q not in self.story.allies.get(p, ()) and p not in self.story.allies.get(q, ()):
                    return True
        return False

    # §7 and §10

    def state(self) -> tuple[str, str]:
        """The rule that matches first, and its state."""
        if self.assessment is not None:
            return "assessed", self.assessment[2]
        return self.state_without_assessments()

    def state_without_assessments(self) -> tuple[str, str]:
        """What the rule and the state would be if the desk had not judged."""
        policy = self.policy
        for_it = bool(self.full or self.partial or self.for_it)
        withdrawn = any(said.withdrawals and said.stance in SUPPORTING for said in self.recorded)
        if withdrawn and not for_it:
            return "withdrawn", "withdrawn"
        if policy.refuting_evidence == "refutes" and self.against_it and not self.for_it:
            return "refuted", "refuted"
        two = self.n >= policy.min_origins and (self.nd >= 1 or (policy.adverse_agreement and self.adverse_agreement()))
        trusted = any(
            self.interest(said) == "disinterested"
            and self.record.grade(said.statement.speaker_id, self.claim.tags) in policy.single_source_grades
            for said in self.counting
        )
        if (two or trusted) and self.od == 0:
            return "corroborated", "corroborated"
        if self.against_it or (for_it and (self.denials or self.partial_denials)):
            return "contested", "contested"
        if self.denials:
            return "denied", "denied"
        return "unverified", "unverified"

    # §8

    def flags(self) -> set[str]:
        """All flags but ``needs_review``."""
        raised = {
            "single_origin": bool(self.full or self.for_it) and self.n < 2,
            "interested_parties_only": bool(self.counting)
            and all(self.interest(said) == "interested" for said in self.counting)
            and all(self.is_interested(thing) for thing in self.for_it),
            "unnamed_source": any(self.record.withheld(said.statement.speaker_id) for said in self.effective),
            "origin_unknown": any(self.unattributed(said) for said in self.effective),
            "no_evidence_supplied": self._no_evidence_supplied(),
            "under_investigation": any(
                not self._spoke_after(said, (*POSITIONAL, "unable_to_verify"))
                for said in self.in_force
                if said.stance == "investigating"
            ),
            "could_not_be_verified": any(
                not self._spoke_after(said, POSITIONAL) and not self._assessed_after(said)
                for said in self.in_force
                if said.stance == "unable_to_verify"
            ),
            "self_contradicted": self._self_contradicted(),
            "partially_confirmed": bool(self.partial),
            "partially_denied": bool(self.partial_denials),
            "figures_disagree": self._figures_disagree() or self._sum_disagrees(),
            "denied_by_interested_party": bool(self.denials + self.partial_denials)
            and all(self.interest(said) == "interested" for said in self.denials + self.partial_denials),
            "evidence_challenged": any(thing.open for thing in self.evidence if thing.bearing != "context"),
            "corrected": any(said.corrected & {"stance", "quantities", "hedge", "speaker_id"} for said in self.in_force)
            or any(by in {"publisher", "silent"} for said in self.recorded for by, _ in said.withdrawals),
            "declared": self._declared(),
        }
        return {flag for flag, is_raised in raised.items() if is_raised}

    def _no_evidence_supplied(self) -> bool:
        offers = {said.statement.evidence_offered for said in self.full}
        return (
            bool(self.full)
            and not any(thing.bearing == "supports" and thing.status != "challenged" for thing in self.evidence)
            and "supplied" not in offers
            and (self.absence_noted or "described" in offers)
        )

    def _spoke_after(self, earlier: Said, stances: Sequence[str]) -> bool:
        return any(
            said.statement.speaker_id == earlier.statement.speaker_id
            and said.stance in stances
            and said.when.lo > earlier.when.hi
            for said in self.in_force
        )

    def _assessed_after(self, said: Said) -> bool:
        return (
            self.assessment is not None and self.assessment[2] != "unverifiable" and self.assessment[0] > said.position
        )

    def _self_contradicted(self) -> bool:
        for one, other in product(self.in_force, self.in_force):
            line = self.line_of(one)
            together = line is not None and line == self.line_of(other)
            if together and one.stance in {"asserts", "confirms"} and other.stance == "denies":
                return True
        for support, denial in product(self.full, self.denials):
            shared = self.record.statement_marks(support) & self.record.statement_marks(denial)
            if any(mark.startswith(("root:", "party:")) for mark in shared):
                return True
        return False

    def _figures_disagree(self) -> bool:
        figures = [*self.claim.quantities, *(figure for said in self.effective for figure in said.statement.quantities)]
        return any(
            comparable(one, other) and disjoint(self._range(one), self._range(other))
            for one, other in combinations(figures, 2)
        )

    def _sum_disagrees(self) -> bool:
        if not self.claim.sum_of:
            return False
        terms: list[Range] = []
        for summand in self.claim.sum_of:
            figures = [
                figure
                for figure in self.record.claims[summand.claim_id].quantities
                if figure.measure == summand.measure
            ]
            if not figures:
                return False
            terms.append(self._range(figures[0]))
        total = Range(
            sum(term.low for term in terms),
            sum(term.high for term in terms),
            any(term.low_open for term in terms),
            any(term.high_open for term in terms),
        )
        return any(disjoint(self._range(figure), total) for figure in self.claim.quantities)

    def _declared(self) -> bool:
        if self.claim.declared_by is None:
            return False
        roots = self.record.roots(self.claim.declared_by)

        def is_such(said: Said) -> bool:
            speaker = said.statement.speaker_id
            return not self.record.withheld(speaker) and bool(self.record.roots(speaker) & roots)

        return any(map(is_such, self.full)) and not any(map(is_such, self.denials + self.partial_denials))

    def substance(self) -> tuple[Any, ...]:
        """What an assessment judges."""
        return (
            self.state_without_assessments()[1],
            {(said.statement.speaker_id, self.weight(said), said.statement.quantities) for said in self.effective},
            {(thing.id, thing.bearing, thing.status, thing.open) for thing in self.evidence},
            (self.claim.text, self.claim.quantities, self.claim.serves, self.claim.harms),
        )

    # §9

    def credibility(self, state: str) -> int:
        """The Admiralty digit."""
        if state == "corroborated":
            return 1 if self.nd >= 2 and not (self.denials or self.partial_denials) else 2
        if state == "contested":
            if self.od == 0:
                return 3 if self.nd >= 1 else 6
            return 5 if self.nd == 0 and self.od >= 2 else 4
        if state == "denied":
            return 5 if self.od >= 1 else 6
        if state == "unverified":
            return 3 if self.nd >= 1 else 6
        return {"verified": 1, "misleading": 4, "refuted": 5, "unverifiable": 6, "withdrawn": 6}[state]


def side(stance: str) -> str | None:
    """§2.5: the side that a stance is of."""
    return "supporting" if stance in SUPPORTING else "opposing" if stance in OPPOSING else None
