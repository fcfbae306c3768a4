"""A ledger with an archive, and who seals it."""

from pathlib import Path

from events.lease import Lease
from events.ledger import Ledger
from events.store import Store
from service.audit import log_key, storage
from service.audit.archive import Archive
from service.audit.sealer import Sealer


class Sealed:
    """A ledger, its archive in a folder, and the keys of its log beside that."""

    def __init__(self, store: Store, ledger: Ledger, folder: Path) -> None:
        self.store, self.ledger = store, ledger
        self.folder = folder / ledger.name
        self.archive = Archive(storage.at(str(self.folder)))
        self.keys = log_key.opened(folder / f"{ledger.name}.key", f"bench/{ledger.name}")
        self.lease = Lease(store, ledger.keys, "sealer", seconds=600)

    async def sealer(self) -> Sealer:
        """Return a sealer that has the duty."""
        await self.lease.acquire()
        return Sealer(self.store, self.ledger, self.archive, self.keys, lambda: self.lease.token)

    async def size(self) -> int:
        """Return how many events are sealed."""
        note = await self.archive.checkpoint()
        return int(note.split(b"\n")[1]) if note else 0
