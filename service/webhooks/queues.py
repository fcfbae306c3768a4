"""The queues of the webhooks of one ledger: which events each is still to be told, and how its endpoint does.

A queue holds positions; the events stay in the ledger. Everything an attempt changes is written in one script.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct
from redis.exceptions import NoScriptError

from events.keys import LedgerKeys
from events.store import Script, Store, answering
from service.webhooks.schedule import Health

LONGEST_QUEUE: Final = 10_000
"""Deliveries that wait for one webhook; what is more is fetched from the ledger later."""
MOST_LOGGED: Final = 500
"""Attempts that are kept of one webhook."""
MOST_DEAD: Final = 10_000
DISPATCHER: Final = "dispatcher"
"""The duty of putting events into the queues, and its place in the ledger."""
Became: TypeAlias = Literal["delivered", "retry", "dead", "dropped"]
_DISPATCH = Script("service.webhooks", "dispatch.lua")
_SETTLE = Script("service.webhooks", "settle.lua")
_FETCHED = Script("service.webhooks", "fetched.lua")
_REST = Script("service.webhooks", "rest.lua")
BETWEEN_TOLD: Final = 3_600_000
"""Milliseconds between two events about the circuit of one webhook."""
FETCHES_BELOW: Final = LONGEST_QUEUE // 2
"""Deliveries in a queue below which a webhook fetches from the ledger."""
_MOST_DUE = 1_000
_MOST_AT_ONCE = 64
"""Attempts that are written in one round trip."""


class Delivery(NamedTuple):
    """One event for one webhook, and the claim that the event is about, if it is about one."""

    position: int
    claim_id: str

    @property
    def member(self) -> str:
        """Return how a queue holds it; in the order of the positions."""
        return f"{self.position:016d} {self.claim_id}"

    @classmethod
    def parse(cls, member: bytes | str) -> "Delivery":
        """Return the delivery that a member of a queue is."""
        text = member.decode() if isinstance(member, bytes) else member
        return cls(int(text[:16]), text[17:])


class Tries(Struct, frozen=True, array_like=True):
    """What came of a delivery until now: attempts, and when the first was (ms). ``forced``: whatever filters say."""

    made: int = 0
    first_at: int = 0
    forced: bool = False


class Replay(Struct, frozen=True):
    """Events after ``after`` up to ``end`` that a webhook is told again, ``rate`` a second if that is given."""

    after: int
    end: int
    rate: float | None = None


class Look(Struct, frozen=True):
    """How the deliveries of a webhook are: those to be tried now, by position; how many wait; how its endpoint does.

    ``behind`` is the position after which it fetches from the ledger what its full queue could not take.
    ``told`` is what was last recorded of its circuit, and ``told_at`` when (ms).
    """

    due: list[tuple[Delivery, Tries]]
    waiting: int
    health: Health
    behind: int | None = None
    replay: Replay | None = None
    replay_as_written: str = ""
    told: bool = False
    told_at: int = 0
    delivered: int = 0
    replay_at: int = 0
    """From when on the next part of the replay may be fetched (ms)."""
    version: int = 0
    """How many events the webhook's stream has."""
    held_up: "HeldUp | None" = None

    def fetches(self, now: int) -> bool:
        """Whether something is to be fetched from the ledger."""
        has_more = self.behind is not None or (self.replay is not None and self.replay_at <= now)
        return has_more and self.waiting < FETCHES_BELOW

    def has_to_tell(self, now: int) -> bool:
        """Whether it is to be recorded that the circuit opened or closed."""
        return self.health.is_open != self.told and now - self.told_at >= BETWEEN_TOLD

    @property
    def is_proven(self) -> bool:
        """Whether its endpoint took what it was last sent, so that several attempts may be made at once."""
        return self.delivered > 0 and self.health.failures == 0


class HeldUp(Struct, frozen=True):
    """A queue in which order lets nothing be tried before ``until`` (ms), if it is still as it was.

    It held ``waiting`` deliveries then, and of ``due`` of them the moment had come.
    """

    waiting: int
    due: int
    until: int


class Settled(Struct, frozen=True):
    """What one attempt came to, as it is written. ``log`` is its entry in JSON; ``state`` are fields of the state."""

    webhook_id: str
    delivery: Delivery
    before: Tries
    became: Became
    retry_at: int = 0
    log: bytes = b""
    comes_back: bool = False
    """Whether the endpoint was left alone until now: what waits for it is due at once, in the ledger's order."""
    state: Mapping[str, str | int] = {}


def now_ms() -> int:
    """Return the present moment in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Queues:
    """The queues of one ledger, in the store."""

    def __init__(self, store: Store, keys: LedgerKeys) -> None:
        self._store, self._keys = store, keys
        self._settling: list[tuple[Settled, asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------------------- from the ledger

    async def place(self) -> int | None:
        """Return the position up to which events are queued; None if the dispatcher never began."""
        with answering():
            found = await self._store.get(self._keys.duty(DISPATCHER))
        return None if found is None else int(found)

    async def begin(self, position: int) -> None:
        """Let the dispatcher begin after a position, unless it has begun already."""
        with answering():
            await self._store.set(self._keys.duty(DISPATCHER), position, nx=True)

    async def dispatch(self, before: int, after: int, matches: Mapping[str, Sequence[Delivery]]) -> bool:
        """Queue the events of a batch for the webhooks that they concern. Return whether nobody else did."""
        keys = [self._keys.duty(DISPATCHER), self._keys.webhooks_due]
        packed: list[tuple[str, int, list[str]]] = []
        for webhook_id, deliveries in matches.items():
            packed.append((webhook_id, len(keys) + 1, [delivery.member for delivery in deliveries]))
            keys += [self._keys.webhook(webhook_id, part) for part in ("queue", "state")]
        args: list[Any] = [before, after, now_ms(), LONGEST_QUEUE, msgspec.msgpack.encode(packed)]
        with answering():
            return bool(await _DISPATCH.run(self._store, keys, args))

    async def fetched(
        self, webhook_id: str, look: Look, deliveries: Sequence[Delivery], to: int, *, next_at: int = 0
    ) -> bool:
        """Queue what a webhook fetched from the ledger by itself, up to ``to``; return whether nobody else did.

        It is what its queue could not take, if it is behind, else a part of its replay, the next one not before
        ``next_at`` (ms).
        """
        if look.behind is not None or look.replay is None:
            field, before, after = "behind", str(look.behind), str(to)
        else:
            field, before = "replay", look.replay_as_written
            after = "" if to >= look.replay.end else _encoded(Replay(to, look.replay.end, look.replay.rate))
        keys = [self._keys.webhook(webhook_id, part) for part in ("queue", "state")]
        keys += [self._keys.webhooks_due, self._keys.duty(DISPATCHER)]
        args: list[Any] = [webhook_id, field, before, after, now_ms(), next_at]
        args += [delivery.member for delivery in deliveries]
        with answering():
            return bool(await _FETCHED.run(self._store, keys, args))

    # ------------------------------------------------------------------------------------- what is due

    async def due(self, now: int) -> list[str]:
        """Return the webhooks that are to be looked at now, the longest due first; a bounded number."""
        with answering():
            found = await self._store.zrangebyscore(self._keys.webhooks_due, "-inf", now, start=0, num=_MOST_DUE)
        return [each.decode() for each in found]

    async def next_due(self) -> int | None:
        """Return when the next webhook is to be looked at (ms)."""
        with answering():
            found = await self._store.zrange(self._keys.webhooks_due, 0, 0, withscores=True)
        return int(found[0][1]) if found else None

    async def look_again(self, webhook_ids: Sequence[str], at: int) -> None:
        """Look at webhooks then, if anything waits for them."""
        if webhook_ids:
            with answering():
                await self._store.zadd(self._keys.webhooks_due, dict.fromkeys(webhook_ids, at), xx=True)

    async def wake(self, webhook_id: str) -> None:
        """Look at a webhook now, whatever waits for it."""
        with answering():
            await self._store.zadd(self._keys.webhooks_due, {webhook_id: now_ms()})

    async def rest(self, webhook_id: str, *, earliest: int = 0, held_up: HeldUp | None = None) -> bool:
        """Look at a webhook when something is next to be done for it. Return whether there is anything."""
        keys = [self._keys.webhook(webhook_id, part) for part in ("queue", "state")]
        args: list[Any] = [webhook_id, now_ms(), earliest, FETCHES_BELOW, BETWEEN_TOLD]
        args += [held_up.waiting, held_up.due, held_up.until] if held_up else []
        with answering():
            return bool(await _REST.run(self._store, [*keys, self._keys.webhooks_due], args))

    async def leave(self, webhook_id: str) -> None:
        """Look at a webhook no more until it is woken; what waits for it stays."""
        with answering():
            await self._store.zrem(self._keys.webhooks_due, webhook_id)

    async def all_due(self) -> None:
        """Look at every webhook for which anything waits now, whoever looked at it before."""
        with answering():
            names = [name async for name, _ in self._store.zscan_iter(self._keys.webhooks_due, count=1000)]
            for begin in range(0, len(names), _MOST_DUE):
                scores = dict.fromkeys(names[begin : begin + _MOST_DUE], now_ms())
                await self._store.zadd(self._keys.webhooks_due, scores, xx=True)

    async def look(self, webhook_id: str, most: int, *, ordered: bool = False) -> Look:
        """Return how the deliveries of a webhook are, with at most ``most`` that are to be tried now.

        ``ordered``: of each claim only the first that waits, and only when that one is due.
        """
        queue, tries, state = (self._keys.webhook(webhook_id, part) for part in ("queue", "tries", "state"))
        now = now_ms()
        with answering():
            pipeline = self._store.pipeline(transaction=False)
            pipeline.zcard(queue)
            pipeline.hgetall(state)
            pipeline.llen(self._keys.positions(webhook_id))
            if ordered:
                pipeline.zrange(queue, 0, -1, withscores=True)
            else:
                pipeline.zrangebyscore(queue, "-inf", now, start=0, num=most, withscores=True)
            waiting, fields, version, members = await pipeline.execute()
            waits = sorted((Delivery.parse(name), int(score)) for name, score in members)
            held_up = None
            if ordered:
                its_moment_has_come = sum(score <= now for _, score in waits)
                waits = list(_first_of_each_claim(waits))
                if waits and (until := min(score for _, score in waits)) > now:
                    held_up = HeldUp(waiting, its_moment_has_come, until)
            due = [delivery for delivery, score in waits if score <= now][:most]
            made = await self._store.hmget(tries, [delivery.member for delivery in due]) if due else []
        known = {name.decode(): value.decode() for name, value in fields.items()}
        return Look(
            [(delivery, _tries(each)) for delivery, each in zip(due, made, strict=True)],
            waiting,
            health_in(known),
            int(known["behind"]) if "behind" in known else None,
            msgspec.json.decode(known["replay"], type=Replay) if "replay" in known else None,
            known.get("replay", ""),
            known.get("told") == "1",
            int(known.get("told_at", 0)),
            int(known.get("delivered", 0)),
            int(known.get("replay_at", 0)),
            version,
            held_up,
        )

    async def state(self, webhook_id: str) -> dict[str, str]:
        """Return the counters of a webhook, and how its endpoint does."""
        with answering():
            fields = await self._store.hgetall(self._keys.webhook(webhook_id, "state"))
        return {name.decode(): value.decode() for name, value in fields.items()}

    # -------------------------------------------------------------------------------- what was done

    async def settle(self, settled: Settled) -> None:
        """Write what an attempt came to, together with others that end meanwhile; on disk when this returns."""
        outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._settling.append((settled, outcome))
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        await outcome

    async def settled(self) -> None:
        """Wait until whatever is being written is written."""
        while self._flushing is not None:
            await asyncio.wait([self._flushing])

    async def afresh(self, webhook_id: str) -> None:
        """Forget how the endpoint of a webhook did, which is told again after it was not."""
        with answering():
            await self._store.hset(self._keys.webhook(webhook_id, "state"), mapping=state_of(Health()))

    async def told(self, webhook_id: str, *, open_: bool, at: int) -> None:
        """Keep what is recorded of a webhook's circuit, and when."""
        with answering():
            await self._store.hset(self._keys.webhook(webhook_id, "state"), mapping={"told": int(open_), "told_at": at})

    async def forget(self, webhook_id: str) -> None:
        """Delete the queue, the log and all else that is kept of a deleted webhook's deliveries."""
        with answering():
            await self._store.zrem(self._keys.webhooks_due, webhook_id)
            for part in ("queue", "tries", "state", "log", "dead"):
                await self._store.unlink(self._keys.webhook(webhook_id, part))

    async def _flush(self) -> None:
        try:
            while self._settling:
                together, self._settling = self._settling[:_MOST_AT_ONCE], self._settling[_MOST_AT_ONCE:]
                with _each_told([outcome for _, outcome in together]):
                    await self._write([settled for settled, _ in together])
        finally:
            self._flushing = None

    async def _write(self, together: Sequence[Settled]) -> None:
        with answering():
            while True:
                pipeline = self._store.pipeline(transaction=False)
                for settled in together:
                    _SETTLE.queue(pipeline, *self._written(settled))
                try:
                    await pipeline.execute()
                except NoScriptError:
                    await _SETTLE.load(self._store)
                else:
                    return

    def _written(self, settled: Settled) -> tuple[list[str], list[Any]]:
        parts = ("queue", "tries", "state", "log", "dead")
        keys = [self._keys.webhook(settled.webhook_id, part) for part in parts]
        now, before = now_ms(), settled.before
        after = Tries(before.made + 1, before.first_at or now, before.forced)
        args: list[Any] = [settled.delivery.member, before.made, now, settled.became]
        args += [settled.retry_at, msgspec.json.encode(after), settled.log, MOST_LOGGED, MOST_DEAD]
        args.append(int(settled.comes_back))
        return keys, args + [part for pair in settled.state.items() for part in pair]


def state_of(health: Health) -> dict[str, str | int]:
    """Return how an endpoint does as fields of the state."""
    return {name: int(getattr(health, name)) for name in Health.__struct_fields__}


def health_in(known: Mapping[str, str]) -> Health:
    """Return how an endpoint does, from the fields of the state."""
    found = {name: known[name] for name in Health.__struct_fields__ if name in known}
    return msgspec.convert(found, Health, strict=False)


def _first_of_each_claim(waits: Sequence[tuple[Delivery, int]]) -> Iterator[tuple[Delivery, int]]:
    """Yield the first of each claim; what is about no claim waits for nothing."""
    seen = set()
    for delivery, score in waits:
        if not delivery.claim_id or delivery.claim_id not in seen:
            seen.add(delivery.claim_id)
            yield delivery, score


def _tries(raw: bytes | None) -> Tries:
    return msgspec.json.decode(raw, type=Tries) if raw else Tries()


def _encoded(replay: Replay) -> str:
    return msgspec.json.encode(replay).decode()


@contextmanager
def _each_told(outcomes: Sequence[asyncio.Future[None]]) -> Iterator[None]:
    """Tell all of them what comes of it."""
    failure: Exception | None = None
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whoever waits raises it
        failure = error
    except BaseException:
        for outcome in outcomes:
            outcome.cancel()
        raise
    for outcome in outcomes:
        if outcome.done():
            continue
        if failure is None:
            outcome.set_result(None)
        else:
            outcome.set_exception(failure)
