"""What workers promise: however many race, everything is projected once."""

import asyncio
import contextlib
import os
import random
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import events.store
from events.ledger import Ledger
from events.store import Store, answering
from service.load import StoryFile, load
from service.projections.catalog import PROJECTIONS
from service.projections.queries import Queries
from service.verification.commands import Recorder
from service.worker import Worker


async def end(task: asyncio.Task[None]) -> None:
    """Stop a worker in order."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_two_workers_project_everything_once(
    store_url: str, store: Store, ledger: Ledger, recorder: Recorder, il76: StoryFile
) -> None:
    """With two workers racing, no statement is listed twice and none is missing."""
    clients = [events.store.connect(store_url) for _ in range(2)]
    tasks = [asyncio.create_task(Worker(client, await Ledger.open(client, ledger.name)).run()) for client in clients]
    async for _ in load(il76, recorder):
        pass
    head = (await ledger.head()).position
    queries = Queries(store, ledger.keys)
    for projection in PROJECTIONS:
        await queries.wait_for(projection, head, seconds=15)
    claims = await queries.page(PROJECTIONS[0], [], limit=200)
    listed = [
        await store.lrange(ledger.keys.listed("claims", 1, item.split(b'"')[3].decode()), 0, -1)
        for item in claims.items
    ]
    statements = [entry for entry in await ledger.read(0, 10_000) if entry.envelope.type == "statement.recorded"]
    assert len(statements) == sum(map(len, listed))
    assert len(statements) == len({each for items in listed for each in items})
    for task in tasks:
        await end(task)
    for client in clients:
        await client.aclose()


@contextlib.asynccontextmanager
async def workers(store_url: str, ledger: Ledger, count: int) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run some workers, each with a client of its own, and end those that are left in order."""
    clients = [events.store.connect(store_url) for _ in range(count)]
    tasks = [asyncio.create_task(Worker(client, await Ledger.open(client, ledger.name)).run()) for client in clients]
    try:
        yield tasks
    finally:
        for task in tasks:
            await end(task)
        for client in clients:
            await client.aclose()


async def holder(store: Store, ledger: Ledger, duty: str) -> bytes:
    """Return who has a duty, once somebody has it."""
    async with asyncio.timeout(20):
        while True:
            with answering():
                found: bytes | None = await store.hget(ledger.keys.lease(duty), "holder")
            if found:
                return found


async def renewed(store: Store, ledger: Ledger, duty: str, times: int) -> None:
    """Return once the lease of a duty has been taken or renewed so many times."""
    ends: set[bytes] = set()
    async with asyncio.timeout(20):
        while len(ends) <= times:
            with answering():
                ends.add(await store.hget(ledger.keys.lease(duty), "until"))


async def turns(count: int) -> None:
    """Let the event loop turn so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("duty", ["projections", "rebuilds"])
async def test_every_duty_is_one_workers_and_is_given_back_at_the_end(
    store_url: str, store: Store, ledger: Ledger, duty: str
) -> None:
    """Of several workers one has a duty; when all have ended in order nobody has it, and it need not run out."""
    async with workers(store_url, ledger, 2):
        first = await holder(store, ledger, duty)
        await renewed(store, ledger, duty, 2)  # that takes longer than a worker waits between two looks
        assert first == await holder(store, ledger, duty)
    assert await store.hget(ledger.keys.lease(duty), "holder") is None
    assert await store.hget(ledger.keys.lease(duty), "token") == b"1"


async def test_when_a_worker_is_killed_another_projects_within_seconds(
    store_url: str, store: Store, ledger: Ledger, recorder: Recorder, il76: StoryFile, tmp_path: Path
) -> None:
    """A killed worker gives nothing back; five seconds later the one that stood by has projected what came after."""
    environment = os.environ | {
        "ONRECORD_HOME": str(tmp_path), "ONRECORD_STORE_URL": store_url, "ONRECORD_LEDGER": ledger.name,
    }  # fmt: skip
    program = Path(sys.executable).with_name("onrecord")
    victim = await asyncio.create_subprocess_exec(program, "worker", env=environment, stdout=asyncio.subprocess.DEVNULL)
    try:
        holding = await holder(store, ledger, "projections")
        async with workers(store_url, ledger, 1):
            await renewed(store, ledger, "projections", 2)  # meanwhile the other looks at least once
            assert holding == await holder(store, ledger, "projections")
            victim.kill()
            await victim.wait()
            begun = time.monotonic()
            async for _ in load(il76, recorder):
                pass
            head = (await ledger.head()).position
            for projection in PROJECTIONS:
                await Queries(store, ledger.keys).wait_for(projection, head, seconds=10)
            assert time.monotonic() - begun < 5
            assert holding != await holder(store, ledger, "projections")
    finally:
        if victim.returncode is None:
            victim.kill()
            await victim.wait()


async def test_a_worker_ends_whenever_it_is_cancelled(store_url: str, ledger: Ledger, recorder: Recorder) -> None:
    """At whatever moment a worker is cancelled, holding a duty or waiting for one, it ends within two seconds."""
    chance = random.Random(7)  # noqa: S311 - repeatable
    for _ in range(60):
        async with workers(store_url, ledger, 2) as tasks:
            await turns(chance.randrange(1000))
            for task in chance.sample(tasks, 2):
                task.cancel()
                done, _left = await asyncio.wait([task], timeout=2)
                assert done, "it did not end"
                assert task.cancelled()
                await turns(chance.randrange(200))


async def test_a_cancellation_is_never_lost_in_a_call_of_the_store(store_url: str) -> None:
    """A task that asks the store on and on ends when it is cancelled, at whatever point of sending that is."""
    async with contextlib.aclosing(events.store.connect(store_url)) as store:

        async def ask_on_and_on() -> None:
            while True:
                with answering():
                    await store.get("nothing")

        chance = random.Random(7)  # noqa: S311 - repeatable
        for _ in range(1000):
            task = asyncio.create_task(ask_on_and_on())
            await turns(chance.randrange(60))
            task.cancel()
            done, _left = await asyncio.wait([task], timeout=2)
            assert done, "the cancellation was lost"
            assert task.cancelled()
