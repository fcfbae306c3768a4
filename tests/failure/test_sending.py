"""Whether a write can have happened is said exactly: nothing sent is StoreUnavailable, no answer is OutcomeUnknown."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import events.store
from events.errors import OutcomeUnknown, Refused, StoreFull, StoreUnavailable
from events.group_commit import Appended
from events.identifiers import new_id
from events.ledger import Command, Ledger
from events.store import Store
from service.verification.policy import STRICT_TWO_SOURCE
from tests.failure.conftest import PATIENCE, StoreProcess, assert_streams, assert_whole, everything
from tests.failure.test_store_faults import Proxy, names, opening

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def ledger(client: Store) -> Ledger:
    """A ledger on the store, written to without a detour."""
    return await Ledger.open(client, "main", create=STRICT_TWO_SOURCE)


@pytest.fixture
async def proxy(server: StoreProcess, ledger: Ledger, tmp_path: Path) -> AsyncIterator[Proxy]:
    """What stands between the store and who connects to ``p.sock``."""
    proxy = Proxy(server.url)
    listening = await asyncio.start_unix_server(proxy.serve, tmp_path / "p.sock")
    yield proxy
    listening.close()
    await asyncio.wait_for(asyncio.gather(*filter(None, proxy.serving)), PATIENCE)


@pytest.fixture
async def behind(proxy: Proxy, tmp_path: Path) -> AsyncIterator[Ledger]:
    """The same ledger, through the proxy."""
    async with contextlib.aclosing(events.store.connect(f"unix://{tmp_path / 'p.sock'}")) as client:
        yield await Ledger.open(client, "main")


async def test_a_store_that_is_away_is_unavailable_and_nothing_was_written(
    server: StoreProcess, ledger: Ledger
) -> None:
    """Whether it went before the first append or after one, a caller learns that nothing was written."""
    await ledger.append(opening("before"))
    await server.kill()
    for name in ("away", "still-away"):
        with pytest.raises(StoreUnavailable):
            await ledger.append(opening(name))
    await server.start()
    assert (await ledger.append(opening("away"))).first == 3
    assert await names(ledger) == {"before": 1, "away": 1}


async def test_a_store_that_was_never_there_is_unavailable(server: StoreProcess, client: Store, ledger: Ledger) -> None:
    """So it is for a process whose first append finds nobody."""
    opened = await Ledger.open(client, "main")
    await server.kill()
    with pytest.raises(StoreUnavailable):
        await opened.append(opening("first"))


async def test_a_connection_cut_in_mid_append_is_made_good_unseen(proxy: Proxy, behind: Ledger) -> None:
    """The answers of two attempts are lost, the third says what the first recorded."""
    proxy.drops = 2
    appended = await behind.append(opening("cut"))
    assert (appended.first, appended.count, appended.repeated) == (2, 1, True)
    assert await names(behind) == {"cut": 1}


async def test_a_refusal_after_a_lost_answer_says_nothing_of_what_was_lost(
    proxy: Proxy, behind: Ledger, client: Store
) -> None:
    """The first attempt was written, its answer lost; that the store is full since is not that nothing was written."""
    proxy.drops, proxy.dropped = 1, lambda: client.config_set("maxmemory", 1)
    with pytest.raises(OutcomeUnknown, match="now it says"):
        await behind.append(opening("cut"))
    with pytest.raises(StoreFull):
        await behind.append(opening("refused"))
    await client.config_set("maxmemory", 0)
    assert (await behind.append(opening("cut"))).repeated
    assert await names(behind) == {"cut": 1}


async def test_a_store_that_went_with_the_answer_leaves_it_open(
    proxy: Proxy, behind: Ledger, server: StoreProcess
) -> None:
    """What was sent before the store went may have been written."""
    proxy.drops, proxy.dropped = 1, server.kill
    with pytest.raises(OutcomeUnknown):
        await behind.append(opening("cut"))
    await server.start()
    assert (await behind.append(opening("cut"))).first == 2
    assert await names(behind) == {"cut": 1}


@pytest.mark.parametrize("drops", [1, 3])
async def test_an_import_that_is_cut_in_the_middle_is_given_again_and_is_whole(
    proxy: Proxy, behind: Ledger, ledger: Ledger, client: Store, drops: int
) -> None:
    """Of 1,500 commands some are refused, some answers are lost: in the end each is recorded once, or refused."""
    taken = opening("taken")
    story = taken.events[0]
    await ledger.append(taken)
    given = []
    for n in range(1500):
        command = opening(f"import-{n}")
        if n % 100 == 7:
            command = Command(command.events, {story.story_id: 9}, command.provenance)  # type: ignore[attr-defined]
        if n % 100 == 8:
            command = opening("taken")
        if n % 100 == 9:
            command = Command(command.events * 3, {new_id("story"): 0}, command.provenance)
        given.append(command)
    proxy.after, proxy.drops = 12, drops
    with contextlib.nullcontext() if drops == 1 else pytest.raises(OutcomeUnknown):
        await behind.append_many(given)
    assert proxy.drops == 0
    outcomes = await behind.append_many(given)
    assert [n % 100 == 7 for n in range(1500)] == [isinstance(outcome, Refused) for outcome in outcomes]
    assert all(outcome.repeated for outcome in outcomes if isinstance(outcome, Appended)) or drops > 1
    expected = {f"import-{n}": 3 if n % 100 == 9 else 1 for n in range(1500) if n % 100 not in {7, 8}} | {"taken": 1}
    assert expected == await names(ledger)
    entries = await everything(ledger)
    assert_whole(entries)
    await assert_streams(client, ledger, entries)
