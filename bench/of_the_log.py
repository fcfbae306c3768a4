"""The transparency log: sealing, proving, verifying, and what sealing costs those who write."""

import asyncio
import contextlib
import gc
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import count
from pathlib import Path

import events.store
from bench.measurement import Measurement, against
from bench.processes import running
from bench.sealed import Sealed
from events import catalog, records, words
from events.envelope import Entry, Provenance
from events.identifiers import new_id
from events.ledger import Command, Ledger
from events.transparency.compact_range import CompactRange
from events.transparency.hashing import leaf_hash
from service import embedded
from service.audit.archive import Archive
from service.audit.verifying.examination import Examination
from service.verification.policy import STRICT_TWO_SOURCE

_EVENTS = 100_000
_WRITERS, _SECONDS = 32, 4.0
_SINGLE = 10
_PROOFS = 500
_QUOTE = "The aircraft was carrying prisoners to an exchange when it came down, the ministry said. " * 3


def _command(n: int) -> Command:
    key = new_id("statement")
    said = records.Statement(
        speaker_id=_SPEAKER, stance=words.Stance.ASSERTS, said_at="2024-01-24T08:15Z", quote=_QUOTE
    )
    event = catalog.StatementRecorded(claim_id=_CLAIMS[n % len(_CLAIMS)], statement_id=key, statement=said)
    return Command([event], {}, Provenance("key_bench", f"bench:{key}", "ab" * 32))


_SPEAKER = new_id("source")
_CLAIMS = [new_id("claim") for _ in range(1000)]


_RAW_TO_KEPT = "log: bytes of raw NDJSON to one of the archive"
_WITH_A_SEALER, _UNTIL_SIGNED = (
    "log: events written a second with a sealer",
    "log: ms from an append to its checkpoint, at the slowest",
)
_OF_A_LARGE_ONE = (
    "log: events sealed a second",
    _RAW_TO_KEPT,
    "log: inclusion proofs a second, nothing cached",
    "log: events hashed into a tree a second",
    "log: events verified a second, all in all",
    "log: events unpacked a second",
    "log: events read by their schemas a second",
    "log: events folded for states a second",
)


async def measure(asked: Sequence[str]) -> AsyncIterator[Measurement]:
    """Yield the measurements whose names have one of the words, or all."""

    def is_wanted(name: str) -> bool:
        return not asked or any(word in name for word in asked)

    if not any(map(is_wanted, (_WITH_A_SEALER, _UNTIL_SIGNED, *_OF_A_LARGE_ONE))):
        return
    with tempfile.TemporaryDirectory() as folder:
        async with embedded.running(Path(folder)) as url:
            store = events.store.connect(url)
            names = count()

            async def new() -> Sealed:
                ledger = await Ledger.open(store, f"bench-{next(names)}", create=STRICT_TWO_SOURCE)
                return Sealed(store, ledger, Path(folder) / "archive")

            if any(map(is_wanted, _OF_A_LARGE_ONE)):
                async for each in _of_a_large_one(await new()):
                    if is_wanted(each.name):
                        yield each
            if is_wanted(_UNTIL_SIGNED):
                yield await _until_signed(await new())
            if is_wanted(_WITH_A_SEALER):
                yield await _cost(url, new)
            await store.aclose()


async def _of_a_large_one(large: Sealed) -> AsyncIterator[Measurement]:
    for begin in range(0, _EVENTS, 5000):
        await large.ledger.append_many([_command(n) for n in range(begin, begin + 5000)])
    for of in (_of_sealing, _of_proofs, _of_verifying):  # in this order: what was sealed is proved
        async for each in of(large):
            yield each


async def _of_sealing(large: Sealed) -> AsyncIterator[Measurement]:
    sealer = await large.sealer()
    await sealer.begin()
    begun, done, raw = time.perf_counter(), 0, 0
    while entries := await large.ledger.read(done, 4096):
        await sealer.seal(entries)
        done, raw = entries[-1].position, raw + sum(len(entry.raw) + 1 for entry in entries)
    yield Measurement("log: events sealed a second", done / (time.perf_counter() - begun), at_least=20_000)
    kept = sum(path.stat().st_size for path in large.folder.rglob("*") if path.is_file())
    yield Measurement(_RAW_TO_KEPT, raw / kept)


async def _of_proofs(large: Sealed) -> AsyncIterator[Measurement]:
    size = await large.size()
    begun = time.perf_counter()
    for n in range(_PROOFS):
        index = n * 7919 % size
        await Archive(large.archive.storage).inclusion(index, size)  # each as if it were the first
    took = (time.perf_counter() - begun) / _PROOFS
    yield Measurement("log: inclusion proofs a second, nothing cached", 1 / took, at_least=200)


async def _of_verifying(large: Sealed) -> AsyncIterator[Measurement]:
    entries: list[Entry] = []
    while batch := await large.ledger.read(len(entries), 5000):
        entries += batch
    raw = [entry.raw for entry in entries]
    gc.collect()
    begun = time.process_time()
    tree = CompactRange()
    for at in range(0, len(raw), 256):
        tree.grow([leaf_hash(each) for each in raw[at : at + 256]])
    tree.root()
    took = time.process_time() - begun
    yield Measurement("log: events hashed into a tree a second", len(raw) / took, at_least=400_000)
    examination = Examination(large.archive.storage, large.keys.verifiers, version="bench")
    begun = time.perf_counter()
    async for _ in examination.steps():
        pass
    took = time.perf_counter() - begun
    seconds = {check.name: check.seconds for check in examination.report.checks}
    many = examination.report.size
    yield Measurement("log: events verified a second, all in all", many / took)
    for name, what in (("bundles", "unpacked"), ("schema", "read by their schemas"), ("states", "folded for states")):
        yield Measurement(f"log: events {what} a second", many / max(seconds[name], 1e-9))


async def _until_signed(one: Sealed) -> Measurement:
    """Measure the longest time from an append to the checkpoint that covers it."""
    sealing = asyncio.create_task((await one.sealer()).run())
    longest = 0.0
    for n in range(_SINGLE):
        appended = await one.ledger.append(_command(n))
        begun = time.perf_counter()
        while await one.size() < appended.last:  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.005)
        longest = max(longest, time.perf_counter() - begun)
    await _ended(sealing)
    return Measurement(_UNTIL_SIGNED, longest * 1000)


async def _cost(store_url: str, new: Callable[[], Awaitable[Sealed]]) -> Measurement:
    """Measure what is written while another process seals it, beside what is written while none does."""

    async def with_a_sealer() -> float:
        one = await new()
        command = ("-m", "bench.sealing", store_url, one.ledger.name, str(one.folder.parent))
        async with running(sys.executable, *command):
            while not await one.size():  # noqa: ASYNC110 - a file tells nobody
                await asyncio.sleep(0.01)
            rate = await _written(one.ledger)
            written = (await one.ledger.head()).position
            async with asyncio.timeout(30):
                while await one.size() < written:  # noqa: ASYNC110 - likewise
                    await asyncio.sleep(0.01)
        return rate

    async def without() -> float:
        return await _written((await new()).ledger)

    return await against(_WITH_A_SEALER, with_a_sealer, without, "without", 0.9)


async def _written(ledger: Ledger) -> float:
    end, done = time.perf_counter() + _SECONDS, 0

    async def write(begin: int) -> None:
        nonlocal done
        n = begin
        while time.perf_counter() < end:
            await ledger.append(_command(n))
            n, done = n + _WRITERS, done + 1

    await asyncio.gather(*map(write, range(_WRITERS)))
    return done / _SECONDS


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
