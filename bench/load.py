"""A load generator: so many keep-alive connections, one request at a time on each, for so many seconds.

It sends as fast as answers come, or at a rate. Then latency counts from when a request was due, so that a server which
holds one up is charged for those that wait behind it.
"""

import asyncio
import time
from collections.abc import Callable
from itertools import count

from msgspec import Struct


class Measured(Struct, frozen=True):
    """What a load gave: answers a second, and latencies in milliseconds."""

    per_second: float
    median: float
    p99: float


class _Connection(asyncio.Protocol):
    """Sends a request, waits for the whole answer, sends the next, until the deadline."""

    def __init__(
        self,
        request: Callable[[int], bytes],
        due: Callable[[], tuple[int, float]],
        deadline: float,
        status: bytes,
    ) -> None:
        self._request, self._due, self._deadline, self._status = request, due, deadline, status
        self._begun, self._wanted, self._got = 0.0, 0, bytearray()
        self.latencies: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._got += data
        if not self._wanted:
            end = self._got.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._got[:end]).lower()
            if not head.startswith(b"http/1.1 " + self._status):
                self._finish(RuntimeError(bytes(self._got[:600]).decode()))
                return
            at = head.index(b"content-length: ") + 16
            self._wanted = end + 4 + int(head[at:].split(b"\r\n", 1)[0])
        if len(self._got) >= self._wanted:
            now = time.perf_counter()
            self.latencies.append(now - self._begun)
            if now > self._deadline:
                self._finish(None)
            else:
                self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(exc or RuntimeError("the server closed the connection"))

    def _send(self) -> None:
        self._wanted = 0
        self._got.clear()
        number, self._begun = self._due()
        early = self._begun - time.perf_counter()
        if early > 0:
            asyncio.get_running_loop().call_later(early, self._write, number)
        else:
            self._write(number)

    def _write(self, number: int) -> None:
        self._transport.write(self._request(number))  # type: ignore[attr-defined]

    def _finish(self, error: Exception | None) -> None:
        if not self.done.done():
            if error:
                self.done.set_exception(error)
            else:
                self.done.set_result(None)
            self._transport.close()


async def load(  # noqa: PLR0913 - what a load is
    port: int,
    request: Callable[[int], bytes],
    *,
    connections: int = 32,
    seconds: float = 4.0,
    status: int = 200,
    rate: float | None = None,
) -> Measured:
    """Load a server on loopback. ``request`` makes the bytes of the n-th request; any other status is an error.

    ``rate`` is how many requests are due a second; without it each is due when its connection has an answer.
    """
    begun, numbers = time.perf_counter(), count()

    def due() -> tuple[int, float]:
        number = next(numbers)
        return number, time.perf_counter() if rate is None else begun + number / rate

    opened = []
    for _ in range(connections):
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(request, due, begun + seconds, str(status).encode()), "127.0.0.1", port
        )
        opened.append(connection)
    await asyncio.wait_for(asyncio.gather(*(connection.done for connection in opened)), seconds + 30)
    latencies = sorted(latency for connection in opened for latency in connection.latencies)
    took = time.perf_counter() - begun
    return Measured(
        len(latencies) / took, 1000 * latencies[len(latencies) // 2], 1000 * latencies[int(len(latencies) * 0.99)]
    )


def http(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """Return the bytes of an HTTP/1.1 request. Header names are given with underscores for hyphens."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
