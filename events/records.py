"""What is put on record: stories, sources, claims, statements, evidence, and all that amends them.

Each Struct is the body of a request and a member of an event alike. What is not known is left out; an empty list says
that there are none. ``…Changes`` hold only what changes: a member that is left out stays, one that is null is cleared.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType, field

from events.identifiers import (
    ClaimId,
    EvidenceId,
    InquiryId,
    PersonId,
    SourceId,
    SourceOrEvidenceId,
    StatementId,
    StoryId,
)
from events.words import (
    AmendedBy,
    Basis,
    Bearing,
    Channel,
    EvidenceKind,
    EvidenceOffered,
    Hedge,
    Identity,
    Language,
    Letter,
    LongText,
    Moment,
    Part,
    Party,
    Pillars,
    Quantity,
    Sealed,
    SourceKind,
    Stance,
    State,
    Summand,
    Tag,
    Terms,
    Text,
    Url,
    check_moments,
)

StoryParties = Annotated[tuple[Party, ...], Meta(max_length=50)]
Allies = Annotated[dict[Party, StoryParties], Meta(max_length=50)]
SourceParties = Annotated[tuple[Party, ...], Meta(max_length=20)]
Affiliations = Annotated[tuple[SourceId, ...], Meta(max_length=20)]
Quantities = Annotated[tuple[Quantity, ...], Meta(max_length=20)]
Summands = Annotated[tuple[Summand, ...], Meta(max_length=50)]
Tags = Annotated[tuple[Tag, ...], Meta(max_length=20)]
RestsOn = Annotated[tuple[SourceOrEvidenceId, ...], Meta(max_length=50)]


class Story(Part, frozen=True):
    """The matter being covered, its parties, and which party sides with which others in it (one way)."""

    title: Text
    summary: LongText | None = None
    parties: StoryParties = ()
    allies: Allies = field(default_factory=dict)


class StoryChanges(Part, frozen=True):
    """What changes in a story."""

    title: Text | UnsetType = UNSET
    summary: LongText | UnsetType | None = UNSET
    parties: StoryParties | UnsetType = UNSET
    allies: Allies | UnsetType = UNSET


class Closing(Part, frozen=True):
    """The story is no longer covered: what is on record stays and can be amended, no claim is added."""

    reason: LongText | None = None


class Source(Part, frozen=True):
    """Who speaks or publishes. ``affiliated_to`` names the sources it answers to.

    A protected source is registered under a pseudonym; who it is and how to reach it is said in confidence.
    """

    name: Text
    kind: SourceKind
    parties: SourceParties = ()
    affiliated_to: Affiliations = ()
    identity: Identity | None = None
    reliability: Letter | None = None
    url: Url | None = None
    sealed: Sealed | None = None


class SourceChanges(Part, frozen=True):
    """What changes in a source. Its reliability changes by grading it."""

    name: Text | UnsetType = UNSET
    kind: SourceKind | UnsetType = UNSET
    parties: SourceParties | UnsetType = UNSET
    affiliated_to: Affiliations | UnsetType = UNSET
    identity: Identity | UnsetType | None = UNSET
    url: Url | UnsetType | None = UNSET
    sealed: Sealed | UnsetType | None = UNSET


class Grade(Part, frozen=True):
    """The desk's Admiralty letter for a source and why; with a ``topic``, for claims that have it among their tags."""

    reliability: Letter | None
    rationale: LongText
    by: PersonId
    topic: Tag | None = None


class Claim(Part, frozen=True):
    """One checkable proposition in the desk's words.

    ``serves`` and ``harms`` name the parties whose interest it touches. Left out they stand for all parties of the
    story; an empty list says none. ``declared_by`` names the source whose own doing the claim is, ``parent_id`` the
    claim that this one is a part of. With ``about_statement_id`` it is a claim about an utterance: that it was made,
    not that its content is so.
    """

    story_id: StoryId
    text: Text
    serves: StoryParties | None = None
    harms: StoryParties | None = None
    quantities: Quantities = ()
    sum_of: Summands = ()
    hedge: Hedge = "none"
    declared_by: SourceId | None = None
    parent_id: ClaimId | None = None
    about_statement_id: StatementId | None = None
    tags: Tags = ()


class ClaimChanges(Part, frozen=True):
    """What changes in a claim."""

    text: Text | UnsetType = UNSET
    serves: StoryParties | UnsetType | None = UNSET
    harms: StoryParties | UnsetType | None = UNSET
    quantities: Quantities | UnsetType = UNSET
    sum_of: Summands | UnsetType = UNSET
    hedge: Hedge | UnsetType = UNSET
    declared_by: SourceId | UnsetType | None = UNSET
    parent_id: ClaimId | UnsetType | None = UNSET
    tags: Tags | UnsetType = UNSET


class Merge(Part, frozen=True):
    """The claim says what another one says, or (``inverted``) its negation; that one speaks for both."""

    into: ClaimId
    inverted: bool = False
    reason: LongText | None = None


class Unmerge(Part, frozen=True):
    """The merge is taken back."""

    reason: LongText | None = None


class SplitPart(Part, frozen=True):
    """A claim that is part of the one that is split, and the statements that are read in it as well."""

    claim_id: ClaimId
    statement_ids: Annotated[tuple[StatementId, ...], Meta(min_length=1, max_length=500)]


class Split(Part, frozen=True):
    """A claim says several things: which of its statements are read in which of its parts. It keeps its own."""

    parts: Annotated[tuple[SplitPart, ...], Meta(min_length=1, max_length=20)]
    reason: LongText | None = None


class Statement(Part, frozen=True):
    """A source takes a stance on a claim.

    The speaker is whose knowledge or position it is, the relays whom it passed through, the publisher where it was
    found. ``rests_on`` names the sources and the evidence that the speaker knows it from; ``repeats`` names the
    statement that this one is merely another publication of. ``quote`` has the words as they were said, in
    ``language``; ``translation`` has them in the desk's.
    """

    speaker_id: SourceId
    stance: Stance
    publisher_id: SourceId | None = None
    relay_ids: Affiliations = ()
    said_at: Moment | None = None
    published_at: Moment | None = None
    quote: LongText | None = None
    language: Language | None = None
    translation: LongText | None = None
    url: Url | None = None
    archived_url: Url | None = None
    attribution: Text | None = None
    terms: Terms | None = None
    channel: Channel | None = None
    basis: Basis = "unstated"
    rests_on: RestsOn = ()
    repeats: StatementId | None = None
    hedge: Hedge = "none"
    evidence_offered: EvidenceOffered = "none"
    quantities: Quantities = ()
    inquiry_id: InquiryId | None = None
    sealed: Sealed | None = None

    def __post_init__(self) -> None:
        check_moments(said_at=self.said_at, published_at=self.published_at)


class StatementChanges(Part, frozen=True):
    """What a correction changes in a statement."""

    speaker_id: SourceId | UnsetType = UNSET
    stance: Stance | UnsetType = UNSET
    said_at: Moment | UnsetType | None = UNSET
    published_at: Moment | UnsetType | None = UNSET
    quote: LongText | UnsetType | None = UNSET
    translation: LongText | UnsetType | None = UNSET
    url: Url | UnsetType | None = UNSET
    attribution: Text | UnsetType | None = UNSET
    basis: Basis | UnsetType = UNSET
    rests_on: RestsOn | UnsetType = UNSET
    hedge: Hedge | UnsetType = UNSET
    evidence_offered: EvidenceOffered | UnsetType = UNSET
    quantities: Quantities | UnsetType = UNSET

    def __post_init__(self) -> None:
        check_moments(said_at=self.said_at or None, published_at=self.published_at or None)


class Correction(Part, frozen=True):
    """What a statement says now, corrected by its speaker, by its publisher, or silently.

    ``before`` is what the members in ``after`` were until now. A caller may leave it out; if given, it must be so.
    """

    by: AmendedBy
    after: StatementChanges
    before: StatementChanges = StatementChanges()
    at: Moment | None = None
    note: LongText | None = None
    url: Url | None = None

    def __post_init__(self) -> None:
        check_moments(at=self.at)


class Withdrawal(Part, frozen=True):
    """A statement was taken back by its speaker or its publisher, or vanished silently."""

    by: AmendedBy
    at: Moment | None = None
    reason: LongText | None = None
    url: Url | None = None

    def __post_init__(self) -> None:
        check_moments(at=self.at)


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
    sealed: Sealed | None = None

    def __post_init__(self) -> None:
        check_moments(made_public_at=self.made_public_at)


class Authentication(Part, frozen=True):
    """How the desk found a piece of evidence to be what it is said to be, and who did."""

    method: LongText
    by: PersonId
    pillars: Pillars = Pillars()
    sealed: Sealed | None = None


class Challenge(Part, frozen=True):
    """Why a piece of evidence may not be what it is said to be: by a source (``source_id``) or the desk (``by``).

    Only the desk's challenge takes away what its authentication gave; a source's is flagged.
    """

    ground: LongText
    source_id: SourceId | None = None
    by: PersonId | None = None
    url: Url | None = None

    def __post_init__(self) -> None:
        if (self.source_id is None) == (self.by is None):
            raise ValueError("a challenge is a source's (source_id) or the desk's (by), one of them")


class Absence(Part, frozen=True):
    """No evidence was offered for a claim: by whom, as noted where."""

    source_id: SourceId | None = None
    publisher_id: SourceId | None = None
    quote: LongText | None = None


class Inquiry(Part, frozen=True):
    """A source was asked to respond, by ``deadline``; unanswered by then, it gave no response."""

    source_id: SourceId
    deadline: Moment
    question: LongText | None = None
    channel: Channel | None = None
    sent_at: Moment | None = None
    by: PersonId | None = None
    sealed: Sealed | None = None

    def __post_init__(self) -> None:
        check_moments(deadline=self.deadline, sent_at=self.sent_at)


class Response(Part, frozen=True):
    """The source that was asked responded: with the statement that is recorded beside, or as the note says."""

    at: Moment | None = None
    statement_id: StatementId | None = None
    note: LongText | None = None

    def __post_init__(self) -> None:
        check_moments(at=self.at)


class Assessment(Part, frozen=True):
    """The desk's own judgement, by a named person, with a rationale; a second person may have reviewed it."""

    verdict: Literal["verified", "refuted", "misleading", "unverifiable"]
    rationale: LongText
    by: PersonId
    reviewed_by: PersonId | None = None
    sealed: Sealed | None = None

    def __post_init__(self) -> None:
        if self.reviewed_by == self.by:
            raise ValueError("`reviewed_by`: nobody reviews an assessment of their own")


class Revocation(Part, frozen=True):
    """The desk takes its assessment back."""

    reason: LongText
    by: PersonId


class Void(Part, frozen=True):
    """We recorded something that was never so: our mistake, not the source's."""

    reason: LongText
    by: PersonId | None = None


class Use(Part, frozen=True):
    """A claim that a text of ours relied on, and the state in which the text took it."""

    claim_id: ClaimId
    state: State | None = None


class Publication(Part, frozen=True):
    """A text that the desk published, and the claims it used."""

    title: Text
    url: Url
    published_at: Moment
    claims: Annotated[tuple[Use, ...], Meta(min_length=1, max_length=20)]

    def __post_init__(self) -> None:
        check_moments(published_at=self.published_at)


class PublicationCorrection(Part, frozen=True):
    """The desk corrected a text of its own."""

    note: LongText
    at: Moment | None = None
    url: Url | None = None

    def __post_init__(self) -> None:
        check_moments(at=self.at)
