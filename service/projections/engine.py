"""The engine: folds batches of the ledger into documents, and writes each batch with its checkpoint in one script.

The script writes only if the checkpoint is where the batch began. So every event is projected exactly once, however
many projectors race and wherever one is killed.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from events.envelope import Entry
from events.errors import UnreadableEvent
from events.keys import LedgerKeys
from events.ledger import answering
from events.store import Script, Store
from service.projections.catalog import Projection
from service.projections.documents import MOST_LISTED
from service.verification.facts import Happened, happened

_SCRIPT = Script("service.projections", "project.lua")
_encode = msgspec.json.Encoder().encode


class Place(NamedTuple):
    """How far a projection is: the generation of its documents, and the last position in them."""

    generation: int
    checkpoint: int


class Stopped(Exception):
    """A projection met an event that it cannot fold, and goes no further."""

    def __init__(self, projection: str, position: int, why: str) -> None:
        super().__init__(f"projection {projection} stopped at event {position}: {why}")
        self.projection, self.position, self.why = projection, position, why


async def place(store: Store, keys: LedgerKeys, name: str) -> Place:
    """Return how far a projection is; generation 1 at 0 if it never began."""
    with answering():
        found = await store.hmget(keys.projection(name), ["generation", "checkpoint"])
    return Place(int(found[0] or 1), int(found[1] or 0))


class Projector:
    """Brings one projection forward. Any number of them may run on the same one."""

    def __init__(self, store: Store, keys: LedgerKeys, projection: Projection) -> None:
        self._store, self._keys, self.projection = store, keys, projection
        self._decode: Any = msgspec.json.Decoder(projection.document).decode

    async def place(self) -> Place:
        """Return how far the projection is."""
        return await place(self._store, self._keys, self.projection.name)

    async def apply(self, at: Place, entries: Sequence[Entry]) -> Place:
        """Fold the entries that follow ``at`` into the documents, and return how far the projection is then.

        If another projector was quicker, nothing is written, and the answer is where that one got to. Raises
        ``Stopped`` for an event that cannot be folded, once everything before it is written.
        """
        batch, stopped = self._readable(entries)
        if batch:
            at = await self._fold(at, batch)
        if stopped:
            raise stopped
        return at

    def _readable(self, entries: Sequence[Entry]) -> tuple[list[Happened], Stopped | None]:
        batch = []
        for entry in entries:
            try:
                batch.append(happened(entry))
            except UnreadableEvent as error:
                return batch, Stopped(self.projection.name, entry.position, str(error))
        return batch, None

    async def _fold(self, at: Place, batch: list[Happened]) -> Place:
        """Write a batch; if an event in it does not fold, write what precedes it, and say which it was."""
        try:
            return await self._write(at, batch)
        except (TypeError, KeyError) as error:
            if len(batch) == 1:
                raise Stopped(self.projection.name, batch[0].position, str(error)) from error
        half = len(batch) // 2
        reached = await self._fold(at, batch[:half])
        return await self._fold(reached, batch[half:]) if reached.checkpoint == batch[half - 1].position else reached

    async def _write(self, at: Place, batch: list[Happened]) -> Place:
        touched: dict[str, list[Happened]] = {}
        for it in batch:
            if key := self.projection.key(it.event):
                touched.setdefault(key, []).append(it)
        documents = await self._documents(at.generation, touched)
        keys, args = [self._keys.projection(self.projection.name)], []
        for key, happenings in touched.items():
            args += self._changes(at.generation, key, documents.get(key), happenings, keys)
        after = Place(at.generation, batch[-1].position)
        with answering():
            written = await _SCRIPT.run(self._store, keys, [at.generation, at.checkpoint, after.checkpoint, *args])
        return after if written else await self.place()

    async def _documents(self, generation: int, touched: dict[str, list[Happened]]) -> dict[str, Any]:
        """Return the stored documents among those that a batch touches."""
        names = list(touched)
        if not names:
            return {}
        with answering():
            stored = await self._store.mget(
                [self._keys.document(self.projection.name, generation, name) for name in names]
            )
        return {name: self._decode(raw) for name, raw in zip(names, stored, strict=True) if raw is not None}

    def _changes(
        self, generation: int, key: str, document: object, happenings: list[Happened], keys: list[str]
    ) -> list[Any]:
        """Return the arguments that write one document and its memberships, adding to ``keys`` what they touch."""
        folded = self.projection.fold(document, happenings)
        keys.append(self._keys.document(self.projection.name, generation, key))
        args: list[Any] = ["set", len(keys), _encode(folded)]
        items = [item for it in happenings if (item := self.projection.item and self.projection.item(it)) is not None]
        if items:
            keys.append(self._keys.listed(self.projection.name, generation, key))
            args += ["list", len(keys), MOST_LISTED, len(items), *map(_encode, items)]
        for change in self.projection.indexed(document, folded, happenings):
            keys.append(self._keys.index(self.projection.name, generation, *change.membership))
            args += [change.action, len(keys), *([folded.position] if change.action == "add" else []), key]
        return args
