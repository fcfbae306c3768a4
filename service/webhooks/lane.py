"""A lane: the attempts that one webhook has while the others wait for theirs, and how its endpoint does meanwhile."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from events import catalog
from events.catalog import Event
from events.envelope import Entry
from service.projections.documents import WebhookDocument
from service.verification.commands import Caller, Recorder
from service.verification.fold import Happened
from service.verification.refusals import AlreadyRecorded, Refusal
from service.webhooks import attempts, schedule
from service.webhooks.attempts import Attempted, Logged, Observed, attempt
from service.webhooks.egress import Egress
from service.webhooks.formats import Formats
from service.webhooks.kept import Kept
from service.webhooks.matching import concerns
from service.webhooks.queues import BETWEEN_TOLD, Became, Delivery, Look, Queues, Settled, Tries, now_ms, state_of
from service.webhooks.registry import folded
from service.webhooks.schedule import Health, Verdict
from service.webhooks.slots import Slots
from service.webhooks.traits import Traits

_LOG = structlog.get_logger("onrecord.webhooks")


class Tools:
    """What every lane works with."""

    def __init__(  # noqa: PLR0913 - each is another thing
        self,
        queues: Queues,
        recorder: Recorder,
        egress: Egress,
        formats: Formats,
        key: Ed25519PrivateKey,
        attempts: Sequence[float],
    ) -> None:
        self.queues, self.recorder, self.egress, self.formats, self.key = queues, recorder, egress, formats, key
        self.schedule = attempts
        self.slots = Slots()


class _Told(Struct, frozen=True):
    """What is written of an endpoint beside an attempt: how it does, and what was recorded of its circuit."""

    health: Health
    open: bool
    at: int


class Tried(Struct, frozen=True):
    """An attempt that was made, or was not to be made any more, and is still to be written.

    ``retry_at`` is when the next one is (ms), ``log`` its entry in JSON, ``seconds`` how long it took.
    """

    delivery: Delivery
    before: Tries
    became: Became
    retry_at: int = 0
    log: bytes = b""
    seconds: float = 0.0
    disable: Literal["gone", "failing"] | None = None


class Lane:
    """Makes attempts for one webhook. ``health`` is how its endpoint does now.

    ``known`` returns what is known of a webhook at the moment; ``entrusted`` is what the vault has of this one.
    """

    def __init__(
        self, tools: Tools, document: WebhookDocument, look: Look, known: Callable[[str], WebhookDocument | None]
    ) -> None:
        self._tools, self._document, self._known = tools, document, known
        self.entrusted: Kept | None = None
        self.health = look.health
        self._told = _Told(look.health, look.told, look.told_at)
        self._told_with = (document.kept, document.webhook.format)
        self.has_disabled = False
        self._has_ended = False
        self._rate = document.webhook.rate
        self._next = 0.0

    async def attempt(self, delivery: Delivery, tries: Tries, entry: Entry) -> Tried | None:
        """Try a delivery, unless the endpoint is left alone by now, and return what is to be written of that."""
        message = await self._tools.formats.message(entry, self._document.webhook.format)
        await self._keep_pace()
        async with self._tools.slots.one():
            if not self._goes_on() or self.entrusted is None:
                return None
            if not tries.forced and not concerns(self._document.webhook.filters, Traits(entry), self._document.id):
                return Tried(delivery, tries, "dropped")
            attempted = await attempt(self._tools.egress, self.entrusted, message, self._tools.key)
        became, verdict = self._judge(attempted, tries)
        log = Logged(
            position=delivery.position,
            event_id=message.id,
            event_type=entry.envelope.type,
            attempt=tries.made + 1,
            became=became,
            attempted=attempted,
            next_attempt_at=verdict.retry_at,
        )
        written = msgspec.json.encode(log)
        return Tried(delivery, tries, became, verdict.retry_at or 0, written, attempted.seconds, verdict.disable)

    async def write(self, tried: Tried | None) -> None:
        """Write what came of an attempt; on disk when this returns. Record what it means for the webhook."""
        if tried is None:
            return
        state = {} if self.health == self._told.health else state_of(self.health)
        comes_back = self._told.health.is_open and not self.health.is_open
        self._told = _Told(self.health, self._told.open, self._told.at)
        await self._tools.queues.settle(
            Settled(
                self._document.id,
                tried.delivery,
                tried.before,
                tried.became,
                tried.retry_at,
                tried.log,
                comes_back,
                state,
            )
        )
        attempts.observe(Observed(self._tools.recorder.ledger.name, tried.became, tried.seconds))
        if tried.disable:
            self.has_disabled = True
            disabled = catalog.WebhookDisabled(webhook_id=self._document.id, why=tried.disable)
            await self._record(disabled, f"disable:{self._document.version}")
        else:
            await self.tell()

    def _goes_on(self) -> bool:
        """Whether the webhook is still to be told, and in the same way; its filters are those of this moment."""
        now = self._known(self._document.id)
        if now is None or now.status != "active" or (now.kept, now.webhook.format) != self._told_with:
            self._has_ended = True
        else:
            self._document = now
        return not self._has_ended

    def _judge(self, attempted: Attempted, tries: Tries) -> tuple[Became, Verdict]:
        """Return what an attempt comes to; the lane ends when the endpoint is to be left alone, or no longer is."""
        if attempted.succeeded:
            self._has_ended = self._has_ended or self.health.is_open  # it comes back: look again, at what is oldest
            self.health = Health()
            return "delivered", Verdict(self.health)
        verdict = schedule.after_failure(
            self.health,
            self._tools.schedule,
            tries.made + 1,
            now_ms(),
            status=attempted.status,
            retry_after=attempted.retry_after,
        )
        self.health = verdict.health
        self._has_ended = self._has_ended or verdict.health.quiet_until > 0 or bool(verdict.disable)
        return "dead" if verdict.is_dead else "retry", verdict

    async def rest(self) -> None:
        """Wait until the webhook's rate lets another attempt be made."""
        if self._rate:
            await asyncio.sleep(self._next - asyncio.get_running_loop().time())

    async def _keep_pace(self) -> None:
        """Wait until the webhook's rate lets the next attempt be made."""
        if self._rate:
            now = asyncio.get_running_loop().time()
            at = max(self._next, now)
            self._next = at + 1 / self._rate
            await asyncio.sleep(at - now)

    async def tell(self) -> None:
        """Record that the circuit opened or closed, at most once an hour.

        The command is named after what was told before, so that it is recorded once, however many workers race and
        wherever one of them is killed.
        """
        now, before = now_ms(), self._told
        if self.health.is_open == before.open or now - before.at < BETWEEN_TOLD:
            return
        self._told = _Told(before.health, self.health.is_open, now)
        event: Event = catalog.WebhookCircuitClosed(webhook_id=self._document.id)
        if self.health.is_open:
            event = catalog.WebhookCircuitOpened(webhook_id=self._document.id, failures=self.health.failures)
        await self._record(event, f"circuit:{before.at}")
        await self._tools.queues.told(self._document.id, open_=self._told.open, at=now)

    async def _record(self, event: Event, name: str) -> None:
        """Record what became of a webhook, unless it was deleted or disabled meanwhile."""

        async def decided(its: Sequence[Happened]) -> Sequence[Event]:
            if folded(its, self._document.id).status != "active":
                raise AlreadyRecorded("the webhook is not active any more")
            return [event]

        webhook_id = self._document.id
        command_id = f"sys:webhook:{webhook_id}:{name}"
        caller = Caller("system", command_id, hashlib.sha256(command_id.encode()).hexdigest())
        try:
            await self._tools.recorder.on_stream(webhook_id, caller, decided)
        except Refusal as refused:
            _LOG.info("not recorded", webhook=webhook_id, event=event.TYPE, why=str(refused))
        else:
            _LOG.warning("webhook", webhook=webhook_id, became=event.TYPE)
