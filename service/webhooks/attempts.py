"""One attempt: what is sent, what came of it, and what the log says of that."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from service.webhooks import destination, messages
from service.webhooks.destination import Refused
from service.webhooks.egress import Egress, Unanswered
from service.webhooks.kept import Kept
from service.webhooks.messages import Message

_MOST_TEXT = 1024
"""Characters of an answer's body that the log keeps."""
_SHOWN = ("content-type", "date", "location", "retry-after", "server", "x-request-id")


class Attempted(Struct, frozen=True, omit_defaults=True):
    """What came of one attempt. ``failure`` says why there was no answer; ``seconds`` is how long it took."""

    at: int
    seconds: float
    request_headers: dict[str, str]
    status: int | None = None
    failure: str | None = None
    response_headers: dict[str, str] = {}
    response_body: str | None = None
    retry_after: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the endpoint took it: any 2xx."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - the class of statuses


class Logged(Struct, frozen=True, omit_defaults=True):
    """One entry of the log of a webhook's deliveries."""

    position: int
    event_id: str
    event_type: str
    attempt: int
    became: str
    attempted: Attempted
    next_attempt_at: int | None = None
    """Milliseconds since 1970, as are all moments here."""


class Observed(Struct, frozen=True):
    """What an attempt of a ledger's webhooks came to, and how long it took (seconds); 0 if nothing was sent."""

    ledger: str
    became: str
    seconds: float


OBSERVERS: list[Callable[[Observed], None]] = []
"""Who is told of every attempt of this process, of whichever ledger, once it is written. They must not raise."""


def observe(observed: Observed) -> None:
    """Tell them."""
    for each in OBSERVERS:
        each(observed)


async def attempt(egress: Egress, kept: Kept, message: Message, key: Ed25519PrivateKey) -> Attempted:
    """Send a message once, and return what came of it, whatever that is."""
    headers = messages.headers(message, kept, key)
    at, begun = time.time_ns() // 1_000_000, time.monotonic()
    said: dict[str, Any] = {}
    try:
        answered = await egress.post(destination.read(kept.url), message.body, headers)
    except (Refused, Unanswered) as failure:
        said = {"failure": str(failure)}
    else:
        said = {
            "status": answered.status,
            "response_headers": {name: answered.headers[name][:200] for name in _SHOWN if name in answered.headers},
            "response_body": answered.body[:_MOST_TEXT].decode("utf-8", "replace") or None,
            "retry_after": answered.headers.get("retry-after"),
        }
    return Attempted(at, round(time.monotonic() - begun, 4), _redacted(headers, kept.headers), **said)


def _redacted(headers: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that were sent, without the values of the endpoint's own and without the signature."""
    hidden = dict.fromkeys((*own, "webhook-signature"), "…")
    return {**headers, **hidden}
