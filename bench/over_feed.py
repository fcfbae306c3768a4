"""Over the live feed: how long it takes from an event's being recorded until each of many clients has it."""

import asyncio
import contextlib
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from msgspec import Struct

import events.store
from bench.load import http
from bench.measurement import Measurement
from bench.processes import UNLOGGED, answering, free_port, running
from events import catalog, moments, records, words
from events.envelope import Provenance
from events.identifiers import new_id
from events.ledger import Command, Ledger
from events.store import Store
from service import embedded
from service.auth.bootstrap import ensure_bootstrap_key
from service.settings import Settings
from service.verification.policy import STRICT_TWO_SOURCE

_ROUNDS = 3
_SECONDS = 8.0
_POSITION = re.compile(rb"id: \w+\.(\d+)\nevent")


class _Case(Struct, frozen=True):
    """So many clients, so many events a second, and the milliseconds within which 99 of 100 must be there."""

    clients: int
    per_second: int
    bound: float

    @property
    def name(self) -> str:
        return f"event to client, {self.clients} clients at {self.per_second} events a second, p99 in ms"


_CASES = (_Case(100, 200, 25), _Case(1000, 10, 100))


class _Client(asyncio.Protocol):
    """A client of the feed, which notes when each event came."""

    def __init__(self, request: bytes, got: list[tuple[int, float]]) -> None:
        self._request, self._got, self._rest = request, got, b""
        self.is_open: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        now = time.time()
        if not self.is_open.done():
            self._rest += data
            if b"retry: " in self._rest:
                self.is_open.set_result(None)
            elif b"HTTP/1.1 200" not in self._rest:
                self.is_open.set_exception(RuntimeError(self._rest.decode()))
            return
        self._got += [(int(position), now) for position in _POSITION.findall(data)]


async def measure(words: Sequence[str]) -> AsyncIterator[Measurement]:
    """Yield the measurements whose names have one of the words, or all."""
    wanted = [case for case in _CASES if not words or any(word in case.name for word in words)]
    for case in wanted:
        async with _serving() as (store, port, key):
            found = [await _round(case, store, port, key) for _ in range(_ROUNDS)]
        p99 = statistics.median(found)
        yield Measurement(case.name, round(p99, 1), case.bound, "the bound", round(case.bound / p99, 2), 1)


async def _round(case: _Case, store: Store, port: int, key: str) -> float:
    """Return the p99, in milliseconds, over all clients."""
    ledger = await Ledger.open(store)
    request = http("GET", "/v1/events", Authorization=f"Bearer {key}", Accept="text/event-stream")
    got: list[tuple[int, float]] = []
    clients = []
    for _ in range(case.clients):
        _, client = await asyncio.get_running_loop().create_connection(lambda: _Client(request, got), "127.0.0.1", port)
        clients.append(client)
    await asyncio.wait_for(asyncio.gather(*(client.is_open for client in clients)), 30)
    recorded: dict[int, float] = {}
    begun = time.perf_counter()
    writing = []
    for number in range(int(case.per_second * _SECONDS)):
        await asyncio.sleep(begun + number / case.per_second - time.perf_counter())
        writing.append(asyncio.create_task(_write(ledger, recorded)))
    await asyncio.gather(*writing)
    async with asyncio.timeout(30):
        while len(got) < case.clients * len(recorded):  # noqa: ASYNC110 - what comes is counted, and no more done
            await asyncio.sleep(0.05)
    for client in clients:
        client.transport.close()
    latencies = sorted(now - recorded[position] for position, now in got)
    return 1000 * latencies[int(len(latencies) * 0.99)]


async def _write(ledger: Ledger, recorded: dict[int, float]) -> None:
    statement = records.Statement(
        speaker_id=new_id("source"),
        stance=words.Stance.ASSERTS,
        said_at="2024-01-24",
        quote="The aircraft was carrying prisoners to an exchange when it came down.",
    )
    event = catalog.StatementRecorded(claim_id=new_id("claim"), statement_id=new_id("statement"), statement=statement)
    appended = await ledger.append(Command([event], {}, Provenance("system", new_id("key"), "00" * 32)))
    recorded[appended.first] = moments.microseconds(appended.recordedtime) / 1e6


@contextlib.asynccontextmanager
async def _serving() -> AsyncIterator[tuple[Store, int, str]]:
    """Run a store and an API that lets one key have all the streams."""
    with tempfile.TemporaryDirectory() as folder:
        async with embedded.running(Path(folder)) as url, contextlib.AsyncExitStack() as stack:
            store = events.store.connect(url)
            stack.push_async_callback(store.aclose)
            await Ledger.open(store, create=STRICT_TWO_SOURCE)
            settings = Settings(home=folder, store_url=url)
            await ensure_bootstrap_key(store, "main", settings.bootstrap_key_path, replace=True)
            port = free_port()
            environment = {
                "ONRECORD_STORE_URL": url,
                "ONRECORD_HOME": folder,
                "ONRECORD_STREAMS_PER_KEY": "2000",
                **UNLOGGED,
            }
            command = (sys.executable, "-m", "service.cli", "api")
            await stack.enter_async_context(running(*command, **environment, ONRECORD_PORT=str(port)))
            await answering(port)
            yield store, port, settings.bootstrap_key_path.read_text().strip()
