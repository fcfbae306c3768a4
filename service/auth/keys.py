"""API keys: ``onrecord_<id>.<secret>``. The store holds the SHA-256 of the secret; the secret is shown once."""

import hashlib
import hmac
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Set as AbstractSet
from pathlib import Path

from msgspec import Struct

from events import keys
from events.identifiers import new_id
from events.store import Store, answering
from service.auth.scopes import EVERY, ORDINARY, Scope

_PREFIX = "onrecord_"
_CACHED_SECONDS = 2.0
_MOST_CACHED = 10_000


class Key(Struct, frozen=True):
    """A key that was recognised: its identifier (``key_…``), the ledger that it opens, and what it may do there."""

    id: str
    ledger: str
    scopes: AbstractSet[Scope] = ORDINARY


class Keys:
    """Recognises keys; what the store said of one is believed for two seconds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[bytes, tuple[float, Key]] = OrderedDict()

    async def recognise(self, token: str) -> Key | None:
        """Return the key that a token is, or None. Secrets are compared in constant time."""
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known and known[0] > time.monotonic():
            return known[1]
        key = await self._look_up(token)
        if key:
            self._known[digest] = (time.monotonic() + _CACHED_SECONDS, key)
            if len(self._known) > _MOST_CACHED:
                self._known.popitem(last=False)
        return key

    async def _look_up(self, token: str) -> Key | None:
        key_id, _, secret = token.removeprefix(_PREFIX).partition(".")
        if not (token.startswith(_PREFIX) and key_id and secret):
            return None
        with answering():
            found = await self._store.hmget(keys.api_key(key_id), ["sha256", "ledger", "scopes"])
        sha256, ledger, scopes = found
        if sha256 is None or ledger is None or not hmac.compare_digest(sha256, _sha256(secret)):
            return None
        return Key(
            f"key_{key_id}",
            ledger.decode(),
            ORDINARY if scopes is None else frozenset(map(Scope, scopes.decode().split())),
        )


async def ensure_bootstrap_key(store: Store, ledger: str, path: Path, *, replace: bool) -> bool:
    """Make sure that there is a first key, in the file at ``path`` (mode 0600), and return whether it is there.

    A store that has a bootstrap key whose file is not here keeps it, unless ``replace``: then a new one takes its
    place, and the old one opens nothing any more.
    """
    if path.exists():
        token = path.read_text().strip()
        await _store_key(store, token, ledger, EVERY)
        await _be_bootstrap(store, token)
        return True
    if not replace and await store.get(keys.BOOTSTRAP):
        return False
    token = await new_key(store, ledger, scopes=EVERY)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
    await _be_bootstrap(store, token)
    return True


async def new_key(store: Store, ledger: str, *, scopes: AbstractSet[Scope] = ORDINARY) -> str:
    """Make a key that opens a ledger, and return it; nobody can learn it again."""
    token = f"{_PREFIX}{new_id('key').removeprefix('key_')}.{secrets.token_urlsafe(32)}"
    await _store_key(store, token, ledger, scopes)
    return token


async def _store_key(store: Store, token: str, ledger: str, scopes: AbstractSet[Scope]) -> None:
    key_id, _, secret = token.removeprefix(_PREFIX).partition(".")
    held = {"sha256": _sha256(secret), "ledger": ledger, "scopes": " ".join(sorted(scopes))}
    await store.hset(keys.api_key(key_id), mapping=held)


async def _be_bootstrap(store: Store, token: str) -> None:
    """Let a key be the bootstrap key; the one before it opens nothing any more."""
    key_id = token.removeprefix(_PREFIX).partition(".")[0]
    former = await store.set(keys.BOOTSTRAP, key_id, get=True)
    if former and former.decode() != key_id:
        await store.delete(keys.api_key(former.decode()))


def _sha256(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).hexdigest().encode()
