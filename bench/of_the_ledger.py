"""Of the ledger, without HTTP: appending, deciding, reading, projecting, and what it takes of the store."""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import events.store
from bench import of_appending, of_projecting, of_reading, of_the_store
from bench.measurement import Measurement
from bench.prepared import LARGE, Bench
from service import embedded
from service.projections.catalog import CLAIMS, PROJECTIONS

_MEASUREMENTS: dict[str, Callable[[str, Bench], Awaitable[Measurement]]] = {
    "append one event after another, per second": of_appending.one_by_one,
    "append one event after another beside XADD, per second": of_appending.one_by_one_beside_xadd,
    "append by 32 at once, per second": of_appending.together,
    "decide and append by 32 on one claim, per second": of_appending.deciding,
    "append 100 events a command, events per second": of_appending.batches,
    "append 100 events a command beside XADD, events per second": of_appending.batches_beside_xadd,
    "read raw events, per second": of_reading.raw_beside_xrange,
    "read raw events beside eventsourcing's, per second": of_reading.raw_beside_eventsourcing,
    "read decoded events, per second": of_reading.decoded_beside_eventsourcing,
    "read decoded events in pages of 1,000, per second": of_reading.decoded_in_pages,
    "read raw events beside decoded ones, per second": of_reading.raw_beside_decoded,
    "project, all projections, events per second": of_projecting.projecting(*PROJECTIONS, at_least=10_000),
    "project, claims alone, events per second": of_projecting.projecting(CLAIMS, at_least=25_000),
    f"bytes of {LARGE:,} events over memory of the ledger (memory at most 1.15 x)": of_the_store.memory,
    **{
        f"peak memory of rebuilding {size:,} events, MiB (at most 1.15 x)": of_projecting.rebuilding(size)
        for size in of_projecting.REBUILT
    },
    f"bytes of {LARGE:,} events over memory of one projection": of_the_store.memory_of_claims,
    f"store's own speed at {LARGE:,} events, appends per second (time at most 1.15 x)": of_the_store.time_of_append,
}


async def measure(words: Sequence[str]) -> AsyncIterator[Measurement]:
    """Yield the measurements whose names have one of the words, or all."""
    wanted = {name: of for name, of in _MEASUREMENTS.items() if not words or any(word in name for word in words)}
    if not wanted:
        return
    with tempfile.TemporaryDirectory() as folder:
        async with embedded.running(Path(folder)) as url, contextlib.AsyncExitStack() as stack:
            store = events.store.connect(url)
            stack.push_async_callback(store.aclose)
            bench = Bench(stack, Path(folder), store, url)
            for name, of in wanted.items():
                yield await of(name, bench)
