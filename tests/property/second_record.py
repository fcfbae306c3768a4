"""What is on record at a moment, for the second reading of the rules: their sections 1, 2, 4, 6 and 11."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import inf
from typing import Any, NamedTuple

import msgspec

from events import catalog, records
from events.moments import Interval, interval
from events.words import Quantity

SUPPORTING = ("asserts", "confirms", "partially_confirms")
OPPOSING = ("denies", "partially_denies")
POSITIONAL = SUPPORTING + OPPOSING
NEGATED = {
    "asserts": "denies", "confirms": "denies", "denies": "asserts",
    "partially_confirms": "partially_denies", "partially_denies": "partially_confirms",
    "supports": "refutes", "refutes": "supports",
}  # fmt: skip


class Recorded(NamedTuple):
    """An event as the ledger has it: its position and its ``recordedtime`` in microseconds since 1970."""

    position: int
    at: int
    event: catalog.Event


@dataclass
class Said:
    """A statement with its corrections, read in some claim."""

    id: str
    claim_id: str
    position: int
    recorded: int
    statement: records.Statement
    corrected: set[str] = field(default_factory=set)
    withdrawals: list[tuple[str, Interval]] = field(default_factory=list)

    @property
    def stance(self) -> str:
        """The stance as it is written."""
        return str(self.statement.stance)

    @property
    def when(self) -> Interval:
        """§2.4."""
        moment = self.statement.said_at or self.statement.published_at
        return interval(moment) if moment else Interval(self.recorded, self.recorded)


@dataclass
class Thing:
    """A piece of evidence: ``status`` is the desk's word on it, ``open`` whether any challenge is unanswered."""

    id: str
    claim_id: str
    recorded: int
    evidence: records.Evidence
    bearing: str
    status: str = "unexamined"
    open: bool = False

    @property
    def public(self) -> int:
        """From when on it was public."""
        moment = self.evidence.made_public_at
        return interval(moment).hi if moment else self.recorded


class OnRecord:
    """Everything on record at a position (§2): sources, stories, claims, statements and evidence."""

    def __init__(self, history: Iterable[Recorded], said_by: int | None) -> None:
        self.said_by = said_by
        self.stories: dict[str, records.Story] = {}
        self.sources: dict[str, records.Source] = {}
        self.grades: dict[str, list[records.Grade]] = {}
        self.claims: dict[str, records.Claim] = {}
        self.merges: dict[str, records.Merge] = {}
        self.splits: list[records.SplitPart] = []
        self.statements: dict[str, Said] = {}
        self.evidence: dict[str, Thing] = {}
        self.absences: set[str] = set()
        self.assessments: dict[str, tuple[int, str, str] | None] = {}
        """Claim → the position, identifier and verdict of the assessment that is in force."""
        for recorded in history:
            registers = isinstance(
                recorded.event, catalog.StoryOpened | catalog.SourceRegistered | catalog.ClaimRegistered
            )
            if registers or has_time_of_its_own(recorded.event) or said_by is None or recorded.at <= said_by:
                self._take(recorded)
        if said_by is not None:
            self.statements = {id_: said for id_, said in self.statements.items() if said.when.hi <= said_by}

    def _by_then(self, at: int) -> bool:
        return self.said_by is None or at <= self.said_by

    def _take(self, recorded: Recorded) -> None:  # noqa: C901, PLR0912, PLR0915 - one case an event is plainest
        position, at, event = recorded
        match event:
            case catalog.StoryOpened():
                self.stories[event.story_id] = event.story
            case catalog.StoryUpdated():
                self.stories[event.story_id] = changed(self.stories[event.story_id], event.changes)
            case catalog.SourceRegistered():
                self.sources[event.source_id] = event.source
                self.grades[event.source_id] = []
            case catalog.SourceUpdated():
                self.sources[event.source_id] = changed(self.sources[event.source_id], event.changes)
            case catalog.SourceGraded():
                self.grades[event.source_id].append(event.grade)
            case catalog.ClaimRegistered():
                self.claims[event.claim_id] = event.claim
            case catalog.ClaimUpdated():
                self.claims[event.claim_id] = changed(self.claims[event.claim_id], event.changes)
            case catalog.ClaimMerged():
                self.merges[event.claim_id] = event.merge
            case catalog.ClaimUnmerged():
                del self.merges[event.claim_id]
            case catalog.ClaimSplit():
                self.splits.extend(event.split.parts)
            case catalog.StatementRecorded():
                self.statements[event.statement_id] = Said(
                    event.statement_id, event.claim_id, position, at, event.statement
                )
            case catalog.StatementCorrected(correction=correction):
                if self._by_then(span(correction.at, at).hi):
                    said = self.statements[event.statement_id]
                    said.statement = changed(said.statement, correction.after)
                    said.corrected |= set_members(correction.after)
            case catalog.StatementWithdrawn(withdrawal=withdrawal):
                if self._by_then(span(withdrawal.at, at).hi):
                    said = self.statements[event.statement_id]
                    said.withdrawals.append((withdrawal.by, span(withdrawal.at, at)))
            case catalog.EvidenceAdded(evidence=evidence):
                self.evidence[event.evidence_id] = Thing(
                    event.evidence_id, event.claim_id, at, evidence, evidence.bearing
                )
            case catalog.EvidenceAuthenticated():
                thing = self.evidence[event.evidence_id]
                thing.status, thing.open = "authenticated", False
            case catalog.EvidenceChallenged(challenge=challenge):
                thing = self.evidence[event.evidence_id]
                thing.open = True
                if challenge.by is not None:
                    thing.status = "challenged"
            case catalog.EvidenceAbsenceNoted():
                self.absences.add(event.claim_id)
            case catalog.AssessmentMade(assessment=assessment):
                self.assessments[event.claim_id] = (position, event.assessment_id, assessment.verdict)
            case catalog.AssessmentRevoked():
                in_force = self.assessments.get(event.claim_id)
                if in_force and in_force[1] == event.assessment_id:
                    self.assessments[event.claim_id] = None

    # §1

    def above(self, source_id: str) -> set[str]:
        """The source and every source that it answers to, however far up."""
        found, new = {source_id}, {source_id}
        while new:
            new = {up for one in new for up in self.sources[one].affiliated_to} - found
            found |= new
        return found

    def roots(self, source_id: str) -> set[str]:
        """The sources at the top, from here upward."""
        return {up for up in self.above(source_id) if not self.sources[up].affiliated_to}

    def parties(self, source_id: str) -> set[str]:
        """The parties of the source and of everyone above it."""
        return {party for up in self.above(source_id) for party in self.sources[up].parties}

    def withheld(self, source_id: str) -> bool:
        """Whether the identity is withheld."""
        source = self.sources[source_id]
        return (
            source.identity or ("withheld" if source.kind in {"anonymous", "social_media"} else "named")
        ) == "withheld"

    def grade(self, source_id: str, tags: Sequence[str]) -> str | None:
        """The desk's letter: for a topic of the claim if there is one, else the general one."""
        letter = self.sources[source_id].reliability
        for grade in self.grades[source_id]:
            if grade.topic is None:
                letter = grade.reliability
        for grade in self.grades[source_id]:
            if grade.topic is not None and grade.topic in tags:
                letter = grade.reliability
        return letter

    # §6

    def source_marks(self, source_id: str) -> set[str]:
        """The marks of a source: its roots and its parties."""
        return {f"root:{root}" for root in self.roots(source_id)} | {
            f"party:{party}" for party in self.parties(source_id)
        }

    def evidence_marks(self, evidence_id: str) -> set[str]:
        """The marks of evidence: the first of what it is a copy of, and those of its supplier."""
        if evidence_id not in self.evidence:  # it was voided: what rested on it has been taken back since
            return set()
        first = self.evidence[evidence_id]
        while first.evidence.derived_from is not None:
            first = self.evidence[first.evidence.derived_from]
        supplier = self.evidence[evidence_id].evidence.supplied_by
        return {f"evidence:{first.id}"} | (self.source_marks(supplier) if supplier else set())

    def statement_marks(self, said: Said) -> frozenset[str]:
        """The marks of a statement: of its speaker and all that it rests on."""
        marks = self.source_marks(said.statement.speaker_id)
        for named in said.statement.rests_on:
            marks |= self.evidence_marks(named) if named.startswith("evidence_") else self.source_marks(named)
        return frozenset(marks)

    # §11

    def together(self, claim_id: str, *, inverted: bool = False) -> list[tuple[str, bool]]:
        """The claim and all that are merged into it, at any remove, each with whether it is the negation."""
        found = [(claim_id, inverted)]
        for member, merge in self.merges.items():
            if merge.into == claim_id:
                found += self.together(member, inverted=inverted != merge.inverted)
        return found

    def read_in(self, claim_id: str) -> tuple[list[Said], list[Thing], bool]:
        """The statements and the evidence that a claim reads, as it reads them; whether absence of any is noted.

        What is read as recorded on a claim is not read a second time as a part of another one.
        """
        statements: dict[str, Said] = {}
        evidence: list[Thing] = []
        everyone = self.together(claim_id)
        for each, inverted in everyone:
            for said in self.statements.values():
                if said.claim_id == each:
                    statements[said.id] = negated(said) if inverted else said
            things = [it for it in self.evidence.values() if it.claim_id == each and self._by_then(it.public)]
            evidence += [negated_thing(thing) if inverted else thing for thing in things]
        for each, inverted in everyone:
            for part in self.splits:
                for id_ in part.statement_ids if part.claim_id == each else ():
                    if id_ in self.statements and id_ not in statements:
                        statements[id_] = negated(self.statements[id_]) if inverted else self.statements[id_]
        absent = any(each in self.absences for each, inverted in everyone if not inverted)
        return list(statements.values()), evidence, absent


def has_time_of_its_own(event: catalog.Event) -> bool:
    """§2.6: whether it is not the time of recording alone that says when something was so in the world."""
    return isinstance(
        event,
        catalog.StatementRecorded | catalog.StatementCorrected | catalog.StatementWithdrawn | catalog.EvidenceAdded,
    )


def without_voided(history: list[Recorded]) -> list[Recorded]:
    """§2.1: leave out what was voided, and what amended it."""
    voided = {recorded.event.voided for recorded in history if isinstance(recorded.event, catalog.RecordingVoided)}

    def concerns(event: Any) -> set[str]:
        return {getattr(event, name, "") for name in ("statement_id", "evidence_id", "inquiry_id", "assessment_id")}

    return [recorded for recorded in history if not concerns(recorded.event) & voided]


def span(moment: str | None, recorded: int) -> Interval:
    """The interval of an amendment."""
    return interval(moment) if moment else Interval(recorded, recorded)


def set_members(changes: msgspec.Struct) -> set[str]:
    """The members that changes set."""
    return {name for name in changes.__struct_fields__ if getattr(changes, name) is not msgspec.UNSET}


def changed(before: Any, changes: msgspec.Struct) -> Any:
    """A value with its changes."""
    return msgspec.structs.replace(before, **{name: getattr(changes, name) for name in set_members(changes)})


def negated(said: Said) -> Said:
    """A statement as the negation of its claim reads it."""
    stance = NEGATED.get(said.stance, said.stance)
    return replace(said, statement=msgspec.structs.replace(said.statement, stance=type(said.statement.stance)(stance)))


def negated_thing(thing: Thing) -> Thing:
    """A piece of evidence as the negation of its claim reads it."""
    return replace(thing, bearing=NEGATED.get(thing.bearing, thing.bearing))


# §4


class Range(NamedTuple):
    """A figure as an interval; an end that is open does not belong to it."""

    low: Any
    high: Any
    low_open: bool = False
    high_open: bool = False


def as_range(figure: Quantity, tolerance: float) -> Range:
    """The interval that a figure allows."""
    exact = lambda number: Fraction(repr(number))  # noqa: E731
    if figure.qualifier == "range":
        return Range(exact(figure.low), exact(figure.high))
    value = exact(figure.value)
    spread = abs(value) * Fraction(repr(tolerance))
    return {
        "exactly": Range(value, value),
        "about": Range(value - spread, value + spread),
        "at_least": Range(value, inf),
        "more_than": Range(value, inf, low_open=True),
        "at_most": Range(Fraction(0), value),
        "fewer_than": Range(Fraction(0), value, high_open=True),
    }[figure.qualifier]


def comparable(one: Quantity, other: Quantity) -> bool:
    """Whether two figures can be compared."""
    return (
        one.measure == other.measure
        and one.unit == other.unit
        and (one.as_at == other.as_at or one.as_at is None or other.as_at is None)
    )


def within(inner: Range, outer: Range) -> bool:
    """Whether one interval lies in another."""
    low = inner.low > outer.low or (inner.low == outer.low and (inner.low_open or not outer.low_open))
    high = inner.high < outer.high or (inner.high == outer.high and (inner.high_open or not outer.high_open))
    return low and high


def disjoint(one: Range, other: Range) -> bool:
    """Whether two intervals share no value."""
    return (
        one.high < other.low
        or other.high < one.low
        or (one.high == other.low and (one.high_open or other.low_open))
        or (other.high == one.low and (other.high_open or one.low_open))
    )
