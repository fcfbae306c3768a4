"""A ledger's past, read from its archive. The events that the store gave up are whole bundles."""

import asyncio
from collections.abc import Sequence

from events.envelope import Entry
from events.transparency.tiles import WIDTH, Tile
from service.audit.archive import Archive


class ArchivedPast:
    """Reads entries by their positions from an archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    async def read(self, after: int, limit: int) -> list[Entry]:
        """Return entries after a position up to the end of a bundle: at least the first, and at most ``limit``."""
        index, begin = divmod(after, WIDTH)
        entries = await self._archive.entries(Tile(-1, index))
        return [Entry(after + n, raw) for n, raw in enumerate(entries[begin : begin + limit], 1)]

    async def at(self, positions: Sequence[int]) -> list[Entry]:
        """Return the entries at given positions."""
        bundles = sorted({(position - 1) // WIDTH for position in positions})
        read = await asyncio.gather(*(self._archive.entries(Tile(-1, index)) for index in bundles))
        found = dict(zip(bundles, read, strict=True))
        return [Entry(each, found[(each - 1) // WIDTH][(each - 1) % WIDTH]) for each in positions]
