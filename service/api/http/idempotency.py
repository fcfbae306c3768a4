"""Idempotency keys (draft-ietf-httpapi-idempotency-key-header-07): what makes a request safe to send again.

The draft wants a string of Structured Fields (RFC 9651), ``"8e03978e…"``. Most who send the header leave the quotes
out, so a key may come without them, and is the same one.
"""

import re
from typing import Any

from litestar import Request

from service.api.http import fields
from service.api.http.problems import ApiError

HEADER = "idempotency-key"
_FIELD = HEADER.encode()
LONGEST = 255
_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE = re.compile(r"[!#-~](?:[ -~]*[!-~])?")
_ESCAPED = re.compile(r"\\(.)")


def key_of(request: Request[Any, Any, Any]) -> str | None:
    """Return the key of a request, if it has one.

    Raises ``bad-request`` for one that is not of 1 to 255 printable ASCII characters, and for several.
    """
    given = fields.values(request, _FIELD)
    if not given:
        return None
    if len(given) > 1:
        raise ApiError("bad-request", "a request has one Idempotency-Key")
    text = given[0].strip()
    if quoted := _QUOTED.fullmatch(text):
        key = _ESCAPED.sub(r"\1", quoted[1])
    elif _BARE.fullmatch(text) or not text:
        key = text
    else:
        raise ApiError("bad-request", "an Idempotency-Key is a string of printable ASCII characters")
    if not 1 <= len(key) <= LONGEST:
        raise ApiError("bad-request", f"an Idempotency-Key has 1 to {LONGEST} characters, not {len(key)}")
    return key
