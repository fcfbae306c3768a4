"""Of auditing a long ledger: verifying its archive, and where claims stood at a past moment, in time and memory."""

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec
from msgspec import Struct

import events.store
from bench.copied import Copies, original
from bench.load import http
from bench.measurement import Measurement
from bench.of_projecting import project
from bench.prepared import LARGE
from bench.processes import UNLOGGED, answering, free_port, peak_mib, running
from bench.sealed import Sealed
from bench.verifying import Verified
from events import catalog
from events.ledger import Ledger
from events.store import Store
from service import embedded
from service.auth.bootstrap import ensure_bootstrap_key
from service.projections.catalog import CLAIMS
from service.settings import Settings
from service.verification.policy import STRICT_TWO_SOURCE

_VERIFYING = f"audit: peak memory of verifying {LARGE:,} events, MiB"
_STORY = f"audit: states of a story at a moment of {LARGE:,} events, p99 in ms"
_WHOLE = f"audit: peak memory of an API that lists the states of {LARGE:,} events at a moment, MiB"
_LONGEST = 1800.0
_STORIES = 200
_PAGE = 200


class _Page(Struct):
    items: list[msgspec.Raw]
    next_after: str | None = None


async def measure(words: Sequence[str]) -> AsyncIterator[Measurement]:
    """Yield the measurements whose names have one of the words, or all."""
    wanted = [name for name in (_VERIFYING, _STORY, _WHOLE) if not words or any(word in name for word in words)]
    if not wanted:
        return
    with tempfile.TemporaryDirectory() as folder:
        async with embedded.running(Path(folder)) as url, contextlib.AsyncExitStack() as stack:
            store = events.store.connect(url)
            stack.push_async_callback(store.aclose)
            copies = Copies(await original(await Ledger.open(store, "original", create=STRICT_TWO_SOURCE)))
            ledger, begun = await Ledger.open(store, create=STRICT_TWO_SOURCE), time.perf_counter()
            many = await copies.fill(ledger, LARGE)
            print(f"{many:,} copies of a story in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
            if _VERIFYING in wanted:
                yield await _verifying(store, ledger, Path(folder) / "sealed")
            if wanted != [_VERIFYING]:
                await project(store, ledger, [CLAIMS])
                pid, api = await stack.enter_async_context(_serving(store, url, folder))
                if _STORY in wanted:
                    yield await _story(api, ledger, copies, many)
                if _WHOLE in wanted:
                    yield await _whole(api, ledger, pid)


async def _verifying(store: Store, ledger: Ledger, folder: Path) -> Measurement:
    sealed = Sealed(store, ledger, folder)
    sealer, done = await sealed.sealer(), 0
    await sealer.begin()
    while entries := await ledger.read(done, 4096):
        await sealer.seal(entries)
        done = entries[-1].position
    command = ("-m", "bench.verifying", str(sealed.folder), str(sealed.keys.verifiers[0]))
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    said, _ = await asyncio.wait_for(process.communicate(), _LONGEST)
    took = msgspec.json.decode(said, type=Verified)
    print(f"{done:,} events verified in {took.seconds} s: {took.schema} schemas, {took.states} states", file=sys.stderr)
    return _bounded(_VERIFYING, took.peak_mib, 400)


async def _story(api: "_Api", ledger: Ledger, copies: Copies, many: int) -> Measurement:
    """Ask for stories from all over the ledger, each at the moment at which half of its events were recorded."""
    head, took = (await ledger.head()).position, []
    for n in range(_STORIES):
        number = n * 7919 % many
        opened = copies.copy(number)[0]
        assert isinstance(opened, catalog.StoryOpened)  # noqa: S101 - a story begins so
        moment = ledger.cursor(min(head, (number + 1) * copies.length - copies.length // 2))
        begun = time.perf_counter()
        page = await api.get(f"/v1/audit/state?story={opened.story_id}&as_of={quote(str(moment))}")
        took.append(1000 * (time.perf_counter() - begun))
        assert page.items  # noqa: S101 - the story's claims are registered early
    return _bounded(_STORY, sorted(took)[int(len(took) * 0.99)], 100)


async def _whole(api: "_Api", ledger: Ledger, process_id: int) -> Measurement:
    """Go through all claims at the moment at which half of the events were recorded."""
    moment, after, found = ledger.cursor((await ledger.head()).position // 2), "", 0
    begun = time.perf_counter()
    while True:
        page = await api.get(f"/v1/audit/state?as_of={quote(str(moment))}&limit={_PAGE}{after}")
        found += len(page.items)
        if not page.next_after:
            break
        after = f"&after={quote(page.next_after)}"
    print(f"{found:,} claims at a moment in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    return _bounded(_WHOLE, peak_mib(process_id), 300)


def _bounded(name: str, found: float, bound: float) -> Measurement:
    return Measurement(name, round(found, 1), bound, "the bound", round(bound / found, 2), 1)


class _Api:
    """What asks the API, on a connection for each request."""

    def __init__(self, port: int, key: str) -> None:
        self._port, self._key = port, key

    async def get(self, path: str) -> _Page:
        """Return a page. Raises ``RuntimeError`` for any other answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(http("GET", path, Authorization=f"Bearer {self._key}", Connection="close"))
        head, _, body = (await asyncio.wait_for(reader.read(), 60)).partition(b"\r\n\r\n")
        writer.close()
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise RuntimeError(body[:600].decode())
        return msgspec.json.decode(body, type=_Page)


@contextlib.asynccontextmanager
async def _serving(store: Store, url: str, folder: str) -> AsyncIterator[tuple[int, _Api]]:
    settings, port = Settings(home=folder, store_url=url), free_port()
    await ensure_bootstrap_key(store, "main", settings.bootstrap_key_path, replace=True)
    environment = {"ONRECORD_STORE_URL": url, "ONRECORD_HOME": folder, "ONRECORD_READS_PER_MINUTE": "0", **UNLOGGED}
    command = (sys.executable, "-m", "service.cli", "api")
    async with running(*command, **environment, ONRECORD_PORT=str(port)) as process_id:
        await answering(port)
        yield process_id, _Api(port, settings.bootstrap_key_path.read_text().strip())
