"""The tree of an archive: worked out from the entries, and compared with its tiles and with the signed root."""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from msgspec import Struct

from events.transparency.checkpoint import Checkpoint
from events.transparency.compact_range import CompactRange, joined
from events.transparency.errors import BadTile
from events.transparency.hashing import leaf_hash
from events.transparency.note import encoded
from events.transparency.tiles import WIDTH, Tile, entries_in, hashes_in, tile_at, unpacked
from service.audit.verifying.report import Check, Report


class Bundle(Struct):
    """What was read of one bundle: the kept bytes of its entries and of the tile over them; None for what is missing.

    ``partial`` has the files of smaller trees that are still there, by their tiles.
    """

    index: int
    entries: bytes | None
    hashes: bytes | None
    partial: Mapping[Tile, bytes | None] = {}


class Tree:
    """Takes bundles one after another. ``older`` is a checkpoint that the tree has to go on from."""

    def __init__(self, report: Report, checkpoint: Checkpoint, older: Checkpoint | None) -> None:
        self._report, self._checkpoint, self._older = report, checkpoint, older
        self.bundles = Check("bundles", "Every entry bundle is as it was written", "bundles")
        self.leaves = Check("leaves", "Every event has the hash that the tiles have for it", "events")
        self.tiles = Check("tiles", "Every tile has the hashes that follow from those below it", "tiles")
        self.root = Check("root", "The events lead to the root that the log signed", "checkpoints")
        self.consistency = Check("consistency", "The log begins with what an older checkpoint covers", "checkpoints")
        self._by_entries, self._by_tiles = CompactRange(), CompactRange()
        self._older_root = b""
        self._above: dict[Tile, bytes] = {}
        """The whole tiles above those of leaves, as they follow from those below them."""

    def take(self, bundle: Bundle) -> list[bytes] | None:
        """Check the next bundle, and return its entries, or None if they cannot be read."""
        with timed(self.bundles):
            entries = self._entries(bundle)
        if entries is None:
            for check in (self.leaves, self.root):
                check.without = check.without or tile_at(-1, bundle.index, self._checkpoint.size).path
        with timed(self.leaves):
            leaves = [leaf_hash(entry) for entry in entries or ()]
        with timed(self.tiles):
            hashes = self._hashes(bundle)
            self._grow(leaves or hashes or [], hashes or leaves)
            self._compare(bundle.index, leaves, hashes)
            self._compare_partial(bundle, leaves or hashes or [])
        return entries

    def end(self) -> None:
        """Compare the roots, when every bundle was taken."""
        size, root = self._checkpoint.size, self._checkpoint.root
        self.root.made += 1
        by_entries, by_tiles = self._by_entries.root() == root, self._by_tiles.root() == root
        if not by_entries:
            said = f"the {size} events lead to the root {encoded(self._by_entries.root())}, not to {encoded(root)}"
            self._report.find(self.root, "checkpoint", said)
        if by_entries != by_tiles:
            altered, right = ("tiles were", "events") if by_entries else ("events were", "tiles")
            self._report.cause = f"The {right} lead to the root that was signed: {altered} altered."
        if self._older is None:
            return
        self.consistency.made += 1
        older = self._older
        if older.size == 0:
            self._report.find(self.consistency, "older checkpoint", "it covers no events, and so shows nothing")
        elif older.size > size:
            said = f"it covers {older.size} events, and this archive only {size}: events are gone"
            self._report.find(self.consistency, "older checkpoint", said)
        elif self._older_root != older.root:
            said = f"the first {older.size} events lead to {encoded(self._older_root)}, not to {encoded(older.root)}"
            self._report.find(self.consistency, "older checkpoint", f"{said}: what it covers was altered since")

    def expected_above(self) -> dict[Tile, bytes]:
        """Return every tile above those of leaves, the partial ones too, as it follows from those below it."""
        return self._above | {tile: joined(its) for tile, its in self._by_tiles.partial_tiles() if tile.level > 0}

    def compare_above(self, tile: Tile, expected: bytes, found: bytes | None) -> None:
        """Compare a tile above those of leaves with what it has to be."""
        self.tiles.made += 1
        if found is None:
            self._report.find(self.tiles, tile.path, "it is missing")
        elif found != expected:
            self._report.find(self.tiles, tile.path, _difference(found, expected))

    def _entries(self, bundle: Bundle) -> list[bytes] | None:
        tile = tile_at(-1, bundle.index, self._checkpoint.size)
        self.bundles.made += 1
        if bundle.entries is None:
            self._report.find(self.bundles, tile.path, "it is missing")
            return None
        try:
            return entries_in(tile, unpacked(tile, bundle.entries))
        except BadTile as error:
            self._report.find(self.bundles, tile.path, _said(tile, error))
            return None

    def _hashes(self, bundle: Bundle) -> list[bytes] | None:
        tile = tile_at(0, bundle.index, self._checkpoint.size)
        self.tiles.made += 1
        if bundle.hashes is None:
            self._report.find(self.tiles, tile.path, "it is missing")
            return None
        try:
            return hashes_in(tile, bundle.hashes)
        except BadTile as error:
            self._report.find(self.tiles, tile.path, _said(tile, error))
            return None

    def _grow(self, leaves: Sequence[bytes], hashes: Sequence[bytes]) -> None:
        """Let the tree grow: as the entries have it, and as the tiles have it."""
        begin = self._by_entries.size
        if self._older and begin < self._older.size <= begin + len(leaves):
            then = self._by_entries.copy()
            then.grow(leaves[: self._older.size - begin])
            self._older_root = then.root()
        self._by_entries.grow(leaves)
        self._above |= {tile: joined(its) for tile, its in self._by_tiles.extend(hashes) if tile.level > 0}

    def _compare(self, index: int, leaves: list[bytes], hashes: list[bytes] | None) -> None:
        self.leaves.made += len(leaves)
        if leaves and hashes and leaves != hashes:
            path = tile_at(0, index, self._checkpoint.size).path
            for n, (found, sealed) in enumerate(zip(leaves, hashes, strict=True), index * WIDTH + 1):
                if found != sealed:
                    said = f"its bytes have the hash {encoded(found)}; {path} has {encoded(sealed)}"
                    self._report.find(self.leaves, f"event {n}", said)

    def _compare_partial(self, bundle: Bundle, leaves: list[bytes]) -> None:
        """Compare the files of smaller trees: they hold the first ones of what is there now, if any of that is."""
        for tile, raw in bundle.partial.items():
            check = self.bundles if tile.level < 0 else self.tiles
            check.made += 1
            try:
                found = _leaves_of(tile, raw) if raw is not None else []
            except BadTile as error:
                self._report.find(check, tile.path, _said(tile, error))
                continue
            if leaves and found != leaves[: tile.width]:
                self._report.find(check, tile.path, "it is not what the larger one begins with")


def partial_of(paths: Iterable[str], size: int) -> tuple[dict[tuple[int, int], list[Tile]], list[str]]:
    """Return the partial tiles of smaller trees among some paths, by level and index, and the paths of what is no tile.

    What the tree of ``size`` leaves itself has is in neither.
    """
    partial: defaultdict[tuple[int, int], list[Tile]] = defaultdict(list)
    strange = []
    for path in paths:
        try:
            tile = Tile.parse(path)
            own = tile_at(tile.level, tile.index, size)
        except BadTile:
            strange.append(path)
            continue
        if tile.width > own.width:
            strange.append(path)
        elif tile != own:
            partial[tile.level, tile.index].append(tile)
    return partial, strange


def _leaves_of(tile: Tile, raw: bytes) -> list[bytes]:
    """Return the hashes of the leaves under a bundle or a tile of level 0. Raises ``BadTile``."""
    if tile.level < 0:
        return [leaf_hash(entry) for entry in entries_in(tile, unpacked(tile, raw))]
    return hashes_in(tile, raw)


def _said(tile: Tile, error: BadTile) -> str:
    """Return what is amiss with a tile that is named beside it."""
    return f"it {str(error).removeprefix(tile.path).lstrip()}"


def _difference(found: bytes, expected: bytes) -> str:
    """Say where two tiles differ."""
    if len(found) != len(expected):
        return f"it has {len(found)} bytes, not {len(expected)}"
    n = next(n for n in range(0, len(found), 32) if found[n : n + 32] != expected[n : n + 32])
    return (
        f"its hash {n // 32} is {encoded(found[n : n + 32])}; from those below follows {encoded(expected[n : n + 32])}"
    )


@contextmanager
def timed(check: Check) -> Iterator[None]:
    """Add the time that something takes to what its check has taken."""
    begun = time.perf_counter()
    try:
        yield
    finally:
        check.seconds += time.perf_counter() - begun
