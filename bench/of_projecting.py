"""Of projecting: how quickly, and how much memory a rebuild takes however long the ledger is."""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

from msgspec import json

from bench.measurement import Measurement
from bench.prepared import LARGE, Bench, prepare, stories
from bench.rebuilding import Rebuilt
from events.ledger import Ledger
from events.store import Store
from service.projections.catalog import CLAIMS, Projection
from service.projections.engine import Projector, and_next, read_batch, write

_PROJECTED = 20_000
_SMALLEST = 10_000
_LONGEST_REBUILD = 1800.0


def projecting(*projections: Projection, at_least: float) -> Callable[[str, Bench], Awaitable[Measurement]]:
    """Return what measures projecting the events of one story by one process, as a worker does that is far behind."""

    async def measured(name: str, bench: Bench) -> Measurement:
        rates = []
        for _ in range(6):
            ledger = await bench.ledger()
            await prepare(ledger, list(islice(stories(), _PROJECTED - 1)))
            begun = time.perf_counter()
            await project(bench.store, ledger, projections)
            rates.append(_PROJECTED / (time.perf_counter() - begun))
        return Measurement(name, round(statistics.median(rates[1:]), 1), at_least=at_least)

    return measured


async def project(store: Store, ledger: Ledger, projections: Sequence[Projection]) -> None:
    """Bring projections of a ledger up to its end."""
    projectors = [Projector(store, ledger, each) for each in projections]
    places = [await each.place() for each in projectors]
    entries = await read_batch(ledger, places[0].checkpoint)
    while entries:
        plans = [await each.plan(place, entries) for each, place in zip(projectors, places, strict=True)]
        written, entries = await and_next(write(store, plans), ledger, entries[-1].position)
        assert all(written)  # noqa: S101 - nobody else projects
        assert not any(plan.stopped for plan in plans)  # noqa: S101 - every event folds
        places = [plan.after for plan in plans]


def rebuilding(size: int) -> Callable[[str, Bench], Awaitable[Measurement]]:
    """Return what measures the memory of a process that rebuilds the claims of so many events, beside one of 10,000."""

    async def measured(name: str, bench: Bench) -> Measurement:
        small, large = await _rebuilt(bench, _SMALLEST), await _rebuilt(bench, size)
        peer = f"at {_SMALLEST:,} events"
        print(f"{size:,} events rebuilt in {large.seconds:.0f} s", file=sys.stderr)
        inverse = round(small.peak_mib / large.peak_mib, 3)
        return Measurement(name, large.peak_mib, small.peak_mib, peer, inverse, 0.87)

    return measured


async def _rebuilt(bench: Bench, size: int) -> Rebuilt:
    """Rebuild the claims of a ledger in a process of its own, after they were projected once."""
    ledger = await bench.filled(size)
    await project(bench.store, ledger, [CLAIMS])
    command = ("-m", "bench.rebuilding", bench.store_url, ledger.name)
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    said, _ = await asyncio.wait_for(process.communicate(), _LONGEST_REBUILD)
    return json.decode(said, type=Rebuilt)


REBUILT = sorted({100_000, LARGE})
"""Sizes of the ledgers that are rebuilt, beside the smallest."""
