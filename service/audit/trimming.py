"""Trimming: old events leave the store once they are in the archive. Whoever reads the ledger does not notice.

What leaves is compared with what was sealed, byte for byte by its hashes, and only whole bundles leave. Never what a
projection, the reassessor or a delivery still has to read for the first time, and never the last event that was sealed.
"""

from collections.abc import AsyncIterator

from msgspec import Struct

from events.envelope import Entry
from events.errors import LedgerError
from events.ledger import Ledger
from events.store import Store, answering
from events.transparency.checkpoint import Checkpoint
from events.transparency.hashing import leaf_hash
from events.transparency.tiles import WIDTH, Tile
from service.audit.archive import Archive
from service.audit.comparison import check_entry
from service.projections.status import of_all
from service.reassessor import progress

_BUNDLES = 40
"""Bundles that leave at once: the store is not held up for long."""


class Trimmed(Struct, frozen=True):
    """How far the store is trimmed: events up to ``done`` have left, and those up to ``total`` are to."""

    done: int
    total: int


class NothingSealed(LedgerError):
    """The ledger has no archive yet, so that nothing can leave the store."""


async def horizon(store: Store, ledger: Ledger, checkpoint: Checkpoint, wanted: int) -> int:
    """Return up to which position events may leave the store, of those up to ``wanted``."""
    reached = [each.checkpoint for each in await of_all(store, ledger)]
    reached.append((await progress(store, ledger)).checkpoint)
    if (delivered := await _delivered(store, ledger)) is not None:
        reached.append(delivered)
    return max(0, min(wanted, checkpoint.size - 1, *reached)) // WIDTH * WIDTH


async def trim(
    store: Store, ledger: Ledger, archive: Archive, checkpoint: Checkpoint, wanted: int
) -> AsyncIterator[Trimmed]:
    """Let events up to ``wanted``, as far as they may, leave the store, and yield how far that is.

    Raises ``LedgerDiverged`` for an event that is not as it was sealed, ``ArchiveDamaged`` if it is not in the archive.
    """
    total = await horizon(store, ledger, checkpoint, wanted)
    done = await first_in_store(store, ledger) - 1
    while done < total:
        end = min(total, done + _BUNDLES * WIDTH)
        for index in range(done // WIDTH, end // WIDTH):
            await _compare(ledger, archive, index)
        with answering():
            await store.xtrim(ledger.keys.events, minid=f"{end + 1}-0", approximate=False)
        done = end
        yield Trimmed(done, total)


async def _compare(ledger: Ledger, archive: Archive, index: int) -> None:
    """Compare a bundle of the store with the archive's, and with the hashes that were signed."""
    hashes, kept = await archive.hashes(Tile(0, index)), await archive.entries(Tile(-1, index))
    entries: list[Entry] = await ledger.read(index * WIDTH, WIDTH)
    for entry, sealed, raw in zip(entries, hashes, kept, strict=True):
        check_entry(entry.position, entry.raw, sealed)
        check_entry(entry.position, raw, leaf_hash(entry.raw))


async def first_in_store(store: Store, ledger: Ledger) -> int:
    """Return the position of the first event that the store has."""
    with answering():
        found = await store.xrange(ledger.keys.events, count=1)
    return int(found[0][0].partition(b"-")[0]) if found else 1


async def _delivered(store: Store, ledger: Ledger) -> int | None:
    """Return up to where events were given to the webhooks that want them; None if nobody has begun to."""
    with answering():
        found = await store.get(ledger.keys.duty("dispatcher"))
    return int(found) if found else None
