"""A desk whose events are delivered by a deliverer in this process, to test with."""

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from events import catalog
from events.endpoints import Webhook
from events.errors import LedgerError
from events.identifiers import derived_id, new_id
from events.ledger import Ledger
from events.records import Claim, Source, Statement, Story
from events.store import Store
from events.words import SourceKind, Stance
from service.auth.vault import Vault
from service.projections.queries import NotThereYet, Queries
from service.verification.commands import Caller, Recorder
from service.webhooks.book import Book
from service.webhooks.deliverer import Deliverer
from service.webhooks.deliveries import Deliveries
from service.webhooks.egress import Bounds, Egress
from service.webhooks.formats import Formats
from service.webhooks.queues import Queues
from service.webhooks.registry import Endpoint, Registry
from tests.e2e.receiving import Receiver

QUICK = (0.0, 0.02, 0.02, 0.02)

SOURCE = derived_id("source", "witness")
PERSON = Source(name="Witness", kind=SourceKind.PERSON)


class Desk:
    """Records on a ledger, registers webhooks, and runs deliverers."""

    def __init__(self, store: Store, ledger: Ledger, vault: Vault) -> None:
        self.store, self.ledger, self.vault = store, ledger, vault
        self.recorder = Recorder(ledger)
        self.egress = Egress(
            allowed=[ipaddress.ip_network("127.0.0.0/8")], bounds=Bounds(connect=1, first_byte=0.5, total=1)
        )
        self.registry = Registry(self.recorder, vault, self.egress)
        self.queues = Queues(store, ledger.keys)
        self.deliveries = Deliveries(store, ledger)
        self.commands = 0

    def caller(self) -> Caller:
        """Return a caller with a command of its own."""
        self.commands += 1
        return Caller("key_1", f"command-{self.commands}", f"{self.commands:064x}")

    async def hook(self, receiver: Receiver, **more: Any) -> str:
        """Register a webhook that is told at once."""
        outcome = await self.registry.register(
            Webhook(**more), Endpoint(receiver.url(), {}), self.caller(), verified=True
        )
        event = outcome.happened[0].event
        assert isinstance(event, catalog.WebhookRegistered)
        return event.webhook_id

    async def claim(self) -> str:
        """Register a story with a claim."""
        story, claim = new_id("story"), new_id("claim")
        await self.recorder.on_story(catalog.StoryOpened(story_id=story, story=Story(title="t")), self.caller())
        registered = catalog.ClaimRegistered(claim_id=claim, claim=Claim(story_id=story, text="It fell."))
        await self.recorder.on_claim([registered], self.caller())
        return claim

    async def say(self, claim: str, count: int = 1) -> None:
        """Put stances on record that change no state."""
        if not await self.ledger.version(SOURCE):
            witness = catalog.SourceRegistered(source_id=SOURCE, source=PERSON)
            await self.recorder.on_source(witness, self.caller())
        for _ in range(count):
            said = Statement(speaker_id=SOURCE, stance=Stance.QUESTIONS)
            recorded = catalog.StatementRecorded(claim_id=claim, statement_id=new_id("statement"), statement=said)
            await self.recorder.on_claim([recorded], self.caller())

    @asynccontextmanager
    async def delivering(self, schedule: tuple[float, ...] = QUICK) -> AsyncIterator[asyncio.Task[None]]:
        """Run a deliverer."""
        queries = Queries(self.store, self.ledger.keys)
        book = Book(self.recorder, queries, self.vault)
        deliverer = Deliverer(
            self.ledger,
            self.queues,
            book,
            self.recorder,
            self.egress,
            Formats(queries),
            self.vault.signing,
            attempts=schedule,
        )

        async def run() -> None:
            while True:  # as the worker does it
                with contextlib.suppress(LedgerError, NotThereYet):
                    await deliverer.run()

        running = asyncio.create_task(run())
        try:
            yield running
        finally:
            running.cancel()
            await asyncio.wait([running])


async def until(so: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while not await so():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)


async def is_so(desk: Desk, webhook_id: str, name: str, value: str) -> bool:
    """Whether a counter has a value."""
    return (await desk.queues.state(webhook_id)).get(name) == value


async def everything(receiver: Receiver, count: int) -> bool:
    """Whether so many different events have come."""
    return len({each.headers["webhook-id"] for each in receiver.received}) >= count
