"""Endpoints to deliver to, in a process of their own: ``python -m bench.receivers PORT PORT``.

On the first port each POST is answered 204 at once, and noted; ``GET /`` answers with what came since it was last
asked, a line each: identifier, and seconds from its being recorded until it came. On the second nobody is answered.
"""

import asyncio
import re
import sys
import time

import uvloop

from events import moments

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_ID = re.compile(rb"webhook-id: (\S+)", re.IGNORECASE)
_RECORDED = re.compile(rb'"recordedtime":"([^"]+)"')
_TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"


class Endpoint(asyncio.Protocol):
    """One connection."""

    def __init__(self, came: list[tuple[bytes, float, bytes]]) -> None:
        self._came, self._rest = came, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._rest += data
        while (end := self._rest.find(b"\r\n\r\n")) >= 0:
            head = self._rest[:end]
            if head.startswith(b"GET"):
                self._rest = self._rest[end + 4 :]
                self._tell()
                continue
            length = _LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._rest) < whole:
                return
            name = _ID.search(head)
            self._came.append((name[1] if name else b"", time.time(), self._rest[max(end, whole - 90) : whole]))
            self._rest = self._rest[whole:]
            self._transport.write(_TAKEN)  # type: ignore[attr-defined]

    def _tell(self) -> None:
        lines = []
        for name, at, end in self._came:
            recorded = _RECORDED.search(end)
            since = at - moments.microseconds(recorded[1].decode()) / 1e6 if recorded else 0.0
            lines.append(b"%s %.6f\n" % (name, since))
        self._came.clear()
        said = b"".join(lines)
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))  # type: ignore[attr-defined]


async def main(answers: int, never: int) -> None:
    """Listen until the process is ended."""
    came: list[tuple[bytes, float, bytes]] = []
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Endpoint(came), "127.0.0.1", answers, backlog=4096)
    await loop.create_server(asyncio.Protocol, "127.0.0.1", never, backlog=4096)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:])))
