"""The transparency log: sealing, proving, verifying, and what sealing costs those who write."""

import asyncio
import contextlib
import gc
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from itertools import count
from pathlib import Path

import events.store
from bench.measurement import Measurement
from events import catalog, records
from events.envelope import Entry, Provenance
from events.identifiers import new_id
from events.lease import Lease
from events.ledger import Command, Ledger
from events.store import Store
from events.transparency.compact_range import CompactRange
from events.transparency.hashing import leaf_hash
from service import embedded
from service.audit import log_key, storage
from service.audit.archive import Archive
from service.audit.sealer import Sealer
from service.audit.verifying.examination import Examination
from service.verification.policy import STRICT_TWO_SOURCE

_EVENTS = 100_000
_WRITERS, _SECONDS = 32, 4.0
_SINGLE = 10
_PROOFS = 500
_QUOTE = "The aircraft was carrying prisoners to an exchange when it came down, the ministry said. " * 3


class _Sealed:
    """A ledger with an archive, and who seals it."""

    def __init__(self, store: Store, ledger: Ledger, folder: Path) -> None:
        self.store, self.ledger = store, ledger
        self.folder = folder / ledger.name
        self.archive = Archive(storage.at(str(self.folder)))
        self.keys = log_key.opened(folder / f"{ledger.name}.key", f"bench/{ledger.name}")
        self.lease = Lease(store, ledger.keys, "sealer", seconds=600)

    async def sealer(self) -> Sealer:
        await self.lease.acquire()
        return Sealer(self.store, self.ledger, self.archive, self.keys, lambda: self.lease.token)

    async def size(self) -> int:
        """Return how many events are sealed."""
        note = await self.archive.checkpoint()
        return int(note.split(b"\n")[1]) if note else 0


def _command(n: int) -> Command:
    key = new_id("statement")
    said = records.Statement(speaker_id=_SPEAKER, stance="asserts", said_at="2024-01-24T08:15Z", quote=_QUOTE)
    event = catalog.StatementRecorded(claim_id=_CLAIMS[n % len(_CLAIMS)], statement_id=key, statement=said)
    return Command([event], {}, Provenance("key_bench", f"bench:{key}", "ab" * 32))


_SPEAKER = new_id("source")
_CLAIMS = [new_id("claim") for _ in range(1000)]


async def measure(words: Sequence[str]) -> AsyncIterator[Measurement]:
    """Yield the measurements of the log if one of the words, or none, asks for it."""
    if words and not any(word in "log" for word in words):
        return
    with tempfile.TemporaryDirectory() as folder:
        async with embedded.running(Path(folder)) as url:
            store = events.store.connect(url)
            names = count()

            async def new() -> _Sealed:
                ledger = await Ledger.open(store, f"bench-{next(names)}", create=STRICT_TWO_SOURCE)
                return _Sealed(store, ledger, Path(folder) / "archive")

            large = await new()
            for begin in range(0, _EVENTS, 5000):
                await large.ledger.append_many([_command(n) for n in range(begin, begin + 5000)])
            async for each in _of_sealing(large):
                yield each
            async for each in _of_proofs(large):
                yield each
            async for each in _of_verifying(large):
                yield each
            yield await _until_signed(await new())
            yield await _cost(await new(), await new())
            await store.aclose()


async def _of_sealing(large: _Sealed) -> AsyncIterator[Measurement]:
    sealer = await large.sealer()
    await sealer.begin()
    begun, done, raw = time.perf_counter(), 0, 0
    while entries := await large.ledger.read(done, 4096):
        await sealer.seal(entries)
        done, raw = entries[-1].position, raw + sum(len(entry.raw) + 1 for entry in entries)
    yield Measurement("log: events sealed a second", done / (time.perf_counter() - begun), at_least=20_000)
    kept = sum(path.stat().st_size for path in large.folder.rglob("*") if path.is_file())
    yield Measurement("log: bytes of raw NDJSON to one of the archive", raw / kept)


async def _of_proofs(large: _Sealed) -> AsyncIterator[Measurement]:
    size = await large.size()
    begun = time.perf_counter()
    for n in range(_PROOFS):
        index = n * 7919 % size
        await Archive(large.archive.storage).inclusion(index, size)  # each as if it were the first
    took = (time.perf_counter() - begun) / _PROOFS
    yield Measurement("log: inclusion proofs a second, nothing cached", 1 / took, at_least=200)


async def _of_verifying(large: _Sealed) -> AsyncIterator[Measurement]:
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


async def _until_signed(one: _Sealed) -> Measurement:
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
    return Measurement("log: ms from an append to its checkpoint, at the slowest", longest * 1000)


async def _cost(with_it: _Sealed, without: _Sealed) -> Measurement:
    """Measure what is written with a sealer beside it, as a part of what is written without."""
    sealed = await _written(with_it, seals=True)
    plain = await _written(without, seals=False)
    return Measurement("log: events written a second with a sealer", sealed, plain, "without", sealed / plain, 0.9)


async def _written(one: _Sealed, *, seals: bool) -> float:
    sealing = asyncio.create_task((await one.sealer()).run()) if seals else None
    end, done = time.perf_counter() + _SECONDS, 0

    async def write(begin: int) -> None:
        nonlocal done
        n = begin
        while time.perf_counter() < end:
            await one.ledger.append(_command(n))
            n, done = n + _WRITERS, done + 1

    await asyncio.gather(*map(write, range(_WRITERS)))
    if sealing:
        await _ended(sealing)
    return done / _SECONDS


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
