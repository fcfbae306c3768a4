"""The comparison of a store with the last checkpoint: it has to hold every event that was sealed, and the same ones."""

from events.errors import LedgerDiverged
from events.ledger import Ledger
from events.transparency.checkpoint import Checkpoint
from events.transparency.hashing import leaf_hash
from events.transparency.tiles import WIDTH, tile_at
from service.audit.archive import Archive


async def compare(ledger: Ledger, archive: Archive, checkpoint: Checkpoint) -> None:
    """Return if the store goes on from the checkpoint: it is as long at least, and its last sealed events are the same.

    Every event that is recorded has a time and an identifier of its own, so that a store that took another way before
    the checkpoint's end is another one at that end too. Raises ``LedgerDiverged`` and ``ArchiveDamaged``.
    """
    size = checkpoint.size
    if not size:
        return
    head = (await ledger.head()).position
    if head < size:
        raise LedgerDiverged(f"the store ends at event {head}; the last checkpoint covers {size} events")
    tile = tile_at(0, (size - 1) // WIDTH, size)
    hashes, begin = await archive.hashes(tile), tile.index * WIDTH
    entries = await ledger.read(begin, tile.width)
    for entry in entries:
        check_entry(entry.position, entry.raw, hashes[entry.position - begin - 1])
    if not entries or entries[-1].position != size:
        raise LedgerDiverged(f"the store does not have event {size}, the last that was sealed")


def check_entry(position: int, raw: bytes, sealed: bytes) -> None:
    """Raise ``LedgerDiverged`` unless an event of the store is the one that was sealed at its position."""
    if leaf_hash(raw) != sealed:
        hashes = f"its hash is {leaf_hash(raw).hex()}, not {sealed.hex()}"
        raise LedgerDiverged(f"event {position} in the store is not the one that was sealed: {hashes}")
