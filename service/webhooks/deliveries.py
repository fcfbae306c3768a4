"""What became of deliveries, and telling again: one, all that failed since, or everything from a position on."""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from events.ledger import Ledger
from events.store import Script, Store, answering
from service.verification.refusals import AlreadyRecorded, NotOnRecord
from service.webhooks.attempts import Logged
from service.webhooks.queues import Delivery, Replay, Tries, now_ms
from service.webhooks.traits import Traits

_REQUEUE = Script("service.webhooks", "requeue.lua")
_CHUNK: Final = 500
Status: TypeAlias = Literal["waiting", "dead"]
_PARTS: Final[dict[Status, str]] = {"waiting": "queue", "dead": "dead"}


class Kept(Struct, frozen=True):
    """A delivery that waits, or that was given up: ``at`` is when it is tried next, or was given up (ms)."""

    position: int
    status: Status
    at: int
    attempts: int = 0
    claim_id: str | None = None


class Page(NamedTuple):
    """A page of a list in JSON, and where the next one begins; None at the end."""

    items: list[bytes]
    next_after: str | None


class Deliveries:
    """The deliveries of one ledger's webhooks."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store, self._ledger, self._keys = store, ledger, ledger.keys

    async def attempts(self, webhook_id: str, after: str | None, limit: int) -> Page:
        """Return attempts, the newest first; ``after`` is where an earlier page ended.

        Raises ``ValueError`` for what is no such place.
        """
        end = "+"
        if after is not None:
            milliseconds, dash, number = after.partition("-")
            if not (dash and milliseconds.isdigit() and number.isdigit()):
                raise ValueError(after)
            end = f"({after}"
        with answering():
            found = await self._store.xrevrange(self._keys.webhook(webhook_id, "log"), max=end, count=limit + 1)
        page = found[:limit]
        return Page([fields[b"a"] for _, fields in page], page[-1][0].decode() if len(found) > limit else None)

    async def listed(self, webhook_id: str, status: Status, after: str | None, limit: int) -> Page:
        """Return the deliveries that wait, or are dead, in the order of their moments.

        Raises ``ValueError`` for a place where no page ended.
        """
        score, _, last = (after or "0-").partition("-")
        begin = int(score)
        where = self._keys.webhook(webhook_id, _PARTS[status])
        with answering():
            found = await self._store.zrangebyscore(where, begin, "+inf", start=0, num=limit + _CHUNK, withscores=True)
            places = [(int(at), Delivery.parse(member)) for member, at in found]
            rest = [place for place in places if place > (begin, Delivery(int(last or 0), "~"))] if after else places
            page = rest[:limit]
            members = [delivery.member for _, delivery in page]
            made = await self._store.hmget(self._keys.webhook(webhook_id, "tries"), members) if members else []
        items = [
            Kept(delivery.position, status, at, _made(tries), delivery.claim_id or None)
            for (at, delivery), tries in zip(page, made, strict=True)
        ]
        more = len(rest) > limit
        next_after = f"{page[-1][0]}-{page[-1][1].position}" if more else None
        return Page([msgspec.json.encode(item) for item in items], next_after)

    async def of(self, webhook_id: str, position: int) -> tuple[Kept | None, list[Logged]]:
        """Return whether a delivery waits or is dead, and those of its attempts that are still in the log."""
        member = (await self._delivery(position)).member
        with answering():
            pipeline = self._store.pipeline(transaction=False)
            for part in _PARTS.values():
                pipeline.zscore(self._keys.webhook(webhook_id, part), member)
            pipeline.hget(self._keys.webhook(webhook_id, "tries"), member)
            pipeline.xrange(self._keys.webhook(webhook_id, "log"))
            *scores, tries, log = await pipeline.execute()
        kept = next(
            (
                Kept(position, status, int(score), _made(tries))
                for status, score in zip(_PARTS, scores, strict=True)
                if score is not None
            ),
            None,
        )
        every = (msgspec.json.decode(fields[b"a"], type=Logged) for _, fields in log)
        return kept, [each for each in every if each.position == position]

    async def resend(self, webhook_id: str, position: int) -> None:
        """Let a webhook be told one event now, whatever its filters say. Raises ``NotOnRecord`` if there is none."""
        await self._requeue(webhook_id, [await self._delivery(position)], Tries(0, 0, forced=True))

    async def recover(self, webhook_id: str, since: int) -> int:
        """Let a webhook be told again all that was given up since then (ms); return how many deliveries that is."""
        count = 0
        dead = self._keys.webhook(webhook_id, "dead")
        while True:
            with answering():
                members = await self._store.zrangebyscore(dead, since, "+inf", start=0, num=_CHUNK)
            if not members:
                return count
            count += await self._requeue(webhook_id, [Delivery.parse(each) for each in members], None, only_dead=True)

    async def replay(self, webhook_id: str, replay: Replay) -> None:
        """Let a webhook be told events again that its filters let through. Raises ``AlreadyRecorded`` if it is."""
        state = self._keys.webhook(webhook_id, "state")
        with answering():
            begun = await self._store.hsetnx(state, "replay", msgspec.json.encode(replay).decode())
            if begun:
                await self._store.zadd(self._keys.webhooks_due, {webhook_id: now_ms()})
        if not begun:
            raise AlreadyRecorded("a replay is under way; it can be ended first")

    async def end_replay(self, webhook_id: str) -> bool:
        """End a replay: what it queued is still sent. Return whether there was one."""
        with answering():
            return bool(await self._store.hdel(self._keys.webhook(webhook_id, "state"), "replay"))

    async def _requeue(
        self, webhook_id: str, deliveries: Sequence[Delivery], tries: Tries | None, *, only_dead: bool = False
    ) -> int:
        keys = [self._keys.webhook(webhook_id, part) for part in ("queue", "tries", "dead")]
        kept = b"" if tries is None else msgspec.json.encode(tries)
        args: list[Any] = [webhook_id, now_ms(), kept, int(only_dead), *(each.member for each in deliveries)]
        with answering():
            return int(await _REQUEUE.run(self._store, [*keys, self._keys.webhooks_due], args))

    async def _delivery(self, position: int) -> Delivery:
        if position > (await self._ledger.head()).position:
            raise NotOnRecord(f"there is no event {position}")
        (entry,) = await self._ledger.at(iter([position]))
        return Delivery(position, Traits(entry).claim)


def _made(raw: bytes | None) -> int:
    return msgspec.json.decode(raw, type=Tries).made if raw else 0
