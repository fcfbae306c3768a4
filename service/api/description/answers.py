"""What operations answer: every status that one can give, with its headers and, for problems, its kinds."""

from collections.abc import Iterable, Mapping
from typing import Any

from events.schemas import Schema
from service.api.audit import AS_OF
from service.api.description.shapes import reference
from service.api.http.kinds import KINDS
from service.api.http.problems import MEDIA_TYPE
from service.api.http.receipts import Receipt
from service.api.http.sealing import SEALED
from service.api.http.served import READ_AFTER

_TEXT: Schema = {"type": "string", "maxLength": 200}
_CURSOR = r"^[0-9a-hjkmnp-tv-z]+\.[0-9]{1,16}$"

HEADERS: dict[str, Schema] = {
    "Access-Control-Allow-Origin": {
        "description": "The origin that asks, if this service is set up to answer it in a browser.",
        "schema": _TEXT,
    },
    "Cache-Control": {"description": "Who may keep the answer, and for how long (RFC 9111).", "schema": _TEXT},
    "ETag": {
        "description": "The version of the document, for `If-Match` and `If-None-Match`.",
        "schema": {"type": "string", "pattern": '^(W/)?"[^"]+"$', "maxLength": 200},
    },
    "Link": {
        "description": "Where the pages beside this one are (RFC 8288): `rel=next`, `rel=prev`.",
        "schema": {"type": "string", "maxLength": 8000},
    },
    "Location": {
        "description": "Where the new thing is.",
        "schema": {"type": "string", "format": "uri-reference", "maxLength": 200},
    },
    READ_AFTER: {
        "description": "The token of this write: a read that carries it sees the write.",
        "schema": {"type": "string", "pattern": _CURSOR, "maxLength": 40},
    },
    "RateLimit": {
        "description": "How many requests the key has left, and in how many seconds there are more.",
        "schema": _TEXT,
    },
    "RateLimit-Policy": {"description": "How many requests a key has, in which time.", "schema": _TEXT},
    "Retry-After": {
        "description": "In how many seconds to try again.",
        "schema": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 86_400},
    },
    "WWW-Authenticate": {"description": "What the request has to carry (RFC 6750).", "schema": _TEXT},
    SEALED: {
        "description": "Over how many events the checkpoint is that covers the write, if it waited for one.",
        "schema": {"type": "integer", "format": "int64", "minimum": 1, "maximum": 2**53 - 1},
    },
    AS_OF: {
        "description": "The cursor at the moment that was asked about: as `as_of` it keeps every page at that moment.",
        "schema": {"type": "string", "pattern": _CURSOR, "maxLength": 40},
    },
    "X-Request-Id": {"description": "What the log calls this request.", "schema": _TEXT},
}
"""Every header that an answer can have, beside those of HTTP itself."""
_EVERYWHERE = ("X-Request-Id", "Access-Control-Allow-Origin")
_LIMITED = ("RateLimit", "RateLimit-Policy")
_OF_PROBLEMS: dict[int, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    412: ("ETag",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
_TITLES: dict[int, str] = {
    400: "The request is malformed.",
    401: "The request carries no key or token that is known here.",
    403: "The key or token does not open this.",
    404: "There is no such thing.",
    406: "It cannot be had in a form that the request accepts.",
    409: "It is on record already, or others were quicker each time.",
    410: "The cursor is of an earlier epoch of the ledger.",
    412: "It has moved on since the version that the request expects.",
    413: "The body or the event is too large.",
    415: "The body is of another type than JSON.",
    422: "The body is not valid, or a rule of the record forbids it.",
    428: "The request has to say which version it expects.",
    429: "The key has made all requests that it has for now.",
    500: "Something broke on our side; the request id finds it in the log.",
    503: "It cannot be answered at the moment.",
}


def problem_responses(operations: Iterable[Schema]) -> dict[str, Schema]:
    """Return the component of every problem status of these: what it means, its kinds of problem, its headers."""
    given = {
        int(status) for operation in operations for status, each in operation["responses"].items() if "$ref" in each
    }
    return {f"Problem{status}": _problem(status) for status in sorted(given)}


def header_components() -> dict[str, Schema]:
    """Return the component of every header."""
    return HEADERS


def responses(  # noqa: PLR0913 - what an operation is
    opt: Mapping[str, Any], method: str, *, path: str, parameters: set[str], content: Schema, tagged: bool
) -> dict[str, Schema]:
    """Return every answer of an operation by its status; ``tagged`` says whether what it reads has an ETag."""
    status = opt.get("status", 201 if method == "post" else 200)
    answers: dict[str, Schema] = {
        str(status): {
            "description": opt.get("done", "Done."),
            "headers": _headers(*_of_success(opt, tagged=tagged), public=bool(opt.get("public"))),
            "content": content,
        }
    }
    if "If-None-Match" in parameters:
        answers["304"] = {"description": "The caller has this version.", "headers": _headers("ETag", "Cache-Control")}
    for each in sorted(_refusals(opt, method, path, parameters) & _statuses()):
        answers[str(each)] = {"$ref": f"#/components/responses/Problem{each}"}
    return answers


def _statuses() -> set[int]:
    return {kind.status for kind in KINDS.values()}


def _refusals(opt: Mapping[str, Any], method: str, path: str, parameters: set[str]) -> set[int]:
    """Return the statuses of the problems that an operation can answer with."""
    found = {500}
    if parameters or opt.get("body"):
        found |= {400}
    if "{" in path:
        found |= {404}
    if {"after", "before", "as_of", "changed_since", READ_AFTER, "Last-Event-ID", "leaf_hash"} & parameters:
        found |= {410}
    if not opt.get("public"):
        found |= {400, 401, 403, 406, 429, 503}
    if method in {"post", "patch", "put", "delete"}:
        found |= {409, 422}
    if "body" in opt:
        found |= {404, 413, 415}
    if "If-Match" in parameters:
        found |= {412} | ({428} if opt.get("if_match") else set())
    return found


def _of_success(opt: Mapping[str, Any], *, tagged: bool) -> tuple[str, ...]:
    """Return the headers of an operation that did what was asked."""
    if opt.get("answer") is Receipt:
        return ("Location", "ETag", READ_AFTER, SEALED)
    tag = (*opt.get("headers", ()), *(("ETag",) if tagged else ()))
    if "events" in opt or "items" in opt:
        return (*tag, "Link", "Cache-Control")
    return (*tag, "Cache-Control")


def _problem(status: int) -> Schema:
    kinds = [kind for kind in KINDS.values() if kind.status == status]
    about = "\n".join(f"* [`{kind.slug}`](/problems/{kind.slug}): {kind.title}. {kind.advice}" for kind in kinds)
    return {
        "description": f"{_TITLES.get(status, kinds[0].title)}\n\n{about}",
        "headers": _headers(*_OF_PROBLEMS.get(status, ())),
        "content": {MEDIA_TYPE: {"schema": reference("Problem")}},
    }


def _headers(*names: str, public: bool = False) -> Schema:
    wanted = (*names, *(() if public else _LIMITED), *_EVERYWHERE)
    return {name: {"$ref": f"#/components/headers/{name}"} for name in wanted}
