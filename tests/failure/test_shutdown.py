"""Ending in order: what a process still does between the signal and its end, and what it leaves."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from events.keys import LedgerKeys
from events.ledger import Ledger
from events.store import Store
from service.worker import DUTIES
from tests.e2e.live import LIVE, following
from tests.failure.conftest import PATIENCE, ServiceProcess, StoreProcess, everything


def tell(service: ServiceProcess, sign: signal.Signals = signal.SIGTERM) -> asyncio.subprocess.Process:
    """Send a signal to a process that is there, and return it."""
    process = service.process
    assert process is not None
    assert process.returncode is None
    process.send_signal(sign)
    return process


@pytest.fixture
async def draining(server: StoreProcess, tmp_path: Path) -> AsyncIterator[ServiceProcess]:
    """An API that goes on for a minute after it was told to end."""
    draining = ServiceProcess("api", tmp_path, server.url, "On Record answers at", ONRECORD_DRAIN_SECONDS="60")
    await draining.start()
    yield draining
    await draining.end()


async def test_it_is_not_ready_before_it_closes_its_port(draining: ServiceProcess, tmp_path: Path) -> None:
    """A load balancer is told to go elsewhere while requests are still answered; a second signal ends the wait."""
    headers = {"Authorization": f"Bearer {(tmp_path / 'bootstrap.key').read_text().strip()}"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{draining.port}", headers=headers) as client:
        assert (await client.get("/readyz")).status_code == 200
        process = tell(draining)
        async with asyncio.timeout(PATIENCE):
            while (told := await client.get("/readyz")).status_code == 200:
                pass
        assert told.status_code == 503
        assert told.json()["components"] == {"process": {"ready": False, "why": "it is shutting down"}}
        assert (await client.get("/livez")).status_code == 200
        assert (await client.post("/v1/stories", json={"title": "Late"})).status_code == 201
    tell(draining)
    assert await asyncio.wait_for(process.wait(), PATIENCE) == 0


async def test_open_streams_end_first_and_hold_nothing_up(
    api: ServiceProcess, desk: httpx2.AsyncClient, draining: ServiceProcess
) -> None:
    """A live stream is told why it ends, none begins any more, and the process is gone long before its grace ends."""
    async with contextlib.AsyncExitStack() as stack:
        lives = [await stack.enter_async_context(following(desk)) for _ in range(20)]
        assert (await desk.post("/v1/stories", json={"title": "A story"})).status_code == 201
        cursors = {(await live.next()).id for live in lives}
        process = tell(api)
        ends = [(await live.ended())["type"] for live in lives]
        assert ends == ["/problems/shutting-down"] * 20
        assert await asyncio.wait_for(process.wait(), 3) == 0
    async with (
        httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{draining.port}", headers=dict(desk.headers), timeout=PATIENCE
        ) as other,
        following(other, last_id=cursors.pop()) as live,
    ):
        assert (await other.post("/v1/stories", json={"title": "Another"})).status_code == 201
        assert (await live.next()).event == "story.opened"
        tell(draining)
        assert (await live.ended())["type"] == "/problems/shutting-down"
        late = await other.get("/v1/events", headers=LIVE)
        assert (late.status_code, late.json()["type"]) == (503, "/problems/shutting-down")


async def ended(process: asyncio.subprocess.Process) -> float:
    """Return after how many seconds a process that was told to end has ended; it must end well."""
    begun = time.monotonic()
    assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    return time.monotonic() - begun


async def write(desk: httpx2.AsyncClient, name: str, outcomes: dict[str, int | None]) -> None:
    """Open one story after another until the API takes no more; keep how each request was answered, if it was."""
    for number in range(1_000_000):
        title = f"{name}-{number}"
        outcomes[title] = None
        try:
            answer = await desk.post("/v1/stories", json={"title": title})
        except httpx2.TransportError:
            return
        outcomes[title] = answer.status_code


async def test_no_accepted_request_is_lost(api: ServiceProcess, desk: httpx2.AsyncClient, client: Store) -> None:
    """Told to end under load, it records once what it answers, and nothing that it does not answer."""
    outcomes: dict[str, int | None] = {}
    writers = [asyncio.create_task(write(desk, f"writer-{n}", outcomes)) for n in range(16)]
    async with asyncio.timeout(PATIENCE):
        while sum(status == 201 for status in outcomes.values()) < 100:  # noqa: ASYNC110 - the writers tell nobody
            await asyncio.sleep(0.01)
    process = tell(api)
    took = await ended(process)
    await asyncio.wait_for(asyncio.gather(*writers), PATIENCE)
    entries = await everything(await Ledger.open(client))
    recorded = sorted(entry.event.story.title for entry in entries if entry.envelope.type == "story.opened")
    answered = sorted(title for title, status in outcomes.items() if status == 201)
    assert answered == recorded
    assert {None, 201} >= set(outcomes.values())
    assert took < PATIENCE / 2


async def test_it_ends_within_a_second_when_idle(api: ServiceProcess, desk: httpx2.AsyncClient) -> None:
    """An API that nobody asks anything ends at once, also with a connection open that is kept for the next request."""
    assert (await desk.get("/readyz")).status_code == 200
    times = []
    for _ in range(3):
        times.append(await ended(tell(api)))
        await api.start()
        assert (await desk.get("/livez")).status_code == 200
    assert min(times) < 1  # the least of three: others use the machine too


async def holders(client: Store) -> list[bytes | None]:
    """Return who has each duty of the ledger."""
    return [await client.hget(LedgerKeys("main").lease(duty), "holder") for duty in DUTIES]


async def at_work(client: Store) -> None:
    """Return when every duty is somebody's."""
    async with asyncio.timeout(PATIENCE):
        while not all(await holders(client)):  # noqa: ASYNC110 - it is asked of the store
            await asyncio.sleep(0.01)


async def test_a_worker_gives_its_leases_back_at_once(worker: ServiceProcess, client: Store) -> None:
    """When a worker was told to end its duties are free, and nobody has to wait for the leases to run out."""
    await at_work(client)
    assert await ended(tell(worker)) < 3
    assert [None] * len(DUTIES) == await holders(client)


async def test_a_store_that_hangs_is_named_in_time(
    server: StoreProcess, api: ServiceProcess, desk: httpx2.AsyncClient
) -> None:
    """While the store does not answer, readiness says so within a second, and liveness does not ask it."""
    assert server.process
    assert (await desk.get("/readyz")).status_code == 200
    server.process.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        told = await desk.get("/readyz")
        took = time.monotonic() - begun
        assert (await desk.get("/livez")).status_code == 200
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert told.status_code == 503
    assert told.json()["components"]["process"] == {"ready": True}
    assert told.json()["components"]["store"]["ready"] is False
    assert "projection claims" not in told.json()["components"]
    assert 0.7 < took < 5
    async with asyncio.timeout(PATIENCE):
        while (await desk.get("/readyz")).status_code != 200:
            pass


async def test_a_store_that_hangs_holds_nobody_up(
    server: StoreProcess, api: ServiceProcess, worker: ServiceProcess, desk: httpx2.AsyncClient, client: Store
) -> None:
    """Told to end while the store does not answer, worker and API end all the same, in order and in bounded time."""
    assert server.process
    assert (await desk.get("/readyz")).status_code == 200
    await at_work(client)
    server.process.send_signal(signal.SIGSTOP)
    try:
        times = await asyncio.gather(ended(tell(api)), ended(tell(worker)))
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert max(times) < 12
