"""The tail of a ledger: what comes to its log, for all who follow it in a process.

A log is read (:mod:`events.readers`) from its first follower to its last, from where it ended when that began. A
follower that is behind reads up to there and then joins: positions have no gaps, so that the seam is a comparison of
two numbers.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable

from events.envelope import Entry
from events.errors import FollowerTooSlow, LedgerDamaged
from events.readers import Feed, Readers
from events.store import Store, shared

LONGEST_BATCH = 1000
"""Entries that a follower is given at once."""
LONGEST_QUEUE = 10_000
"""Entries that may wait for one follower; with more it is dropped."""
LARGEST_QUEUE = 32 << 20
"""Bytes of entries that may wait for one follower, likewise."""


class Tail:
    """The end of one log, for any number of followers."""

    def __init__(self, store: Store, log: str, read: Callable[[int, int], Awaitable[list[Entry]]]) -> None:
        self._store, self._log, self._read = store, log, read

    async def follow(self, after: int) -> AsyncGenerator[list[Entry], None]:
        """Yield the entries after a position as they are committed, in batches, for as long as it is asked.

        An empty batch after a quiet second lets the caller look up. Raises ``FollowerTooSlow`` when more than
        ``LONGEST_QUEUE`` entries or ``LARGEST_QUEUE`` bytes would wait, and ``StoreUnavailable``; either way, follow
        again from the last position.
        """
        follower = _Follower(after)
        feed = shared(self._store, Readers).feed(self._log)
        feed.listeners.add(follower)
        try:
            await feed.begun()
            while follower.position < feed.position:
                entries = await self._read(follower.position, LONGEST_BATCH)
                if not entries:
                    raise LedgerDamaged(f"the log has nothing after {follower.position}, and was at {feed.position}")
                follower.position = entries[-1].position
                yield entries
            follower.is_live = True  # nothing was awaited since its position was compared with the feed's
            while True:
                if not follower.has_waiting:
                    await follower.given(feed)
                yield follower.take()
        finally:
            await feed.leave(follower)


class _Follower:
    """Who follows: how far it was given the log, and what waits for it once it is live."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.is_live = False
        self.is_too_slow = False
        self._called = asyncio.Event()
        self._queue: deque[Entry] = deque()
        self._size = 0

    @property
    def has_waiting(self) -> bool:
        return bool(self._queue)

    def give(self, entries: list[Entry]) -> None:
        """Let entries wait for it once it is live, or drop it if they are too many. None at all lets it look up."""
        if not self.is_live:
            return
        size = self._size + sum([len(entry.raw) for entry in entries])
        if self._queue and (len(self._queue) + len(entries) > LONGEST_QUEUE or size > LARGEST_QUEUE):
            self.is_too_slow, self.is_live = True, False
            self._queue.clear()
        else:
            self._queue.extend(entries)
            self._size = size
        self._called.set()

    def end(self) -> None:
        """Learn that nothing more comes."""
        self._called.set()

    async def given(self, feed: Feed) -> None:
        """Wait until it was given something, if only a call to look up. Raises why there will be no more."""
        if not (self.is_too_slow or feed.has_ended):
            self._called.clear()
            await self._called.wait()
        if self.is_too_slow:
            raise FollowerTooSlow(self.position)
        if not self.has_waiting:
            feed.check()

    def take(self) -> list[Entry]:
        """Return what waits; what it had before it joined is not given again."""
        taken = [self._queue.popleft() for _ in range(min(LONGEST_BATCH, len(self._queue)))]
        self._size -= sum([len(entry.raw) for entry in taken])
        fresh = [entry for entry in taken if entry.position > self.position]
        if fresh:
            self.position = fresh[-1].position
        return fresh
