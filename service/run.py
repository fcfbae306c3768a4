"""Running it: what ``onrecord serve``, ``api``, ``worker`` and ``load`` start, and the order in which they stop it."""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path

import structlog
import uvicorn
from msgspec import structs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import events.store
from events import durability, group_commit
from events.errors import StoreFull, StoreUnavailable, StoreUnusable
from events.ledger import Ledger, ledger_names
from events.store import Store
from service import embedded, tracing
from service.api.http.connection import Connection
from service.api.http.served import Served
from service.app import VERSION, archives_of, create_app, egress_of, open_served, open_vault, outbound_of
from service.auth.bootstrap import ensure_bootstrap_key
from service.client import Client
from service.load import load, read_story
from service.metrics import Metrics
from service.projections.catalog import PROJECTIONS
from service.projections.queries import NotThereYet, Queries
from service.projections.rebuild import RebuildRefused, rebuild
from service.settings import Settings, wants_traces
from service.show import claims_table, greeting
from service.webhooks import attempts
from service.worker import Workers

_LOG = structlog.get_logger("onrecord.process")
_GRACE_SECONDS = 5
_CATCH_UP_SECONDS = 60
_GLANCE_SECONDS = 5
"""Seconds for which projections are waited for at a start that loads nothing."""
_READY_SECONDS = 8
_WAIT_SECONDS = 30.0
"""Seconds for which a duty waits for a connection: when a worker takes hundreds of ledgers, those take turns."""
_SELDOM = 20_000
_console = Console(highlight=False)
COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


@contextlib.contextmanager
def traced(environment: Mapping[str, str]) -> Iterator[None]:
    """Collect traces beside the caller, if OpenTelemetry's variables ask for them."""
    provider = tracing.start() if wants_traces(environment) else None
    try:
        yield
    finally:
        if provider:
            tracing.stop(provider)


async def run_service(settings: Settings, sample: Path | None) -> None:
    """Run store, worker and API until SIGINT or SIGTERM, then stop them in the opposite order."""
    settings.home_path.mkdir(parents=True, exist_ok=True, mode=0o700)
    async with contextlib.AsyncExitStack() as stack:
        beside = []
        if not settings.store_url:
            store_here = await stack.enter_async_context(embedded.supervised(settings.home_path))
            settings = structs.replace(settings, store_url=store_here.url)
            beside.append(store_here.supervising)
        async with checked_store(settings) as store:
            here = await open_served(store, settings.ledger, archives=archives_of(settings))
            await open_vault(store, settings, settings.ledger)
            await _ensure_key(store, settings, replace=True)
            metrics = _metrics(settings)
            async with _working(settings, metrics) as worker:
                is_new = sample is not None and (await here.ledger.head()).position <= 1
                if sample and is_new:
                    await _load_with_progress(settings, store, sample)
                await _catch_up(here, _CATCH_UP_SECONDS if is_new else _GLANCE_SECONDS)
                async with _exposing(settings, metrics):
                    await _serve(settings, metrics, with_claims=True, beside=[*beside, worker])


async def _catch_up(here: Served, seconds: float) -> None:
    """Wait until every projection is at the present end; a store that takes no writes now is served all the same."""
    head = (await here.ledger.head()).position
    try:
        async with asyncio.timeout(seconds):
            for projection in PROJECTIONS:
                await here.queries.wait_for(projection, head, seconds=seconds)
    except (NotThereYet, TimeoutError) as error:
        _LOG.warning("serving although projections are behind", why=str(error))


async def run_api(settings: Settings) -> None:
    """Run the API until SIGINT or SIGTERM."""
    settings = with_store(settings)
    async with checked_store(settings) as store:
        await open_served(store, settings.ledger, archives=archives_of(settings))
        await open_vault(store, settings, settings.ledger)
        if not await _ensure_key(store, settings, replace=False):
            _console.print(f"The bootstrap key of this store was made elsewhere; it is not in {settings.home_path}.")
    metrics = _metrics(settings)
    async with _exposing(settings, metrics):
        await _serve(settings, metrics, with_claims=False)


async def run_worker(settings: Settings) -> None:
    """Run the worker until SIGINT or SIGTERM."""
    settings = with_store(settings)
    async with checked_store(settings) as store:
        await open_served(store, settings.ledger, archives=archives_of(settings))
    metrics = _metrics(settings)
    async with _exposing(settings, metrics), _working(settings, metrics) as working:
        _LOG.info("the worker works", release=VERSION)
        with _on_signal(working.cancel):
            await asyncio.wait([working])
    _LOG.info("the worker has ended")


async def check_ready(settings: Settings, only: str | None) -> None:
    """Return if the projections of every ledger, or ``only`` of one, reach what is on record now.

    Raises ``NotThereYet``, or an error of the ledger.
    """
    settings = with_store(settings)
    async with checked_store(settings) as store:

        async def caught_up(name: str) -> None:
            ledger = await Ledger.open(store, name)
            head = (await ledger.head()).position
            for projection in PROJECTIONS:
                await Queries(store, ledger.keys).wait_for(projection, head, seconds=_READY_SECONDS)

        names = [only] if only else {settings.ledger, *await ledger_names(store)}
        await asyncio.gather(*map(caught_up, names))


async def rebuild_projection(settings: Settings, name: str) -> None:
    """Rebuild a projection with a progress bar. Raises ``RebuildRefused``, also for a name that there is not."""
    projection = next((each for each in PROJECTIONS if each.name == name), None)
    if projection is None:
        raise RebuildRefused(f"there is no projection {name}; there are {', '.join(each.name for each in PROJECTIONS)}")
    settings = with_store(settings)
    async with checked_store(settings) as store:
        ledger = await Ledger.open(store, settings.ledger, past=archives_of(settings).past_of(settings.ledger))
        with Progress(*COLUMNS, console=_console) as bar:
            task = bar.add_task(f"Rebuilding {name}", total=None)
            async with contextlib.aclosing(rebuild(store, ledger, projection)) as steps:
                async for step in steps:
                    bar.update(task, completed=step.done, total=step.total)
    _console.print(f"{name} is rebuilt, and serves from its new generation.")


async def load_story(settings: Settings, file: Path) -> None:
    """Load a story file, with a progress bar, and say what was new."""
    settings = with_store(settings)
    async with checked_store(settings) as store:
        await _load_with_progress(settings, store, file)


def with_store(settings: Settings) -> Settings:
    """Return the settings with a store: the one that is named, or the embedded one of the home.

    Raises ``StoreUnavailable`` if none is named, and none runs on the home.
    """
    if settings.store_url:
        return settings
    url = embedded.url_of(settings.home_path)
    if not Path(url.removeprefix("unix://")).exists():
        home = settings.home_path
        raise StoreUnavailable(
            f"the store does not answer: none runs on {home}; start `onrecord serve`, or set ONRECORD_STORE_URL"
        )
    return structs.replace(settings, store_url=url)


@contextlib.asynccontextmanager
async def checked_store(settings: Settings) -> AsyncIterator[Store]:
    """Yield a client of the store, once it was found fit to hold a ledger."""
    store = events.store.connect(settings.store_url, replicas=settings.replicas)
    try:
        await durability.check(store, allow_lossy=settings.allow_lossy_store)
        await archives_of(settings).check_not_lost(store, settings.ledger)
        yield store
    finally:
        await store.aclose()


async def _ensure_key(store: Store, settings: Settings, *, replace: bool) -> bool:
    """Make sure that there is a bootstrap key, and return whether it is here; a full store has that of last time."""
    path = settings.bootstrap_key_path
    try:
        with events.store.answering():
            return await ensure_bootstrap_key(store, settings.ledger, path, replace=replace)
    except StoreFull:
        if not path.exists():
            raise
        return True


@contextlib.asynccontextmanager
async def _working(settings: Settings, metrics: Metrics | None) -> AsyncIterator[asyncio.Task[None]]:
    """Run a worker beside the caller, and end it with the caller; an error that it ends with is raised."""
    store = events.store.connect(settings.store_url, replicas=settings.replicas, wait=_WAIT_SECONDS)
    egress = egress_of(settings)
    workers = Workers(store, archives=archives_of(settings), outbound=outbound_of(store, egress, settings))
    if metrics:
        metrics.duties = workers.duties
    working = asyncio.create_task(workers.run())
    try:
        yield working
    finally:
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
        await egress.aclose()
        await store.aclose()


class _Server(uvicorn.Server):
    """A server that leaves signals to us: everything else has to stop after it, in order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def _metrics(settings: Settings) -> Metrics | None:
    """Return the metrics of this process, which see every append from now on, if the settings want any."""
    if not settings.metrics_port:
        return None
    metrics = Metrics(VERSION)
    group_commit.OBSERVERS.append(metrics.appended)
    attempts.OBSERVERS.append(metrics.attempted)
    return metrics


@contextlib.asynccontextmanager
async def _exposing(settings: Settings, metrics: Metrics | None) -> AsyncIterator[None]:
    """Let metrics be had beside the caller, if there are any."""
    if metrics is None:
        yield
        return
    async with contextlib.aclosing(events.store.connect(settings.store_url, connections=2)) as store:
        server = _Server(
            uvicorn.Config(
                metrics.exposed(store),
                host="127.0.0.1",
                port=settings.metrics_port,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        serving = asyncio.create_task(_until_exit(server, "the metrics", "ONRECORD_METRICS_PORT"))
        try:
            await _until_started(server, serving)
            yield
        finally:
            server.should_exit = True
            await serving


async def _serve(
    settings: Settings, metrics: Metrics | None, *, with_claims: bool, beside: Sequence[asyncio.Task[None]] = ()
) -> None:
    """Serve the API until a signal, or until a task ``beside`` it ends, which it should not do first."""
    app = create_app(settings)
    ending: asyncio.Event = app.state.running.ending
    app.state.access.observer = metrics
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=Connection,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config)
    gc.freeze()  # what is there now stays; and facts, of which there are many, hold no cycles: look for those seldom
    gc.set_threshold(_SELDOM)

    def stop() -> None:
        server.should_exit = True

    def end() -> None:
        """Be not ready and end the streams; then stop the server, at once unless others are to notice first."""
        _LOG.info("ending", drain_seconds=settings.drain_seconds)
        ending.set()
        asyncio.get_running_loop().call_later(settings.drain_seconds, stop)

    def on_signal() -> None:
        if ending.is_set():  # whoever asks twice does not want to wait
            _LOG.warning("ending at once")
            server.should_exit = server.force_exit = True
        else:
            end()

    with _on_signal(on_signal):
        serving = asyncio.create_task(_until_exit(server, "the API", "ONRECORD_PORT"))
        try:
            await _until_started(server, serving)
            if server.started:
                for task in beside:
                    task.add_done_callback(lambda _: end())
                port = server.servers[0].sockets[0].getsockname()[1]
                _LOG.info("the API answers", host=settings.host, port=port, release=VERSION)
                await _announce(structs.replace(settings, port=port), with_claims=with_claims)
        finally:
            server.should_exit = server.should_exit or sys.exc_info()[1] is not None
            await serving
            _LOG.info("the API has ended")


async def _announce(settings: Settings, *, with_claims: bool) -> None:
    if not with_claims:
        _console.print(f"On Record answers at {settings.api_url}")
        return
    async with Client(settings) as client:
        documents = [item.document async for item in client.claims({})]
    _console.print(claims_table(documents))
    _console.print(greeting(settings, documents), soft_wrap=True, markup=False)  # what is pasted must not be broken


async def _until_started(server: _Server, serving: asyncio.Task[None]) -> None:
    while not (server.started or serving.done()):  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)


async def _until_exit(server: _Server, what: str, setting: str) -> None:
    try:
        await server.serve()
    except SystemExit as error:
        address = f"{server.config.host}:{server.config.port}"
        said = f"{what} cannot listen on {address}; is something else there? {setting} names another port"
        raise StoreUnusable(said) from error


@contextlib.contextmanager
def _on_signal(stop: Callable[[], object]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stop)
    try:
        yield
    finally:
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(each)


async def _load_with_progress(settings: Settings, store: Store, file: Path) -> None:
    story = read_story(file)
    here = await open_served(store, settings.ledger, archives=archives_of(settings))
    new = 0
    with Progress(*COLUMNS, console=_console) as progress:
        task = progress.add_task(f"Loading {file.name}", total=len(story.items))
        try:
            async for part in load(story, here.recorder):
                new += part.new
                progress.advance(task)
        except asyncio.CancelledError:
            progress.console.print(
                f"{file.name} is on record in part: `onrecord load {file}` loads the rest.", soft_wrap=True
            )
            raise
    _console.print(f"{new} of {len(story.items)} parts were new; the rest was on record already.")
