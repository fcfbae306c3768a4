"""What a cluster is to a ledger: one store, whichever node has it, and no node of it may lose what was acknowledged."""

import contextlib
import hashlib
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

import events.store
from events import catalog, durability, keys
from events.envelope import Provenance
from events.errors import StoreNotDurable, StoreUnavailable
from events.identifiers import new_id
from events.ledger import Command, Ledger
from events.store import Store
from service.projections.catalog import PROJECTIONS
from service.projections.engine import Projector, write
from service.projections.rebuild import rebuild
from service.verification.policy import STRICT_TWO_SOURCE


@pytest.fixture
async def cluster(cluster_url: str) -> AsyncIterator[Store]:
    """A client of a cluster."""
    client = events.store.connect(cluster_url)
    yield client
    await client.aclose()


async def everywhere(cluster: Store) -> list[Ledger]:
    """Return new ledgers of which every node has at least one."""
    ledgers: dict[str, Ledger] = {}
    while len(ledgers) < 3:
        ledger = await Ledger.open(cluster, f"spread-{uuid4().hex}", create=STRICT_TWO_SOURCE)
        ledgers[cluster.get_node_from_key(ledger.keys.events).name] = ledger
    return [*ledgers.values()]


def opened() -> Command:
    """Return a command that opens a story."""
    event = catalog.StoryOpened(story_id=new_id("story"), story=catalog.Story(title="A story"))
    command_id = uuid4().hex
    return Command([event], {}, Provenance("system", command_id, hashlib.sha256(command_id.encode()).hexdigest()))


async def test_ledgers_spread_over_the_nodes_and_are_listed_in_one_place(cluster: Store) -> None:
    """A ledger is on one node; those of one store may be on all of them, and all are in the list."""
    ledgers = await everywhere(cluster)
    names = {ledger.name.encode() for ledger in ledgers}
    assert names <= await cluster.smembers(keys.LEDGERS)
    for ledger in ledgers:
        assert (await ledger.append(opened())).first == 2
        assert [entry.position for entry in await ledger.read()] == [1, 2]


async def test_a_node_that_does_not_know_the_scripts_is_told(cluster: Store) -> None:
    """Scripts are not passed on within a cluster: each node learns them when it is first asked."""
    ledgers = await everywhere(cluster)
    for ledger in ledgers:
        await cluster.script_flush()
        assert (await ledger.append(opened())).first == 2
        projectors = [Projector(cluster, ledger, projection) for projection in PROJECTIONS]
        entries = await ledger.read()
        plans = [await projector.plan(await projector.place(), entries) for projector in projectors]
        assert all(await write(cluster, plans))
        async with contextlib.aclosing(rebuild(cluster, ledger, PROJECTIONS[0])) as steps:
            assert [step async for step in steps]


async def test_a_ledger_on_any_node_can_be_followed(cluster: Store) -> None:
    """The tail of a ledger reads from the node that has it."""
    for ledger in await everywhere(cluster):
        async with contextlib.aclosing(ledger.tail(1)) as batches:
            assert await anext(batches) == []
            await ledger.append(opened())
            assert [entry.position for entry in await anext(batches)] == [2]


@pytest.mark.parametrize("number", range(3))
async def test_one_node_that_could_lose_events_is_enough_to_refuse_the_cluster(cluster: Store, number: int) -> None:
    """Every primary is looked at, and the one that will not do is named."""
    assert (await durability.check(cluster)).startswith("Valkey 9")
    node = sorted(cluster.get_primaries(), key=lambda node: node.port)[number]
    await cluster.config_set("appendfsync", "everysec", target_nodes=node)
    try:
        with pytest.raises(StoreNotDurable) as refused:
            await durability.check(cluster)
        assert [f"{node.name}: appendfsync is everysec, not always"] == refused.value.reasons
        assert (await durability.check(cluster, allow_lossy=True)).startswith("Valkey 9")
    finally:
        await cluster.config_set("appendfsync", "always", target_nodes=node)


async def test_a_cluster_of_which_nobody_answers_is_said_to_be_away() -> None:
    """Nobody listening on any of the named nodes is one clear error."""
    store = events.store.connect("redis+cluster://user:secret@127.0.0.1:1,127.0.0.1:2")
    with pytest.raises(StoreUnavailable):
        await durability.check(store)
    with pytest.raises(StoreUnavailable):
        await Ledger.open(store)
    await store.aclose()
