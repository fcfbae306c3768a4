"""Delivering what has left the store, and what is delivered after a ledger was restored."""

from pathlib import Path

import msgspec
import pytest

from events import catalog
from events.catalog import LedgerRestored
from events.endpoints import Filters
from events.envelope import Provenance
from events.identifiers import new_id
from events.ledger import Command, Ledger
from events.store import Store
from service.audit.past import ArchivedPast
from service.audit.restoring import drop, from_archive
from service.audit.trimming import trim
from service.auth import vault as vaults
from service.webhooks.queues import Replay
from tests.contract.delivering import PERSON, Desk, everything, is_so, until
from tests.contract.test_endpoints_under_way import HOUR, due
from tests.contract.test_restoring import followed_up
from tests.e2e.receiving import Receiver, receiving
from tests.sealing import Sealing, record

STATEMENTS = Filters(types=("statement.recorded",))
SOURCES = Filters(types=("source.registered",))


@pytest.fixture
def place(tmp_path: Path) -> str:
    """A folder as the archive: what is read from where is a matter of the archive's own tests."""
    return str(tmp_path / "archive")


async def archived(sealing: Sealing, desk: Desk) -> Desk:
    """Let all that was recorded leave the store, and return a desk whose ledger reads it from the archive."""
    await record(desk.ledger, 300)
    end = (await desk.ledger.head()).position
    async with desk.delivering((0.0, HOUR)):

        async def is_given_out() -> bool:
            return await desk.queues.place() == end

        await until(is_given_out)
    await followed_up(desk.store, desk.ledger)
    checkpoint = await sealing.all()
    async for _ in trim(desk.store, desk.ledger, sealing.archive, checkpoint, 256):
        pass
    assert await desk.store.xrange(desk.ledger.keys.events, max="256-0") == []
    ledger = await Ledger.open(desk.store, desk.ledger.name, past=ArchivedPast(sealing.archive))
    return goes_on(desk, ledger)


def goes_on(desk: Desk, ledger: Ledger) -> Desk:
    """Return a desk that goes on with a ledger as it is now, and repeats no command."""
    later = Desk(desk.store, ledger, desk.vault)
    later.commands = desk.commands
    return later


async def said(desk: Desk, count: int) -> dict[str, bytes]:
    """Put statements on record, and return the bytes of each by its identifier."""
    claim = await desk.claim()
    await desk.say(claim, count)
    entries = await desk.ledger.read((await desk.ledger.head()).position - count)
    return {entry.envelope.id: entry.raw for entry in entries}


async def registered(desk: Desk, count: int) -> dict[str, bytes]:
    """Put sources on record without reading anything, and return the bytes of each by its identifier."""
    events = [catalog.SourceRegistered(source_id=new_id("source"), source=PERSON) for _ in range(count)]
    its = Provenance("system", new_id("source"), "ab" * 32)
    appended = await desk.ledger.append(Command(events, {}, its))
    return {entry.envelope.id: entry.raw for entry in await desk.ledger.read(appended.first - 1)}


def came(receiver: Receiver) -> dict[str, bytes]:
    """Return what came, by its identifier."""
    return {each.headers["webhook-id"]: each.body for each in receiver.received}


async def test_what_waits_is_tried_again_though_it_has_left_the_store(
    desk: Desk, receiver: Receiver, sealing: Sealing
) -> None:
    """A delivery that failed is tried again with the same bytes, from the archive."""
    webhook_id = await desk.hook(receiver, filters=STATEMENTS)
    receiver.status = 500
    async with desk.delivering((0.0, HOUR)):
        events = await said(desk, 3)
        await until(lambda: is_so(desk, webhook_id, "failed", "3"))
    later = await archived(sealing, desk)
    receiver.status = 204
    receiver.received.clear()
    await due(later, webhook_id)
    async with later.delivering((0.0, HOUR)):
        await until(lambda: is_so(later, webhook_id, "delivered", "3"))
    assert came(receiver) == events
    await later.egress.aclose()


async def test_resend_recover_and_replay_reach_into_the_archive(
    desk: Desk, receiver: Receiver, sealing: Sealing
) -> None:
    """What was given up, one event that is asked for, and everything from a position on: the same bytes each time."""
    webhook_id = await desk.hook(receiver, filters=STATEMENTS)
    receiver.status = 500
    async with desk.delivering((0.0,)):
        events = await said(desk, 3)
        await until(lambda: is_so(desk, webhook_id, "dead", "3"))
    later = await archived(sealing, desk)
    receiver.status = 204
    async with later.delivering((0.0,)):
        receiver.received.clear()
        assert await later.deliveries.recover(webhook_id, 0) == 3
        await until(lambda: is_so(later, webhook_id, "delivered", "3"))
        assert came(receiver) == events
        receiver.received.clear()
        await later.deliveries.resend(webhook_id, 1)
        await until(lambda: is_so(later, webhook_id, "delivered", "4"))
        assert [each.said["type"] for each in receiver.received] == ["ledger.created"]
        receiver.received.clear()
        await later.deliveries.replay(webhook_id, Replay(0, (await later.ledger.head()).position))
        await until(lambda: is_so(later, webhook_id, "delivered", "7"))
        assert came(receiver) == events
    await later.egress.aclose()


async def test_an_archive_that_is_away_holds_up_only_what_is_in_it(
    desk: Desk, receiver: Receiver, sealing: Sealing
) -> None:
    """New events are delivered meanwhile, to the same webhook too, and a replay waits; then what waited comes."""
    async with receiving() as other:
        webhook_id = await desk.hook(receiver, filters=SOURCES)
        replaying = await desk.hook(other, filters=SOURCES)
        receiver.status = 500
        async with desk.delivering((0.0, HOUR)):
            old = await registered(desk, 2)
            await until(lambda: is_so(desk, webhook_id, "failed", "2"))
            await other.until(2)
        later = await archived(sealing, desk)
        archive = Path(sealing.place)
        archive.rename(archive.with_name("away"))
        receiver.status = 204
        receiver.received.clear()
        other.received.clear()
        await due(later, webhook_id)
        await later.deliveries.replay(replaying, Replay(0, 256))
        async with later.delivering((0.0, HOUR)):
            new = await registered(later, 2)
            await until(lambda: everything(receiver, 2))
            await other.until(2)
            assert (came(receiver), came(other)) == (new, new)
            archive.with_name("away").rename(archive)
            await until(lambda: everything(receiver, 4), 30)
            await until(lambda: everything(other, 4), 30)
        assert came(receiver) == came(other) == old | new
        await later.egress.aclose()


async def restored(sealing: Sealing, desk: Desk) -> Desk:
    """Lose the ledger, restore it from what was sealed, and return a desk on it."""
    checkpoint = await sealing.all()
    await record(desk.ledger, 2)  # which is lost
    await drop(desk.store, desk.ledger.name)
    async for _ in from_archive(desk.store, desk.ledger.name, sealing.archive, checkpoint, None):
        pass
    return goes_on(desk, await Ledger.open(desk.store, desk.ledger.name))


async def test_after_a_restore_nothing_that_was_sent_before_is_sent_again(
    store: Store, ledger: Ledger, receiver: Receiver, sealing: Sealing, tmp_path: Path
) -> None:
    """It is not known what was sent: webhooks are told of the restore, and of what comes after it."""
    before = Desk(store, ledger, await vaults.opened(store, ledger.name, "", tmp_path / "secret.key"))
    webhook_id = await before.hook(receiver)
    await said(before, 5)
    await followed_up(store, ledger)
    head = (await ledger.head()).position
    async with before.delivering():
        await until(lambda: is_so(before, webhook_id, "delivered", str(head - 2)))
    receiver.received.clear()
    after = await restored(sealing, before)
    await followed_up(store, after.ledger)
    async with after.delivering():
        await receiver.until(1)
        await said(after, 1)
        new = await after.ledger.read(head)
        await until(lambda: is_so(after, webhook_id, "delivered", str(len(new))))
        assert isinstance(new[0].event, LedgerRestored)
        assert [each.raw for each in new] == sorted((each.body for each in receiver.received), key=place_of)
        await after.deliveries.replay(webhook_id, Replay(0, head))
        await until(lambda: is_so(after, webhook_id, "delivered", str(len(new) + head)))
    assert len(receiver.received) == len(new) + head
    await before.egress.aclose()
    await after.egress.aclose()


def place_of(body: bytes) -> str:
    """Return the place of an event in its ledger."""
    return str(msgspec.json.decode(body)["sequence"])


async def test_a_dispatcher_that_has_its_place_goes_on_from_there_in_a_new_epoch(
    store: Store, ledger: Ledger, receiver: Receiver, sealing: Sealing, tmp_path: Path
) -> None:
    """What the store still knows of deliveries outlives a restore: what was not given out by then is."""
    before = Desk(store, ledger, await vaults.opened(store, ledger.name, "", tmp_path / "secret.key"))
    await before.hook(receiver, filters=STATEMENTS)
    events = await said(before, 3)
    head = (await ledger.head()).position
    after = await restored(sealing, before)
    await followed_up(store, after.ledger)
    await after.queues.begin(head - 2)
    async with after.delivering():
        await until(lambda: everything(receiver, 2))
    assert came(receiver) == dict(list(events.items())[1:])
    await before.egress.aclose()
    await after.egress.aclose()
