"""The components of the description: what requests and answers are made of, and the events among them.

msgspec describes the Structs. What it cannot know is added here: bounds that hold for a member by its name, what is
said in confidence, which members an answer always has, and the unions that are told apart by ``type``.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import UNSET, Struct, structs

from events.catalog import CATALOG
from events.confidential import SHAPES
from events.former import FORMER
from events.schemas import CALENDAR, Schema, components, either, envelope_schema, something
from service.api.claims import NewPart
from service.api.http.receipts import Receipt, RecordedEvent
from service.api.policies import Activation
from service.verification.policy import BUILT_IN

_SHAPES = "#/components/schemas/{name}"
_LARGEST_EVENT = 61_440
_LARGEST_WHOLE = 2**53 - 1
_MOST_LISTED = 1_000
_LONGEST_PATTERNED = 64

_CONFIDENTIAL: Schema = {
    "description": "Said in confidence: the ledger holds it encrypted, under the key of the subject. Answers have it"
    " for keys with the scope read:confidential only; it is null when it cannot be read any more."
}
_ERASED: Schema = {
    "type": "boolean",
    "readOnly": True,
    "description": "Whether it cannot be read because its subject was erased.",
}
_TIME: Schema = {"type": "string", "format": "date-time", "maxLength": 32}
_POSITION: Schema = {"type": "integer", "format": "int64", "minimum": 1, "maximum": _LARGEST_WHOLE}
_MEMBERS: dict[str, Schema] = {
    "position": _POSITION,
    "since": _TIME,
    "opened": _TIME,
    "registered": _TIME,
    "recorded": _TIME,
    "recordedtime": _TIME,
    "updated": _TIME,
    "status_code": {"format": "int32", "minimum": 100, "maximum": 599},
    "credibility": {"format": "int32", "minimum": 1, "maximum": 6},
    "hash": {"pattern": "^[0-9a-f]{64}$", "minLength": 64, "maxLength": 64},
    "next_after": {"maxLength": 40, "description": "The cursor of the next page; null on the last."},
    "deadline": {"format": "int64", "minimum": -(2**63), "maximum": 2**63 - 1},
}
"""What holds of a member of any answer by its name, where its own type says less."""

_RULES: dict[type, Schema] = {
    NewPart: either("claim_id", "claim"),
    Activation: either("name", "policy"),
    **{shape: something(shape.__struct_fields__) for shape in SHAPES.values()},
}
"""What requests check beside the types of their members."""


def reference(name: str) -> Schema:
    """Return a reference to a component."""
    return {"$ref": _SHAPES.format(name=name)}


def shapes(types: Iterable[type]) -> tuple[dict[type, Schema], dict[str, Schema]]:
    """Return a reference for each type that a route takes or gives, and all components that they refer to."""
    types = list(dict.fromkeys([*types, Receipt]))
    references, found = components([*types, *dict.fromkeys(SHAPES.values())], _SHAPES, _RULES)
    _say_what_answers_have(found, types)
    _say_in_confidence(found)
    _say_what_places_are(found)
    found["Activation"]["properties"]["name"] = {"enum": [*BUILT_IN, None], "type": ["string", "null"]}
    found |= {name: shape for name, shape in _events().items() if name not in found or "discriminator" in shape}
    for name, shape in found.items():
        found[name] = _bounded(shape, is_request=shape.get("additionalProperties") is False)
    return dict(zip(types, references, strict=False)), dict(sorted(found.items()))


def _say_what_places_are(found: dict[str, Schema]) -> None:
    """Say what the texts look like from which on deliveries are told again."""
    found["Recovery"]["properties"]["since"] |= {"pattern": CALENDAR, "maxLength": 27}
    place = {"pattern": rf"(?:^[0-9a-hjkmnp-tv-z]{{13}}\.[0-9]{{1,16}}$(?!\n))|(?:{CALENDAR})", "maxLength": 40}
    for name in ("since", "until"):
        for shape in found["NewReplay"]["properties"][name]["anyOf"]:
            if shape["type"] == "string":
                shape.update(place)


def _say_what_answers_have(found: dict[str, Schema], types: Iterable[type]) -> None:
    """Say that an answer has all of its members: only those of records are left out when they have their default."""
    for struct in _structs_of(types):
        shape = found.get(struct.__name__)
        if shape is None or struct.__struct_config__.omit_defaults or struct.__struct_config__.forbid_unknown_fields:
            continue
        shape["required"] = [each.encode_name for each in structs.fields(struct) if each.default is not UNSET]
        for member in shape["properties"].values():
            member.pop("default", None)


def _structs_of(types: Iterable[type]) -> list[type[Struct]]:
    """Return every Struct that some types are made of, themselves included."""
    found: dict[type[Struct], None] = {}

    def visit(type_: Any) -> None:  # noqa: ANN401 - any annotation
        if isinstance(type_, type) and issubclass(type_, Struct) and type_ not in found:
            found[type_] = None
            for field in structs.fields(type_):
                visit(field.type)
        for part in getattr(type_, "__args__", ()):
            visit(part)

    for type_ in types:
        visit(type_)
    return list(found)


def _say_in_confidence(found: dict[str, Schema]) -> None:
    """Show what is sealed as requests give it and answers open it."""
    for record, shape in SHAPES.items():
        properties = found[record.__name__]["properties"]
        del properties["sealed"]
        properties["confidential"] = _CONFIDENTIAL | {"anyOf": [reference(shape.__name__), {"type": "null"}]}
        properties["erased"] = _ERASED
    del found["Sealed"]


def _events() -> dict[str, Schema]:
    """Return the components of the log: the data of every event, the events, and what receipts show of them.

    What can be said in confidence is sealed in the log; those records are called ``…OnRecord``.
    """
    sealed = {record.__name__: f"{record.__name__}OnRecord" for record in SHAPES}
    former = [each for structs_ in FORMER.values() for each in structs_]
    _, data = components([*CATALOG.values(), *former], _SHAPES)
    renamed = {sealed.get(name, name): _renamed(shape, sealed) for name, shape in data.items()}
    for name in sealed.values():
        renamed[name]["title"] = name
    receipts = components([RecordedEvent], _SHAPES)[1][RecordedEvent.__name__]
    whole: dict[str, tuple[str, Schema]] = {}
    shown: dict[str, tuple[str, Schema]] = {}
    for type_, event in CATALOG.items():
        name = event.__name__
        versions = [reference(name), *(reference(each.__name__) for each in _formers(type_) if each is not event)]
        content = versions[0] if len(versions) == 1 else {"anyOf": versions}
        whole[type_] = (
            f"{name}Event",
            {
                "allOf": [
                    reference("CloudEvent"),
                    {"type": "object", "properties": {"type": {"type": "string", "enum": [type_]}, "data": content}},
                ]
            },
        )
        members = receipts["properties"] | {"type": {"type": "string", "const": type_}, "data": reference(name)}
        shown[type_] = f"Recorded{name}", receipts | {"properties": members}
    for titled in (*whole.values(), *shown.values()):
        titled[1]["title"] = titled[0]
    cloud_event = envelope_schema({"description": "What happened."}) | {"title": "CloudEvent"}
    return (
        renamed
        | {"CloudEvent": cloud_event, "Event": _told_apart(whole, "An event, told apart by its `type`.")}
        | {RecordedEvent.__name__: _told_apart(shown, RecordedEvent.__doc__ or "")}
        | dict([*whole.values(), *shown.values()])
    )


def _formers(type_: str) -> list[type]:
    return [each for (of, _), structs_ in FORMER.items() if of == type_ for each in structs_]


def _told_apart(variants: dict[str, tuple[str, Schema]], description: str) -> Schema:
    """Return a union of components that is told apart by ``type``."""
    references = {type_: reference(name) for type_, (name, _) in variants.items()}
    return {
        "description": description,
        "oneOf": list(references.values()),
        "discriminator": {
            "propertyName": "type",
            "mapping": {type_: each["$ref"] for type_, each in references.items()},
        },
    }


def _renamed(shape: Any, names: dict[str, str]) -> Any:  # noqa: ANN401 - any part of a schema
    """Return a schema whose references go to other names."""
    if isinstance(shape, list):
        return [_renamed(each, names) for each in shape]
    if not isinstance(shape, dict):
        return shape
    renamed = {member: _renamed(each, names) for member, each in shape.items()}
    if isinstance(target := shape.get("$ref"), str):
        name = target.rpartition("/")[2]
        renamed["$ref"] = _SHAPES.format(name=names.get(name, name))
    return renamed


def _bounded(shape: Any, *, is_request: bool, name: str = "") -> Any:  # noqa: ANN401 - any part of a schema
    """Return a schema in which whatever grows has a limit: what requests can say is as they say it already."""
    if isinstance(shape, list):
        return [_bounded(each, is_request=is_request, name=name) for each in shape]
    if not isinstance(shape, dict):
        return shape
    bounded = {
        key: _bounded(each, is_request=is_request, name=name) for key, each in shape.items() if key != "properties"
    }
    if isinstance(properties := shape.get("properties"), dict):
        bounded["properties"] = {
            member: _bounded(each, is_request=is_request, name=member) for member, each in properties.items()
        }
    known = {} if is_request else _MEMBERS.get(name, {})
    match shape.get("type"):
        case "string" if "enum" not in shape and "const" not in shape:
            bounded |= {key: value for key, value in known.items() if key != "type"}
            bounded.setdefault("maxLength", _LONGEST_PATTERNED if "pattern" in bounded else _LARGEST_EVENT)
        case "integer":
            bounded |= {key: value for key, value in known.items() if key != "type" and key not in shape}
            bounded.setdefault("format", "int64")
            bounded.setdefault("minimum", 0)
            bounded.setdefault("maximum", _LARGEST_WHOLE)
        case "array":
            bounded.setdefault("maxItems", _MOST_LISTED)
        case "object" if isinstance(shape.get("additionalProperties"), dict):
            bounded.setdefault("maxProperties", _MOST_LISTED)
    return bounded
