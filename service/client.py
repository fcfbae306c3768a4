"""A client of the API, for the command line: it asks as anybody would."""

from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import httpcore2
import msgspec
from msgspec import Raw, Struct

from service.projections.documents import ClaimDocument
from service.projections.status import ProjectionStatus
from service.settings import Settings

_TIMEOUTS = {"connect": 5.0, "read": 30.0, "write": 30.0, "pool": 5.0}


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
                f"there is no key in {settings.bootstrap_key_path}; set ONRECORD_KEY or ONRECORD_HOME"
            ) from error
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

    async def events(self, after: str | None) -> AsyncIterator[bytes]:
        """Yield the log as NDJSON, in chunks of whatever size they arrive in."""
        url = f"{self._url}/v1/events" + (f"?{urlencode({'after': after})}" if after else "")
        headers = self._headers | {"Accept": "application/x-ndjson"}
        try:
            async with self._pool.stream("GET", url, headers=headers, extensions={"timeout": _TIMEOUTS}) as response:
                if response.status != 200:  # noqa: PLR2004 - the status itself
                    raise _failure(response.status, await response.aread())
                async for chunk in response.aiter_stream():
                    yield chunk
        except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError) as error:
            raise ApiFailure(f"the API at {self._url} does not answer: {error}") from error

    async def _get(self, path: str) -> bytes:
        try:
            response = await self._pool.request(
                "GET", self._url + path, headers=self._headers, extensions={"timeout": _TIMEOUTS}
            )
        except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError) as error:
            raise ApiFailure(f"the API at {self._url} does not answer: {error}") from error
        if response.status != 200:  # noqa: PLR2004 - the status itself
            raise _failure(response.status, response.content)
        return response.content


class _Said(Struct):
    title: str = ""
    detail: str = ""


def _failure(status: int, content: bytes) -> ApiFailure:
    try:
        said = msgspec.json.decode(content, type=_Said)
    except msgspec.MsgspecError:
        said = _Said("the answer is no problem of On Record")
    return ApiFailure(f"{said.title} ({status}): {said.detail}")
