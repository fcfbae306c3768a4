"""The tail of a ledger: one reader of its log for all who follow it in a process.

The reader begins with the first follower and ends with the last. It gives out what is committed after the position at
which the log ended when it began. A follower that is behind the reader reads up to it and then joins it: positions
have no gaps, so that the seam is a comparison of two numbers.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

from events.envelope import Entry
from events.errors import FollowerTooSlow, LedgerDamaged, StoreUnavailable
from events.store import Store, answering, beside

LONGEST_BATCH = 1000
"""Entries that a follower is given at once."""
LONGEST_QUEUE = 10_000
"""Entries that may wait for one follower; with more it is dropped."""
LARGEST_QUEUE = 32 << 20
"""Bytes of entries that may wait for one follower, likewise."""

_BLOCK_MILLISECONDS = 1000
_BETWEEN_READS = 0.01
"""Seconds in which the next entries gather: reading many costs little more than reading one."""


def entry_of(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    """Return an entry of the log as the store answers it."""
    return Entry(int(entry_id.partition(b"-")[0]), fields[b"e"])


async def read_after(store: Store, log: str, after: int, limit: int) -> list[Entry]:
    """Return up to ``limit`` entries of a log after a position, in order."""
    with answering():
        found = await store.xrange(log, min=f"{after + 1}-0", count=limit)
    return [entry_of(entry_id, fields) for entry_id, fields in found]


class Tail:
    """The end of one log, for any number of followers."""

    def __init__(self, store: Store, log: str, read: Callable[[int, int], Awaitable[list[Entry]]]) -> None:
        self._store, self._log, self._read = store, log, read
        self._reader: _Reader | None = None

    async def follow(self, after: int) -> AsyncGenerator[list[Entry], None]:
        """Yield the entries after a position as they are committed, in batches, for as long as it is asked.

        An empty batch after a quiet second lets the caller look up. Raises ``FollowerTooSlow`` when more than
        ``LONGEST_QUEUE`` entries or ``LARGEST_QUEUE`` bytes would wait, and ``StoreUnavailable``; either way, follow
        again from the last position.
        """
        follower = _Follower(after)
        if self._reader is None or self._reader.has_ended:
            self._reader = _Reader(self._store, self._log)
        reader = self._reader
        reader.followers.add(follower)
        try:
            await reader.begun()
            while follower.position < reader.position:
                entries = await self._read(follower.position, LONGEST_BATCH)
                if not entries:
                    raise LedgerDamaged(f"the log has nothing after {follower.position}, and was at {reader.position}")
                follower.position = entries[-1].position
                yield entries
            follower.is_live = True  # nothing was awaited since its position was compared with the reader's
            while True:
                if not follower.has_waiting:
                    await reader.gave(follower)
                yield follower.take()
        finally:
            reader.followers.discard(follower)
            if not reader.followers:
                await reader.end()


class _Follower:
    """Who follows: how far it was given the log, and what waits for it once it is live."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.is_live = False
        self.is_too_slow = False
        self.called = asyncio.Event()
        self._queue: deque[Entry] = deque()
        self._size = 0

    @property
    def has_waiting(self) -> bool:
        return bool(self._queue)

    def give(self, entries: list[Entry]) -> None:
        """Let entries wait for it, or drop it if they are too many. None at all lets it look up."""
        size = self._size + sum([len(entry.raw) for entry in entries])
        if self._queue and (len(self._queue) + len(entries) > LONGEST_QUEUE or size > LARGEST_QUEUE):
            self.is_too_slow, self.is_live = True, False
            self._queue.clear()
        else:
            self._queue.extend(entries)
            self._size = size
        self.called.set()

    def take(self) -> list[Entry]:
        """Return what waits; what it had before it joined is not given again."""
        taken = [self._queue.popleft() for _ in range(min(LONGEST_BATCH, len(self._queue)))]
        self._size -= sum([len(entry.raw) for entry in taken])
        fresh = [entry for entry in taken if entry.position > self.position]
        if fresh:
            self.position = fresh[-1].position
        return fresh


class _Reader:
    """A task that reads the log, on a connection of its own, for its followers."""

    def __init__(self, store: Store, log: str) -> None:
        self.followers: set[_Follower] = set()
        self.position = 0
        self.has_ended = False
        self._store, self._log = store, log
        self._begun = asyncio.Event()
        self._failure: Exception = StoreUnavailable("the reader of the log was ended")
        self._reading = asyncio.create_task(self._read())

    async def begun(self) -> None:
        """Wait until it knows where the log ends. Raises what it failed with."""
        await self._begun.wait()
        self._check()

    async def gave(self, follower: _Follower) -> None:
        """Wait until a follower was given something, if only a call to look up. Raises why there will be no more."""
        if not (follower.is_too_slow or self.has_ended):
            follower.called.clear()
            await follower.called.wait()
        if follower.is_too_slow:
            raise FollowerTooSlow(follower.position)
        if not follower.has_waiting:
            self._check()

    async def end(self) -> None:
        """End, and leave no task and no connection."""
        self.has_ended = True
        self._reading.cancel()
        await asyncio.wait([self._reading])

    def _check(self) -> None:
        if self.has_ended:
            if isinstance(self._failure, StoreUnavailable):
                raise StoreUnavailable(str(self._failure)) from self._failure  # each follower an error of its own
            raise self._failure

    async def _read(self) -> None:
        store = beside(self._store)
        try:
            with answering():
                last = await store.xrevrange(self._log, count=1)
                self.position = entry_of(*last[0]).position if last else 0
                self._begun.set()
                while True:
                    answer = await store.xread({self._log: f"{self.position}-0"}, LONGEST_BATCH, _BLOCK_MILLISECONDS)
                    found = next(iter(answer.values()))[0] if answer else []
                    self._give([entry_of(entry_id, fields) for entry_id, fields in found])
                    if 0 < len(found) < LONGEST_BATCH:
                        await asyncio.sleep(_BETWEEN_READS)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            self._failure = error
        finally:
            self.has_ended = True
            self._begun.set()
            for follower in self.followers:
                follower.called.set()
            await store.aclose()

    def _give(self, entries: list[Entry]) -> None:
        if entries:
            self.position = entries[-1].position
        for follower in self.followers:
            if follower.is_live:
                follower.give(entries)
