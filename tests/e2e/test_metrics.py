"""Metrics as Prometheus meets them: on a port of their own, of real processes."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx2
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

import events.store
from events.ledger import Ledger
from events.store import Store
from service.auth.keys import new_key
from service.load import StoryFile, load
from service.metrics import Metrics
from service.projections.catalog import PROJECTIONS
from service.verification.commands import Recorder
from service.worker import DUTIES

ONRECORD = Path(sys.executable).with_name("onrecord")
_PATIENCE = 30.0


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Process:
    """A command of On Record on the test's ledger, with metrics and whatever settings there are more."""

    def __init__(self, word: str, home: Path, store_url: str, ledger: str, **more: str) -> None:
        self._word = word
        self.port, self.metrics_port = free_port(), free_port()
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("ONRECORD_")} | {
            "ONRECORD_HOME": str(home),
            "ONRECORD_STORE_URL": store_url,
            "ONRECORD_LEDGER": ledger,
            "ONRECORD_PORT": str(self.port),
            "ONRECORD_METRICS_PORT": str(self.metrics_port),
            **more,
        }

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run it until the caller is done, from when it and its metrics answer; it must end well."""
        process = await asyncio.create_subprocess_exec(ONRECORD, self._word, env=self._environment)
        try:
            async with asyncio.timeout(_PATIENCE):
                while not await self._answers():
                    assert process.returncode is None
            yield
        finally:
            process.terminate()
            assert await asyncio.wait_for(process.wait(), _PATIENCE) == 0

    async def scrape(self) -> dict[str, Metric]:
        """Return the metrics, by name, as Prometheus reads them."""
        async with httpx2.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{self.metrics_port}/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=")
        return {family.name: family for family in text_string_to_metric_families(answer.text)}

    async def until(self, holds: Callable[[dict[str, Metric]], bool]) -> dict[str, Metric]:
        """Return the metrics once something holds of them."""
        async with asyncio.timeout(_PATIENCE):
            while not holds(found := await self.scrape()):  # noqa: ASYNC110 - it is asked over HTTP
                await asyncio.sleep(0.05)
        return found

    async def _answers(self) -> bool:
        try:
            await self.scrape()
            if self._word == "api":  # which listens a moment after its metrics do
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
        except (httpx2.TransportError, OSError):
            await asyncio.sleep(0.02)
            return False
        return True


def by(metric: Metric, ledger: Ledger) -> dict[str, float]:
    """Return a metric's values of one ledger, by projection."""
    return {
        sample.labels["projection"]: sample.value for sample in metric.samples if sample.labels["ledger"] == ledger.name
    }


def one(metric: Metric, suffix: str = "") -> float:
    """Return the only value of a metric."""
    (value,) = [sample.value for sample in metric.samples if sample.name == metric.name + suffix]
    return float(value)


@pytest.fixture
def start(tmp_path: Path, store_url: str, ledger: Ledger) -> Callable[[str], Process]:
    """Makes a process of a command."""
    return lambda word: Process(word, tmp_path, store_url, ledger.name)


async def test_the_lag_is_seen_while_the_worker_is_behind_and_ends_at_nothing(
    start: Callable[[str], Process], ledger: Ledger, recorder: Recorder, il76: StoryFile
) -> None:
    """Without a worker every projection is behind by the whole ledger; with one the lag goes, in both processes."""
    async for _ in load(il76, recorder):
        pass
    head = (await ledger.head()).position
    names = [projection.name for projection in PROJECTIONS]
    api, worker = start("api"), start("worker")
    async with api.running():
        found = await api.scrape()
        assert found["onrecord_store_up"].samples[0].value == 1
        heads = {sample.labels["ledger"]: sample.value for sample in found["onrecord_ledger_head"].samples}
        assert heads[ledger.name] == head
        assert by(found["onrecord_projection_lag_events"], ledger) == dict.fromkeys(names, head)
        async with worker.running():
            for process in (worker, api):
                found = await process.until(
                    lambda now: not any(by(now["onrecord_projection_lag_events"], ledger).values())
                )
                assert by(found["onrecord_projection_checkpoint"], ledger) == dict.fromkeys(names, head)
                assert by(found["onrecord_projection_stopped"], ledger) == dict.fromkeys(names, 0)
            await worker.until(lambda now: followed(now, ledger) == (head, 0))
            found = await worker.until(lambda now: all(duties(now).values()))
            assert set(DUTIES) <= set(duties(found))
            assert not duties(await api.scrape())
            assert found["onrecord_ledgers"].samples[0].value >= 1
            assert min(sample.value for sample in found["onrecord_store_memory_used_bytes"].samples) > 0


def followed(found: dict[str, Metric], ledger: Ledger) -> tuple[float, ...]:
    """Return how far the reassessor of a ledger is, and how far behind."""
    names = ("onrecord_reassessor_checkpoint", "onrecord_reassessor_lag_events")
    return tuple(each.value for name in names for each in found[name].samples if each.labels["ledger"] == ledger.name)


def duties(found: dict[str, Metric]) -> dict[str, float]:
    """Return of how many ledgers a process has each duty."""
    return {sample.labels["duty"]: sample.value for sample in found["onrecord_leases_held"].samples}


async def test_requests_are_counted_by_route_and_not_by_path(
    start: Callable[[str], Process], store: Store, ledger: Ledger
) -> None:
    """Paths with identifiers are one series, unknown ones are another, and the API itself has no metrics."""
    api = start("api")
    async with api.running(), httpx2.AsyncClient(base_url=f"http://127.0.0.1:{api.port}") as client:
        async with asyncio.timeout(_PATIENCE):
            while True:
                with contextlib.suppress(httpx2.TransportError):
                    await client.get("/livez")
                    break
                await asyncio.sleep(0.02)
        client.headers["Authorization"] = f"Bearer {await new_key(store, ledger.name)}"
        assert (await client.post("/v1/stories", json={"title": "Counted"})).status_code == 201
        for name in ("story_01m82hmg53eabsh8p2mmm7109m", "story_01m82hmg53eabsh8p2mmm7109n"):
            assert (await client.get(f"/v1/stories/{name}")).status_code == 404
        for path in ("/metrics", "/nowhere/1", "/nowhere/2"):
            assert (await client.get(path)).status_code == 404
        found = await api.scrape()
        assert one(found["onrecord_http_problems"], "_total") == 5
        assert found["onrecord_http_problems"].samples[0].labels == {"problem": "not-found"}
        assert one(found["onrecord_http_requests_in_flight"]) == one(found["onrecord_http_streams_open"]) == 0
        assert one(found["onrecord_append_events"], "_total") == one(found["onrecord_append_commands"], "_total") == 1
        assert found["onrecord_append_commands"].samples[0].labels == {"outcome": "recorded"}
        assert one(found["onrecord_append_group_commands"], "_sum") == 1
        assert 0 < one(found["onrecord_append_duration_seconds"], "_sum") < _PATIENCE
        requests = found["onrecord_http_request_duration_seconds"]
        counted = {
            (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
            for sample in requests.samples
            if sample.name.endswith("_count")
        }
        assert counted == {
            ("GET", "/livez", "200"): 1,
            ("POST", "/v1/stories", "201"): 1,
            ("GET", "/v1/stories/{story_id}", "404"): 2,
            ("GET", "unmatched", "404"): 3,
        }
        elsewhere = await client.get(f"http://127.0.0.1:{api.metrics_port}/v1/stories")
        assert elsewhere.status_code == 404


async def test_a_store_that_is_away_is_told_and_its_figures_are_not(tmp_path: Path) -> None:
    """What was so when the store last answered is not passed off as what is so now."""
    async with contextlib.aclosing(events.store.connect(f"unix://{tmp_path / 'nobody.sock'}")) as away:
        exposed = Metrics("0").exposed(away)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(exposed), base_url="http://metrics") as client:
            told = (await client.get("/metrics")).text
    assert "onrecord_store_up 0.0" in told
    assert "onrecord_projection_lag_events{" not in told


async def test_open_streams_are_counted_and_not_timed(
    start: Callable[[str], Process], store: Store, ledger: Ledger
) -> None:
    """A live stream is one that is open until its client leaves, and does not make requests look slow."""
    api = start("api")
    headers = {"Authorization": f"Bearer {await new_key(store, ledger.name)}", "Accept": "text/event-stream"}
    async with api.running(), httpx2.AsyncClient(base_url=f"http://127.0.0.1:{api.port}", headers=headers) as client:
        async with client.stream("GET", "/v1/events") as stream:
            assert stream.status_code == 200
            await api.until(lambda now: one(now["onrecord_http_streams_open"]) == 1)
        found = await api.until(lambda now: one(now["onrecord_http_streams_open"]) == 0)
        assert one(found["onrecord_http_requests_in_flight"]) == 0
        assert 0 < one(found["onrecord_http_request_duration_seconds"], "_sum") < 1
