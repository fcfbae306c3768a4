"""Sealing in tests: an archive of a ledger, in a folder or in objects, and what brings it up to the ledger's end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

from events import catalog, records
from events.envelope import Provenance
from events.identifiers import new_id
from events.lease import Lease
from events.ledger import Command, Ledger
from events.store import Store
from events.transparency.checkpoint import Checkpoint, opened
from events.transparency.tiles import tile_at
from service.audit import log_key, storage
from service.audit.archive import Archive
from service.audit.log_key import LogKeys
from service.audit.sealer import Sealer

PATIENCE = 30.0


class Sealing:
    """One ledger with its archive and its log's keys."""

    def __init__(self, store: Store, ledger: Ledger, folder: Path, place: str | None = None) -> None:
        self.store, self.ledger, self.folder = store, ledger, folder
        self.key_path = log_key.path_of(folder, ledger.name)
        self.place = place or str(folder / "archive")
        self.lease = Lease(store, ledger.keys, "sealer", seconds=60)
        self.origin = f"test.example/{ledger.name}"

    @property
    def keys(self) -> LogKeys:
        """The log's keys, made when they are first asked for."""
        return log_key.opened(self.key_path, self.origin)

    @property
    def archive(self) -> Archive:
        """The archive, as somebody sees it who has not read it before."""
        return Archive(storage.at(self.place, self.ledger.name))

    def sealer(self, token: Callable[[], int] | None = None, archive: Archive | None = None) -> Sealer:
        """Return a sealer under the lease of these, or with a token of its own."""
        return Sealer(self.store, self.ledger, archive or self.archive, self.keys, token or (lambda: self.lease.token))

    async def begin(self) -> Sealer:
        """Take the lease, and return a sealer that has begun."""
        assert await self.lease.acquire()
        sealer = self.sealer()
        await sealer.begin()
        return sealer

    async def checkpoint(self) -> Checkpoint:
        """Return the last checkpoint, verified; of nothing at all if there is none."""
        note = await self.archive.checkpoint()
        return opened(note, self.keys.verifiers) if note else Checkpoint("", 0, b"")

    async def all(self) -> Checkpoint:
        """Seal all that is on record, and return the checkpoint over it."""
        sealer = await self.begin()
        while entries := await self.ledger.read((await self.checkpoint()).size, 1000):
            await sealer.seal(entries)
        return await self.checkpoint()

    async def files(self) -> dict[str, bytes]:
        """Return every file of the archive."""
        kept = self.archive.storage
        return {path: await kept.read(path) or b"" async for path in kept.paths()}

    async def become(self, files: Mapping[str, bytes]) -> None:
        """Let the archive have these files and no others."""
        kept = self.archive.storage
        await kept.remove([path async for path in kept.paths()])
        await kept.write(files)

    async def entries(self) -> list[bytes]:
        """Return every entry of the archive."""
        found: list[bytes] = []
        size = (await self.checkpoint()).size
        while len(found) < size:
            found += await self.archive.entries(tile_at(-1, len(found) // 256, size))
        return found


@contextlib.asynccontextmanager
async def running(sealer: Sealer) -> AsyncIterator[asyncio.Task[None]]:
    """Run a sealer beside the caller; an error that it ends with is its task's."""
    task = asyncio.create_task(sealer.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(so: Callable[[], Awaitable[bool]], *, seconds: float = PATIENCE) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not await so():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


async def record(ledger: Ledger, many: int, title: str = "A story") -> None:
    """Record so many events, each by a command of its own."""
    commands = []
    for n in range(many):
        key = new_id("story")
        event = catalog.StoryOpened(story_id=key, story=records.Story(title=f"{title} {n}"))
        commands.append(Command([event], {}, Provenance("system", f"test:{key}", "ab" * 32)))
    await ledger.append_many(commands)


async def shorten(ledger: Ledger, store: Store, to: int) -> None:
    """Roll the store back to an earlier position, as a restored old copy would be."""
    kept = await ledger.read(0, to)
    pipeline = store.pipeline(transaction=True)
    pipeline.delete(ledger.keys.events)
    for entry in kept:
        pipeline.xadd(ledger.keys.events, {"e": entry.raw}, id=f"{entry.position}-0")
    pipeline.hset(ledger.keys.head, mapping={"position": to})
    await pipeline.execute()
