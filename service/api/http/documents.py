"""Documents: one, or a list of them, as they are stored, under their tags, and as a caller may see them."""

from collections.abc import Mapping, Sequence
from functools import partial

from msgspec import structs

from service.api.http import fields, preconditions
from service.api.http.answer import Answer
from service.api.http.caching import NEVER
from service.api.http.confidential import any_sealed, has_sealed, shown
from service.api.http.pagination import links, place
from service.api.http.problems import ApiError
from service.api.http.served import READ_AFTER, ApiRequest, served
from service.projections.catalog import CHANGED, Membership, Projection
from service.projections.kept import Found
from service.projections.queries import NotThereYet, Page

_READ_AFTER = READ_AFTER.lower().encode()
_OPENED = {"Cache-Control": NEVER}
"""What an answer says for which anything confidential was opened."""
_LARGEST_PAGE = 200


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
