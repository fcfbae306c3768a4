"""An endpoint to test with: it keeps what it is sent, and answers as it is told to."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec


class Received(NamedTuple):
    """One request: its path, its headers by their names in lower case, and its body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


class Receiver:
    """Listens on loopback. ``answers`` are the next statuses; then ``status``. ``answers_at_all``: or never.

    While ``answering`` is not set it answers nobody; ``most`` is how many waited for an answer at once.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: deque[int] = deque()
        self.status, self.headers, self.answers_at_all = 204, "", True
        self.answering = asyncio.Event()
        self.answering.set()
        self.waiting = self.most = 0
        self._serving: set[asyncio.Task[None]] = set()
        self.port = 0
        self._new = asyncio.Condition()

    def url(self, path: str = "/hook") -> str:
        """Return where it listens."""
        return f"http://127.0.0.1:{self.port}{path}"

    async def until(self, count: int, seconds: float = 20) -> list[Received]:
        """Wait until so many requests have come, pings aside, and return those."""
        async with asyncio.timeout(seconds), self._new:
            await self._new.wait_for(lambda: len(self.events) >= count)
        return self.events

    @property
    def events(self) -> list[Received]:
        """What came, pings aside."""
        return [each for each in self.received if b'"webhook.ping"' not in each.body]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        serving = asyncio.current_task()
        assert serving
        self._serving.add(serving)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").strip().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers["content-length"]))
                self.received.append(Received(first.split(" ")[1], headers, body))
                if not self.answers_at_all:
                    await reader.read()
                self.waiting += 1
                self.most = max(self.most, self.waiting)
                await self.answering.wait()
                self.waiting -= 1
                status = self.answers.popleft() if self.answers else self.status
                writer.write(f"HTTP/1.1 {status} So\r\n{self.headers}Content-Length: 0\r\n\r\n".encode())
                await writer.drain()
                async with self._new:
                    self._new.notify_all()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._serving.discard(serving)
            writer.close()

    async def end(self) -> None:
        """Leave every connection."""
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Yield an endpoint that listens."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await receiver.end()
