"""Signatures of Standard Webhooks 1.0.0: ``v1``, HMAC-SHA256 under a secret that both sides hold, and ``v1a``, Ed25519.

What is signed is ``<webhook-id>.<webhook-timestamp>.<body>``. A message can carry several signatures, so that secrets
can be changed without a moment in which none is valid.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what every secret begins with
PUBLIC_PREFIX: Final = "whpk_"
_SHORTEST, _LONGEST = 24, 64
"""Bytes of a secret, by the specification."""
_TOLERANCE = 300.0
"""Seconds by which the clocks of sender and receiver may differ, and a message be under way."""


class NoSecret(ValueError):
    """A text that is no webhook secret. The message does not repeat it."""


class NotVerified(Exception):
    """A message that is not signed as it should be. The message says what is wrong."""


def new_secret() -> str:
    """Return a new secret: ``whsec_`` and 32 random bytes in base64."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def secret_bytes(secret: str) -> bytes:
    """Return the bytes of a secret. Raises ``NoSecret`` unless it is ``whsec_`` and 24 to 64 bytes in base64."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not (secret.startswith(SECRET_PREFIX) and _SHORTEST <= len(key) <= _LONGEST):
        raise NoSecret(f"a secret is {SECRET_PREFIX} and {_SHORTEST} to {_LONGEST} bytes in base64")
    return key


def public_key(key: Ed25519PrivateKey) -> str:
    """Return the public half of a signing key as receivers are given it: ``whpk_`` and 32 bytes in base64."""
    return PUBLIC_PREFIX + base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def signatures(
    message_id: str, timestamp: int, body: bytes, shared: Iterable[bytes], key: Ed25519PrivateKey | None = None
) -> str:
    """Return the value of ``webhook-signature``: one ``v1`` for each secret that is valid, then the ``v1a``.

    ``timestamp`` is in seconds since 1970.
    """
    signed = _signed(message_id, timestamp, body)
    made = [f"v1,{_text(hmac.digest(secret, signed, hashlib.sha256))}" for secret in shared]
    if key is not None:
        made.append(f"v1a,{_text(key.sign(signed))}")
    return " ".join(made)


def verify(headers: Mapping[str, str], body: bytes, secret: bytes, *, tolerance: float = _TOLERANCE) -> str:
    """Return the identifier of a message with these headers (names in lower case), if a ``v1`` signature is right.

    Raises ``NotVerified`` if none is, or if it was signed more than ``tolerance`` seconds ago or ahead.
    """
    try:
        message_id, at, given = (headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
        timestamp = int(at)
    except (KeyError, ValueError) as error:
        raise NotVerified("it has not the headers of a webhook") from error
    if abs(time.time() - timestamp) > tolerance:
        raise NotVerified("it was signed too long ago, or too far ahead")
    right = f"v1,{_text(hmac.digest(secret, _signed(message_id, timestamp, body), hashlib.sha256))}"
    if not any(hmac.compare_digest(right.encode(), each.encode()) for each in given.split(" ")):
        raise NotVerified("no signature is of this secret")
    return message_id


def _signed(message_id: str, timestamp: int, body: bytes) -> bytes:
    return b"%s.%d.%s" % (message_id.encode(), timestamp, body)


def _text(signature: bytes) -> str:
    return base64.b64encode(signature).decode()
