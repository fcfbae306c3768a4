"""A ledger: one append-only log with one order. What it acknowledged is on disk, once, for good.

Positions count 1, 2, 3… in the order of commit. Every event belongs to one or more *streams*: a claim, a source, a
story, or ``reference``, which has what decisions on every claim depend on, such as policies and changes of sources. A
stream's version is the number of its events. A command says which versions its decision was made on, and is refused if
any of them has moved.

A ledger that is brought back from its archive goes on in a new *epoch*. A cursor is an epoch and a position, so that
one for an event that was lost is not taken for another event.
"""

import asyncio
import time
from bisect import bisect_right
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from events import catalog, keys, moments
from events.catalog import LedgerCreated
from events.envelope import LARGEST_EVENT, REFERENCE, Cursor, Entry, Provenance, encode, stored_size, streams_of
from events.epochs import Epochs
from events.errors import (
    BadCursor,
    CommandConflict,
    EventTooLarge,
    LedgerDamaged,
    OutcomeUnknown,
    Refused,
    UnknownLedger,
    VersionConflict,
)
from events.group_commit import LONGEST_QUEUE, Appended, GroupCommit, Prepared, stored_command_id
from events.identifiers import new_epoch
from events.past import Past
from events.readers import entry_of, read_after
from events.store import Store, answering
from events.tail import Tail
from events.words import Policy

_SHORT_STREAM = 128
"""Positions of a stream that are read at once to find one among them."""


class Command(Struct, frozen=True, gc=False):
    """One append: the events of a decision, and the version of every stream that the decision read."""

    events: Sequence[catalog.Event]
    conditions: Mapping[str, int]
    provenance: Provenance


class Head(NamedTuple):
    """The end of a ledger: its last position (0 if it is empty) and the time of its last event."""

    position: int
    recordedtime: int


class Ledger:
    """One ledger in the store. Open it with :meth:`open`; it is safe to share between tasks."""

    def __init__(self, store: Store, name: str, epochs: str) -> None:
        self.name = name
        self.keys = keys.LedgerKeys(name)
        self._store = store
        self._commits = GroupCommit(store, self.keys, epochs)
        self._past: Past | None = None
        self._first = 0
        """The first position that the store is known to have; it may have given up more since."""
        self._tail = Tail(store, self.keys.events, self.read)
        self._epochs = Epochs(epochs)
        self._end = 0

    @property
    def epoch(self) -> str:
        """The present epoch."""
        return self._epochs.latest

    @property
    def first_epoch(self) -> str:
        """The epoch that the ledger was created in."""
        return self._epochs.first

    @property
    def epoch_begins(self) -> int:
        """The position at which the present epoch began: 1, or that of the last ``ledger.restored``."""
        return self._epochs.begins

    @classmethod
    async def open(
        cls, store: Store, name: str = "main", *, create: Policy | None = None, past: Past | None = None
    ) -> "Ledger":
        """Open a ledger, and create it with ``create`` as its first policy if the store has none of that name.

        From ``past`` is read what has left the store since it was sealed.

        Raises ``UnknownLedger`` if there is none and ``create`` is not given, and ``LedgerDamaged`` if head and log
        disagree.
        """
        with answering():
            epochs = await store.hget(keys.LedgerKeys(name).head, "epochs")
        ledger = cls(store, name, epochs.decode() if epochs else "")
        ledger._past = past
        if not ledger.epoch:
            if create is None:
                raise UnknownLedger(f"the store holds no ledger {name!r}")
            await ledger._create(create)
        if create is not None:  # whoever created it may have ended before it said so
            with answering():
                if not await store.sismember(keys.LEDGERS, name):  # a full store is read, and not written
                    await store.sadd(keys.LEDGERS, name)
        await ledger._check_head()
        return ledger

    async def append(self, command: Command) -> Appended:
        """Record a command: all of its events as one contiguous run, or none.

        A command id that was seen before answers with the positions it had then. Raises ``VersionConflict``,
        ``CommandConflict``, ``EventTooLarge``, ``ClockSkew``, ``StoreFull``, ``StoreUnavailable`` or
        ``OutcomeUnknown``; after the last, the same command may be given again.
        """
        return await self._commits.append(self._prepare(command))

    async def append_in_turn(self, commands: Sequence[Command]) -> list[Appended | Exception]:
        """Record commands in turn, each only if the one before it was recorded, and return what became of each.

        For commands that were decided each on what the one before it makes: their outcomes are those of :meth:`append`,
        or ``OutOfTurn``. At most 64.
        """
        outcomes = self._commits.append_in_turn([self._prepare(command) for command in commands])
        found: list[Appended | Exception] = []
        for outcome in outcomes:  # they come in this order
            try:
                found.append(await outcome)
            except Exception as error:  # noqa: BLE001 - whoever gave the command looks at what it is
                found.append(error)
        return found

    async def append_many(self, commands: Sequence[Command]) -> list[Appended | Refused]:
        """Record many commands in their order, each whole or not at all, and say of each what became of it.

        For imports: they share as few calls of the store as their size allows. A command that is refused is an item
        of the answer and stops nobody else's. Raises ``StoreUnavailable`` or ``OutcomeUnknown`` for the whole; giving
        the same commands again then records what is missing and nothing twice.
        """
        outcomes: list[Appended | Refused] = []
        for begin in range(0, len(commands), LONGEST_QUEUE // 2):
            part = [self._prepare(command) for command in commands[begin : begin + LONGEST_QUEUE // 2]]
            for outcome in await asyncio.gather(*map(self._commits.append, part), return_exceptions=True):
                if not isinstance(outcome, Appended | Refused):
                    raise outcome
                outcomes.append(outcome)
        return outcomes

    async def recall(self, command_id: str, command_hash: str) -> Appended | None:
        """Return what an earlier command with this id recorded, or None. Raises ``CommandConflict`` if it differs.

        What is returned is as safe as an append: where replicas must have it, they do, or it raises what that raises.
        """
        week = int(time.time()) // (7 * 86_400)
        with answering():
            pipeline = self._store.pipeline(transaction=False)
            for bucket in range(week - 3, week + 2):
                pipeline.hget(self.keys.commands(bucket), stored_command_id(command_id))
            found = next((value for value in await pipeline.execute() if value), None)
        if found is None:
            return None
        if found[:8] != bytes.fromhex(command_hash)[:8]:
            raise CommandConflict(command_id)
        if self._commits.replicas:  # the first answer may have been that too few of them had it
            return await self._commits.append(Prepared(command_id, command_hash, {}, (), (), 0))
        return Appended(int.from_bytes(found[8:16]), int.from_bytes(found[16:20]), repeated=True, recordedtime="")

    async def read(self, after: int = 0, limit: int = 1000) -> list[Entry]:
        """Return up to ``limit`` entries after a position, in order, wherever they are."""
        found: list[Entry] = []
        while (left := limit - len(found)) > 0:
            at = found[-1].position if found else after
            if at + 1 >= self._first:
                entries = await read_after(self._store, self.keys.events, at, left)
                if not entries or entries[0].position <= at + 1:
                    return found + entries if found else entries
                self._first = entries[0].position
            found += await self._before(at).read(at, min(left, self._first - at - 1))
        return found

    async def history(self, stream: str, after: int = 0, limit: int = 1000) -> list[Entry]:
        """Return up to ``limit`` entries of a stream after a version of it, in order."""
        if limit < 1:
            return []
        with answering():
            listed = await self._store.lrange(self.keys.positions(stream), after, after + limit - 1)
        return await self.at(int(position) for position in listed)

    async def at(self, positions: Iterator[int]) -> list[Entry]:
        """Return the entries at given positions. Raises ``LedgerDamaged`` if one is not there."""
        with answering():
            pipeline = self._store.pipeline(transaction=False)
            wanted = [
                (position, pipeline.xrange(self.keys.events, f"{position}-0", f"{position}-0"))
                for position in positions
            ]
            found = await pipeline.execute() if wanted else []
        missing = [position for (position, _), entries in zip(wanted, found, strict=True) if not entries]
        earlier = {entry.position: entry for entry in await self._before(missing[0] - 1).at(missing)} if missing else {}
        return [
            entry_of(*entries[0]) if entries else earlier[position]
            for (position, _), entries in zip(wanted, found, strict=True)
        ]

    async def version(self, stream: str) -> int:
        """Return how many events a stream has."""
        with answering():
            return int(await self._store.llen(self.keys.positions(stream)))

    async def positions_up_to(self, streams: Sequence[str], position: int) -> list[list[int] | None]:
        """Return of each stream the positions of its events up to ``position``; None for a long one. One read for all.

        What is None is to be looked up by :meth:`version_at` and :meth:`history`.
        """
        with answering():
            pipeline = self._store.pipeline(transaction=False)
            for stream in streams:
                pipeline.lrange(self.keys.positions(stream), 0, _SHORT_STREAM - 1)
            found = [list(map(int, listed)) for listed in await pipeline.execute()] if streams else []
        return [
            positions[: bisect_right(positions, position)]
            if len(positions) < _SHORT_STREAM or positions[-1] > position
            else None
            for positions in found
        ]

    async def version_at(self, stream: str, position: int) -> int:
        """Return which version of a stream the event at ``position`` made; 0 if none. One read, of a long stream more.

        Those are O(log n) steps.
        """
        with answering():
            listed = await self._store.lrange(self.keys.positions(stream), 0, _SHORT_STREAM - 1)
            if len(listed) < _SHORT_STREAM or int(listed[-1]) > position:
                return bisect_right(listed, position, key=int)
            low, high = len(listed), await self.version(stream)
            while low < high:
                middle = (low + high) // 2
                found = await self._store.lindex(self.keys.positions(stream), middle)
                if int(found) <= position:
                    low = middle + 1
                else:
                    high = middle
        return low

    async def position_at(self, moment: int) -> int:
        """Return the last position recorded by ``moment`` (microseconds since 1970), in O(log n) reads; 0 if none."""
        low, high = 0, (await self.head()).position
        while low < high:
            middle = (low + high + 1) // 2
            (entry,) = await self.read(middle - 1, 1)
            if moments.microseconds(entry.envelope.recordedtime) <= moment:
                low = middle
            else:
                high = middle - 1
        return low

    async def head(self) -> Head:
        """Return the end of the ledger."""
        with answering():
            found = await self._store.hmget(self.keys.head, ["position", "time"])
        self._end = max(self._end, int(found[0] or 0))
        return Head(int(found[0] or 0), int(found[1] or 0))

    async def refuse(self, why: str) -> None:
        """Let nothing be written any more, by any process: the store is not what was sealed. A restore ends that."""
        with answering():
            await self._store.hset(self.keys.head, "refused", why)

    async def refused(self) -> str:
        """Return why nothing may be written, or nothing if it may."""
        with answering():
            why = await self._store.hget(self.keys.head, "refused")
        return why.decode() if why else ""

    def tail(self, after: int) -> AsyncGenerator[list[Entry], None]:
        """Yield the entries after a position as they are committed, in batches, for as long as it is asked.

        An empty batch after a quiet second lets the caller look up. All who follow ledgers through one client share
        one reader, which has a connection of its own. Raises ``FollowerTooSlow`` and ``StoreUnavailable``; after
        either, what comes after the last position that was yielded can be asked for again.
        """
        return self._tail.follow(after)

    async def policy(self) -> Policy:
        """Return the policy that the ledger was created with."""
        created = (await self.read(0, 1))[0].event
        if not isinstance(created, LedgerCreated):
            raise LedgerDamaged(f"ledger {self.name!r} begins with {created.TYPE}, not ledger.created")
        return created.policy

    def cursor(self, position: int) -> Cursor:
        """Return the cursor of a position in the present epoch."""
        return Cursor(self.epoch, position)

    def position_of(self, cursor: str) -> int:
        """Return the position that a cursor names.

        Raises ``CursorPassed`` if it is of an epoch before a restore, and ``BadCursor`` if it is none of this ledger.
        """
        return self._epochs.position_of(Cursor.parse(cursor))

    async def reached(self, cursor: str) -> int:
        """Return the position that a cursor names, which the ledger has reached.

        Raises what :meth:`position_of` does, and ``BadCursor`` for one beyond the end.
        """
        position = self.position_of(cursor)
        if position > self._end and position > (await self.head()).position:
            raise BadCursor(f"{cursor!r} is beyond the end of the ledger")
        return position

    async def drain(self) -> None:
        """Wait until every append under way has its outcome."""
        await self._commits.drain()

    def _prepare(self, command: Command) -> Prepared:
        its, encoded, streams, size = command.provenance, [], [], 0
        for event in command.events:
            draft = encode(self.name, event, its)
            if stored_size(draft) > LARGEST_EVENT:
                raise EventTooLarge(stored_size(draft), LARGEST_EVENT)
            encoded.append(draft)
            streams.append(streams_of(event))
            size += len(draft)
        conditions = dict(command.conditions)
        return Prepared(its.command_id, its.command_hash, conditions, encoded, streams, size, its.correlation_id)

    def _before(self, position: int) -> Past:
        """Return where events after a position are that the store does not have. Raises ``LedgerDamaged``."""
        if self._past is None:
            raise LedgerDamaged(f"event {position + 1} is missing from the log, and no archive of it is known here")
        return self._past

    async def _create(self, policy: Policy) -> None:
        """Record ``ledger.created`` at position 1, unless another process was quicker."""
        epoch = new_epoch()
        self._epochs = Epochs(f"{epoch}:1")
        created = LedgerCreated(ledger=self.name, epoch=epoch, policy=policy)
        provenance = Provenance(actor="system", command_id=f"sys:create:{self.name}", command_hash="0" * 64)
        command = self._prepare(Command([created], {REFERENCE: 0}, provenance))
        try:
            await self._commits.create(command, f"{epoch}:1")
        except (UnknownLedger, VersionConflict, OutcomeUnknown):
            with answering():
                epochs = await self._store.hget(self.keys.head, "epochs")
            if not epochs:
                raise
            self._commits = GroupCommit(self._store, self.keys, epochs.decode())
            self._epochs = Epochs(epochs.decode())

    async def _check_head(self) -> None:
        """Raise ``LedgerDamaged`` unless the head names the last entry of the log, both of one moment."""
        with answering():
            pipeline = self._store.pipeline(transaction=True)
            pipeline.hget(self.keys.head, "position")
            pipeline.xrevrange(self.keys.events, count=1)
            head, last = await pipeline.execute()
        position = entry_of(*last[0]).position if last else 0
        if position != int(head or 0):
            raise LedgerDamaged(f"ledger {self.name!r}: the head is at {int(head or 0)}, the log ends at {position}")


async def ledger_names(store: Store) -> list[str]:
    """Return the names of all ledgers of a store, sorted."""
    with answering():
        return sorted(name.decode() for name in await store.smembers(keys.LEDGERS))
