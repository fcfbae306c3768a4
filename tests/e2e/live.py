"""A follower of the live feed, for tests: it reads ``text/event-stream`` by itself, and waits with a bound."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import msgspec

PATIENCE = 20.0
LIVE = {"Accept": "text/event-stream"}


class Told(msgspec.Struct, frozen=True):
    """One block of a stream, as it came."""

    id: str = ""
    event: str = ""
    data: bytes = b""

    @property
    def position(self) -> int:
        """The position that its id names."""
        return int(self.id.partition(".")[2])


class Live:
    """A stream that is open. ``last_id`` is what a browser would resume with."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self.last_id = ""
        self._parts = response.aiter_raw()
        self._rest = b""

    async def block(self) -> Told | None:
        """Return the next block, whatever it is; None when the service has ended the stream."""
        async with asyncio.timeout(PATIENCE):
            while b"\n\n" not in self._rest:
                part = await anext(self._parts, None)
                if part is None:
                    assert self._rest == b""
                    return None
                self._rest += part
        raw, _, self._rest = self._rest.partition(b"\n\n")
        named = [line.partition(b": ") for line in raw.split(b"\n")]
        fields = {name.decode(): value for name, _, value in named if name in {b"id", b"event", b"data"}}
        told = Told(fields.get("id", b"").decode(), fields.get("event", b"").decode(), fields.get("data", b""))
        self.last_id = told.id or self.last_id
        return told

    async def next(self) -> Told:
        """Return the next event that a browser would be given."""
        while told := await self.block():
            if told.data:
                return told
        raise AssertionError("the stream has ended")

    async def take(self, number: int) -> list[Told]:
        """Return so many events."""
        return [await self.next() for _ in range(number)]

    async def ended(self) -> Any:
        """Take what is left, and return the problem with which the service ends the stream."""
        last = Told()
        while told := await self.block():
            last = told if told.data else last
        assert last.event == "stream.ended"
        assert last.id == ""
        return msgspec.json.decode(last.data)


@contextlib.asynccontextmanager
async def following(
    api: httpx2.AsyncClient, *, last_id: str | None = None, headers: dict[str, str] | None = None, **query: Any
) -> AsyncIterator[Live]:
    """Follow the feed, once it is open."""
    resumed = {"Last-Event-ID": last_id} if last_id is not None else {}
    async with api.stream(
        "GET", "/v1/events", params=query or None, headers=LIVE | resumed | (headers or {}), timeout=PATIENCE
    ) as response:
        if response.status_code != 200:
            await response.aread()
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "text/event-stream"
        yield Live(response)
