"""An archive that is lost is begun again: never silently, and only from a store that can make it again."""

from pathlib import Path

import pytest

from events.catalog import LedgerArchiveLost
from events.errors import ArchiveDamaged, LedgerDiverged
from events.ledger import Ledger
from events.store import Store
from events.transparency.checkpoint import Checkpoint
from events.transparency.hashing import leaf_hash
from events.transparency.note import SigningKey, encoded
from events.transparency.proofs import verify_consistency, verify_inclusion
from service.audit.archives import Archives
from service.audit.beginning_again import NotBegunAgain, begin_again
from service.audit.log_key import LogKeyUnusable
from service.audit.verifying.examination import Examination
from service.desk.exporting import exported
from service.verification.policy import STRICT_TWO_SOURCE
from tests.sealing import Sealing, record, shorten


async def note_of(sealing: Sealing) -> bytes:
    """Return the archive's checkpoint as it was signed."""
    note = await sealing.archive.checkpoint()
    assert note is not None
    return note


async def again(sealing: Sealing, kept: bytes | None = None) -> LedgerArchiveLost:
    """Begin the archive again, by the lease that a sealer gave back."""
    await sealing.lease.release()
    return await begin_again(sealing.store, sealing.ledger, sealing.archive, sealing.keys, "The disk burnt.", kept)


async def is_in_order(sealing: Sealing, older: bytes) -> bool:
    """Whether the archive is what it says, and goes on from an older checkpoint."""
    examination = Examination(sealing.archive.storage, sealing.keys.verifiers, version="test", older=older)
    async for _ in examination.steps():
        pass
    return examination.report.ok


@pytest.mark.parametrize("compared", [True, False])
async def test_the_same_tree_grows_again_and_goes_on(sealing: Sealing, compared: bool) -> None:  # noqa: FBT001
    """Old checkpoints, proofs and receipts hold against the new archive, and the loss is on record with its reason."""
    await record(sealing.ledger, 700)
    old = await sealing.all()
    kept, proof = await note_of(sealing), await sealing.archive.inclusion(300, old.size)
    receipt = leaf_hash((await sealing.ledger.read(300, 1))[0].raw)
    await sealing.become({})
    with pytest.raises(ArchiveDamaged, match="onrecord log begin-again"):
        await sealing.sealer().run()
    event = await again(sealing, kept if compared else None)
    (last,) = await sealing.ledger.read(old.size, 5)
    assert last.event == event
    assert not any([b"archive_lost" in line async for line in exported(sealing.ledger)])  # it happened to this one only
    assert (event.sealed, event.left, event.reason) == (old.size, 0, "The disk burnt.")
    assert (event.compared, event.root) == ((old.size, encoded(old.root)) if compared else (0, None))
    new = await sealing.all()
    assert new.size == old.size + 1
    verify_inclusion(receipt, 300, old.size, proof, old.root)
    verify_inclusion(receipt, 300, new.size, await sealing.archive.inclusion(300, new.size), new.root)
    verify_consistency(
        old.size, new.size, await sealing.archive.consistency(old.size, new.size, new.size), old.root, new.root
    )
    assert await is_in_order(sealing, kept)


async def test_a_copy_that_is_old_is_gone_on_from(sealing: Sealing) -> None:
    """What the copy has stays, the rest is made again from the store."""
    await record(sealing.ledger, 300)
    left = await sealing.all()
    copy = await sealing.files()
    await record(sealing.ledger, 300)
    old, kept = await sealing.all(), await note_of(sealing)
    await sealing.become(copy)
    with pytest.raises(ArchiveDamaged, match=r"601 events were sealed; the archive in .* has 301"):
        await sealing.sealer().run()
    assert (await again(sealing, kept)).left == left.size
    assert (await sealing.all()).size == old.size + 1
    assert await is_in_order(sealing, kept)


async def test_nothing_is_begun_again_that_is_not_lost(sealing: Sealing) -> None:
    """While the archive is there, or before anything was sealed; and nothing is recorded then."""
    with pytest.raises(NotBegunAgain, match="nothing is lost: 0 events were sealed"):
        await again(sealing)
    await record(sealing.ledger, 9)
    await sealing.all()
    with pytest.raises(NotBegunAgain, match=r"nothing is lost: 10 events were sealed, and the archive in .* has 10"):
        await again(sealing)
    assert (await sealing.ledger.head()).position == 10


async def test_nothing_is_begun_again_beside_a_sealer(sealing: Sealing) -> None:
    """Whoever has the duty could say that more is sealed than there is: the workers are stopped first."""
    await sealing.all()
    await sealing.become({})
    with pytest.raises(NotBegunAgain, match="stop the workers first"):
        await begin_again(sealing.store, sealing.ledger, sealing.archive, sealing.keys, "It burnt.")
    assert (await sealing.ledger.head()).position == 1
    assert (await again(sealing)).sealed == 1


async def test_a_store_that_is_not_what_was_sealed_makes_no_archive(sealing: Sealing) -> None:
    """It is shorter, or does not lead to the checkpoint that somebody kept, or that is none of this log."""
    await record(sealing.ledger, 300)
    await sealing.all()
    kept = await note_of(sealing)
    await sealing.become({})
    stranger = SigningKey(sealing.origin, b"7" * 32)
    for other, why in (
        (Checkpoint(sealing.origin, 300, b"x" * 32).signed([stranger]), "the checkpoint that was kept"),
        (Checkpoint(sealing.origin, 300, b"x" * 32).signed(sealing.keys.signing), "not those that were sealed"),
        (Checkpoint(sealing.origin, 400, b"x" * 32).signed(sealing.keys.signing), "covers 400 events"),
        (b"no checkpoint", "the checkpoint that was kept"),
    ):
        with pytest.raises(NotBegunAgain, match=why):
            await again(sealing, other)
    await shorten(sealing.ledger, sealing.store, 290)
    with pytest.raises(NotBegunAgain, match="the store ends at event 290, and 301 events were sealed"):
        await again(sealing)
    await record(sealing.ledger, 20, "Another story")
    with pytest.raises(NotBegunAgain, match="not those that were sealed"):
        await again(sealing, kept)
    assert (await sealing.ledger.head()).position == 310


async def test_what_is_left_of_another_log_is_not_gone_on_from(sealing: Sealing) -> None:
    """A copy that another key signed, or that the store does not go on from, is not taken for ours."""
    await record(sealing.ledger, 300)
    await sealing.all()
    copy = await sealing.files()
    await record(sealing.ledger, 9)
    await sealing.all()
    await sealing.become(copy)
    key = sealing.key_path.read_bytes()
    sealing.key_path.unlink()
    with pytest.raises(ArchiveDamaged, match="signed by"):
        await again(sealing)
    sealing.key_path.write_bytes(key)
    await shorten(sealing.ledger, sealing.store, 290)
    await record(sealing.ledger, 40, "Another story")
    with pytest.raises(LedgerDiverged, match="event 291"):
        await again(sealing)


async def test_events_that_only_the_archive_had_are_not_made_up(sealing: Sealing) -> None:
    """Where the store was thinned out, the log has ended unless a copy of the archive is found; both is said."""
    await record(sealing.ledger, 700)
    checkpoint = await sealing.all()
    store, ledger = sealing.store, sealing.ledger
    await store.xtrim(ledger.keys.events, minid="513-0", approximate=False)
    await sealing.become({})
    with pytest.raises(NotBegunAgain, match="events 1 to 512 had left the store and were in the archive only"):
        await again(sealing)
    assert (await ledger.head()).position == checkpoint.size


async def test_of_a_command_that_was_stopped_nothing_is_recorded_twice(
    sealing: Sealing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss is on record and the sealer does not know of it yet: given again, the command finds it there."""
    await record(sealing.ledger, 5)
    old = await sealing.all()
    await sealing.become({})

    async def fails(*_: object) -> None:
        raise SystemError

    with monkeypatch.context() as stopped:
        stopped.setattr(sealing.store, "set", fails)
        with pytest.raises(SystemError):
            await again(sealing)
    await again(sealing)
    assert (await sealing.ledger.head()).position == old.size + 1
    assert (await sealing.all()).size == old.size + 1


async def test_under_one_key_there_is_one_tree(store: Store, ledger: Ledger, tmp_path: Path) -> None:
    """The keys of a ledger that is gone, store and archive, sign nothing of another one that has its name."""
    archives = Archives(str(tmp_path / "archive"), tmp_path)
    keys = await archives.keys(ledger)
    assert keys.verifiers == (await archives.keys(ledger)).verifiers
    assert keys.origin == f"onrecord/{ledger.name}/{ledger.first_epoch}"
    await store.unlink(*[key async for key in store.scan_iter(match=f"{{onrecord:{ledger.name}}}:*")])
    other = await Ledger.open(store, ledger.name, create=STRICT_TWO_SOURCE)
    with pytest.raises(LogKeyUnusable, match=r"of a ledger .* that was created before this one: move them away"):
        await archives.keys(other)
