"""Projections over HTTP and at the command line: how far they are, rebuilt while serving, called off, stopped."""

import asyncio
from collections.abc import Callable

import httpx2
import msgspec

from events.envelope import Cursor
from events.ledger import Ledger
from events.store import Store
from service.projections.catalog import PROJECTIONS
from service.projections.status import ProjectionStatus
from service.verification.commands import Recorder


async def statuses(api: httpx2.AsyncClient) -> dict[str, ProjectionStatus]:
    """Return how each projection stands."""
    answer = await api.get("/v1/projections")
    assert answer.status_code == 200, answer.text
    return {each["name"]: msgspec.convert(each, ProjectionStatus) for each in answer.json()["items"]}


async def until(
    api: httpx2.AsyncClient, holds: Callable[[dict[str, ProjectionStatus]], bool]
) -> dict[str, ProjectionStatus]:
    """Return how the projections stand once something holds of it."""
    async with asyncio.timeout(15):
        while not holds(found := await statuses(api)):  # noqa: ASYNC110 - it is asked over HTTP
            await asyncio.sleep(0)
    return found


async def test_every_projection_says_how_far_it_is(api: httpx2.AsyncClient, ledger: Ledger, loaded: Recorder) -> None:
    """Each is listed with its generation, its place and its lag, which ends at nothing."""
    found = await until(api, lambda now: not any(each.lag for each in now.values()))
    head = (await ledger.head()).position
    assert {projection.name for projection in PROJECTIONS} == set(found)
    assert {(1, head, 0)} == {(each.generation, each.checkpoint, each.lag) for each in found.values()}


async def test_a_worker_rebuilds_what_it_is_asked_to(api: httpx2.AsyncClient, ledger: Ledger, loaded: Recorder) -> None:
    """The request is accepted at once; soon the next generation serves, with the same digest."""
    after = str(Cursor(ledger.epoch, (await ledger.head()).position))
    await api.get("/v1/claims", headers={"Onrecord-After": after})
    before = (await statuses(api))["claims"]
    asked = await api.post("/v1/projections/claims/rebuild")
    assert (asked.status_code, asked.json()["requested"]) == (202, True)
    now = (await until(api, lambda found: found["claims"].generation != before.generation))["claims"]
    assert (before.generation + 1, before.checkpoint, before.digest) == (now.generation, now.checkpoint, now.digest)
    assert len((await api.get("/v1/claims", params={"limit": 200})).json()["items"]) == 28


async def test_a_rebuild_can_be_called_off(api: httpx2.AsyncClient) -> None:
    """Calling off is accepted, whether or not the rebuild had begun."""
    await api.post("/v1/projections/sources/rebuild")
    called_off = await api.delete("/v1/projections/sources/rebuild")
    assert (called_off.status_code, called_off.json()["requested"]) == (200, False)


async def test_a_projection_that_there_is_not_is_not_found(api: httpx2.AsyncClient) -> None:
    """The problem names those that there are."""
    for answer in (
        await api.post("/v1/projections/nothing/rebuild"),
        await api.delete("/v1/projections/nothing/rebuild"),
    ):
        assert answer.status_code == 404
        assert "claims" in answer.json()["detail"]


async def test_an_event_that_cannot_be_read_stops_the_projections_loudly(
    api: httpx2.AsyncClient, ledger: Ledger, store: Store, loaded: Recorder
) -> None:
    """An event of an unknown type is told with its position, makes the service unready, and is never passed over."""
    head = (await ledger.head()).position
    (last,) = await ledger.read(head - 1, 1)
    unknown = last.raw.replace(b"claim.state_changed", b"claim.sung_about").replace(
        b"statement.recorded", b"claim.sung_about"
    )
    await store.xadd(ledger.keys.events, {"e": unknown}, id=f"{head + 1}-0")
    await store.hset(ledger.keys.head, "position", head + 1)
    now = (await until(api, lambda found: found["claims"].stopped is not None))["claims"]
    assert now.stopped is not None
    assert (head, head + 1) == (now.checkpoint, now.stopped.position)
    ready = await api.get("/readyz")
    assert ready.status_code == 503
    assert f"projection claims stopped at event {head + 1}" in ready.json()["why_not"]
