"""Rebuild: a new generation of a projection beside the live one; then readers go over to it, all at once.

The live generation is read and written throughout. Memory is bounded by two batches. Whoever rebuilds holds a lease; if
it is killed, the next to rebuild drops what it left and begins again. Nothing that readers see is ever half done.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from msgspec import Struct

from events.envelope import Entry
from events.lease import Lease
from events.ledger import Ledger
from events.store import Script, Store, answering, shared
from events.together import Together
from service.projections.catalog import Projection
from service.projections.engine import Place, Projector, and_next, place, read_batch, write

_SWAP = Script("service.projections", "swap.lua")
_REQUESTED = Script("service.projections", "requested.lua")
_DROPPED_AT_ONCE = 500
_RENEWED_AFTER = 1.0
"""Seconds after which the lease is renewed, between two batches."""
_DIFFERENT = -2


class RebuildRefused(Exception):
    """A rebuild that may not begin, or must not be taken over; the live generation stays."""


class Progress(Struct, frozen=True):
    """How far a rebuild is: events folded, of how many."""

    done: int
    total: int


async def request(store: Store, ledger: Ledger, projection: Projection) -> None:
    """Ask the workers to rebuild a projection."""
    with answering():
        await store.hset(ledger.keys.projection(projection.name), "requested", 1)


async def cancel(store: Store, ledger: Ledger, projection: Projection) -> None:
    """Call a rebuild off: the generation that is being built takes nothing more, and is dropped by its builder."""
    name = ledger.keys.projection(projection.name)
    with answering():
        building = await store.hget(name, "building")
        await store.hdel(name, "requested", "building", *_fields(int(building)) if building else ())


async def requested(store: Store, ledger: Ledger, projections: Sequence[Projection]) -> list[Projection]:
    """Return the projections for which somebody asked for a rebuild."""
    names = [ledger.keys.projection(projection.name) for projection in projections]
    return [projections[n - 1] for n in await shared(store, Together).run(_REQUESTED, names, [])]


async def rebuild(store: Store, ledger: Ledger, projection: Projection) -> AsyncGenerator[Progress, None]:
    """Rebuild a projection, and say how far it is after each batch.

    Raises ``RebuildRefused`` if another process rebuilds it, if it was called off, or if the new documents differ from
    the live ones at the same position although the same version of the code made both.
    """
    async with Lease(store, ledger.keys, f"rebuild:{projection.name}") as lease:
        if not await lease.acquire():
            raise RebuildRefused(f"another process is rebuilding {projection.name}")
        new = await _begin(store, ledger, projection)
        try:
            async for progress in _build(store, ledger, projection, new, lease):
                yield progress
        except BaseException:
            await cancel(store, ledger, projection)
            await _drop(store, ledger, projection, new)
            raise
        with answering():
            old = await store.hget(ledger.keys.projection(projection.name), "dropping")
        await _drop(store, ledger, projection, int(old))


async def _build(
    store: Store, ledger: Ledger, projection: Projection, generation: int, lease: Lease
) -> AsyncIterator[Progress]:
    """Fold a new generation, compare it with the live one, and let it be the live one."""
    projector, at = Projector(store, ledger, projection), Place(generation, 0)
    name, renewed = ledger.keys.projection(projection.name), time.monotonic()
    while True:
        live = await projector.place()
        entries = await read_batch(ledger, at.checkpoint, live.checkpoint)
        while entries:
            folding = _fold_batch(projector, at, entries, store)
            at, entries = await and_next(folding, ledger, entries[-1].position, live.checkpoint)
            if time.monotonic() - renewed > _RENEWED_AFTER:
                await _renew(lease, projection)
                renewed = time.monotonic()
            yield Progress(at.checkpoint, live.checkpoint)
        with answering():  # at once: the live one moves on
            swapped = await _SWAP.run(store, [name], [live.generation, at.generation, projection.version])
        if swapped == _DIFFERENT:
            raise RebuildRefused(
                f"{projection.name} rebuilt at {at.checkpoint} has digest {at.digest:032x}, and the live one has"
                " another: something other than a projector wrote to one of them"
            )
        if swapped < 0:
            raise RebuildRefused(f"the rebuild of {projection.name} was called off")
        if swapped:
            return  # else the live one has moved on a little: after it


async def _renew(lease: Lease, projection: Projection) -> None:
    """Renew the lease. One that ran out on a slow machine is taken again if nobody had it since: by the next token."""
    token = lease.token
    if not await lease.acquire() or lease.token > token + 1:
        raise RebuildRefused(f"the rebuild of {projection.name} was away too long")


async def _begin(store: Store, ledger: Ledger, projection: Projection) -> int:
    """Drop what a killed rebuild left, and enter a new generation at 0."""
    live = await place(store, ledger.keys, projection.name)
    name = ledger.keys.projection(projection.name)
    with answering():
        left = await store.hmget(name, ["building", "dropping"])
    for generation in filter(None, left):
        await _drop(store, ledger, projection, int(generation))
    new = max(live.generation, *(int(each or 0) for each in left)) + 1
    with answering():
        await store.hdel(name, "requested")
        checkpoint, digest, version = _fields(new)
        await store.hset(
            name,
            mapping={
                "generation": live.generation,
                "building": new,
                checkpoint: 0,
                digest: "0",
                version: projection.version,
            },
        )
    return new


async def _fold_batch(projector: Projector, at: Place, entries: Sequence[Entry], store: Store) -> Place:
    plan = await projector.plan(at, entries)
    (written,) = await write(store, [plan])
    if not written:
        raise RebuildRefused(f"the rebuild of {projector.projection.name} was called off")
    if plan.stopped:
        raise RebuildRefused(str(plan.stopped))
    return plan.after


async def _drop(store: Store, ledger: Ledger, projection: Projection, generation: int) -> None:
    """Delete a generation in small steps."""
    with answering():
        found = []
        async for key in store.scan_iter(
            f"{ledger.keys.generation(projection.name, generation)}*", count=_DROPPED_AT_ONCE
        ):
            found.append(key)
            if len(found) >= _DROPPED_AT_ONCE:
                await store.unlink(*found)
                found = []
        if found:
            await store.unlink(*found)
        await store.hdel(ledger.keys.projection(projection.name), "dropping", *_fields(generation))


def _fields(generation: int) -> tuple[str, str, str]:
    return f"checkpoint:{generation}", f"digest:{generation}", f"version:{generation}"
