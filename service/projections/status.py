"""How projections stand: how far each is, whether it is being rebuilt, and at which event it stopped, if it did."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from events.ledger import Ledger
from events.store import Store, answering
from service.projections.catalog import PROJECTIONS, Projection
from service.projections.engine import Stopped

_STOPPED = "stopped"


class StoppedAt(Struct, frozen=True):
    """The event that a projection cannot fold, and why."""

    position: int
    why: str


class ProjectionStatus(Struct, frozen=True):
    """How one projection stands. ``lag`` is how many events it is behind the ledger.

    ``building`` is the generation that a rebuild makes, and ``built`` the last position in it.
    """

    name: str
    generation: int
    checkpoint: int
    lag: int
    digest: str
    requested: bool
    building: int | None = None
    built: int | None = None
    stopped: StoppedAt | None = None


async def of_all(store: Store, ledger: Ledger) -> list[ProjectionStatus]:
    """Return how every projection of a ledger stands."""
    with answering():
        pipeline = store.pipeline(transaction=False)
        pipeline.hget(ledger.keys.head, "position")
        for projection in PROJECTIONS:
            pipeline.hgetall(ledger.keys.projection(projection.name))
        head, *found = await pipeline.execute()
    return [_of_one(projection, held, int(head or 0)) for projection, held in zip(PROJECTIONS, found, strict=True)]


async def stopped_at(store: Store, ledger: Ledger, projection: Projection) -> StoppedAt | None:
    """Return the event at which a projection stopped, if it did."""
    with answering():
        stopped = await store.hget(ledger.keys.projection(projection.name), _STOPPED)
    return msgspec.json.decode(stopped, type=StoppedAt) if stopped else None


async def mark_stopped(store: Store, ledger: Ledger, stopped: Stopped) -> None:
    """Say for all to see that a projection stopped."""
    with answering():
        said = msgspec.json.encode(StoppedAt(stopped.position, stopped.why))
        await store.hset(ledger.keys.projection(stopped.projection), _STOPPED, said)


async def mark_going(store: Store, ledger: Ledger, name: str) -> None:
    """Say that a projection goes on again."""
    with answering():
        await store.hdel(ledger.keys.projection(name), _STOPPED)


def _of_one(projection: Projection, held: Mapping[bytes, bytes], head: int) -> ProjectionStatus:
    fields = {name.decode(): value for name, value in held.items()}
    generation, building = int(fields.get("generation", 1)), fields.get("building")
    checkpoint = int(fields.get(f"checkpoint:{generation}", 0))
    stopped = msgspec.json.decode(fields[_STOPPED], type=StoppedAt) if _STOPPED in fields else None
    return ProjectionStatus(
        name=projection.name,
        generation=generation,
        checkpoint=checkpoint,
        lag=max(0, head - checkpoint),
        digest=fields.get(f"digest:{generation}", b"0").decode().zfill(32),
        requested="requested" in fields,
        building=int(building) if building else None,
        built=int(fields.get(f"checkpoint:{int(building)}", 0)) if building else None,
        stopped=stopped if stopped and stopped.position > checkpoint else None,
    )
