"""Answers: stored bytes and a few headers, straight to ASGI, compressed if that is worth it and wanted.

Litestar's responses know cookies, encoders and background tasks; here all bytes are made already.
"""

import asyncio
import gzip
from collections.abc import Mapping

import brotli
from litestar.types import Receive, Scope, Send

from service.api.http.negotiation import JSON, coding

_WORTH_COMPRESSING = 2048
"""Bytes from which a body is compressed: a smaller one fits into a packet or two as it is."""
_ELSEWHERE = 64 * 1024
"""Bytes from which it is compressed in a thread, so that nobody waits for it."""
_BROTLI_QUALITY, _GZIP_LEVEL = 3, 4
"""What can be made while somebody waits."""


class Answer:
    """One answer: a whole body with its status and headers. Header names are ASCII, values latin-1.

    The coded forms of a body have entity tags of their own (RFC 9110, section 8.8.3.3): the tag, and the coding.
    """

    __slots__ = ("_body", "_headers", "_status")

    def __init__(
        self, body: bytes, *, status: int = 200, media_type: str = JSON, headers: Mapping[str, str] | None = None
    ) -> None:
        self._status, self._body = status, body
        self._headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
        if body or status not in (204, 304):  # which have no content to describe
            self._headers.append((b"content-type", media_type.encode()))

    @property
    def size(self) -> int:
        """The bytes of its body."""
        return len(self._body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's three
        """Send it (ASGI)."""
        body, headers = self._body, self._headers
        if len(body) >= _WORTH_COMPRESSING and all(name != b"content-encoding" for name, _ in headers):
            wanted = next((value for name, value in scope["headers"] if name == b"accept-encoding"), b"")
            chosen = coding(wanted) if wanted else None
            if chosen:
                body = await _compressed(chosen, body)
                headers = [(name, tag_of(value, chosen) if name == b"etag" else value) for name, value in headers]
                headers.append((b"content-encoding", chosen.encode()))
        if body or self._status not in (204, 304):
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


def tag_of(tag: bytes, coded: str) -> bytes:
    """Return the entity tag of the coded form of what has this one."""
    return b'%s-%s"' % (tag[:-1], coded.encode())


async def _compressed(chosen: str, body: bytes) -> bytes:
    if len(body) >= _ELSEWHERE:
        return await asyncio.to_thread(_compress, chosen, body)
    return _compress(chosen, body)


def _compress(chosen: str, body: bytes) -> bytes:
    if chosen == "br":
        return bytes(brotli.compress(body, quality=_BROTLI_QUALITY))
    return gzip.compress(body, _GZIP_LEVEL, mtime=0)
