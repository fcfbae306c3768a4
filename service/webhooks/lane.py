"""A lane: the attempts that one webhook has while the others wait for theirs, and how its endpoint does meanwhile."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Final

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
from service.webhooks import schedule
from service.webhooks.attempts import Attempted, Logged, attempt
from service.webhooks.egress import Egress
from service.webhooks.formats import Formats
from service.webhooks.kept import Kept
from service.webhooks.matching import concerns
from service.webhooks.queues import Became, Delivery, Look, Queues, Settled, Tries, now_ms, state_of
from service.webhooks.registry import folded
from service.webhooks.schedule import Health, Verdict
from service.webhooks.slots import Slots
from service.webhooks.traits import Traits

_LOG = structlog.get_logger("onrecord.webhooks")
BETWEEN_TOLD: Final = 3_600_000
"""Milliseconds between two events about the circuit of one webhook."""


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


class Lane:
    """Makes attempts for one webhook. ``health`` is how its endpoint does now."""

    def __init__(self, tools: Tools, document: WebhookDocument, entrusted: Kept, look: Look) -> None:
        self._tools, self._document, self._entrusted = tools, document, entrusted
        self.health = look.health
        self._told = _Told(look.health, look.told, look.told_at)
        self.has_disabled = False
        self._has_ended = False
        self._rate = document.webhook.rate
        self._next = 0.0

    async def attempt(self, delivery: Delivery, tries: Tries, entry: Entry) -> None:
        """Try a delivery, unless the endpoint is left alone by now, and write what came of it."""
        if not tries.forced and not concerns(self._document.webhook.filters, Traits(entry), self._document.id):
            await self._settle(delivery, tries, "dropped")
            return
        message = await self._tools.formats.message(entry, self._document.webhook.format)
        await self._keep_pace()
        async with self._tools.slots.one():
            if self._has_ended:
                return
            attempted = await attempt(self._tools.egress, self._entrusted, message, self._tools.key)
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
        await self._settle(delivery, tries, became, retry_at=verdict.retry_at or 0, log=msgspec.json.encode(log))
        await self._tell(verdict)

    def _judge(self, attempted: Attempted, tries: Tries) -> tuple[Became, Verdict]:
        """Return what an attempt comes to; whatever fails at once with others is one failure, and ends the lane."""
        if attempted.succeeded:
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

    async def _settle(
        self, delivery: Delivery, tries: Tries, became: Became, *, retry_at: int = 0, log: bytes = b""
    ) -> None:
        state = {} if self.health == self._told.health else state_of(self.health)
        self._told = _Told(self.health, self._told.open, self._told.at)
        await self._tools.queues.settle(Settled(self._document.id, delivery, tries, became, retry_at, log, state))

    async def _tell(self, verdict: Verdict) -> None:
        """Record that the endpoint was disabled, or that its circuit opened or closed, at most once an hour."""
        now = now_ms()
        if verdict.disable:
            self.has_disabled = True
            disabled = catalog.WebhookDisabled(webhook_id=self._document.id, why=verdict.disable)
            await self._record(disabled, f"disable:{self._document.version}")
        elif self.health.is_open != self._told.open and now - self._told.at >= BETWEEN_TOLD:
            self._told = _Told(self._told.health, self.health.is_open, now)
            event: Event = catalog.WebhookCircuitClosed(webhook_id=self._document.id)
            if self.health.is_open:
                event = catalog.WebhookCircuitOpened(webhook_id=self._document.id, failures=self.health.failures)
            await self._tools.queues.told(self._document.id, open_=self.health.is_open, at=now)
            await self._record(event, f"circuit:{now}")

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
