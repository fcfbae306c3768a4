"""Where ledgers are sealed: the archive of each, and the keys of its log."""

from pathlib import Path

from msgspec import Struct

from events import keys
from events.errors import LedgerDiverged, StoreUnusable
from events.ledger import Ledger
from events.store import Store, answering
from events.transparency.checkpoint import Checkpoint
from events.transparency.errors import TransparencyError
from events.transparency.note import Note
from service.audit import log_key, storage
from service.audit.archive import Archive
from service.audit.comparison import compare
from service.audit.log_key import LogKeys, LogKeyUnusable
from service.audit.past import ArchivedPast
from service.audit.witness import Witnesses


class LedgerLost(StoreUnusable):
    """A ledger has an archive, and the store has no such ledger: it would begin anew. Restore it."""


class Archives(Struct, frozen=True):
    """The archives under ``where`` (a folder, or a URL of objects), and the keys of the logs in the home.

    ``origin`` is what the names of new logs begin with; without it they are named for the ledger's first epoch.
    ``witnesses`` are asked to cosign.
    """

    where: str
    home: Path
    origin: str = ""
    witnesses: str = ""

    def of(self, ledger: str) -> Archive:
        """Return the archive of a ledger, which may be empty."""
        return Archive(storage.at(self.where, ledger))

    def witnesses_of(self, ledger: str) -> Witnesses | None:  # noqa: ARG002 - they are the same for all
        """Return who cosigns a ledger's checkpoints, if anybody does. Raises ``LogKeyUnusable``."""
        return Witnesses.parse(self.witnesses) if self.witnesses else None

    def past_of(self, ledger: str) -> ArchivedPast:
        """Return what reads the events of a ledger that have left the store."""
        return ArchivedPast(self.of(ledger))

    async def keys(self, ledger: Ledger) -> LogKeys:
        """Return the keys of a ledger's log, and make the first one if there is none.

        Raises ``LogKeyUnusable``, also for the keys of a ledger that had this name before: under one key there is one
        tree.
        """
        path, unnamed = log_key.path_of(self.home, ledger.name), f"onrecord/{ledger.name}/"
        origin = f"{self.origin}/{ledger.name}" if self.origin else unnamed + ledger.first_epoch
        found = log_key.opened(path, origin)
        if found.origin.startswith(unnamed) and found.origin != unnamed + ledger.first_epoch:
            raise LogKeyUnusable(
                f"the keys in {path} are those of the log {found.origin}, of a ledger {ledger.name!r} that was created "
                "before this one: move them away, and this one gets a log of its own"
            )
        return found

    async def check_not_lost(self, store: Store, name: str) -> None:
        """Return if the store has a ledger, or nothing of it was sealed.

        Raises ``LedgerLost`` and ``ArchiveUnavailable``.
        """
        with answering():
            is_there = await store.hexists(keys.LedgerKeys(name).head, "epochs")
        if not is_there and await (archive := self.of(name)).checkpoint():
            raise LedgerLost(
                f"the store has no ledger {name!r}, and there is an archive of it in {archive.storage.place}: "
                "`onrecord restore` brings it back; to begin a new one instead, move archive and log keys away"
            )

    async def check(self, ledger: Ledger) -> None:
        """Compare a ledger with its archive, if it has one; one that is not what was sealed takes no writes any more.

        For those who have no key: whether the checkpoint is rightly signed is the sealer's to see. Raises
        ``ArchiveUnavailable`` and ``ArchiveDamaged``.
        """
        archive = self.of(ledger.name)
        note = await archive.checkpoint()
        if note is None:
            return
        try:
            await compare(ledger, archive, Checkpoint.parse(Note.parse(note).text))
        except LedgerDiverged as diverged:
            await ledger.refuse(str(diverged))
        except TransparencyError:  # the sealer says so, and signs nothing
            return
