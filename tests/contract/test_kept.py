"""What is promised of documents that a process keeps: nobody can tell, but by the time it takes."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

import events.store
from events import catalog, records
from events.identifiers import new_id
from events.ledger import Ledger
from events.store import Store
from service.projections import kept, rebuild
from service.projections.catalog import CLAIMS, PROJECTIONS
from service.projections.engine import Projector, place, read_batch, write
from service.projections.kept import Asked, Found, Kept
from service.projections.queries import Queries
from service.verification.commands import Caller, Recorder

_NAMES = [each.name for each in PROJECTIONS]


class Process:
    """What one process has to read with."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self.kept = Kept(store, ledger, _NAMES)
        self.queries = Queries(store, ledger.keys, self.kept)

    async def read(self, claim: str, position: int = 0) -> Found:
        """Read a claim."""
        found = await self.queries.document(
            CLAIMS, claim, position=position, listed="statements", related=("parent", claim)
        )
        assert found
        return found


@pytest.fixture
async def processes(store_url: str, ledger: Ledger) -> AsyncIterator[list[Process]]:
    """Two processes, each with a client and a ledger of its own."""
    async with contextlib.AsyncExitStack() as stack:
        made = []
        for _ in range(2):
            client = await stack.enter_async_context(contextlib.aclosing(events.store.connect(store_url)))
            made.append(Process(client, await Ledger.open(client, ledger.name)))
            stack.push_async_callback(made[-1].queries.aclose)
        yield made


class Desk:
    """Somebody who records on claims, and projects what was recorded when told to."""

    def __init__(self, store: Store, ledger: Ledger, recorder: Recorder) -> None:
        self.store, self.ledger, self._recorder = store, ledger, recorder
        self._projector = Projector(store, ledger, CLAIMS)
        self.story = new_id("story")
        self.claims: list[str] = []
        self.at: dict[str, int] = {}

    def _caller(self) -> Caller:
        return Caller("system", new_id("key"), "00" * 32)

    async def open(self, number: int) -> None:
        """Open a story with so many claims."""
        story = records.Story(title="A story", parties=("north", "south"))
        await self._recorder.on_story(catalog.StoryOpened(story_id=self.story, story=story), self._caller())
        for _ in range(number):
            await self.register()
        await self.project()

    async def register(self, parent: str | None = None) -> None:
        """Register a claim, or a part of one."""
        claim = records.Claim(story_id=self.story, text="It fell.", parent_id=parent)
        claim_id = new_id("claim")
        registered = catalog.ClaimRegistered(claim_id=claim_id, claim=claim)
        outcome = await self._recorder.on_claim([registered], self._caller())
        self.at[claim_id] = outcome.position
        self.claims.append(claim_id)

    async def change(self, claim: str) -> None:
        """Change the words of a claim."""
        changes = records.ClaimChanges(text=f"It fell, {new_id('key')}.")
        changed = catalog.ClaimUpdated(claim_id=claim, changes=changes)
        self.at[claim] = (await self._recorder.on_claim([changed], self._caller())).position

    async def project(self) -> None:
        """Project all there is."""
        while entries := await read_batch(self.ledger, (at := await self._projector.place()).checkpoint):
            await write(self.store, [await self._projector.plan(at, entries)])

    async def rebuild(self) -> None:
        """Rebuild the claims."""
        await self.project()
        async for _ in rebuild.rebuild(self.store, self.ledger, CLAIMS):
            pass

    async def stored(self, claim: str) -> Found:
        """Read a claim without keeping it."""
        plain = Queries(self.store, self.ledger.keys)
        found = await plain.document(CLAIMS, claim, listed="statements", related=("parent", claim))
        assert found
        return found


@pytest.fixture
async def desk(store: Store, ledger: Ledger, recorder: Recorder) -> Desk:
    """A desk with a story of eight claims."""
    desk = Desk(store, ledger, recorder)
    await desk.open(8)
    return desk


def as_read(found: Found) -> tuple[bytes, int, tuple[bytes, ...]]:
    """Return what a reader can see of a document."""
    return found.raw, found.version, found.related


async def until_kept(process: Process, claim: str) -> None:
    """Wait until a process keeps a claim."""
    async with asyncio.timeout(5):
        while process.kept.find(Asked("claims", claim, "statements"), 0) is None:
            await process.read(claim)


class Readers:
    """Those who read by chance, and remember what they were shown."""

    def __init__(self, desk: Desk, processes: list[Process], chance: random.Random) -> None:
        self.desk, self.processes, self._chance = desk, processes, chance
        self._seen: dict[tuple[int, str], int] = {}

    async def read(self, claim: str) -> None:
        """Read, and see that it does not go back."""
        if self.desk.at[claim] > (await place(self.desk.store, self.desk.ledger.keys, "claims")).checkpoint:
            return  # a claim that was not projected yet is not found
        number = self._chance.randrange(len(self.processes))
        version = (await self.processes[number].read(claim)).version
        assert self._seen.get((number, claim), 0) <= version
        self._seen[number, claim] = version

    async def read_after(self, claim: str) -> None:
        """Read what was just written, and see that it is there."""
        await self.desk.project()
        found = await self._chance.choice(self.processes).read(claim, self.desk.at[claim])
        assert as_read(await self.desk.stored(claim))[:2] == as_read(found)[:2]

    async def all_the_same(self) -> None:
        """Read everything everywhere, and see that it is what the store has, soon of the live generation."""
        end = (await self.desk.ledger.head()).position
        live = await place(self.desk.store, self.desk.ledger.keys, "claims")
        for claim, process in itertools.product(self.desk.claims, self.processes):
            assert as_read(await self.desk.stored(claim)) == as_read(await process.read(claim, end))
            async with asyncio.timeout(5):
                while (await process.read(claim)).generation != live.generation:
                    await self.desk.ledger.head()


@pytest.mark.parametrize("seed", range(6))
async def test_two_processes_never_show_what_is_outdated(desk: Desk, processes: list[Process], seed: int) -> None:
    """However writes, projecting, rebuilds and reads follow on each other, no process goes back or misses a write."""
    chance = random.Random(seed)  # noqa: S311 - a test's chance
    readers = Readers(desk, processes, chance)
    steps: dict[Callable[[str], Awaitable[None]], int] = {
        readers.read: 50,
        readers.read_after: 20,
        desk.change: 15,
        lambda _: desk.project(): 10,
        lambda claim: desk.register(parent=claim): 3,
        lambda _: desk.rebuild(): 2,
    }
    for step in chance.choices(list(steps), list(steps.values()), k=150):
        await step(chance.choice(desk.claims))
    await desk.project()
    await readers.all_the_same()


async def test_what_is_read_again_takes_no_round_trip_until_an_event_names_it(
    desk: Desk, processes: list[Process], store: Store
) -> None:
    """A document is kept through what is recorded on others, and read anew once something is recorded on it."""
    one, other, *_ = desk.claims
    process = processes[0]
    await until_kept(process, one)
    first = await process.read(one)
    await desk.change(other)
    await desk.project()
    assert first is await process.read(one)
    await desk.change(one)
    await desk.project()
    anew = await process.read(one, desk.at[one])
    assert (first.version + 1, anew.raw) == (anew.version, (await desk.stored(one)).raw)


async def test_a_document_that_shows_others_is_not_kept(desk: Desk, processes: list[Process]) -> None:
    """A claim is shown with its parts as they are now, from the moment at which it has one."""
    whole = desk.claims[0]
    await until_kept(processes[0], whole)
    await desk.register(parent=whole)
    await desk.project()
    part = desk.claims[-1]
    for _ in range(3):
        await desk.change(part)
        await desk.project()
        found = await processes[0].read(whole, desk.at[part])
        assert ((await desk.stored(part)).raw.partition(b',"statements"')[0],) == tuple(
            each[:-1] for each in found.related
        )


async def test_what_is_kept_is_bounded(desk: Desk, processes: list[Process], monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a number of bytes what was not read for the longest time goes, as does what is known of old events."""
    process = processes[0]
    await until_kept(process, desk.claims[0])
    size = len((await process.read(desk.claims[0])).raw)
    monkeypatch.setattr(kept, "LARGEST", 3 * (size + kept._OVERHEAD) + 200)
    for claim in desk.claims[:3]:
        await until_kept(process, claim)
    await until_kept(process, desk.claims[3])
    held = [process.kept.find(Asked("claims", claim, "statements"), 0) is not None for claim in desk.claims[:4]]
    assert held == [False, True, True, True]
    monkeypatch.setattr(kept, "_MOST_NAMED", 4)
    for claim in desk.claims[1:4]:
        await desk.change(claim)
    await desk.project()
    end = (await desk.ledger.head()).position
    for claim in desk.claims:
        assert as_read(await desk.stored(claim)) == as_read(await process.read(claim, end))


async def test_a_read_after_a_write_does_not_depend_on_what_was_heard(
    desk: Desk, processes: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the log takes to say what was recorded, a read with a write's token sees it, and it stays seen."""
    process, claim = processes[0], desk.claims[0]
    await until_kept(process, claim)
    monkeypatch.setattr(process.kept, "_hear", lambda _: None)
    first = await process.read(claim)
    await desk.change(claim)
    await desk.project()
    assert first is await process.read(claim)
    anew = await process.read(claim, desk.at[claim])
    assert (first.version + 1, (await desk.stored(claim)).raw) == (anew.version, anew.raw)
    assert anew is await process.read(claim)


async def test_what_was_read_before_anything_is_known_is_not_kept(desk: Desk, processes: list[Process]) -> None:
    """Of a document that is older than what is known of events, nobody can say whether it is outdated."""
    process, (claim, other, *_) = processes[0], desk.claims
    await until_kept(process, other)
    old = await desk.stored(claim)
    await desk.change(claim)
    await desk.project()
    await until_kept(process, other)
    await process.queries.aclose()
    await until_kept(process, other)  # it listens again, from now on
    process.kept.keep(Asked("claims", claim, "statements"), old)
    assert process.kept.find(Asked("claims", claim, "statements"), 0) is None


async def test_whoever_hears_nothing_keeps_nothing(
    desk: Desk, processes: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the log says nothing for longer than it ever should, documents are read from the store again."""
    process = processes[0]
    await until_kept(process, desk.claims[0])
    monkeypatch.setattr(kept, "_DEAF_SECONDS", -1)
    assert process.kept.find(Asked("claims", desk.claims[0], "statements"), 0) is None


async def test_a_process_that_no_longer_reads_listens_no_more(
    desk: Desk, processes: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle process asks the store for nothing, and begins again with the next read."""
    monkeypatch.setattr(kept, "_IDLE_SECONDS", 0.1)
    before = asyncio.all_tasks()
    await processes[0].read(desk.claims[0])
    async with asyncio.timeout(5):
        while len(asyncio.all_tasks()) > len(before):
            await desk.ledger.head()
    monkeypatch.setattr(kept, "_IDLE_SECONDS", 30)
    await until_kept(processes[0], desk.claims[0])
