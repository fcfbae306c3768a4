"""The engine: folds batches of the ledger into documents, and writes each batch with its checkpoint in one script.

The script writes only if the checkpoint is where the batch began. So every event is projected exactly once, however
many projectors race and wherever one is killed.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct
from redis.exceptions import NoScriptError

from events.envelope import Entry
from events.errors import UnreadableEvent
from events.keys import LedgerKeys
from events.store import Script, Store, answering
from service.projections.catalog import Projection
from service.projections.documents import MOST_LISTED
from service.verification.facts import Happened, happened

_SCRIPT = Script("service.projections", "project.lua")
_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode
_MODULUS = 1 << 128


class Place(NamedTuple):
    """How far one generation of a projection is: the last position in its documents, and their digest.

    The digest is the sum of the hashes of all documents and list items, modulo 2**128: it does not depend on how the
    events were divided into batches.
    """

    generation: int
    checkpoint: int
    digest: int = 0


class Stopped(Exception):
    """A projection met an event that it cannot fold, and goes no further."""

    def __init__(self, projection: str, position: int, why: str) -> None:
        super().__init__(f"projection {projection} stopped at event {position}: {why}")
        self.projection, self.position, self.why = projection, position, why


class Changes:
    """What is to be written: the keys, and for each change an action, its key's index, and what the action takes."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys
        self.made: list[tuple[Any, ...]] = []

    def add(self, action: str, key: str, *values: object) -> None:
        """Add a change of one key."""
        self.keys.append(key)
        self.made.append((action, len(self.keys), *values))


class Plan(Struct, frozen=True):
    """What a batch makes of one projection: how far it is then, the script's keys and arguments.

    ``stopped`` says that an event could not be folded; the plan goes up to the one before it.
    """

    after: Place
    keys: list[str]
    args: list[Any]
    stopped: Stopped | None = None


async def place(store: Store, keys: LedgerKeys, name: str, generation: int | None = None) -> Place:
    """Return how far a projection is, its live generation unless another is named; generation 1 at 0 at first."""
    with answering():
        found = await store.hgetall(keys.projection(name))
    number = generation or int(found.get(b"generation", 1))
    checkpoint, digest = (found.get(f"{part}:{number}".encode()) for part in ("checkpoint", "digest"))
    return Place(number, int(checkpoint or 0), int(digest or b"0", 16))


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

    async def place(self, generation: int | None = None) -> Place:
        """Return how far the projection is, its live generation unless another is named."""
        return await place(self._store, self._keys, self.projection.name, generation)

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

    async def _documents(self, generation: int, batch: list[Happened]) -> dict[str, bytes]:
        """Return the stored documents among those that a batch touches."""
        names = list({key: None for it in batch for key in self.projection.keys(it.event)})
        if not names:
            return {}
        with answering():
            keys = [self._keys.document(self.projection.name, generation, name) for name in names]
            stored = await self._store.mget(keys)
        return {name: raw for name, raw in zip(names, stored, strict=True) if raw is not None}

    def _fold_until_it_fails(self, at: Place, batch: list[Happened], documents: dict[str, bytes]) -> Plan:
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

    def _fold(self, at: Place, batch: list[Happened], documents: dict[str, bytes], stopped: Stopped | None) -> Plan:
        touched: dict[str, list[Happened]] = {}
        for it in batch:
            for key in self.projection.keys(it.event):
                touched.setdefault(key, []).append(it)
        changes, digest = Changes([self._keys.projection(self.projection.name)]), at.digest
        for key, happenings in touched.items():
            digest += self._change(at.generation, key, documents.get(key), happenings, changes)
        after = Place(at.generation, batch[-1].position if batch else at.checkpoint, digest % _MODULUS)
        args = [at.generation, at.checkpoint, after.checkpoint, f"{after.digest:x}", _pack(changes.made)]
        return Plan(after, changes.keys, args, stopped)

    def _change(
        self, generation: int, key: str, before: bytes | None, happenings: list[Happened], changes: Changes
    ) -> int:
        """Change one document, its list and its memberships, and return by how much that changes the digest."""
        projection, name = self.projection, self.projection.name
        document = None if before is None else self._decode(before)
        folded = projection.fold(document, happenings)
        after = _encode(folded)
        changes.add("set", self._keys.document(name, generation, key), after.decode())
        items = [item for it in happenings if projection.item and (item := projection.item(it)) is not None]
        encoded = [_encode(item) for item in items]
        if encoded:
            listed = [item.decode() for item in encoded[-MOST_LISTED:]]
            changes.add("list", self._keys.listed(name, generation, key), MOST_LISTED, listed)
        for change in projection.indexed(document, folded, happenings):
            scored = (change.score or folded.position,) if change.action == "add" else ()
            changes.add(change.action, self._keys.index(name, generation, *change.membership), *scored, key)
        gone = _hash(key, before) if before is not None else 0
        return _hash(key, after) - gone + sum(_hash(key, item) for item in encoded)


def _hash(key: str, content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, key=key.encode()[:64], digest_size=16).digest())
