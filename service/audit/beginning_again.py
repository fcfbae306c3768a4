"""Beginning an archive again: the way on when it is lost, in whole or from some event on, and the store is not.

The tree is one over the stored bytes. From a store that still has every event that the archive has not, the sealer
makes the same tree again: checkpoints, proofs and receipts of before hold against those that it signs then. What was
lost is a second witness of what the store has; so it goes on record, with a reason.
"""

import time

import msgspec

from events.catalog import LedgerArchiveLost
from events.envelope import Provenance
from events.errors import ArchiveDamaged, LedgerError
from events.lease import Lease
from events.ledger import Command, Ledger
from events.store import Store, answering
from events.transparency.checkpoint import Checkpoint, opened
from events.transparency.compact_range import CompactRange
from events.transparency.errors import TransparencyError
from events.transparency.hashing import leaf_hash
from events.transparency.note import encoded
from service.audit.archive import Archive
from service.audit.comparison import compare
from service.audit.log_key import LogKeys
from service.audit.sealer import DUTY, Sealed, sealed
from service.audit.trimming import first_in_store

_LEASE_SECONDS = 10.0
_BATCH = 4096


class NotBegunAgain(LedgerError):
    """The archive is not begun again: nothing of it is lost, or the store alone cannot make it again."""


async def begin_again(  # noqa: PLR0913 - what it is about, why, and what it is compared with
    store: Store, ledger: Ledger, archive: Archive, keys: LogKeys, reason: str, kept: bytes | None = None
) -> LedgerArchiveLost:
    """Record that the archive was lost, and let the next sealer begin after what is left of it; return the event.

    ``kept`` is a signed checkpoint of before: the store's events have to lead to its root. Raises ``NotBegunAgain``,
    ``ArchiveDamaged`` if what is left is not the log's, and ``LedgerDiverged`` if the store does not go on from it.
    """
    done: list[LedgerArchiveLost] = []

    async def do() -> None:
        done.append(await _Beginning(store, ledger, archive, keys).record(reason, kept))

    if not await Lease(store, ledger.keys, DUTY, seconds=_LEASE_SECONDS).hold(do) or not done:
        raise NotBegunAgain(f"a worker has the duty to seal {ledger.name!r}: stop the workers first")
    return done[0]


class _Beginning:
    def __init__(self, store: Store, ledger: Ledger, archive: Archive, keys: LogKeys) -> None:
        self._store, self._ledger, self._archive, self._keys = store, ledger, archive, keys

    async def record(self, reason: str, kept: bytes | None) -> LedgerArchiveLost:
        said, left = await sealed(self._store, self._ledger), await self._left()
        size = left.size if left else 0
        if size >= said.size:
            there = f"{said.size} events were sealed, and the archive in {self._archive.storage.place} has {size}"
            raise NotBegunAgain(f"nothing is lost: {there}")
        head = (await self._ledger.head()).position
        await self._check_store(size, said.size, head)
        if left:
            await compare(self._ledger, self._archive, left)
        compared = await self._compared(kept, left, head) if kept is not None else None
        event = LedgerArchiveLost(
            ledger=self._ledger.name,
            sealed=said.size,
            left=size,
            compared=compared.size if compared else 0,
            root=encoded(compared.root) if compared else None,
            reason=reason,
        )
        its = Provenance("system", f"sys:archive-lost:{said.size}:{said.at}", "0" * 64)  # once, if it is stopped here
        await self._ledger.append(Command([event], {}, its))
        begins = Sealed(size, time.time_ns() // 1000) if size else Sealed()
        with answering():
            await self._store.set(self._ledger.keys.duty(DUTY), msgspec.json.encode(begins))
        return event

    async def _left(self) -> Checkpoint | None:
        """Return the checkpoint of what is left of the archive, if anything is."""
        note = await self._archive.checkpoint()
        try:
            return opened(note, self._keys.verifiers) if note else None
        except TransparencyError as error:
            raise ArchiveDamaged(f"the checkpoint in {self._archive.storage.place}: {error}") from error

    async def _check_store(self, left: int, sealed_: int, head: int) -> None:
        """Make sure that the store has every event that is to be sealed again."""
        if head < sealed_:
            raise NotBegunAgain(
                f"the store ends at event {head}, and {sealed_} events were sealed: it cannot make the archive again"
            )
        first = await first_in_store(self._store, self._ledger)
        if first > left + 1:
            raise NotBegunAgain(
                f"events {left + 1} to {first - 1} had left the store and were in the archive only, so that the log "
                "cannot be made again: look for a copy of the archive that has them, and put it in its place. If there "
                "is none, this log has ended: go on in a new ledger (`onrecord ledgers create`)"
            )

    async def _compared(self, note: bytes, left: Checkpoint | None, head: int) -> Checkpoint:
        """Return the checkpoint that was kept, if the store's events lead to its root."""
        try:
            kept = opened(note, self._keys.verifiers)
        except TransparencyError as error:
            raise NotBegunAgain(f"the checkpoint that was kept: {error}") from error
        if not 0 < kept.size <= head:
            raise NotBegunAgain(f"the checkpoint that was kept covers {kept.size} events, and the store has {head}")
        root = await self._root(kept.size, left)
        if root != kept.root:
            raise NotBegunAgain(
                f"the first {kept.size} events of the store lead to the root {encoded(root)}, and the checkpoint that "
                f"was kept has {encoded(kept.root)}: they are not those that were sealed"
            )
        return kept

    async def _root(self, size: int, left: Checkpoint | None) -> bytes:
        """Return the root over the first events, as what is left of the archive and the store have them."""
        if left and size <= left.size:
            return await self._archive.root(size, left.size)
        tree = await self._archive.compact_range(left) if left else CompactRange()
        while tree.size < size:
            entries = await self._ledger.read(tree.size, min(_BATCH, size - tree.size))
            if not entries:
                raise NotBegunAgain(f"the store has no event {tree.size + 1}")
            tree.grow([leaf_hash(entry.raw) for entry in entries])
        return tree.root()
