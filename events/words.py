r"""The words of the record: stances, states, flags, figures, policies. What events are made of.

A pattern ends in ``$(?!\n)``: for Python, though not for JSON Schema, a ``$`` alone lets a last line break through.
"""

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta, Struct

from events import moments
from events.identifiers import ClaimId

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
Letters = Annotated[tuple[Letter, ...], Meta(max_length=6)]


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
    EVIDENCE_CHALLENGED = "evidence_challenged"
    CORRECTED = "corrected"
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
AmendedBy = Literal["speaker", "publisher", "silent"]
"""Who corrected or withdrew a statement; ``silent``: its publisher, without saying so."""
Terms = Literal["on_record", "background", "anonymous"]
"""On what terms a speaker spoke."""
Channel = Literal[
    "interview", "press_conference", "written", "broadcast", "social_media", "document", "phone", "email", "other"
]
Language = Annotated[
    str, Meta(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$(?!\n)", max_length=35, description="A BCP 47 language tag.")
]
Figure = Annotated[float, Meta(ge=-1e15, le=1e15)] | Annotated[int, Meta(ge=-(10**15), le=10**15)]


class Part(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """A value inside an event or a request: unknown members are refused.

    No value contains itself, so the collector of cycles need not look at them; where many are read it took a third of
    the time.
    """


class Sealed(Part, frozen=True):
    """A confidential value: AES-256-GCM under the key ``kid`` of one subject, which is kept outside the ledger.

    ``nonce`` (12 bytes) and ``ct`` (ciphertext and tag) are in base64. Without the key it can never be read again.
    """

    kid: Annotated[str, Meta(min_length=1, max_length=100)]
    nonce: Annotated[str, Meta(min_length=16, max_length=16)]
    ct: Annotated[str, Meta(min_length=1, max_length=20_000)]


def check_moments(**named: str | None) -> None:
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
        check_moments(as_at=self.as_at)
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
    version: Annotated[int, Meta(ge=1, le=2**53 - 1)] = 1
    min_origins: Annotated[int, Meta(ge=1, le=10)] = 2
    adverse_agreement: bool = True
    excluded_grades: Letters = ("E",)
    countable_grades: Letters = ()
    about_tolerance: Annotated[float, Meta(ge=0, le=1)] = 0.10
    refuting_evidence: Literal["contests", "refutes"] = "contests"
    single_source_grades: Letters = ()


class PolicyName(Part, frozen=True):
    """Which policy a verdict was given by: its name, version, and the SHA-256 of its canonical form."""

    name: str
    version: int
    hash: str


class Mentions(Part, frozen=True):
    """Statements and evidence that one reason rests on: the first identifiers and how many there are in all."""

    ids: tuple[str, ...]
    total: int


class SumTerm(Part, frozen=True):
    """A term of a sum: the figure that another claim has."""

    claim_id: ClaimId
    figure: Quantity


class Arithmetic(Part, frozen=True):
    """A claim's figure and the terms that it is said to be the sum of: the first of them, and how many there are."""

    figure: Quantity
    terms: tuple[SumTerm, ...]
    total: int


class Because(Part, frozen=True):
    """Why a verdict is as it is.

    ``n`` counts the independent origins for the claim, ``nd`` the disinterested among them, ``od`` the disinterested
    ones against it. ``reasons`` and ``excluded`` map a reason to the statements and evidence that it concerns.
    ``arithmetic`` is there if the claim's figure cannot be the sum that it is said to be.
    """

    rule: str
    n: int
    nd: int
    od: int
    reasons: dict[str, Mentions]
    excluded: dict[str, Mentions]
    arithmetic: Arithmetic | None = None
