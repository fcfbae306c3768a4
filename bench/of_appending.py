"""Of appending: one event after another, many at once, in batches, and decided on one claim."""

import asyncio
import socket
import time
import uuid
from collections.abc import Sequence

import hiredis
import umadb
from msgspec import json

from bench.measurement import Measurement, against
from bench.prepared import SOURCES, Bench, Rate, caller, command, statement
from events import catalog, records, words
from events.identifiers import new_id
from events.ledger import Command, Ledger
from service.app import open_served
from service.verification.commands import Recorder

_WRITERS = 32
_SINGLE, _CONCURRENT, _BATCHES, _BATCH = 300, 60, 20, 100
"""Appends in one round: one after another; by each of the writers; of a batch."""
_DECISIONS, _DECIDED = 4, 3
"""Statements of each writer on fresh claims, and how often in one round."""
_PIPELINE = 64


async def one_by_one(name: str, bench: Bench) -> Measurement:
    """Measure durable conditional appends of one event, each awaited, beside UmaDB."""
    uma = _in_uma(await bench.uma(), 1, _SINGLE)
    return await against(name, _in_ours(await bench.ledger(), 1, _SINGLE), uma, "UmaDB", 2)


async def one_by_one_beside_xadd(name: str, bench: Bench) -> Measurement:
    """Measure the same beside the least that the store can be asked."""
    ledger = await bench.ledger()
    stored = await _stored(ledger)

    async def bare() -> float:
        begun = time.perf_counter()
        for _ in range(_SINGLE):
            await bench.store.xadd("bare", {"e": stored})
        return _SINGLE / (time.perf_counter() - begun)

    return await against(name, _in_ours(ledger, 1, _SINGLE), bare, "bare XADD by redis-py")


async def batches(name: str, bench: Bench) -> Measurement:
    """Measure commands of 100 events beside UmaDB."""
    uma = _in_uma(await bench.uma(), _BATCH, _BATCHES)
    return await against(name, _in_ours(await bench.ledger(), _BATCH, _BATCHES), uma, "UmaDB", 1)


async def batches_beside_xadd(name: str, bench: Bench) -> Measurement:
    """Measure the same beside pipelines of 64 XADD, packed before and sent by a blocking socket."""
    ledger = await bench.ledger()
    pipeline = hiredis.pack_command(("XADD", "bare", "*", "e", await _stored(ledger))) * _PIPELINE  # type: ignore[arg-type]

    async def bare() -> float:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(bench.store_url.removeprefix("unix://"))
            reader, times = hiredis.Reader(), _BATCH * _BATCHES // _PIPELINE
            begun = time.perf_counter()
            for _ in range(times):
                connection.sendall(pipeline)
                answered = 0
                while answered < _PIPELINE:
                    reader.feed(connection.recv(1 << 16))
                    while reader.gets() is not False:
                        answered += 1
            return times * _PIPELINE / (time.perf_counter() - begun)

    return await against(name, _in_ours(ledger, _BATCH, _BATCHES), bare, f"bare XADD, {_PIPELINE} a pipeline")


def _in_ours(ledger: Ledger, size: int, times: int) -> Rate:
    """Append batches, each on the condition that its claim is as the last batch left it."""
    claim = new_id("claim")

    async def ours() -> float:
        version = await ledger.version(claim)
        commands = [command([statement(claim) for _ in range(size)], {claim: version + n * size}) for n in range(times)]
        begun = time.perf_counter()
        for each in commands:
            await ledger.append(each)
        return size * times / (time.perf_counter() - begun)

    return ours


def _in_uma(uma: umadb.Client, size: int, times: int) -> Rate:
    """Append batches to UmaDB, each on the condition that its claim has no event after the last batch's."""
    claim = new_id("claim")
    same_claim = umadb.Query([umadb.QueryItem(tags=[claim])])
    last = uma.append([_in_words_of_uma(statement(claim))])

    async def theirs() -> float:
        nonlocal last
        of_batches = [[statement(claim) for _ in range(size)] for _ in range(times)]
        begun = time.perf_counter()
        for each in of_batches:
            condition = umadb.AppendCondition(same_claim, after=last)
            last = uma.append([_in_words_of_uma(said) for said in each], condition)
        return size * times / (time.perf_counter() - begun)

    return theirs


def _in_words_of_uma(said: catalog.StatementRecorded) -> umadb.Event:
    return umadb.Event(said.TYPE, json.encode(said), [said.claim_id], uuid.uuid4())


async def _stored(ledger: Ledger) -> bytes:
    """Return the bytes of a statement as they are stored."""
    appended = await ledger.append(command([statement(new_id("claim"))], {}))
    return (await ledger.read(appended.first - 1, 1))[0].raw


async def together(name: str, bench: Bench) -> Measurement:
    """Measure 32 writers, an event a command, beside pipelines of 32 XADD."""
    ledger, claims = await bench.ledger(), [new_id("claim") for _ in range(_WRITERS)]
    stored = await _stored(ledger)

    async def writer(commands: Sequence[Command]) -> None:
        for each in commands:
            await ledger.append(each)

    async def ours() -> float:
        of_writers = []
        for claim in claims:
            version = await ledger.version(claim)
            of_writers.append([command([statement(claim)], {claim: version + n}) for n in range(_CONCURRENT)])
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


async def deciding(name: str, bench: Bench) -> Measurement:
    """Measure 32 writers that decide on one claim, beside the same on 32 claims."""
    served = await open_served(bench.store, "decisions")
    recorder, story, sources = served.recorder, new_id("story"), [new_id("source") for _ in range(SOURCES)]
    opened = catalog.StoryOpened(story_id=story, story=records.Story(title="A story", parties=("north", "south")))
    await recorder.on_story(opened, caller())
    for n, source_id in enumerate(sources):
        parties = (("north", "south")[n % 2],)
        source = records.Source(name=f"Source {n}", kind=words.SourceKind.OFFICIAL, parties=parties)
        await recorder.on_source(catalog.SourceRegistered(source_id=source_id, source=source), caller())
    claim = records.Claim(story_id=story, text="A claim.", serves=("north",), harms=("south",))

    def on(claims: int) -> Rate:
        async def rate() -> float:
            took = 0.0
            for _ in range(_DECIDED):
                fresh = [new_id("claim") for _ in range(claims)]
                for each in fresh:
                    await recorder.on_claim([catalog.ClaimRegistered(claim_id=each, claim=claim)], caller())
                writers = [_says(recorder, sources[n], fresh[n % claims]) for n in range(_WRITERS)]
                begun = time.perf_counter()
                await asyncio.gather(*writers)
                took += time.perf_counter() - begun
            return _DECIDED * _DECISIONS * _WRITERS / took

        return rate

    return await against(name, on(1), on(_WRITERS), "the same writers on 32 claims", 0.5)


async def _says(recorder: Recorder, source: str, claim: str) -> None:
    for _ in range(_DECISIONS):
        await recorder.on_claim([statement(claim, source)], caller())
