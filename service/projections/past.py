"""The past: documents as they were at a position, or as far as things had been said in the world by a time.

A document is a fold of its own stream, so an earlier one is the fold of fewer events. ``said_by`` leaves out what had
not happened in the world by then; what has no time of its own counts from when it was recorded (rules, section 2).
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

from msgspec import UNSET, structs

from events import catalog, moments
from events.ledger import Ledger
from service.projections import folding
from service.projections.documents import MOST_LISTED, ClaimDocument, ClaimWithStatements, StoryDocument
from service.verification.facts import Horizon
from service.verification.fold import Happened, happened, spoken

_PAGE = 1000


async def stream_until(ledger: Ledger, stream: str, position: int) -> AsyncIterator[Happened]:
    """Yield the events of a stream up to a position."""
    version = 0
    while entries := await ledger.history(stream, after=version, limit=_PAGE):
        version += len(entries)
        for entry in entries:
            if entry.position > position:
                return
            yield happened(entry)


async def story_at(ledger: Ledger, story_id: str, horizon: Horizon) -> StoryDocument | None:
    """Return a story as it was at a moment; None if it was not on record."""
    document: StoryDocument | None = None
    async for it in stream_until(ledger, story_id, horizon.position):
        if document is None or horizon.said_by is None or it.recorded_at <= horizon.said_by:
            document = folding.story(document, it)
    return document


async def claim_at(ledger: Ledger, claim_id: str, horizon: Horizon) -> ClaimWithStatements | None:
    """Return a claim as it was at a moment; None if it was not on record. With ``said_by`` it has no standing."""
    its: Sequence[Happened] = [it async for it in stream_until(ledger, claim_id, horizon.position)]
    if horizon.said_by is not None:
        its = list(_said_by(its, horizon.said_by))
    document: ClaimDocument | None = None
    items = []
    events = {it.position: it.event for it in its}
    for it in its:
        about = events.get(folding.voided_at(it.event) or 0)
        document = folding.claim(document, structs.replace(it, about=about) if about else it)
        if item := folding.statement(it):
            items.append(item)
    if document is None:
        return None
    return ClaimWithStatements(**structs.asdict(document), statements=tuple(items[-MOST_LISTED:]))


def _said_by(its: Iterable[Happened], said_by: int) -> Iterator[Happened]:
    """Yield what had happened in the world by a time, less what was voided and the verdicts of other moments."""
    everything = list(its)
    voided = {it.event.voided for it in everything if isinstance(it.event, catalog.RecordingVoided)}
    dated = _dated_anew(everything, said_by)
    for n, it in enumerate(everything):
        match it.event:
            case catalog.RecordingVoided() | catalog.ClaimStateChanged():
                continue
            case event if _about(event) in voided:
                continue
        if n == 0 or dated.get(it.position, _happened_at(it)) <= said_by:
            yield it


def _dated_anew(its: Sequence[Happened], said_by: int) -> dict[int, int]:
    """Return the ends of when statements were made whose dates were corrected by then, by their positions."""
    recorded = {it.event.statement_id: it for it in its if isinstance(it.event, catalog.StatementRecorded)}
    dates: dict[str, tuple[str | None, str | None]] = {}
    for it in its:
        if isinstance(it.event, catalog.StatementCorrected) and _happened_at(it) <= said_by:
            key, after = it.event.statement_id, it.event.correction.after
            first = recorded[key].event
            assert isinstance(first, catalog.StatementRecorded)  # noqa: S101 - it was collected as such
            said_at, published_at = dates.get(key, (first.statement.said_at, first.statement.published_at))
            dates[key] = (
                said_at if after.said_at is UNSET else after.said_at,
                published_at if after.published_at is UNSET else after.published_at,
            )
    return {
        recorded[key].position: spoken(said_at, published_at, recorded[key].recorded_at)[1]
        for key, (said_at, published_at) in dates.items()
    }


def _about(event: catalog.Event) -> str | None:
    """Return the statement, evidence, inquiry or assessment that an event is about."""
    names = ("statement_id", "evidence_id", "inquiry_id", "assessment_id")
    return next((getattr(event, name) for name in names if hasattr(event, name)), None)


def _happened_at(it: Happened) -> int:
    """Return by when an event had happened in the world: the end of its own interval, else when it was recorded."""
    match it.event:
        case catalog.StatementRecorded(statement=said):
            return spoken(said.said_at, said.published_at, it.recorded_at)[1]
        case catalog.StatementCorrected(correction=amendment) | catalog.StatementWithdrawn(withdrawal=amendment):
            moment = amendment.at
        case catalog.EvidenceAdded(evidence=added):
            moment = added.made_public_at
        case _:
            moment = None
    return moments.interval(moment).hi if moment else it.recorded_at
