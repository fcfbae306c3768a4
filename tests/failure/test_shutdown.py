"""Ending in order: what a process still does between the signal and its end, and what it leaves."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

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
