"""Which projections there are: for each its documents, its reducer, and the indexes that lists are read from."""

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Any, Literal

from msgspec import Struct

from events import catalog
from events.envelope import streams_of
from service.projections import documents
from service.projections.documents import ClaimDocument, PartDocument, SourceDocument, StoryDocument
from service.verification.facts import Happened

Membership = tuple[str, str]
"""A field and its value, as in ``("state", "contested")``: one sorted set."""
EVERYTHING: Membership = ("all", "")


class Change(Struct, frozen=True):
    """A document enters or leaves an index."""

    action: Literal["add", "remove"]
    membership: Membership


class Projection(Struct, frozen=True):
    """One kind of document: whose events it folds, how, and where it is listed."""

    name: str
    document: type
    key: Callable[[catalog.Event], str | None]
    fold: Callable[[Any, Sequence[Happened]], Any]
    """From a document (or None) and the events of its stream that follow, the document after them."""
    indexed: Callable[[Any, Any, Sequence[Happened]], Iterator[Change]]
    """From the document before (or None) and after some events, the changes of its memberships."""
    version: int = 1
    """Raised whenever the same events could give other documents."""
    item: Callable[[Happened], Any] | None = None
    """From an event, what it adds to the bounded list beside the document; None for no list."""


def _one_by_one(reducer: Callable[[Any, Happened], Any]) -> Callable[[Any, Sequence[Happened]], Any]:
    return lambda document, happenings: reduce(reducer, happenings, document)


def _stream(kind: str) -> Callable[[catalog.Event], str | None]:
    """Return the identifier of the thing of ``kind`` whose stream an event belongs to, if any."""
    prefix = f"{kind}_"

    def key(event: catalog.Event) -> str | None:
        for stream in streams_of(event):
            if stream.startswith(prefix):
                return stream
        return None

    return key


def _evidence(event: catalog.Event) -> str | None:
    return event.evidence_id if isinstance(event, catalog.EvidenceAdded) else None


def _nowhere(_before: object, _after: object, _its: Sequence[Happened]) -> Iterator[Change]:
    return iter(())


def _once(before: object, _after: object, _its: Sequence[Happened]) -> Iterator[Change]:
    if before is None:
        yield Change("add", EVERYTHING)


def _claim_indexes(before: ClaimDocument | None, after: ClaimDocument, its: Sequence[Happened]) -> Iterator[Change]:
    then, now = _memberships(before), _memberships(after)
    yield from (Change("remove", membership) for membership in then - now)
    yield from (Change("add", membership) for membership in now - then)
    said = [it.event.statement for it in its if isinstance(it.event, catalog.StatementRecorded)]
    heard = {source_id for each in said for source_id in (each.speaker_id, each.publisher_id, *each.relay_ids)}
    yield from (Change("add", ("source", source_id)) for source_id in heard if source_id)


def _memberships(claim: ClaimDocument | None) -> set[Membership]:
    if claim is None:
        return set()
    found = {EVERYTHING, ("story", claim.claim.story_id)}
    if claim.standing:
        found.add(("state", claim.standing.state.value))
        found.update(("flag", flag.value) for flag in claim.standing.flags)
    return found


CLAIMS = Projection(
    "claims", ClaimDocument, _stream("claim"), documents.claim_stream, _claim_indexes, item=documents.statement
)
STORIES = Projection("stories", StoryDocument, _stream("story"), _one_by_one(documents.story), _once)
SOURCES = Projection("sources", SourceDocument, _stream("source"), _one_by_one(documents.source), _once)
PARTS = Projection("parts", PartDocument, _evidence, _one_by_one(documents.part), _nowhere)
PROJECTIONS = (CLAIMS, STORIES, SOURCES, PARTS)
