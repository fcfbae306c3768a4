"""A compact range: what has to be known of a tree to let it grow, and to work out its root.

For each level of tiles it is the hashes of the last tile as long as that is partial: at most 255 each. So it can be
read from a log's partial tiles, and what it gives back as it grows are whole tiles.
"""

from collections.abc import Iterable, Iterator, Sequence

from events.transparency.errors import BadTile
from events.transparency.hashing import EMPTY_ROOT, HASH_BYTES, node_hash, root_of
from events.transparency.tiles import HEIGHT, WIDTH, Tile


class CompactRange:
    """The right edge of a tree of ``size`` leaves."""

    def __init__(self, size: int = 0, levels: Sequence[Sequence[bytes]] = ()) -> None:
        self.size = size
        self._levels = [list(level) for level in levels]
        for level, hashes in enumerate(self._levels):
            if len(hashes) != (size >> (HEIGHT * level)) % WIDTH:
                raise BadTile(f"a tree of {size} leaves has no partial tile of level {level} of {len(hashes)} hashes")

    def copy(self) -> "CompactRange":
        """Return one that grows by itself."""
        return CompactRange(self.size, self._levels)

    def extend(self, leaves: Iterable[bytes]) -> Iterator[tuple[Tile, list[bytes]]]:
        """Add the hashes of leaves, and yield every tile that becomes whole by them, with its hashes.

        It has grown by all of them only once everything was taken from it.
        """
        for leaf in leaves:
            self.size += 1
            yield from self._add(0, leaf)

    def grow(self, leaves: Iterable[bytes]) -> None:
        """Add the hashes of leaves, for those who do not want the tiles."""
        for _ in self.extend(leaves):
            pass

    def partial_tiles(self) -> Iterator[tuple[Tile, list[bytes]]]:
        """Yield the partial tiles of the tree as it is, with their hashes."""
        for level, hashes in enumerate(self._levels):
            if hashes:
                yield Tile(level, (self.size >> (HEIGHT * level)) // WIDTH, len(hashes)), list(hashes)

    def root(self) -> bytes:
        """Return the root of the tree as it is."""
        found = b""
        for hashes in self._levels:
            begin = len(hashes)
            while begin:  # full subtrees from right to left, the smallest first
                width = begin & -begin
                subtree = root_of(hashes[begin - width : begin])
                found = node_hash(subtree, found) if found else subtree
                begin -= width
        return found or EMPTY_ROOT

    def _add(self, level: int, found: bytes) -> Iterator[tuple[Tile, list[bytes]]]:
        if level == len(self._levels):
            self._levels.append([])
        hashes = self._levels[level]
        hashes.append(found)
        if len(hashes) == WIDTH:
            self._levels[level] = []
            yield Tile(level, (self.size >> (HEIGHT * (level + 1))) - 1), hashes
            yield from self._add(level + 1, root_of(hashes))


def joined(hashes: Sequence[bytes]) -> bytes:
    """Return hashes as the bytes of a tile."""
    raw = b"".join(hashes)
    if len(raw) != HASH_BYTES * len(hashes):
        raise BadTile("a hash has another length")
    return raw
