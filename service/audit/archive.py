"""A ledger's archive: the tiles, bundles and checkpoint of its transparency log, and the proofs that they give."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from events.errors import ArchiveDamaged
from events.transparency import proofs
from events.transparency.checkpoint import Checkpoint
from events.transparency.compact_range import CompactRange
from events.transparency.errors import BadTile
from events.transparency.hashing import root_of
from events.transparency.proofs import Leaves, Node
from events.transparency.tiles import HEIGHT, WIDTH, Tile, entries_in, hashes_in, tile_at, unpacked
from service.audit.storage import Storage

CHECKPOINT = "checkpoint"
"""The path of the one file that is replaced."""
_MOST_TILES = 1024
_MOST_BUNDLES = 32


class Archive:
    """Reads and writes an archive. Whole tiles and bundles never change, so the last ones read are kept."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._tiles: OrderedDict[Tile, list[bytes]] = OrderedDict()
        self._bundles: OrderedDict[Tile, list[bytes]] = OrderedDict()

    async def checkpoint(self) -> bytes | None:
        """Return the last checkpoint as it was signed, or None if nothing is sealed yet."""
        return await self.storage.read(CHECKPOINT)

    async def hashes(self, tile: Tile) -> list[bytes]:
        """Return the hashes of a tile. A partial one may be read from the whole tile that it became.

        Raises ``ArchiveDamaged`` if it is not there, or not as long as it should be.
        """
        return await self._kept(self._tiles, tile, hashes_in, _MOST_TILES)

    async def entries(self, tile: Tile) -> list[bytes]:
        """Return the entries of a bundle (a tile of level -1). Raises ``ArchiveDamaged`` as :meth:`hashes` does."""
        return await self._kept(
            self._bundles, tile, lambda tile, raw: entries_in(tile, unpacked(tile, raw)), _MOST_BUNDLES
        )

    async def compact_range(self, checkpoint: Checkpoint) -> CompactRange:
        """Return the right edge of the tree, to let it grow. Raises ``ArchiveDamaged`` if its root is another one."""
        levels: list[list[bytes]] = []
        while hashes := checkpoint.size >> (HEIGHT * len(levels)):
            level, width = len(levels), hashes % WIDTH
            levels.append(await self.hashes(Tile(level, hashes // WIDTH, width)) if width else [])
        found = CompactRange(checkpoint.size, levels)
        if found.root() != checkpoint.root:
            raise ArchiveDamaged(f"the tiles of {self.storage.place} do not lead to the root of its checkpoint")
        return found

    async def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the hashes that prove the leaf at ``index`` (from 0) in the tree of ``size`` leaves."""
        return await self._proof(proofs.inclusion_path(index, size), size)

    async def consistency(self, old: int, new: int, sealed: int) -> list[bytes]:
        """Return the hashes that prove that the tree of ``new`` leaves begins with that of ``old``.

        ``sealed`` is how many leaves the archive's checkpoint covers. Raises ``BadProof`` if there is no such proof.
        """
        return await self._proof(proofs.consistency_path(old, new), sealed)

    async def root(self, size: int, sealed: int) -> bytes:
        """Return the root of the tree when it had ``size`` leaves, at least one, of the ``sealed`` ones."""
        return (await self._proof([Leaves(0, size)], sealed))[0]

    async def _proof(self, path: Sequence[Leaves], size: int) -> list[bytes]:
        wanted = {_tile_of(node, size) for leaves in path for node in leaves.nodes()}
        tiles: Mapping[Tile, list[bytes]] = dict(
            zip(wanted, await asyncio.gather(*map(self.hashes, wanted)), strict=True)
        )

        def hash_of(node: Node) -> bytes:
            below = node.level % HEIGHT
            begin = (node.index << below) % WIDTH
            return root_of(tiles[_tile_of(node, size)][begin : begin + (1 << below)])

        return proofs.proof(path, hash_of)

    async def _kept(
        self,
        kept: OrderedDict[Tile, list[bytes]],
        tile: Tile,
        parse: Callable[[Tile, bytes], list[bytes]],
        most: int,
    ) -> list[bytes]:
        """Return what is in a tile, or in the first part of the whole one that it became."""
        for each in dict.fromkeys((tile, tile.whole)):
            if each in kept:
                kept.move_to_end(each)
                return kept[each][: tile.width]
        for each in dict.fromkeys((tile, tile.whole)):
            raw = await self.storage.read(each.path)
            if raw is not None:
                try:
                    kept[each] = parse(each, raw)
                except BadTile as error:
                    raise ArchiveDamaged(str(error)) from error
                if len(kept) > most:
                    kept.popitem(last=False)
                return kept[each][: tile.width]
        raise ArchiveDamaged(f"{tile.path} is missing from {self.storage.place}")


def _tile_of(node: Node, size: int) -> Tile:
    """Return the tile that has a node, or the nodes below it of which it is the root."""
    level, below = divmod(node.level, HEIGHT)
    return tile_at(level, (node.index << below) // WIDTH, size)
