"""What the routes share: the ledger that a request is for, and how answers are written."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from litestar import Request
from msgspec import Struct, field, structs
from uuid_utils import uuid7

from events.catalog import Event
from events.confidential import Confidential
from events.envelope import subject_of
from events.ledger import Command, Ledger
from events.transparency.note import encoded
from service.api.http import access, fields, idempotency, preconditions
from service.api.http.answer import Answer
from service.api.http.at_hand import AnswersAtHand
from service.api.http.caching import NEVER
from service.api.http.confidential import any_sealed, confidentially, has_sealed, shown
from service.api.http.opened import OpenLedgers
from service.api.http.pagination import links, place
from service.api.http.problems import ApiError
from service.api.http.sealing import AfterSeal, wants_seal
from service.api.http.streaming import Streams
from service.audit.archive import Archive
from service.auth.attempts import Attempts
from service.auth.bearers import Bearers
from service.auth.keys import Key
from service.auth.scopes import Scope
from service.auth.vault import Vault
from service.projections.catalog import CHANGED, CLAIMS, PARTS, Membership, Projection
from service.projections.documents import PartDocument
from service.projections.kept import Found
from service.projections.queries import NotThereYet, Page, Queries
from service.verification.commands import Caller, Outcome, Recorder, provenance
from service.verification.refusals import NotOnRecord
from service.webhooks.egress import Egress

READ_AFTER = "Onrecord-After"
"""Every write answers with this header; a read that carries it sees that write."""
_READ_AFTER = READ_AFTER.lower().encode()
_OPENED = {"Cache-Control": NEVER}
"""What an answer says for which anything confidential was opened."""
_LARGEST_PAGE = 200


class Served(Struct, frozen=True):
    """One ledger as the API serves it."""

    ledger: Ledger
    recorder: Recorder
    queries: Queries
    archive: Archive | None = None
    """Where the ledger is sealed; a process that only records needs none."""
    at_hand: AnswersAtHand = field(default_factory=AnswersAtHand)


class Opened(Struct, frozen=True):
    """A ledger that is served, and its vault."""

    served: Served
    vault: Vault

    async def close(self) -> None:
        """Wait until everything under way has its outcome."""
        await self.served.queries.aclose()
        await self.served.recorder.drain()
        await self.served.ledger.drain()
        await self.vault.close()


class Visit(Struct, frozen=True):
    """Who asks, and the ledger that their key opens."""

    key: Key
    served: Served
    vault: Vault
    streams: Streams
    look_again: Callable[[], Awaitable[None]]
    """Raises ``unauthorized`` or ``forbidden`` once the key no longer opens what was asked for."""

    @property
    def opens(self) -> Vault | None:
        """What opens confidential values for this caller, if the key has the scope for it."""
        return self.vault if Scope.READ_CONFIDENTIAL in self.key.scopes else None


def demand(visit: Visit, scope: Scope) -> None:
    """Raise ``forbidden`` unless a caller's key has a scope (RFC 6750, section 3.1)."""
    if scope not in visit.key.scopes:
        challenge = f'Bearer realm="On Record", error="insufficient_scope", scope="{scope}"'
        raise ApiError("forbidden", f"the key does not have the scope {scope}", headers={"WWW-Authenticate": challenge})


class Running:
    """What the application has while it runs: the ledgers that are open, whom it knows, and its streams.

    ``ending`` is set once the process is asked to end, before its server is: from then on it is not ready, and
    whatever sends without end ends.
    """

    ledgers: OpenLedgers[Opened]
    bearers: Bearers
    egress: Egress
    signing: Ed25519PrivateKey
    public_ledger: str = ""
    """The ledger whose checkpoints and hash tiles anybody may read; none if it is empty."""

    def __init__(self, most_streams: int, most_of_a_key: int) -> None:
        self.ending = asyncio.Event()
        self.attempts = Attempts()
        self.streams = Streams(most_streams, most_of_a_key, self.ending)


ApiRequest: TypeAlias = Request[Any, Visit, Any]


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


def served(request: ApiRequest) -> Served:
    """Return the ledger that the request's key opens."""
    return request.auth.served


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


async def document(request: ApiRequest, projection: Projection, document_id: str) -> Answer:
    """Answer with a document as the caller may see it, or 304 if the caller has it. Raises ``not-found`` (404)."""
    found = await found_in(request, projection, document_id)
    if found.shown is None:
        tag = preconditions.etag(served(request).ledger, found.version, found.generation)
        found.shown = Shown.of(found.raw, tag)
    return await show(request, found, projection, document_id)


async def show(
    request: ApiRequest, found: Found, projection: Projection, document_id: str, *, listed: str = ""
) -> Answer:
    """Answer with a document as it is shown, and have that at hand for as long as the document is kept."""
    shown: Shown = found.shown
    answer, here = await shown.answer(request), served(request)
    if shown.is_of_all(answer) and not found.related:
        holds = partial(here.queries.holds_document, projection, document_id, listed, found)
        here.at_hand.keep(request.scope, answer, holds)
    return answer


class Shown:
    """A document as it is shown, made once for all who read it while it is kept."""

    __slots__ = ("_answer", "content", "tag")

    def __init__(self, content: bytes, tag: str, answer: Answer | None) -> None:
        self.content, self.tag, self._answer = content, tag, answer

    @classmethod
    def of(cls, content: bytes, tag: str) -> "Shown":
        """Make it of what is stored. What has something confidential in it is made anew for each reader."""
        return cls(content, tag, None if has_sealed(content) else Answer(content, headers={"ETag": tag}))

    def is_of_all(self, answer: Answer) -> bool:
        """Whether an answer is the one for all who have no version of it."""
        return answer is self._answer

    async def answer(self, request: ApiRequest) -> Answer:
        """Answer as :func:`fresh` does."""
        if self._answer is None or preconditions.not_modified(request, self.tag):
            return await fresh(request, self.content, self.tag)
        return self._answer


async def fresh(request: ApiRequest, content: bytes, tag: str) -> Answer:
    """Answer with a document as the caller may see it under its ETag, or 304 if the caller has that version.

    What was opened is not to be kept, and never 304: it can be erased without any change of the document.
    """
    opened = _opened(request, [content])
    headers = {"ETag": tag} | (_OPENED if opened else {})
    if not opened and (known := preconditions.not_modified(request, tag)):
        return Answer(b"", status=304, headers={"ETag": known})
    (content,) = await shown(request.auth.opens, [content])
    return Answer(content, headers=headers)


async def unversioned(request: ApiRequest, document: bytes) -> Answer:
    """Answer with a document that is stored nowhere as the caller may see it, or 304 if the caller has it."""
    return await fresh(request, document, preconditions.content_tag(document))


async def listing(  # noqa: PLR0913 - what every list has
    request: ApiRequest,
    projection: Projection,
    filters: Sequence[Membership],
    after: str | None,
    limit: int,
    *,
    before: str | None = None,
    changed_since: int | None = None,
) -> Answer:
    """Answer with one page of documents in order of registration, and with cursors to those beside it.

    With ``changed_since`` they are those changed after that position, in the order of their last events. The answer is
    304 if the projection has folded nothing since the page that the caller has.
    """
    here = served(request)
    await wait_for_writes(request, projection)
    at = await place(here.ledger, after, before)
    least = max(at.after, changed_since or 0)
    by = CHANGED if changed_since is not None else None
    page = await here.queries.page(projection, filters, after=least, before=at.before, limit=limit, by=by)
    if page.prev_before is not None and page.prev_before <= (changed_since or 0):
        page = structs.replace(page, prev_before=None)
    tag = f'W/"{here.ledger.epoch}.{page.checkpoint}.{page.generation}"'
    if _opened(request, page.items):
        return await page_of(request, page, page.items)
    if known := preconditions.not_modified(request, tag):
        return Answer(b"", status=304, headers={"ETag": known})
    answer = await page_of(request, page, page.items, headers={"ETag": tag})
    if not any_sealed(page.items):
        here.at_hand.keep(request.scope, answer, partial(here.queries.holds_page, projection, page))
    return answer


async def page_of(
    request: ApiRequest, page: Page, documents: Sequence[bytes], *, headers: Mapping[str, str] | None = None
) -> Answer:
    """Answer with documents of a page as the caller may see them, and with cursors to the pages beside it."""
    ledger = served(request).ledger
    following, preceding = (
        None if position is None else str(ledger.cursor(position)) for position in (page.next_after, page.prev_before)
    )
    opened = _opened(request, documents)
    items = await shown(request.auth.opens, documents)
    return raw_page(request, "items", items, following, prev_before=preceding, opened=opened, headers=headers)


def _opened(request: ApiRequest, documents: Sequence[bytes]) -> bool:
    """Whether anything confidential is opened for this caller in documents."""
    return request.auth.opens is not None and any_sealed(documents)


def raw_page(  # noqa: PLR0913 - what a page is
    request: ApiRequest,
    member: str,
    items: Sequence[bytes],
    next_after: str | None,
    *,
    prev_before: str | None = None,
    opened: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Answer with stored bytes in one member, and ``next_after`` beside them; ``Link`` has the pages on both sides."""
    following = b"null" if next_after is None else f'"{next_after}"'.encode()
    content = b'{"%s":[%s],"next_after":%s}' % (member.encode(), b",".join(items), following)
    said = (_OPENED if opened else {}) | dict(headers or {}) | links(request, next_after, prev_before)
    return Answer(content, headers=said)


def page_size(limit: int) -> int:
    """Return a page's limit. Raises ``bad-request`` outside 1 to 200."""
    if not 1 <= limit <= _LARGEST_PAGE:
        raise ApiError("bad-request", f"limit is 1 to {_LARGEST_PAGE}, not {limit}")
    return limit


async def wait_for_writes(request: ApiRequest, projection: Projection) -> None:
    """Wait until the write that ``Onrecord-After`` names can be seen. Raises ``NotThereYet`` after two seconds."""
    token = fields.value(request, _READ_AFTER)
    if token:
        here = served(request)
        try:
            await here.queries.wait_for(projection, here.ledger.position_of(token))
        except NotThereYet:
            await here.ledger.reached(token)  # else nobody would ever see it
            raise


async def found_in(
    request: ApiRequest,
    projection: Projection,
    document_id: str,
    *,
    listed: str = "",
    related: Membership | None = None,
) -> Found:
    """Return a document as it is after the write that ``Onrecord-After`` names, as ``Queries.document`` does.

    Raises ``not-found`` (404), and ``NotThereYet``.
    """
    here = served(request)
    token = fields.value(request, _READ_AFTER)
    position = here.ledger.position_of(token) if token else 0
    try:
        found = await here.queries.document(projection, document_id, position=position, listed=listed, related=related)
    except NotThereYet:
        if token:
            await here.ledger.reached(token)  # else nobody would ever see it
        raise
    if found is None:
        raise ApiError("not-found", f"there is no {document_id[:80]}")
    return found
