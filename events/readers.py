"""Readers of logs: what is new in all the logs that are followed through one client of the store.

A read that blocks holds a connection. On a server one read waits for any number of logs; in a cluster for those of one
slot, so that each ledger that is followed holds a connection there.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Protocol

from redis.exceptions import ResponseError

from events.envelope import Entry
from events.errors import StoreUnavailable
from events.store import Store, answering, beside, is_cluster

_MOST, _LEAST = 1000, 100
"""Entries of a log that are read at once: fewer of each, the more logs there are."""
_BLOCK_MILLISECONDS = 1000
_QUIET = 0.9
"""Seconds in which nothing came, after which followers are let look up."""
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


class Listener(Protocol):
    """Who is given what comes to a log. None at all lets it look up."""

    def give(self, entries: list[Entry]) -> None:
        """Take entries without waiting."""

    def end(self) -> None:
        """Learn that nothing more comes."""


class Feed:
    """One log as it is read: how far that is, and who is given what comes."""

    def __init__(self, log: str, reader: "_Reader") -> None:
        self.log = log
        self.position = 0
        self.listeners: set[Listener] = set()
        self.has_ended = False
        self.has_begun = asyncio.Event()
        self._reader = reader
        self._given_at = time.monotonic()
        self._failure: Exception | None = None

    async def begun(self) -> None:
        """Wait until it is known where the log ends. Raises what its reader failed with."""
        await self.has_begun.wait()
        self.check()

    def check(self) -> None:
        """Raise why it has ended, if it has."""
        if self.has_ended:
            if isinstance(self._failure, StoreUnavailable):
                raise StoreUnavailable(str(self._failure)) from self._failure  # for each an error of its own
            raise self._failure or StoreUnavailable("the reader of the log was ended")

    async def leave(self, listener: Listener) -> None:
        """Give a listener nothing any more; with the last one of all logs the reader ends, with its connection."""
        self.listeners.discard(listener)
        if not self.listeners:
            await self._reader.forget(self)

    def begin(self, position: int) -> None:
        """Go on after a position."""
        self.position = position
        self.has_begun.set()

    def give(self, entries: list[Entry]) -> None:
        """Give entries to all who listen."""
        self._given_at = time.monotonic()
        if entries:
            self.position = entries[-1].position
        for listener in self.listeners:
            listener.give(entries)

    def look_up(self) -> None:
        """Let all who listen look up, if nothing has come for a while."""
        if time.monotonic() - self._given_at >= _QUIET:
            self.give([])

    def end(self, failure: Exception | None) -> None:
        """Give nothing any more, and say why."""
        if not self.has_ended:
            self.has_ended, self._failure = True, failure
            self.has_begun.set()
            for listener in self.listeners:
                listener.end()


class Readers:
    """The readers of one client, all on one client beside it, which is there while there are any."""

    def __init__(self, store: Store) -> None:
        self._store, self._users = store, 0
        self._client: Store | None = None
        self._readers: dict[str, _Reader] = {}

    def feed(self, log: str) -> Feed:
        """Return the feed of a log, whose reader begins if there is none."""
        which = log if is_cluster(self._store) else ""
        reader = self._readers.get(which)
        if reader is None or reader.has_ended:
            reader = self._readers[which] = _Reader(self, which)
        return reader.feed(log)

    def borrow(self) -> Store:
        """Return the client on which is read."""
        if self._client is None:
            self._client = beside(self._store)
        self._users += 1
        return self._client

    async def give_back(self, which: str, reader: "_Reader") -> None:
        """Forget a reader that has ended; with the last one the client goes."""
        if self._readers.get(which) is reader:
            del self._readers[which]
        self._users -= 1
        if self._client is not None and not self._users:
            client, self._client = self._client, None
            await client.aclose()


class _Reader:
    """A task that reads logs on one connection, from the first that is followed to the last."""

    def __init__(self, its: Readers, which: str) -> None:
        self.has_ended = False
        self._its, self._which = its, which
        self._feeds: dict[str, Feed] = {}
        self._new: list[Feed] = []
        self._blocked: asyncio.Task[Any] | None = None
        self._reading = asyncio.create_task(self._read())

    def feed(self, log: str) -> Feed:
        """Return the feed of a log; a new one begins at once, whatever is waited for meanwhile."""
        feed = self._feeds.get(log)
        if feed is None or feed.has_ended:
            feed = self._feeds[log] = Feed(log, self)
            self._new.append(feed)
            if self._blocked:
                self._blocked.cancel()
        return feed

    async def forget(self, feed: Feed) -> None:
        """Read a log no more. Without any, end, and leave no task and no connection."""
        if self._feeds.get(feed.log) is feed:
            del self._feeds[feed.log]
        if not self._feeds:
            self.has_ended = True
            self._reading.cancel()
            await asyncio.wait([self._reading])

    async def _read(self) -> None:
        failure: Exception | None = None
        store = self._its.borrow()
        try:
            with answering():
                while True:
                    while self._new:
                        await self._begin(store)
                    most = max(_LEAST, _MOST // max(len(self._feeds), 1))
                    longest = self._take(await self._next(store, most))
                    if 0 < longest < most:
                        await asyncio.sleep(_BETWEEN_READS)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            failure = error
        finally:
            self.has_ended = True
            for feed in self._feeds.values():
                feed.end(failure)
            await self._its.give_back(self._which, self)

    async def _begin(self, store: Store) -> None:
        """Learn where new logs end. One that cannot be read ends alone."""
        new, self._new = self._new, []
        pipeline = store.pipeline(transaction=False)
        for feed in new:
            pipeline.xrevrange(feed.log, count=1)
        for feed, last in zip(new, await pipeline.execute(raise_on_error=False), strict=True):
            try:
                with answering():
                    if isinstance(last, Exception):
                        raise last
                    feed.begin(entry_of(*last[0]).position if last else 0)
            except (ResponseError, KeyError, ValueError) as error:
                feed.end(error)

    async def _next(self, store: Store, most: int) -> Mapping[bytes, Any]:
        """Return what is new, and nothing after a quiet second or when a log comes that is to be read too."""
        places = {feed.log: f"{feed.position}-0" for feed in self._feeds.values() if not feed.has_ended}
        if not places:
            await asyncio.sleep(_BETWEEN_READS)
            return {}

        async def read() -> Mapping[bytes, Any] | None:
            found: Mapping[bytes, Any] | None = await store.xread(places, most, _BLOCK_MILLISECONDS)
            return found

        blocked = self._blocked = asyncio.create_task(read())
        try:
            await asyncio.wait([blocked])
        finally:
            self._blocked = None
            if not blocked.done():
                blocked.cancel()
                await asyncio.wait([blocked])
        return {} if blocked.cancelled() else blocked.result() or {}

    def _take(self, answer: Mapping[bytes, Any]) -> int:
        """Give out what is new, and return how many entries the log has that has most."""
        longest = 0
        for log, parts in answer.items():
            feed = self._feeds.get(log.decode())
            if feed is None:
                continue
            found = parts[0]
            longest = max(longest, len(found))
            try:
                feed.give([entry_of(entry_id, fields) for entry_id, fields in found])
            except (KeyError, ValueError) as error:  # what is damaged in one log is of no other
                feed.end(error)
        for feed in self._feeds.values():
            feed.look_up()
        return longest
