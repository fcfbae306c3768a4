"""Cross-origin requests (the Fetch standard's CORS protocol): off, unless origins are named, and then for those only.

API keys travel in ``Authorization``, never in cookies, so ``Access-Control-Allow-Credentials`` is never sent.
"""

from collections.abc import Iterable

Headers = list[tuple[bytes, bytes]]

_ALLOWED = (
    "Accept, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Onrecord-After,"
    " Traceparent, X-Request-Id"
)
_EXPOSED = (
    "Allow, ETag, Link, Location, Onrecord-After, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate,"
    " X-Request-Id"
)
_KEPT_SECONDS = 600


class Cors:
    """Which origins may read answers: each exactly as a browser sends it, as in ``https://desk.example.org``."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)

    def fields(self, request_headers: Iterable[tuple[bytes, bytes]]) -> Headers:
        """Return what an answer has to say so that the origin of its request may read it."""
        origin = self._origin(request_headers)
        if origin is None:
            return []
        return [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", _EXPOSED.encode())]

    def preflight(self, request_headers: Iterable[tuple[bytes, bytes]], methods: str) -> Headers:
        """Return what an ``OPTIONS`` answer has to say, beside :meth:`fields`, so that a request may follow."""
        if self._origin(request_headers) is None:
            return []
        if not any(name == b"access-control-request-method" for name, _ in request_headers):
            return []
        return [
            (b"access-control-allow-methods", methods.encode()),
            (b"access-control-allow-headers", _ALLOWED.encode()),
            (b"access-control-max-age", b"%d" % _KEPT_SECONDS),
        ]

    def _origin(self, request_headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
        return next((value for name, value in request_headers if name == b"origin" and value in self._origins), None)
