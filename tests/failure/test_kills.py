"""What is left of the record after its processes were killed under load.

``ONRECORD_TEST_KILLS`` says how many are killed (10 without it), ``ONRECORD_TEST_SEED`` which ones and when.
"""

import asyncio
import contextlib
import json
import os
import random
from collections import Counter
from typing import Any

import httpx2
import pytest

from events import catalog
from events.envelope import Entry
from events.keys import LedgerKeys
from events.ledger import Ledger
from events.store import Store
from service.projections.catalog import PROJECTIONS
from service.projections.queries import Queries
from tests.failure.conftest import (
    PATIENCE,
    ServiceProcess,
    StoreProcess,
    assert_streams,
    assert_whole,
    everything,
    working,
)

KILLS = int(os.environ.get("ONRECORD_TEST_KILLS", "10"))
_CLAIMS, _SOURCES, _WRITERS, _MOST_TRIES = 20, 6, 6, 100


class Load:
    """A few writers who record statements, each again with the same key until it is acknowledged."""

    def __init__(self, desk: httpx2.AsyncClient, api: ServiceProcess) -> None:
        self._desk, self._api = desk, api
        self.receipts: dict[str, Any] = {}
        self.retried: Counter[str] = Counter()
        self.stopping = asyncio.Event()
        self.refused = asyncio.Event()
        self._acknowledged = asyncio.Condition()

    async def prepare(self) -> None:
        """Record what statements need: a story, its sources and claims."""
        story = await self._posted("/v1/stories", {"title": "A siege"}, "story")
        self._sources = [
            (await self._posted("/v1/sources", {"name": f"Voice {n}", "kind": "person"}, f"source-{n}"))["id"]
            for n in range(_SOURCES)
        ]
        self._claims = [
            (await self._posted("/v1/claims", {"story_id": story["id"], "text": f"It fell, {n}."}, f"claim-{n}"))["id"]
            for n in range(_CLAIMS)
        ]

    async def run(self, seed: int) -> None:
        """Record until it is stopped; what was begun is ended."""
        async with asyncio.TaskGroup() as writers:
            for writer in range(_WRITERS):
                writers.create_task(self._write(writer, random.Random(f"{seed}/{writer}")))  # noqa: S311 - repeatable

    async def acknowledged(self, more: int) -> None:
        """Return when so many more statements have been acknowledged."""
        wanted = len(self.receipts) + more
        async with asyncio.timeout(PATIENCE), self._acknowledged:
            await self._acknowledged.wait_for(lambda: len(self.receipts) >= wanted)

    async def _write(self, writer: int, chance: random.Random) -> None:
        number = 0
        while not self.stopping.is_set():
            number += 1
            key = f"writer-{writer}-{number}"
            said = {"speaker_id": chance.choice(self._sources), "stance": chance.choice(["asserts", "denies"])}
            receipt = await self._posted(
                f"/v1/claims/{chance.choice(self._claims)}/statements", said | {"quote": key}, key
            )
            async with self._acknowledged:
                self.receipts[key] = receipt
                self._acknowledged.notify_all()

    async def _posted(self, path: str, body: object, key: str) -> Any:
        for _ in range(_MOST_TRIES):
            async with asyncio.timeout(PATIENCE):
                await self._api.up.wait()
            try:
                answer = await self._desk.post(path, json=body, headers={"Idempotency-Key": key})
            except httpx2.TransportError:
                self.retried["cut"] += 1
                await asyncio.sleep(0)
                continue
            if answer.status_code == 201:
                return answer.json()
            assert answer.status_code == 503, answer.text
            self.retried[answer.json()["type"]] += 1
            self.refused.set()
        raise AssertionError(f"{key} was not acknowledged in {_MOST_TRIES} tries")


@pytest.mark.timeout(60 + 6 * KILLS)
async def test_whatever_is_killed_nothing_acknowledged_is_lost_or_doubled(
    server: StoreProcess, api: ServiceProcess, worker: ServiceProcess, desk: httpx2.AsyncClient, client: Store
) -> None:
    """Store, API and worker are killed at random moments under load; log and projections are whole after it."""
    seed = int(os.environ.get("ONRECORD_TEST_SEED", "") or random.SystemRandom().randrange(10**6))
    print(f"ONRECORD_TEST_SEED={seed}")  # noqa: T201 - pytest shows it when the test fails
    load = Load(desk, api)
    await load.prepare()
    loading = asyncio.create_task(load.run(seed))
    kills = await kill_at_random(random.Random(seed), load, {"store": server, "api": api, "worker": worker})  # noqa: S311 - repeatable
    await load.acknowledged(20)
    load.stopping.set()
    await asyncio.wait_for(loading, PATIENCE)
    ledger = await Ledger.open(client, "main")
    entries = await everything(ledger)
    print(dict(kills), dict(load.retried), f"{len(load.receipts)} statements, {len(entries)} events")  # noqa: T201
    assert kills.total() == KILLS
    assert_whole(entries)
    assert_recorded_once(entries, load.receipts)
    await assert_streams(client, ledger, entries)
    await assert_projected(client, ledger, server.url)


async def kill_at_random(
    chance: random.Random, load: Load, processes: dict[str, StoreProcess | ServiceProcess]
) -> Counter[str]:
    """Kill one process, or two together, every few statements, start them again, and return what was killed."""
    kills: Counter[str] = Counter()
    while kills.total() < KILLS:
        await load.acknowledged(chance.randint(5, 60))
        with contextlib.suppress(TimeoutError):  # somewhere within what is under way now
            await asyncio.wait_for(load.stopping.wait(), chance.uniform(0, 0.02))
        victims = chance.sample(sorted(processes), min(chance.choice([1, 1, 1, 2]), KILLS - kills.total()))
        load.refused.clear()
        for victim in victims:
            await processes[victim].kill()
        if "store" in victims and "api" not in victims and chance.random() < 0.5:  # long enough to be noticed
            await asyncio.wait_for(load.refused.wait(), PATIENCE)
        for name, process in processes.items():  # the store first: the others want it at their start
            if name in victims:
                await process.start()
        kills.update(victims)
    return kills


def assert_recorded_once(entries: list[Entry], receipts: dict[str, Any]) -> None:
    """Every key gave one statement, and every receipt names the events that are in the log at their positions."""
    said = [entry.event for entry in entries if isinstance(entry.event, catalog.StatementRecorded)]
    assert dict.fromkeys(receipts, 1) == Counter(each.statement.quote for each in said)
    assert len(said) == len({each.statement_id for each in said})
    for key, receipt in receipts.items():
        for event in receipt["events"]:
            entry = entries[event["position"] - 1]
            assert event["type"] == entry.envelope.type
            assert event["data"] == json.loads(bytes(entry.envelope.data))
        first = entries[receipt["events"][0]["position"] - 1].event
        assert isinstance(first, catalog.StatementRecorded)
        assert (receipt["id"], key) == (first.statement_id, first.statement.quote)
        assert receipt["position"] == receipt["events"][-1]["position"]


async def assert_projected(client: Store, ledger: Ledger, url: str) -> None:
    """Every projection reaches the head, and holds what a new fold of a copy of the log holds, key by key."""
    copied = LedgerKeys("copy")
    await client.copy(ledger.keys.events, copied.events)
    await client.copy(ledger.keys.head, copied.head)
    head = (await ledger.head()).position
    async with working(url, "copy"):
        for keys in (ledger.keys, copied):
            for projection in PROJECTIONS:
                await Queries(client, keys).wait_for(projection, head, seconds=PATIENCE)
    for projection in PROJECTIONS:
        kept = await contents(client, ledger.keys, projection.name)
        folded = await contents(client, copied, projection.name)
        assert sorted(folded) == sorted(kept)
        assert not [name for name in folded if folded[name] != kept[name]]


async def contents(client: Store, keys: LedgerKeys, projection: str) -> dict[str, object]:
    """Return every document, list and index of a projection's first generation, by its name."""
    begin = keys.document(projection, 1, "").removesuffix("document:")
    found: dict[str, object] = {}
    async for key in client.scan_iter(match=f"{begin}*", count=1000):
        name = key.decode().removeprefix(begin)
        if name.startswith("document:"):
            found[name] = await client.get(key)
        elif name.startswith("list:"):
            found[name] = await client.lrange(key, 0, -1)
        else:
            found[name] = await client.zrange(key, 0, -1, withscores=True)
    return found
