"""Delivering the ledger to endpoints: what comes, how often, in which order, and what becomes of what does not."""

import asyncio
from typing import Any

import msgspec
import pytest
from standardwebhooks import Webhook as Verifier

from events import catalog
from events.endpoints import Filters
from service.webhooks import kept
from service.webhooks import queues as of_queues
from service.webhooks.queues import Replay
from tests.contract.delivering import QUICK, Desk, everything, is_so, until
from tests.e2e.receiving import Receiver, receiving


async def test_the_ledger_s_bytes_arrive_signed_each_event_once(desk: Desk, receiver: Receiver) -> None:
    """Body and ledger are the same bytes, the identifier is the event's, and the signature verifies."""
    webhook_id = await desk.hook(receiver)
    async with desk.delivering():
        claim = await desk.claim()
        await desk.say(claim, 3)
        head = (await desk.ledger.head()).position
        await receiver.until(head - 2)
    entries = await desk.ledger.read(2)
    assert {entry.raw for entry in entries} == {each.body for each in receiver.received}
    assert len(receiver.received) == len(entries)
    by_id = {each.headers["webhook-id"]: each.body for each in receiver.received}
    assert by_id == {entry.envelope.id: entry.raw for entry in entries}
    document = (await desk.recorder.stream(webhook_id))[0].event
    assert isinstance(document, catalog.WebhookRegistered)
    secrets = (await kept.kept(desk.vault, [document.kept]))[document.kept].secrets
    for each in receiver.received:
        Verifier(secrets[0].secret).verify(each.body, each.headers)


async def test_only_what_the_filters_let_through_arrives(desk: Desk, receiver: Receiver) -> None:
    """Types, claims and states filter; what came before the webhook was registered is not sent."""
    claim, other = await desk.claim(), await desk.claim()
    await desk.say(claim)
    await desk.hook(receiver, filters=Filters(types=("statement.*",), claims=(claim,)))
    async with desk.delivering():
        await desk.say(other)
        await desk.say(claim)
        (message,) = await receiver.until(1)
        assert (await desk.ledger.head()).position == message.said["data"].get(
            "position", int(message.said["sequence"])
        )
    assert message.said["type"] == "statement.recorded"


async def test_a_failed_attempt_is_tried_again_and_is_logged(desk: Desk, receiver: Receiver) -> None:
    """The same event comes again until it is taken, with the same identifier and body; every attempt is in the log."""
    webhook_id = await desk.hook(receiver, filters=Filters(types=("story.opened",)))
    receiver.answers.extend([500, 302])
    async with desk.delivering():
        await desk.claim()
        first, second, third = await receiver.until(3)
        assert first.body == second.body == third.body
        assert first.headers["webhook-id"] == third.headers["webhook-id"]
        await until(lambda: is_so(desk, webhook_id, "delivered", "1"))
    state = await desk.queues.state(webhook_id)
    assert (state["attempts"], state["failed"], state["delivered"]) == ("3", "2", "1")


async def test_what_is_never_taken_is_dead_after_the_last_attempt(desk: Desk, receiver: Receiver) -> None:
    """After as many attempts as the schedule has, a delivery is given up and kept among the dead."""
    webhook_id = await desk.hook(receiver, filters=Filters(types=("story.opened",)))
    receiver.status = 500
    async with desk.delivering():
        await desk.claim()
        await until(lambda: is_so(desk, webhook_id, "dead", "1"))
    assert len(QUICK) == len(receiver.received)


async def test_410_disables(desk: Desk, receiver: Receiver) -> None:
    """An endpoint that says it is gone is told nothing any more, and that is on record."""
    webhook_id = await desk.hook(receiver)
    receiver.status = 410
    async with desk.delivering():
        await desk.claim()

        async def is_disabled() -> bool:
            last = (await desk.recorder.stream(webhook_id))[-1].event
            return isinstance(last, catalog.WebhookDisabled) and last.why == "gone"

        await until(is_disabled)
        await desk.claim()
    assert len(receiver.received) == 1


async def test_in_order_of_the_claim_a_later_event_waits_for_an_earlier_one(desk: Desk, receiver: Receiver) -> None:
    """With order per claim nothing overtakes what is tried again; other claims do not wait."""
    await desk.hook(receiver, filters=Filters(types=("statement.recorded",)), ordered="per_claim")
    claim, other = await desk.claim(), await desk.claim()
    async with desk.delivering():
        receiver.answers.extend([500])
        await desk.say(claim, 4)
        await desk.say(other, 2)
        await receiver.until(7)
    taken: dict[str, list[str]] = {}
    for message in receiver.received[1:]:
        taken.setdefault(message.said["data"]["claim_id"], []).append(message.said["sequence"])
    assert all(sequences == sorted(sequences) for sequences in taken.values())
    assert [len(taken[each]) for each in (claim, other)] == [4, 2]


async def test_a_deliverer_that_was_ended_loses_nothing(desk: Desk, receiver: Receiver) -> None:
    """Whatever was appended while none ran, and whatever was under way, arrives when one runs again."""
    await desk.hook(receiver)
    claim = await desk.claim()
    async with desk.delivering():
        await receiver.until(1)
    await desk.say(claim, 20)
    for _ in range(4):
        async with desk.delivering() as running:
            await asyncio.wait([running], timeout=0.05)
    head = (await desk.ledger.head()).position
    async with desk.delivering():
        await until(lambda: everything(receiver, head - 2))
    assert {int(each.said["sequence"]) for each in receiver.received} == set(range(3, head + 1))


async def test_a_dead_endpoint_holds_up_no_other(desk: Desk, receiver: Receiver) -> None:
    """One that accepts and never answers is waited for; the others are told at once meanwhile."""
    async with receiving() as stuck:
        stuck.answers_at_all = False
        for _ in range(20):
            await desk.hook(stuck)
        await desk.hook(receiver, filters=Filters(types=("statement.recorded",)))
        claim = await desk.claim()
        async with desk.delivering():
            await desk.say(claim, 10)
            await receiver.until(10, seconds=10)


async def dead(desk: Desk, receiver: Receiver, count: int, **more: Any) -> str:
    """Register a webhook, and let so many events of statements be given up."""
    webhook_id = await desk.hook(receiver, filters=Filters(types=("statement.recorded",)), **more)
    receiver.status = 500
    claim = await desk.claim()
    async with desk.delivering((0.0,)):
        for n in range(count):
            await desk.say(claim)
            await until(lambda n=n: is_so(desk, webhook_id, "dead", str(n + 1)))  # type: ignore[misc]
    receiver.received.clear()
    receiver.status = 204
    return webhook_id


async def test_all_that_was_given_up_since_is_told_again(desk: Desk, receiver: Receiver) -> None:
    """Recovering queues the dead deliveries, and they arrive in order."""
    webhook_id = await dead(desk, receiver, 3)
    page = await desk.deliveries.listed(webhook_id, "dead", None, 2)
    rest = await desk.deliveries.listed(webhook_id, "dead", page.next_after, 2)
    assert (len(page.items), len(rest.items), rest.next_after) == (2, 1, None)
    assert await desk.deliveries.recover(webhook_id, of_queues.now_ms() + 1000) == 0
    assert await desk.deliveries.recover(webhook_id, 0) == 3
    async with desk.delivering():
        received = await receiver.until(3)
    sequences = [each.said["sequence"] for each in received]
    assert sequences == sorted(sequences)
    assert await desk.deliveries.recover(webhook_id, 0) == 0


async def test_one_event_is_sent_again_whatever_the_filters_say(desk: Desk, receiver: Receiver) -> None:
    """Resending is for one event, also one that the webhook was never told."""
    webhook_id = await desk.hook(receiver, filters=Filters(types=("statement.recorded",)))
    await desk.claim()
    async with desk.delivering():
        await desk.deliveries.resend(webhook_id, 1)
        (message,) = await receiver.until(1)
        await until(lambda: is_so(desk, webhook_id, "delivered", "1"))
    assert message.said["type"] == "ledger.created"
    kept_, attempts = await desk.deliveries.of(webhook_id, 1)
    assert (kept_, [each.became for each in attempts]) == (None, ["delivered"])


async def test_a_replay_tells_everything_from_a_position_on(desk: Desk, receiver: Receiver) -> None:
    """What came before the webhook was registered arrives too, as far as its filters let it, and at its rate."""
    claim = await desk.claim()
    await desk.say(claim, 5)
    webhook_id = await desk.hook(receiver, filters=Filters(types=("statement.recorded",)))
    head = (await desk.ledger.head()).position
    await desk.deliveries.replay(webhook_id, Replay(0, head, 50))
    async with desk.delivering():
        await receiver.until(5)

        async def is_over() -> bool:
            return "replay" not in await desk.queues.state(webhook_id)

        await until(is_over)
    assert len(receiver.received) == 5


async def test_what_a_full_queue_cannot_take_is_fetched_from_the_ledger(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endpoint that is away for long loses nothing, though its queue is bounded."""
    monkeypatch.setattr(of_queues, "LONGEST_QUEUE", 4)
    await desk.hook(receiver, filters=Filters(types=("statement.recorded",)))
    claim = await desk.claim()
    await desk.say(claim, 30)
    async with desk.delivering():
        await until(lambda: everything(receiver, 30))


async def test_the_circuit_opens_is_on_record_and_closes(desk: Desk, receiver: Receiver) -> None:
    """After failures in a row the endpoint is left alone, which is recorded once, and is not sent to itself."""
    webhook_id = await desk.hook(receiver)
    receiver.status = 500
    claim = await desk.claim()
    async with desk.delivering((0.0, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01)):

        async def is_open() -> bool:
            return any(
                isinstance(it.event, catalog.WebhookCircuitOpened) for it in await desk.recorder.stream(webhook_id)
            )

        await until(is_open)
        before = len(receiver.received)
        await desk.say(claim, 5)
    assert before == len(receiver.received)
    state = await desk.queues.state(webhook_id)
    assert (state["is_open"], state["failures"]) == ("1", "5")
    receiver.status = 204
    await desk.store.hset(desk.ledger.keys.webhook(webhook_id, "state"), "quiet_until", 0)
    async with desk.delivering():
        await until(lambda: is_so(desk, webhook_id, "is_open", "0"))
        await until(lambda: everything(receiver, len(("story", "claim", "source")) + 5))
    types = {each.said["type"] for each in receiver.received}
    assert "webhook.circuit_opened" not in types


async def test_the_log_has_each_attempt_without_secrets(desk: Desk, receiver: Receiver) -> None:
    """What was sent and answered is kept, the newest first, in pages; signatures and own headers are not."""
    webhook_id = await desk.hook(receiver, filters=Filters(types=("story.opened",)))
    receiver.answers.append(503)
    async with desk.delivering():
        await desk.claim()
        await until(lambda: is_so(desk, webhook_id, "delivered", "1"))
    page = await desk.deliveries.attempts(webhook_id, None, 1)
    rest = await desk.deliveries.attempts(webhook_id, page.next_after, 5)
    newest, oldest = (msgspec.json.decode(each) for each in (*page.items, *rest.items))
    assert (newest["attempt"], newest["became"], newest["attempted"]["status"]) == (2, "delivered", 204)
    assert (oldest["attempt"], oldest["became"], oldest["attempted"]["status"]) == (1, "retry", 503)
    assert newest["attempted"]["request_headers"]["webhook-signature"] == "…"
    assert newest["event_id"] == newest["attempted"]["request_headers"]["webhook-id"]
