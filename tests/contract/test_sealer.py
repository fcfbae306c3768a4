"""What the sealer promises: everything acknowledged is sealed soon, once, and never otherwise than it was."""

import asyncio
import gzip
import random
import time
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from events import catalog, records
from events.envelope import Entry, Provenance
from events.errors import ArchiveDamaged, LedgerDiverged
from events.identifiers import new_id
from events.ledger import Command, Ledger
from events.transparency.checkpoint import Checkpoint, opened
from events.transparency.hashing import leaf_hash, root_of
from events.transparency.note import Note
from events.transparency.proofs import verify_consistency, verify_inclusion
from events.transparency.tiles import tiles_of
from service.audit import log_key
from service.audit.log_key import LogKeyUnusable
from service.audit.sealer import SealedElsewhere, sealed
from service.verification.commands import Recorder
from tests.sealing import Sealing, record, running, shorten, until


async def log(ledger: Ledger) -> list[Entry]:
    """Return the whole log."""
    found: list[Entry] = []
    while batch := await ledger.read(len(found), 1000):
        found += batch
    return found


async def check(sealing: Sealing, size: int) -> None:
    """Assert that the archive has the first events of the ledger, byte for byte, and all that proves them."""
    archive, checkpoint = sealing.archive, await sealing.checkpoint()
    raw = [entry.raw for entry in (await log(sealing.ledger))[:size]]
    leaves = [leaf_hash(each) for each in raw]
    assert checkpoint == Checkpoint(sealing.origin, size, root_of(leaves))
    assert raw == await sealing.entries()
    assert checkpoint.root == (await archive.compact_range(checkpoint)).root()
    for index in {0, size // 3, size - 1}:
        verify_inclusion(leaves[index], index, size, await archive.inclusion(index, size), checkpoint.root)
    old = max(1, size // 2)
    verify_consistency(old, size, await archive.consistency(old, size, size), root_of(leaves[:old]), checkpoint.root)


async def test_what_is_on_record_is_sealed(sealing: Sealing, loaded: Recorder) -> None:
    """The archive of a real story has its events as they are, and every tile of the tree over them."""
    head = (await loaded.ledger.head()).position
    async with running(await sealing.begin()):
        await until(lambda: is_said(sealing, head))
    await check(sealing, head)
    found = {path async for path in sealing.archive.storage.paths()}
    assert {"checkpoint", *(tile.path for tile in tiles_of(head))} <= found


async def is_said(sealing: Sealing, size: int) -> bool:
    """Whether everybody is told that so many events are sealed."""
    return (await sealed(sealing.store, sealing.ledger)).size >= size


async def reaches(sealing: Sealing, size: int) -> bool:
    """Whether the archive's checkpoint covers so many events."""
    return (await sealing.checkpoint()).size >= size


async def test_an_event_is_sealed_within_a_second_or_so(sealing: Sealing) -> None:
    """One event alone waits a second for company and no longer; nobody has to record another one."""
    async with running(await sealing.begin()):
        await until(lambda: reaches(sealing, 1))
        for n in (2, 3):
            await record(sealing.ledger, 1)
            begun = time.monotonic()
            await until(lambda n=n: reaches(sealing, n))
            assert time.monotonic() - begun < 5  # a busy machine; the benchmark measures it
    await check(sealing, 3)


async def test_what_was_recorded_last_is_sealed_in_the_end(sealing: Sealing) -> None:
    """A sealer that is stopped in order leaves nothing unsealed that it could have sealed."""
    async with running(await sealing.begin()):
        await until(lambda: reaches(sealing, 1))
        await record(sealing.ledger, 7)
    await check(sealing, 8)


async def test_many_events_are_sealed_in_whole_bundles(sealing: Sealing) -> None:
    """Partial tiles of bundles that have become whole are gone, and everything is there once."""
    async with running(await sealing.begin()):
        for _ in range(8):
            await record(sealing.ledger, 100)
            await asyncio.sleep(0)
        await until(lambda: reaches(sealing, 801))
        await until(lambda: is_tidy(sealing, 801))
    await check(sealing, 801)
    tiles = {tile.path for tile in tiles_of(801)}
    assert {path async for path in sealing.archive.storage.paths()} >= tiles


async def is_tidy(sealing: Sealing, size: int) -> bool:
    """Whether the archive has no partial tile in the place of a whole one."""
    whole = {tile.path for tile in tiles_of(size) if not tile.is_partial}
    return all(
        [path.partition(".p/")[0] not in whole or path in whole async for path in sealing.archive.storage.paths()]
    )


async def test_a_sealer_that_is_stopped_anywhere_is_followed_by_another(sealing: Sealing) -> None:
    """However often it is cancelled, checkpoints only grow, each going on from the one before it."""
    some = random.Random(7)  # noqa: S311 - any moments will do
    seen = [await sealing.all()]
    for _ in range(12):
        await record(sealing.ledger, some.randrange(1, 400))
        async with running(await sealing.begin()):
            await asyncio.sleep(some.random() * 0.05)
        seen.append(await sealing.checkpoint())
    seen.append(await sealing.all())
    for old, new in pairwise(seen):
        assert old.size <= new.size
        proof = await sealing.archive.consistency(old.size, new.size, seen[-1].size)
        verify_consistency(old.size, new.size, proof, old.root, new.root)
    await check(sealing, (await sealing.ledger.head()).position)


async def test_a_sealer_that_lost_its_lease_signs_nothing(sealing: Sealing) -> None:
    """Its token is old, and the archive keeps the checkpoint of its successor."""
    first = await sealing.begin()
    token = sealing.lease.token
    await sealing.lease.release()
    assert await sealing.lease.acquire()
    assert sealing.lease.token > token
    old = sealing.sealer(lambda: token)
    await old.begin()
    await record(sealing.ledger, 5)
    with pytest.raises(SealedElsewhere):
        await old.seal(await sealing.ledger.read(0, 5))
    assert (await sealing.checkpoint()).size == 0
    await first.seal(await sealing.ledger.read(0, 6))
    assert (await sealing.checkpoint()).size == 6


async def test_of_two_with_one_token_only_one_signs(sealing: Sealing) -> None:
    """Even if the lease let two seal, the archive takes the checkpoint of the first, and the other looks again."""
    first, second = await sealing.begin(), await sealing.begin()
    await record(sealing.ledger, 9)
    await first.seal(await sealing.ledger.read(0, 4))
    with pytest.raises(SealedElsewhere):
        await second.seal(await sealing.ledger.read(0, 10))
    assert (await sealing.checkpoint()).size == 4
    await second.begin()
    await second.seal(await sealing.ledger.read(4, 10))
    await check(sealing, 10)


async def record_one(ledger: Ledger) -> None:
    """Record one event, and raise what that raises."""
    event = catalog.StoryOpened(story_id=new_id("story"), story=records.Story(title="One more"))
    await ledger.append(Command([event], {}, Provenance("system", f"test:{event.story_id}", "ab" * 32)))


@pytest.mark.parametrize("running_meanwhile", [False, True], ids=["between runs", "while it runs"])
async def test_a_store_that_was_rolled_back_takes_no_writes(sealing: Sealing, running_meanwhile: bool) -> None:  # noqa: FBT001
    """Acknowledged events are gone: that is said, and nothing is written over the gap."""
    await record(sealing.ledger, 300)
    await sealing.all()
    if running_meanwhile:
        async with running(await sealing.begin()) as task:
            await record(sealing.ledger, 1)
            await until(lambda: reaches(sealing, 302))
            await shorten(sealing.ledger, sealing.store, 250)
            with pytest.raises(LedgerDiverged):
                await asyncio.wait_for(asyncio.shield(task), 20)
    else:
        await shorten(sealing.ledger, sealing.store, 250)
        with pytest.raises(LedgerDiverged):
            await sealing.sealer().run()
    with pytest.raises(LedgerDiverged, match="ends at event 250"):
        await record_one(sealing.ledger)
    assert "ends at event 250" in await sealing.ledger.refused()
    assert (await sealing.checkpoint()).size == 301 + running_meanwhile
    assert (await sealing.ledger.head()).position == 250


async def test_a_store_that_took_another_way_takes_no_writes(sealing: Sealing) -> None:
    """Events were lost and others recorded since, as many or more: the fork is seen by what was sealed last."""
    await record(sealing.ledger, 300)
    await sealing.all()
    await shorten(sealing.ledger, sealing.store, 290)
    await record(sealing.ledger, 20, "Another story")
    assert (await sealing.ledger.head()).position == 310
    with pytest.raises(LedgerDiverged, match="event 291 in the store is not the one that was sealed"):
        await sealing.sealer().run()
    with pytest.raises(LedgerDiverged, match="event 291"):
        await record_one(sealing.ledger)
    assert (await sealing.checkpoint()).size == 301


async def test_another_log_s_checkpoint_is_not_continued(sealing: Sealing) -> None:
    """With another key than that which signed the archive's checkpoint, nothing is signed."""
    before = await sealing.all()
    sealing.key_path.unlink()
    await record(sealing.ledger, 3)
    with pytest.raises(LogKeyUnusable, match="not one of ours"):
        await sealing.sealer().run()
    note = await sealing.archive.checkpoint()
    assert note is not None
    assert before == Checkpoint.parse(Note.parse(note).text)


async def test_an_archive_that_is_not_the_one_is_not_begun_anew(sealing: Sealing) -> None:
    """If the store says that more is sealed than the archive has, it is another folder, or was emptied."""
    await sealing.all()
    await sealing.become({})
    with pytest.raises(ArchiveDamaged, match=r"1 events were sealed; the archive in .* has 0"):
        await sealing.sealer().run()
    assert await sealing.archive.checkpoint() is None


async def test_tiles_that_do_not_lead_to_the_root_are_not_built_on(sealing: Sealing) -> None:
    """An archive in which a hash was changed is not sealed any further."""
    await record(sealing.ledger, 9)
    await sealing.all()
    files = await sealing.files()
    tile = files["tile/0/000.p/10"]
    await sealing.become(files | {"tile/0/000.p/10": bytes([tile[0] ^ 1]) + tile[1:]})
    with pytest.raises((ArchiveDamaged, LedgerDiverged)):
        await sealing.sealer().run()
    assert (await sealing.checkpoint()).size == 10


async def test_a_key_is_changed_by_signing_with_both(sealing: Sealing) -> None:
    """Whoever knows the old key verifies as long as it signs, and learns of the new one by its signature beside it."""
    await sealing.all()
    (old,) = sealing.keys.verifiers
    log_key.rotated(sealing.key_path)
    _, new = sealing.keys.verifiers
    await record(sealing.ledger, 1)
    checkpoint = await sealing.all()
    note = await sealing.archive.checkpoint()
    assert note is not None
    assert [old, new] == Note.parse(note).verify([old, new])
    assert opened(note, [old]) == opened(note, [new]) == checkpoint
    log_key.retired(sealing.key_path, old.key_id.hex())
    await record(sealing.ledger, 1)
    await sealing.all()
    note = await sealing.archive.checkpoint()
    assert note is not None
    assert [new] == [key for key in (old, new) if any(each.is_by(key) for each in Note.parse(note).signatures)]
    with pytest.raises(LogKeyUnusable, match="at least one"):
        log_key.retired(sealing.key_path, new.key_id.hex())
    with pytest.raises(LogKeyUnusable, match="no key"):
        log_key.retired(sealing.key_path, old.key_id.hex())


async def test_the_keys_of_a_log_are_their_owners_alone(sealing: Sealing) -> None:
    """They are in a file of mode 0600 in a folder of mode 0700; what is no key is refused and not repeated."""
    assert sealing.keys.origin == sealing.origin
    assert (sealing.key_path.stat().st_mode & 0o777, sealing.key_path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    sealing.key_path.write_text("PRIVATE+KEY+secret")
    with pytest.raises(LogKeyUnusable) as caught:
        log_key.read(sealing.key_path)
    assert "secret" not in str(caught.value)
    sealing.key_path.write_text("")
    with pytest.raises(LogKeyUnusable):
        log_key.read(sealing.key_path)


async def test_what_an_independent_verifier_makes_of_an_archive(
    sealing: Sealing, loaded: Recorder, tmp_path: Path
) -> None:
    """A verifier of C2SP logs that others wrote finds every tile, bundle, proof and signature as it should be."""
    aics = pytest.importorskip("aics_tlog", reason="aics-tlog needs Python 3.12")
    await record(loaded.ledger, 700)
    checkpoint = await sealing.all()
    note = await sealing.archive.checkpoint()
    assert note is not None
    found = aics.verify_checkpoint(aics.parse_note(note), aics.parse_vkey(str(sealing.keys.verifiers[0])))
    assert found.ok
    served = tmp_path / "served"  # as who asks over HTTP sees it, where bundles are sent as gzip
    for path, content in (await sealing.files()).items():
        (served / path).parent.mkdir(parents=True, exist_ok=True)
        (served / path).write_bytes(content)
    for path in (served / "tile" / "entries").rglob("*"):
        if path.is_file():
            path.write_bytes(gzip.decompress(path.read_bytes()))
    reader = aics.HttpTileReader([served.as_uri() + "/"])
    aics.audit_tiles(reader, checkpoint.size, checkpoint.root)
    raw = await sealing.entries()
    for index in (0, 255, 256, checkpoint.size - 1):
        assert await sealing.archive.inclusion(index, checkpoint.size) == list(
            aics.inclusion_proof_from_tiles(reader, index, checkpoint.size)
        )
        assert aics.verify_leaf_inclusion(
            raw[index],
            index,
            checkpoint.size,
            await sealing.archive.inclusion(index, checkpoint.size),
            checkpoint.root,
        )
    assert await sealing.archive.consistency(257, checkpoint.size, checkpoint.size) == list(
        aics.consistency_proof_from_tiles(reader, 257, checkpoint.size)
    )
    assert msgspec.json.decode(raw[-1])["sequence"] == f"{checkpoint.size:016d}"
