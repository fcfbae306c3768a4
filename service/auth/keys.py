"""Recognising API keys: ``onrecord_<id>.<secret>``.

What the store said of a key is believed for half a minute, and only while this process hears what is revoked: it reads
a stream of that, and each revocation ends the belief at once. When it has heard nothing for two and a half seconds,
not even that there was nothing, it asks the store for every request until it hears again.
"""

import asyncio
import contextlib
import hashlib
import hmac
import random
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

import structlog
from msgspec import Struct

from events import keys
from events.errors import LedgerError
from events.store import Store, answering, beside
from service.auth.kept_keys import NOTE_SECONDS, KeptKeys, NewKey, hashed, split
from service.auth.scopes import ORDINARY, Scope

_LOG = structlog.get_logger("onrecord.auth")
BELIEVED_SECONDS = 30.0
"""For how long the store is not asked again about a key, while revocations are heard."""
HEARD_SECONDS = 2.5
"""How old the last word on revocations may be."""
_BLOCK_MILLISECONDS = 500
_MOST_CACHED = 10_000
_NOTES_SECONDS = 5.0
"""Seconds between two notes of which keys were used."""
_MOST_NOTED = 500
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_NOBODY = hashed("")


class NotRecognised(Exception):
    """What was given opens nothing here. ``key_id`` is the identifier that it named, if it named one."""

    def __init__(self, why: str, key_id: str = "") -> None:
        super().__init__(why)
        self.key_id = key_id


class Key(Struct, frozen=True):
    """Who was recognised (``key_…`` or ``person_…``), the ledger that opens for it, and what it may do there.

    ``expires`` is in seconds since 1970.
    """

    id: str
    ledger: str
    scopes: AbstractSet[Scope] = ORDINARY
    expires: float | None = None


class _Known(Struct):
    key: Key
    until: float


class Keys:
    """The keys that this process knows."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.kept = KeptKeys(store)
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._digests: dict[str, bytes] = {}
        """Of each key that is known, by its identifier, the digest under which it is."""
        self._heard = float("-inf")
        self._listens = asyncio.Event()
        self._revocations = 0
        self._used: set[str] = set()
        self._noted: dict[str, float] = {}

    def known(self, token: str) -> Key | None:
        """Return the key that this process knows a token to be, or None: then the store is to be asked."""
        known = self._known.get(_digest(token))
        now = time.monotonic()
        if known is None or now > known.until or now > self._heard + HEARD_SECONDS or _has_expired(known.key):
            return None
        self._used.add(known.key.id)
        return known.key

    def remembers(self, token: str) -> bool:
        """Whether a token was a key when the store was last asked."""
        return _digest(token) in self._known

    async def recognise(self, token: str) -> Key:
        """Return the key that a token is. Secrets are compared in constant time.

        Raises ``NotRecognised`` if it is none, or was revoked, or has expired.
        """
        if known := self.known(token):
            return known
        revocations = self._revocations
        key = await self._look_up(token)
        self._used.add(key.id)
        if self._revocations == revocations:  # else it may have been revoked since the store was asked
            self._learn(_digest(token), key)
        return key

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Hear what is revoked, and note which keys are used, beside the caller."""
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._note())]
        try:
            with contextlib.suppress(TimeoutError):  # the store may be slow: until it answers, nothing is believed
                await asyncio.wait_for(self._listens.wait(), HEARD_SECONDS)
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(LedgerError, TimeoutError):
                async with asyncio.timeout(1):
                    await self._note_used()

    # ------------------------------------------------------------------------------------ what is known

    async def _look_up(self, token: str) -> Key:
        bare, secret = split(token)
        if not bare:
            raise NotRecognised("this is no API key")
        with answering():
            held = await self._store.hmget(keys.api_key(bare), ["sha256", "ledger", "scopes", "expires", "revoked"])
        sha256, ledger, scopes, expires, revoked = held
        if not hmac.compare_digest(sha256 or _NOBODY, hashed(secret)) or sha256 is None:
            raise NotRecognised("the API key is not known here", f"key_{bare}")
        if revoked:
            raise NotRecognised("the API key was revoked", f"key_{bare}")
        may = frozenset(map(Scope, scopes.decode().split()))
        key = Key(f"key_{bare}", ledger.decode(), may, int(expires) / 1_000_000 if expires else None)
        if _has_expired(key):
            raise NotRecognised("the API key has expired", key.id)
        return key

    def _learn(self, digest: bytes, key: Key) -> None:
        self._forget(key.id)
        self._known[digest] = _Known(key, time.monotonic() + BELIEVED_SECONDS)
        self._digests[key.id] = digest
        if len(self._known) > _MOST_CACHED:
            _, oldest = self._known.popitem(last=False)
            self._digests.pop(oldest.key.id, None)

    def _forget(self, key_id: str) -> None:
        if digest := self._digests.pop(key_id, None):
            self._known.pop(digest, None)

    # -------------------------------------------------------------------------- revocations and last uses

    async def _listen(self) -> None:
        """Read what is revoked, for ever; after a failure, which ends all belief, again after a pause."""
        pause = _SHORTEST_PAUSE
        while True:
            try:
                async with contextlib.aclosing(beside(self._store)) as listener:
                    last = await _end_of(listener)
                    self._begin_anew()
                    self._heard = time.monotonic()
                    self._listens.set()
                    pause = _SHORTEST_PAUSE
                    while True:
                        last = self._hear(await _after(listener, last), last)
            except LedgerError as error:
                _LOG.warning("revocations are not heard: keys are looked up for every request", why=str(error))
            self._heard = float("-inf")
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _begin_anew(self) -> None:
        """Forget what is known, and what is being looked up now: a revocation of it may not be heard any more."""
        self._revocations += 1
        self._known.clear()
        self._digests.clear()

    def _hear(self, entries: Sequence[tuple[bytes, Mapping[bytes, bytes]]], last: bytes) -> bytes:
        """Forget the keys that were revoked, and return up to where that was heard."""
        for entry_id, fields in entries:
            self._revocations += 1
            self._forget(f"key_{fields[b'key'].decode()}")
            last = entry_id
        self._heard = time.monotonic()
        return last

    async def _note(self) -> None:
        """Note now and then which keys were used, for ever."""
        while True:
            await asyncio.sleep(_NOTES_SECONDS)
            with contextlib.suppress(LedgerError):  # who listens says that the store is away
                await self._note_used()

    async def _note_used(self) -> None:
        """Note which keys were used, each at most once in a minute."""
        now = time.monotonic()
        self._noted = {name: at for name, at in self._noted.items() if now - at < NOTE_SECONDS}
        due = [name for name in self._used if name not in self._noted][:_MOST_NOTED]
        await self.kept.used(due)
        self._noted |= dict.fromkeys(due, now)
        self._used.clear()


async def new_key(store: Store, ledger: str, *, scopes: AbstractSet[Scope] = ORDINARY) -> str:
    """Make a key that opens a ledger, and return it; nobody can learn it again."""
    return await KeptKeys(store).create(NewKey(ledger=ledger, scopes=scopes))


async def _end_of(store: Store) -> bytes:
    """Return after which entry new revocations come."""
    with answering():
        last = await store.xrevrange(keys.REVOCATIONS, count=1)
    return bytes(last[0][0]) if last else b"0-0"


async def _after(store: Store, last: bytes) -> Sequence[tuple[bytes, Mapping[bytes, bytes]]]:
    """Return the revocations after one, or none after half a second without any."""
    with answering():
        found = await store.xread({keys.REVOCATIONS: last}, block=_BLOCK_MILLISECONDS)
    return next(iter(found.values()))[0] if found else []


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _has_expired(key: Key) -> bool:
    return key.expires is not None and time.time() >= key.expires
