"""Rate limits: how many requests a key may make in a minute, counted in blocks that a process takes from the store.

A quota is that of a key, whatever process it asks. A process takes a part of what is left of it, at most a twentieth of
all, in one call; it counts the requests against that by itself, and gives nothing back. The fields are those of
draft-ietf-httpapi-ratelimit-headers-10.
"""

import asyncio
import math
import time
from collections import OrderedDict

import structlog
from msgspec import Struct

from events import keys
from events.errors import LedgerError
from events.store import Script, Store, answering

BLOCK = 20
"""A block is at most this part of a quota."""
_MOST_KEPT = 10_000
_WITHOUT_STORE_SECONDS = 1.0
_LEASE = Script("service.api.http", "lease.lua")
_LOG = structlog.get_logger("onrecord.limits")

Fields = list[tuple[bytes, bytes]]


class Policy(Struct, frozen=True):
    """A quota: its name, and how many requests it allows in a window of so many seconds.

    Windows begin where the store's clock is a multiple of that: at whole minutes.
    """

    name: str
    quota: int
    window: int = 60

    @property
    def field(self) -> bytes:
        """The value of ``RateLimit-Policy``."""
        return f'"{self.name}";q={self.quota};w={self.window}'.encode()


class Spent(Exception):
    """A quota is used up; ``seconds`` says in how many there is a new one."""

    def __init__(self, policy: Policy, seconds: int) -> None:
        super().__init__(f"the key has made its {policy.quota} {policy.name} of these {policy.window} seconds")
        self.seconds = seconds


class _Block:
    """What a process may still allow of one quota of one key until the window ends, by its own monotonic clock."""

    __slots__ = ("beside", "end", "left", "taking")

    def __init__(self) -> None:
        self.left, self.beside, self.end = 0, 0, 0.0
        self.taking: asyncio.Task[None] | None = None


class RateLimit:
    """One quota for every key."""

    def __init__(self, store: Store, policy: Policy) -> None:
        self._store, self.policy = store, policy
        self._blocks: OrderedDict[str, _Block] = OrderedDict()
        self._policy_field = (b"ratelimit-policy", policy.field)
        self._name = policy.name.encode()

    @classmethod
    def of(cls, store: Store, name: str, quota: int) -> "RateLimit | None":
        """Return the quota of that name, or None if it is 0: then there is none."""
        return cls(store, Policy(name, quota)) if quota else None

    def count_at_once(self, key_id: str) -> Fields | None:
        """Count one request against what this process has, as :meth:`count` does; None if it has nothing."""
        block, now = self._blocks.get(key_id), time.monotonic()
        if block is None or block.left < 1 or now >= block.end:
            return None
        return self._spend(block, now)

    async def count(self, key_id: str) -> Fields:
        """Count one request, and return the header fields that say what is left. Raises ``Spent``.

        When the store does not answer, a process allows a block a second by itself: whoever cannot be counted is not
        turned away, and nobody is let do as he likes.
        """
        block = self._blocks.get(key_id)
        if block is None:
            block = self._blocks[key_id] = _Block()
            if len(self._blocks) > _MOST_KEPT:
                self._blocks.popitem(last=False)
        now = time.monotonic()
        while block.left < 1 or now >= block.end:
            if now < block.end and not block.beside:
                raise Spent(self.policy, max(1, math.ceil(block.end - now)))
            await self._taken(key_id, block)
            now = time.monotonic()
        return self._spend(block, now)

    def _spend(self, block: _Block, now: float) -> Fields:
        block.left -= 1
        return self.fields(block.left + block.beside, block.end - now)

    def fields(self, left: int, seconds: float) -> Fields:
        """Return the header fields that say how many requests are left for how long."""
        return [self._policy_field, (b"ratelimit", b'"%s";r=%d;t=%d' % (self._name, left, math.ceil(seconds)))]

    async def _taken(self, key_id: str, block: _Block) -> None:
        """Take another block; those who ask meanwhile wait for the same one."""
        if block.taking is None:
            block.taking = asyncio.create_task(self._take(key_id, block))
        await asyncio.shield(block.taking)

    async def _take(self, key_id: str, block: _Block) -> None:
        before = time.monotonic()  # the window ends no later than that much after this
        most = max(1, self.policy.quota // BLOCK)
        try:
            with answering():
                name = keys.rate_limit(self.policy.name, key_id)
                granted, left, milliseconds = await _LEASE.run(
                    self._store, [name], [self.policy.quota, self.policy.window * 1000, most]
                )
        except LedgerError as error:
            _LOG.warning("requests cannot be counted together", error=str(error))
            granted, left, milliseconds = most, most, 1000 * _WITHOUT_STORE_SECONDS
        finally:
            block.taking = None
        block.left, block.beside, block.end = int(granted), int(left), before + int(milliseconds) / 1000
