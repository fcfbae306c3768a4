"""One process follows, renews and appends for many ledgers: what that takes of the store is bounded."""

import asyncio
import contextlib
import time
from collections import Counter

import pytest
import structlog

import events.store
from events import keys, lines
from events.errors import StoreUnavailable
from events.lease import Lease
from events.ledger import Ledger
from events.store import Store, is_cluster, servers
from service.projections.catalog import STORIES
from service.projections.queries import Queries
from service.verification.policy import STRICT_TWO_SOURCE
from service.worker import DUTIES, Workers
from tests.contract.test_tail import follow, write

_LEDGERS = 60
_CONNECTIONS = 4


async def many(store: Store, name: str, count: int) -> list[Ledger]:
    """Create so many ledgers."""
    return [await Ledger.open(store, f"{name}-{n}", create=STRICT_TWO_SOURCE) for n in range(count)]


async def clients(store: Store) -> dict[str, str]:
    """Return the last command of every connection to the store, by its identifier."""
    return {
        f"{server} {each['id']}": each["cmd"] for server in servers(store) for each in await store.client_list(**server)
    }


@pytest.mark.timeout(120)
async def test_a_worker_projects_sixty_ledgers_over_a_few_connections(
    store_url: str, store: Store, ledger_name: str
) -> None:
    """Every duty of each is had and kept, and what is written to each is projected within seconds."""
    ledgers = await many(store, ledger_name, _LEDGERS)
    before = await clients(store)
    with structlog.testing.capture_logs() as logged:
        async with contextlib.aclosing(events.store.connect(store_url, connections=_CONNECTIONS, wait=30)) as client:
            workers = Workers(client)
            working = asyncio.create_task(workers.run())
            async with asyncio.timeout(60):
                while min(workers.duties()[duty] for duty in DUTIES) < _LEDGERS:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0)
            for _ in range(2):
                ends = [await write(ledger, 1, at_once=1) for ledger in ledgers]
                begun = time.monotonic()
                for ledger, end in zip(ledgers, ends, strict=True):
                    await Queries(store, ledger.keys).wait_for(STORIES, end, seconds=30)
                assert time.monotonic() - begun < 20
            now = Counter(command for name, command in (await clients(store)).items() if name not in before)
            assert min(workers.duties()[duty] for duty in DUTIES) >= _LEDGERS
            working.cancel()
            await asyncio.wait([working])
    if not is_cluster(store):  # of a cluster each ledger is followed over one
        assert now["xread"] <= 1
        assert now.total() <= _CONNECTIONS + lines.MOST + 2
    assert [each for each in logged if each["event"] != "duty interrupted"] == []
    assert [each for each in logged if "No connection" in each["error"]] == []


async def test_a_log_that_is_followed_later_is_told_at_once(store: Store, ledger_name: str) -> None:
    """Whoever comes while others wait for their logs waits for none of them."""
    first, second = await many(store, ledger_name, 2)
    live = asyncio.Event()
    waiting = asyncio.create_task(follow(first, 1, 2, live=live))
    await live.wait()
    begun = time.monotonic()
    joined = asyncio.create_task(follow(second, 0, 2))
    await write(second, 1, at_once=1)
    assert await joined == [1, 2]
    assert time.monotonic() - begun < 0.9  # less than a read may block
    await write(first, 1, at_once=1)
    assert await waiting == [2]


async def test_who_follows_a_quiet_log_looks_up_beside_a_busy_one(store: Store, ledger_name: str) -> None:
    """However much comes to one ledger, those who follow another are let look up every second or so."""
    busy, quiet = await many(store, ledger_name, 2)
    following = asyncio.create_task(follow(busy, 1, 10**9))

    async def write_on() -> None:
        while True:
            await write(busy, 1, at_once=1)

    writing = asyncio.create_task(write_on())
    async with contextlib.aclosing(quiet.tail(1)) as batches, asyncio.timeout(10):
        assert [await anext(batches) for _ in range(3)] == [[], [], []]
    for task in (writing, following):
        task.cancel()
        await asyncio.wait([task])


async def test_a_log_that_is_none_ends_alone(store: Store, ledger_name: str) -> None:
    """What cannot be read of one ledger is said to those who follow it; the others go on."""
    sound, broken = await many(store, ledger_name, 2)
    live = asyncio.Event()
    following = asyncio.create_task(follow(sound, 1, 2, live=live))
    await live.wait()
    await store.delete(broken.keys.events)
    await store.set(broken.keys.events, "no log")
    with pytest.raises(events.store.ResponseError, match="WRONGTYPE"):
        await follow(broken, 0, 1)
    await store.delete(broken.keys.events)
    await store.xadd(broken.keys.events, {"f": b"no event"}, id="1-0")
    with pytest.raises(KeyError):
        await follow(broken, 0, 1)
    await write(sound, 1, at_once=1)
    assert await following == [2]


async def test_more_ledgers_are_written_to_at_once_than_there_are_lines(
    store_url: str, store: Store, ledger_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Appends wait for a line and come through, and those whose lines were all cut come through as well."""
    monkeypatch.setattr(lines, "MOST", 3)
    await many(store, ledger_name, 12)
    async with contextlib.aclosing(events.store.connect(store_url)) as client:
        ledgers = [await Ledger.open(client, f"{ledger_name}-{n}") for n in range(12)]
        before = await clients(store)
        assert await asyncio.gather(*(write(ledger, 20, at_once=1) for ledger in ledgers)) == [21] * 12
        made = [name for name, command in (await clients(store)).items() if name not in before and command == "evalsha"]
        if not is_cluster(store):
            assert 1 <= len(made) <= 3
        for server in servers(store):
            await store.client_kill_filter(_type="normal", skipme=True, **server)
        assert await asyncio.gather(*(write(ledger, 1, at_once=1) for ledger in ledgers)) == [22] * 12


async def test_an_append_waits_for_a_line_no_longer_than_for_an_answer(
    store_url: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever finds all of them taken learns in time that nothing was written."""
    monkeypatch.setattr(lines, "MOST", 1)
    async with contextlib.aclosing(events.store.connect(store_url, read_timeout=0.5)) as client:
        theirs = await Ledger.open(client, ledger.name)
        line = await events.store.shared(client, lines.Lines).lend(ledger.keys.head)
        with pytest.raises(StoreUnavailable, match="none of them ends"):
            await write(theirs, 1, at_once=1)
        await events.store.shared(client, lines.Lines).give_back(line)
        assert await write(theirs, 1, at_once=1) == 2


async def test_leases_are_renewed_though_every_connection_is_taken(
    store_url: str, store: Store, ledger_name: str
) -> None:
    """A thousand leases of many ledgers are had, kept and given back while nobody else is lent a connection."""
    names = [keys.LedgerKeys(f"{ledger_name}-{n}") for n in range(50)]
    async with contextlib.aclosing(events.store.connect(store_url, connections=1)) as client:
        leases = [Lease(client, each, f"duty-{n}") for each in names for n in range(20)]
        taken = asyncio.create_task(client.blpop([f"{ledger_name}-nothing"], 3))
        assert await asyncio.gather(*(lease.acquire() for lease in leases)) == [True] * 1000
        await store.script_flush()
        assert await asyncio.gather(*(lease.acquire() for lease in leases)) == [True] * 1000
        assert {lease.token for lease in leases} == {1}
        others = [Lease(store, each, "duty-0") for each in names]
        assert not any(await asyncio.gather(*(other.acquire() for other in others)))
        await asyncio.gather(*(lease.release() for lease in leases))
        assert not taken.done()
        taken.cancel()
        await asyncio.wait([taken])
        assert all(await asyncio.gather(*(other.acquire() for other in others)))
