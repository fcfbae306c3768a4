"""What is counted of deliveries, exactly: in the metrics of the worker that makes them, and of each webhook."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from prometheus_client import Metric

from service.settings import Settings
from tests.e2e.conftest import Newsroom
from tests.e2e.receiving import Receiver
from tests.e2e.test_metrics import Process

pytestmark = pytest.mark.timeout(120)
HOUR = "3600"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings under which endpoints on this machine can be sent to."""
    return structs.replace(settings, webhook_allow="127.0.0.0/8")


def delivering(room: Newsroom, home: Path, store_url: str, schedule: str) -> Process:
    """Return a worker that delivers on a schedule."""
    more = {"ONRECORD_WEBHOOK_ALLOW": "127.0.0.0/8", "ONRECORD_WEBHOOK_SCHEDULE": schedule}
    return Process("worker", home, store_url, room.ledger.name, **more)


async def hook(room: Newsroom, receiver: Receiver) -> str:
    """Register an endpoint that is told of stories, and return where it is."""
    body = {"url": receiver.url(), "verify": False, "filters": {"types": ["story.opened"]}}
    return f"/v1/webhooks/{(await room.post('/v1/webhooks', body))['id']}"


async def told(room: Newsroom, where: str, **counted: int) -> dict[str, Any]:
    """Record a story, and return what is counted of a webhook once that is what it should be."""
    await room.post("/v1/stories", {"title": "A story"})
    async with asyncio.timeout(30):
        while True:
            its = {name: value for name, value in (await room.get(where))["deliveries"].items() if value is not None}
            if counted.items() <= its.items():
                return its


def of_ledger(found: dict[str, Metric], name: str, room: Newsroom) -> list[float]:
    """Return the values of a metric for a ledger."""
    return [each.value for each in found[name].samples if each.labels["ledger"] == room.ledger.name]


def attempts(found: dict[str, Metric], room: Newsroom) -> dict[str, float]:
    """Return how many attempts there were of a ledger's webhooks, by what became of them."""
    its = [each for each in found["onrecord_webhook_attempts"].samples if each.labels["ledger"] == room.ledger.name]
    return {each.labels["outcome"]: each.value for each in its}


def timed(found: dict[str, Metric]) -> float:
    """Return how many attempts were timed."""
    (count,) = [
        each.value
        for each in found["onrecord_webhook_attempt_duration_seconds"].samples
        if each.name.endswith("_count")
    ]
    return float(count)


async def at_the_end(worker: Process, room: Newsroom, so_many: dict[str, float]) -> dict[str, Metric]:
    """Return the metrics once the dispatcher has come to the end, and so many attempts are counted."""

    def holds(now: dict[str, Metric]) -> bool:
        return of_ledger(now, "onrecord_dispatcher_lag_events", room) == [0] and attempts(now, room) == so_many

    return await worker.until(holds)


async def test_what_became_of_each_attempt_is_counted_once(
    room: Newsroom, receiver: Receiver, tmp_path: Path, store_url: str
) -> None:
    """One that is taken, one that is taken when it is tried again, and one that is given up after three attempts."""
    where = await hook(room, receiver)
    receiver.answers.extend([204, 500, 204, 503, 500, 404])
    worker = delivering(room, tmp_path, store_url, "0,0.05,0.05")
    async with worker.running():
        nothing = {"waiting": 0, "dead": 0, "circuit": "closed"}
        assert await told(room, where, attempts=1) == {"attempts": 1, "delivered": 1, "failed": 0} | nothing
        assert await told(room, where, attempts=3) == {"attempts": 3, "delivered": 2, "failed": 1} | nothing
        given_up = {"attempts": 6, "delivered": 2, "failed": 4, "waiting": 0, "dead": 1, "circuit": "closed"}
        assert await told(room, where, attempts=6) == given_up
        found = await at_the_end(worker, room, {"delivered": 2, "retry": 3, "dead": 1})
        assert timed(found) == 6
        assert of_ledger(found, "onrecord_dispatcher_checkpoint", room) == [(await room.ledger.head()).position]
        assert of_ledger(found, "onrecord_webhooks_waiting", room) == [0]
        recovered = await room.send("POST", f"{where}/recover", {"since": "2024"})
        assert recovered.json() == {"recovered": 1}
        its = await told(room, where, attempts=8)
        assert its == {"attempts": 8, "delivered": 4, "failed": 4} | nothing
        await at_the_end(worker, room, {"delivered": 4, "retry": 3, "dead": 1})
    assert len(receiver.events) == 8


async def test_what_waits_and_a_circuit_that_is_open_are_counted(
    room: Newsroom, receiver: Receiver, tmp_path: Path, store_url: str
) -> None:
    """Five refused attempts open the circuit: what comes then waits, unattempted, and no webhook is counted twice."""
    where, other = await hook(room, receiver), await hook(room, receiver)
    assert (await room.send("POST", f"{other}/disable", {})).status_code == 200
    receiver.status = 500
    worker = delivering(room, tmp_path, store_url, f"0,{HOUR}")
    async with worker.running():
        for n in range(1, 6):
            its = await told(room, where, failed=n, waiting=n)
        assert its.pop("quiet_until") > time.time() * 1000
        assert its == {"attempts": 5, "delivered": 0, "failed": 5, "waiting": 5, "dead": 0, "circuit": "open"}
        its = await told(room, where, waiting=6)
        assert (its["attempts"], its["failed"], its["circuit"]) == (5, 5, "open")
        found = await at_the_end(worker, room, {"retry": 5})
        assert of_ledger(found, "onrecord_webhooks_waiting", room) == [1]
        unsent = {"attempts": 0, "delivered": 0, "failed": 0, "waiting": 0, "dead": 0, "circuit": "closed"}
        assert (await room.get(other))["deliveries"] == unsent | dict.fromkeys(("quiet_until", "behind", "replay"))
    assert len(receiver.events) == 5
