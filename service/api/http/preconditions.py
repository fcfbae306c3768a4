"""ETags and preconditions (RFC 9110, section 13): ``"epoch.version.generation"`` of a document.

A fourth part is the hash of what a document shows of other things; only If-None-Match compares it. The coded forms of
an answer have the same tag with the coding behind it, and all of them name the same version.

If-None-Match compares all but the coding. If-Match ignores the generation, too: a rebuild changes no fact.
"""

import hashlib
import re
from typing import Any

from litestar import Request

from events.ledger import Ledger
from service.api.http import fields
from service.api.http.negotiation import CODINGS
from service.api.http.problems import ApiError

_ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_LONGEST = 16
_CODED = tuple(f'-{coding}"' for coding in CODINGS)
LONGEST_LIST = 4_000
"""Characters that a list of entity tags may have."""


def etag(ledger: Ledger, version: int, generation: int, beside: bytes = b"") -> str:
    """Return the entity tag of a document at a version, and of what is shown with it that has versions of its own."""
    rest = f".{hashlib.sha256(beside).hexdigest()[:12]}" if beside else ""
    return f'"{ledger.epoch}.{version}.{generation}{rest}"'


def content_tag(content: bytes) -> str:
    """Return the entity tag of what has no version: weak, for the same may be said in other bytes tomorrow."""
    return f'W/"{hashlib.sha256(content).hexdigest()[:24]}"'


def not_modified(request: Request[Any, Any, Any], tag: str) -> str | None:
    """Return the tag by which the caller has this version already, if it does: If-None-Match, weakly compared.

    Raises ``bad-request`` for a list that is too long.
    """
    named = fields.value(request, b"if-none-match")
    if named is None:
        return None
    if len(named) > LONGEST_LIST:
        raise ApiError("bad-request", f"If-None-Match: more than {LONGEST_LIST} characters")
    if named.strip() == "*":
        return tag
    wanted = tag.removeprefix("W/")
    known = (each.removeprefix("W/") for each in _ENTITY_TAG.findall(named))
    weak = "W/" if tag != wanted else ""
    return next((weak + each for each in known if _uncoded(each) == wanted), None)


def expected_versions(request: Request[Any, Any, Any], ledger: Ledger) -> frozenset[int] | None:
    """Return the versions that If-Match names, or None if it does not restrict them.

    A tag that is weak, or not one of this epoch, names no version. Raises ``precondition-required`` if the route wants
    the header and it is not there (RFC 6585), and ``bad-request`` for what is no list of entity tags.
    """
    asked = fields.value(request, b"if-match")
    if asked is None:
        if request.route_handler.opt.get("if_match"):
            raise ApiError("precondition-required", "this change needs If-Match: the ETag of what it changes, or *")
        return None
    asked = asked.strip()
    if asked == "*":
        return None
    tags = _ENTITY_TAG.findall(asked)
    if not tags or _ENTITY_TAG.sub("", asked).strip(" \t,"):
        raise ApiError("bad-request", f"If-Match: {asked[:80]} is no list of ETags")
    named = (tag.strip('"').partition(".") for tag in tags)
    versions = [(epoch, rest.partition(".")[0]) for epoch, _, rest in named]
    return frozenset(
        int(version)
        for epoch, version in versions
        if epoch == ledger.epoch and version.isascii() and version.isdigit() and len(version) <= _LONGEST
    )


def _uncoded(tag: str) -> str:
    for coded in _CODED:
        if tag.endswith(coded):
            return tag[: -len(coded)] + '"'
    return tag
