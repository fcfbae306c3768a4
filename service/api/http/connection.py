"""A connection as the server sees it: what is no request, or too large a one, or never ends, is a problem as well.

uvicorn answers what httptools cannot read with a line of text, sets no limit to header fields, and waits for ever.
"""

import asyncio
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.api.http.kinds import KINDS
from service.api.http.problems import MEDIA_TYPE, Problem

LARGEST_TARGET = 8 * 1024
LARGEST_HEADER = 32 * 1024
MOST_FIELDS = 100
PATIENCE_SECONDS = 60.0
"""How long a request may take to arrive, and a new connection to bring one."""
_REASONS = {
    400: b"Bad Request",
    408: b"Request Timeout",
    414: b"URI Too Long",
    431: b"Request Header Fields Too Large",
}


class JoinedWrites:
    """A transport that sends the header of an answer together with the beginning of its body.

    uvicorn writes each by itself: two system calls, and two packets for the client to wake up for. A header that no
    body follows at once is sent in the next turn of the loop.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._soon = transport, loop.call_soon
        self._header = b""

    def write(self, data: bytes) -> None:
        """Send bytes; those of a header soon."""
        if self._header:
            data, self._header = self._header + data, b""
        elif data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n"):
            self._header = data
            self._soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        """Close the connection once all is sent."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._header:
            header, self._header = self._header, b""
            self._transport.write(header)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a transport has
        return getattr(self._transport, name)


class Connection(HttpToolsProtocol):
    """One connection of uvicorn's, with limits."""

    _size = 0
    _refused, _why = "bad-request", ""
    _arriving = True
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for a request."""
        super().connection_made(JoinedWrites(transport, self.loop))  # type: ignore[arg-type]  # it does what is used of one
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has arrived, and wait no longer than the limit for what is still missing of a request."""
        super().data_received(data)
        if not self._arriving:
            self._arrived()
        elif self._deadline is None and not self.transport.is_closing():
            self._wait()

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._size, self._arriving = 0, True

    def on_message_complete(self) -> None:
        """End a request."""
        self._arriving = False
        super().on_message_complete()

    def on_url(self, url: bytes) -> None:
        """Take a part of the request target."""
        super().on_url(url)
        if len(self.url) > LARGEST_TARGET:
            self._refuse("uri-too-long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field."""
        self._size += len(name) + len(value) + 4
        super().on_header(name, value)
        if self._size > LARGEST_HEADER or len(self.headers) > MOST_FIELDS:
            self._refuse("headers-too-large")

    def on_headers_complete(self) -> None:
        """End the header. What it has to say once, it says once (RFC 9112, section 3.2; RFC 9110, section 5.3)."""
        names = [name for name, _ in self.headers]
        hosts = names.count(b"host")
        if hosts > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            self._refuse("bad-request", f"a request has one Host, not {hosts}")
        if names.count(b"authorization") > 1:
            self._refuse("bad-request", "a request has one Authorization")
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - what we say is better
        """Answer what cannot be read, or is not wanted, with a problem, and close the connection."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(_refusal(self._refused, self._why))
        if cycle is not None and not cycle.response_complete:  # whoever waits for the rest of the request is told
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    def _refuse(self, slug: str, why: str = "") -> None:
        self._refused, self._why = slug, why
        raise ValueError(slug)  # which the parser turns into an error of its own

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(PATIENCE_SECONDS, self._give_up)

    def _arrived(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._refused, self._why = "request-timeout", ""
        if not self.transport.is_closing():
            self.send_400_response("")


def _refusal(slug: str, why: str) -> bytes:
    kind = KINDS[slug]
    problem: Any = Problem(f"/problems/{slug}", kind.title, kind.status, why or kind.means)
    body = msgspec.json.encode(problem)
    fields = (
        b"content-type: " + MEDIA_TYPE.encode(),
        b"content-length: %d" % len(body),
        b"cache-control: no-store",
        b"x-content-type-options: nosniff",
        b"connection: close",
    )
    return b"HTTP/1.1 %d %s\r\n%s\r\n\r\n%s" % (kind.status, _REASONS[kind.status], b"\r\n".join(fields), body)
