"""The secret key: 32 bytes, kept outside the store, under which the vault keeps its keys.

Keys are derived from it (HKDF, RFC 5869), one for each use, and a check value that tells a wrong one.
"""

import base64
import binascii
import contextlib
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from events.errors import StoreUnusable
from service import durable

_BYTES = 32


class SecretKeyUnusable(StoreUnusable):
    """The secret key is no key, is not here, or is not the one that the ledger's vault was begun with."""


class SecretKey(Struct, frozen=True):
    """What is derived from the secret key, which itself is not kept."""

    wrapping: bytes
    """Wraps the keys of subjects (AES-256)."""
    hashing: bytes
    """Keys the hash of commands that say something in confidence (HMAC-SHA256)."""
    signing: bytes
    """The seed of the key that webhooks are signed with (Ed25519); that of every ledger."""
    check: bytes
    """Tells this key from another one, and nothing else about it."""

    def __repr__(self) -> str:
        return "SecretKey(…)"


def derived(key: bytes, ledger: str) -> SecretKey:
    """Return what 32 bytes come to for a ledger."""

    def for_use(use: str, of: str = ledger) -> bytes:
        return HKDF(SHA256(), _BYTES, salt=None, info=f"onrecord\0{of}\0{use}".encode()).derive(key)

    return SecretKey(for_use("wrapping"), for_use("hashing"), for_use("signing", "*"), for_use("check"))


def given(text: str, path: Path) -> bytes | None:
    """Return the secret key that a setting gives or, if that is empty, a file; None if there is no such file.

    Raises ``SecretKeyUnusable`` for what is not 32 bytes in hexadecimal or base64.
    """
    if text:
        return _read(text, "ONRECORD_SECRET_KEY")
    try:
        return _read(path.read_text().strip(), str(path))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SecretKeyUnusable(f"the secret key in {path} cannot be read: {error}") from error


def made(path: Path) -> bytes:
    """Make a secret key in a file (mode 0600) that is on disk when this returns, or return that of who was quicker."""
    durable.create(path, base64.b64encode(secrets.token_bytes(_BYTES)) + b"\n")
    return _read(path.read_text().strip(), str(path))


def _read(text: str, where: str) -> bytes:
    """Return 32 bytes from how they are written. What was given is in no message."""
    ways: tuple[Callable[[str], bytes], ...] = (bytes.fromhex, lambda text: base64.b64decode(text, validate=True))
    for way in ways:
        with contextlib.suppress(ValueError, binascii.Error):
            if len(key := way(text)) == _BYTES:
                return key
    raise SecretKeyUnusable(f"{where} is no secret key: it is 32 random bytes in hexadecimal or base64")
