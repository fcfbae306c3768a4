"""The JSON Schemas (2020-12) of what a ledger holds: the CloudEvents envelope, and the data of every event type.

They are generated from :mod:`events.catalog` and :mod:`events.former`, so that anyone can check a ledger's bytes with a
validator of their own. A schema is named ``TYPE.VERSION``; its ``$id`` is the ``dataschema`` of the events.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec

from events import records, words
from events.catalog import CATALOG, schema_urn
from events.envelope import Envelope
from events.former import FORMER
from events.identifiers import BASE32

Schema: TypeAlias = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
ENVELOPE = "cloudevent.1"
"""The name of the schema of the envelope. Event types have a dot and a word after it, so none can be called so."""
_HERE = "#/$defs/{name}"
_URL = msgspec.json.schema(words.Url)["pattern"]
_MOMENT = msgspec.json.schema(words.Moment)["pattern"]


_DAY = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_LEAP_DAY = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][48]|[2468]0|[13579][26])00)-02-29"
_CLOCK = r"T(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?Z"
CALENDAR = rf"^(?!0000)(?:[0-9]{{4}}(?:-(?:0[1-9]|1[0-2]))?|(?:[0-9]{{4}}-{_DAY}|{_LEAP_DAY})(?:{_CLOCK})?)$(?!\n)"
"""The moments that a calendar has: what the pattern of a ``Moment`` lets through and its check does, in one."""

_NULL: Schema = {"type": "null"}
_NUMBER: Schema = {"type": "number"}


def either(one: str, other: str) -> Schema:
    """Return the rule that one of two members is there and not null, and not the other."""
    return {
        "oneOf": [
            {"required": [there], "properties": {there: {"not": _NULL}, away: _NULL}}
            for there, away in ((one, other), (other, one))
        ]
    }


def something(members: Iterable[str]) -> Schema:
    """Return the rule that at least one of some members is there and not null."""
    return {"not": {"properties": dict.fromkeys(members, _NULL)}}


_RULES: dict[type, Schema] = {
    words.Quantity: {
        "if": {"required": ["qualifier"], "properties": {"qualifier": {"const": "range"}}},
        "then": {"required": ["low", "high"], "properties": {"value": _NULL, "low": _NUMBER, "high": _NUMBER}},
        "else": {"required": ["value"], "properties": {"value": _NUMBER, "low": _NULL, "high": _NULL}},
    },
    records.Challenge: either("source_id", "by"),
}
"""What the Structs check beside their members' types, as far as JSON Schema can say it."""

_TIME: Schema = {"type": "string", "format": "date-time", "maxLength": 32}
_SAYS: dict[str, Schema] = {
    "specversion": {"const": "1.0"},
    "id": {"format": "uuid", "maxLength": 36, "description": "A UUIDv7: unique in all ledgers."},
    "source": {"pattern": r"^/ledgers/[^\s/]+$(?!\n)", "maxLength": 200, "description": "The ledger it is in."},
    "type": {"pattern": r"^[a-z]+(\.[a-z_]+)+$(?!\n)", "maxLength": 100},
    "subject": {"minLength": 1, "maxLength": 200, "description": "The thing that the event changes."},
    "dataschema": {
        "pattern": r"^urn:onrecord:schema:[a-z._]+:[0-9]+$(?!\n)",
        "maxLength": 200,
        "description": "The schema of `data`: `urn:onrecord:schema:TYPE:VERSION` is served at `/schemas/TYPE.VERSION`.",
    },
    "time": _TIME | {"description": "When it happened in the world, if that is known to the minute."},
    "actor": {
        "minLength": 1,
        "maxLength": 200,
        "description": "Who recorded it: `key_…`, `person_…` or `system`.",
    },
    "storyid": {"pattern": rf"^story_{BASE32}$(?!\n)", "maxLength": 32, "description": "The story it is about."},
    "commandid": {"minLength": 1, "maxLength": 200, "description": "The command that it came of."},
    "commandhash": {"pattern": r"^[0-9a-f]{64}$(?!\n)", "maxLength": 64, "description": "Of what was asked."},
    "correlationid": {"maxLength": 200, "description": "What it belongs together with."},
    "causationid": {"maxLength": 200, "description": "The event that it followed from."},
    "data": {"type": "object", "description": "What happened: as `dataschema` says."},
    "sequence": {
        "pattern": r"^[0-9]{16}$(?!\n)",
        "maxLength": 16,
        "description": "Its position in the ledger: 1, 2, 3 and so on without gaps, in 16 digits.",
    },
    "recordedtime": _TIME | {"description": "When it was recorded: UTC to the microsecond, never going back."},
}
"""What is known of the envelope's members beyond their being strings."""


def event_schemas() -> dict[str, Schema]:
    """Return every schema by its name: the envelope first, then every version of every event type."""
    schemas = {ENVELOPE: _document("urn:onrecord:schema:cloudevent:1", *_envelope())}
    for type_, version, structs in versions():
        _, defs = components(structs, _HERE)
        roots = [{"$ref": _HERE.format(name=each.__name__)} for each in structs]
        about = roots[0] if len(roots) == 1 else {"anyOf": roots}
        schemas[f"{type_}.{version}"] = _document(schema_urn(type_, version), about, defs)
    return schemas


@cache
def schema_bytes() -> Mapping[str, bytes]:
    """Return every schema by its name, as the indented JSON that is served and kept in ``openapi/schemas``."""
    return {name: msgspec.json.format(msgspec.json.encode(each)) + b"\n" for name, each in event_schemas().items()}


def versions() -> Iterator[tuple[str, int, tuple[type, ...]]]:
    """Yield every event type and version with the Structs that its data can be: more than one only for a former one."""
    for type_, newest in CATALOG.items():
        for version in range(1, newest.VERSION):
            yield type_, version, FORMER[type_, version]
        yield type_, newest.VERSION, (newest,)


def components(
    types: Iterable[type], ref_template: str, rules: Mapping[type, Schema] = MappingProxyType({})
) -> tuple[list[Schema], dict[str, Schema]]:
    """Return a reference to each type, and the schemas that they refer to, by name.

    Texts are CommonMark, enumerations have a type, and the rules that a Struct checks beside its members' types are
    there: those of what a ledger holds, and ``rules``.
    """
    references, found = msgspec.json.schema_components(types, ref_template=ref_template)
    schemas = {name: _written(schema) for name, schema in found.items()}
    for struct, rule in (_RULES | {**rules}).items():
        if struct.__name__ in schemas:
            schemas[struct.__name__] |= rule
    return list(references), schemas


def envelope_schema(data: Schema, type_: str | None = None) -> Schema:
    """Return the schema of an event, with ``data`` as its data and, if it is given, of this type only."""
    _, defs = components([Envelope], _HERE)
    schema = defs["Envelope"]
    schema["title"] = "Event"
    schema["description"] = "A CloudEvents 1.0 event, as the ledger holds it. The bytes are never encoded again."
    schema["properties"] = {name: {"type": "string"} | _SAYS[name] for name in schema["properties"]}
    schema["properties"]["data"] = data
    if type_ is not None:
        schema["properties"]["type"] = {"type": "string", "const": type_}
    return schema


def _envelope() -> tuple[Schema, dict[str, Schema]]:
    return envelope_schema(_SAYS["data"]), {}


def _document(urn: str, about: Schema, defs: dict[str, Schema]) -> Schema:
    document = {"$schema": DIALECT, "$id": urn} | about
    return document | {"$defs": defs} if defs else document


def _written(schema: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """Return a schema of msgspec's as we write them."""
    if isinstance(schema, list):
        return [_written(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    written = {name: _written(each) for name, each in schema.items()}
    if isinstance(description := schema.get("description"), str):
        written["description"] = inspect.cleandoc(description).replace("``", "`")
    if schema.get("pattern") == _MOMENT:
        written |= {"pattern": CALENDAR, "maxLength": 27}
    if schema.get("pattern") == _URL:  # what Python and JSON Schema call white space differs in four characters
        written["pattern"] = _URL.replace(r"\s", r"\s\x1c-\x1f")
    if isinstance(schema.get("enum"), list) and "type" not in schema:
        written = {"type": "string"} | written
    return written
