"""What projections show: the shape of every document.

A document holds what its own stream says, and identifiers of other things. Lists keep their newest items; the claim's
history has them all. A claim's statements, which can be many, are a list beside its document, so that one more
statement costs the same however many there are.
"""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from events.endpoints import Webhook
from events.records import (
    Absence,
    Assessment,
    Authentication,
    Challenge,
    Claim,
    Correction,
    Evidence,
    Grade,
    Inquiry,
    Publication,
    PublicationCorrection,
    Response,
    Revocation,
    Source,
    Statement,
    Story,
    Void,
    Withdrawal,
)
from events.words import Because, Flag, PolicyName, State

MOST_LISTED = 50
"""Items that a list inside a document keeps."""


class Shown(Struct, frozen=True, gc=False):
    """A document or a part of one. None contains itself, so the collector of cycles need not look at them."""


class StatementItem(Shown, frozen=True):
    """A statement on a claim."""

    id: str
    position: int
    recordedtime: str
    statement: Statement


class Checked(Shown, frozen=True):
    """Somebody examined a piece of evidence: the desk authenticated it, or it was challenged."""

    position: int
    recordedtime: str
    authentication: Authentication | None = None
    challenge: Challenge | None = None


class EvidenceItem(Shown, frozen=True):
    """A piece of evidence, and who examined it with which outcome, in order."""

    id: str
    position: int
    recordedtime: str
    evidence: Evidence
    checks: tuple[Checked, ...] = ()


class AssessmentItem(Shown, frozen=True):
    """A judgement of the desk, and its revocation."""

    id: str
    position: int
    recordedtime: str
    assessment: Assessment
    revoked: Revocation | None = None


class AbsenceItem(Shown, frozen=True):
    """It was noted that no evidence was offered."""

    position: int
    recordedtime: str
    absence: Absence


class InquiryItem(Shown, frozen=True):
    """A source was asked to respond: ``status`` is open, answered or expired."""

    id: str
    position: int
    recordedtime: str
    inquiry: Inquiry
    status: str = "open"
    response: Response | None = None


class Amendment(Shown, frozen=True):
    """What became of a statement: it was corrected, withdrawn, or voided as our mistake."""

    statement_id: str
    position: int
    recordedtime: str
    correction: Correction | None = None
    withdrawal: Withdrawal | None = None
    void: Void | None = None


class Membership(Shown, frozen=True):
    """A claim that is read together with another one; ``inverted``: as its negation."""

    claim_id: str
    inverted: bool


class UsedIn(Shown, frozen=True):
    """A text of ours that relied on the claim. ``affected_by`` names statements withdrawn since."""

    id: str
    title: str
    url: str
    published_at: str
    state: State | None
    affected_by: tuple[str, ...] = ()
    corrected: bool = False


class GradeItem(Shown, frozen=True):
    """The desk graded a source."""

    position: int
    recordedtime: str
    grade: Grade


class Standing(Shown, frozen=True):
    """Where a claim stands since ``position``, and because of what."""

    state: State
    flags: tuple[Flag, ...]
    credibility: int
    because: Because
    policy: PolicyName
    engine: int
    position: int
    since: str


class StoryDocument(Shown, frozen=True):
    """A story, as ``GET /v1/stories/{id}`` shows it."""

    id: str
    version: int
    position: int
    opened: str
    story: Story
    closed: str | None = None


class SourceDocument(Shown, frozen=True):
    """A source, as ``GET /v1/sources/{id}`` shows it."""

    id: str
    version: int
    position: int
    registered: str
    source: Source
    grades: tuple[GradeItem, ...] = ()
    erased: str | UnsetType = UNSET
    """When its key was deleted, so that nobody can read any more what was said in confidence about it."""


class ClaimDocument(Shown, frozen=True):
    """A claim, as lists show it: where it stands and why, with its evidence and assessments.

    ``stances`` counts the statements recorded on it by the stance that they take now, without voided ones. ``part_of``
    names the claims of whose statements some are read in this one, by a split.
    """

    id: str
    version: int
    position: int
    registered: str
    updated: str
    claim: Claim
    standing: Standing | None = None
    stances: dict[str, int] = {}
    evidence: tuple[EvidenceItem, ...] = ()
    absences: tuple[AbsenceItem, ...] = ()
    assessments: tuple[AssessmentItem, ...] = ()
    inquiries: tuple[InquiryItem, ...] = ()
    amendments: tuple[Amendment, ...] = ()
    merged_into: Membership | None = None
    members: tuple[Membership, ...] = ()
    part_of: tuple[str, ...] = ()
    publications: tuple[UsedIn, ...] = ()
    history: str = ""


class PartOfClaim(Shown, frozen=True):
    """A claim that is a part of another one, and where it stands now; a merged one has no state."""

    id: str
    text: str
    state: State | None
    flags: tuple[Flag, ...]


class ClaimWithStatements(ClaimDocument, frozen=True):
    """A claim with the newest fifty of its statements; ``history`` has them all.

    ``parts`` are the first fifty of its parts as they are now; ``/v1/claims?parent=`` lists them all.
    """

    statements: tuple[StatementItem, ...] = ()
    parts: tuple[PartOfClaim, ...] = ()


class Affected(Shown, frozen=True):
    """A statement was taken back on which a text of ours relied, through a claim."""

    position: int
    claim_id: str
    statement_id: str


class PublicationDocument(Shown, frozen=True):
    """A text of ours, as ``GET /v1/publications/{id}`` shows it.

    ``affected_by`` has the newest withdrawals that concern it; ``to_correct``: one came after its last correction.
    """

    id: str
    version: int
    position: int
    recorded: str
    publication: Publication
    corrections: tuple[PublicationCorrection, ...] = ()
    affected_by: tuple[Affected, ...] = ()
    to_correct: bool = False


class InquiryDocument(Shown, frozen=True):
    """An inquiry, as the desk's list of open ones shows it."""

    id: str
    version: int
    position: int
    claim_id: str
    inquiry: Inquiry
    deadline: int
    """The last microsecond (since 1970) in which it may be answered."""
    status: str = "open"


class PartDocument(Shown, frozen=True):
    """To which claim a statement, a piece of evidence, an inquiry or an assessment belongs."""

    id: str
    claim_id: str
    position: int


class Disabling(Shown, frozen=True):
    """Why and when a webhook was disabled."""

    at: str
    why: str
    reason: str | None = None


class WebhookDocument(Shown, frozen=True):
    """A webhook, as the record has it. ``kept`` names what the vault has of it: URL, headers and secrets.

    ``status`` is pending (until a ping is answered), active, disabled or deleted.
    """

    id: str
    version: int
    position: int
    registered: str
    updated: str
    webhook: Webhook
    kept: str
    status: Literal["pending", "active", "disabled", "deleted"]
    disabled: Disabling | None = None
    circuit_open: bool = False
