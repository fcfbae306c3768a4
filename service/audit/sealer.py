"""The sealer: writes a ledger's events into its archive, and signs a checkpoint over them, again and again.

It signs only what is on disk in both places, and only what goes on from the last checkpoint, which is the archive's: it
is replaced only by who has read it. The lease's fencing token keeps out who was away too long. A store that is not the
one that was sealed is marked, so that no process writes to it (:mod:`service.audit.comparison`).
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

import msgspec
import structlog
from msgspec import Struct

from events.envelope import Entry
from events.errors import ArchiveDamaged, LedgerDiverged, LedgerError, StoreUnavailable
from events.keys import LedgerKeys
from events.ledger import Ledger
from events.sending import Sender
from events.store import Script, Store, answering
from events.transparency.checkpoint import Checkpoint, opened
from events.transparency.compact_range import CompactRange, joined
from events.transparency.errors import TransparencyError
from events.transparency.hashing import leaf_hash
from events.transparency.tiles import WIDTH, Tile, bundle, edge_of, packed
from service.audit.archive import CHECKPOINT, Archive
from service.audit.comparison import check_entry, compare
from service.audit.log_key import LogKeys, LogKeyUnusable
from service.audit.witness import Witnesses

DUTY = "sealer"
SECONDS = 1.0
"""Between two turns to seal: how long an event waits, and others with it."""
_LONGEST_FAREWELL = 2.0
"""Seconds that the last turn may take when the sealer is stopped."""
_MANY = 16 * WIDTH
"""Events that are sealed at once, under one checkpoint."""
_SCRIPT = Script("service.audit", "seal.lua")
_LOG = structlog.get_logger("onrecord.sealer")


class Sealed(Struct, frozen=True):
    """How far a ledger is sealed: events up to ``size``, at a time in microseconds since 1970."""

    size: int = 0
    at: int = 0


class SealedElsewhere(StoreUnavailable):
    """Another sealer has the duty, or was quicker. Look again at what is sealed."""


async def sealed(store: Store, ledger: Ledger) -> Sealed:
    """Return how far a ledger is sealed."""
    return await sealed_of(store, ledger.keys)


async def sealed_of(store: Store, keys: LedgerKeys) -> Sealed:
    """Return how far a ledger is sealed that perhaps cannot be opened."""
    with answering():
        said = await store.get(keys.duty(DUTY))
    return msgspec.json.decode(said, type=Sealed) if said else Sealed()


class Sealer:
    """Seals one ledger. ``token`` returns the fencing token of the lease under which it does."""

    def __init__(  # noqa: PLR0913 - all that a sealer has to do with
        self,
        store: Store,
        ledger: Ledger,
        archive: Archive,
        keys: LogKeys,
        token: Callable[[], int],
        witnesses: Witnesses | None = None,
    ) -> None:
        self._store, self._ledger, self._archive, self._keys, self._token = store, ledger, archive, keys, token
        self._sender = Sender(store)
        self._note: bytes | None = None
        self._range = CompactRange()
        self._open: list[bytes] = []
        """The entries of the last bundle, as long as it is partial."""
        self._last = b""
        """The hash of the last leaf."""
        self._said = Sealed()
        self._witnesses, self._witnessed = witnesses, 0.0

    async def run(self) -> None:
        """Seal what is recorded until cancelled, and then what was recorded by that time.

        Raises ``LedgerDiverged``, ``ArchiveDamaged``, ``ArchiveUnavailable``, ``SealedElsewhere``, ``LogKeyUnusable``
        or an error of the store; whatever it is, it can be run again.
        """
        try:
            await self.begin()
            try:
                while True:
                    if await self._may_go_on() > self._range.size:
                        await self._catch_up()
                    await asyncio.sleep(SECONDS)
            except asyncio.CancelledError:
                await self._end()
                raise
        except LedgerDiverged as diverged:
            await self._ledger.refuse(str(diverged))
            _LOG.error("the store is not the one that was sealed: it takes no writes", why=str(diverged))
            raise

    async def begin(self) -> None:
        """Read what is sealed, and compare the store with it."""
        self._note = await self._archive.checkpoint()
        said = await sealed(self._store, self._ledger)
        checkpoint = self._checkpoint(self._note) if self._note else None
        size = checkpoint.size if checkpoint else 0
        if size < said.size:
            place = self._archive.storage.place
            raise ArchiveDamaged(
                f"{said.size} events were sealed; the archive in {place} has {size}: is it that one? "
                "If the rest is lost, `onrecord log begin-again` says how to go on"
            )
        self._range, self._open, self._last, self._said = CompactRange(), [], b"", said
        if checkpoint is None:
            return
        await compare(self._ledger, self._archive, checkpoint)
        self._range = await self._archive.compact_range(checkpoint)
        if size % WIDTH:
            self._open = await self._archive.entries(Tile(-1, size // WIDTH, size % WIDTH))
        if size:
            edge = Tile(0, (size - 1) // WIDTH, (size - 1) % WIDTH + 1)
            self._last = (await self._archive.hashes(edge))[-1]
        if size > said.size:  # whoever sealed them did not come to say so
            self._said = Sealed(size, time.time_ns() // 1000)

    async def seal(self, entries: Sequence[Entry]) -> None:
        """Seal the entries that follow what is sealed: write them, and sign a checkpoint over them."""
        for n, entry in enumerate(entries, self._range.size + 1):
            if entry.position != n:
                raise LedgerDiverged(f"the store goes on with event {entry.position} after event {n - 1}")
        before = self._range.size
        grown, files, still_open = await asyncio.to_thread(self._grown, [entry.raw for entry in entries])
        await self._archive.storage.write(files)
        await self._may_go_on()
        note = Checkpoint(self._keys.origin, grown.size, grown.root()).signed(self._keys.signing)
        if not await self._archive.storage.swap(CHECKPOINT, note, self._note):
            raise SealedElsewhere("the checkpoint of the archive is no longer the one that this sealer wrote")
        self._note, self._range, self._open = note, grown, still_open
        self._last = leaf_hash(entries[-1].raw)
        self._said = Sealed(grown.size, time.time_ns() // 1000)
        await self._may_go_on()
        await self._ask_witnesses(note)
        await self._tidy(before)

    async def _end(self) -> None:
        """Seal what was recorded last, if that can be done at once; whoever seals next does it otherwise."""
        with contextlib.suppress(LedgerError, TimeoutError):
            async with asyncio.timeout(_LONGEST_FAREWELL):
                await self._catch_up()

    async def _catch_up(self) -> None:
        """Seal all that there is by now, reading the next events while some are sealed.

        What comes meanwhile is the next turn's, so that those who write on and on have a few large files written.
        """
        entries = await self._ledger.read(self._range.size, _MANY)
        while entries:
            if len(entries) < _MANY:
                await self.seal(entries)
                return
            following = asyncio.ensure_future(self._ledger.read(entries[-1].position, _MANY))
            try:
                await self.seal(entries)
                entries = await following
            finally:
                following.cancel()

    def _checkpoint(self, note: bytes) -> Checkpoint:
        try:
            return opened(note, self._keys.verifiers)
        except TransparencyError as error:
            place = self._archive.storage.place
            raise LogKeyUnusable(f"the checkpoint in {place} is not one of ours: {error}") from error

    def _grown(self, entries: list[bytes]) -> tuple[CompactRange, dict[str, bytes], list[bytes]]:
        """Return the tree with more entries, the files that are new by them, and the entries of the last bundle."""
        grown = self._range.copy()
        files = {tile.path: joined(hashes) for tile, hashes in grown.extend(map(leaf_hash, entries))}
        files |= {tile.path: joined(hashes) for tile, hashes in grown.partial_tiles()}
        everything = [*self._open, *entries]
        first = (grown.size - len(everything)) // WIDTH
        for begin in range(0, len(everything), WIDTH):
            its = everything[begin : begin + WIDTH]
            files[Tile(-1, first + begin // WIDTH, len(its)).path] = packed(bundle(its))
        return grown, files, everything[len(everything) - grown.size % WIDTH :] if grown.size % WIDTH else []

    async def _may_go_on(self) -> int:
        """Make sure that the duty is ours and the store is the one that is sealed, and say how far it is.

        Return where the ledger ends. What the store had been asked for is on disk then, on as many replicas as must be.
        """
        keys = self._ledger.keys
        answer = await self._sender.run(
            _SCRIPT,
            [keys.lease(DUTY), keys.duty(DUTY), keys.head, keys.events],
            [self._token(), self._range.size, msgspec.json.encode(self._said), int(self._sender.replicas > 0)],
        )
        if answer[0] == b"fenced":
            raise SealedElsewhere("another sealer has the duty")
        _, head, last = answer
        if head < self._range.size or (self._range.size and not last):
            raise LedgerDiverged(f"the store ends at event {head}; {self._range.size} events are sealed")
        if self._range.size:
            check_entry(self._range.size, last, self._last)
        return int(head)

    async def _ask_witnesses(self, note: bytes) -> None:
        """Add what witnesses sign to the checkpoint, which is out already; not more often than once a second."""
        if self._witnesses is None or time.monotonic() < self._witnessed + SECONDS:
            return
        cosigned = await self._witnesses.cosigned(note, self._archive)
        self._witnessed = time.monotonic()
        if cosigned != note:
            if not await self._archive.storage.swap(CHECKPOINT, cosigned, note):
                raise SealedElsewhere("the checkpoint of the archive is no longer the one that this sealer wrote")
            self._note = cosigned

    async def _tidy(self, before: int) -> None:
        """Remove the partial tiles of those that have become whole since the tree had ``before`` leaves."""
        for tile in edge_of(before):
            if (tile.index + 1) * WIDTH ** (max(tile.level, 0) + 1) <= self._range.size:
                under = f"{tile.whole.path}.p/"
                await self._archive.storage.remove([path async for path in self._archive.storage.paths(under)])
