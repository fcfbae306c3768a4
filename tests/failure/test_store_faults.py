"""What an append comes to when the store goes away, is full, or answers into a connection that is cut."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

import events.store
from events import catalog, records
from events.envelope import Provenance
from events.errors import OutcomeUnknown, StoreFull, StoreUnavailable
from events.group_commit import Appended
from events.identifiers import new_id
from events.ledger import Command, Ledger
from events.store import Store
from service import embedded
from service.projections.catalog import PROJECTIONS
from service.projections.queries import Queries
from service.verification.policy import STRICT_TWO_SOURCE
from tests.failure.conftest import PATIENCE, StoreProcess, assert_streams, assert_whole, everything, working

_LONGEST_APPEND = 15.0
_AWAY = (StoreUnavailable, OutcomeUnknown)


def opening(name: str) -> Command:
    """Return a command that opens a story; ``name`` is its id."""
    story = catalog.StoryOpened(story_id=new_id("story"), story=records.Story(title="A story"))
    return Command([story], {}, Provenance("system", name, "ab" * 32))


async def names(ledger: Ledger) -> Counter[str]:
    """Return how many events each command of the log recorded, but for the one that created it."""
    return Counter(entry.envelope.commandid for entry in await everything(ledger) if entry.position > 1)


@pytest.mark.timeout(60)
async def test_a_store_that_restarts_is_an_error_at_once_and_a_retry_settles_it(
    server: StoreProcess, client: Store
) -> None:
    """Appends under way or given during the outage end soon; given again they are recorded once; the worker goes on."""
    ledger = await Ledger.open(client, "main", create=STRICT_TWO_SOURCE)
    commands = {f"under-way-{n}": opening(f"under-way-{n}") for n in range(100)}

    async def attempt(command: Command) -> Appended | StoreUnavailable | OutcomeUnknown:
        try:
            return await asyncio.wait_for(ledger.append(command), _LONGEST_APPEND)
        except _AWAY as error:
            return error

    async with working(server.url, "main") as worker:
        under_way = [asyncio.create_task(attempt(command)) for command in commands.values()]
        await server.kill()
        outcomes = dict(zip(commands, await asyncio.gather(*under_way), strict=True))
        commands["during"] = opening("during")
        outcomes["during"] = await attempt(commands["during"])
        assert isinstance(outcomes["during"], _AWAY)
        await server.start()
        for name, command in commands.items():
            again = await ledger.append(command)
            earlier = outcomes[name]
            if isinstance(earlier, Appended):
                assert (earlier.first, earlier.count, True) == (again.first, again.count, again.repeated)
        assert dict.fromkeys(commands, 1) == await names(ledger)
        for projection in PROJECTIONS:
            await Queries(client, ledger.keys).wait_for(projection, len(commands) + 1, seconds=PATIENCE)
        assert not worker.done()


@pytest.mark.timeout(60)
async def test_a_full_store_refuses_whole_commands_and_goes_on_when_it_has_room(
    desk: httpx2.AsyncClient, client: Store
) -> None:
    """An append is refused, the API says 503 store-full, nothing is half written, and with memory all goes on."""
    ledger = await Ledger.open(client, "main")
    used = (await client.info("memory"))["used_memory"]
    await client.config_set("maxmemory", used + 400_000)
    recorded = await fill(ledger)
    await client.config_set("maxmemory", 1)
    with pytest.raises(StoreFull):
        await ledger.append(opening("full"))
    refused = await desk.post("/v1/stories", json={"title": "Too much"}, headers={"Idempotency-Key": "full"})
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/store-full")
    assert refused.headers["Retry-After"]
    entries = await everything(ledger)
    assert recorded + 1 == len(entries)
    assert_whole(entries)
    await assert_streams(client, ledger, entries)
    await client.config_set("maxmemory", 0)
    again = await desk.post("/v1/stories", json={"title": "Too much"}, headers={"Idempotency-Key": "full"})
    assert (201, recorded + 2) == (again.status_code, again.json()["position"])
    assert recorded + 3 == (await ledger.append(opening("full"))).first


async def fill(ledger: Ledger) -> int:
    """Append until the store is full, and return how many events were recorded."""
    for recorded in range(10_000):
        try:
            await ledger.append(opening(f"until-full-{recorded}"))
        except StoreFull:
            return recorded
    raise AssertionError("the store is never full")


class Proxy:
    """Stands between a client and the store, and drops the answers to so many appends, with their connections.

    The first ``after`` answers to appends pass; ``dropped`` is awaited before a connection is cut.
    """

    def __init__(self, store_url: str) -> None:
        self._store = store_url.removeprefix("unix://")
        self.drops = self.after = 0
        self.dropped: Callable[[], Awaitable[Any]] | None = None
        self.serving: set[asyncio.Task[None] | None] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection in both directions."""
        self.serving.add(asyncio.current_task())
        try:
            from_store, to_store = await asyncio.open_unix_connection(self._store)
        except OSError:
            writer.close()
            return
        appending = asyncio.Event()

        async def forth() -> None:
            while asked := await reader.read(1 << 16):
                if b"EVALSHA" in asked:
                    appending.set()
                to_store.write(asked)

        async def back() -> None:
            while answered := await from_store.read(1 << 16):
                if appending.is_set() and await self._drop():
                    return
                writer.write(answered)

        either = [asyncio.create_task(forth()), asyncio.create_task(back())]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        for each in either:
            each.cancel()
        await asyncio.wait(either)
        for end in (to_store, writer):
            end.close()
            with contextlib.suppress(OSError):
                await end.wait_closed()

    async def _drop(self) -> bool:
        """Return whether an answer is to be lost."""
        if self.after or not self.drops:
            self.after = max(self.after - 1, 0)
            return False
        self.drops -= 1
        if self.dropped:
            await self.dropped()
        return True


@pytest.mark.timeout(60)
@pytest.mark.parametrize("drops", [1, 100])
async def test_an_answer_that_is_lost_does_not_record_twice(
    server: StoreProcess, client: Store, tmp_path: Path, drops: int
) -> None:
    """One lost answer is made good unseen; a store whose answers all get lost is OutcomeUnknown until a retry."""
    await Ledger.open(client, "main", create=STRICT_TWO_SOURCE)
    proxy = Proxy(server.url)
    path = embedded.url_of(tmp_path / "proxy").removeprefix("unix://")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    listening = await asyncio.start_unix_server(proxy.serve, path)
    cut = events.store.connect(f"unix://{path}")
    ledger = await Ledger.open(cut, "main")
    proxy.drops = drops
    if drops > 1:
        with pytest.raises(OutcomeUnknown):
            await asyncio.wait_for(ledger.append(opening("cut")), _LONGEST_APPEND)
        proxy.drops = 0
    appended = await asyncio.wait_for(ledger.append(opening("cut")), _LONGEST_APPEND)
    assert (appended.first, appended.count, appended.repeated) == (2, 1, True)
    assert await names(ledger) == {"cut": 1}
    await cut.aclose()
    listening.close()
    await asyncio.wait_for(asyncio.gather(*filter(None, proxy.serving)), PATIENCE)


@pytest.mark.timeout(60)
async def test_the_worker_outlives_a_full_store(server: StoreProcess, client: Store) -> None:
    """What was recorded before the store was full is projected when it has room, by the worker that could not."""
    ledger = await Ledger.open(client, "main", create=STRICT_TWO_SOURCE)
    await ledger.append(opening("before"))
    await client.config_set("maxmemory", 1)
    async with working(server.url, "main") as worker:
        async with asyncio.timeout(PATIENCE):
            while "errorstat_OOM" not in await client.info("errorstats") and not worker.done():
                pass
        await client.config_set("maxmemory", 0)
        for projection in PROJECTIONS:
            await Queries(client, ledger.keys).wait_for(projection, 2, seconds=_LONGEST_APPEND)
        assert not worker.done()
