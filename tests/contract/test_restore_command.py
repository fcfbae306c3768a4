"""What `onrecord restore` does to a store that has the ledger: it replaces it, and sets aside what is lost."""

from pathlib import Path

import pytest

from events.errors import ArchiveDamaged, LedgerDamaged
from events.ledger import Ledger
from service.audit.log_key import LogKeyUnusable
from service.audit.restoring import LedgerThere
from service.restore import restore
from service.settings import Settings
from tests.sealing import Sealing, record


@pytest.fixture
def its(settings: Settings, sealing: Sealing, place: str) -> Settings:
    """Settings for commands on the test's ledger and its archive."""
    return Settings(home=settings.home, store_url=settings.store_url, ledger=settings.ledger, archive=place)


def aside(settings: Settings) -> list[bytes]:
    """Return the events that were set aside."""
    return [line for path in (settings.home_path / "set-aside").glob("*") for line in path.read_bytes().splitlines()]


async def test_a_ledger_that_cannot_be_opened_is_replaced(its: Settings, sealing: Sealing) -> None:
    """Head and log disagree: nothing opens it, and all that was not sealed of it is set aside before it is dropped."""
    await record(sealing.ledger, 300)
    checkpoint = await sealing.all()
    await record(sealing.ledger, 3)
    late = [entry.raw for entry in await sealing.ledger.read(checkpoint.size, 10)]
    await sealing.store.hset(sealing.ledger.keys.head, "position", "999")
    with pytest.raises(LedgerDamaged):
        await Ledger.open(sealing.store, its.ledger)
    with pytest.raises(LedgerThere, match="with --replace"):
        await restore(its, replace=False, reason=None)
    await restore(its, replace=True, reason="The head was lost.")
    assert late == aside(its)
    ledger = await Ledger.open(sealing.store, its.ledger)
    assert (await ledger.head()).position == checkpoint.size + 1


async def test_an_old_copy_of_the_archive_replaces_nothing(its: Settings, sealing: Sealing) -> None:
    """What it lacks was sealed, and would be sealed a second time as something else."""
    await record(sealing.ledger, 9)
    await sealing.all()
    old = await sealing.files()
    await record(sealing.ledger, 9)
    await sealing.all()
    await sealing.become(old)
    with pytest.raises(ArchiveDamaged, match=r"19 events were sealed, and the archive in .* has 10: it is an old copy"):
        await restore(its, replace=True, reason=None)
    assert (await sealing.ledger.head()).position == 19
    assert aside(its) == []


async def test_what_is_not_the_log_s_is_not_brought_back(its: Settings, sealing: Sealing, tmp_path: Path) -> None:
    """With other keys, or none, or a bundle that was cut short, the store is as it was."""
    await record(sealing.ledger, 300)
    await sealing.all()
    files, key = await sealing.files(), sealing.key_path.read_bytes()
    sealing.key_path.unlink()
    with pytest.raises(LogKeyUnusable, match="there are no keys of a log"):
        await restore(its, replace=True, reason=None)
    assert sealing.keys  # other ones
    with pytest.raises(ArchiveDamaged, match="signed by"):
        await restore(its, replace=True, reason=None)
    sealing.key_path.write_bytes(key)
    assert (await Ledger.open(sealing.store, its.ledger)).epoch == sealing.ledger.epoch
    await sealing.become(files | {"tile/entries/000": files["tile/entries/000"][:-20]})
    with pytest.raises(ArchiveDamaged, match=r"tile/entries/000 is not as it was written"):
        await restore(its, replace=True, reason=None)
    assert (await Ledger.open(sealing.store, its.ledger)).epoch == sealing.ledger.epoch
    await sealing.become(files)
    await restore(its, replace=True, reason=None)
    assert (await (await Ledger.open(sealing.store, its.ledger)).head()).position == 302
