"""The webhooks of the description: one for every event type, whose body is the event as the ledger holds it."""

from typing import Any

from events.catalog import CATALOG
from events.schemas import Schema
from service.api.description.shapes import reference

MEDIA_TYPE = "application/cloudevents+json"
"""The structured mode of CloudEvents over HTTP."""

HEADERS: dict[str, Schema] = {
    "webhook-id": {
        "description": "The event's `id`: the same at every attempt, so what came before can be left out.",
        "schema": {"type": "string", "format": "uuid", "maxLength": 36},
    },
    "webhook-timestamp": {
        "description": "When this attempt was made, in seconds since 1970.",
        "schema": {"type": "integer", "format": "int64", "minimum": 0, "maximum": 2**53 - 1},
    },
    "webhook-signature": {
        "description": "Signatures of `id.timestamp.body` (Standard Webhooks), separated by spaces: `v1,` and `v1a,`.",
        "schema": {"type": "string", "pattern": "^v1a?,[A-Za-z0-9+/=]+( v1a?,[A-Za-z0-9+/=]+)*$", "maxLength": 4_000},
    },
}
"""The headers of a delivery, by the specification of Standard Webhooks."""


def webhooks() -> dict[str, Any]:
    """Return the ``webhooks`` section: an operation of the receiver for every event type."""
    return {type_: {"post": _delivery(type_, event)} for type_, event in CATALOG.items()}


def _delivery(type_: str, event: type) -> Schema:
    description = (event.__doc__ or "").replace("``", "`")
    return {
        "operationId": f"on{event.__name__}",
        "summary": type_,
        "description": f"{' '.join(description.split())} Delivered at least once, as the ledger holds it.",
        "tags": ["webhooks"],
        "security": [],
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in parameters()],
        "requestBody": {
            "required": True,
            "content": {MEDIA_TYPE: {"schema": reference(f"{event.__name__}Event")}},
        },
        "responses": {
            "2XX": {"description": "Received. Whatever the body is, it is not read."},
            "410": {"description": "The receiver wants no more: the endpoint is disabled."},
            "default": {"description": "Not received: it is sent again later."},
        },
    }


def parameters() -> dict[str, Schema]:
    """Return the parameters that deliveries share, by the name of their component."""
    return {
        "".join(part.capitalize() for part in name.split("-")): {"name": name, "in": "header", "required": True} | said
        for name, said in HEADERS.items()
    }
