"""The OpenAPI description: Litestar's for the routes, msgspec's for the shapes, joined here.

A route says in its ``opt`` what it takes and gives: ``body`` and ``answer`` are Structs, ``items`` a Struct that it
lists (``whole`` if that is no index of documents), ``events`` a page of the log, ``streams`` the types in which it
streams that, ``text`` plain text, ``media`` other types, ``schema`` a JSON Schema, ``status`` another status than 200
and 201, ``scope`` which scope its key must have or ``public`` that it wants no key.
"""

from collections.abc import Iterable

import msgspec
from litestar import Litestar

from events.schemas import Schema
from service.api.description import answers, examples, links, operations, webhooks
from service.api.description.shapes import shapes
from service.api.http.parameters import Query
from service.api.http.problems import Problem

_TAGS: dict[str, str] = {
    "stories": "The matters being covered.",
    "sources": "Who speaks or publishes.",
    "claims": "Checkable propositions: where they stand, and why.",
    "statements": "Sources take a stance; they correct and withdraw what they said.",
    "evidence": "Things that bear on a claim.",
    "inquiries": "Sources that were asked to respond.",
    "assessments": "The desk's own judgements.",
    "publications": "Texts of ours, and the claims they rely on.",
    "events": "The log itself, as it was recorded.",
    "checkpoint": "The log's size and root, signed.",
    "tile": "The log's hashes and entries, in pieces that never change.",
    "audit": "What was known when.",
    "desk": "What to look at next.",
    "policies": "The rules that claims are judged by.",
    "persons": "People at the desk.",
    "projections": "What is folded from the log for reading.",
    "keys": "Who may do what.",
    "ledgers": "The log that a key opens.",
    "operation": "For those who run it.",
    "webhooks": "What receivers are sent.",
}
"""What each resource is, in the order in which a reader meets them."""


def described(app: Litestar) -> bytes:
    """Return the OpenAPI 3.1 description of an application, as indented JSON."""
    description = app.openapi_schema.to_schema()
    handlers = {
        handler.operation_id: handler for route in app.routes for handler in getattr(route, "route_handlers", ())
    }
    types: list[type] = [Problem]
    for handler in handlers.values():
        for part in ("body", "answer", "items"):
            types += operations.kinds(handler.opt[part]) if part in handler.opt else ()
    refs, components = shapes(types)
    every = []
    for path, item in description["paths"].items():
        for method, operation in item.items():
            operations.describe(operation, method, path, handlers[operation["operationId"]], refs)
            examples.give(operation)
            every.append(operation)
    description["servers"] = [{"url": "/", "description": "This server, local or in production.", "x-internal": False}]
    description["tags"] = _tags(every)
    description["webhooks"] = webhooks.webhooks()
    links.give({operation["operationId"]: operation for operation in every})
    problems = answers.problem_responses(every)
    examples.give_problems(problems)
    description["components"] |= {
        "schemas": components,
        "responses": problems,
        "parameters": operations.SHARED | webhooks.parameters(),
        "headers": answers.header_components(),
    }
    return msgspec.json.format(msgspec.json.encode(description), indent=2) + b"\n"


def queries_of(description: bytes) -> dict[str, dict[str, Query]]:
    """Return the query parameters of every operation that a description has, by its identifier."""
    decoded = msgspec.json.decode(description)

    def whole(each: Schema) -> Schema:
        _, _, kind, name = each["$ref"].split("/") if "$ref" in each else ("", "", "", "")
        found: Schema = decoded["components"][kind][name] if name else each
        return found

    def query(schema: Schema) -> Query:
        one = whole(schema.get("items", schema))
        return Query(repeated="array" in str(schema), values=tuple(map(str, one.get("enum", ()))))

    return {
        operation["operationId"]: {
            each["name"]: query(each["schema"]) for each in map(whole, operation["parameters"]) if each["in"] == "query"
        }
        for item in decoded["paths"].values()
        for operation in item.values()
    }


def _tags(every: Iterable[Schema]) -> list[dict[str, str]]:
    used = {operation["tags"][0] for operation in every}
    known = [name for name in _TAGS if name in used or name == "webhooks"]
    return [{"name": name, "description": _TAGS.get(name, name)} for name in (*known, *sorted(used - {*_TAGS}))]
