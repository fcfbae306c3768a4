"""A ledger that moves: old events into the archive, and all of it back from there, or into another store."""

from collections.abc import Sequence
from pathlib import Path

import pytest

import events.store
from events.catalog import LedgerRestored
from events.envelope import Entry, streams_of
from events.errors import ArchiveDamaged, CursorPassed, LedgerDamaged, LedgerDiverged
from events.ledger import Ledger
from events.store import Store
from events.transparency.checkpoint import Checkpoint
from service import embedded
from service.audit.past import ArchivedPast
from service.audit.restoring import LedgerThere, Restoration, drop, from_archive
from service.audit.trimming import horizon, trim
from service.projections.catalog import PROJECTIONS
from service.projections.engine import Projector, place, read_batch, write
from service.projections.past import claim_at
from service.projections.rebuild import rebuild
from service.reassessor import Reassessor
from service.verification.commands import Recorder
from service.verification.facts import Horizon
from tests.sealing import Sealing, record


async def log(ledger: Ledger) -> list[Entry]:
    """Return the whole log, in pieces of a hundred."""
    found: list[Entry] = []
    while batch := await ledger.read(len(found), 100):
        found += batch
    return found


async def project(store: Store, ledger: Ledger) -> dict[str, int]:
    """Bring every projection up to the end, and return their digests."""
    digests = {}
    for projection in PROJECTIONS:
        projector = Projector(store, ledger, projection)
        at = await place(store, ledger.keys, projection.name)
        while entries := await read_batch(ledger, at.checkpoint):
            plan = await projector.plan(at, entries)
            assert await write(store, [plan]) == [True]
            at = plan.after
        digests[projection.name] = at.digest
    return digests


async def followed_up(store: Store, ledger: Ledger) -> None:
    """Let every follower of the ledger come to its end."""
    await project(store, ledger)
    await Reassessor(store, ledger, Recorder(ledger)).catch_up()


async def trimmed(sealing: Sealing, wanted: int) -> tuple[Ledger, int]:
    """Let events leave the store, and return the ledger as it is read from then on, and how many have left."""
    done = 0
    checkpoint = await sealing.checkpoint()
    async for step in trim(sealing.store, sealing.ledger, sealing.archive, checkpoint, wanted):
        assert done < step.done <= step.total
        done = step.done
    return await Ledger.open(sealing.store, sealing.ledger.name, past=ArchivedPast(sealing.archive)), done


async def test_who_reads_does_not_notice_what_has_left_the_store(sealing: Sealing, loaded: Recorder) -> None:
    """From any position, by position, by stream and by tail, the same bytes are read across the border."""
    await record(loaded.ledger, 700)
    await followed_up(sealing.store, sealing.ledger)
    before = await log(sealing.ledger)
    claim = next(stream for entry in before for stream in streams_of(entry.event) if stream.startswith("claim_"))
    history = await sealing.ledger.history(claim)
    document = await claim_at(sealing.ledger, claim, Horizon(150))
    await sealing.all()
    ledger, done = await trimmed(sealing, 10_000)
    assert done == len(before) // 256 * 256 >= 512
    assert int((await sealing.store.xinfo_stream(ledger.keys.events))["length"]) == len(before) - done
    assert before == await log(ledger)
    for after, limit in (
        (0, 1),
        (0, 300),
        (done - 3, 7),
        (done - 1, 1),
        (done, 5),
        (255, 2),
        (len(before), 5),
        (3, 10_000),
    ):
        assert before[after : after + limit] == await ledger.read(after, limit)
    assert history == await ledger.history(claim)
    assert [before[n - 1] for n in (1, done, done + 1, 3)] == await ledger.at(iter((1, done, done + 1, 3)))
    assert document == await claim_at(ledger, claim, Horizon(150))
    async for batch in ledger.tail(done - 300):
        assert batch[0].position == done - 299
        break
    await record(ledger, 3)
    assert len(await log(ledger)) == len(before) + 3
    blind = await Ledger.open(sealing.store, ledger.name)
    with pytest.raises(LedgerDamaged, match="no archive of it is known here"):
        await blind.read(0, 1)


async def test_a_projection_is_rebuilt_across_the_border(sealing: Sealing, loaded: Recorder) -> None:
    """What was folded from the store alone and what is folded from both have one digest."""
    await record(loaded.ledger, 300)
    await followed_up(sealing.store, sealing.ledger)
    await sealing.all()
    ledger, done = await trimmed(sealing, 10_000)
    assert done == 256
    async for _ in rebuild(sealing.store, ledger, PROJECTIONS[0]):
        pass  # it compares the digests
    assert (await place(sealing.store, ledger.keys, PROJECTIONS[0].name)).generation == 2


async def test_nothing_leaves_the_store_before_it_was_followed_up(sealing: Sealing) -> None:
    """Neither what is not sealed nor what a projection has not read; always whole bundles, never the last event."""
    await record(sealing.ledger, 1023)
    await sealing.all()
    checkpoint = await sealing.checkpoint()
    assert await horizon(sealing.store, sealing.ledger, checkpoint, 10_000) == 0
    await followed_up(sealing.store, sealing.ledger)
    assert await horizon(sealing.store, sealing.ledger, checkpoint, 10_000) == 768
    assert await horizon(sealing.store, sealing.ledger, checkpoint, 600) == 512
    assert await horizon(sealing.store, sealing.ledger, checkpoint, -5) == 0
    smaller = Checkpoint(checkpoint.origin, 300, checkpoint.root)
    assert await horizon(sealing.store, sealing.ledger, smaller, 10_000) == 256


async def test_what_is_not_as_it_was_sealed_does_not_leave(sealing: Sealing) -> None:
    """If store and archive differ in one byte, that is said, and the store keeps what it has."""
    await record(sealing.ledger, 600)
    await followed_up(sealing.store, sealing.ledger)
    await sealing.all()
    await drop_and_write(sealing, 300)
    with pytest.raises(LedgerDiverged, match="event 300"):
        await trimmed(sealing, 10_000)
    assert (await sealing.store.xinfo_stream(sealing.ledger.keys.events))["length"] == 601
    await sealing.archive.storage.remove(["tile/entries/000"])
    with pytest.raises(ArchiveDamaged, match="tile/entries/000 is missing"):
        await trimmed(sealing, 10_000)


async def drop_and_write(sealing: Sealing, position: int) -> None:
    """Change an event of the store behind its back."""
    entries = await log(sealing.ledger)
    pipeline = sealing.store.pipeline(transaction=True)
    pipeline.delete(sealing.ledger.keys.events)
    for entry in entries:
        raw = entry.raw.replace(b"A story", b"A Story") if entry.position == position else entry.raw
        pipeline.xadd(sealing.ledger.keys.events, {"e": raw}, id=f"{entry.position}-0")
    await pipeline.execute()


async def everything_kept(store: Store, ledger: Ledger, entries: Sequence[Entry]) -> dict[str, list[bytes]]:
    """Return every stream of a ledger's events, as the store lists it."""
    streams = {stream for entry in entries for stream in streams_of(entry.event)}
    return {stream: await store.lrange(ledger.keys.positions(stream), 0, -1) for stream in streams}


async def test_a_ledger_comes_back_as_it_was(sealing: Sealing, loaded: Recorder) -> None:
    """The same bytes, streams, command ids and documents, in a new epoch that says from where on it goes."""
    await record(loaded.ledger, 300)
    store, name, old = sealing.store, sealing.ledger.name, sealing.ledger.epoch
    digests = await project(store, sealing.ledger)
    checkpoint = await sealing.all()
    before = await log(sealing.ledger)
    streams = await everything_kept(store, sealing.ledger, before)
    first = before[5].envelope
    remembered = await sealing.ledger.recall(first.commandid, first.commandhash)
    await record(sealing.ledger, 5)
    late = str(sealing.ledger.cursor(checkpoint.size + 4))
    early = str(sealing.ledger.cursor(100))
    with pytest.raises(LedgerThere):
        await restored(store, sealing, checkpoint)
    await drop(store, name)
    assert not await store.exists(sealing.ledger.keys.head, sealing.ledger.keys.events)
    await restored(store, sealing, checkpoint)
    ledger = await Ledger.open(store, name)
    after = await log(ledger)
    assert before == after[:-1]
    opening = after[-1].event
    assert isinstance(opening, LedgerRestored)
    assert (opening.epoch, opening.size, opening.reason) == (ledger.epoch, checkpoint.size, "A test.")
    assert ledger.epoch != old
    assert streams == await everything_kept(store, ledger, before) | {"ledger": streams["ledger"]}
    assert remembered == await ledger.recall(first.commandid, first.commandhash)
    assert digests == await project(store, ledger)
    for cursor, resume_after in ((early, 100), (late, checkpoint.size)):
        with pytest.raises(CursorPassed) as passed:
            ledger.position_of(cursor)
        assert passed.value.resume_after == str(ledger.cursor(resume_after))
    await record(ledger, 2)
    sealing.ledger = ledger
    grown = await sealing.all()
    assert grown.size == checkpoint.size + 3


async def restored(store: Store, sealing: Sealing, checkpoint: Checkpoint) -> None:
    """Restore a ledger."""
    done = 0
    async for step in from_archive(store, sealing.ledger.name, sealing.archive, checkpoint, "A test."):
        assert done < step.done <= step.total == checkpoint.size
        done = step.done


async def test_a_ledger_is_restored_twice(sealing: Sealing) -> None:
    """The second restore keeps the epoch of the first one, and cursors of all epochs lead on."""
    cursors = []
    for _ in range(3):
        await record(sealing.ledger, 10)
        cursors.append(str(sealing.ledger.cursor((await sealing.ledger.head()).position)))
        checkpoint = await sealing.all()
        await drop(sealing.store, sealing.ledger.name)
        await restored(sealing.store, sealing, checkpoint)
        sealing.ledger = await Ledger.open(sealing.store, sealing.ledger.name)
    for n, cursor in enumerate(cursors, 1):
        with pytest.raises(CursorPassed) as passed:
            sealing.ledger.position_of(cursor)
        assert passed.value.resume_after == str(sealing.ledger.cursor(11 * n))


async def test_a_restore_that_is_stopped_serves_nothing_and_begins_again(sealing: Sealing) -> None:
    """Until the last event is back and leads to the signed root, there is no ledger; the next restore starts clean."""
    await record(sealing.ledger, 600)
    checkpoint = await sealing.all()
    before = await log(sealing.ledger)
    await drop(sealing.store, sealing.ledger.name)
    restoration = Restoration(sealing.store, sealing.ledger.name)
    await restoration.begin()
    await restoration.take(before[:300])
    assert not await sealing.store.hexists(sealing.ledger.keys.head, "epochs")
    other = Checkpoint(checkpoint.origin, 300, b"x" * 32)
    with pytest.raises(ArchiveDamaged, match="do not lead to the root"):
        await restoration.end(other, None)
    await restored(sealing.store, sealing, checkpoint)
    assert before == (await log(await Ledger.open(sealing.store, sealing.ledger.name)))[:-1]


async def test_a_ledger_goes_into_another_store(sealing: Sealing, loaded: Recorder, tmp_path: Path) -> None:
    """Event for event, with the same documents."""
    before, digests = await log(loaded.ledger), await project(sealing.store, sealing.ledger)
    async with embedded.running(tmp_path / "other") as url:
        other = events.store.connect(url)
        restoration = Restoration(other, loaded.ledger.name)
        await restoration.begin()
        for begin in range(0, len(before), 50):
            await restoration.take(before[begin : begin + 50])
        await restoration.end(None, None)
        ledger = await Ledger.open(other, loaded.ledger.name)
        assert before == (await log(ledger))[:-1]
        assert digests == await project(other, ledger)
        await other.aclose()
