"""The stored form of an event: a CloudEvents 1.0 JSON object whose bytes are never encoded again.

A writer encodes a :class:`Draft` and leaves off the closing brace; the append script adds ``sequence`` and
``recordedtime`` as the last members. The same bytes are the Merkle leaf, the export line and the webhook body.
"""

from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from events import catalog, moments, upcasting
from events.errors import BadCursor, UnreadableEvent
from events.identifiers import new_event_id

LARGEST_EVENT = 60 * 1024
"""Bytes that one entry may hold, the spliced members included."""

_SPLICED = len(',"sequence":"0000000000000000","recordedtime":"2026-01-01T00:00:00.000000Z"}') - 1
_LONGEST_POSITION = 16
REFERENCE = "reference"
"""The stream of what decisions depend on beside their claim."""
POLICY = "policy"
"""The stream of the policies that were activated."""
_LEDGER = "ledger"


class Draft(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """An event before the ledger has given it a place. The order of the members is the order of the bytes."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    subject: str
    dataschema: str
    time: str | UnsetType = UNSET
    actor: str
    storyid: str | UnsetType = UNSET
    commandid: str
    commandhash: str
    correlationid: str | UnsetType = UNSET
    causationid: str | UnsetType = UNSET
    data: Raw


class Envelope(Draft, frozen=True, kw_only=True):
    """An event as recorded. ``sequence`` is its position in 16 digits, ``recordedtime`` UTC to the microsecond."""

    sequence: str
    recordedtime: str

    @property
    def position(self) -> int:
        """The event's place in its ledger, from 1 on."""
        return int(self.sequence)


_decode_envelope = msgspec.json.Decoder(Envelope).decode
_encode = msgspec.json.Encoder().encode
_readers = dict(upcasting.readers())


_T = TypeVar("_T")


class _Once(Generic[_T]):
    """A property that is worked out once, as with ``functools.cached_property``, which in Python 3.11 takes a lock."""

    def __init__(self, work_out: Callable[[Any], _T]) -> None:
        self._work_out, self._name, self.__doc__ = work_out, work_out.__name__, work_out.__doc__

    def __get__(self, entry: Any, _: type) -> _T:  # noqa: ANN401 - an instance of whatever class has it
        value = entry.__dict__[self._name] = self._work_out(entry)
        return value


class Entry(Struct, frozen=True, dict=True):
    """One entry of the log: its position and its bytes, decoded when asked for."""

    position: int
    raw: bytes

    @_Once
    def envelope(self) -> Envelope:
        """Return the CloudEvents attributes, with ``data`` still as bytes."""
        return _decode_envelope(self.raw)

    @_Once
    def event(self) -> catalog.Event:
        """Return the event's data, as the newest version of its type.

        Raises ``UnreadableEvent`` for a type or version that this release does not know.
        """
        envelope = self.envelope
        read = _readers.get(envelope.dataschema)
        if read is None:
            raise UnreadableEvent(self.position, envelope.dataschema, "this release does not know it")
        try:
            return read(envelope.data)
        except msgspec.ValidationError as error:
            raise UnreadableEvent(self.position, envelope.dataschema, str(error)) from error


class Provenance(Struct, frozen=True, gc=False):
    """Who records, by which command, and in what context: what an envelope says of its event from outside."""

    actor: str
    command_id: str
    command_hash: str
    story_id: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None


def encode(ledger: str, event: catalog.Event, provenance: Provenance) -> bytes:
    """Return the bytes of an event as the append script wants them: without the closing brace."""
    draft = Draft(
        specversion="1.0",
        id=new_event_id(),
        source=f"/ledgers/{ledger}",
        type=event.TYPE,
        subject=subject_of(event),
        dataschema=_schema_urn(type(event)),
        time=_time_of(event) or UNSET,
        actor=provenance.actor,
        storyid=provenance.story_id or UNSET,
        commandid=provenance.command_id,
        commandhash=provenance.command_hash,
        correlationid=provenance.correlation_id or UNSET,
        causationid=provenance.causation_id or UNSET,
        data=Raw(_encode(event)),
    )
    return _encode(draft)[:-1]


def stored_size(encoded: bytes) -> int:
    """Return how many bytes an encoded draft has once it is stored."""
    return len(encoded) + _SPLICED + 1


def stored(encoded: bytes, position: int, recordedtime: str) -> bytes:
    """Return an encoded draft as the append script stores it at a position: the bytes of the Merkle leaf."""
    return b'%s,"sequence":"%016d","recordedtime":"%s"}' % (encoded, position, recordedtime.encode())


_SUBJECTS: dict[type[catalog.Event], Callable[[Any], str]] = {
    **dict.fromkeys(catalog.CATALOG.values(), attrgetter("claim_id")),
    catalog.LedgerCreated: attrgetter("ledger"),
    catalog.LedgerRestored: attrgetter("ledger"),
    catalog.LedgerArchiveLost: attrgetter("ledger"),
    catalog.StoryOpened: attrgetter("story_id"),
    catalog.StoryUpdated: attrgetter("story_id"),
    catalog.StoryClosed: attrgetter("story_id"),
    catalog.SourceRegistered: attrgetter("source_id"),
    catalog.SourceUpdated: attrgetter("source_id"),
    catalog.SourceGraded: attrgetter("source_id"),
    catalog.PublicationRecorded: attrgetter("publication_id"),
    catalog.PublicationCorrected: attrgetter("publication_id"),
    catalog.PolicyActivated: attrgetter("policy.name"),
    catalog.SubjectErased: attrgetter("subject_id"),
    **dict.fromkeys(
        (each for each in catalog.CATALOG.values() if each.TYPE.startswith("webhook.")), attrgetter("webhook_id")
    ),
    catalog.ProjectionEventSkipped: lambda event: f"projection:{event.projection}",
}
"""What events change, by their type: a claim, if it is nothing else."""


def subject_of(event: catalog.Event) -> str:
    """Return the identifier of the thing that an event changes: its CloudEvents ``subject``."""
    return _SUBJECTS[type(event)](event)


def _story_updated(event: catalog.StoryUpdated) -> tuple[str, ...]:
    parties_change = event.changes.parties is not UNSET or event.changes.allies is not UNSET
    return (event.story_id, REFERENCE) if parties_change else (event.story_id,)


_STREAMS: dict[type[catalog.Event], Callable[[Any], tuple[str, ...]]] = {
    catalog.LedgerCreated: lambda _: (_LEDGER,),
    catalog.LedgerRestored: lambda _: (_LEDGER,),
    catalog.LedgerArchiveLost: lambda _: (_LEDGER,),
    catalog.PolicyActivated: lambda _: (POLICY, REFERENCE),
    catalog.SourceUpdated: lambda event: (event.source_id, REFERENCE),
    catalog.SourceGraded: lambda event: (event.source_id, REFERENCE),
    catalog.StoryUpdated: _story_updated,
    catalog.ClaimMerged: lambda event: (event.claim_id, event.merge.into),
    catalog.ClaimUnmerged: lambda event: (event.claim_id, event.out_of),
    catalog.ClaimSplit: lambda event: (event.claim_id, *(part.claim_id for part in event.split.parts)),
    catalog.PublicationRecorded: lambda event: (
        event.publication_id, *(use.claim_id for use in event.publication.claims)
    ),
    catalog.PublicationCorrected: lambda event: (event.publication_id, *event.claim_ids),
}  # fmt: skip
"""The streams of events that belong to another one than their subject's, by their type."""


def streams_of(event: catalog.Event) -> tuple[str, ...]:
    """Return the streams that an event belongs to: a pure function, so that streams can be rebuilt from the bytes.

    The first is that of its subject. ``reference`` has what decisions on any claim depend on.
    """
    kind = type(event)
    return _STREAMS[kind](event) if kind in _STREAMS else (_SUBJECTS[kind](event),)


def _time_of(event: catalog.Event) -> str | None:
    """Return when the event happened in the world, if that is known to the minute."""
    match event:
        case catalog.StatementRecorded(statement=said):
            at = said.said_at
        case catalog.StatementCorrected(correction=correction):
            at = correction.at
        case catalog.StatementWithdrawn(withdrawal=withdrawal):
            at = withdrawal.at
        case catalog.InquirySent(inquiry=inquiry):
            at = inquiry.sent_at
        case catalog.PublicationRecorded(publication=text):
            at = text.published_at
        case _:
            at = None
    return moments.rfc3339(at) if at and "T" in at else None


@lru_cache
def _schema_urn(event: type[catalog.Event]) -> str:
    return catalog.schema_urn(event.TYPE, event.VERSION)


class Cursor(NamedTuple):
    """A place in a ledger's history: cursor of the feed, and the token that a write answers with."""

    epoch: str
    position: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.position}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read ``epoch.position``; raises ``BadCursor`` for anything else."""
        epoch, dot, position = text.partition(".")
        if not (epoch and dot and position.isascii() and position.isdigit() and len(position) <= _LONGEST_POSITION):
            raise BadCursor(f"{text[:80]!r} is no cursor; one reads epoch.position, as an earlier answer gave it")
        return cls(epoch, int(position))
