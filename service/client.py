"""A client of the API, for the command line: it asks as anybody would."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import httpcore2
import msgspec
from msgspec import Raw, Struct

from service.following import StreamBroken, Told, followed
from service.projections.documents import ClaimDocument
from service.projections.status import ProjectionStatus
from service.settings import Settings

_TIMEOUTS = {"connect": 5.0, "read": 30.0, "write": 30.0, "pool": 5.0}  # a live stream says something every 15 s
_TRY_AGAIN = (429, 502, 503, 504)


class ApiFailure(Exception):
    """The API cannot be reached, or answers with a problem."""


class Listed(Struct, frozen=True):
    """One claim of a list: as the API gave it, and decoded."""

    raw: bytes
    document: ClaimDocument


class _Statuses(Struct):
    items: list[ProjectionStatus]


class _Page(Struct):
    items: list[Raw]
    next_after: str | None


class Client:
    """Asks the API that the settings name, with their key or the bootstrap key of their home."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.api_url
        self._pool = httpcore2.AsyncConnectionPool()
        try:
            key = settings.key or settings.bootstrap_key_path.read_text().strip()
        except OSError as error:
            raise ApiFailure(
                f"there is no key in {settings.bootstrap_key_path}; start `onrecord serve`, or set ONRECORD_KEY or"
                " ONRECORD_HOME"
            ) from error
        self._written = ""
        self._headers: dict[bytes | str, bytes | str] = {"Authorization": f"Bearer {key}"}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.aclose()

    async def claims(self, filters: Mapping[str, str | Sequence[str] | None]) -> AsyncIterator[Listed]:
        """Yield every claim that the filters leave, page by page."""
        query: dict[str, Any] = {name: value for name, value in filters.items() if value} | {"limit": 200}
        while True:
            page = msgspec.json.decode(await self._get(f"/v1/claims?{urlencode(query, doseq=True)}"), type=_Page)
            for item in page.items:
                yield Listed(bytes(item), msgspec.json.decode(item, type=ClaimDocument))
            if page.next_after is None:
                return
            query["after"] = page.next_after

    async def desk(self, story: str | None) -> bytes:
        """Return what somebody should look at, as the API gives it."""
        return await self._get("/v1/desk" + (f"?{urlencode({'story': story})}" if story else ""))

    async def explanation(self, claim_id: str, policy: str | None) -> bytes:
        """Return why a claim stands where it does, as the API gives it."""
        query = f"?{urlencode({'policy': policy})}" if policy else ""
        return await self._get(f"/v1/claims/{quote(claim_id, safe='')}/explanation{query}")

    async def projections(self) -> list[ProjectionStatus]:
        """Return how every projection stands."""
        return msgspec.json.decode(await self._get("/v1/projections"), type=_Statuses).items

    async def skip(self, name: str, position: int, why: str) -> None:
        """Let a stopped projection go on past an event."""
        said = msgspec.json.encode({"position": position, "why": why})
        await self._post(f"/v1/projections/{quote(name, safe='')}/skip", said)

    async def events(self, query: Mapping[str, str | Sequence[str] | None]) -> AsyncIterator[bytes]:
        """Yield what a query leaves of the log as NDJSON, in chunks of whatever size they arrive in."""
        try:
            async with self._streaming(query, {"Accept": "application/x-ndjson"}) as chunks:
                async for chunk in chunks:
                    yield chunk
        except StreamBroken as error:
            raise ApiFailure(str(error)) from error

    async def follow(self, query: Mapping[str, str | Sequence[str] | None]) -> AsyncIterator[Told]:
        """Yield the events that a query leaves as they are recorded, from now on or from its ``after``, for ever."""

        def opened(last_id: str | None) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
            resumed = {} if last_id is None else {"Last-Event-ID": last_id}
            return self._streaming(query, {"Accept": "text/event-stream"} | resumed)

        try:
            async with aclosing(followed(opened)) as events:
                async for event in events:
                    yield event
        except StreamBroken as error:
            raise ApiFailure(str(error)) from error

    @asynccontextmanager
    async def _streaming(
        self, query: Mapping[str, str | Sequence[str] | None], headers: Mapping[str, str]
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a stream of the log. Raises ``ApiFailure``, or ``StreamBroken`` if it may be tried again."""
        given = urlencode({name: value for name, value in query.items() if value}, doseq=True)
        url = f"{self._url}/v1/events" + (f"?{given}" if given else "")
        all_headers = self._headers | dict[bytes | str, bytes | str](headers.items())
        try:
            async with self._pool.stream(
                "GET", url, headers=all_headers, extensions={"timeout": _TIMEOUTS}
            ) as response:
                if response.status in _TRY_AGAIN:
                    raise StreamBroken(str(_failure(response.status, await response.aread())))
                if response.status != 200:  # noqa: PLR2004 - the status itself
                    raise _failure(response.status, await response.aread())
                yield response.aiter_stream()
        except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError) as error:
            raise StreamBroken(f"the API at {self._url} does not answer: {error}") from error

    async def erase(self, kind: str, subject: str, reason: str | None) -> bool:
        """Have one of ``sources`` or ``persons`` erased; False if it was before."""
        content = msgspec.json.encode({} if reason is None else {"reason": reason})
        response = await self._request("POST", f"/v1/{kind}/{quote(subject, safe='')}/erasure", content)
        if response.status == 409 and b"/problems/already-recorded" in response.content:  # noqa: PLR2004
            return False
        _checked(response)
        return True

    async def ask(
        self, method: str, path: str, content: object = None, *, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """Ask for anything under ``/v1``, and return the answer, which knows of what this client wrote.

        Raises ``ApiFailure`` for a problem.
        """
        said = None if content is None else msgspec.json.encode(content)
        written = {"Onrecord-After": self._written} if self._written and method == "GET" else {}
        response = await self._request(method, f"/v1{path}", said, written | dict(headers or {}))
        for name, value in response.headers:
            if name.lower() == b"onrecord-after" and method != "GET":
                self._written = value.decode()
        return _checked(response)

    async def _get(self, path: str) -> bytes:
        return _checked(await self._request("GET", path))

    async def _post(self, path: str, content: bytes) -> bytes:
        return _checked(await self._request("POST", path, content))

    async def _request(
        self, method: str, path: str, content: bytes | None = None, more: Mapping[str, str] | None = None
    ) -> httpcore2.Response:
        headers = self._headers | dict[bytes | str, bytes | str]((more or {}).items())
        if content is not None:
            headers["Content-Type"] = "application/json"
        try:
            return await self._pool.request(
                method, self._url + path, headers=headers, content=content, extensions={"timeout": _TIMEOUTS}
            )
        except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError) as error:
            raise ApiFailure(f"the API at {self._url} does not answer: {error}") from error


def _checked(response: httpcore2.Response) -> bytes:
    """Return what a response says. Raises ``ApiFailure`` for a problem."""
    if response.status >= 300:  # noqa: PLR2004 - what is no success
        raise _failure(response.status, response.content)
    return response.content


class _Where(Struct):
    pointer: str = ""


class _Said(Struct):
    title: str = ""
    detail: str = ""
    errors: list[_Where] = []


def _failure(status: int, content: bytes) -> ApiFailure:
    try:
        said = msgspec.json.decode(content, type=_Said)
    except msgspec.MsgspecError:
        said = _Said("the answer is no problem of On Record")
    where = "".join(f" at {each.pointer}" for each in said.errors[:1] if each.pointer)
    return ApiFailure(f"{said.title} ({status}){where}: {said.detail}")
