"""Which projections there are: for each its documents, its reducer, and the indexes that lists are read from."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Any, Literal

from msgspec import Struct

from events import catalog
from events.envelope import streams_of
from events.words import State
from service.projections import folding
from service.projections.documents import (
    ClaimDocument,
    InquiryDocument,
    PartDocument,
    PublicationDocument,
    SourceDocument,
    StoryDocument,
    WebhookDocument,
)
from service.verification.fold import Happened

Membership = tuple[str, str]
"""A field and its value, as in ``("state", "contested")``: one sorted set."""
EVERYTHING: Membership = ("all", "")
CHANGED: Membership = ("changed", "")
"""Every document at the position of its last event."""
DUE: Membership = ("due", "")
"""Every open inquiry at its deadline."""
TO_CORRECT: Membership = ("to-correct", "")
"""Every text of ours that a withdrawal concerns since its last correction."""
ON_ONE: Membership = ("disinterested", "1")
"""Every claim that is corroborated by one disinterested origin only."""


class Change(Struct, frozen=True):
    """A document enters or leaves an index."""

    action: Literal["add", "remove"]
    membership: Membership
    score: int | None = None
    """Where it stands in the index; None: where it was registered."""


class Projection(Struct, frozen=True):
    """One kind of document: whose events it folds, how, and where it is listed."""

    name: str
    document: type
    keys: Callable[[catalog.Event], Sequence[str]]
    """The documents that an event changes."""
    fold: Callable[[Any, Sequence[Happened]], Any]
    """From a document (or None) and the events of its stream that follow, the document after them."""
    indexed: Callable[[Any, Any, Sequence[Happened]], Iterator[Change]]
    """From the document before (or None) and after some events, the changes of its memberships."""
    version: int = 1
    """Raised whenever the same events could give other documents."""
    looks_up: Callable[[catalog.Event], int | None] | None = None
    """From an event, the position of an earlier one that folding it takes."""
    item: Callable[[Happened], Any] | None = None
    """From an event, what it adds to the bounded list beside the document; None for no list."""


def _one_by_one(reducer: Callable[[Any, Happened], Any]) -> Callable[[Any, Sequence[Happened]], Any]:
    return lambda document, happenings: reduce(reducer, happenings, document)


def _streams(kind: str) -> Callable[[catalog.Event], Sequence[str]]:
    """Return the identifiers of the things of ``kind`` whose streams an event belongs to."""
    prefix = f"{kind}_"
    return lambda event: [stream for stream in streams_of(event) if stream.startswith(prefix)]


def _part(event: catalog.Event) -> Sequence[str]:
    key = folding.part_of(event)
    return [key] if key else ()


def _inquiry(event: catalog.Event) -> Sequence[str]:
    match event:
        case catalog.InquirySent() | catalog.InquiryAnswered() | catalog.InquiryExpired():
            return [event.inquiry_id]
        case catalog.RecordingVoided(voided=key) if key.startswith("inquiry_"):
            return [key]
        case _:
            return ()


def _publication(event: catalog.Event) -> Sequence[str]:
    if isinstance(event, catalog.StatementWithdrawn):
        return event.relied_on_by
    return _streams("publication")(event)


def _publication_indexes(
    before: PublicationDocument | None, after: PublicationDocument, _its: Sequence[Happened]
) -> Iterator[Change]:
    if before is None:
        yield Change("add", EVERYTHING)
    if after.to_correct != (before is not None and before.to_correct):
        yield Change("add" if after.to_correct else "remove", TO_CORRECT)


def _nowhere(_before: object, _after: object, _its: Sequence[Happened]) -> Iterator[Change]:
    return iter(())


def _once(before: object, _after: object, _its: Sequence[Happened]) -> Iterator[Change]:
    if before is None:
        yield Change("add", EVERYTHING)


def _claim_indexes(before: ClaimDocument | None, after: ClaimDocument, its: Sequence[Happened]) -> Iterator[Change]:
    then, now = _standing_memberships(before), _standing_memberships(after)
    if before is None or before.claim != after.claim or before.part_of != after.part_of:
        then, now = then | _claim_memberships(before), now | _claim_memberships(after)
    yield from (Change("remove", membership) for membership in then - now)
    yield from (Change("add", membership) for membership in now - then)
    named: dict[Membership, None] = {}
    for it in its:
        named |= dict.fromkeys(_named(it.event))
    yield from (Change("add", membership) for membership in named)
    yield Change("add", CHANGED, its[-1].position)


def _claim_memberships(document: ClaimDocument | None) -> set[Membership]:
    """Return the indexes that a claim is in by what it says."""
    if document is None:
        return set()
    claim = document.claim
    found = {EVERYTHING, ("story", claim.story_id)}
    found.update(("tag", tag) for tag in claim.tags)
    found.update(("party", party) for party in (*(claim.serves or ()), *(claim.harms or ())))
    found.update(("word", word) for word in words_of(claim.text))
    found.update(("sum", term.claim_id) for term in claim.sum_of)
    found.update(("parent", whole) for whole in (claim.parent_id, *document.part_of) if whole)
    if claim.about_statement_id:
        found.add(("about", claim.about_statement_id))
    return found


def _standing_memberships(document: ClaimDocument | None) -> set[Membership]:
    """Return the indexes that a claim is in by where it stands."""
    if document is None or document.standing is None:
        return set()
    found = {("state", document.standing.state.value)}
    found.update(("flag", flag.value) for flag in document.standing.flags)
    if document.standing.state is State.CORROBORATED and document.standing.because.nd == 1:
        found.add(ON_ONE)
    return found


def _named(event: catalog.Event) -> Iterator[Membership]:
    """Yield who is heard in an event (``source``), and whom a verdict depends on since (``rests``)."""
    heard: Sequence[str | None] = ()
    rests: Sequence[str | None] = ()
    match event:
        case catalog.StatementRecorded(statement=said):
            heard = (said.speaker_id, said.publisher_id, *said.relay_ids)
            rests = (said.speaker_id, *said.rests_on)
        case catalog.ClaimRegistered(claim=claim):
            rests = (claim.declared_by,)
        case catalog.ClaimUpdated(changes=changes):
            rests = (changes.declared_by or None,)
        case catalog.StatementCorrected(correction=correction):
            heard = (correction.after.speaker_id or None,)
            rests = (*heard, *(correction.after.rests_on or ()))
        case catalog.EvidenceAdded(evidence=added):
            rests = (added.supplied_by,)
    for source_id in heard:
        if source_id:
            yield "source", source_id
    for source_id in rests:
        if source_id and source_id.startswith("source_"):
            yield "rests", source_id


def words_of(text: str) -> set[str]:
    """Return the words by which a text is found: what is written with letters and digits, in lower case."""
    return {word for word in _WORD.findall(text.casefold()) if len(word) <= _LONGEST_WORD}


def _source_indexes(before: SourceDocument | None, after: SourceDocument, _its: Sequence[Happened]) -> Iterator[Change]:
    then, now = _upper(before), _upper(after)
    yield from (Change("remove", membership) for membership in then - now)
    yield from (Change("add", membership) for membership in now - then)


def _upper(document: SourceDocument | None) -> set[Membership]:
    if document is None:
        return set()
    uppers = {("affiliated_to", upper) for upper in document.source.affiliated_to}
    return {EVERYTHING, ("kind", document.source.kind.value), *uppers}


def _inquiry_indexes(
    before: InquiryDocument | None, after: InquiryDocument, _its: Sequence[Happened]
) -> Iterator[Change]:
    if before and before.status != after.status:
        yield Change("remove", ("status", before.status))
    if before is None:
        yield Change("add", EVERYTHING)
    if before is None or before.status != after.status:
        yield Change("add", ("status", after.status))
    if (before is not None and before.status == "open") != (after.status == "open"):
        yield Change("add" if after.status == "open" else "remove", DUE, after.deadline)


def _webhook_indexes(
    before: WebhookDocument | None, after: WebhookDocument, _its: Sequence[Happened]
) -> Iterator[Change]:
    if before is None:
        yield Change("add", EVERYTHING)
    if before is None or before.status != after.status:
        if before is not None:
            yield Change("remove", ("status", before.status))
        yield Change("add", ("status", after.status))
    if after.status == "deleted":
        yield Change("remove", EVERYTHING)


_WORD = re.compile(r"\w+")
_LONGEST_WORD = 40

CLAIMS = Projection(
    "claims",
    ClaimDocument,
    _streams("claim"),
    folding.claim_stream,
    _claim_indexes,
    version=2,
    looks_up=folding.voided_at,
    item=folding.statement,
)
STORIES = Projection("stories", StoryDocument, _streams("story"), _one_by_one(folding.story), _once)
SOURCES = Projection("sources", SourceDocument, _streams("source"), _one_by_one(folding.source), _source_indexes)
PARTS = Projection("parts", PartDocument, _part, _one_by_one(folding.part), _nowhere)
INQUIRIES = Projection("inquiries", InquiryDocument, _inquiry, _one_by_one(folding.inquiry), _inquiry_indexes)
PUBLICATIONS = Projection(
    "publications",
    PublicationDocument,
    _publication,
    _one_by_one(folding.publication),
    _publication_indexes,
)
WEBHOOKS = Projection("webhooks", WebhookDocument, _streams("webhook"), _one_by_one(folding.webhook), _webhook_indexes)
PROJECTIONS = (CLAIMS, STORIES, SOURCES, PARTS, INQUIRIES, PUBLICATIONS, WEBHOOKS)
