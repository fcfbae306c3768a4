"""Verifying an archive from beginning to end, with progress."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence

from msgspec import Struct

from events import moments
from events.errors import ArchiveUnavailable
from events.transparency.checkpoint import Checkpoint, opened
from events.transparency.errors import TransparencyError
from events.transparency.note import Note, VerifierKey, encoded
from events.transparency.tiles import WIDTH, Tile, tile_at
from service.audit.archive import CHECKPOINT
from service.audit.storage import Storage
from service.audit.verifying.record import Record
from service.audit.verifying.report import Check, Report
from service.audit.verifying.states import States
from service.audit.verifying.tree import Bundle, Tree, partial_of, timed
from service.verification.fold import happened

_NONE = (
    "there is none: nothing was sealed here, or this is no archive. "
    "In a home, a ledger's is archive/LEDGER; over HTTP, its address ends in /v1"
)
_AHEAD = 8
"""Bundles that are read while others are checked."""


class Progress(Struct, frozen=True):
    """Events that were checked, of how many."""

    done: int
    total: int


class Examination:
    """Verifies one archive: run :meth:`steps` to its end, then read ``report``.

    ``keys`` verify the log's signatures, ``older`` is a checkpoint (a signed note) that the archive has to go on from.
    Without ``states`` only what the tree shows is verified, and not the record in it.
    """

    def __init__(
        self,
        storage: Storage,
        keys: Sequence[VerifierKey],
        *,
        version: str,
        older: bytes | None = None,
        states: bool = True,
    ) -> None:
        self._storage, self._keys, self._older_note, self._with_record = storage, keys, older, states
        now = moments.timestamp(time.time_ns() // 1000)
        self.report = Report(archive=storage.place, verified_at=now, version=version, checks=[], events={}, findings=[])
        self._signature = Check("signature", "The checkpoint is signed by the log's key", "checkpoints")
        self._kept = Check("kept", "The older checkpoint is one of this log", "checkpoints")
        self._files = Check("files", "Nothing else is in the archive", "files")
        self.report.checks = [self._signature]

    async def steps(self) -> AsyncIterator[Progress]:
        """Verify, and yield how far that is. Raises ``ArchiveUnavailable``."""
        checkpoint = await self._checkpoint()
        older = self._older(checkpoint) if checkpoint else None
        if checkpoint is None:
            return
        tree, record, states = Tree(self.report, checkpoint, older), Record(self.report), States(self.report)
        self.report.checks += [tree.bundles, tree.leaves, tree.tiles, tree.root]
        self.report.checks += [tree.consistency] if older else []
        self.report.checks += [record.sequence, record.schema, states.check] if self._with_record else []
        partial = await self._listed(checkpoint.size)
        done = 0
        async for bundle in self._bundles(checkpoint.size, partial):
            entries = tree.take(bundle)
            if self._with_record:
                self._take(record, states, bundle.index * WIDTH, entries)
            done = min(checkpoint.size, (bundle.index + 1) * WIDTH)
            yield Progress(done, checkpoint.size)
        await self._above(tree, partial)
        tree.end()
        self.report.complete = True

    def _take(self, record: Record, states: States, begin: int, entries: Sequence[bytes] | None) -> None:
        """Check the events of a bundle. Once some cannot be read, what follows from them cannot be worked out."""
        if entries is None:
            states.stop(begin + 1)
            for check in (record.sequence, record.schema):
                check.without = check.without or f"event {begin + 1} and others"
            return
        with timed(record.schema):
            read = [record.take(begin + n, raw) for n, raw in enumerate(entries, 1)]
        with timed(states.check):
            for position, entry in enumerate(read, begin + 1):
                if entry is None:
                    states.stop(position)
                if entry is None or states.is_broken:
                    break
                try:
                    states.take(happened(entry))
                except (LookupError, TypeError, ValueError, RecursionError) as error:
                    where = f"event {position}"
                    self.report.find(states.check, where, f"it does not fit what is before it: {error!r}")
                    states.stop(position)

    async def _checkpoint(self) -> Checkpoint | None:
        self._signature.made += 1
        raw = await self._storage.read(CHECKPOINT)
        if raw is None:
            self.report.find(self._signature, CHECKPOINT, _NONE)
            return None
        try:
            checkpoint, note = opened(raw, self._keys), Note.parse(raw)
        except TransparencyError as error:
            self.report.find(self._signature, CHECKPOINT, str(error))
            return None
        self.report.origin, self.report.size = checkpoint.origin, checkpoint.size
        self.report.root = encoded(checkpoint.root)
        self.report.signed_by = tuple(
            str(key) for key in self._keys if any(each.is_by(key) for each in note.signatures)
        )
        known = {(key.name, key.key_id) for key in self._keys}
        strangers = [each for each in note.signatures if (each.name, each.key_id) not in known]
        self.report.strangers = tuple(f"{each.name} ({each.key_id.hex()})" for each in strangers)
        return checkpoint

    def _older(self, checkpoint: Checkpoint) -> Checkpoint | None:
        if self._older_note is None:
            return None
        self.report.checks.append(self._kept)
        self._kept.made += 1
        try:
            older = opened(self._older_note, self._keys)
        except TransparencyError as error:
            self.report.find(self._kept, "older checkpoint", f"it is none of this log's: {error}")
            return None
        if older.origin != checkpoint.origin:
            self.report.find(self._kept, "older checkpoint", f"it is of another log, {older.origin}")
            return None
        self.report.older = f"{older.size} events, root {encoded(older.root)}"
        return older

    async def _listed(self, size: int) -> dict[tuple[int, int], list[Tile]]:
        """Return the files of smaller trees, where the archive can be listed, and report what is no part of it."""
        try:
            paths = [path async for path in self._storage.paths() if path != CHECKPOINT]
        except ArchiveUnavailable:
            return {}
        partial, strange = partial_of(paths, size)
        self.report.checks.append(self._files)
        self._files.made = len(paths) + 1
        for path in strange:
            self.report.find(self._files, path, "it is no part of this archive")
        return partial

    async def _bundles(self, size: int, partial: dict[tuple[int, int], list[Tile]]) -> AsyncIterator[Bundle]:
        """Yield every bundle, some of them read ahead."""
        ahead: deque[asyncio.Task[Bundle]] = deque()
        waiting = iter(range(-(-size // WIDTH)))
        try:
            while True:
                while len(ahead) < _AHEAD and (index := next(waiting, None)) is not None:
                    ahead.append(asyncio.ensure_future(self._bundle(index, size, partial)))
                if not ahead:
                    return
                yield await ahead.popleft()
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    async def _bundle(self, index: int, size: int, partial: dict[tuple[int, int], list[Tile]]) -> Bundle:
        entries = await self._storage.read(tile_at(-1, index, size).path)
        hashes = await self._storage.read(tile_at(0, index, size).path)
        smaller = [*partial.get((-1, index), ()), *partial.get((0, index), ())]
        return Bundle(index, entries, hashes, {tile: await self._storage.read(tile.path) for tile in smaller})

    async def _above(self, tree: Tree, partial: dict[tuple[int, int], list[Tile]]) -> None:
        """Compare every tile above those of leaves with what it has to be."""
        for tile, expected in tree.expected_above().items():
            tree.compare_above(tile, expected, await self._storage.read(tile.path))
            for smaller in partial.get((tile.level, tile.index), ()):
                begins = expected[: smaller.width * 32]
                tree.compare_above(smaller, begins, await self._storage.read(smaller.path))
