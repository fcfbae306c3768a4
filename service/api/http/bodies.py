"""Request bodies: JSON, strictly of the type a route wants, with a pointer to whatever is not."""

import re
from typing import Any, TypeVar

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException

from events.envelope import LARGEST_EVENT
from service.api.http import fields
from service.api.http.problems import ApiError

_T = TypeVar("_T")
_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?:key` in `)?\$(?P<path>.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>\d+)\]")
_NAMED = re.compile(r"^`(?P<name>[a-z_]+)`: (?P<what>.*)$", re.DOTALL)
_FIELD = re.compile(r"^Object (?:missing required|contains unknown) field `(?P<name>[^`]+)`$")


_decoders: dict[Any, Any] = {}


async def body(request: Request[Any, Any, Any], type_: type[_T]) -> _T:
    """Return the request's body as ``type_``.

    Raises ``unsupported-media-type`` (415) for another content type, ``not-json`` (400) for what is not JSON, and
    ``invalid`` (422) with a JSON Pointer (RFC 6901) for JSON that is not of the type.
    """
    return decoded(await content_of(request), type_)


async def content_of(request: Request[Any, Any, Any]) -> bytes:
    """Return the request's body. Raises ``unsupported-media-type`` (415) if it is not JSON by its header, or coded."""
    coding = (fields.value(request, b"content-encoding") or "").strip().lower()
    if coding not in ("", "identity"):
        why = f"the body is encoded with {coding[:80]}; it is taken only as it is"
        raise ApiError("unsupported-media-type", why, headers={"Accept-Encoding": "identity"})
    media_type = (fields.value(request, b"content-type") or "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise ApiError(
            "unsupported-media-type", f"the body is {media_type or 'of no stated type'}, not application/json"
        )
    return await _received(request)


async def _received(request: Request[Any, Any, Any]) -> bytes:
    """Return the body as Litestar does, which makes a mapping of all header fields to see how long it is."""
    length = fields.value(request, b"content-length") or ""
    if length.isdecimal() and int(length) > LARGEST_EVENT:
        raise _too_large()
    content, more = b"", True
    while more:
        message = await request.receive()
        if message["type"] != "http.request":
            raise InternalServerException("the client left before it had sent all")
        content, more = content + message["body"], message["more_body"]
        if len(content) > LARGEST_EVENT:
            raise _too_large()
    return content


def _too_large() -> ApiError:
    return ApiError("too-large", f"the body has more than {LARGEST_EVENT} bytes")


def decoded(raw: bytes, type_: type[_T], at: str = "") -> _T:
    """Return JSON as ``type_``; ``at`` is where in the body it was. Raises ``not-json`` and ``invalid``."""
    try:
        if type_ not in _decoders:
            _decoders[type_] = msgspec.json.Decoder(type_)
        content: _T = _decoders[type_].decode(raw)
    except msgspec.ValidationError as error:
        what, pointer = located(str(error))
        if what.startswith("Invalid enum value"):
            what += f": one of {', '.join(allowed(type_, pointer))}"
        raise ApiError("invalid", what, at + pointer) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError("not-json", str(error) if raw.strip() else "there is no body") from error
    return content


def located(message: str) -> tuple[str, str]:
    """Split a validation message of msgspec into what is wrong and a JSON Pointer to where."""
    match = _AT.match(message)
    what, path = (match["what"], match["path"] or "") if match else (message, "")
    path = path.partition("[...]")[0]  # which member of a mapping it is, msgspec does not say
    steps = [step["name"] or step["index"] for step in _STEP.finditer(path)]
    if named := _NAMED.match(what):
        what = named["what"]
        steps.append(named["name"])
    elif field := _FIELD.match(what):
        steps.append(field["name"])
    return what, "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def allowed(type_: type, pointer: str) -> list[str]:
    """Return the values that a type allows at a JSON Pointer, as its JSON Schema lists them."""
    schema = msgspec.json.schema(type_)
    shapes = schema.get("$defs", {})
    found = [schema]
    for step in pointer.split("/")[1:]:
        found = [
            below
            for each in _alternatives(found, shapes)
            if (below := each.get("properties", {}).get(step) or each.get("items") or each.get("additionalProperties"))
        ]
    return [str(value) for each in _alternatives(found, shapes) for value in each.get("enum", ())]


def _alternatives(schemas: list[dict[str, Any]], shapes: dict[str, Any]) -> list[dict[str, Any]]:
    """Return these schemas with their references and alternatives followed."""
    found: list[dict[str, Any]] = []
    for schema in schemas:
        if "$ref" in schema:
            found += _alternatives([shapes[schema["$ref"].rpartition("/")[2]]], shapes)
        elif "anyOf" in schema:
            found += _alternatives(schema["anyOf"], shapes)
        else:
            found.append(schema)
    return found
