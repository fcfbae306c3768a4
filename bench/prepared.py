"""What the measurements of the ledger are made on: ledgers, peers, and events to be recorded."""

import contextlib
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import count, cycle, islice
from pathlib import Path
from uuid import UUID

import umadb
from eventsourcing.application import Application

from bench.processes import answering, free_port, running
from events import catalog, records, words
from events.envelope import Provenance
from events.group_commit import Appended
from events.identifiers import new_id
from events.ledger import Command, Ledger
from events.store import Store
from service.verification.commands import Caller
from service.verification.policy import STRICT_TWO_SOURCE

LARGE = int(os.environ.get("BENCH_EVENTS", "100000"))
"""Events of the large ledger; ``make bench`` has a million."""
SOURCES = 40
_PREPARED = 200
_IMPORTED = 2_000
_QUOTE = "The aircraft was carrying prisoners to an exchange when it came down, the ministry said. " * 3
_STORY_CLAIMS, _STORY_EVENTS = 500, 20_000
"""Claims of one story, and events until the next one begins."""

Rate = Callable[[], Awaitable[float]]


class Bench:
    """What the measurements share; each part is made when the first of them asks for it."""

    def __init__(self, stack: contextlib.AsyncExitStack, folder: Path, store: Store, store_url: str) -> None:
        self.stack, self.folder, self.store, self.store_url = stack, folder, store, store_url
        self._filled: dict[int, Ledger] = {}
        self._uma: umadb.Client | None = None
        self.eventsourcing: Application[UUID] | None = None
        self._names = count()

    async def ledger(self) -> Ledger:
        """Return a new ledger."""
        return await Ledger.open(self.store, f"bench-{next(self._names)}", create=STRICT_TWO_SOURCE)

    async def filled(self, size: int) -> Ledger:
        """Return the ledger that has so many events, a command for each."""
        if size not in self._filled:
            ledger, begun = await self.ledger(), time.perf_counter()
            events = islice(stories(), size - 1)
            while part := [command([event], {}) for event in islice(events, _IMPORTED)]:
                outcomes = await ledger.append_many(part)
                assert all(isinstance(outcome, Appended) for outcome in outcomes)  # noqa: S101 - nobody else writes
            self._filled[size] = ledger
            print(f"{size:,} events recorded in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
        return self._filled[size]

    async def uma(self) -> umadb.Client:
        """Return a client of an UmaDB server as it comes, its file beside our store's."""
        if self._uma is None:
            port = free_port()
            program = str(Path(sys.executable).with_name("umadb"))
            arguments = ("--listen", f"127.0.0.1:{port}", "--db-path", str(self.folder / "uma.db"))
            await self.stack.enter_async_context(running(program, *arguments))
            await answering(port)
            self._uma = umadb.Client(f"http://127.0.0.1:{port}")
        return self._uma


def stories() -> Iterator[catalog.Event]:
    """Yield the events of one story after another: sources, claims, and statements on each claim in turn."""
    while True:
        yield from islice(_story(), _STORY_EVENTS)


def _story() -> Iterator[catalog.Event]:
    story, sources = new_id("story"), [new_id("source") for _ in range(SOURCES)]
    claims = [new_id("claim") for _ in range(_STORY_CLAIMS)]
    source = records.Source(name="A source", kind=words.SourceKind.OFFICIAL, parties=("north",))
    claim = records.Claim(story_id=story, text="A claim.", serves=("north",), harms=("south",))
    yield catalog.StoryOpened(story_id=story, story=records.Story(title="A story"))
    for each in sources:
        yield catalog.SourceRegistered(source_id=each, source=source)
    for each in claims:
        yield catalog.ClaimRegistered(claim_id=each, claim=claim)
    speaking = cycle(sources)
    for on in cycle(claims):
        yield statement(on, next(speaking))


async def prepare(ledger: Ledger, prepared: Sequence[catalog.Event]) -> None:
    """Record events in their order by large commands."""
    await ledger.append_many(
        [command(prepared[begin : begin + _PREPARED], {}) for begin in range(0, len(prepared), _PREPARED)]
    )


def statement(claim: str, source: str = "source_00000000000000000000000000") -> catalog.StatementRecorded:
    """Return a statement of some 500 bytes."""
    said = records.Statement(speaker_id=source, stance=words.Stance.ASSERTS, said_at="2024-01-24", quote=_QUOTE)
    return catalog.StatementRecorded(claim_id=claim, statement_id=new_id("statement"), statement=said)


def command(proposed: Sequence[catalog.Event], conditions: dict[str, int]) -> Command:
    """Return a command with an id of its own."""
    return Command(proposed, conditions, Provenance("system", new_id("key"), "00" * 32))


def caller() -> Caller:
    """Return who records, with an idempotency key of its own."""
    return Caller("system", new_id("key"), "00" * 32)
