"""The OpenAPI description: Litestar's for the routes, msgspec's for the shapes, joined here.

A route says in its ``opt`` what it takes and gives: ``body`` and ``answer`` are Structs, ``items`` a Struct that it
lists (``whole`` if that is no index of documents), ``events`` a page of the log, ``streams`` the types in which it
streams that, ``text`` plain text, ``status`` another status than 200 and 201, ``scope`` which scope its key must have
or ``public`` that it wants no key.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from events.confidential import SHAPES
from service.api.http.problems import MEDIA_TYPE, Problem
from service.api.http.served import READ_AFTER

Schema = dict[str, Any]
_SHAPES = "#/components/schemas/{name}"
_IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "Makes the request safe to send again: it is carried out once, and answered alike each time.",
}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "An ETag of the claim: the request is refused with 412 if the claim has moved on.",
}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "An ETag that the caller has: the answer is 304 if the document is still the same.",
}
_AFTER = {
    "name": READ_AFTER,
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The token of a write that this read must see.",
}
_LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The last `id` of a live stream, which goes on after it; it counts for more than `after`.",
}
_CONFIDENTIAL = {
    "description": "Said in confidence: the ledger holds it encrypted, under the key of the subject. Answers have it"
    " for keys with the scope read:confidential only; it is null when it cannot be read any more."
}
_ERASED = {
    "type": "boolean",
    "readOnly": True,
    "description": "Whether it cannot be read because its subject was erased.",
}
_EVENT = {
    "type": "object",
    "description": "A CloudEvents 1.0 event, as the ledger holds it.",
    "required": ["specversion", "id", "source", "type", "data", "sequence", "recordedtime"],
}


def described(app: Litestar) -> bytes:
    """Return the OpenAPI 3.1 description of an application, as indented JSON."""
    description = app.openapi_schema.to_schema()
    handlers = {
        handler.operation_id: handler for route in app.routes for handler in getattr(route, "route_handlers", ())
    }
    refs, description["components"]["schemas"] = _shapes(handlers.values())
    for path in description["paths"].values():
        for method, operation in path.items():
            _describe(operation, method, handlers[operation["operationId"]], refs)
    return msgspec.json.format(msgspec.json.encode(description), indent=2) + b"\n"


def _shapes(handlers: Iterable[HTTPRouteHandler]) -> tuple[dict[type, Schema], Schema]:
    """Return a reference for each Struct that a route takes or gives, and the components that they refer to."""
    types: list[type] = [Problem]
    for handler in handlers:
        types += [handler.opt[part] for part in ("body", "answer", "items") if part in handler.opt]
    types = list(dict.fromkeys(types))
    references, shapes = msgspec.json.schema_components([*types, *dict.fromkeys(SHAPES.values())], ref_template=_SHAPES)
    _say_in_confidence(shapes)
    return dict(zip(types, references, strict=False)), shapes


def _say_in_confidence(shapes: Schema) -> None:
    """Show what is sealed as requests give it and answers open it."""
    for record, shape in SHAPES.items():
        properties = shapes[record.__name__]["properties"]
        del properties["sealed"]
        properties["confidential"] = _CONFIDENTIAL | {
            "anyOf": [{"$ref": _SHAPES.format(name=shape.__name__)}, {"type": "null"}]
        }
        properties["erased"] = _ERASED
    del shapes["Sealed"]


def _describe(operation: Schema, method: str, handler: HTTPRouteHandler, refs: dict[type, Schema]) -> None:
    opt = handler.opt
    is_document = ("answer" in opt or "items" in opt) and not (opt.get("public") or opt.get("whole"))
    reads_document = method == "get" and is_document
    parameters = operation.pop("parameters", [])
    if "body" in opt:
        operation["requestBody"] = {"required": True, "content": _json(refs[opt["body"]])}
        parameters += [_IDEMPOTENCY] + [_IF_MATCH] * (is_document and any("{" in path for path in handler.paths))
    if reads_document:
        parameters += [_IF_NONE_MATCH] * ("answer" in opt) + [_AFTER]
    if opt.get("streams"):
        parameters += [_LAST_EVENT_ID]
    if parameters:
        operation["parameters"] = parameters
    if not opt.get("public"):
        operation["security"] = [{"key": [opt["scope"]]}]
    operation["responses"] = {
        str(opt.get("status", 201 if method == "post" else 200)): {
            "description": "Done.",
            "content": _content(opt, refs),
        },
        "default": {"description": "A problem (RFC 9457).", "content": {MEDIA_TYPE: {"schema": refs[Problem]}}},
    }
    if reads_document and "answer" in opt:
        operation["responses"]["304"] = {"description": "The caller has this version."}


def _content(opt: Mapping[str, Any], refs: dict[type, Schema]) -> Schema:
    """Return what a route gives when all is well."""
    if "text" in opt:
        return {"text/plain": {"schema": {"type": "string"}}}
    if "items" in opt:
        return _json(_page("items", refs[opt["items"]]))
    if "events" in opt:
        streams = {media_type: {"schema": {"type": "string"}} for media_type in opt.get("streams", ())}
        return _json(_page("events", _EVENT)) | streams
    return _json(refs[opt["answer"]])


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _page(member: str, item: Schema) -> Schema:
    return {
        "type": "object",
        "required": [member, "next_after"],
        "properties": {
            member: {"type": "array", "items": item},
            "next_after": {"type": ["string", "null"], "description": "The cursor of the next page; null on the last."},
        },
    }
