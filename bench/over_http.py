"""Over HTTP: recording statements, reading claims, replaying the log. API and worker are processes of their own."""

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from itertools import count
from pathlib import Path

import msgspec
from msgspec import Struct

import events.store
from bench.load import http, load
from bench.measurement import Measurement, against
from bench.processes import UNLOGGED, answering, free_port, running
from events import catalog, records, words
from events.identifiers import new_id
from events.ledger import Ledger
from events.store import Store
from service import embedded
from service.app import open_served
from service.auth.bootstrap import ensure_bootstrap_key
from service.projections.catalog import PROJECTIONS
from service.projections.queries import Queries
from service.settings import Settings
from service.verification.commands import Caller

_CLAIMS = 3_000
"""So many that each gets some five statements: the Il-76 story has two to a claim."""
_TOGETHER = 100
_SOURCES = 40
_SECONDS = 3.0
_REPLAYED = 20_000
_NO_END = {f"ONRECORD_{kind}_PER_MINUTE": "1000000000" for kind in ("READS", "WRITES")}
"""Quotas that are counted and not used up."""


class _Service(Struct, frozen=True):
    """What is running: where, with which key, and what was put there."""

    api: int
    peer: int
    key: str
    store: Store
    claims: list[str]
    sources: list[str]
    environment: Mapping[str, str]


async def measure(words: Sequence[str]) -> AsyncIterator[Measurement]:
    """Yield the measurements whose names have one of the words, or all."""
    alone = {
        "record a statement over HTTP, per second": _recording,
        "median ÷ p99 of recording over HTTP at half load": _steadily,
    }
    projected = {
        "record a statement over HTTP with a worker beside it, per second": _recording_beside_a_worker,
        "read a claim over HTTP, per second": _reading,
        "list 50 claims over HTTP, per second": _listing,
        "replay NDJSON over HTTP, events per second": _replaying,
    }
    alone, projected = (
        {name: measure for name, measure in part.items() if not words or any(word in name for word in words)}
        for part in (alone, projected)
    )
    if not (alone or projected):
        return
    async with _running() as service:
        for name, measure in alone.items():
            yield await measure(name, service)
        if projected:
            async with _projecting(service):
                for name, measure in projected.items():
                    yield await measure(name, service)


def _statements(service: _Service) -> Callable[[int], bytes]:
    """Return what makes the n-th request to record a statement, each claim in turn, on and on through all rounds."""
    bodies = [
        msgspec.json.encode(
            records.Statement(
                speaker_id=source,
                stance=words.Stance.ASSERTS,
                said_at="2024-01-24",
                quote="The aircraft was carrying prisoners to an exchange when it came down.",
                attribution="said in a statement",
                url="https://example.org/2024/01/24/statement",
            )
        )
        for source in service.sources
    ]
    bearer = f"Bearer {service.key}"
    numbers = count()

    def statement(_: int) -> bytes:
        n = next(numbers)
        path = f"/v1/claims/{service.claims[n % _CLAIMS]}/statements"
        return http(
            "POST", path, bodies[n // _CLAIMS % _SOURCES], Authorization=bearer, Idempotency_Key=str(time.time_ns())
        )

    return statement


async def _warm(service: _Service, statement: Callable[[int], bytes]) -> bytes:
    """Let every claim have been written to once, as in a service that has run for a while; return a stored event."""
    done = 0.0
    while done < _CLAIMS:
        done += _SECONDS * (await load(service.api, statement, seconds=_SECONDS, status=201)).per_second
    stored: bytes = (await service.store.xrevrange("{onrecord:main}:events", count=1))[0][1][b"e"]
    return stored


async def _recording(name: str, service: _Service, at_least: float | None = 0.75) -> Measurement:
    statement = _statements(service)
    stored = await _warm(service, statement)

    async def ours() -> float:
        return (await load(service.api, statement, seconds=_SECONDS, status=201)).per_second

    async def bare() -> float:
        return (await load(service.peer, lambda _: http("POST", "/", stored), seconds=_SECONDS, status=201)).per_second

    return await against(name, ours, bare, "bare Litestar handler, one XADD", at_least)


async def _recording_beside_a_worker(name: str, service: _Service) -> Measurement:
    return await _recording(name, service, None)


async def _steadily(name: str, service: _Service) -> Measurement:
    """Compare how far the slowest hundredth is from the median, each at half of what it takes at most."""
    statement = _statements(service)
    stored = await _warm(service, statement)

    async def steadiness(port: int, request: Callable[[int], bytes]) -> float:
        most = (await load(port, request, seconds=_SECONDS, status=201)).per_second
        half = await load(port, request, seconds=_SECONDS, status=201, rate=most / 2)
        return half.median / half.p99

    async def ours() -> float:
        return await steadiness(service.api, statement)

    async def bare() -> float:
        return await steadiness(service.peer, lambda _: http("POST", "/", stored))

    return await against(name, ours, bare, "bare Litestar handler, one XADD", 0.667, digits=3)


async def _reading(name: str, service: _Service) -> Measurement:
    requests = [http("GET", f"/v1/claims/{each}", Authorization=f"Bearer {service.key}") for each in service.claims]
    return await _beside_hello(name, service, requests, 0.7)


async def _listing(name: str, service: _Service) -> Measurement:
    requests = [http("GET", "/v1/claims?limit=50", Authorization=f"Bearer {service.key}")]
    return await _beside_hello(name, service, requests, 0.15)


async def _beside_hello(name: str, service: _Service, requests: list[bytes], at_least: float) -> Measurement:
    hello = http("GET", "/")
    await _level(service)

    async def ours() -> float:
        return (await load(service.api, lambda n: requests[n % len(requests)], seconds=_SECONDS)).per_second

    async def bare() -> float:
        return (await load(service.peer, lambda _: hello, seconds=_SECONDS)).per_second

    return await against(name, ours, bare, "bare Litestar handler, hello world", at_least)


async def _replaying(name: str, service: _Service) -> Measurement:
    """Read the log as NDJSON over one connection, and count the events."""
    request = http(
        "GET",
        f"/v1/events?limit={_REPLAYED}",
        Authorization=f"Bearer {service.key}",
        Accept="application/x-ndjson",
        Connection="close",
    )
    begun = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", service.api)
    writer.write(request)
    lines = 0
    while chunk := await asyncio.wait_for(reader.read(1 << 18), 30):
        lines += chunk.count(b"}\n")
    writer.close()
    return Measurement(name, round(lines / (time.perf_counter() - begun), 1))


@contextlib.asynccontextmanager
async def _running() -> AsyncIterator[_Service]:
    with tempfile.TemporaryDirectory() as folder:
        async with embedded.running(Path(folder)) as url, contextlib.AsyncExitStack() as stack:
            store = events.store.connect(url)
            stack.push_async_callback(store.aclose)
            settings = Settings(home=folder, store_url=url)
            await ensure_bootstrap_key(store, "main", settings.bootstrap_key_path, replace=True)
            claims, sources = await _filled(store)
            ports = [free_port() for _ in range(2)]
            environment = {"ONRECORD_STORE_URL": url, "ONRECORD_HOME": folder, **UNLOGGED, **_NO_END}
            for arguments, port in (
                (("service.cli", "api"), ports[0]),
                (("bench.peer", url, str(ports[1])), 0),
            ):
                command = (sys.executable, "-m", *arguments)
                await stack.enter_async_context(running(*command, **environment, ONRECORD_PORT=str(port)))
            for port in ports:
                await answering(port)
            key = settings.bootstrap_key_path.read_text().strip()
            yield _Service(ports[0], ports[1], key, store, claims, sources, environment)


@contextlib.asynccontextmanager
async def _projecting(service: _Service) -> AsyncIterator[None]:
    """Run a worker beside the service; begin when it has projected all that was recorded."""
    async with running(sys.executable, "-m", "service.cli", "worker", **service.environment):
        await _level(service)
        yield


async def _level(service: _Service) -> None:
    """Wait until all that was recorded is projected, so that nothing changes any more."""
    ledger = await Ledger.open(service.store)
    queries, head = Queries(service.store, ledger.keys), await ledger.head()
    for projection in PROJECTIONS:
        await queries.wait_for(projection, head.position, seconds=300)


async def _filled(store: Store) -> tuple[list[str], list[str]]:
    """Record a story with sources and claims to work on."""
    recorder = (await open_served(store, "main")).recorder

    def caller() -> Caller:
        return Caller("system", new_id("key"), "00" * 32)

    async def register(n: int, claim_id: str) -> None:
        text = f"Claim number {n} of the bench."
        claim = records.Claim(story_id=story_id, text=text, serves=("north",), harms=("south",))
        await recorder.on_claim([catalog.ClaimRegistered(claim_id=claim_id, claim=claim)], caller())

    story_id = new_id("story")
    story = records.Story(title="A bench story", parties=("north", "south"))
    await recorder.on_story(catalog.StoryOpened(story_id=story_id, story=story), caller())
    sources, claims = [new_id("source") for _ in range(_SOURCES)], [new_id("claim") for _ in range(_CLAIMS)]
    for n, source_id in enumerate(sources):
        source = records.Source(
            name=f"Source {n}", kind=words.SourceKind.OFFICIAL, parties=(("north", "south")[n % 2],)
        )
        await recorder.on_source(catalog.SourceRegistered(source_id=source_id, source=source), caller())
    for begin in range(0, _CLAIMS, _TOGETHER):
        await asyncio.gather(*(register(n, claims[n]) for n in range(begin, begin + _TOGETHER)))
    return claims, sources
