"""What workers promise: however many race, everything is projected once."""

import asyncio
import contextlib

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
