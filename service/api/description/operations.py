"""The operations of the description: parameters with their bounds, bodies, answers, and which scope each wants."""

from collections.abc import Mapping
from typing import Any, get_args

import msgspec
from litestar.handlers import HTTPRouteHandler

from events.identifiers import BASE32, ClaimId, SourceId, StoryId
from events.schemas import CALENDAR, Schema
from events.words import Party, Tag
from service.api.description.answers import responses
from service.api.description.shapes import reference
from service.api.http.preconditions import LONGEST_LIST
from service.api.http.receipts import Receipt
from service.api.http.served import READ_AFTER

_PATTERN_OF_AN_ID = r"^{kind}_{base32}$(?!\n)"
_POSITION, _PLACE = r"[0-9]{1,16}", r"[0-9a-hjkmnp-tv-z]{13}\.[0-9]{1,16}"
_MOMENT = CALENDAR.removeprefix("^").removesuffix(r"$(?!\n)")


def _one_of(*patterns: str) -> Schema:
    return {"type": "string", "pattern": rf"^(?:{'|'.join(patterns)})$(?!\n)", "maxLength": 40}


def _of_type(type_: Any) -> Schema:  # noqa: ANN401 - a type with a pattern
    schema = msgspec.json.schema(type_)
    return {"type": "string", "pattern": schema["pattern"], "maxLength": schema.get("maxLength", 64)}


_CURSOR = _one_of(_PLACE)
_ANY_MOMENT = _one_of(_POSITION, _PLACE, _MOMENT)


_UNRECORDED = {"keys"}
"""Resources that are on no ledger: their changes are no commands, and their documents have no version."""
_LARGEST_TEXT = 2**31 - 1
"""Characters of an answer that is no JSON: the log as lines can be as long as anybody can read."""


def _header(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "header", "required": False, "schema": schema, "description": description}


_TAG = r'(?:W/)?"[!#-~]*"'
_ETAGS: Schema = {"type": "string", "pattern": rf"^(?:\*|{_TAG}(?:, ?{_TAG})*)$(?!\n)", "maxLength": LONGEST_LIST}
_KEY = r"""^(?:[!#-~](?:[ -~]*[!-~])?|"(?:[ !#-\[\]-~]|\\["\\])+")$(?!\n)"""
"""A key as it is, or as a string of structured fields (RFC 9651)."""
_IDEMPOTENCY = _header(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": _KEY},
    "Makes the request safe to send again: it is carried out once, and answered alike each time.",
)
_IF_MATCH = _header(
    "If-Match", _ETAGS, "An ETag of what is changed: the request is refused with 412 if that has moved on."
)
_IF_MATCH_NEEDED = _IF_MATCH | {
    "required": True,
    "description": "An ETag of what is changed, or `*` for whatever it is by now: without it the answer is 428.",
}
_IF_NONE_MATCH = _header(
    "If-None-Match",
    {"type": "string", "maxLength": LONGEST_LIST},
    "An ETag that the caller has: the answer is 304 if the document is still the same.",
)
_AFTER = _header(READ_AFTER, _one_of("", _PLACE), "The token of a write that this read must see, or nothing.")
_LAST_EVENT_ID = _header(
    "Last-Event-ID", _CURSOR, "The last `id` of a live stream, which goes on after it; it counts for more than `after`."
)
_WAIT: Schema = {
    "name": "wait",
    "in": "query",
    "required": False,
    "schema": {"type": "string", "enum": ["sealed"]},
    "description": "`sealed`: the answer comes once a signed checkpoint covers the write, or after five seconds.",
}
SHARED = {
    "Wait": _WAIT,
    "IdempotencyKey": _IDEMPOTENCY,
    "IfMatch": _IF_MATCH,
    "IfMatchNeeded": _IF_MATCH_NEEDED,
    "IfNoneMatch": _IF_NONE_MATCH,
    "OnrecordAfter": _AFTER,
    "LastEventId": _LAST_EVENT_ID,
}
"""The parameters that operations share, by the name of their component."""

_KNOWN: dict[str, Schema] = {
    "after": {"description": "The cursor after which to go on, as the page before gave it.", "schema": _CURSOR},
    "before": {"description": "The cursor up to which to go, as a `Link` with `rel=prev` gave it.", "schema": _CURSOR},
    "story": {"description": "A story's identifier.", "schema": _of_type(StoryId)},
    "claim": {"description": "A claim's identifier.", "schema": _of_type(ClaimId)},
    "source": {"description": "A source's identifier.", "schema": _of_type(SourceId)},
    "parent": {"description": "The claim that they are parts of.", "schema": _of_type(ClaimId)},
    "party": {"description": "A party whose interest they touch.", "schema": _of_type(Party)},
    "tag": {"description": "A tag that they have.", "schema": _of_type(Tag)},
    "limit": {
        "description": "How many at most.",
        "schema": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 200},
    },
    "position": {
        "description": "The place of an event in its ledger.",
        "schema": {"type": "integer", "format": "int64", "minimum": 1, "maximum": 2**53 - 1},
    },
    "name": {
        "description": "What it is called.",
        "schema": {"type": "string", "pattern": r"^[a-z0-9._]+$(?!\n)", "maxLength": 100},
    },
    "leaf_hash": {
        "description": "The hash that a receipt gave of an event's bytes.",
        "schema": {"type": "string", "pattern": r"^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$(?!\n)", "maxLength": 44},
    },
    "slug": {
        "description": "The name of a problem.",
        "schema": {"type": "string", "pattern": "^[a-z-]+$", "maxLength": 60},
    },
    "type": {
        "schema": {"items": {"type": "string", "pattern": r"^[a-z_]+\.(?:[a-z_]+|\*)?$(?!\n)", "maxLength": 100}},
    },
    "as_of": {
        "description": "What was recorded by then: a position, a cursor or a moment.",
        "schema": _ANY_MOMENT,
    },
    "from": {"description": "The earlier moment: a position, a cursor or a time.", "schema": _ANY_MOMENT},
    "to": {"description": "The later moment, likewise; now if it is left out.", "schema": _ANY_MOMENT},
    "said_by": {"description": "What had been said in the world by then: a moment.", "schema": _one_of(_MOMENT)},
    "changed_since": {
        "description": "Only what changed after this cursor or position.",
        "schema": _one_of(_POSITION, _PLACE),
    },
}
"""What is known of a parameter by its name."""


def describe(operation: Schema, method: str, path: str, handler: HTTPRouteHandler, refs: dict[type, Schema]) -> None:
    """Complete what Litestar says of an operation by what its route says in ``opt``."""
    opt = handler.opt
    parameters = [_parameter(each) for each in operation.pop("parameters", [])]
    shared = _shared(opt, method, path)
    names = {each["name"] for each in parameters} | {SHARED[name]["name"] for name in shared}
    if "body" in opt:
        operation["requestBody"] = {"required": True, "content": _json(refs[opt["body"]])}
    operation["parameters"] = [*parameters, *({"$ref": f"#/components/parameters/{name}"} for name in shared)]
    operation["security"] = [] if opt.get("public") else [{scheme: [opt["scope"]]} for scheme in ("key", "jwt")]
    operation["tags"] = [tag_of(path)]
    operation.pop("deprecated", None)
    tagged = has_tag(opt, method, path)
    operation["responses"] = responses(
        opt, method, path=path, parameters=names, content=_content(opt, refs), tagged=tagged
    )


def kinds(type_: Any) -> tuple[type, ...]:  # noqa: ANN401 - a type, or a union of some
    """Return the types of a union, or the type."""
    return get_args(type_) or (type_,)


def tag_of(path: str) -> str:
    """Return the tag of a path: its resource, or ``operation`` for what is beside the API."""
    steps = path.strip("/").split("/")
    return steps[1] if steps[0] == "v1" and len(steps) > 1 else "operation"


def _shared(opt: Mapping[str, Any], method: str, path: str) -> list[str]:
    """Return the components of the header parameters that an operation has."""
    is_document = ("answer" in opt or "items" in opt) and not (opt.get("public") or opt.get("whole"))
    found = ["Wait"] if opt.get("answer") is Receipt else []
    if method != "get" and tag_of(path) not in _UNRECORDED and opt.get("idempotency", True):
        found += ["IdempotencyKey"]
    if "body" in opt and is_document and "{" in path:
        found += ["IfMatchNeeded" if opt.get("if_match") else "IfMatch"]
    if has_tag(opt, method, path) and opt.get("conditional", True):
        found += ["IfNoneMatch"]
    if method == "get" and (is_document or "waits" in opt):
        found += ["OnrecordAfter"]
    if "streams" in opt:
        found += ["LastEventId"]
    return found


def has_tag(opt: Mapping[str, Any], method: str, path: str) -> bool:
    """Whether what an operation reads has an ETag."""
    if method != "get" or opt.get("public") or "cache" in opt or tag_of(path) in _UNRECORDED:
        return False
    return bool({"answer", "items"} & opt.keys()) and bool(opt.get("etag", True))


def _parameter(parameter: Schema) -> Schema:
    """Return a parameter with what is known of it; one that may be left out has no null."""
    name = parameter["name"]
    schema = dict(parameter["schema"])
    if alternatives := [each for each in schema.pop("oneOf", ()) if each != {"type": "null"}]:
        (schema,) = ({**alternative, **schema} for alternative in alternatives)
        schema.pop("description", None)
    if isinstance(schema.get("type"), list):
        schema["type"] = next(each for each in schema["type"] if each != "null")
        schema["enum"] = [each for each in schema["enum"] if each is not None]
    default = {key: schema.pop(key) for key in ("default",) if key in schema}
    described = {key: value for key, value in parameter.items() if key not in {"schema", "deprecated"}}
    if parameter["in"] == "path" and name.endswith("_id"):
        kind = name.removesuffix("_id")
        pattern = _PATTERN_OF_AN_ID.format(kind=kind, base32=BASE32)
        schema |= {"pattern": pattern, "maxLength": len(kind) + 27}
        described.setdefault("description", f"The identifier of the {kind}.")
    known = _KNOWN.get(name, {})
    if "pattern" not in schema:
        schema |= known.get("schema", {})
    if schema.get("type") == "string" and "enum" not in schema:
        schema.setdefault("maxLength", 200)
    if schema.get("type") == "integer":
        schema = {"format": "int64", "minimum": 0, "maximum": 2**53 - 1} | schema
    if schema.get("type") == "array":
        schema.setdefault("maxItems", 20)
    if "description" in known:
        described.setdefault("description", known["description"])
    return described | {"schema": schema | default}


def _content(opt: Mapping[str, Any], refs: dict[type, Schema]) -> Schema:
    """Return what a route gives when all is well."""
    if "text" in opt:
        text: Schema = {"schema": {"type": "string", "maxLength": 20_000}}
        return dict.fromkeys(opt.get("media", ("text/plain",)), text)
    if "media" in opt:
        given: Schema = {
            media_type: {"schema": {"type": "string", "maxLength": _LARGEST_TEXT}} for media_type in opt["media"]
        }
        return given | (_json(refs[opt["answer"]]) if "answer" in opt else {})
    if "schema" in opt:
        return {"application/schema+json": {"schema": {"type": "object"}}}
    if "items" in opt:
        items = [refs[each] for each in kinds(opt["items"])]
        return _json(_page("items", items[0] if len(items) == 1 else {"anyOf": items}))
    if "events" in opt:
        streams: Schema = {
            media_type: {"schema": {"type": "string", "maxLength": _LARGEST_TEXT}}
            for media_type in opt.get("streams", ())
        }
        return _json(_page("events", reference("Event"))) | streams
    return _json(refs[opt["answer"]])


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _page(member: str, item: Schema) -> Schema:
    return {
        "type": "object",
        "required": [member, "next_after"],
        "properties": {
            member: {"type": "array", "items": item, "maxItems": 200},
            "next_after": {
                "type": ["string", "null"],
                "maxLength": 40,
                "description": "The cursor of the next page; null on the last.",
            },
        },
    }
