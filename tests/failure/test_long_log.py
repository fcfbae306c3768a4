"""A long log: reading all of it takes the service no more memory than reading a little of it."""

import sys
from pathlib import Path

import httpx2
import pytest

from events import catalog
from events.envelope import Provenance
from events.identifiers import new_id
from events.ledger import Command, Ledger
from events.records import Story
from events.store import Store
from tests.failure.conftest import ServiceProcess

_EVENTS = 60_000
_AT_ONCE = 100


async def fill(ledger: Ledger) -> None:
    """Record many small events."""
    story = Story(title="A story")
    for begin in range(0, _EVENTS, 10_000):
        commands = [
            Command(
                [catalog.StoryOpened(story_id=new_id("story"), story=story) for _ in range(_AT_ONCE)],
                {},
                Provenance("system", f"long-{begin}-{number}", "ab" * 32),
            )
            for number in range(10_000 // _AT_ONCE)
        ]
        await ledger.append_many(commands)


async def read(desk: httpx2.AsyncClient, accept: str, **query: str | int) -> int:
    """Read the log from its beginning without keeping it, and return how many events it had."""
    events = 0
    async with desk.stream("GET", "/v1/events", params=query, headers={"Accept": accept}) as answer:
        assert answer.status_code == 200
        async for part in answer.aiter_raw():
            events += part.count(b"}\n")
            if events >= _EVENTS:  # a live stream goes on
                break
    return events


def peak(service: ServiceProcess) -> int:
    """Return the most memory that a process has had so far, in MiB."""
    assert service.process
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) // 1024


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
async def test_reading_all_of_it_takes_no_more_memory_than_a_little(
    api: ServiceProcess, desk: httpx2.AsyncClient, client: Store
) -> None:
    """Lines and a live stream from the beginning are passed on as they are read, whole or narrowed down."""
    ledger = await Ledger.open(client)
    await fill(ledger)
    lines, live = "application/x-ndjson", "text/event-stream"
    assert await read(desk, lines, limit=5000) == 5000
    before = peak(api)
    assert await read(desk, lines) == _EVENTS + 1
    assert await read(desk, lines, type="story.*") == _EVENTS
    assert await read(desk, live, after=f"{ledger.epoch}.0") >= _EVENTS
    assert peak(api) - before < 16, f"{before} MiB, then {peak(api)} MiB"
