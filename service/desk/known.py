"""Known: what is on record already, so that an import that is run again records nothing twice."""

from collections import Counter

import msgspec
from msgspec import Struct, structs

from events import catalog
from events.catalog import Event
from events.envelope import streams_of
from events.ledger import Ledger
from events.records import StatementChanges

_IDENTIFIED: dict[type[Event], str] = {
    catalog.StoryOpened: "story_id",
    catalog.SourceRegistered: "source_id",
    catalog.ClaimRegistered: "claim_id",
    catalog.StatementRecorded: "statement_id",
    catalog.EvidenceAdded: "evidence_id",
    catalog.InquirySent: "inquiry_id",
    catalog.AssessmentMade: "assessment_id",
    catalog.PublicationRecorded: "publication_id",
}
"""Events that put something with an identifier of its own on record."""


def identified(event: Event) -> str | None:
    """Return the identifier of what an event puts on record, if it puts a thing there."""
    member = _IDENTIFIED.get(type(event))
    return getattr(event, member) if member else None


class _Stream(Struct):
    events: list[Event]
    unclaimed: Counter[bytes]
    """How often each event is on record that no part of the file was found to be yet."""
    ids: set[str]


class Known:
    """What a ledger holds on the things that an import names; each of their histories is read once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._streams: dict[str, _Stream] = {}

    async def history(self, stream: str) -> list[Event]:
        """Return what was put on record on a thing, without the states that followed from it."""
        return (await self._stream(stream)).events

    async def take(self, event: Event) -> bool:
        """Whether an event is on record; one that is there once is found once."""
        unclaimed = (await self._stream(streams_of(event)[0])).unclaimed
        key = _key(event)
        if not unclaimed[key]:
            return False
        unclaimed[key] -= 1
        return True

    async def same(self, event: Event) -> bool | None:
        """Whether what an event begins is on record as the event has it; None if it is not on record at all."""
        stream = await self._stream(streams_of(event)[0])
        if identified(event) not in stream.ids:
            return None
        key = _key(event)
        return any(type(each) is type(event) and _key(each) == key for each in stream.events)

    async def add(self, event: Event) -> None:
        """Remember what was just recorded."""
        stream = await self._stream(streams_of(event)[0])
        stream.events.append(event)
        if begun := identified(event):
            stream.ids.add(begun)

    async def _stream(self, name: str) -> _Stream:
        found = self._streams.get(name)
        if found is None:
            read: list[Event] = []
            version = 0
            while entries := await self._ledger.history(name, after=version):
                version += len(entries)
                read += (entry.event for entry in entries)
            own = [event for event in read if streams_of(event)[0] == name and not derived(event)]
            ids = {begun for event in own if (begun := identified(event))}
            found = self._streams[name] = _Stream(own, Counter(map(_key, own)), ids)
        return found


def derived(event: Event) -> bool:
    """Whether an event follows from others and is never proposed."""
    return isinstance(event, catalog.ClaimStateChanged)


def _key(event: Event) -> bytes:
    """Return an event's bytes without what the record completes."""
    match event:
        case catalog.StatementWithdrawn():
            event = structs.replace(event, relied_on_by=())
        case catalog.RecordingVoided():
            event = structs.replace(event, position=0)
        case catalog.ClaimUnmerged():
            event = structs.replace(event, out_of="")
        case catalog.StatementCorrected(correction=correction):
            event = structs.replace(event, correction=structs.replace(correction, before=StatementChanges()))
        case catalog.PublicationRecorded(publication=text):
            uses = tuple(structs.replace(use, state=None) for use in text.claims)
            event = structs.replace(event, publication=structs.replace(text, claims=uses))
    return event.TYPE.encode() + msgspec.json.encode(event)
