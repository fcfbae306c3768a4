"""API keys as the store keeps them: making, listing and revoking them. The secret is not there, only its SHA-256.

A key that was revoked or has expired opens nothing; what it was called and what it might do stay for ninety days more,
for whoever looks up who recorded something.
"""

import hashlib
import secrets
import time
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from msgspec import Struct
from redis.exceptions import ResponseError

from events import keys, moments
from events.identifiers import new_id
from events.sending import Sender
from events.store import Script, Store, answering, meaning
from service.auth.scopes import Scope

PREFIX = "onrecord_"
MOST_KEYS = 10_000
"""Keys that a ledger may have, with those that were revoked or have expired and are not forgotten yet."""
FORGOTTEN_AFTER = 90 * 86_400
"""Seconds after which a key that was revoked or has expired is forgotten."""
NOTE_SECONDS = 60
"""For how long it stands that a key was used just now."""

REPEATED_WITHIN = 86_400 * 1_000_000
"""Microseconds within which a key can be asked for again under the same name."""

_CREATE = Script("service.auth", "create_key.lua")
_REVOKE = Script("service.auth", "revoke_key.lua")
_USE = Script("service.auth", "use_keys.lua")
_NEVER = "+inf"
_MICROSECONDS = 1_000_000


class TooManyKeys(Exception):
    """The ledger has as many keys as it may have."""


class LastAdministrator(Exception):
    """The key is the only one in force of its ledger that has the scope ``admin``."""


class OtherKeyAsked(Exception):
    """Under the same name another key was asked for before."""


class KeptKey(Struct, frozen=True, kw_only=True):
    """A key as it may be shown. Times are RFC 3339; ``last_used`` is true to about a minute."""

    id: str
    ledger: str
    name: str
    scopes: tuple[Scope, ...]
    created: str | None
    created_by: str
    expires: str | None = None
    last_used: str | None = None
    revoked: str | None = None
    revoked_by: str | None = None


class NewKey(Struct, frozen=True, kw_only=True):
    """A key to make: ``expires`` is in microseconds since 1970, and ``by`` who makes it."""

    ledger: str
    scopes: AbstractSet[Scope]
    name: str = ""
    expires: int | None = None
    by: str = "system"


class KeptKeys:
    """The API keys of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sender = Sender(store)

    async def create(self, new: NewKey, *, named: tuple[str, str] | None = None) -> str:
        """Make a key and return it, on disk when this returns; nobody can learn it again.

        ``named`` gives it an identifier and a secret that the caller can make again, so that asking twice within a day
        makes one key. Raises ``OtherKeyAsked`` if those were given with another ``new`` before, or long ago,
        ``TooManyKeys``, and what a write of the store raises.
        """
        key_id, secret = named or (new_id("key"), secrets.token_urlsafe(32))
        token = f"{PREFIX}{key_id.removeprefix('key_')}.{secret}"
        await self.keep(token, new)
        return token

    async def keep(self, token: str, new: NewKey) -> None:
        """Keep a key that was made elsewhere. Raises as ``create`` does."""
        bare, secret = split(token)
        now = _now()
        asked = hashlib.sha256(repr((new.ledger, sorted(new.scopes), new.name, new.expires)).encode()).hexdigest()
        held: dict[str, Any] = {
            "sha256": hashed(secret),
            "asked": asked,
            "ledger": new.ledger,
            "scopes": " ".join(sorted(new.scopes)),
            "name": new.name,
            "created": now,
            "created_by": new.by,
        }
        if new.expires is not None:
            held["expires"] = new.expires
        forgotten = None if new.expires is None else new.expires + FORGOTTEN_AFTER * _MICROSECONDS
        expiry = "" if Scope.ADMIN not in new.scopes else _NEVER if new.expires is None else str(new.expires)
        said, *there = await self._send(
            _CREATE,
            [keys.api_key(bare), keys.api_keys(new.ledger), keys.administrators(new.ledger)],
            [
                bare,
                now,
                MOST_KEYS,
                _NEVER if forgotten is None else forgotten,
                expiry,
                "" if forgotten is None else forgotten // 1000,
                *(word for pair in held.items() for word in pair),
            ],
        )
        if said == b"full":
            raise TooManyKeys(f"the ledger has {MOST_KEYS} keys: those that are revoked or expired go after 90 days")
        if said == b"there" and (
            there[:2] != [hashed(secret), asked.encode()] or now - int(there[2]) > REPEATED_WITHIN
        ):
            raise OtherKeyAsked(f"key_{bare} is there already: another one, or made long ago")

    async def revoke(self, key_id: str, ledger: str, *, by: str, spare_last: bool) -> bool:
        """Let a key open nothing any more, in any process, and return whether the ledger has such a key.

        It is on disk when this returns, and every process that listens is told. Raises ``LastAdministrator`` if it is
        the last one in force with the scope ``admin`` and ``spare_last``, and what a write of the store raises.
        """
        bare, now = key_id.removeprefix("key_"), _now()
        forgotten = now + FORGOTTEN_AFTER * _MICROSECONDS
        said = await self._send(
            _REVOKE,
            [keys.api_key(bare), keys.api_keys(ledger), keys.administrators(ledger), keys.REVOCATIONS],
            [bare, ledger, now, by, forgotten, forgotten // 1000, "1" if spare_last else "0"],
        )
        if said == b"last":
            raise LastAdministrator(f"{key_id} is the ledger's only key with the scope admin: make another first")
        return bool(said == b"revoked")

    async def read(self, key_id: str) -> KeptKey | None:
        """Return a key as it may be shown, whatever its ledger, or None if there is none."""
        (found,) = await self._read([key_id.removeprefix("key_")])
        return found

    async def listed(self, ledger: str, after: str = "", limit: int = 50) -> list[KeptKey]:
        """Return up to ``limit`` keys of a ledger after an identifier, in the order in which they were made."""
        with answering():
            known = await self._store.zrangebyscore(keys.api_keys(ledger), _now(), _NEVER)
        bare = sorted(each.decode() for each in known)
        start = after.removeprefix("key_")
        found = await self._read([each for each in bare if each > start][:limit])
        return [each for each in found if each is not None]

    async def used(self, key_ids: Iterable[str]) -> None:
        """Note that keys were used, unless that was noted less than a minute ago."""
        places = [keys.api_key(each.removeprefix("key_")) for each in key_ids]
        if places:
            with answering():
                await _USE.run(self._store, places, [_now(), NOTE_SECONDS * _MICROSECONDS])

    async def _send(self, script: Script, names: list[str], args: list[Any]) -> Any:  # noqa: ANN401 - what Lua returns
        try:
            return await self._sender.run(script, names, args)
        except ResponseError as error:
            raise meaning(error) or error from error

    async def _read(self, bare: list[str]) -> list[KeptKey | None]:
        with answering():
            pipeline = self._store.pipeline(transaction=False)
            for each in bare:
                pipeline.hgetall(keys.api_key(each))
            found = await pipeline.execute() if bare else []
        return [_shown(each, held) for each, held in zip(bare, found, strict=True)]


def split(token: str) -> tuple[str, str]:
    """Return the identifier in a key, without its prefix, and the secret; both empty if it is no key."""
    bare, _, secret = token.removeprefix(PREFIX).partition(".")
    return (bare, secret) if token.startswith(PREFIX) and bare and secret else ("", "")


def hashed(secret: str) -> bytes:
    """Return how the store keeps a secret: its SHA-256 in hexadecimal. It has 256 random bits, so that suffices."""
    return hashlib.sha256(secret.encode()).hexdigest().encode()


def _shown(bare: str, held: Mapping[bytes, bytes]) -> KeptKey | None:
    if b"sha256" not in held:
        return None
    fields = {name.decode(): value.decode() for name, value in held.items()}

    def moment(name: str) -> str | None:
        return moments.timestamp(int(fields[name])) if name in fields else None

    return KeptKey(
        id=f"key_{bare}",
        ledger=fields["ledger"],
        name=fields.get("name", ""),
        scopes=tuple(map(Scope, fields["scopes"].split())),
        created=moment("created"),
        created_by=fields.get("created_by", "system"),
        expires=moment("expires"),
        last_used=moment("last_used"),
        revoked=moment("revoked"),
        revoked_by=fields.get("revoked_by"),
    )


def _now() -> int:
    return time.time_ns() // 1000
