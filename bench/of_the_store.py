"""Of what the store spends: memory, and its own time for an append, in a ledger however long."""

from bench.measurement import Measurement, against
from bench.of_reading import entries
from bench.prepared import LARGE, Bench, command, prepare, statement
from events.identifiers import new_id
from events.ledger import Ledger
from service.projections.catalog import CLAIMS

_SMALL, _SAMPLED, _PAGE = 1_000, 500, 1_000
_MOST = 1.15
INVERSE = round(1 / _MOST, 3)
"""The floor where at most 1.15 times is meant, as a ratio of which more is better."""


async def memory(name: str, bench: Bench) -> Measurement:
    """Measure the bytes of a ledger's events over the memory of its log, head, positions and command ids."""
    ledger = await bench.filled(LARGE)
    stored = sum([len(entry.raw) async for entry in entries(ledger, LARGE)])
    its = ledger.keys.events.removesuffix("events")
    used = await _used(bench, *(f"{its}{each}" for each in ("events", "head", "positions:*", "commands:*")))
    return Measurement(name, stored, used, "log, head, positions, command ids", round(stored / used, 3), INVERSE)


async def memory_of_claims(name: str, bench: Bench) -> Measurement:
    """Report the memory of one projection: documents, lists and indexes of the claims."""
    ledger = await bench.filled(LARGE)
    stored = sum([len(entry.raw) async for entry in entries(ledger, LARGE)])
    used = await _used(bench, f"{ledger.keys.events.removesuffix('events')}{CLAIMS.name}:*")
    return Measurement(name, stored, used, "the projection of claims", round(stored / used, 3))


async def _used(bench: Bench, *patterns: str) -> int:
    used = 0
    for pattern in patterns:
        async for key in bench.store.scan_iter(pattern, _PAGE):
            used += await bench.store.memory_usage(key, samples=0)
    return used


async def time_of_append(name: str, bench: Bench) -> Measurement:
    """Measure the store's own time for single appends to the large ledger beside a small one."""
    large = await bench.filled(LARGE)

    async def on(ledger: Ledger) -> float:
        claim = new_id("claim")
        await bench.store.config_resetstat()
        for version in range(_SAMPLED):
            await ledger.append(command([statement(claim)], {claim: version}))
        return 1e6 / float((await bench.store.info("commandstats"))["cmdstat_evalsha"]["usec_per_call"])

    async def at_many() -> float:
        return await on(large)

    async def at_few() -> float:
        small = await bench.ledger()
        await prepare(small, [statement(new_id("claim")) for _ in range(_SMALL - 1)])
        return await on(small)

    return await against(name, at_many, at_few, f"at {_SMALL:,} events", INVERSE)
