"""The past of a ledger: events that are no longer in the store, because they were sealed and moved to the archive."""

from collections.abc import Sequence
from typing import Protocol

from events.envelope import Entry


class Past(Protocol):
    """Where a ledger reads what the store no longer has. It raises ``ArchiveUnavailable`` and ``ArchiveDamaged``."""

    async def read(self, after: int, limit: int) -> list[Entry]:
        """Return entries after a position, in order: at least the first, and at most ``limit``."""

    async def at(self, positions: Sequence[int]) -> list[Entry]:
        """Return the entries at given positions."""
