"""Group commit: the appends that wait in one process go to the store together, and each passes or fails alone.

One call of the append script costs about the same for one command as for ten, and one wait for the disk serves
them all. While a call is under way the next group gathers; nothing waits for a timer.
"""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import msgspec
from msgspec import Struct
from redis.exceptions import ResponseError

from events.envelope import stored
from events.errors import (
    ClockSkew,
    CommandConflict,
    LedgerDamaged,
    LedgerDiverged,
    OutcomeUnknown,
    OutOfTurn,
    StoreUnavailable,
    UnknownLedger,
    VersionConflict,
)
from events.keys import LedgerKeys
from events.sending import Sender
from events.store import Script, Store, meaning
from events.transparency.hashing import leaf_hash

LARGEST_GROUP = 64
"""Commands in one call of the script."""
LARGEST_GROUP_BYTES = 1 << 20
"""Bytes of events in one call of the script, unless a single command has more."""
LONGEST_QUEUE = 4096
"""Commands that may wait in one process; the next one is turned away."""

_WEEK = 7 * 86_400
_SCRIPT = Script("events", "append.lua")
_pack = msgspec.msgpack.Encoder().encode  # Lua's cmsgpack reads no binary type: bytes go beside it
_FIRST_STREAM = 8
"""Which of the script's keys the first one of a stream is."""


class Prepared(Struct, frozen=True, gc=False):
    """A command as the script takes it: encoded events, the streams of each, and the versions it was decided on."""

    command_id: str
    command_hash: str
    conditions: dict[str, int]
    events: Sequence[bytes]
    streams: Sequence[tuple[str, ...]]
    size: int
    """Bytes of its events."""
    correlation_id: str | None = None


_Run: TypeAlias = "list[tuple[Prepared, asyncio.Future[Appended]]]"
"""Commands that are appended in turn, with the futures of their outcomes."""


class Appended(Struct, frozen=True, gc=False):
    """What became of a command: ``count`` events from position ``first`` on, now or (``repeated``) before."""

    first: int
    count: int
    repeated: bool
    recordedtime: str
    drafts: Sequence[bytes] = ()
    """Its events as they were given to the script; none if it was recorded before."""

    @property
    def last(self) -> int:
        """The position of its last event; ``first - 1`` if it recorded none."""
        return self.first + self.count - 1

    def leaves(self) -> tuple[bytes, ...]:
        """Return the hashes of its events as leaves of the ledger's Merkle tree; none if it was recorded before."""
        each = enumerate(self.drafts, self.first)
        return tuple([leaf_hash(stored(draft, position, self.recordedtime)) for position, draft in each])


def stored_command_id(command_id: str) -> bytes:
    """Return the 16 bytes that a command id takes in the store."""
    return hashlib.sha256(command_id.encode()).digest()[:16]


class Group(Struct, frozen=True):
    """Commands that went to the store together, and what became of each; of one whose caller left, None.

    ``begun`` is in nanoseconds since 1970, ``seconds`` how long it took until they were on disk or refused.
    """

    commands: Sequence[Prepared]
    outcomes: Sequence[Appended | BaseException | None]
    begun: int
    seconds: float


OBSERVERS: list[Callable[[Group], None]] = []
"""Who is told of every group that this process sends, of whichever ledger. They must not raise."""


class GroupCommit:
    """The one way to the append script, for one ledger in one process."""

    def __init__(self, store: Store, keys: LedgerKeys, epochs: str) -> None:
        self._sender, self._keys, self._epochs = Sender(store), keys, epochs
        self._waiting: deque[_Run] = deque()
        self._queued = 0
        self._sending: asyncio.Task[None] | None = None

    @property
    def replicas(self) -> int:
        """How many replicas have to have an append on disk before it is acknowledged."""
        return self._sender.replicas

    async def append(self, command: Prepared) -> Appended:
        """Append a command with the next group.

        Raises ``VersionConflict`` or ``CommandConflict`` for this command alone; ``ClockSkew``, ``StoreFull`` and
        ``LedgerDamaged`` for its whole group; ``OutcomeUnknown`` when the store's answer was lost, or too few replicas
        have the group; and ``StoreUnavailable`` when the store is away or too many wait. A caller that is cancelled
        leaves its command in the queue.
        """
        (outcome,) = self.append_in_turn([command])
        return await outcome

    def append_in_turn(self, commands: Sequence[Prepared]) -> list[asyncio.Future[Appended]]:
        """Append a run of commands with the next group, each only if the one before it was recorded by that.

        Their outcomes come as from :meth:`append`; ``OutOfTurn`` is that of a command after one that was not recorded.
        Raises ``StoreUnavailable`` when too many wait.
        """
        if self._queued + len(commands) > LONGEST_QUEUE:
            raise StoreUnavailable(f"{LONGEST_QUEUE} commands are waiting already")
        loop = asyncio.get_running_loop()
        run: _Run = [(command, loop.create_future()) for command in commands]
        self._waiting.append(run)
        self._queued += len(run)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        return [outcome for _, outcome in run]

    async def drain(self) -> None:
        """Wait until every command that was given has its outcome."""
        while self._sending is not None:
            await asyncio.wait([self._sending])

    async def create(self, command: Prepared, epochs: str) -> Appended:
        """Append the first command of a ledger that has none, opening its first epoch."""
        (answer,) = await self._call([(command, False)], set_epochs=epochs)
        self._epochs = epochs
        return self._outcome(command, answer)

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                await self._send(self._next_group())
                await asyncio.sleep(0)  # who was answered may have the next command, and it goes with those that wait
        finally:
            self._sending = None

    def _next_group(self) -> list[_Run]:
        group = [self._waiting.popleft()]
        count, size = len(group[0]), sum(command.size for command, _ in group[0])
        while self._waiting:
            count += len(self._waiting[0])
            size += sum(command.size for command, _ in self._waiting[0])
            if count > LARGEST_GROUP or size > LARGEST_GROUP_BYTES:
                break
            group.append(self._waiting.popleft())
        self._queued -= sum(map(len, group))
        return group

    async def _send(self, runs: list[_Run]) -> None:
        group = [each for run in runs for each in run]
        begun = time.perf_counter()
        try:
            answers = await self._call([(command, n > 0) for run in runs for n, (command, _) in enumerate(run)])
        except BaseException as error:
            for _, outcome in group:
                if not outcome.done():
                    outcome.set_exception(error if isinstance(error, Exception) else OutcomeUnknown("shut down"))
            self._observe(group, begun)
            if not isinstance(error, Exception):
                raise
            return
        for (command, outcome), answer in zip(group, answers, strict=True):
            if outcome.done():  # its caller was cancelled; a retry with the command id learns what became of it
                continue
            try:
                outcome.set_result(self._outcome(command, answer))
            except (VersionConflict, CommandConflict, OutOfTurn) as error:
                outcome.set_exception(error)
        self._observe(group, begun)

    @staticmethod
    def _observe(group: _Run, begun: float) -> None:
        if OBSERVERS:
            seconds = time.perf_counter() - begun
            commands = [command for command, _ in group]
            outcomes = [None if each.cancelled() else each.exception() or each.result() for _, each in group]
            told = Group(commands, outcomes, time.time_ns() - int(1e9 * seconds), seconds)
            for observe in OBSERVERS:
                observe(told)

    async def _call(self, commands: list[tuple[Prepared, bool]], *, set_epochs: str = "") -> list[list[Any]]:
        """Run the script on commands, each with whether it has to follow the one before it."""
        week = int(time.time()) // _WEEK
        index: dict[str, int] = {}

        def key_of(stream: str) -> int:
            return index.setdefault(stream, _FIRST_STREAM + len(index))

        names = [
            stored_command_id(command.command_id) + bytes.fromhex(command.command_hash[:16]) for command, _ in commands
        ]
        packed = [
            (
                [(key_of(stream), version) for stream, version in command.conditions.items()],
                [[key_of(stream) for stream in streams] for streams in command.streams],
                follows,
            )
            for command, follows in commands
        ]
        events = [event for command, _ in commands for event in command.events]
        buckets = [self._keys.commands(week + w) for w in (-3, -2, -1, 0, 1)]
        keys = [self._keys.events, self._keys.head, *buckets, *map(self._keys.positions, index)]
        wait = int(self.replicas > 0)
        args: list[bytes | int | str] = [week, self._epochs, set_epochs, b"".join(names), _pack(packed), wait, *events]
        answers = await self._run(keys, args)
        stream_of = list(index)
        for answer in answers:
            if answer[0] == b"version":
                answer[1] = stream_of[answer[1] - _FIRST_STREAM]
        return answers

    async def _run(self, keys: list[str], args: list[bytes | int | str]) -> list[Any]:
        try:
            return cast("list[Any]", await self._sender.run(_SCRIPT, keys, args))
        except ResponseError as error:
            raise _typed(error) from error

    def _outcome(self, command: Prepared, answer: list[Any]) -> Appended:
        match answer[0]:
            case b"recorded" | b"repeated" as kind:
                _, first, count, stamp = answer
                repeated, at = kind == b"repeated", stamp.decode()
                return Appended(first, count, repeated, at, () if repeated else command.events)
            case b"turn":
                raise OutOfTurn("the command before it was not recorded")
            case b"command":
                raise CommandConflict(command.command_id)
            case b"version":
                _, stream, actual = answer
                raise VersionConflict(stream, command.conditions[stream], actual)
        raise LedgerDamaged(f"the append script answered {answer!r}")


def _typed(error: ResponseError) -> Exception:
    """Return the error of ours that an error answer of the script means."""
    code, _, message = str(error).partition(" ")
    match code:
        case "SKEW":
            return ClockSkew(message)
        case "DIVERGED":
            return LedgerDiverged(f"the store is not the one that was sealed: {message}")
        case "EPOCH":
            return UnknownLedger(f"the store was changed under us: {message}")
    return meaning(error) or LedgerDamaged(f"the append script failed: {error}")
