"""The AsyncAPI 3.0 description: what the live feed and the webhooks send. Both send the log's events."""

from collections.abc import Iterable
from typing import Any

import yaml

from events.catalog import CATALOG
from events.schemas import ENVELOPE, Schema, components
from service.api.description.webhooks import HEADERS, MEDIA_TYPE
from service.api.http.problems import Problem

_FEED = (
    "Every event after a cursor, in order, and from then on as it is recorded: `text/event-stream`, where `id` is the"
    " cursor, `event` the event's type and `data` its bytes. `Last-Event-ID` goes on where a client left off, without"
    " gap or repeat. In quiet times an `id` comes alone, up to which there was nothing; `stream.ended` says why the"
    " service ends a stream. `type`, `story`, `claim` and `source` in the query narrow what is sent."
)
_WEBHOOKS = (
    "An event that an endpoint's filters let through, as a POST to its URL, signed by the specification of Standard"
    " Webhooks. At least once: `webhook-id` is the same at every attempt."
)

_ENDED = "stream.ended"
_FED = (*CATALOG, _ENDED)


def asyncapi(title: str, version: str, about: str) -> bytes:
    """Return the description as YAML. Payloads refer to the JSON Schemas beside it, in ``schemas/``."""
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": title,
            "version": version,
            "description": about,
            "tags": [{"name": "feed"}, {"name": "webhooks"}],
        },
        "defaultContentType": "application/json",
        "servers": {
            "here": {
                "host": "127.0.0.1:8181",
                "protocol": "http",
                "description": "The server that `make run` starts; in production the one that you run, over TLS.",
                "security": [{"$ref": "#/components/securitySchemes/key"}],
            }
        },
        "channels": {
            "feed": _channel("/v1/events", "The live feed", {each: _of(f"messages/{each}") for each in _FED}),
            "webhooks": _channel(None, "Webhooks", {each: _delivered(each) for each in CATALOG}),
        },
        "operations": {
            "sendEvents": _sending("feed", "GET", "Send the log, and what is recorded next", _FEED, _FED),
            "deliverEvents": _sending("webhooks", "POST", "Deliver an event to an endpoint", _WEBHOOKS, CATALOG),
        },
        "components": {
            "messages": {type_: _message(type_, event) for type_, event in CATALOG.items()}
            | {
                _ENDED: {
                    "name": _ENDED,
                    "title": _ENDED,
                    "summary": "Why the service ends a stream.",
                    "payload": _problem(),
                }
            },
            "messageTraits": {"delivery": {"headers": _delivery_headers(), "contentType": MEDIA_TYPE}},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key or a JWT."}},
        },
    }
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    return text.encode()


def _channel(address: str | None, title: str, messages: Schema) -> Schema:
    return {"address": address, "title": title, "messages": messages}


def _sending(channel: str, method: str, summary: str, description: str, types: Iterable[str]) -> Schema:
    sending: Schema = {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "description": description,
        "bindings": {"http": {"method": method, "bindingVersion": "0.3.0"}},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{type_}"} for type_ in types],
    }
    return sending


def _message(type_: str, event: Any) -> Schema:  # noqa: ANN401 - a class of the catalogue
    about = " ".join((event.__doc__ or "").replace("``", "`").split())
    return {
        "name": type_,
        "title": type_,
        "summary": about,
        "payload": {
            "allOf": [
                {"$ref": f"schemas/{ENVELOPE}.json"},
                {
                    "type": "object",
                    "properties": {
                        "type": {"const": type_},
                        "data": {"$ref": f"schemas/{type_}.{event.VERSION}.json"},
                    },
                },
            ]
        },
    }


def _delivered(type_: str) -> Schema:
    """Return the message of a delivery: that of the feed, with headers around it."""
    return {
        "name": type_,
        "title": type_,
        "traits": [_of("messageTraits/delivery")],
        "payload": _of(f"messages/{type_}/payload"),
    }


def _of(component: str) -> Schema:
    return {"$ref": f"#/components/{component}"}


def _problem() -> Schema:
    """Return the schema of a problem, whole."""
    _, shapes = components([Problem], "{name}")
    shapes["Problem"]["properties"]["errors"]["items"] = shapes["ErrorDetail"]
    return shapes["Problem"]


def _delivery_headers() -> Schema:
    return {
        "type": "object",
        "required": list(HEADERS),
        "properties": {name: {"description": said["description"]} | said["schema"] for name, said in HEADERS.items()},
    }
