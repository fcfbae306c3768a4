"""Restoring: a ledger from its archive, or from another store, into a store that does not have it.

What comes back is what was sealed, byte for byte, with everything that is worked out from it: streams, command ids, the
head. It goes on in a new epoch, which ``ledger.restored`` opens; what had been acknowledged and was not sealed is lost,
and that event says after which position. Nothing is served before all of it is there and leads to the signed root.
"""

import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

from msgspec import Struct

from events import keys, moments
from events.catalog import LedgerCreated, LedgerRestored
from events.envelope import Entry, Provenance, encode, streams_of
from events.errors import ArchiveDamaged, LedgerError
from events.group_commit import GroupCommit, Prepared, stored_command_id
from events.identifiers import new_epoch
from events.keys import LedgerKeys
from events.store import Store, answering
from events.transparency.checkpoint import Checkpoint
from events.transparency.compact_range import CompactRange
from events.transparency.hashing import leaf_hash
from events.transparency.note import encoded
from events.transparency.tiles import WIDTH, tile_at
from service.audit.archive import Archive

_WEEK = 7 * 86_400
_COMMANDS_KEPT = 15 * 86_400
_SCANNED = 1000


class LedgerThere(LedgerError):
    """The store has the ledger already. Nothing is written over it."""


class Restored(Struct, frozen=True):
    """How far a restore is: events that are back, of how many."""

    done: int
    total: int


class Restoration:
    """Writes a ledger's events into a store, in order, and opens its new epoch at the end."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name, self._keys = store, name, LedgerKeys(name)
        self._epochs: list[str] = []
        self._tree = CompactRange()
        self._last: Entry | None = None
        self._run: tuple[str, int] = ("", 0)
        """The command that is being written, and its first position."""

    async def begin(self) -> None:
        """Make sure that the store does not have the ledger, and drop what a restore that was stopped left.

        Raises ``LedgerThere``.
        """
        with answering():
            if await self._store.hexists(self._keys.head, "epochs"):
                raise LedgerThere(f"the store has the ledger {self._name!r} already")
        await drop(self._store, self._name)

    async def take(self, entries: Sequence[Entry]) -> None:
        """Write the entries that follow."""
        now = time.time()
        listed: defaultdict[str, list[int]] = defaultdict(list)
        commands: defaultdict[int, dict[bytes, bytes]] = defaultdict(dict)
        with answering():
            pipeline = self._store.pipeline(transaction=False)
            for entry in entries:
                pipeline.xadd(self._keys.events, {"e": entry.raw}, id=f"{entry.position}-0")
                for stream in streams_of(entry.event):
                    listed[stream].append(entry.position)
                self._note(entry, now, commands)
            for stream, positions in listed.items():
                pipeline.rpush(self._keys.positions(stream), *positions)
            for week, remembered in commands.items():
                pipeline.hset(self._keys.commands(week), mapping=remembered)
                pipeline.expireat(self._keys.commands(week), (week + 1) * _WEEK + _COMMANDS_KEPT)
            await pipeline.execute()
        self._tree.grow(leaf_hash(entry.raw) for entry in entries)
        self._last = entries[-1]

    async def end(self, checkpoint: Checkpoint | None, reason: str | None) -> str:
        """Open the new epoch, if what was written leads to the root of the checkpoint, and return it.

        Raises ``ArchiveDamaged`` if it does not, and what an append raises.
        """
        if self._last is None:
            raise ArchiveDamaged("there is nothing to restore")
        if checkpoint:
            _check_root(self._tree, checkpoint)
        root = self._tree.root()
        at = moments.microseconds(self._last.envelope.recordedtime)
        epoch, size = new_epoch(), self._tree.size
        event = LedgerRestored(ledger=self._name, epoch=epoch, size=size, root=encoded(root), reason=reason)
        its = Provenance("system", f"sys:restore:{epoch}", "0" * 64)
        draft = encode(self._name, event, its)
        command = Prepared(its.command_id, its.command_hash, {}, [draft], [streams_of(event)], len(draft))
        with answering():
            await self._store.hset(self._keys.head, mapping={"position": size, "time": at})
        commits = GroupCommit(self._store, self._keys, "")
        await commits.create(command, ",".join([*self._epochs, f"{epoch}:{size + 1}"]))
        with answering():
            await self._store.sadd(keys.LEDGERS, self._name)
        return epoch

    def _note(self, entry: Entry, now: float, commands: dict[int, dict[bytes, bytes]]) -> None:
        """Note what an entry says of epochs, and the command that recorded it if its id can still come again."""
        envelope = entry.envelope
        if isinstance(entry.event, LedgerCreated | LedgerRestored):
            self._epochs.append(f"{entry.event.epoch}:{entry.position}")
        if envelope.commandid != self._run[0]:
            self._run = (envelope.commandid, entry.position)
        at = moments.microseconds(envelope.recordedtime) // 1_000_000
        if at > now - _COMMANDS_KEPT:
            first = self._run[1]
            value = bytes.fromhex(envelope.commandhash)[:8] + first.to_bytes(8, "big")
            count = entry.position - first + 1
            commands[at // _WEEK][stored_command_id(envelope.commandid)] = value + count.to_bytes(4, "big")


async def drop(store: Store, name: str) -> None:
    """Delete every key of a ledger from a store."""
    with answering():
        async for key in store.scan_iter(match=f"{{onrecord:{name}}}:*", count=_SCANNED):
            await store.unlink(key)


async def check_whole(archive: Archive, checkpoint: Checkpoint) -> None:
    """Return if an archive can be restored from: its entries lead to the signed root. Raises ``ArchiveDamaged``."""
    tree = CompactRange()
    for index in range(-(-checkpoint.size // WIDTH)):
        tree.grow(map(leaf_hash, await archive.entries(tile_at(-1, index, checkpoint.size))))
    _check_root(tree, checkpoint)


def _check_root(tree: CompactRange, checkpoint: Checkpoint) -> None:
    if (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):
        raise ArchiveDamaged(f"the {tree.size} events do not lead to the root that was signed")


async def from_archive(
    store: Store, name: str, archive: Archive, checkpoint: Checkpoint, reason: str | None
) -> AsyncIterator[Restored]:
    """Restore a ledger from its archive, as far as the checkpoint covers it, and yield how far that is."""
    restoration = Restoration(store, name)
    await restoration.begin()
    for index in range(-(-checkpoint.size // WIDTH)):
        raw = await archive.entries(tile_at(-1, index, checkpoint.size))
        await restoration.take([Entry(index * WIDTH + n, each) for n, each in enumerate(raw, 1)])
        yield Restored(min((index + 1) * WIDTH, checkpoint.size), checkpoint.size)
    await restoration.end(checkpoint, reason)
