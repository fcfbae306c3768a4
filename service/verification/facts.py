"""Facts: all that is on record about one claim, folded from its stream."""

from collections.abc import Iterable

from msgspec import Struct, field, structs

from events import catalog, moments
from events.catalog import Basis, Bearing, EvidenceOffered, Flag, Hedge, Quantity, Stance, State
from events.envelope import Entry

FOLD = 1
"""Raised whenever :func:`fold` could give other facts for the same events; stored facts of another fold are dropped."""


class StatementFacts(Struct, omit_defaults=True, frozen=True):
    """A statement as the rules see it. ``lo`` to ``hi`` is when it was said, in microseconds since 1970."""

    statement_id: str
    position: int
    lo: int
    hi: int
    speaker_id: str
    stance: Stance
    publisher_id: str | None = None
    basis: Basis = "unstated"
    rests_on: tuple[str, ...] = ()
    repeats: str | None = None
    hedge: Hedge = "none"
    evidence_offered: EvidenceOffered = "none"
    quantities: tuple[Quantity, ...] = ()


class EvidenceFacts(Struct, omit_defaults=True, frozen=True):
    """A piece of evidence as the rules see it; ``authenticated`` is the position where it was, or 0."""

    evidence_id: str
    position: int
    bearing: Bearing
    supplied_by: str | None = None
    derived_from: str | None = None
    authenticated: int = 0


class AbsenceFacts(Struct, frozen=True, omit_defaults=True):
    """It was noted that no evidence was offered."""

    position: int
    source_id: str | None = None
    publisher_id: str | None = None


class AssessmentFacts(Struct, frozen=True):
    """A judgement of the desk."""

    assessment_id: str
    position: int
    verdict: State


class LastVerdict(Struct, frozen=True):
    """The parts of the last recorded verdict that a new one is compared with."""

    state: State
    flags: tuple[Flag, ...]
    credibility: int
    n: int
    nd: int
    od: int
    policy: str


class Facts(Struct, omit_defaults=True):
    """One claim at one version of its stream."""

    claim_id: str
    claim: catalog.Claim
    version: int = 0
    position: int = 0
    recorded_at: int = 0
    statements: dict[str, StatementFacts] = field(default_factory=dict)
    evidence: dict[str, EvidenceFacts] = field(default_factory=dict)
    absences: tuple[AbsenceFacts, ...] = ()
    assessments: tuple[AssessmentFacts, ...] = ()
    last: LastVerdict | None = None
    fold: int = FOLD

    def copy(self) -> "Facts":
        """Return facts that can be folded further without changing these."""
        return structs.replace(self, statements=dict(self.statements), evidence=dict(self.evidence))

    def until(self, position: int) -> "Facts":
        """Return the facts as they were once the event at ``position`` had been recorded."""
        evidence = {
            key: item if item.authenticated <= position else structs.replace(item, authenticated=0)
            for key, item in self.evidence.items()
            if item.position <= position
        }
        return structs.replace(
            self,
            statements={key: item for key, item in self.statements.items() if item.position <= position},
            evidence=evidence,
            absences=tuple(item for item in self.absences if item.position <= position),
            assessments=tuple(item for item in self.assessments if item.position <= position),
        )

    def source_ids(self) -> set[str]:
        """Return the sources that a verdict on these facts depends on, without those above them."""
        named = {self.claim.declared_by} if self.claim.declared_by else set()
        for statement in self.statements.values():
            named.add(statement.speaker_id)
            named.update(rest for rest in statement.rests_on if rest.startswith("source_"))
        named.update(item.supplied_by for item in self.evidence.values() if item.supplied_by)
        return named


class Happened(Struct, frozen=True):
    """An event with its place: recorded, or about to be."""

    event: catalog.Event
    position: int
    recorded_at: int


def happened(entry: Entry) -> Happened:
    """Return a recorded entry as something that happened."""
    return Happened(entry.event, entry.position, moments.microseconds(entry.envelope.recordedtime))


def fold(facts: Facts | None, happenings: Iterable[Happened]) -> Facts | None:
    """Return the facts after further events of the claim's stream. ``facts`` is left as it is."""
    folded = facts.copy() if facts is not None else None
    for it in happenings:
        if folded is None:
            if not isinstance(it.event, catalog.ClaimRegistered):
                raise TypeError(f"a claim's stream begins with claim.registered, not {it.event.TYPE}")
            folded = Facts(it.event.claim_id, it.event.claim)
        else:
            _apply(folded, it)
        folded.version += 1
        folded.position, folded.recorded_at = it.position, it.recorded_at
    return folded


def _apply(facts: Facts, it: Happened) -> None:
    match it.event:
        case catalog.StatementRecorded(statement_id=key, statement=said):
            facts.statements[key] = _statement(key, said, it)
        case catalog.EvidenceAdded(evidence_id=key, evidence=added):
            facts.evidence[key] = EvidenceFacts(key, it.position, added.bearing, added.supplied_by, added.derived_from)
        case catalog.EvidenceAuthenticated(evidence_id=key):
            facts.evidence[key] = structs.replace(facts.evidence[key], authenticated=it.position)
        case catalog.EvidenceAbsenceNoted(absence=noted):
            facts.absences += (AbsenceFacts(it.position, noted.source_id, noted.publisher_id),)
        case catalog.AssessmentMade(assessment_id=key, assessment=made):
            facts.assessments += (AssessmentFacts(key, it.position, State(made.verdict)),)
        case catalog.ClaimStateChanged() as changed:
            facts.last = LastVerdict(
                changed.to, changed.flags, changed.credibility,
                changed.because.n, changed.because.nd, changed.because.od, changed.policy.hash,
            )  # fmt: skip
        case other:
            raise TypeError(f"{other.TYPE} does not belong to a claim's stream")


def _statement(key: str, said: catalog.Statement, it: Happened) -> StatementFacts:
    moment = said.said_at or said.published_at
    lo, hi = moments.interval(moment) if moment else (it.recorded_at, it.recorded_at)
    return StatementFacts(
        key, it.position, lo, hi, said.speaker_id, said.stance, said.publisher_id, said.basis,
        said.rests_on, said.repeats, said.hedge, said.evidence_offered, said.quantities,
    )  # fmt: skip
