"""Receipts: what a request asks to have on record, recorded once, and the answer that says what was."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from uuid_utils import uuid7

from events.catalog import Event
from events.confidential import Confidential
from events.envelope import subject_of
from events.ledger import Command
from events.transparency.note import encoded
from service.api.http import access, idempotency, preconditions
from service.api.http.answer import Answer
from service.api.http.confidential import confidentially
from service.api.http.sealing import AfterSeal, wants_seal
from service.api.http.served import READ_AFTER, ApiRequest, served
from service.projections.catalog import CLAIMS, PARTS, Projection
from service.projections.documents import PartDocument
from service.verification.commands import Caller, Outcome, provenance
from service.verification.refusals import NotOnRecord


class RecordedEvent(Struct, frozen=True):
    """One event that a request recorded. ``leaf_hash`` (base64) is what the transparency log has of it (RFC 6962)."""

    type: str
    position: int
    leaf_hash: str
    data: Any


class Receipt(Struct, frozen=True):
    """The answer to a write: what it made, and the events that say so."""

    id: str
    position: int
    recordedtime: str
    events: tuple[RecordedEvent, ...]


def caller(request: ApiRequest, operation: str, *content: object, in_confidence: bool = False) -> Caller:
    """Return who asks, with a command id from the ``Idempotency-Key`` and a hash of what is asked.

    Without that header the request is its own command, and sending it again records again. The hash is on record, so
    that of something said ``in_confidence`` is keyed.
    """
    wants_seal(request)  # a request that asks for what there is not is refused before it does anything
    given = idempotency.key_of(request)
    key_id = request.auth.key.id
    command_id = uuid7().hex if given is None else hashlib.sha256(f"{key_id}\0{given}".encode()).hexdigest()[:32]
    said = msgspec.json.encode((operation, *(part for part in content if part is not None)))
    in_confidence = in_confidence or any(isinstance(part, Confidential) for part in content)
    hashed = request.auth.vault.command_hash(said) if in_confidence else hashlib.sha256(said).hexdigest()
    expected = preconditions.expected_versions(request, served(request).ledger)
    asked = access.present()
    return Caller(key_id, command_id, hashed, expected, asked.correlation if asked else None)


async def once(
    request: ApiRequest, operation: str, content: Sequence[object], act: Callable[[], Awaitable[None]]
) -> None:
    """Do something that records nothing, unless it was done for a request with the same ``Idempotency-Key``."""
    asks, ledger = caller(request, operation, *content), served(request).ledger
    if idempotency.key_of(request) is None:
        await act()
    elif await ledger.recall(asks.command_id, asks.command_hash) is None:
        await act()
        await ledger.append(Command([], {}, provenance(asks)))  # which keeps the key, once it was done


async def on_claim(  # noqa: PLR0913 - what every recording on a claim has
    request: ApiRequest,
    operation: str,
    content: Sequence[object],
    proposed: Sequence[Event],
    thing: str,
    *,
    said: Confidential | None = None,
    status: int = 201,
) -> Answer:
    """Record events on a claim, with what is said in confidence, and answer with the receipt about the last of them."""
    asks = caller(request, operation, *content, said)
    recorder = served(request).recorder
    outcome = await confidentially(
        request.auth.vault, recorder, asks, proposed, said, lambda events: recorder.on_claim(events, asks)
    )
    about = len(proposed) - 1
    return recorded(request, outcome, thing, CLAIMS, "/v1/claims", about=about, status=status)


async def claim_of(request: ApiRequest, part_id: str) -> str:
    """Return the claim that a statement, evidence, inquiry or assessment belongs to, even if recorded a moment ago.

    Raises ``NotOnRecord`` if there is no such thing.
    """
    here = served(request)
    found = await here.queries.document(PARTS, part_id)
    if found is None:
        await here.queries.wait_for(PARTS, (await here.ledger.head()).position)
        found = await here.queries.document(PARTS, part_id)
    if found is None:
        raise NotOnRecord(f"there is no {part_id[:80]}")
    return msgspec.json.decode(found.raw, type=PartDocument).claim_id


def receipt(outcome: Outcome, thing: str, about: int = 0) -> Receipt:
    """Return the receipt about one of the events of a write, as :func:`recorded` answers with it."""
    first = outcome.happened[about]
    return Receipt(
        id=getattr(first.event, thing) if thing else subject_of(first.event),
        position=outcome.position,
        recordedtime=outcome.recordedtime,
        events=tuple(
            RecordedEvent(it.event.TYPE, it.position, encoded(leaf), it.event)
            for it, leaf in zip(outcome.happened, outcome.leaves, strict=True)
        ),
    )


def recorded(  # noqa: PLR0913 - what every receipt has
    request: ApiRequest,
    outcome: Outcome,
    thing: str,
    projection: Projection,
    location: str,
    *,
    about: int = 0,
    status: int = 201,
    answer: Receipt | None = None,
) -> Answer:
    """Answer a write: where the thing is, its ETag, and the token by which reads will see it.

    ``thing`` names the member of the event ``about`` that is the new thing's identifier; without it
    that is the event's subject. Without ``location`` there is no document about it. A repeated request gets
    the answer of the first one, rebuilt from the events that it recorded. ``answer`` is a receipt with more in it.
    """
    ledger = served(request).ledger
    first = outcome.happened[about]
    made = answer or receipt(outcome, thing, about)
    fragment = "" if made.id == subject_of(first.event) else f"#{made.id}"
    where = f"{location}/{subject_of(first.event)}{fragment}" if thing else location
    headers = {"Location": where} if location else {}
    headers |= {
        "ETag": preconditions.etag(ledger, outcome.version, served(request).queries.generation(projection)),
        READ_AFTER: str(ledger.cursor(outcome.position)),
    }
    body = msgspec.json.encode(made)
    if wants_seal(request):
        here = served(request).queries.store
        return AfterSeal(body, status=status, headers=headers, store=here, ledger=ledger, position=outcome.position)
    return Answer(body, status=status, headers=headers)
