"""Documents that this process has read, kept for as long as nothing was recorded that could change them.

Whatever an event changes, it names: the documents that it is folded into are among the identifiers in its bytes. So a
document, read from the store with the checkpoint of its projection, is what the store has until an event after that
checkpoint names it. This process hears of events from the tail of the log, some hundredths of a second after they are
recorded, as it would see a projection's work; a read that must see a write is given what is kept only if the log was
heard up to that write.

A rebuild is no event. The live generations are looked at twenty times a second; until then a reader can be given what
the old generation said of the same events. Whoever hears nothing for too long, of either, forgets everything.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

from msgspec import Struct

from events.envelope import Entry
from events.errors import LedgerError
from events.ledger import Ledger
from events.store import Store, answering, beside

LARGEST = 64 << 20
"""Bytes of documents that are kept, for each ledger."""
_LARGEST_DOCUMENT = 1 << 20
_OVERHEAD = 1000
"""Bytes that a document takes beside its own, some."""
_MOST_NAMED = 50_000
"""Identifiers of which it is known when an event named them last."""
_BETWEEN_LOOKS = 0.05
_DEAF_SECONDS = 2.5
"""Seconds without a word from the log, which says something each second, or of the generations."""
_IDLE_SECONDS = 30.0
"""Seconds without a read after which nobody listens any more."""
_IDENTIFIER = re.compile(rb'"([a-z]+_[0-7][0-9a-hjkmnp-tv-z]{25})"')


class Found(Struct):
    """A document as stored, with its version, the generation it belongs to and the checkpoint at which it was read."""

    raw: bytes
    version: int
    generation: int
    checkpoint: int
    related: tuple[bytes, ...] = ()
    """The first documents of the index that was asked for with it."""
    shown: Any = None
    """What somebody made of it, to be kept with it."""


class Asked(NamedTuple):
    """What was asked for: a document, and what with it."""

    projection: str
    document_id: str
    beside: str = ""


class Kept:
    """What is kept of one ledger's documents in this process."""

    def __init__(self, store: Store, ledger: Ledger, projections: Sequence[str]) -> None:
        self._store, self._ledger, self._projections = store, ledger, projections
        self._found: OrderedDict[Asked, Found] = OrderedDict()
        self._size = 0
        self._generations: dict[str, int] = {}
        self._position = 0
        """How far the log was heard."""
        self._floor = 0
        """All identifiers that events after this position named are in ``_named``."""
        self._named: dict[str, int] = {}
        self._heard = self._looked = self._asked = float("-inf")
        self._listening: asyncio.Task[None] | None = None

    def find(self, asked: Asked, position: int) -> Found | None:
        """Return a document that is known to be as it is at a position or later, if it is kept."""
        hears, found = self._hears(), self._found.get(asked)
        if found is None or not hears:
            return None
        outdated = self._named.get(asked.document_id, 0) > found.checkpoint
        if outdated or found.generation != self._generations[asked.projection]:
            self._drop(asked)
            return None
        if position > self._position and position > found.checkpoint:
            return None
        self._found.move_to_end(asked)
        return found

    def keep(self, asked: Asked, found: Found) -> None:
        """Keep a document that was just read, unless it may have changed since, or what is kept is as new."""
        if found.generation != self._generations.get(asked.projection) or len(found.raw) > _LARGEST_DOCUMENT:
            return
        if found.checkpoint < self._named.get(asked.document_id, self._floor):
            return
        before = self._found.get(asked)
        if before is not None and before.checkpoint >= found.checkpoint:
            return
        self._drop(asked)
        self._found[asked] = found
        self._size += _size(found)
        while self._size > LARGEST:
            self._drop(next(iter(self._found)))

    def is_unmoved(self, projection: str, generation: int, position: int) -> bool:
        """Whether nothing was recorded after a position, and a generation of a projection is live, as far as is heard.

        Then a list that was read with that checkpoint is what the store has.
        """
        return self._hears() and self._position <= position and self._generations.get(projection) == generation

    async def aclose(self) -> None:
        """Listen no more, and leave no task."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])

    def _hears(self) -> bool:
        """Whether this process hears of what is recorded; from now on it does, if it did not."""
        now = self._asked = time.monotonic()
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())
        return now <= min(self._heard, self._looked) + _DEAF_SECONDS

    def _drop(self, asked: Asked) -> None:
        found = self._found.pop(asked, None)
        if found is not None:
            self._size -= _size(found)

    def _forget(self) -> None:
        self._found.clear()
        self._generations.clear()
        self._named.clear()
        self._size = 0
        self._heard = self._looked = float("-inf")

    async def _listen(self) -> None:
        """Hear what is recorded and which generations are live, for as long as somebody reads."""
        try:
            async with asyncio.TaskGroup() as group:
                hearing, looking = group.create_task(self._hear_all()), group.create_task(self._look_at_all())
                while time.monotonic() - self._asked < _IDLE_SECONDS and not (hearing.done() or looking.done()):
                    await asyncio.wait([hearing, looking], timeout=1, return_when="FIRST_COMPLETED")
                hearing.cancel()
                looking.cancel()
        except* LedgerError:
            pass  # the next read begins anew
        finally:
            self._forget()
            self._listening = None

    async def _hear_all(self) -> None:
        self._position = self._floor = (await self._ledger.head()).position
        self._heard = time.monotonic()
        async with aclosing(self._ledger.tail(self._position)) as batches:
            async for entries in batches:
                self._hear(entries)

    def _hear(self, entries: Sequence[Entry]) -> None:
        self._heard = time.monotonic()
        for entry in entries:
            for name in named_in(entry.raw):
                self._named[name] = entry.position
            self._position = entry.position
        if len(self._named) > _MOST_NAMED:
            for asked, found in list(self._found.items()):
                if self._named.get(asked.document_id, 0) > found.checkpoint:
                    self._drop(asked)
            self._named.clear()
            self._floor = self._position

    async def _look_at_all(self) -> None:
        async with aclosing(beside(self._store)) as store:  # who reads must not keep it from looking
            while True:
                with answering():
                    pipeline = store.pipeline(transaction=False)
                    for name in self._projections:
                        pipeline.hget(self._ledger.keys.projection(name), "generation")
                    found = await pipeline.execute()
                self._generations = {
                    name: int(generation or 1) for name, generation in zip(self._projections, found, strict=True)
                }
                self._looked = time.monotonic()
                await asyncio.sleep(_BETWEEN_LOOKS)


def named_in(event: bytes) -> Iterator[str]:
    """Yield the identifiers that are strings by themselves in an event: a quote within one is never bare."""
    return map(bytes.decode, _IDENTIFIER.findall(event))


def _size(found: Found) -> int:
    return len(found.raw) + _OVERHEAD
