"""Facts: all that is on record about one claim, folded from its stream.

Nothing is dropped that a past moment needs: every amendment is kept with its place, and what is in force at a moment
is worked out from that (:mod:`service.verification.in_force`). What was voided is set apart, for moments before that.
"""

import sys
from collections.abc import Sequence
from copy import copy
from typing import Literal, NamedTuple, Protocol, TypeVar

from msgspec import Struct, field, structs

from events.records import Claim, StatementChanges
from events.words import AmendedBy, Basis, Bearing, EvidenceOffered, Flag, Hedge, Quantity, Stance, State

FOLD = 4
"""Raised whenever :func:`fold` could give other facts for the same events; stored facts of another fold are dropped."""


class Horizon(NamedTuple):
    """A moment on both axes: what was recorded up to ``position``, and said in the world by ``said_by`` (if asked).

    ``said_by`` is in microseconds since 1970.
    """

    position: int = sys.maxsize
    said_by: int | None = None

    def holds(self, position: int, at: int) -> bool:
        """Whether what was recorded at ``position`` and happened at ``at`` lies within it."""
        return position <= self.position and (self.said_by is None or at <= self.said_by)


NOW = Horizon()


class Placed(Struct, frozen=True, gc=False):
    """Something with its place in the record."""

    position: int
    recorded_at: int


class _HasPlace(Protocol):
    @property
    def position(self) -> int: ...
    @property
    def recorded_at(self) -> int: ...


_H = TypeVar("_H", bound=_HasPlace)


def known(versions: Sequence[_H], horizon: Horizon) -> _H:
    """Return the version of something that was known at a moment: the first at least, which it was registered with."""
    if len(versions) > 1 and horizon is not NOW:
        for each in reversed(versions[1:]):
            if horizon.holds(each.position, each.recorded_at):
                return each
        return versions[0]
    return versions[-1]


class Wording(Placed, frozen=True):
    """The claim as it was put from there on."""

    claim: Claim


class CorrectionFacts(Struct, frozen=True, gc=False):
    """A correction; ``hi`` is the end of the interval in which it was made."""

    position: int
    hi: int
    changes: StatementChanges


class WithdrawalFacts(Struct, frozen=True, gc=False):
    """A withdrawal; ``hi`` is the end of the interval in which it was made."""

    position: int
    hi: int
    by: AmendedBy


class StatementFacts(Struct, omit_defaults=True, frozen=True, gc=False):
    """A statement as the rules see it. ``lo`` to ``hi`` is when it was said, in microseconds since 1970."""

    statement_id: str
    position: int
    recorded_at: int
    lo: int
    hi: int
    speaker_id: str
    stance: Stance
    said_at: str | None = None
    published_at: str | None = None
    publisher_id: str | None = None
    basis: Basis = "unstated"
    rests_on: tuple[str, ...] = ()
    repeats: str | None = None
    hedge: Hedge = "none"
    evidence_offered: EvidenceOffered = "none"
    quantities: tuple[Quantity, ...] = ()
    inquiry_id: str | None = None
    corrections: tuple[CorrectionFacts, ...] = ()
    withdrawals: tuple[WithdrawalFacts, ...] = ()
    """At most one by its speaker and one by its publisher, silent or not."""


class Check(Placed, frozen=True):
    """Somebody examined a piece of evidence."""

    found: Literal["authenticated", "challenged", "disputed"]
    """``challenged`` by the desk, ``disputed`` by a source."""


class EvidenceFacts(Struct, omit_defaults=True, frozen=True, gc=False):
    """A piece of evidence as the rules see it; ``public`` is when it was made public at the latest."""

    evidence_id: str
    position: int
    public: int
    bearing: Bearing
    supplied_by: str | None = None
    derived_from: str | None = None
    checks: tuple[Check, ...] = ()


class AbsenceFacts(Placed, frozen=True, omit_defaults=True):
    """It was noted that no evidence was offered."""

    source_id: str | None = None
    publisher_id: str | None = None


class AssessmentFacts(Placed, frozen=True, omit_defaults=True):
    """A judgement of the desk, and where it was revoked, if it was."""

    assessment_id: str
    verdict: State
    revoked: Placed | None = None


class InquiryFacts(Placed, frozen=True):
    """A source was asked to respond; ``deadline`` is the last microsecond in which it may."""

    source_id: str
    deadline: int
    status: Literal["open", "answered", "expired"] = "open"
    statement_id: str | None = None
    """The statement by which it was answered."""


class Membership(Placed, frozen=True, omit_defaults=True):
    """A merge of one claim into another; ``claim_id`` is the other one of the two, ``ended`` where it was undone."""

    claim_id: str
    inverted: bool
    ended: Placed | None = None


class Borrowed(Placed, frozen=True):
    """Statements of another claim that are read in this one, which is a part of it."""

    claim_id: str
    statement_ids: tuple[str, ...]


class UsedIn(Placed, frozen=True, omit_defaults=True):
    """A text of ours relied on the claim; ``corrected`` is the position of its last correction, or 0."""

    publication_id: str
    corrected: int = 0


class Voided(Placed, frozen=True, omit_defaults=True):
    """What was recorded by mistake, and where it was voided: from there on it never was."""

    statement: StatementFacts | None = None
    evidence: EvidenceFacts | None = None
    assessment: AssessmentFacts | None = None


class LastVerdict(Struct, frozen=True, gc=False):
    """The parts of the last recorded verdict that a new one is compared with."""

    state: State
    flags: tuple[Flag, ...]
    credibility: int
    n: int
    nd: int
    od: int
    policy: str


class Facts(Struct, omit_defaults=True, gc=False):
    """One claim at one version of its stream."""

    claim_id: str
    wordings: tuple[Wording, ...]
    version: int = 0
    position: int = 0
    recorded_at: int = 0
    statements: dict[str, StatementFacts] = field(default_factory=dict)
    evidence: dict[str, EvidenceFacts] = field(default_factory=dict)
    absences: tuple[AbsenceFacts, ...] = ()
    assessments: tuple[AssessmentFacts, ...] = ()
    inquiries: dict[str, InquiryFacts] = field(default_factory=dict)
    members: tuple[Membership, ...] = ()
    """Claims that it speaks, or once spoke, for."""
    merges: tuple[Membership, ...] = ()
    """Claims that speak, or once spoke, for it: the last one now, unless that has ended."""
    borrowed: tuple[Borrowed, ...] = ()
    """What it reads of the claims that it is a part of."""
    lent_to: tuple[str, ...] = ()
    """Its parts, which read statements of it."""
    publications: tuple[UsedIn, ...] = ()
    voided: dict[str, Voided] = field(default_factory=dict)
    last: LastVerdict | None = None
    fold: int = FOLD

    @property
    def claim(self) -> Claim:
        """The claim as it is put now."""
        return self.wordings[-1].claim

    @property
    def merged_into(self) -> str | None:
        """The claim that speaks for this one now, if one does."""
        latest = self.merges[-1] if self.merges else None
        return latest.claim_id if latest and latest.ended is None else None

    def before(self, voids: int) -> "Facts":
        """Return these facts with what was voided only after the position ``voids``; themselves if nothing was."""
        later = [each for each in self.voided.values() if each.position > voids]
        if not later:
            return self
        said = [*self.statements.values(), *(each.statement for each in later if each.statement)]
        shown = [*self.evidence.values(), *(each.evidence for each in later if each.evidence)]
        judged = [*self.assessments, *(each.assessment for each in later if each.assessment)]
        return structs.replace(
            self,
            statements={each.statement_id: each for each in sorted(said, key=_place)},
            evidence={each.evidence_id: each for each in sorted(shown, key=_place)},
            assessments=tuple(sorted(judged, key=_place)),
        )

    def copy(self) -> "Facts":
        """Return facts that can be folded further without changing these."""
        same = copy(self)
        same.statements, same.evidence = dict(self.statements), dict(self.evidence)
        same.inquiries, same.voided = dict(self.inquiries), dict(self.voided)
        return same

    def neighbours(self) -> set[str]:
        """Return the claims that this one reads or is read in, at any time."""
        if not (self.members or self.merges or self.borrowed or self.lent_to):
            return set()
        merged = {each.claim_id for each in (*self.members, *self.merges)}
        return merged | {each.claim_id for each in self.borrowed} | set(self.lent_to)

    def source_ids(self) -> set[str]:
        """Return the sources that a verdict on these facts depends on, without those above them."""
        named = {wording.claim.declared_by for wording in self.wordings}
        voided = [each.statement for each in self.voided.values() if each.statement]
        for said in (*self.statements.values(), *voided):
            named.add(said.speaker_id)
            named.update(rest for rest in said.rests_on if rest.startswith("source_"))
            for correction in said.corrections:
                named.add(correction.changes.speaker_id or None)
                named.update(rest for rest in correction.changes.rests_on or () if rest.startswith("source_"))
        named.update(item.supplied_by for item in self.evidence.values())
        named.update(each.evidence.supplied_by for each in self.voided.values() if each.evidence)
        return {source_id for source_id in named if source_id}


def _place(it: StatementFacts | EvidenceFacts | AssessmentFacts) -> int:
    return it.position
