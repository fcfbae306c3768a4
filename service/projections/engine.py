"""The engine: folds batches of the ledger into documents, and writes each batch with its checkpoint in one script.

The script writes only if the checkpoint is where the batch began. So every event is projected exactly once, however
many projectors race and wherever one is killed.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec
from msgspec import Struct, structs
from redis.exceptions import NoScriptError

from events.envelope import Entry
from events.errors import UnreadableEvent
from events.keys import LedgerKeys
from events.ledger import Ledger
from events.store import Script, Store, answering
from service.projections import skips
from service.projections.catalog import Projection
from service.projections.documents import MOST_LISTED
from service.verification.fold import Happened, happened

_SCRIPT = Script("service.projections", "project.lua")
_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode
_MODULUS = 1 << 128
_T = TypeVar("_T")
_Batch: TypeAlias = list[tuple[Happened, Sequence[str]]]
"""Events that concern a projection, each with the name of the document that it changes."""
CATCH_UP = 4000
"""Events that are folded at once by a projector that is behind: a document that many of them change is written once."""
_LARGEST_BATCH = 8 * 1024 * 1024
"""Bytes of events after which a batch is large enough."""
_PAGE = 1000
_AT_A_STRETCH = 100
"""Events that are decoded before others have a turn."""
_AT_ONCE = 2000
"""Values of one command in the script: Lua's stack is bounded."""


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

    def __init__(self, projection_key: str) -> None:
        self._keys = {projection_key: 1}
        self._made: list[tuple[Any, ...]] = []
        self._members: dict[str, dict[str, int | None]] = {}

    @property
    def keys(self) -> list[str]:
        """The keys, each once, in the order of their indexes."""
        return list(self._keys)

    def document(self, key: str, content: str) -> None:
        """Set a document."""
        self._made.append(("set", self._index(key), content))

    def listed(self, key: str, items: list[str]) -> None:
        """Add items to the end of the bounded list beside a document."""
        self._made.append(("list", self._index(key), MOST_LISTED, items))

    def member(self, key: str, name: str, position: int | None) -> None:
        """Let a document enter an index at a position, or leave it."""
        self._members.setdefault(key, {})[name] = position

    def packed(self) -> bytes:
        """Return the changes as the script takes them; those of one index together."""
        for key, members in self._members.items():
            entering = [part for name, position in members.items() if position is not None for part in (position, name)]
            leaving = [name for name, position in members.items() if position is None]
            for action, parts in (("add", entering), ("remove", leaving)):
                for begin in range(0, len(parts), _AT_ONCE):
                    self._made.append((action, self._index(key), parts[begin : begin + _AT_ONCE]))
        self._members.clear()
        return _pack(self._made)

    def _index(self, key: str) -> int:
        return self._keys.setdefault(key, len(self._keys) + 1)


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
        return placed(await store.hgetall(keys.projection(name)), generation)


def placed(found: Mapping[bytes, bytes], generation: int | None = None) -> Place:
    """Return how far a projection is by what its key holds, as :func:`place` does."""
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


async def read_batch(ledger: Ledger, after: int, end: int | None = None) -> list[Entry]:
    """Return the entries that follow a position, decoded, as many as are folded at once, up to ``end``.

    It gives way often, so that the batch before can be written meanwhile: the store works while we decode.
    """
    found: list[Entry] = []
    size = 0
    while len(found) < CATCH_UP and size < _LARGEST_BATCH:
        at = found[-1].position if found else after
        limit = _PAGE if end is None else min(_PAGE, end - at)
        page = await ledger.read(at, limit)
        found += page
        size += sum([len(entry.raw) for entry in page])
        for begin in range(0, len(page), _AT_A_STRETCH):
            await asyncio.sleep(0)
            for entry in page[begin : begin + _AT_A_STRETCH]:
                with contextlib.suppress(UnreadableEvent):  # whoever folds it says so
                    _happened(entry)
        if len(page) < _PAGE:
            break
    return found


async def and_next(work: Awaitable[_T], ledger: Ledger, after: int, end: int | None = None) -> tuple[_T, list[Entry]]:
    """Await what is done with one batch, and read the next one meanwhile."""
    coming = asyncio.create_task(read_batch(ledger, after, end))
    try:
        return await work, await coming
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)  # if both fail, the work's error is the one that is told


class Projector:
    """Makes plans for one projection. Any number of them may work on the same one."""

    def __init__(self, store: Store, ledger: Ledger, projection: Projection) -> None:
        self._store, self._ledger, self.projection = store, ledger, projection
        self._keys = ledger.keys
        self._decode: Any = msgspec.json.Decoder(projection.document).decode

    async def place(self, generation: int | None = None) -> Place:
        """Return how far the projection is, its live generation unless another is named."""
        return await place(self._store, self._keys, self.projection.name, generation)

    async def plan(self, at: Place, entries: Sequence[Entry]) -> Plan:
        """Fold the entries that follow ``at`` into the documents, and return what is to be written.

        An event that this release cannot read, or that does not follow from those before it, ends the plan, unless
        it is on record that this projection skips it.
        """
        batch, end, stopped = await self._readable(at.checkpoint, entries)
        documents = await self._documents(at.generation, batch)
        while True:
            try:
                return self._fold(at, batch, documents, end, stopped)
            except (TypeError, KeyError):
                n = self._first_that_fails(at, batch, documents)
            bad = batch[n][0].position
            if await self._is_skipped(bad):
                del batch[n]
                continue
            end, batch = bad - 1, batch[:n]
            stopped = Stopped(self.projection.name, bad, "it does not follow from the events before it")

    async def _readable(self, end: int, entries: Sequence[Entry]) -> tuple[_Batch, int, Stopped | None]:
        """Return the events that concern the projection, each with its document, and how far they reach."""
        batch: _Batch = []
        keys = self.projection.keys
        for entry in entries:
            try:
                it = _happened(entry)
            except UnreadableEvent as error:
                if not await self._is_skipped(entry.position):
                    return batch, end, Stopped(self.projection.name, entry.position, str(error))
            else:
                if names := keys(it.event):
                    batch.append((await self._with_earlier(it), names))
            end = entry.position
        return batch, end, None

    async def _with_earlier(self, it: Happened) -> Happened:
        """Return an event with the earlier one that folding it takes, if it takes one."""
        looks_up = self.projection.looks_up
        position = looks_up(it.event) if looks_up else None
        earlier = await self._ledger.read(position - 1, 1) if position else []
        return structs.replace(it, about=earlier[0].event) if earlier else it

    async def _is_skipped(self, position: int) -> bool:
        return await skips.is_skipped(self._ledger, self.projection.name, position)

    async def _documents(self, generation: int, batch: _Batch) -> dict[str, bytes]:
        """Return the stored documents among those that a batch touches."""
        names = list({name: None for _, names in batch for name in names})
        if not names:
            return {}
        with answering():
            keys = [self._keys.document(self.projection.name, generation, name) for name in names]
            stored = await self._store.mget(keys)
        return {name: raw for name, raw in zip(names, stored, strict=True) if raw is not None}

    def _first_that_fails(self, at: Place, batch: _Batch, documents: dict[str, bytes]) -> int:
        """Return the index of the first event that does not fold, found by halves."""
        good, bad = 0, len(batch)
        while good + 1 < bad:
            middle = (good + bad) // 2
            try:
                self._fold(at, batch[:middle], documents, at.checkpoint)
            except (TypeError, KeyError):
                bad = middle
            else:
                good = middle
        return good

    def _fold(
        self, at: Place, batch: _Batch, documents: dict[str, bytes], end: int, stopped: Stopped | None = None
    ) -> Plan:
        touched: dict[str, list[Happened]] = {}
        for it, names in batch:
            for name in names:
                touched.setdefault(name, []).append(it)
        changes, digest = Changes(self._keys.projection(self.projection.name)), at.digest
        for name, happenings in touched.items():
            digest += self._change(at.generation, name, documents.get(name), happenings, changes)
        after = Place(at.generation, end, digest % _MODULUS)
        args = [
            at.generation,
            at.checkpoint,
            after.checkpoint,
            f"{after.digest:x}",
            changes.packed(),
            self.projection.version,
        ]
        return Plan(after, changes.keys, args, stopped)

    def _change(
        self, generation: int, key: str, before: bytes | None, happenings: list[Happened], changes: Changes
    ) -> int:
        """Change one document, its list and its memberships, and return by how much that changes the digest."""
        projection, name = self.projection, self.projection.name
        document = None if before is None else self._decode(before)
        folded = projection.fold(document, happenings)
        after = _encode(folded)
        changes.document(self._keys.document(name, generation, key), after.decode())
        items = [item for it in happenings if projection.item and (item := projection.item(it)) is not None]
        encoded = [_encode(item) for item in items]
        if encoded:
            listed = [item.decode() for item in encoded[-MOST_LISTED:]]
            changes.listed(self._keys.listed(name, generation, key), listed)
        for change in projection.indexed(document, folded, happenings):
            index = self._keys.index(name, generation, *change.membership)
            changes.member(index, key, (change.score or folded.position) if change.action == "add" else None)
        salt = key.encode()[:64]
        gone = _hash(salt, before) if before is not None else 0
        return _hash(salt, after) - gone + sum([_hash(salt, item) for item in encoded])


def _happened(entry: Entry) -> Happened:
    """Return an entry as something that happened, decoded once for all projections."""
    known = entry.__dict__
    if "happened" not in known:
        known["happened"] = happened(entry)
    it: Happened = known["happened"]
    return it


def _hash(salt: bytes, content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, key=salt, digest_size=16).digest())
