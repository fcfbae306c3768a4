"""What workers promise: one does the work, any number may stand by, and a killed one is soon replaced."""

import asyncio
import contextlib
import time

import events.store
from events.ledger import Ledger
from events.store import Store
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


async def test_a_worker_that_dies_is_replaced_within_seconds(
    store_url: str, store: Store, ledger: Ledger, recorder: Recorder, il76: StoryFile
) -> None:
    """The duty of a worker whose connection is gone without a word goes to the one that stands by."""
    clients = [events.store.connect(store_url) for _ in range(2)]
    first, second = [
        asyncio.create_task(Worker(client, await Ledger.open(client, ledger.name)).run()) for client in clients
    ]
    queries = Queries(store, ledger.keys)
    await queries.wait_for(PROJECTIONS[0], 1, seconds=10)
    holder = await store.hget(ledger.keys.lease("projections"), "holder")
    async for _ in load(il76, recorder):
        pass
    await store.hset(ledger.keys.lease("projections"), "holder", "a worker that was killed")
    killed_at = time.monotonic()
    head = (await ledger.head()).position
    for projection in PROJECTIONS:
        await queries.wait_for(projection, head, seconds=15)
    while (now := await store.hget(ledger.keys.lease("projections"), "holder")) == b"a worker that was killed":  # noqa: ASYNC110 - the store tells nobody
        await asyncio.sleep(0)
    assert holder is not None
    assert now is not None
    assert time.monotonic() - killed_at < 15
    for task in (first, second):
        await end(task)
    for client in clients:
        await client.aclose()


async def test_two_workers_project_everything_once(
    store_url: str, store: Store, ledger: Ledger, recorder: Recorder, il76: StoryFile
) -> None:
    """With two workers, and however the duty moves between them, no statement is listed twice and none is missing."""
    clients = [events.store.connect(store_url) for _ in range(2)]
    tasks = [asyncio.create_task(Worker(client, await Ledger.open(client, ledger.name)).run()) for client in clients]
    stolen = 0
    async for _ in load(il76, recorder):
        stolen += 1
        if stolen % 10 == 0:
            await store.delete(ledger.keys.lease("projections"))
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
