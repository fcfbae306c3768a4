"""Load a story from a file: the words of the API, with local keys where identifiers belong.

Identifiers and command ids are derived from the story's key and the keys in the file. Loading the same file again
finds everything there and records nothing twice; a load that was cut off is simply run again.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import msgspec
from msgspec import Struct

from events import catalog, records
from events.catalog import Event
from events.identifiers import Kind, derived_id
from events.words import Part, Policy
from service.desk.known import Known
from service.desk.recording import propose
from service.verification.commands import Caller, Recorder
from service.verification.refusals import AlreadyRecorded, Refusal


class _Entry(NamedTuple):
    """How a kind of entry is recorded.

    Its body is the event's ``member``. ``own`` is the kind of identifier that the entry's key gives, ``of`` the kind of
    thing that the body names beside what it says; ``on_claim`` says whether the entry names a claim.
    """

    event: type[Event]
    record: type[Part]
    member: str
    own: Kind | None = None
    of: Kind | None = None
    on_claim: bool = True


_ENTRIES: dict[str, _Entry] = {
    "statement": _Entry(catalog.StatementRecorded, records.Statement, "statement", own="statement"),
    "correction": _Entry(catalog.StatementCorrected, records.Correction, "correction", of="statement"),
    "withdrawal": _Entry(catalog.StatementWithdrawn, records.Withdrawal, "withdrawal", of="statement"),
    "evidence": _Entry(catalog.EvidenceAdded, records.Evidence, "evidence", own="evidence"),
    "authentication": _Entry(catalog.EvidenceAuthenticated, records.Authentication, "authentication", of="evidence"),
    "challenge": _Entry(catalog.EvidenceChallenged, records.Challenge, "challenge", of="evidence"),
    "absence": _Entry(catalog.EvidenceAbsenceNoted, records.Absence, "absence"),
    "inquiry": _Entry(catalog.InquirySent, records.Inquiry, "inquiry", own="inquiry"),
    "response": _Entry(catalog.InquiryAnswered, records.Response, "response", of="inquiry"),
    "assessment": _Entry(catalog.AssessmentMade, records.Assessment, "assessment", own="assessment"),
    "revocation": _Entry(catalog.AssessmentRevoked, records.Revocation, "revocation", of="assessment"),
    "void": _Entry(catalog.RecordingVoided, records.Void, "void"),
    "claim_changes": _Entry(catalog.ClaimUpdated, records.ClaimChanges, "changes"),
    "merge": _Entry(catalog.ClaimMerged, records.Merge, "merge"),
    "unmerge": _Entry(catalog.ClaimUnmerged, records.Unmerge, "unmerge"),
    "split": _Entry(catalog.ClaimSplit, records.Split, "split"),
    "source_changes": _Entry(
        catalog.SourceUpdated, records.SourceChanges, "changes", of="source", on_claim=False
    ),
    "grade": _Entry(catalog.SourceGraded, records.Grade, "grade", of="source", on_claim=False),
    "story_changes": _Entry(catalog.StoryUpdated, records.StoryChanges, "changes", on_claim=False),
    "closing": _Entry(catalog.StoryClosed, records.Closing, "closing", on_claim=False),
    "publication": _Entry(
        catalog.PublicationRecorded, records.Publication, "publication", own="publication", on_claim=False
    ),
    "publication_correction": _Entry(
        catalog.PublicationCorrected, records.PublicationCorrection, "correction", of="publication", on_claim=False
    ),
    "policy": _Entry(catalog.PolicyActivated, Policy, "policy", on_claim=False),
}  # fmt: skip

_REFERENCES: dict[str, Kind] = {
    "affiliated_to": "source",
    "declared_by": "source",
    "speaker_id": "source",
    "publisher_id": "source",
    "relay_ids": "source",
    "source_id": "source",
    "supplied_by": "source",
    "claim_id": "claim",
    "parent_id": "claim",
    "into": "claim",
    "repeats": "statement",
    "about_statement_id": "statement",
    "statement_id": "statement",
    "statement_ids": "statement",
    "derived_from": "evidence",
    "inquiry_id": "inquiry",
    "by": "person",
    "reviewed_by": "person",
}
"""Members whose values are keys of the file, and the kind of thing they name."""
_RESTS_ON = "rests_on"
"""The member that names sources, or with ``evidence:`` before the key evidence."""
_BY_A_WORD = (records.Correction, records.Withdrawal)
"""Records whose ``by`` is a word and names no person."""


class BadFile(Exception):
    """A file that is no story, or one whose parts contradict what is on record; ``where`` names the part."""

    def __init__(self, where: str, why: object) -> None:
        super().__init__(f"{where}: {why}")
        self.where = where


_P = TypeVar("_P")


class _Item(Struct):
    where: str
    proposed: Event
    reads: tuple[str, ...] = ()


class StoryFile(Struct, frozen=True):
    """A story file, read and checked as far as that can be done without a ledger."""

    key: str
    items: tuple[_Item, ...]

    @property
    def story_id(self) -> str:
        """The identifier that the file's story has in every ledger."""
        return derived_id("story", self.key)


class Loaded(Struct, frozen=True):
    """One part of the file is on record: ``new`` if this load put it there."""

    where: str
    new: bool


def read_story(path: Path) -> StoryFile:
    """Read a story file. Raises ``BadFile`` naming the part that is wrong."""
    try:
        content = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        story = dict(content["story"])
        key = str(story.pop("key"))
    except OSError as error:
        raise BadFile(str(path), error.strerror or error) from error
    except (msgspec.MsgspecError, KeyError) as error:
        raise BadFile(str(path), f"is no story file: {error}") from error
    reader = _Reader(key)
    try:
        items = [reader.story(story)]
        items += [reader.source("sources", dict(each)) for each in content.get("sources", [])]
        items += [reader.claim("claims", dict(each)) for each in content.get("claims", [])]
        items += [reader.entry(dict(each)) for each in content.get("entries", [])]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadFile(reader.where, error) from error
    return StoryFile(key, tuple(items))


async def load(story: StoryFile, recorder: Recorder, *, actor: str = "system") -> AsyncIterator[Loaded]:
    """Record everything in a story file, in order, and say after each part whether it was new.

    Raises ``BadFile`` for the first part that is refused; what came before it stays on record.
    """
    known = Known(recorder.ledger)
    for item in story.items:
        if await known.take(item.proposed):
            yield Loaded(item.where, new=False)
            continue
        caller = Caller(
            actor=actor,
            command_id=f"sys:load:{story.key}:{hashlib.sha256(item.where.encode()).hexdigest()[:24]}",
            command_hash=hashlib.sha256(msgspec.json.encode(item.proposed)).hexdigest(),
        )
        try:
            outcome = await propose(item.proposed, recorder, caller, reads=item.reads)
        except AlreadyRecorded:
            yield Loaded(item.where, new=False)
        except Refusal as refusal:
            raise BadFile(f"{item.where}{refusal.pointer}", refusal.detail) from refusal
        else:
            yield Loaded(item.where, new=not outcome.repeated)


class _Reader:
    """Turns the parts of one file into proposed events, remembering where it is."""

    def __init__(self, key: str) -> None:
        self._key = key
        self.where = "story"
        self._used: dict[str, tuple[str, ...]] = {}
        """The claims that each text of ours used."""
        self._said_on: dict[str, str] = {}
        """The claim that each statement is on."""

    def story(self, part: dict[str, Any]) -> _Item:
        return self._item(catalog.StoryOpened(story_id=self._story_id, story=self._part(part, records.Story)))

    def source(self, among: str, part: dict[str, Any]) -> _Item:
        source_id = self._id("source", self._take_key(part, among))
        return self._item(catalog.SourceRegistered(source_id=source_id, source=self._part(part, records.Source)))

    def claim(self, among: str, part: dict[str, Any]) -> _Item:
        claim_id = self._id("claim", self._take_key(part, among))
        claim = self._part(part | {"story_id": self._story_id}, records.Claim)
        about = self._said_on.get(claim.about_statement_id or "")
        return _Item(
            self.where, catalog.ClaimRegistered(claim_id=claim_id, claim=claim), reads=(about,) if about else ()
        )

    def entry(self, part: dict[str, Any]) -> _Item:
        key = self._take_key(part, "entries")
        part.pop("step", None)
        for begun, register in (("source", self.source), ("claim", self.claim)):
            if isinstance(part.get(begun), dict):
                ((_, said),) = part.items()
                return register("entries", dict(said) | {"key": key})
        claim = part.pop("claim", None)
        ((kind, said),) = part.items()
        if kind not in _ENTRIES:
            raise ValueError(f"{kind!r} is none of source, claim, {', '.join(_ENTRIES)}")
        how = _ENTRIES[kind]
        if how.on_claim != (claim is not None):
            raise ValueError(f"a {kind} is on a claim" if how.on_claim else f"a {kind} is not on a claim")
        body = dict(said)
        members = self._members(kind, how, key, body)
        if claim is not None:
            members["claim_id"] = self._id("claim", claim)
        made = how.event(**members, **{how.member: self._part(body, how.record)})
        self._remember(made)
        return self._item(made)

    def _members(self, kind: str, how: _Entry, key: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the members of an event beside its body and its claim, taking from the body what is not its own."""
        members: dict[str, Any] = {}
        if how.own:
            members[f"{how.own}_id"] = self._id(how.own, key)
        if how.of:
            members[f"{how.of}_id"] = self._id(how.of, body.pop(how.of))
        match kind:
            case "story_changes" | "closing":
                members["story_id"] = self._story_id
            case "void":
                members |= {
                    "voided": self._typed_id(body.pop("voided"), "statement"),
                    "position": 0,
                }  # the record knows
            case "unmerge":
                members["out_of"] = ""  # the record knows
            case "policy":
                members["reason"] = body.pop("reason", None)
            case "publication_correction":
                members["claim_ids"] = self._used[members["publication_id"]]
        return members

    def _remember(self, made: Event) -> None:
        match made:
            case catalog.StatementRecorded(claim_id=claim_id, statement_id=statement_id):
                self._said_on[statement_id] = claim_id
            case catalog.PublicationRecorded(publication_id=publication_id, publication=text):
                self._used[publication_id] = tuple(use.claim_id for use in text.claims)

    def _take_key(self, part: dict[str, Any], among: str) -> str:
        key = str(part.pop("key"))
        self.where = f"{among}/{key}"
        return key

    @property
    def _story_id(self) -> str:
        return derived_id("story", self._key)

    def _item(self, proposed: Event) -> _Item:
        return _Item(self.where, proposed)

    def _id(self, kind: Kind, key: str) -> str:
        return derived_id(kind, self._key, key)

    def _typed_id(self, key: str, unless_named: Kind) -> str:
        """Return the identifier of ``kind:key``, or of a bare key of the kind that it has unless it is named."""
        kind, _, name = key.rpartition(":")
        return self._id(cast("Kind", kind or unless_named), name)

    def _part(self, part: dict[str, Any], type_: type[_P]) -> _P:
        references = {name: kind for name, kind in _REFERENCES.items() if name != "by" or type_ not in _BY_A_WORD}
        return msgspec.convert(self._with_ids(part, references), type_)

    def _with_ids(self, value: Any, references: Mapping[str, Kind], name: str = "") -> Any:  # noqa: ANN401 - any JSON
        if isinstance(value, dict):
            return {member: self._with_ids(item, references, member) for member, item in value.items()}
        if isinstance(value, list):
            return [self._with_ids(item, references, name) for item in value]
        if isinstance(value, str) and name == _RESTS_ON:
            return self._typed_id(value, "source")
        kind = references.get(name)
        return self._id(kind, value) if kind and isinstance(value, str) else value
