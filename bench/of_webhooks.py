"""Of webhooks: how fast one worker delivers, how soon after an append, and what dead endpoints cost the others."""

import asyncio
import contextlib
import ipaddress
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import httpcore2

import events.store
from bench.measurement import Measurement, against
from bench.prepared import caller, command, statement
from bench.processes import UNLOGGED, answering, free_port, running
from events import catalog, records
from events.endpoints import Filters, Webhook
from events.errors import LedgerError
from events.identifiers import new_id
from events.ledger import Ledger
from events.store import Store
from service import embedded
from service.app import open_vault
from service.projections.catalog import WEBHOOKS
from service.projections.queries import NotThereYet, Queries
from service.settings import Settings
from service.verification.commands import Recorder
from service.verification.policy import STRICT_TWO_SOURCE
from service.webhooks.egress import Egress
from service.webhooks.outbound import Outbound
from service.webhooks.registry import Endpoint, Registry
from service.worker import Worker

_HOOKS, _CONCURRENCY, _EVENTS = 8, 8, 250
"""Endpoints of the first measurement, attempts at once for each, and events."""
_PER_SECOND, _SECONDS, _BOUND = 200, 10.0, 150.0
_MANY, _DEAD, _TOLD = 10_000, 10, 5
"""Endpoints of the last one, one in how many is dead, and events that each is told."""
_ANSWERS, _NEVER, _REFUSES = range(3)
_NOBODY = 1
"""A port on which nobody listens."""
_STATEMENTS = Filters(types=("statement.recorded",))
_LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]


class _Desk:
    """A ledger with webhooks, and where they lead."""

    def __init__(self, store: Store, settings: Settings, ledger: Ledger, port: int, never: int) -> None:
        self.store, self.settings, self.ledger = store, settings, ledger
        self.port, self._never = port, never
        self.recorder = Recorder(ledger)
        self.egress = Egress(allowed=_LOOPBACK)
        self._claim = new_id("claim")

    async def open(self) -> None:
        """Register the claim that is spoken of."""
        story = new_id("story")
        opened = catalog.StoryOpened(story_id=story, story=records.Story(title="A story"))
        claim = records.Claim(story_id=story, text="It came down.")
        registered = catalog.ClaimRegistered(claim_id=self._claim, claim=claim)
        await self.ledger.append(command([opened, registered], {}))

    async def hooks(
        self, count: int, *, concurrency: int = 5, leads_to: Callable[[int], int] = lambda _: _ANSWERS
    ) -> None:
        """Register webhooks; ``leads_to`` says what becomes of what each is sent."""
        vault = await open_vault(self.store, self.settings, self.ledger.name)
        registry = Registry(self.recorder, vault, self.egress)
        ports = {_ANSWERS: self.port, _NEVER: self._never, _REFUSES: _NOBODY}
        webhook = Webhook(filters=_STATEMENTS, concurrency=concurrency)

        async def some(numbers: range) -> None:
            for n in numbers:
                endpoint = Endpoint(f"http://127.0.0.1:{ports[leads_to(n)]}/{n}", {})
                await registry.register(webhook, endpoint, caller(), verified=True)

        await asyncio.gather(*(some(range(begin, count, 32)) for begin in range(32)))

    async def record(self, count: int) -> None:
        """Record statements."""
        await self.ledger.append_many([command([statement(self._claim)], {}) for _ in range(count)])

    @contextlib.asynccontextmanager
    async def projecting(self) -> AsyncIterator[None]:
        """Keep the projections up; return when they are."""
        worker = asyncio.create_task(Worker(self.store, self.ledger).run())
        try:
            head = (await self.ledger.head()).position
            await Queries(self.store, self.ledger.keys).wait_for(WEBHOOKS, head, seconds=60)
            yield
        finally:
            worker.cancel()
            await asyncio.wait([worker])

    @contextlib.asynccontextmanager
    async def delivering(self) -> AsyncIterator[None]:
        """Deliver, in this process."""
        outbound = Outbound(self.store, self.egress, lambda name: open_vault(self.store, self.settings, name))

        async def deliver() -> None:
            while True:  # as the worker does it
                with contextlib.suppress(LedgerError, NotThereYet):
                    await outbound.deliver(self.ledger, self.recorder)

        task = asyncio.create_task(deliver())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def came(self) -> list[float]:
        """Return what came since this was last asked, each as the seconds from its being recorded."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        said = await reader.readexactly(int(head.decode().split("Content-Length: ")[1]))
        writer.close()
        return [float(line.split()[1]) for line in said.splitlines()]

    async def until(self, count: int, seconds: float = 300) -> list[float]:
        """Return what came once there are so many."""
        found: list[float] = []
        async with asyncio.timeout(seconds):
            while len(found) < count:
                await asyncio.sleep(0.02)
                found += await self.came()
        return found


@contextlib.asynccontextmanager
async def _desk() -> AsyncIterator[_Desk]:
    """Yield a desk on a new store, with endpoints in a process of their own."""
    with tempfile.TemporaryDirectory() as folder:
        async with embedded.running(Path(folder)) as url, contextlib.AsyncExitStack() as stack:
            store = events.store.connect(url)
            stack.push_async_callback(store.aclose)
            port, never = free_port(), free_port()
            await stack.enter_async_context(running(sys.executable, "-m", "bench.receivers", str(port), str(never)))
            await answering(port)
            ledger = await Ledger.open(store, create=STRICT_TWO_SOURCE)
            desk = _Desk(store, Settings(home=folder, store_url=url), ledger, port, never)
            stack.push_async_callback(desk.egress.aclose)
            await desk.open()
            yield desk


async def throughput(name: str) -> Measurement:
    """Measure deliveries of one worker beside a bare loop that posts the same bodies."""
    async with _desk() as desk:
        await desk.hooks(_HOOKS, concurrency=_CONCURRENCY)
        await desk.record(_EVENTS)
        bodies = [entry.raw for entry in await desk.ledger.read(3 + _HOOKS)]

        async def ours() -> float:
            await desk.record(_EVENTS)
            async with desk.projecting():
                pass
            begun = time.perf_counter()
            async with desk.delivering():
                found = await desk.until(_EVENTS * _HOOKS)
            return len(found) / (time.perf_counter() - begun)

        async def bare() -> float:
            begun = time.perf_counter()
            await _posted(desk.port, bodies * _HOOKS, _HOOKS * _CONCURRENCY)
            seconds = time.perf_counter() - begun
            await desk.came()
            return _EVENTS * _HOOKS / seconds

        async with desk.projecting(), desk.delivering():
            await desk.until(_EVENTS * _HOOKS)
        return await against(name, ours, bare, "a bare httpcore2 loop", 0.6)


async def _posted(port: int, bodies: Sequence[bytes], at_once: int) -> None:
    left = iter(bodies)
    async with httpcore2.AsyncConnectionPool(max_connections=at_once, max_keepalive_connections=at_once) as pool:

        async def post() -> None:
            for body in left:
                headers = {"Content-Type": "application/cloudevents+json; charset=UTF-8", "webhook-id": "none"}
                answer = await pool.request("POST", f"http://127.0.0.1:{port}/", headers=headers, content=body)
                assert answer.status == 204  # noqa: PLR2004, S101 - what the endpoint answers

        await asyncio.gather(*(post() for _ in range(at_once)))


async def latency(name: str) -> Measurement:
    """Measure how long it takes from append to receipt, through a worker in a process of its own."""
    async with _desk() as desk, contextlib.AsyncExitStack() as stack:
        await desk.hooks(1, concurrency=10)
        environment = {
            "ONRECORD_STORE_URL": desk.settings.store_url,
            "ONRECORD_HOME": desk.settings.home,
            "ONRECORD_WEBHOOK_ALLOW": "127.0.0.0/8",
            **UNLOGGED,
        }
        await stack.enter_async_context(running(sys.executable, "-m", "service.cli", "worker", **environment))
        await desk.record(1)
        await desk.until(1)
        begun, count = time.perf_counter(), int(_PER_SECOND * _SECONDS)
        writing = []
        for number in range(count):
            await asyncio.sleep(begun + number / _PER_SECOND - time.perf_counter())
            writing.append(asyncio.create_task(desk.record(1)))
        await asyncio.gather(*writing)
        p99 = 1000 * _p99(await desk.until(count))
    return Measurement(name, round(p99, 1), _BOUND, "the bound", round(_BOUND / p99, 2), 1)


async def many(name: str) -> Measurement:
    """Measure the healthy endpoints' p99 among dead ones, and without those; and what memory the worker takes."""

    def leads_to(n: int) -> int:  # of the dead ones most refuse, and one in ten accepts and never answers
        if n % _DEAD:
            return _ANSWERS
        return _NEVER if n % (10 * _DEAD) == 0 else _REFUSES

    healthy = await _told_many(lambda _: _ANSWERS)
    among_dead = await _told_many(leads_to)
    return Measurement(
        name,
        round(1000 * among_dead),
        round(1000 * healthy),
        "without dead ones",
        round(2 * healthy / among_dead, 2),
        1,
    )


async def _told_many(leads_to: Callable[[int], int]) -> float:
    async with _desk() as desk:
        await desk.hooks(_MANY, leads_to=leads_to)
        answers = sum(leads_to(n) == _ANSWERS for n in range(_MANY))
        print(f"{_MANY:,} endpoints, {answers:,} of which answer", file=sys.stderr)
        found = []
        async with desk.projecting(), desk.delivering():
            before = _resident()
            for n in range(_TOLD):
                await desk.record(1)
                found += await desk.until(answers)
                print(f"{n}: p99 {_p99(found):.2f} s, MiB {before:.0f} before, {_resident():.0f}", file=sys.stderr)
    return _p99(found)


def _resident() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _p99(seconds: Sequence[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)]


_MEASUREMENTS: dict[str, Callable[[str], Awaitable[Measurement]]] = {
    "webhooks, deliveries of one worker per second": throughput,
    f"webhooks, append to receipt at {_PER_SECOND} events a second, p99 in ms": latency,
    f"webhooks, p99 of the healthy among {_MANY:,} with one in ten dead, ms (at most 2 x)": many,
}


async def measure(words: Sequence[str]) -> AsyncIterator[Measurement]:
    """Yield the measurements whose names have one of the words, or all."""
    for name, of in _MEASUREMENTS.items():
        if not words or any(word in name for word in words):
            yield await of(name)
