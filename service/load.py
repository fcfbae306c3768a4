"""Load a story from a file: the words of the API, with local keys where identifiers belong.

Identifiers and command ids are derived from the story's key and the keys in the file. Loading the same file again
finds everything there and records nothing twice; a load that was cut off is simply run again.
"""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Struct

from events import catalog, records
from events.catalog import Event
from events.identifiers import Kind, derived_id
from service.verification.commands import Caller, Outcome, Recorder
from service.verification.refusals import AlreadyRecorded, Refusal

_REFERENCES: dict[str, Kind] = {
    "affiliated_to": "source",
    "declared_by": "source",
    "speaker_id": "source",
    "publisher_id": "source",
    "relay_ids": "source",
    "source_id": "source",
    "supplied_by": "source",
    "claim_id": "claim",
    "repeats": "statement",
    "derived_from": "evidence",
    "by": "person",
}
"""Members whose values are keys of the file, and the kind of thing they name."""


class BadFile(Exception):
    """A file that is no story, or one whose parts contradict what is on record; ``where`` names the part."""

    def __init__(self, where: str, why: object) -> None:
        super().__init__(f"{where}: {why}")
        self.where = where


_P = TypeVar("_P")


class _Item(Struct):
    where: str
    proposed: Event


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
        items += [reader.source(dict(each)) for each in content.get("sources", [])]
        items += [reader.claim(dict(each)) for each in content.get("claims", [])]
        items += [reader.entry(dict(each)) for each in content.get("entries", [])]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadFile(reader.where, error) from error
    return StoryFile(key, tuple(items))


async def load(story: StoryFile, recorder: Recorder, *, actor: str = "system") -> AsyncIterator[Loaded]:
    """Record everything in a story file, in order, and say after each part whether it was new.

    Raises ``BadFile`` for the first part that is refused; what came before it stays on record.
    """
    for item in story.items:
        caller = Caller(
            actor=actor,
            command_id=f"sys:load:{story.key}:{hashlib.sha256(item.where.encode()).hexdigest()[:24]}",
            command_hash=hashlib.sha256(msgspec.json.encode(item.proposed)).hexdigest(),
        )
        try:
            outcome = await _record(item.proposed, recorder, caller)
        except AlreadyRecorded:
            yield Loaded(item.where, new=False)
        except Refusal as refusal:
            raise BadFile(f"{item.where}{refusal.pointer}", refusal.detail) from refusal
        else:
            yield Loaded(item.where, new=not outcome.repeated)


async def _record(proposed: Event, recorder: Recorder, caller: Caller) -> Outcome:
    if isinstance(proposed, catalog.StoryOpened):
        return await recorder.on_story(proposed, caller)
    if isinstance(proposed, catalog.SourceRegistered):
        return await recorder.on_source(proposed, caller)
    return await recorder.on_claim([proposed], caller)


class _Reader:
    """Turns the parts of one file into proposed events, remembering where it is."""

    def __init__(self, key: str) -> None:
        self._key = key
        self.where = "story"

    def story(self, part: dict[str, Any]) -> _Item:
        story_id = derived_id("story", self._key)
        return self._item(catalog.StoryOpened(story_id=story_id, story=self._part(part, records.Story)))

    def source(self, part: dict[str, Any]) -> _Item:
        source_id = self._id("source", self._take_key(part, "sources"))
        return self._item(catalog.SourceRegistered(source_id=source_id, source=self._part(part, records.Source)))

    def claim(self, part: dict[str, Any]) -> _Item:
        claim_id = self._id("claim", self._take_key(part, "claims"))
        part["story_id"] = derived_id("story", self._key)
        return self._item(catalog.ClaimRegistered(claim_id=claim_id, claim=self._part(part, records.Claim)))

    def entry(self, part: dict[str, Any]) -> _Item:
        key = self._take_key(part, "entries")
        claim_id = self._id("claim", part.pop("claim"))
        part.pop("step", None)
        ((kind, said),) = part.items()
        said = dict(said)
        match kind:
            case "statement":
                said["rests_on"] = [self._source_or_evidence(rest) for rest in said.get("rests_on", ())]
                statement = self._part(said, records.Statement)
                statement_id = self._id("statement", key)
                return self._item(
                    catalog.StatementRecorded(claim_id=claim_id, statement_id=statement_id, statement=statement)
                )
            case "evidence":
                evidence = self._part(said, records.Evidence)
                evidence_id = self._id("evidence", key)
                return self._item(catalog.EvidenceAdded(claim_id=claim_id, evidence_id=evidence_id, evidence=evidence))
            case "authentication":
                evidence_id = self._id("evidence", said.pop("evidence"))
                found = self._part(said, records.Authentication)
                return self._item(
                    catalog.EvidenceAuthenticated(claim_id=claim_id, evidence_id=evidence_id, authentication=found)
                )
            case "absence":
                absence = self._part(said, records.Absence)
                return self._item(catalog.EvidenceAbsenceNoted(claim_id=claim_id, absence=absence))
            case "assessment":
                judged = self._part(said, records.Assessment)
                assessment_id = self._id("assessment", key)
                return self._item(
                    catalog.AssessmentMade(claim_id=claim_id, assessment_id=assessment_id, assessment=judged)
                )
        raise ValueError(f"{kind!r} is none of statement, evidence, authentication, absence, assessment")

    def _take_key(self, part: dict[str, Any], kind: str) -> str:
        key = str(part.pop("key"))
        self.where = f"{kind}/{key}"
        return key

    def _item(self, proposed: Event) -> _Item:
        return _Item(self.where, proposed)

    def _id(self, kind: Kind, key: str) -> str:
        return derived_id(kind, self._key, key)

    def _source_or_evidence(self, key: str) -> str:
        kind, _, name = key.rpartition(":")
        return self._id(cast("Kind", kind or "source"), name)

    def _part(self, part: dict[str, Any], type_: type[_P]) -> _P:
        return msgspec.convert(self._with_ids(part), type_)

    def _with_ids(self, value: Any, kind: Kind | None = None) -> Any:  # noqa: ANN401 - any JSON
        if isinstance(value, dict):
            return {name: self._with_ids(item, _REFERENCES.get(name)) for name, item in value.items()}
        if isinstance(value, list):
            return [self._with_ids(item, kind) for item in value]
        return self._id(kind, value) if kind and isinstance(value, str) else value
