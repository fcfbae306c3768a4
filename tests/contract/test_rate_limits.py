"""Quotas, as several processes count them in one store."""

import asyncio
from uuid import uuid4

import pytest

import events.store
from events.store import Store
from service.api.http.rate_limits import BLOCK, Policy, RateLimit, Spent


async def allowed(limit: RateLimit, key: str, most: int) -> int:
    """Return how many of so many requests are let through."""
    for number in range(most):
        try:
            await limit.count(key)
        except Spent:
            return number
    return most


async def a_new_window(store: Store, seconds: int) -> None:
    """Wait until a window has just begun."""
    now = (await store.time())[0] // seconds
    while (await store.time())[0] // seconds == now:  # noqa: ASYNC110 - nobody tells what the store's clock says
        await asyncio.sleep(0.01)


async def test_processes_share_a_quota_and_get_a_new_one(store: Store) -> None:
    """Whoever is asked, a key makes no more requests than its quota in a window, and as many in the next."""
    policy, key = Policy("reads", 100, window=4), f"key_{uuid4().hex}"
    limits = [RateLimit(store, policy) for _ in range(3)]
    await a_new_window(store, policy.window)
    first = await asyncio.gather(*(allowed(limit, key, 100) for limit in limits))
    assert sum(first) == policy.quota
    with pytest.raises(Spent) as spent:
        await limits[0].count(key)
    assert 1 <= spent.value.seconds <= policy.window
    await a_new_window(store, policy.window)
    assert await allowed(limits[1], key, 10) == 10


async def test_what_a_process_took_and_does_not_use_is_no_more_than_a_block(store: Store) -> None:
    """A key that asks one process gets all of its quota but for a block of each process that it asked before."""
    policy, key = Policy("reads", 1000, window=60), f"key_{uuid4().hex}"
    idle = [RateLimit(store, policy) for _ in range(4)]
    for each in idle:
        assert await allowed(each, key, 1) == 1
    busy = await allowed(RateLimit(store, policy), key, 2000)
    assert policy.quota - len(idle) * policy.quota // BLOCK <= busy <= policy.quota - len(idle)


async def test_many_at_once_take_what_they_need_together(store: Store) -> None:
    """Those who ask while a block is being taken wait for it, and none is counted twice or not at all."""
    policy, key = Policy("reads", 400, window=60), f"key_{uuid4().hex}"
    limit = RateLimit(store, policy)
    outcomes = await asyncio.gather(*(limit.count(key) for _ in range(500)), return_exceptions=True)
    assert sum(isinstance(each, Spent) for each in outcomes) == 100
    calls = [each for each in outcomes if not isinstance(each, Exception)]
    assert len(calls) == policy.quota


async def test_keys_and_kinds_of_requests_have_quotas_of_their_own(store: Store) -> None:
    """What one key has used, or a key for reading, is not taken from another, or from what it may write."""
    reads, writes = (RateLimit(store, Policy(name, 5)) for name in ("reads", "writes"))
    one, other = f"key_{uuid4().hex}", f"key_{uuid4().hex}"
    assert await allowed(reads, one, 9) == 5
    assert [await allowed(reads, other, 9), await allowed(writes, one, 9)] == [5, 5]


async def test_the_fields_say_what_is_left(store: Store) -> None:
    """The header fields count down, and name the quota as the policy does."""
    limit = RateLimit(store, Policy("reads", 100))
    key = f"key_{uuid4().hex}"
    told = [dict(await limit.count(key)) for _ in range(3)]
    assert {each[b"ratelimit-policy"] for each in told} == {b'"reads";q=100;w=60'}
    assert [each[b"ratelimit"].split(b";")[:2] for each in told] == [
        [b'"reads"', b"r=99"], [b'"reads"', b"r=98"], [b'"reads"', b"r=97"]
    ]  # fmt: skip


async def test_without_a_store_a_process_counts_by_itself() -> None:
    """When the store does not answer, a key is let in, a block a second."""
    away = events.store.connect("unix:///nowhere/at/all.sock")
    limit = RateLimit(away, Policy("reads", 1000))
    assert await allowed(limit, "key_a", 50) == 50
    await away.aclose()
