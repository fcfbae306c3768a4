"""Every event that a ledger can hold: one Struct a type. What they are made of is in ``words`` and ``records``.

An event's data says what happened and nothing that could be worked out from it. The envelope around it
(:mod:`events.envelope`) says who recorded it, where and when. The newest version of each type stands here, those
before it in :mod:`events.former`.
"""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, TypeVar

from msgspec import Meta, Struct

from events.endpoints import KeptId, Webhook, WebhookChanges
from events.identifiers import (
    AssessmentId,
    ClaimId,
    EvidenceId,
    InquiryId,
    PublicationId,
    SourceId,
    StatementId,
    StoryId,
    WebhookId,
)
from events.records import (
    Absence,
    Assessment,
    Authentication,
    Challenge,
    Claim,
    ClaimChanges,
    Closing,
    Correction,
    Evidence,
    Grade,
    Inquiry,
    Merge,
    Publication,
    PublicationCorrection,
    Response,
    Revocation,
    Source,
    SourceChanges,
    Split,
    Statement,
    Story,
    StoryChanges,
    Unmerge,
    Void,
    Withdrawal,
)
from events.words import Because, Flag, LongText, Policy, PolicyName, State


class Event(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True, gc=False):
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


@recorded("ledger.restored")
class LedgerRestored(Event, frozen=True):
    """The first event of an epoch: the ledger was brought back as it was at ``size`` events, with that root (base64).

    What had been recorded after them and was not sealed is lost: receipts for it are void.
    """

    ledger: str
    epoch: str
    size: Annotated[int, Meta(ge=1)]
    root: Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]{43}=$(?!\n)", max_length=44)]
    reason: LongText | None = None


@recorded("ledger.archive_lost")
class LedgerArchiveLost(Event, frozen=True):
    """The archive was lost after ``sealed`` events were: what is left of it ends at event ``left``. It is begun again.

    It is made again from the store, and nobody vouches that those events are the ones that were sealed before, unless
    they were compared with a checkpoint that somebody kept: the first ``compared`` of them lead to its root (base64).
    """

    ledger: str
    sealed: Annotated[int, Meta(ge=1)]
    reason: LongText
    left: Annotated[int, Meta(ge=0)] = 0
    compared: Annotated[int, Meta(ge=0)] = 0
    root: Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]{43}=$(?!\n)", max_length=44)] | None = None


@recorded("story.opened")
class StoryOpened(Event, frozen=True):
    """A story is being covered from now on."""

    story_id: StoryId
    story: Story


@recorded("story.updated")
class StoryUpdated(Event, frozen=True):
    """A story is described anew."""

    story_id: StoryId
    changes: StoryChanges


@recorded("story.closed")
class StoryClosed(Event, frozen=True):
    """A story is no longer covered."""

    story_id: StoryId
    closing: Closing


@recorded("source.registered")
class SourceRegistered(Event, frozen=True):
    """A source is known from now on."""

    source_id: SourceId
    source: Source


@recorded("source.updated")
class SourceUpdated(Event, frozen=True):
    """A source is described anew."""

    source_id: SourceId
    changes: SourceChanges


@recorded("source.graded")
class SourceGraded(Event, frozen=True):
    """The desk judged how reliable a source is."""

    source_id: SourceId
    grade: Grade


@recorded("claim.registered")
class ClaimRegistered(Event, frozen=True):
    """A claim is on record from now on."""

    claim_id: ClaimId
    claim: Claim


@recorded("claim.updated")
class ClaimUpdated(Event, frozen=True):
    """A claim is put in other words, or its interest, figures or tags are."""

    claim_id: ClaimId
    changes: ClaimChanges


@recorded("claim.split")
class ClaimSplit(Event, frozen=True):
    """Some of a claim's statements are read in parts of it as well."""

    claim_id: ClaimId
    split: Split


@recorded("claim.merged")
class ClaimMerged(Event, frozen=True):
    """A claim is spoken for by another one from now on."""

    claim_id: ClaimId
    merge: Merge


@recorded("claim.unmerged")
class ClaimUnmerged(Event, frozen=True):
    """A claim speaks for itself again; ``out_of`` is the claim that spoke for it."""

    claim_id: ClaimId
    out_of: ClaimId
    unmerge: Unmerge


@recorded("statement.recorded")
class StatementRecorded(Event, frozen=True):
    """A source took a stance on a claim."""

    claim_id: ClaimId
    statement_id: StatementId
    statement: Statement


@recorded("statement.corrected")
class StatementCorrected(Event, frozen=True):
    """A statement says something else now than it did."""

    claim_id: ClaimId
    statement_id: StatementId
    correction: Correction


@recorded("statement.withdrawn")
class StatementWithdrawn(Event, frozen=True):
    """A statement was taken back. ``relied_on_by`` are the texts of ours that used its claim while it stood."""

    claim_id: ClaimId
    statement_id: StatementId
    withdrawal: Withdrawal
    relied_on_by: tuple[PublicationId, ...] = ()


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


@recorded("evidence.challenged")
class EvidenceChallenged(Event, frozen=True):
    """A source or the desk disputes that a piece of evidence is what it is said to be."""

    claim_id: ClaimId
    evidence_id: EvidenceId
    challenge: Challenge


@recorded("evidence.absence_noted")
class EvidenceAbsenceNoted(Event, frozen=True):
    """It was noted that no evidence was offered for a claim."""

    claim_id: ClaimId
    absence: Absence


@recorded("inquiry.sent")
class InquirySent(Event, frozen=True):
    """A source was asked to respond to a claim."""

    claim_id: ClaimId
    inquiry_id: InquiryId
    inquiry: Inquiry


@recorded("inquiry.answered")
class InquiryAnswered(Event, frozen=True):
    """The source that was asked responded."""

    claim_id: ClaimId
    inquiry_id: InquiryId
    response: Response


@recorded("inquiry.expired")
class InquiryExpired(Event, frozen=True):
    """The deadline of an inquiry passed without a response."""

    claim_id: ClaimId
    inquiry_id: InquiryId


@recorded("assessment.made")
class AssessmentMade(Event, frozen=True):
    """The desk judged a claim; the latest assessment stands."""

    claim_id: ClaimId
    assessment_id: AssessmentId
    assessment: Assessment


@recorded("assessment.revoked")
class AssessmentRevoked(Event, frozen=True):
    """The desk took its assessment back; none is in force then."""

    claim_id: ClaimId
    assessment_id: AssessmentId
    revocation: Revocation


@recorded("recording.voided")
class RecordingVoided(Event, frozen=True):
    """What was recorded as ``voided`` (a statement, evidence, an inquiry or an assessment) is as if it never had been.

    ``position`` is where it was recorded.
    """

    claim_id: ClaimId
    position: int
    voided: str
    void: Void


@recorded("publication.recorded")
class PublicationRecorded(Event, frozen=True):
    """The desk published a text that relies on claims."""

    publication_id: PublicationId
    publication: Publication


@recorded("publication.corrected")
class PublicationCorrected(Event, frozen=True):
    """The desk corrected a text of its own, which relied on ``claim_ids``."""

    publication_id: PublicationId
    claim_ids: tuple[ClaimId, ...]
    correction: PublicationCorrection


@recorded("policy.activated")
class PolicyActivated(Event, frozen=True):
    """Claims are judged by this policy from now on."""

    policy: Policy
    reason: LongText | None = None


@recorded("subject.erased")
class SubjectErased(Event, frozen=True):
    """The key of a subject's confidential values was deleted: nobody can read them any more."""

    subject_id: str
    reason: LongText | None = None


@recorded("webhook.registered")
class WebhookRegistered(Event, frozen=True):
    """An endpoint is told what happens, once it has answered a ping or, if ``verified``, at once.

    ``kept`` names what the vault holds of it: its URL, headers and secrets.
    """

    webhook_id: WebhookId
    webhook: Webhook
    kept: KeptId
    verified: bool = False


@recorded("webhook.updated")
class WebhookUpdated(Event, frozen=True):
    """A webhook is described anew. ``kept`` is there if its URL or headers changed; a new URL has to be verified."""

    webhook_id: WebhookId
    changes: WebhookChanges
    kept: KeptId | None = None
    verified: bool = True


@recorded("webhook.verified")
class WebhookVerified(Event, frozen=True):
    """The endpoint answered a signed ping."""

    webhook_id: WebhookId


@recorded("webhook.secret_rotated")
class WebhookSecretRotated(Event, frozen=True):
    """A webhook has a new secret; those before it are valid up to the moment ``until``."""

    webhook_id: WebhookId
    kept: KeptId
    until: str


@recorded("webhook.enabled")
class WebhookEnabled(Event, frozen=True):
    """A webhook that was disabled is told again, from now on."""

    webhook_id: WebhookId


@recorded("webhook.disabled")
class WebhookDisabled(Event, frozen=True):
    """A webhook is told nothing any more: by request, because it said it is gone (410), or failed for too long."""

    webhook_id: WebhookId
    why: Literal["by_request", "gone", "failing"]
    reason: LongText | None = None


@recorded("webhook.circuit_opened")
class WebhookCircuitOpened(Event, frozen=True):
    """An endpoint fails so often that it is only tried now and then."""

    webhook_id: WebhookId
    failures: int


@recorded("webhook.circuit_closed")
class WebhookCircuitClosed(Event, frozen=True):
    """An endpoint answers again."""

    webhook_id: WebhookId


@recorded("webhook.deleted")
class WebhookDeleted(Event, frozen=True):
    """A webhook is no more."""

    webhook_id: WebhookId


@recorded("claim.state_changed", version=2)
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
