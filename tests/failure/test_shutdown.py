"""Ending in order: what a process still does between the signal and its end, and what it leaves."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e.live import LIVE, following
from tests.failure.conftest import PATIENCE, ServiceProcess, StoreProcess


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
        assert told.json()["why_not"] == ["it is shutting down"]
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
