"""Messages: what one attempt sends, signed anew each time."""

import time
from collections.abc import Mapping
from typing import Final

import msgspec
import uuid_utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from service.webhooks import signing
from service.webhooks.kept import Kept

CLOUDEVENT: Final = "application/cloudevents+json; charset=UTF-8"
CHAT: Final = "application/json; charset=UTF-8"
USER_AGENT: Final = "OnRecord-Webhooks/1"


class Message(Struct, frozen=True):
    """A body and its identifier: the same for every attempt, and for every endpoint that it concerns."""

    id: str
    body: bytes
    media_type: str


def headers(message: Message, kept: Kept, key: Ed25519PrivateKey) -> Mapping[str, str]:
    """Return the headers of one attempt: the endpoint's own, and those of Standard Webhooks, signed now."""
    at = int(time.time())
    return kept.headers | {
        "Content-Type": message.media_type,
        "User-Agent": USER_AGENT,
        "webhook-id": message.id,
        "webhook-timestamp": str(at),
        "webhook-signature": signing.signatures(message.id, at, message.body, kept.valid_secrets(), key),
    }


def ping(ledger: str, webhook_id: str, format_: str) -> Message:
    """Return a message that says nothing but that somebody is there. It is of no event."""
    message_id = str(uuid_utils.uuid7())
    if format_ != "cloudevents":
        text = "On Record: this webhook works."
        return Message(message_id, msgspec.json.encode({"text": text}), CHAT)
    event = {
        "specversion": "1.0",
        "id": message_id,
        "source": f"/ledgers/{ledger}",
        "type": "webhook.ping",
        "subject": webhook_id,
        "data": {"webhook_id": webhook_id},
    }
    return Message(message_id, msgspec.json.encode(event), CLOUDEVENT)
