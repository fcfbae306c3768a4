"""Of the ledger, without HTTP: appending, deciding, reading, what it takes of the store, and projecting."""

import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import count
from pathlib import Path

import umadb
from eventsourcing.persistence import StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore
from msgspec import json

import events.store
from bench.measurement import Measurement, against
from bench.processes import answering, free_port, running
from events import catalog, records, words
from events.envelope import Entry, Provenance
from events.identifiers import new_id
from events.ledger import Command, Ledger
from events.store import Store
from service import embedded
from service.app import open_served
from service.projections.catalog import CLAIMS, PROJECTIONS, Projection
from service.projections.engine import Projector, read_batch, write
from service.verification.commands import Caller, Recorder
from service.verification.policy import STRICT_TWO_SOURCE

_WRITERS = 32
_SINGLE, _CONCURRENT, _BATCHES, _BATCH = 300, 60, 20, 100
"""Appends in one round: one after another; by each of the writers; of a batch."""
_DECISIONS, _DECIDED = 4, 3
"""Statements of each writer on fresh claims, and how often in one round."""
_SOURCES = 40
_LARGE, _SMALL = 100_000, 1_000
_LARGE_CLAIMS = 5_000
_SAMPLED = 500
_PAGE = 1_000
_DECODED = 20_000
_PROJECTED, _PROJECTED_CLAIMS = 20_000, 500
_PREPARED = 200
_MOST_MEMORY = 1.15
_QUOTE = "The aircraft was carrying prisoners to an exchange when it came down, the ministry said. " * 3

_Rate = Callable[[], Awaitable[float]]


class _Bench:
    """What the measurements share; each part is made when the first of them asks for it."""

    def __init__(self, stack: contextlib.AsyncExitStack, folder: Path, store: Store) -> None:
        self._stack, self._folder, self.store = stack, folder, store
        self._large: Ledger | None = None
        self._uma: umadb.Client | None = None
        self._sqlite: SQLiteApplicationRecorder | None = None
        self._names = count()

    async def ledger(self) -> Ledger:
        """Return a new ledger."""
        return await Ledger.open(self.store, f"bench-{next(self._names)}", create=STRICT_TWO_SOURCE)

    async def large(self) -> Ledger:
        """Return the ledger that has 100,000 events: 5,000 claims in turn, a command for each event."""
        if self._large is None:
            self._large = await self.ledger()
            claims = [new_id("claim") for _ in range(_LARGE_CLAIMS)]

            async def fill(begin: int) -> None:
                assert self._large is not None  # noqa: S101 - it was opened above
                for n in range(begin, _LARGE - 1, 128):
                    await self._large.append(_command([_statement(claims[n % _LARGE_CLAIMS])], {}))

            await asyncio.gather(*map(fill, range(128)))
        return self._large

    async def uma(self) -> umadb.Client:
        """Return a client of an UmaDB server as it comes, its file beside our store's."""
        if self._uma is None:
            port = free_port()
            program = str(Path(sys.executable).with_name("umadb"))
            arguments = ("--listen", f"127.0.0.1:{port}", "--db-path", str(self._folder / "uma.db"))
            await self._stack.enter_async_context(running(program, *arguments))
            await answering(port)
            self._uma = umadb.Client(f"http://127.0.0.1:{port}")
        return self._uma

    async def sqlite(self) -> SQLiteApplicationRecorder:
        """Return eventsourcing's SQLite recorder, as it comes, with the bytes of the large ledger's events."""
        if self._sqlite is None:
            datastore = SQLiteDatastore(db_name=str(self._folder / "eventsourcing.db"))
            self._stack.callback(datastore.close)
            self._sqlite = SQLiteApplicationRecorder(datastore)
            self._sqlite.create_table()
            streams = [uuid.uuid4() for _ in range(_LARGE_CLAIMS)]
            self._sqlite.insert_events(
                [
                    StoredEvent(
                        streams[entry.position % _LARGE_CLAIMS],
                        entry.position // _LARGE_CLAIMS,
                        "statement.recorded",
                        entry.raw,
                    )
                    async for entry in _entries(await self.large())
                ]
            )
        return self._sqlite


async def measure(words: Sequence[str]) -> AsyncIterator[Measurement]:
    """Yield the measurements whose names have one of the words, or all."""
    wanted = {name: of for name, of in _MEASUREMENTS.items() if not words or any(word in name for word in words)}
    if not wanted:
        return
    with tempfile.TemporaryDirectory() as folder:
        async with embedded.running(Path(folder)) as url, contextlib.AsyncExitStack() as stack:
            store = events.store.connect(url)
            stack.push_async_callback(store.aclose)
            bench = _Bench(stack, Path(folder), store)
            for name, of in wanted.items():
                yield await of(name, bench)


# ------------------------------------------------------------------------------------------- appending


async def _one_by_one(name: str, bench: _Bench) -> Measurement:
    ledger, uma, claim = await bench.ledger(), await bench.uma(), new_id("claim")

    async def ours() -> float:
        version = await ledger.version(claim)
        commands = [_command([_statement(claim)], {claim: version + n}) for n in range(_SINGLE)]
        begun = time.perf_counter()
        for each in commands:
            await ledger.append(each)
        return _SINGLE / (time.perf_counter() - begun)

    return await against(name, ours, _in_uma(uma, 1, _SINGLE), "UmaDB", 2)


async def _batches(name: str, bench: _Bench) -> Measurement:
    ledger, uma, claim = await bench.ledger(), await bench.uma(), new_id("claim")

    async def ours() -> float:
        version = await ledger.version(claim)
        commands = [
            _command([_statement(claim) for _ in range(_BATCH)], {claim: version + n * _BATCH}) for n in range(_BATCHES)
        ]
        begun = time.perf_counter()
        for each in commands:
            await ledger.append(each)
        return _BATCHES * _BATCH / (time.perf_counter() - begun)

    return await against(name, ours, _in_uma(uma, _BATCH, _BATCHES), "UmaDB", 1)


def _in_uma(uma: umadb.Client, size: int, times: int) -> _Rate:
    """Append batches to UmaDB, each on the condition that its claim has no event after the last batch's."""
    claim = new_id("claim")
    same_claim = umadb.Query([umadb.QueryItem(tags=[claim])])
    last = uma.append([_in_words_of_uma(_statement(claim))])

    async def theirs() -> float:
        nonlocal last
        batches = [[_statement(claim) for _ in range(size)] for _ in range(times)]
        begun = time.perf_counter()
        for each in batches:
            condition = umadb.AppendCondition(same_claim, after=last)
            last = uma.append([_in_words_of_uma(statement) for statement in each], condition)
        return size * times / (time.perf_counter() - begun)

    return theirs


def _in_words_of_uma(said: catalog.StatementRecorded) -> umadb.Event:
    return umadb.Event(said.TYPE, json.encode(said), [said.claim_id], uuid.uuid4())


async def _together(name: str, bench: _Bench) -> Measurement:
    ledger, claims = await bench.ledger(), [new_id("claim") for _ in range(_WRITERS)]
    await ledger.append(_command([_statement(claims[0])], {}))
    stored = (await ledger.read(1, 1))[0].raw

    async def writer(commands: Sequence[Command]) -> None:
        for each in commands:
            await ledger.append(each)

    async def ours() -> float:
        of_writers = []
        for claim in claims:
            version = await ledger.version(claim)
            of_writers.append([_command([_statement(claim)], {claim: version + n}) for n in range(_CONCURRENT)])
        begun = time.perf_counter()
        await asyncio.gather(*map(writer, of_writers))
        return _WRITERS * _CONCURRENT / (time.perf_counter() - begun)

    async def bare() -> float:
        begun = time.perf_counter()
        for _ in range(_CONCURRENT):
            pipeline = bench.store.pipeline(transaction=False)
            for _ in range(_WRITERS):
                pipeline.xadd("bare", {"e": stored})
            await pipeline.execute()
        return _WRITERS * _CONCURRENT / (time.perf_counter() - begun)

    return await against(name, ours, bare, "bare XADD, 32 a pipeline", 0.65)


async def _deciding(name: str, bench: _Bench) -> Measurement:
    served = await open_served(bench.store, "decisions")
    recorder, story, sources = served.recorder, new_id("story"), [new_id("source") for _ in range(_SOURCES)]
    opened = catalog.StoryOpened(story_id=story, story=records.Story(title="A story", parties=("north", "south")))
    await recorder.on_story(opened, _caller())
    for n, source_id in enumerate(sources):
        parties = (("north", "south")[n % 2],)
        source = records.Source(name=f"Source {n}", kind=words.SourceKind.OFFICIAL, parties=parties)
        await recorder.on_source(catalog.SourceRegistered(source_id=source_id, source=source), _caller())
    claim = records.Claim(story_id=story, text="A claim.", serves=("north",), harms=("south",))

    def on(claims: int) -> _Rate:
        async def rate() -> float:
            took = 0.0
            for _ in range(_DECIDED):
                fresh = [new_id("claim") for _ in range(claims)]
                for each in fresh:
                    await recorder.on_claim([catalog.ClaimRegistered(claim_id=each, claim=claim)], _caller())
                writers = [_says(recorder, sources[n], fresh[n % claims]) for n in range(_WRITERS)]
                begun = time.perf_counter()
                await asyncio.gather(*writers)
                took += time.perf_counter() - begun
            return _DECIDED * _DECISIONS * _WRITERS / took

        return rate

    return await against(name, on(1), on(_WRITERS), "the same writers on 32 claims", 0.5)


async def _says(recorder: Recorder, source: str, claim: str) -> None:
    for _ in range(_DECISIONS):
        await recorder.on_claim([_statement(claim, source)], _caller())


# --------------------------------------------------------------------------------------------- reading


async def _reading(name: str, bench: _Bench) -> Measurement:
    ledger = await bench.large()

    async def bare() -> float:
        read, begin, begun = 0, "-", time.perf_counter()
        while read < _LARGE:
            page = await bench.store.xrange(ledger.keys.events, min=begin, count=_PAGE)
            read, begin = read + len(page), b"(" + page[-1][0]
        return read / (time.perf_counter() - begun)

    return await against(name, _reader(ledger), bare, "bare XRANGE", 0.8)


async def _reading_against_eventsourcing(name: str, bench: _Bench) -> Measurement:
    return await against(name, _reader(await bench.large()), _in_sqlite(await bench.sqlite()), "eventsourcing", 20)


async def _decoding(name: str, bench: _Bench) -> Measurement:
    ledger, sqlite = await bench.large(), await bench.sqlite()

    async def ours() -> float:
        begun = time.perf_counter()
        async for entry in _entries(ledger, _DECODED):
            entry.event  # noqa: B018 - asking for it decodes it
        return _DECODED / (time.perf_counter() - begun)

    return await against(name, ours, _in_sqlite(sqlite, _DECODED), "eventsourcing, not decoded")


def _reader(ledger: Ledger) -> _Rate:
    async def rate() -> float:
        after, begun = 0, time.perf_counter()
        while after < _LARGE:
            after = (await ledger.read(after, _PAGE))[-1].position
        return _LARGE / (time.perf_counter() - begun)

    return rate


def _in_sqlite(sqlite: SQLiteApplicationRecorder, wanted: int = _LARGE) -> _Rate:
    async def theirs() -> float:
        read, after, begun = 0, 0, time.perf_counter()
        while read < wanted:
            page = sqlite.select_notifications(after, _PAGE, inclusive_of_start=False)
            read, after = read + len(page), page[-1].id
        return wanted / (time.perf_counter() - begun)

    return theirs


async def _entries(ledger: Ledger, wanted: int = _LARGE) -> AsyncIterator[Entry]:
    for after in range(0, wanted, _PAGE):
        for entry in await ledger.read(after, _PAGE):
            yield entry


# -------------------------------------------------------------------------------- what the store spends


async def _memory(name: str, bench: _Bench) -> Measurement:
    store, ledger = bench.store, await bench.large()
    stored = sum([len(entry.raw) async for entry in _entries(ledger)])
    prefix = ledger.keys.events.removesuffix("events")
    used = 0
    async for key in store.scan_iter(f"{prefix}*", _PAGE):
        used += await store.memory_usage(key, samples=0)
    return Measurement(name, stored, used, "the ledger's keys", round(stored / used, 3), round(1 / _MOST_MEMORY, 3))


async def _time_of_store(name: str, bench: _Bench) -> Measurement:
    large = await bench.large()

    async def on(ledger: Ledger) -> float:
        claim = new_id("claim")
        await bench.store.config_resetstat()
        for version in range(_SAMPLED):
            await ledger.append(_command([_statement(claim)], {claim: version}))
        return 1e6 / float((await bench.store.info("commandstats"))["cmdstat_evalsha"]["usec_per_call"])

    async def at_many() -> float:
        return await on(large)

    async def at_few() -> float:
        small = await bench.ledger()
        await _prepare(small, [_statement(new_id("claim")) for _ in range(_SMALL - 1)])
        return await on(small)

    return await against(name, at_many, at_few, "at 1,000 events", round(1 / _MOST_MEMORY, 3))


# ------------------------------------------------------------------------------------------ projecting


def _projecting(*projections: Projection) -> Callable[[str, _Bench], Awaitable[Measurement]]:
    async def measured(name: str, bench: _Bench) -> Measurement:
        rates = []
        for _ in range(4):
            ledger = await _to_project(bench)
            begun = time.perf_counter()
            await _project(bench.store, ledger, projections)
            rates.append((await ledger.head()).position / (time.perf_counter() - begun))
        return Measurement(name, round(statistics.median(rates[1:]), 1))

    return measured


async def _project(store: Store, ledger: Ledger, projections: Sequence[Projection]) -> None:
    """Bring projections up to the ledger's end as a worker does that is far behind."""
    projectors = [Projector(store, ledger, each) for each in projections]
    places = [await each.place() for each in projectors]
    while entries := await read_batch(ledger, places[0].checkpoint):
        plans = [await each.plan(place, entries) for each, place in zip(projectors, places, strict=True)]
        assert all(await write(store, plans))  # noqa: S101 - nobody else projects
        assert not any(plan.stopped for plan in plans)  # noqa: S101 - every event folds
        places = [plan.after for plan in plans]


async def _to_project(bench: _Bench) -> Ledger:
    """Return a new ledger with 20,000 events: a story, its sources and claims, and statements on each in turn."""
    ledger = await bench.ledger()
    story, sources = new_id("story"), [new_id("source") for _ in range(_SOURCES)]
    claims = [new_id("claim") for _ in range(_PROJECTED_CLAIMS)]
    source = records.Source(name="A source", kind=words.SourceKind.OFFICIAL, parties=("north",))
    claim = records.Claim(story_id=story, text="A claim.", serves=("north",), harms=("south",))
    first: list[catalog.Event] = [catalog.StoryOpened(story_id=story, story=records.Story(title="A story"))]
    first += [catalog.SourceRegistered(source_id=each, source=source) for each in sources]
    first += [catalog.ClaimRegistered(claim_id=each, claim=claim) for each in claims]
    statements = [
        _statement(claims[n % _PROJECTED_CLAIMS], sources[n % _SOURCES]) for n in range(_PROJECTED - 1 - len(first))
    ]
    await _prepare(ledger, first + statements)
    return ledger


# --------------------------------------------------------------------------------------- to be recorded


async def _prepare(ledger: Ledger, prepared: Sequence[catalog.Event]) -> None:
    """Record events in their order by large commands, several under way."""
    commands = [_command(prepared[begin : begin + _PREPARED], {}) for begin in range(0, len(prepared), _PREPARED)]
    await asyncio.gather(*map(ledger.append, commands))


def _statement(claim: str, source: str = "source_00000000000000000000000000") -> catalog.StatementRecorded:
    """Return a statement of some 500 bytes."""
    said = records.Statement(speaker_id=source, stance=words.Stance.ASSERTS, said_at="2024-01-24", quote=_QUOTE)
    return catalog.StatementRecorded(claim_id=claim, statement_id=new_id("statement"), statement=said)


def _command(proposed: Sequence[catalog.Event], conditions: dict[str, int]) -> Command:
    return Command(proposed, conditions, Provenance("system", new_id("key"), "00" * 32))


def _caller() -> Caller:
    return Caller("system", new_id("key"), "00" * 32)


_MEASUREMENTS: dict[str, Callable[[str, _Bench], Awaitable[Measurement]]] = {
    "append one event after another, per second": _one_by_one,
    "append by 32 at once, per second": _together,
    "decide and append by 32 on one claim, per second": _deciding,
    "append 100 events a command, events per second": _batches,
    "read raw events, per second": _reading,
    "read raw events beside eventsourcing, per second": _reading_against_eventsourcing,
    "read decoded events, per second": _decoding,
    "bytes of 100,000 events over memory of the store (memory at most 1.15 x)": _memory,
    "store's own speed at 100,000 events, appends per second (time at most 1.15 x)": _time_of_store,
    "project, all projections, events per second": _projecting(*PROJECTIONS),
    "project, claims alone, events per second": _projecting(CLAIMS),
}
