"""Answers: stored bytes and a few headers, straight to ASGI.

Litestar's responses know cookies, encoders and background tasks; here all bytes are made already.
"""

from collections.abc import Mapping

from litestar.types import Receive, Scope, Send

JSON = "application/json"


class Answer:
    """One answer: a whole body with its status and headers. Header names are ASCII, values latin-1."""

    __slots__ = ("_body", "_headers", "_status")

    def __init__(
        self, body: bytes, *, status: int = 200, media_type: str = JSON, headers: Mapping[str, str] | None = None
    ) -> None:
        self._status, self._body = status, body
        self._headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
        if body or status != 304:  # noqa: PLR2004 - a 304 has no content to describe
            self._headers += (
                (b"content-type", media_type.encode()),
                (b"content-length", b"%d" % len(body)),
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's three
        """Send it (ASGI)."""
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})
