"""Webhooks when the store goes away, when the worker is killed, and when endpoints do their worst.

``ONRECORD_TEST_KILLS`` says how often the worker is killed (4 times without it, at most 20); with more than four there
are 5,000 deliveries instead of 400, and the store is away for ten seconds instead of three.
"""

import asyncio
import os
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from events.endpoints import Filters
from events.ledger import Ledger
from events.store import Store
from service.auth import vault as vaults
from service.verification.policy import STRICT_TWO_SOURCE
from tests.contract.delivering import Desk, everything, is_so, until
from tests.e2e.receiving import Receiver, receiving
from tests.failure.conftest import PATIENCE, ServiceProcess, StoreProcess, working
from tests.failure.conftest import everything as whole_log

KILLS = min(int(os.environ.get("ONRECORD_TEST_KILLS", "4")), 20)
DELIVERIES, AWAY = (400, 3.0) if KILLS <= 4 else (5_000, 10.0)
STATEMENTS = Filters(types=("statement.recorded",))
_WRITERS = 4
_SETTINGS = {"ONRECORD_WEBHOOK_ALLOW": "127.0.0.0/8", "ONRECORD_WEBHOOK_SCHEDULE": ",".join(["0", *["0.05"] * 40])}
_GIBIBYTE = 1 << 30


@pytest.fixture
async def api(server: StoreProcess, tmp_path: Path) -> AsyncIterator[ServiceProcess]:
    """The API, which lets webhooks lead to this machine."""
    api = ServiceProcess("api", tmp_path, server.url, "On Record answers at", **_SETTINGS)
    await api.start()
    yield api
    await api.end()


@pytest.fixture
async def worker(server: StoreProcess, api: ServiceProcess, tmp_path: Path) -> AsyncIterator[ServiceProcess]:
    """The worker, with a schedule that is soon over."""
    worker = ServiceProcess("worker", tmp_path, server.url, "", **_SETTINGS)
    await worker.start()
    yield worker
    await worker.end()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """An endpoint."""
    async with receiving() as receiver:
        yield receiver


class Writers:
    """Some who record statements on one claim, each again until it is acknowledged."""

    def __init__(self, desk: httpx2.AsyncClient) -> None:
        self._desk = desk
        self._left = iter(range(DELIVERIES))

    async def prepare(self, receiver: Receiver) -> None:
        """Record what statements need, and register an endpoint that is told of them."""
        story = await self._posted("/v1/stories", {"title": "A siege"}, "story")
        self._source = (await self._posted("/v1/sources", {"name": "Voice", "kind": "person"}, "source"))["id"]
        self._claims = [
            (await self._posted("/v1/claims", {"story_id": story["id"], "text": f"It fell, {n}."}, f"claim-{n}"))["id"]
            for n in range(_WRITERS)
        ]
        hook = {"url": receiver.url(), "verify": False, "filters": {"types": ["statement.recorded"]}}
        self.webhook_id = (await self._posted("/v1/webhooks", hook, "webhook"))["id"]

    async def run(self) -> None:
        """Record them all."""
        async with asyncio.TaskGroup() as writers:
            for claim in self._claims:
                writers.create_task(self._write(claim))

    async def _write(self, claim: str) -> None:
        for n in self._left:
            said = {"speaker_id": self._source, "stance": "questions", "quote": f"q-{n}"}
            await self._posted(f"/v1/claims/{claim}/statements", said, f"statement-{n}")

    async def _posted(self, path: str, body: object, key: str) -> Any:
        async with asyncio.timeout(4 * PATIENCE):
            while True:
                try:
                    answer = await self._desk.post(path, json=body, headers={"Idempotency-Key": key})
                except httpx2.TransportError:
                    continue
                if answer.status_code == 201:
                    return answer.json()
                assert answer.status_code == 503, answer.text
                await asyncio.sleep(float(answer.headers["Retry-After"]) / 10)


async def assert_everything_came(receiver: Receiver, client: Store) -> None:
    """Every event came, and what came more than once was the same each time, under the same identifier."""
    ledger = await Ledger.open(client, "main")
    entries = [each for each in await whole_log(ledger) if each.envelope.type == "statement.recorded"]
    assert len(entries) == DELIVERIES
    await until(lambda: everything(receiver, DELIVERIES), 4 * PATIENCE)
    came = defaultdict(set)
    for message in receiver.received:
        came[message.headers["webhook-id"]].add(message.body)
    assert came == {entry.envelope.id: {entry.raw} for entry in entries}


async def assert_counted(receiver: Receiver, desk: httpx2.AsyncClient, webhook_id: str) -> None:
    """Nothing waits and nothing was given up, and no attempt that was acknowledged was forgotten."""

    async def nothing_waits() -> bool:
        return not (await desk.get(f"/v1/webhooks/{webhook_id}/deliveries?status=waiting")).json()["items"]

    await until(nothing_waits, PATIENCE)
    assert (await desk.get(f"/v1/webhooks/{webhook_id}/deliveries?status=dead")).json()["items"] == []
    log = (await desk.get(f"/v1/webhooks/{webhook_id}/deliveries?limit=200")).json()["items"]
    assert {each["event_id"] for each in log} <= {each.headers["webhook-id"] for each in receiver.received}


@pytest.mark.timeout(120 + 15 * KILLS)
async def test_a_worker_that_is_killed_again_and_again_loses_no_delivery(
    worker: ServiceProcess, desk: httpx2.AsyncClient, client: Store, receiver: Receiver
) -> None:
    """Whenever it is killed, each event comes at least once, also those that were refused; none comes changed."""
    seed = int(os.environ.get("ONRECORD_TEST_SEED", "") or random.SystemRandom().randrange(10**6))
    print(f"ONRECORD_TEST_SEED={seed}")  # noqa: T201 - pytest shows it when the test fails
    chance = random.Random(seed)  # noqa: S311 - repeatable
    receiver.answers.extend(chance.choices([204, 500], [9, 1], k=DELIVERIES))
    writers = Writers(desk)
    await writers.prepare(receiver)
    recording = asyncio.create_task(writers.run())
    for kill in range(KILLS):
        step = chance.randint(1, DELIVERIES // KILLS)
        await until(lambda: everything(receiver, kill * DELIVERIES // KILLS + step), PATIENCE)  # noqa: B023
        await worker.kill()
        await worker.start()
    await asyncio.wait_for(recording, 4 * PATIENCE)
    await assert_everything_came(receiver, client)
    await assert_counted(receiver, desk, writers.webhook_id)


@pytest.mark.timeout(180)
async def test_webhooks_go_on_after_the_store_was_away(
    server: StoreProcess, worker: ServiceProcess, desk: httpx2.AsyncClient, client: Store, receiver: Receiver
) -> None:
    """A store that is gone for seconds ends no worker and loses no delivery."""
    writers = Writers(desk)
    await writers.prepare(receiver)
    recording = asyncio.create_task(writers.run())
    await until(lambda: everything(receiver, DELIVERIES // 4), PATIENCE)
    await server.kill()
    await asyncio.sleep(AWAY)
    await server.start()
    await asyncio.wait_for(recording, 4 * PATIENCE)
    await assert_everything_came(receiver, client)
    await assert_counted(receiver, desk, writers.webhook_id)
    assert worker.process
    assert worker.process.returncode is None


@asynccontextmanager
async def listening(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[Receiver]:
    """Yield where an endpoint listens that reads a request and answers in its own way."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    place = Receiver()
    place.port = server.sockets[0].getsockname()[1]
    try:
        yield place
    finally:
        server.close()


@asynccontextmanager
async def desk_beside(server: StoreProcess, client: Store, home: Path) -> AsyncIterator[Desk]:
    """Yield a desk in this process, whose attempts take a second at most, beside a worker for its projections."""
    ledger = await Ledger.open(client, "main", create=STRICT_TWO_SOURCE)
    async with working(server.url, "main"):
        desk = Desk(client, ledger, await vaults.opened(client, ledger.name, "", home / "secret.key"))
        try:
            yield desk
        finally:
            await desk.egress.aclose()


async def by_bytes(writer: asyncio.StreamWriter) -> None:
    """Answer a byte at a time, for ever."""
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"a" * 10**6:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.02)


async def by_bytes_of_the_body(writer: asyncio.StreamWriter) -> None:
    """Answer the head at once, and then a byte at a time, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.02)


async def never(writer: asyncio.StreamWriter) -> None:
    """Accept, and never answer."""
    await writer.wait_closed()


@pytest.mark.timeout(90)
@pytest.mark.parametrize("answer", [by_bytes, by_bytes_of_the_body, never])
async def test_an_endpoint_that_keeps_one_waiting_is_not_waited_for_and_holds_up_nobody(
    answer: Callable[[asyncio.StreamWriter], Awaitable[None]],
    server: StoreProcess,
    client: Store,
    receiver: Receiver,
    tmp_path: Path,
) -> None:
    """Its attempt ends in time and is a failure that says why; the others are told meanwhile."""
    async with listening(answer) as slow, desk_beside(server, client, tmp_path) as desk:
        claim = await desk.claim()
        webhook_id = await desk.hook(slow, filters=STATEMENTS)
        await desk.hook(receiver, filters=STATEMENTS)
        async with desk.delivering((0.0, 3600.0)):
            await desk.say(claim, 20)
            await receiver.until(20)
            await until(lambda: is_so(desk, webhook_id, "failed", "1"))
        first = int(receiver.received[0].said["sequence"])
        ((attempt,),) = [(await desk.deliveries.of(webhook_id, first))[1]]
        assert attempt.became == "retry"
        assert attempt.attempted.failure is not None
        assert attempt.attempted.failure.startswith("no ")
        assert attempt.attempted.seconds < 3


@pytest.mark.timeout(90)
async def test_an_endpoint_that_sends_a_gibibyte_back_is_read_from_no_further_than_its_beginning(
    server: StoreProcess, client: Store, tmp_path: Path
) -> None:
    """It took the event; its answer is cut, in the log and on the wire."""
    sent = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % _GIBIBYTE)
        for _ in range(_GIBIBYTE >> 16):
            writer.write(b"a" * (1 << 16))
            await writer.drain()
            sent += 1 << 16

    async with listening(flood) as flooding, desk_beside(server, client, tmp_path) as desk:
        claim = await desk.claim()
        webhook_id = await desk.hook(flooding, filters=STATEMENTS)
        async with desk.delivering((0.0, 3600.0)):
            await desk.say(claim)
            await until(lambda: is_so(desk, webhook_id, "delivered", "1"))
        head = (await desk.ledger.head()).position
        (attempt,) = (await desk.deliveries.of(webhook_id, head))[1]
        assert attempt.attempted.response_body == "a" * 1024
    assert sent < 64 << 20  # what the sockets' buffers take
