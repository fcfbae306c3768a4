"""Every event that a ledger can hold: one Struct a type, with the words they are made of.

An event's data says what happened and nothing that could be worked out from it. The envelope around it
(:mod:`events.envelope`) says who recorded it, where and when. Fields that are not known are left out; an empty
list is a statement that there are none. The newest version of each type stands here.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, TypeVar

from msgspec import Meta, Struct

from events import moments
from events.identifiers import (
    AssessmentId,
    ClaimId,
    EvidenceId,
    PersonId,
    SourceId,
    SourceOrEvidenceId,
    StatementId,
    StoryId,
)

# ---------------------------------------------------------------------------------------------- words
# A pattern ends in $(?!\n): for Python, though not for JSON Schema, a $ alone lets a last line break through.

Text = Annotated[str, Meta(min_length=1, max_length=2_000)]
LongText = Annotated[str, Meta(min_length=1, max_length=10_000)]
Url = Annotated[str, Meta(pattern=r"^https?://[^\s]+$(?!\n)", max_length=2_000)]
Party = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$(?!\n)", max_length=60, description="A side with an interest in the matter."
    ),
]
Tag = Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$(?!\n)", max_length=60)]
Moment = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?Z)?)?)?$(?!\n)",
        description="A year, month, day or UTC time, as precisely as it is known, read as an interval.",
    ),
]
Letter = Literal["A", "B", "C", "D", "E", "F"]
"""The Admiralty system's reliability of a source (STANAG 2022): A is best, F cannot be judged."""


class Stance(StrEnum):
    """What a speaker does with a claim."""

    ASSERTS = "asserts"
    CONFIRMS = "confirms"
    DENIES = "denies"
    PARTIALLY_CONFIRMS = "partially_confirms"
    PARTIALLY_DENIES = "partially_denies"
    QUESTIONS = "questions"
    NEITHER_CONFIRMS_NOR_DENIES = "neither_confirms_nor_denies"
    DECLINES_COMMENT = "declines_comment"
    NO_RESPONSE = "no_response"
    INVESTIGATING = "investigating"
    UNABLE_TO_VERIFY = "unable_to_verify"
    COMMENTS = "comments"


class State(StrEnum):
    """Where a claim stands."""

    UNVERIFIED = "unverified"
    CONTESTED = "contested"
    DENIED = "denied"
    CORROBORATED = "corroborated"
    VERIFIED = "verified"
    REFUTED = "refuted"
    MISLEADING = "misleading"
    UNVERIFIABLE = "unverifiable"
    WITHDRAWN = "withdrawn"


class Flag(StrEnum):
    """A reason to be careful, beside any state."""

    SINGLE_ORIGIN = "single_origin"
    INTERESTED_PARTIES_ONLY = "interested_parties_only"
    UNNAMED_SOURCE = "unnamed_source"
    ORIGIN_UNKNOWN = "origin_unknown"
    NO_EVIDENCE_SUPPLIED = "no_evidence_supplied"
    UNDER_INVESTIGATION = "under_investigation"
    COULD_NOT_BE_VERIFIED = "could_not_be_verified"
    SELF_CONTRADICTED = "self_contradicted"
    PARTIALLY_CONFIRMED = "partially_confirmed"
    PARTIALLY_DENIED = "partially_denied"
    FIGURES_DISAGREE = "figures_disagree"
    DENIED_BY_INTERESTED_PARTY = "denied_by_interested_party"
    DECLARED = "declared"
    NEEDS_REVIEW = "needs_review"


class SourceKind(StrEnum):
    """What a source is. Outlets, news agencies and social media are *media*."""

    PERSON = "person"
    OFFICIAL = "official"
    GOVERNMENT = "government"
    ORGANISATION = "organisation"
    COMPANY = "company"
    RESEARCH = "research"
    NEWS_AGENCY = "news_agency"
    OUTLET = "outlet"
    SOCIAL_MEDIA = "social_media"
    ANONYMOUS = "anonymous"


Identity = Literal["named", "known_to_desk", "withheld"]
Hedge = Literal["none", "likely", "possible"]
Basis = Literal["first_hand", "reporting", "unstated"]
EvidenceOffered = Literal["none", "described", "supplied"]
Bearing = Literal["supports", "refutes", "context"]
EvidenceKind = Literal["video", "photo", "audio", "document", "data", "radar_record", "witness", "physical", "other"]
Qualifier = Literal["exactly", "about", "at_least", "more_than", "at_most", "fewer_than", "range"]
Figure = Annotated[float, Meta(ge=-1e15, le=1e15)] | Annotated[int, Meta(ge=-(10**15), le=10**15)]


class Part(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """A value inside an event or a request: unknown members are refused."""


def _check_moments(**named: str | None) -> None:
    """Raise ``ValueError`` for a moment that no calendar has; the message begins with the member's name."""
    for name, value in named.items():
        if value is not None:
            try:
                moments.interval(value)
            except ValueError as error:
                raise ValueError(f"`{name}`: {value} is in no calendar: {error}") from error


_LEAST: dict[str, float] = {"at_most": 0, "fewer_than": 5e-324}
"""Below which value a qualifier leaves no number: at most and fewer than begin at 0."""


class Quantity(Part, frozen=True):
    """A figure: ``value`` with a qualifier, or ``low`` to ``high`` for a range, of one measure in one unit."""

    measure: Annotated[str, Meta(min_length=1, max_length=100)]
    value: Figure | None = None
    low: Figure | None = None
    high: Figure | None = None
    qualifier: Qualifier = "exactly"
    unit: Annotated[str, Meta(min_length=1, max_length=50)] | None = None
    as_at: Moment | None = None

    def __post_init__(self) -> None:
        _check_moments(as_at=self.as_at)
        if self.qualifier == "range":
            if self.low is None or self.high is None or self.value is not None:
                raise ValueError("a range has low and high, and no value")
            if self.low > self.high:
                raise ValueError("a range's low is at most its high")
        elif self.value is None or self.low is not None or self.high is not None:
            raise ValueError("a figure has a value, and no low or high unless its qualifier is range")
        elif self.value < _LEAST.get(self.qualifier, self.value):
            raise ValueError(f"no number is {self.qualifier.replace('_', ' ')} {self.value}: such figures begin at 0")


class Summand(Part, frozen=True):
    """One term of a sum: a figure of another claim."""

    claim_id: ClaimId
    measure: Annotated[str, Meta(min_length=1, max_length=100)]


class Pillars(Part, frozen=True):
    """The five things that authenticating a piece of evidence establishes, each in the desk's words."""

    provenance: Text | None = None
    source: Text | None = None
    date: Text | None = None
    location: Text | None = None
    motivation: Text | None = None


class Policy(Part, frozen=True, omit_defaults=False):
    """Verification rules as data. The defaults are those of ``strict-two-source``."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$(?!\n)", max_length=60)]
    version: Annotated[int, Meta(ge=1)] = 1
    min_origins: Annotated[int, Meta(ge=1, le=10)] = 2
    adverse_agreement: bool = True
    excluded_grades: tuple[Letter, ...] = ("E",)
    countable_grades: tuple[Letter, ...] = ()
    about_tolerance: Annotated[float, Meta(ge=0, le=1)] = 0.10
    refuting_evidence: Literal["contests", "refutes"] = "contests"
    single_source_grades: tuple[Letter, ...] = ()


class PolicyName(Part, frozen=True):
    """Which policy a verdict was given by: its name, version, and the SHA-256 of its canonical form."""

    name: str
    version: int
    hash: str


class Mentions(Part, frozen=True):
    """Statements and evidence that one reason rests on: the first identifiers and how many there are in all."""

    ids: tuple[str, ...]
    total: int


class Because(Part, frozen=True, omit_defaults=False):
    """Why a verdict is as it is.

    ``n`` counts the independent origins for the claim, ``nd`` the disinterested among them, ``od`` the disinterested
    ones against it. ``reasons`` and ``excluded`` map a reason to the statements and evidence that it concerns.
    """

    rule: str
    n: int
    nd: int
    od: int
    reasons: dict[str, Mentions]
    excluded: dict[str, Mentions]


# -------------------------------------------------------------------------------------------- records


class Story(Part, frozen=True):
    """The matter being covered, its parties, and which party sides with which others in it (one way)."""

    title: Text
    summary: LongText | None = None
    parties: Annotated[tuple[Party, ...], Meta(max_length=50)] = ()
    allies: dict[Party, tuple[Party, ...]] = {}


class Source(Part, frozen=True):
    """Who speaks or publishes. ``affiliated_to`` names the sources it answers to."""

    name: Text
    kind: SourceKind
    parties: Annotated[tuple[Party, ...], Meta(max_length=20)] = ()
    affiliated_to: Annotated[tuple[SourceId, ...], Meta(max_length=20)] = ()
    identity: Identity | None = None
    reliability: Letter | None = None
    url: Url | None = None


class Claim(Part, frozen=True):
    """One checkable proposition in the desk's words.

    ``serves`` and ``harms`` name the parties whose interest it touches. Left out they stand for all parties of the
    story; an empty list says none. ``declared_by`` names the source whose own doing the claim is.
    """

    story_id: StoryId
    text: Text
    serves: Annotated[tuple[Party, ...], Meta(max_length=50)] | None = None
    harms: Annotated[tuple[Party, ...], Meta(max_length=50)] | None = None
    quantities: Annotated[tuple[Quantity, ...], Meta(max_length=20)] = ()
    sum_of: Annotated[tuple[Summand, ...], Meta(max_length=50)] = ()
    hedge: Hedge = "none"
    declared_by: SourceId | None = None
    tags: Annotated[tuple[Tag, ...], Meta(max_length=20)] = ()


class Statement(Part, frozen=True):
    """A source takes a stance on a claim.

    The speaker is whose knowledge or position it is, the relays whom it passed through, the publisher where it was
    found. ``rests_on`` names the sources and the evidence that the speaker knows it from; ``repeats`` names the
    statement that this one is merely another publication of.
    """

    speaker_id: SourceId
    stance: Stance
    publisher_id: SourceId | None = None
    relay_ids: Annotated[tuple[SourceId, ...], Meta(max_length=20)] = ()
    said_at: Moment | None = None
    published_at: Moment | None = None
    quote: LongText | None = None
    url: Url | None = None
    attribution: Text | None = None
    basis: Basis = "unstated"
    rests_on: Annotated[tuple[SourceOrEvidenceId, ...], Meta(max_length=50)] = ()
    repeats: StatementId | None = None
    hedge: Hedge = "none"
    evidence_offered: EvidenceOffered = "none"
    quantities: Annotated[tuple[Quantity, ...], Meta(max_length=20)] = ()

    def __post_init__(self) -> None:
        _check_moments(said_at=self.said_at, published_at=self.published_at)


class Evidence(Part, frozen=True):
    """A thing that bears on a claim. It supports or refutes only if, being authentic, it shows the claim so."""

    kind: EvidenceKind
    bearing: Bearing
    description: LongText
    supplied_by: SourceId | None = None
    derived_from: EvidenceId | None = None
    url: Url | None = None
    archived_url: Url | None = None
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")] | None = None
    made_public_at: Moment | None = None

    def __post_init__(self) -> None:
        _check_moments(made_public_at=self.made_public_at)


class Authentication(Part, frozen=True):
    """How the desk found a piece of evidence to be what it is said to be, and who did."""

    method: LongText
    by: PersonId
    pillars: Pillars = Pillars()


class Absence(Part, frozen=True):
    """No evidence was offered for a claim: by whom, as noted where."""

    source_id: SourceId | None = None
    publisher_id: SourceId | None = None
    quote: LongText | None = None


class Assessment(Part, frozen=True):
    """The desk's own judgement, by a named person, with a rationale."""

    verdict: Literal["verified", "refuted", "misleading", "unverifiable"]
    rationale: LongText
    by: PersonId


# --------------------------------------------------------------------------------------------- events


class Event(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """The data of an event."""

    TYPE: ClassVar[str]
    VERSION: ClassVar[int]


CATALOG: dict[str, type[Event]] = {}
"""Event type → the Struct of its newest version."""

_E = TypeVar("_E", bound=type[Event])


def recorded(type_: str, *, version: int = 1) -> Callable[[_E], _E]:
    """Enter an event's Struct in the catalogue under its type and schema version."""

    def enter(event: _E) -> _E:
        event.TYPE, event.VERSION = type_, version
        CATALOG[type_] = event
        return event

    return enter


@recorded("ledger.created")
class LedgerCreated(Event, frozen=True):
    """Position 1 of every ledger: its name, its first epoch and its first policy."""

    ledger: str
    epoch: str
    policy: Policy


@recorded("story.opened")
class StoryOpened(Event, frozen=True):
    """A story is being covered from now on."""

    story_id: StoryId
    story: Story


@recorded("source.registered")
class SourceRegistered(Event, frozen=True):
    """A source is known from now on."""

    source_id: SourceId
    source: Source


@recorded("claim.registered")
class ClaimRegistered(Event, frozen=True):
    """A claim is on record from now on."""

    claim_id: ClaimId
    claim: Claim


@recorded("statement.recorded")
class StatementRecorded(Event, frozen=True):
    """A source took a stance on a claim."""

    claim_id: ClaimId
    statement_id: StatementId
    statement: Statement


@recorded("evidence.added")
class EvidenceAdded(Event, frozen=True):
    """A thing that bears on a claim is on record, unexamined."""

    claim_id: ClaimId
    evidence_id: EvidenceId
    evidence: Evidence


@recorded("evidence.authenticated")
class EvidenceAuthenticated(Event, frozen=True):
    """The desk found a piece of evidence authentic."""

    claim_id: ClaimId
    evidence_id: EvidenceId
    authentication: Authentication


@recorded("evidence.absence_noted")
class EvidenceAbsenceNoted(Event, frozen=True):
    """It was noted that no evidence was offered for a claim."""

    claim_id: ClaimId
    absence: Absence


@recorded("assessment.made")
class AssessmentMade(Event, frozen=True):
    """The desk judged a claim; the latest assessment stands."""

    claim_id: ClaimId
    assessment_id: AssessmentId
    assessment: Assessment


@recorded("claim.state_changed")
class ClaimStateChanged(Event, frozen=True, rename={"from_": "from"}):
    """What the policy in force made of a claim when something was recorded on it, and because of what.

    ``changed`` names the parts that differ from the last recorded verdict.
    """

    claim_id: ClaimId
    from_: State | None
    to: State
    flags: tuple[Flag, ...]
    credibility: Annotated[int, Meta(ge=1, le=6)]
    because: Because
    policy: PolicyName
    engine: int
    changed: tuple[str, ...]


@recorded("projection.event_skipped")
class ProjectionEventSkipped(Event, frozen=True):
    """A projection goes on past an event that it cannot fold, because somebody said so."""

    projection: Annotated[str, Meta(pattern=r"^[a-z]+(_[a-z]+)*$(?!\n)", max_length=60)]
    position: Annotated[int, Meta(ge=1)]
    why: LongText


def schema_urn(type_: str, version: int) -> str:
    """Return the ``dataschema`` of an event type at a version."""
    return f"urn:onrecord:schema:{type_}:{version}"
