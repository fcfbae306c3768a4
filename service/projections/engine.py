"""The engine: folds batches of the ledger into documents, and writes each batch with its checkpoint in one script.

The script writes only if the checkpoint is where the batch began. So every event is projected exactly once, however
many projectors race and wherever one is killed.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct
from redis.exceptions import NoScriptError

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
_pack = msgspec.msgpack.Encoder().encode


class Place(NamedTuple):
    """How far a projection is: the generation of its documents, and the last position in them."""

    generation: int
    checkpoint: int


class Stopped(Exception):
    """A projection met an event that it cannot fold, and goes no further."""

    def __init__(self, projection: str, position: int, why: str) -> None:
        super().__init__(f"projection {projection} stopped at event {position}: {why}")
        self.projection, self.position, self.why = projection, position, why


class Plan(Struct, frozen=True):
    """What a batch makes of one projection: how far it is then, the script's keys and arguments.

    ``stopped`` says that an event could not be folded; the plan goes up to the one before it.
    """

    after: Place
    keys: list[str]
    args: list[Any]
    stopped: Stopped | None = None


async def place(store: Store, keys: LedgerKeys, name: str) -> Place:
    """Return how far a projection is; generation 1 at 0 if it never began."""
    with answering():
        found = await store.hmget(keys.projection(name), ["generation", "checkpoint"])
    return Place(int(found[0] or 1), int(found[1] or 0))


async def write(store: Store, plans: Sequence[Plan]) -> list[bool]:
    """Write plans in one round trip, and say which were written; where not, another projector was quicker."""
    with answering():
        while True:
            pipeline = store.pipeline(transaction=False)
            for plan in plans:
                _SCRIPT.queue(pipeline, plan.keys, plan.args)
            try:
                return [bool(written) for written in await pipeline.execute()]
            except NoScriptError:
                await _SCRIPT.load(store)


class Projector:
    """Makes plans for one projection. Any number of them may work on the same one."""

    def __init__(self, store: Store, keys: LedgerKeys, projection: Projection) -> None:
        self._store, self._keys, self.projection = store, keys, projection
        self._decode: Any = msgspec.json.Decoder(projection.document).decode

    async def place(self) -> Place:
        """Return how far the projection is."""
        return await place(self._store, self._keys, self.projection.name)

    async def plan(self, at: Place, entries: Sequence[Entry]) -> Plan:
        """Fold the entries that follow ``at`` into the documents, and return what is to be written.

        An event that this release cannot read, or that does not follow from those before it, ends the plan.
        """
        batch, stopped = self._readable(entries)
        documents = await self._documents(at.generation, batch)
        try:
            return self._fold(at, batch, documents, stopped)
        except (TypeError, KeyError):
            return self._fold_until_it_fails(at, batch, documents)

    def _readable(self, entries: Sequence[Entry]) -> tuple[list[Happened], Stopped | None]:
        batch = []
        for entry in entries:
            try:
                batch.append(happened(entry))
            except UnreadableEvent as error:
                return batch, Stopped(self.projection.name, entry.position, str(error))
        return batch, None

    async def _documents(self, generation: int, batch: list[Happened]) -> dict[str, Any]:
        """Return the stored documents among those that a batch touches."""
        names = list({key: None for it in batch if (key := self.projection.key(it.event))})
        if not names:
            return {}
        with answering():
            keys = [self._keys.document(self.projection.name, generation, name) for name in names]
            stored = await self._store.mget(keys)
        return {name: self._decode(raw) for name, raw in zip(names, stored, strict=True) if raw is not None}

    def _fold_until_it_fails(self, at: Place, batch: list[Happened], documents: dict[str, Any]) -> Plan:
        """Find the first event that does not fold, by halves, and return the plan up to the one before it."""
        good, bad = 0, len(batch)
        while good + 1 < bad:
            middle = (good + bad) // 2
            try:
                self._fold(at, batch[:middle], documents, None)
            except (TypeError, KeyError):
                bad = middle
            else:
                good = middle
        stopped = Stopped(self.projection.name, batch[good].position, "it does not follow from the events before it")
        return self._fold(at, batch[:good], documents, stopped)

    def _fold(self, at: Place, batch: list[Happened], documents: dict[str, Any], stopped: Stopped | None) -> Plan:
        touched: dict[str, list[Happened]] = {}
        for it in batch:
            if key := self.projection.key(it.event):
                touched.setdefault(key, []).append(it)
        after = Place(at.generation, batch[-1].position) if batch else at
        keys = [self._keys.projection(self.projection.name)]
        changes: list[tuple[Any, ...]] = []
        for key, happenings in touched.items():
            changes += self._changes(at.generation, key, documents.get(key), happenings, keys)
        return Plan(after, keys, [at.generation, at.checkpoint, after.checkpoint, _pack(changes)], stopped)

    def _changes(
        self, generation: int, key: str, document: object, happenings: list[Happened], keys: list[str]
    ) -> list[tuple[Any, ...]]:
        """Return what writes one document and its memberships, adding to ``keys`` what that touches."""
        projection = self.projection
        folded = projection.fold(document, happenings)
        keys.append(self._keys.document(projection.name, generation, key))
        changes: list[tuple[Any, ...]] = [("set", len(keys), _encode(folded).decode())]
        items = [item for it in happenings if projection.item and (item := projection.item(it)) is not None]
        if items:
            keys.append(self._keys.listed(projection.name, generation, key))
            changes.append(("list", len(keys), MOST_LISTED, [_encode(item).decode() for item in items[-MOST_LISTED:]]))
        for change in projection.indexed(document, folded, happenings):
            keys.append(self._keys.index(projection.name, generation, *change.membership))
            scored = (folded.position,) if change.action == "add" else ()
            changes.append((change.action, len(keys), *scored, key))
        return changes
