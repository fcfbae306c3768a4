"""What ``onrecord replay``, ``restore`` and ``archive`` do: read a ledger, bring it back, thin it out."""

import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from rich.console import Console
from rich.progress import Progress

import events.store
from events import durability, moments
from events.envelope import Entry
from events.errors import ArchiveDamaged, StoreUnusable
from events.keys import LedgerKeys
from events.ledger import Ledger
from events.readers import read_after
from events.store import Store
from events.transparency.checkpoint import Checkpoint, opened
from events.transparency.errors import TransparencyError
from events.transparency.hashing import leaf_hash
from events.transparency.tiles import WIDTH, tile_at
from service import durable, embedded
from service.app import archives_of
from service.audit import log_key
from service.audit.archive import Archive
from service.audit.beginning_again import begin_again
from service.audit.log_key import LogKeys, LogKeyUnusable
from service.audit.restoring import LedgerThere, Restoration, check_whole, drop, from_archive
from service.audit.sealer import sealed_of
from service.audit.trimming import NothingSealed, trim
from service.run import COLUMNS
from service.settings import Settings

_BATCH = 1000
_console = Console(stderr=True, highlight=False)


async def replay(settings: Settings, *, after: int, archived: bool, into: str | None) -> None:
    """Write a ledger's events after a position, a line each, as they were recorded; or all of them into another store.

    They come from the store (and its past from the archive) or, ``archived``, from the archive alone. Raises
    ``LedgerThere`` if the other store has the ledger.
    """
    async with _entries(settings, after=after, archived=archived) as batches:
        if into is None:
            async for entries in batches:
                sys.stdout.buffer.write(b"".join(entry.raw + b"\n" for entry in entries))
            sys.stdout.buffer.flush()
            return
        async with aclosing(_other(into, settings)) as other:
            await durability.check(other, allow_lossy=settings.allow_lossy_store)
            restoration = Restoration(other, settings.ledger)
            await restoration.begin()
            with Progress(*COLUMNS, console=_console) as bar:
                task = bar.add_task(f"Replaying {settings.ledger}", total=None)
                async for entries in batches:
                    await restoration.take(entries)
                    bar.update(task, completed=entries[-1].position)
            epoch = await restoration.end(None, f"replayed into another store from {settings.ledger}")
    _console.print(f"{settings.ledger} is in the other store, in its epoch {epoch}.")


def _other(url: str, settings: Settings) -> Store:
    try:
        return events.store.connect(url, replicas=settings.replicas)
    except ValueError as error:
        raise StoreUnusable(f"{url.rpartition('@')[2]!r} names no store, as in redis://host:6379/0: {error}") from error


async def restore(settings: Settings, *, replace: bool, reason: str | None) -> None:
    """Bring a ledger back from its archive into a store that does not have it; with ``replace``, in the place of it.

    What the store had and the archive has not is kept in a file in the home. Raises ``LedgerThere``, ``ArchiveDamaged``
    and ``LogKeyUnusable``.
    """
    archive = archives_of(settings).of(settings.ledger)
    checkpoint = await _checkpoint(settings, archive)
    async with _store(settings) as store:
        if replace:
            await check_whole(archive, checkpoint)  # what the store has may be all that there is
            await _set_aside(settings, store, archive, checkpoint)
            await drop(store, settings.ledger)
        try:
            with Progress(*COLUMNS, console=_console) as bar:
                task = bar.add_task(f"Restoring {settings.ledger}", total=checkpoint.size)
                async for step in from_archive(store, settings.ledger, archive, checkpoint, reason):
                    bar.update(task, completed=step.done)
        except LedgerThere as there:
            raise LedgerThere(f"{there}; with --replace it is brought back in the place of that one") from there
        epoch = (await Ledger.open(store, settings.ledger)).epoch
    _console.print(
        f"{settings.ledger} is as it was at event {checkpoint.size}, and goes on in the epoch {epoch}. What was"
        " recorded after that and not sealed is lost; receipts for it are void. Start API and worker anew."
    )


async def archive(settings: Settings, *, keep: int, before: str | None) -> None:
    """Let old events leave the store: all but the last ``keep``, or those recorded before a moment."""
    archives = archives_of(settings)
    its = archives.of(settings.ledger)
    checkpoint = await _checkpoint(settings, its)
    async with _store(settings) as store:
        ledger = await Ledger.open(store, settings.ledger, past=archives.past_of(settings.ledger))
        wanted = (await ledger.head()).position - keep
        if before is not None:
            wanted = min(wanted, await ledger.position_at(moments.interval(before).lo - 1))
        done = 0
        with Progress(*COLUMNS, console=_console) as bar:
            task = bar.add_task(f"Archiving {settings.ledger}", total=None)
            async for step in trim(store, ledger, its, checkpoint, wanted):
                done = step.done
                bar.update(task, completed=step.done, total=step.total)
    if done:
        _console.print(f"Events up to {done} are in the archive only.")
    else:
        _console.print(
            f"No more events can leave the store: only whole bundles of {WIDTH} that are sealed, that every projection "
            f"and delivery has read, and that are not among the last {keep} events."
        )


async def begin_archive_again(settings: Settings, *, because: str, kept: bytes | None) -> None:
    """Go on without an archive that is lost: it is made again from the store, which goes on record. See there.

    Raises ``NotBegunAgain``, ``ArchiveDamaged``, ``LedgerDiverged`` and ``LogKeyUnusable``.
    """
    archives = archives_of(settings)
    keys = _keys(settings)
    async with _store(settings) as store:
        ledger = await Ledger.open(store, settings.ledger, past=archives.past_of(settings.ledger))
        event = await begin_again(store, ledger, archives.of(settings.ledger), keys, because, kept)
    _console.print(
        f"It is on record that the archive of {settings.ledger} was lost. A worker makes it again from event "
        f"{event.left + 1}: start it. Checkpoints, proofs and receipts of before hold against it if those events are "
        "the ones that were sealed."
    )
    if event.compared:
        _console.print(f"The first {event.compared} events lead to the checkpoint that you gave.")
    else:
        _console.print(
            "Nothing here shows that they are: let whoever kept a checkpoint compare (`onrecord verify --checkpoint`)."
        )


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Store]:
    """Yield a client of the store; the embedded one is started for as long as that if it does not run."""
    async with AsyncExitStack() as stack:
        url = settings.store_url
        if not url:
            try:
                url = await stack.enter_async_context(embedded.running(settings.home_path))
            except embedded.HomeInUse:  # an On Record runs there, and its store with it
                url = embedded.url_of(settings.home_path)
        store = await stack.enter_async_context(aclosing(events.store.connect(url, replicas=settings.replicas)))
        await durability.check(store, allow_lossy=settings.allow_lossy_store)
        yield store


async def _checkpoint(settings: Settings, archive: Archive) -> Checkpoint:
    """Return the last checkpoint of an archive, if a key of this home signed it."""
    keys = _keys(settings)
    note = await archive.checkpoint()
    if note is None:
        raise NothingSealed(f"nothing of {settings.ledger!r} is sealed in {archive.storage.place}")
    try:
        return opened(note, keys.verifiers)
    except TransparencyError as error:
        raise ArchiveDamaged(f"the checkpoint in {archive.storage.place}: {error}") from error


def _keys(settings: Settings) -> LogKeys:
    path = log_key.path_of(settings.home_path, settings.ledger)
    if keys := log_key.read(path):
        return keys
    raise LogKeyUnusable(f"there are no keys of a log in {path}: put those there that signed the archive")


@asynccontextmanager
async def _entries(settings: Settings, *, after: int, archived: bool) -> AsyncIterator[AsyncIterator[list[Entry]]]:
    """Yield the batches of a ledger's events after a position."""
    archives = archives_of(settings)
    if archived:
        its = archives.of(settings.ledger)
        yield _archived(its, await _checkpoint(settings, its), after)
        return
    async with _store(settings) as store:
        ledger = await Ledger.open(store, settings.ledger, past=archives.past_of(settings.ledger))
        yield _recorded(ledger, after)


async def _recorded(ledger: Ledger, after: int) -> AsyncIterator[list[Entry]]:
    end = (await ledger.head()).position
    while after < end and (entries := await ledger.read(after, min(_BATCH, end - after))):
        yield entries
        after = entries[-1].position


async def _archived(archive: Archive, checkpoint: Checkpoint, after: int) -> AsyncIterator[list[Entry]]:
    for index in range(after // WIDTH, -(-checkpoint.size // WIDTH)):
        raw = await archive.entries(tile_at(-1, index, checkpoint.size))
        entries = [Entry(index * WIDTH + n, each) for n, each in enumerate(raw, 1)]
        yield [entry for entry in entries if entry.position > after]


async def _set_aside(settings: Settings, store: Store, archive: Archive, checkpoint: Checkpoint) -> None:
    """Keep what the store has and the archive has not in a file, if there is any: also of a ledger that is damaged.

    Raises ``ArchiveDamaged`` if the archive has less than was sealed: others would be sealed in the place of those.
    """
    keys = LedgerKeys(settings.ledger)
    if (said := await sealed_of(store, keys)).size > checkpoint.size:
        raise ArchiveDamaged(
            f"{said.size} events were sealed, and the archive in {archive.storage.place} has {checkpoint.size}: it is "
            "an old copy. Put the latest there, or make it again from a store that is whole: `onrecord log begin-again`"
        )
    lost: list[bytes] = []
    at = 0
    while entries := await read_after(store, keys.events, at, _BATCH):
        for entry in entries:
            index, n = divmod(entry.position - 1, WIDTH)
            sealed = entry.position <= checkpoint.size
            if not sealed or (await archive.hashes(tile_at(0, index, checkpoint.size)))[n] != leaf_hash(entry.raw):
                lost.append(entry.raw)
        at = entries[-1].position
    if lost:
        name = f"{settings.ledger}-{moments.timestamp(time.time_ns() // 1000).replace(':', '')}.ndjson"
        path = settings.home_path / "set-aside" / name
        durable.create(path, b"\n".join(lost) + b"\n")
        many, are = (f"{len(lost)} events that were", "are") if len(lost) > 1 else ("1 event that was", "is")
        _console.print(f"{many} not sealed, or not so, {are} set aside in {path}.")
