"""How the deliveries of a webhook go: what is counted of them, and how its endpoint does now."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from events.keys import LedgerKeys
from events.store import Store, answering
from service.webhooks.queues import DISPATCHER, Replay, health_in, now_ms


class Counters(Struct, frozen=True):
    """What was made of a webhook's deliveries. Attempts are counted since it was registered.

    ``waiting`` and ``dead`` are the deliveries that are so now. ``circuit`` is open while the endpoint is left alone
    after failures, and half-open when one delivery is to find out whether it is back. ``quiet_until`` is the moment (ms
    since 1970) before which nothing is sent. ``behind`` is the position after which events are still to be fetched from
    the ledger, because the queue was full.
    """

    attempts: int
    delivered: int
    failed: int
    waiting: int
    dead: int
    circuit: Literal["closed", "open", "half_open"]
    quiet_until: int | None = None
    behind: int | None = None
    replay: Replay | None = None


class Dispatched(Struct, frozen=True):
    """How far a ledger's dispatcher is, None if it never began; and for how many webhooks something waits."""

    place: int | None
    waiting: int


async def dispatched(store: Store, keys: LedgerKeys) -> Dispatched:
    """Return how the webhooks of a ledger stand."""
    with answering():
        pipeline = store.pipeline(transaction=False)
        pipeline.get(keys.duty(DISPATCHER))
        pipeline.zcard(keys.webhooks_due)
        place, waiting = await pipeline.execute()
    return Dispatched(None if place is None else int(place), waiting)


async def counters(store: Store, keys: LedgerKeys, webhook_ids: Sequence[str]) -> list[Counters]:
    """Return the counters of webhooks, in one round trip."""
    with answering():
        pipeline = store.pipeline(transaction=False)
        for webhook_id in webhook_ids:
            pipeline.hgetall(keys.webhook(webhook_id, "state"))
            pipeline.zcard(keys.webhook(webhook_id, "queue"))
            pipeline.zcard(keys.webhook(webhook_id, "dead"))
        found = await pipeline.execute() if webhook_ids else []
    states = [{name.decode(): value.decode() for name, value in fields.items()} for fields in found[::3]]
    return [_of(*each) for each in zip(states, found[1::3], found[2::3], strict=True)]


def _of(state: Mapping[str, str], waiting: int, dead: int) -> Counters:
    health, now = health_in(state), now_ms()
    is_quiet = health.quiet_until > now
    circuit: Literal["closed", "open", "half_open"] = "open" if is_quiet else "half_open"
    return Counters(
        int(state.get("attempts", 0)),
        int(state.get("delivered", 0)),
        int(state.get("failed", 0)),
        waiting,
        dead,
        circuit if health.is_open else "closed",
        health.quiet_until if is_quiet else None,
        int(state["behind"]) if "behind" in state else None,
        msgspec.json.decode(state["replay"], type=Replay) if "replay" in state else None,
    )
