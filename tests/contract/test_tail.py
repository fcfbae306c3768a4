"""What those who follow a ledger are promised: everything once, in order, through one reader, and a clean end."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator
from itertools import count
from pathlib import Path

import pytest

import events.store
from events import catalog, tail
from events.envelope import Entry, Provenance
from events.errors import FollowerTooSlow, StoreUnavailable
from events.group_commit import Appended
from events.identifiers import new_id
from events.ledger import Command, Ledger
from events.store import Store, beside
from service import embedded
from service.verification.policy import STRICT_TWO_SOURCE

_NUMBERS = count()


async def write(ledger: Ledger, events_: int, *, at_once: int = 10) -> int:
    """Append that many events, and return the last position."""
    story = catalog.Story(title="A story")
    commands = [
        Command(
            [catalog.StoryOpened(story_id=new_id("story"), story=story) for _ in range(at_once)],
            {},
            Provenance("system", f"tail-{next(_NUMBERS)}", "ab" * 32),
        )
        for _ in range(events_ // at_once)
    ]
    appended = await ledger.append_many(commands)
    assert all(isinstance(each, Appended) for each in appended)
    return (await ledger.head()).position


async def follow(ledger: Ledger, after: int, until: int, *, live: asyncio.Event | None = None) -> list[int]:
    """Return the positions that a follower is given up to one; ``live`` is set at its first empty batch."""
    given: list[int] = []
    async with contextlib.aclosing(ledger.tail(after)) as batches:
        async for entries in batches:
            given += [entry.position for entry in entries]
            if live and not entries:
                live.set()
            if max(given, default=after) >= until:
                break
    return given


async def until_it_ends(batches: AsyncGenerator[list[Entry], None], given: list[int]) -> None:
    """Take what a follower is given, for as long as there is any."""
    async for entries in batches:
        given += [entry.position for entry in entries]


async def reading(store: Store) -> int:
    """Return how many connections to the store are waiting for the tail of a log."""
    clients = [client for server in events.store.servers(store) for client in await store.client_list(**server)]
    return sum(client["cmd"] == "xread" for client in clients)


async def until_nobody_reads(store: Store) -> None:
    """Wait until the store has seen that the last connection of a tail was closed."""
    async with asyncio.timeout(5):
        while await reading(store):
            pass


async def test_twenty_followers_are_given_everything_through_one_connection(store: Store, ledger: Ledger) -> None:
    """All followers of a ledger share one reader, and it ends with the last of them."""
    before = asyncio.all_tasks()
    live = [asyncio.Event() for _ in range(20)]
    following = [asyncio.create_task(follow(ledger, 1, 2001, live=each)) for each in live]
    await asyncio.gather(*(each.wait() for each in live))
    async with asyncio.timeout(5):
        while not (connections := await reading(store)):
            pass
    assert connections == 1
    assert await write(ledger, 2000) == 2001
    assert [list(range(2, 2002))] * 20 == await asyncio.gather(*following)
    assert before == asyncio.all_tasks()
    await until_nobody_reads(store)


async def test_a_slow_follower_is_dropped_and_goes_on_where_it_was(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who takes nothing is told how far it was given the log, holds up nobody, and misses nothing by asking again."""
    monkeypatch.setattr(tail, "LONGEST_QUEUE", 50)
    quick = asyncio.create_task(follow(ledger, 0, 401))
    async with contextlib.aclosing(ledger.tail(0)) as slow:
        given = [entry.position for entry in await anext(slow)]
        while await anext(slow):  # an empty batch: it is live now
            pass
        for _ in range(40):
            last = await write(ledger, 10)
        assert list(range(1, last + 1)) == await quick
        with pytest.raises(FollowerTooSlow) as dropped:
            await until_it_ends(slow, given)
    assert given[-1] == dropped.value.position < last
    assert list(range(1, last + 1)) == given + await follow(ledger, dropped.value.position, last)


async def test_a_queue_that_is_full_in_one_go_is_taken_in_batches(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much waits, a batch has an end."""
    monkeypatch.setattr(tail, "LONGEST_BATCH", 7)
    sizes = []
    async with contextlib.aclosing(ledger.tail(1)) as batches:
        assert await anext(batches) == []
        last = await write(ledger, 100)
        while sum(sizes) < last - 1:
            sizes.append(len(await anext(batches)))
    assert max(sizes) == 7


async def test_followers_join_from_anywhere_while_four_write(store_url: str, ledger: Ledger) -> None:
    """Whoever begins anywhere, at any moment, under writers, is given everything after that once and in order."""
    chance = random.Random(20240124)  # noqa: S311 - a test's chance
    client = events.store.connect(store_url)
    ledgers = [ledger, await Ledger.open(client, ledger.name)]
    last = await write(ledger, 3000)
    done = 1 + 3000 + 4 * 500

    async def begin_somewhere() -> None:
        for _ in range(chance.randrange(40)):
            await ledger.version("reference")
        after = chance.randrange(last)
        assert list(range(after + 1, done + 1)) == await follow(ledger, after, done)

    async def write_on(number: int) -> None:
        for _ in range(50):
            await write(ledgers[number % 2], 10, at_once=1 + number)

    async with asyncio.TaskGroup() as everybody:
        for _ in range(25):
            everybody.create_task(begin_somewhere())
        for number in (0, 1, 4, 9):
            everybody.create_task(write_on(number))
    await client.aclose()


async def test_who_begins_in_the_future_is_given_what_comes_after_it(ledger: Ledger) -> None:
    """A position that is not there yet is waited for, and what is before it is not given."""
    live = asyncio.Event()
    following = asyncio.create_task(follow(ledger, 15, 21, live=live))
    await live.wait()
    await write(ledger, 20)
    assert await following == [16, 17, 18, 19, 20, 21]


async def test_a_follower_may_end_at_any_moment(store: Store, ledger: Ledger) -> None:
    """However it ends, two hundred times, no task and no connection stays, and those who stay miss nothing."""
    chance = random.Random(4)  # noqa: S311 - likewise
    before = asyncio.all_tasks()
    for n in range(200):
        after = chance.randrange(2)
        following = asyncio.create_task(follow(ledger, after, 10**9))
        other = asyncio.create_task(follow(ledger, 0, 10**9)) if n % 3 == 0 else None
        for _ in range(chance.randrange(chance.choice((10, 60, 400)))):
            await asyncio.sleep(0)
        if n % 5 == 0:
            await write(ledger, 1, at_once=1)
        for task in filter(None, (following, other)):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                async with asyncio.timeout(0.9):  # less than a read may block
                    await task
    assert before == asyncio.all_tasks()
    await until_nobody_reads(store)


async def test_a_cancellation_is_never_lost_in_a_read_that_blocks(store: Store) -> None:
    """A task that is cancelled while it dials, sends or waits is cancelled at once; on Python 3.11 redis-py forgets."""
    blocking = beside(store)
    for n in range(60):
        task = asyncio.create_task(blocking.xread({"{nothing}": "0-0"}, 10, 2000))
        for _ in range(1 + n % 20):
            await asyncio.sleep(0)
        task.cancel()
        async with asyncio.timeout(1):
            await asyncio.wait([task])
        assert task.cancelled()
    await blocking.aclose()


async def test_while_the_store_is_away_followers_are_told_and_may_ask_again(tmp_path: Path) -> None:
    """Each of them is told that the store is away; when it is back they go on without a gap."""
    async with contextlib.AsyncExitStack() as stack:
        async with embedded.running(tmp_path) as url:
            store = events.store.connect(url)
            stack.push_async_callback(store.aclose)
            ledger = await Ledger.open(store, create=STRICT_TWO_SOURCE)
            await write(ledger, 10)
            tails = [await stack.enter_async_context(contextlib.aclosing(ledger.tail(0))) for _ in range(3)]
            assert [(await anext(each))[-1].position for each in tails] == [11] * 3
        for each in tails:
            with pytest.raises(StoreUnavailable):
                await until_it_ends(each, [])
        with pytest.raises(StoreUnavailable):
            await follow(ledger, 11, 21)
        async with embedded.running(tmp_path):
            following = [asyncio.create_task(follow(ledger, 11, 21)) for _ in range(3)]
            await write(ledger, 10)
            assert [list(range(12, 22))] * 3 == await asyncio.gather(*following)
            await store.aclose()
