"""What becomes of deliveries when their webhook or its endpoint changes under way, and when deliverers race."""

import asyncio
import time

import pytest
from msgspec import structs

from events import catalog
from events.catalog import Event
from events.endpoints import Filters, WebhookChanges
from service.webhooks import lane as of_lanes
from service.webhooks import queues as of_queues
from service.webhooks.queues import Replay
from tests.contract.delivering import Desk, everything, is_so, until
from tests.e2e.receiving import Receiver, receiving

HOUR = 3600.0
STATEMENTS = Filters(types=("statement.recorded",))


async def kinds(desk: Desk, webhook_id: str, kind: type[Event]) -> int:
    """Return how many events of a kind are on record of a webhook."""
    return sum(isinstance(it.event, kind) for it in await desk.recorder.stream(webhook_id))


async def due(desk: Desk, webhook_id: str) -> None:
    """Let all that waits for a webhook be due, and its endpoint no longer be left alone."""
    queue = desk.ledger.keys.webhook(webhook_id, "queue")
    await desk.store.zadd(queue, dict.fromkeys(await desk.store.zrange(queue, 0, -1), 1))
    await desk.store.hset(desk.ledger.keys.webhook(webhook_id, "state"), "quiet_until", 0)
    await desk.queues.wake(webhook_id)


async def test_filters_are_read_again_at_each_attempt(desk: Desk, receiver: Receiver) -> None:
    """What a webhook does not want any more is not tried again, though it was queued when it did."""
    webhook_id = await desk.hook(receiver, filters=STATEMENTS)
    claim = await desk.claim()
    receiver.status = 500
    async with desk.delivering((0.0, HOUR)):
        await desk.say(claim)
        await until(lambda: is_so(desk, webhook_id, "failed", "1"))
        receiver.status = 204
        changes = WebhookChanges(filters=Filters(types=("story.*",)))
        await desk.registry.change(webhook_id, changes, desk.caller())
        await due(desk, webhook_id)

        async def is_dropped() -> bool:
            return not (await desk.deliveries.listed(webhook_id, "waiting", None, 5)).items

        await until(is_dropped)
        await desk.claim()
        await receiver.until(2)
    assert [each.said["type"] for each in receiver.received] == ["statement.recorded", "story.opened"]


async def test_a_disabled_webhook_is_not_sent_what_waits_for_it_until_it_is_enabled(
    desk: Desk, receiver: Receiver
) -> None:
    """Disabling holds back what is queued; enabling lets it go on."""
    webhook_id = await desk.hook(receiver, filters=STATEMENTS)
    other = await desk.hook(receiver, filters=Filters(types=("story.*",)))
    claim = await desk.claim()
    receiver.status = 500
    async with desk.delivering((0.0, HOUR)):
        await desk.say(claim)
        await until(lambda: is_so(desk, webhook_id, "failed", "1"))
        receiver.status = 204
        await desk.registry.disable(webhook_id, desk.caller(), None)
        await due(desk, webhook_id)
        await desk.claim()
        await until(lambda: is_so(desk, other, "delivered", "1"))
        state = await desk.queues.state(webhook_id)
        assert (state["attempts"], state.get("delivered")) == ("1", None)
        await desk.registry.enable(webhook_id, desk.caller(), trusted=False)
        await until(lambda: is_so(desk, webhook_id, "delivered", "1"))


async def test_a_webhook_disabled_while_its_attempts_are_under_way_is_sent_no_more(
    desk: Desk, receiver: Receiver
) -> None:
    """Of many that are due only those are sent that had begun; the rest waits."""
    webhook_id = await desk.hook(receiver, filters=STATEMENTS, concurrency=2)
    claim = await desk.claim()
    async with desk.delivering():
        await desk.say(claim)
        await until(lambda: is_so(desk, webhook_id, "delivered", "1"))
        receiver.answering.clear()
        await desk.say(claim, 8)
        await until(lambda: is_asked(receiver))
        await desk.registry.disable(webhook_id, desk.caller(), None)
        head = (await desk.ledger.head()).position
        await until(lambda: is_there(desk, head))
        before = len(receiver.received)
        receiver.answering.set()
        await until(lambda: is_so(desk, webhook_id, "delivered", str(before)))
    waiting = (await desk.deliveries.listed(webhook_id, "waiting", None, 50)).items
    assert (before, 9 - before) == (len(receiver.received), len(waiting))


async def is_asked(receiver: Receiver) -> bool:
    """Whether somebody waits for an answer of an endpoint."""
    return receiver.waiting > 0


async def is_there(desk: Desk, position: int) -> bool:
    """Whether the dispatcher has come to a position."""
    return (await desk.queues.place() or 0) >= position


async def test_nothing_is_kept_of_a_webhook_deleted_while_it_is_sent_to(desk: Desk, receiver: Receiver) -> None:
    """Its queue, log and counters go, also when an attempt ends meanwhile."""
    webhook_id = await desk.hook(receiver, filters=STATEMENTS)
    claim = await desk.claim()
    receiver.answering.clear()
    async with desk.delivering():
        await desk.say(claim, 3)
        await until(lambda: is_asked(receiver))
        await desk.registry.delete(webhook_id, desk.caller())
        head = (await desk.ledger.head()).position
        await until(lambda: is_there(desk, head))
        receiver.answering.set()
    for part in ("queue", "tries", "log", "dead"):
        assert not await desk.store.exists(desk.ledger.keys.webhook(webhook_id, part)), part
    assert await desk.queues.state(webhook_id) == {}
    assert await desk.queues.next_due() is None


async def test_an_endpoint_that_comes_back_catches_up_at_once_and_in_order(desk: Desk, receiver: Receiver) -> None:
    """What failed while it was away does not wait for its next attempt in an hour, and nothing overtakes anything."""
    webhook_id = await desk.hook(receiver, filters=STATEMENTS, concurrency=1)
    claim = await desk.claim()
    receiver.status = 500
    async with desk.delivering((0.0, *(HOUR,) * 5)):
        await desk.say(claim, 8)
        await until(lambda: is_so(desk, webhook_id, "is_open", "1"))
        receiver.status = 204
        receiver.received.clear()
        state = desk.ledger.keys.webhook(webhook_id, "state")
        await desk.store.hset(state, "quiet_until", 0)
        await desk.queues.wake(webhook_id)
        await until(lambda: is_so(desk, webhook_id, "delivered", "8"))
    probe, *rest = [int(each.said["sequence"]) for each in receiver.received]
    assert sorted(rest) == rest
    assert len({probe, *rest}) == 8


async def test_that_a_circuit_closed_is_told_though_nothing_comes_after_it(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened and closed are recorded at most once in a while, and the later one is not forgotten."""
    monkeypatch.setattr(of_queues, "BETWEEN_TOLD", 1500)
    monkeypatch.setattr(of_lanes, "BETWEEN_TOLD", 1500)
    webhook_id = await desk.hook(receiver, filters=STATEMENTS)
    claim = await desk.claim()
    receiver.status = 500
    async with desk.delivering((0.0, *(HOUR,) * 5)):
        await desk.say(claim, 5)
        await until(lambda: is_so(desk, webhook_id, "told", "1"))
        receiver.status = 204
        await due(desk, webhook_id)
        await until(lambda: is_so(desk, webhook_id, "delivered", "5"))
        assert await kinds(desk, webhook_id, catalog.WebhookCircuitClosed) == 0
        await until(lambda: is_so(desk, webhook_id, "told", "0"))
    assert await kinds(desk, webhook_id, catalog.WebhookCircuitOpened) == 1
    assert await kinds(desk, webhook_id, catalog.WebhookCircuitClosed) == 1


async def test_retry_after_leaves_the_endpoint_alone(desk: Desk, receiver: Receiver) -> None:
    """An endpoint that asks for an hour is told nothing in it, neither this event nor another."""
    webhook_id = await desk.hook(receiver, filters=STATEMENTS)
    claim = await desk.claim()
    receiver.status, receiver.headers = 429, "Retry-After: 3600\r\n"
    begun = of_queues.now_ms()
    async with desk.delivering():
        await desk.say(claim, 3)
        await until(lambda: is_so(desk, webhook_id, "failed", "1"))
        state = await desk.queues.state(webhook_id)
        assert begun + 3_600_000 <= int(state["quiet_until"]) <= of_queues.now_ms() + 3_600_000
        await asyncio.wait([asyncio.create_task(receiver.until(2, 0.3))])
    assert len(receiver.received) == 1
    (logged,) = (await desk.deliveries.of(webhook_id, int(receiver.received[0].said["sequence"])))[1]
    assert logged.attempted.retry_after == "3600"


async def test_no_more_attempts_are_made_at_once_than_the_webhook_may_have(desk: Desk, receiver: Receiver) -> None:
    """Concurrency is a bound, and it is used."""
    webhook_id = await desk.hook(receiver, filters=STATEMENTS, concurrency=3)
    claim = await desk.claim()
    async with desk.delivering():
        await desk.say(claim)
        await until(lambda: is_so(desk, webhook_id, "delivered", "1"))
        receiver.answering.clear()
        await desk.say(claim, 9)
        await until(lambda: is_asked(receiver))
        receiver.answering.set()
        await until(lambda: is_so(desk, webhook_id, "delivered", "10"))
    assert 1 <= receiver.most <= 3


async def test_attempts_are_made_no_faster_than_the_webhook_may_have(desk: Desk, receiver: Receiver) -> None:
    """A rate holds from one look at the queue to the next."""
    webhook_id = await desk.hook(receiver, filters=STATEMENTS, rate=20.0)
    claim = await desk.claim()
    await desk.say(claim, 10)
    async with desk.delivering():
        await receiver.until(1)
        begun = time.monotonic()
        await until(lambda: is_so(desk, webhook_id, "delivered", "10"))
    assert time.monotonic() - begun >= 8 / 20


async def test_a_slow_replay_holds_up_nothing_that_happens_now(desk: Desk, receiver: Receiver) -> None:
    """While old events come one in a hundred seconds, new ones come at once."""
    claim = await desk.claim()
    await desk.say(claim, 5)
    webhook_id = await desk.hook(receiver, filters=STATEMENTS)
    await desk.deliveries.replay(webhook_id, Replay(0, (await desk.ledger.head()).position, 0.01))
    async with desk.delivering():
        await receiver.until(1)
        await desk.say(claim, 3)
        await receiver.until(4)
    assert "replay" in await desk.queues.state(webhook_id)


async def test_a_webhook_that_is_enabled_again_is_not_judged_by_what_was(desk: Desk, receiver: Receiver) -> None:
    """After days of failures somebody mended it: the next failure is the first one, and is tried again."""
    webhook_id = await desk.hook(receiver, filters=STATEMENTS)
    claim = await desk.claim()
    async with desk.delivering((0.0, HOUR)):
        await desk.say(claim)
        await until(lambda: is_so(desk, webhook_id, "delivered", "1"))
        bad = {"failures": 40, "failing_since": 1, "is_open": 1, "opened": 9, "quiet_until": 0}
        await desk.store.hset(desk.ledger.keys.webhook(webhook_id, "state"), mapping=bad)
        receiver.status = 500
        await desk.say(claim)
        await until(lambda: has(desk, webhook_id, catalog.WebhookDisabled))
        await desk.registry.enable(webhook_id, desk.caller(), trusted=False)
        await until(lambda: is_so(desk, webhook_id, "opened", "0"))
        await due(desk, webhook_id)
        await until(lambda: is_so(desk, webhook_id, "failed", "2"))
    assert await kinds(desk, webhook_id, catalog.WebhookDisabled) == 1


async def has(desk: Desk, webhook_id: str, kind: type[Event]) -> bool:
    """Whether an event of a kind is on record of a webhook."""
    return await kinds(desk, webhook_id, kind) > 0


async def test_two_deliverers_of_one_ledger_lose_nothing_and_queue_nothing_twice(
    desk: Desk, receiver: Receiver
) -> None:
    """Also when a lease was lost and two work for a while, each event comes, and what comes again is the same."""
    webhook_id = await desk.hook(receiver, filters=STATEMENTS)
    claim = await desk.claim()
    async with desk.delivering(), desk.delivering():
        for _ in range(3):
            await desk.say(claim, 10)
            await receiver.until(1)
    async with desk.delivering():  # one of the two ends when the other was quicker
        await until(lambda: everything(receiver, 30))
        await until(lambda: waits_for_none(desk, webhook_id))
    bodies = {(each.headers["webhook-id"], each.body) for each in receiver.received}
    assert len(bodies) == 30


async def waits_for_none(desk: Desk, webhook_id: str) -> bool:
    """Whether nothing waits for a webhook."""
    return not (await desk.deliveries.listed(webhook_id, "waiting", None, 1)).items


async def test_a_webhook_registered_while_the_dispatcher_starts_is_told_what_comes_after_it(
    desk: Desk, receiver: Receiver
) -> None:
    """Whether it is first seen in the projection or in the ledger, no event after it is missed or queued twice."""
    async with receiving() as second:
        await desk.hook(receiver, filters=STATEMENTS)
        claim = await desk.claim()
        async with desk.delivering():
            registering = asyncio.create_task(desk.hook(second, filters=STATEMENTS))
            await desk.say(claim, 5)
            webhook_id = await registering
            await desk.say(claim, 5)
            at = (await desk.recorder.stream(webhook_id))[0].position
            expected = {
                entry.envelope.id for entry in await desk.ledger.read(at) if entry.envelope.type == "statement.recorded"
            }
            await until(lambda: everything(second, len(expected)))
        assert sorted(expected) == sorted(each.headers["webhook-id"] for each in second.received)


async def test_a_fault_of_one_webhook_is_not_one_of_the_others(desk: Desk, receiver: Receiver) -> None:
    """If the vault or the log lacks what one needs, the others are told all the same."""
    broken = await desk.hook(receiver, filters=STATEMENTS)
    await desk.store.zadd(desk.ledger.keys.webhook(broken, "queue"), {of_queues.Delivery(10**6, "").member: 1})
    await desk.queues.wake(broken)
    async with receiving() as other:
        await desk.hook(other, filters=Filters(types=("story.*",)))
        async with desk.delivering():
            await desk.claim()
            await other.until(1)
    assert not receiver.received


def test_a_look_says_when_something_is_to_be_fetched() -> None:
    """A replay with a rate is fetched from in time, and nothing is while the queue is long."""
    look = of_queues.Look([], 0, of_queues.Health(), replay=Replay(0, 9), replay_at=500)
    assert (look.fetches(499), look.fetches(500)) == (False, True)
    assert not structs.replace(look, waiting=of_queues.LONGEST_QUEUE).fetches(500)
    assert structs.replace(look, behind=3).fetches(0)


async def test_an_endpoint_that_order_holds_up_is_looked_at_when_that_ends(desk: Desk, receiver: Receiver) -> None:
    """While a claim's first event is not due, the store is not asked on and on; whatever comes for others is sent."""
    webhook_id = await desk.hook(receiver, filters=STATEMENTS, ordered="per_claim")
    claim, other = await desk.claim(), await desk.claim()
    receiver.answers.extend([500])
    async with desk.delivering((0.0, HOUR)):
        await desk.say(claim, 3)
        first = (await desk.ledger.head()).position - 2

        async def rests_long() -> bool:
            at = await desk.store.zscore(desk.ledger.keys.webhooks_due, webhook_id)
            return at is not None and at > (time.time() + HOUR / 2) * 1000

        await until(rests_long)
        assert len(receiver.received) == 1
        await desk.say(other)
        await receiver.until(2)
        await until(rests_long)
        await desk.say(claim)
        await until(lambda: waits_for(desk, webhook_id, 4))
        await until(rests_long)
        assert [int(each.said["sequence"]) for each in receiver.received] == [first, first + 3]
        await desk.deliveries.resend(webhook_id, first)
        await receiver.until(6)
        assert [int(each.said["sequence"]) for each in receiver.received[2:]] == [
            first,
            first + 1,
            first + 2,
            first + 4,
        ]


async def test_what_order_holds_up_is_sent_as_soon_as_the_first_is_due(desk: Desk, receiver: Receiver) -> None:
    """Nobody wakes it: the moment of the next attempt does."""
    await desk.hook(receiver, filters=STATEMENTS, ordered="per_claim")
    claim = await desk.claim()
    receiver.answers.extend([500])
    async with desk.delivering((0.0, 1.5)):
        await desk.say(claim, 3)
        begun = time.monotonic()
        await receiver.until(4)
        assert 1 < time.monotonic() - begun < 6
    sequences = [int(each.said["sequence"]) for each in receiver.received]
    assert sequences[1:] == [sequences[0], sequences[0] + 1, sequences[0] + 2]


async def waits_for(desk: Desk, webhook_id: str, count: int) -> bool:
    """Whether so many deliveries wait for a webhook."""
    return len((await desk.deliveries.listed(webhook_id, "waiting", None, 50)).items) == count
