"""ETags and preconditions (RFC 9110, section 13): ``"epoch.version.generation"`` of a document.

A fourth part is the hash of what a document shows of other things; only If-None-Match compares it.

If-None-Match compares all of it. If-Match ignores the generation: a rebuild changes no fact.
"""

import hashlib
from typing import Any

from litestar import Request

from events.ledger import Ledger
from service.api.http.problems import ApiError


def etag(ledger: Ledger, version: int, generation: int, beside: bytes = b"") -> str:
    """Return the entity tag of a document at a version, and of what is shown with it that has versions of its own."""
    rest = f".{hashlib.sha256(beside).hexdigest()[:12]}" if beside else ""
    return f'"{ledger.epoch}.{version}.{generation}{rest}"'


def not_modified(request: Request[Any, Any, Any], tag: str) -> bool:
    """Whether the caller has this version already: If-None-Match names it, weakly compared."""
    given = request.headers.get("if-none-match")
    if given is None:
        return False
    tags = [each.strip().removeprefix("W/") for each in given.split(",")]
    return "*" in tags or tag in tags


def expected_versions(request: Request[Any, Any, Any], ledger: Ledger) -> frozenset[int] | None:
    """Return the versions that If-Match names, or None if it does not restrict them.

    A tag of another epoch names no version of this one. Raises ``bad-request`` for what is no tag of ours.
    """
    given = request.headers.get("if-match")
    if given is None or given.strip() == "*":
        return None
    versions = set()
    for tag in given.split(","):
        epoch, _, rest = tag.strip().strip('"').partition(".")
        version = rest.partition(".")[0]
        if not (version.isascii() and version.isdigit()):
            raise ApiError("bad-request", f"If-Match: {given[:80]} is no ETag of this service")
        if epoch == ledger.epoch:
            versions.add(int(version))
    return frozenset(versions)
