"""Streams: answers whose body is made while it is sent, for as long as the client and the service are there.

A process bounds how many there are at once, in all and for each key. Nothing in ASGI tells an application that its
server wants to stop, and an open stream keeps it from that: so whoever stops the server says so here first.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping

from litestar.enums import ScopeType
from litestar.types import Receive, Scope, Send

from service.api.http.problems import ApiError

_PATIENCE = 30.0
"""Seconds that a client may take nothing of what is sent to it."""
_LAST_WORD = 1.0
"""Seconds that the last bytes of a stream may take once it has to end."""


class Streams:
    """The streams that are open in this process."""

    def __init__(self, most: int, most_of_a_key: int, ending: asyncio.Event) -> None:
        self._most, self._most_of_a_key = most, most_of_a_key
        self._open: Counter[str] = Counter()
        self.ending = ending
        """Set when the service is about to stop: every stream ends at once, and none begins."""

    @property
    def number(self) -> int:
        """How many are open."""
        return self._open.total()

    @contextlib.contextmanager
    def place(self, key_id: str) -> Iterator[None]:
        """Take a place for as long as the caller is inside.

        Raises ``shutting-down`` and ``streams-full`` (503), or ``too-many-streams`` (429).
        """
        if self.ending.is_set():
            raise ApiError("shutting-down", "the service is about to stop; another process may answer")
        if self._open[key_id] >= self._most_of_a_key:
            raise ApiError("too-many-streams", f"the key has {self._most_of_a_key} streams open in this process")
        if self.number >= self._most:
            raise ApiError("streams-full", f"this process has {self._most} streams open")
        self._open[key_id] += 1
        try:
            yield
        finally:
            self._open[key_id] -= 1
            if not self._open[key_id]:
                del self._open[key_id]


class Stream:
    """One answer that streams.

    ``farewell`` makes the last bytes for a client when the service stops. Without one the answer is broken off, so that
    nobody takes it for whole.
    """

    def __init__(  # noqa: PLR0913 - what a stream is
        self,
        streams: Streams,
        key_id: str,
        body: AsyncGenerator[bytes, None],
        *,
        media_type: str,
        headers: Mapping[str, str],
        farewell: Callable[[], bytes] | None = None,
    ) -> None:
        self._streams, self._key_id, self._body, self._farewell = streams, key_id, body, farewell
        self._headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        self._headers.append((b"content-type", media_type.encode()))
        self._sending_since: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it (ASGI), until its end, the client's, or ours."""
        with self._streams.place(self._key_id):
            await send({"type": "http.response.start", "status": 200, "headers": self._headers})
            if scope["type"] == ScopeType.HTTP and scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            sending = asyncio.create_task(self._send(send))
            gone = asyncio.create_task(_until_gone(receive))
            ending = asyncio.create_task(self._streams.ending.wait())
            try:
                await self._first_of(sending, gone, ending)
            finally:
                for task in (sending, gone, ending):
                    task.cancel()
                await asyncio.wait([sending, gone, ending])
            if not sending.cancelled():
                sending.result()
            elif self._farewell and not (gone.done() and not gone.cancelled()):
                await self._say(self._farewell(), send)

    async def _first_of(self, sending: asyncio.Task[None], *others: asyncio.Task[object]) -> None:
        """Return when one of them is done, or the client takes nothing any more."""
        while not (await asyncio.wait([sending, *others], timeout=_PATIENCE / 3, return_when="FIRST_COMPLETED"))[0]:
            if self._sending_since is not None and time.monotonic() - self._sending_since > _PATIENCE:
                return

    async def _send(self, send: Send) -> None:
        async with contextlib.aclosing(self._body) as body:
            async for part in body:
                self._sending_since = time.monotonic()
                await send({"type": "http.response.body", "body": part, "more_body": True})
                self._sending_since = None
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _say(self, last: bytes, send: Send) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORD):
                await send({"type": "http.response.body", "body": last, "more_body": False})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
