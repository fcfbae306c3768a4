"""Processes that can be killed and started again on the same files, and what must hold of a log after that."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

import events.store
from events.envelope import Entry, streams_of
from events.ledger import Ledger
from events.store import Store
from service import embedded
from service.worker import Worker

ONRECORD = Path(sys.executable).with_name("onrecord")
PATIENCE = 30.0


class StoreProcess:
    """A durable store as a process of its own, always on the same files and socket."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "store"
        self._folder.mkdir(parents=True)
        self.url = embedded.url_of(home)
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and return when it answers."""
        self.process = await embedded._start(self._folder, self.url)

    async def kill(self) -> None:
        """Kill it as a crash would, and return when it is gone."""
        await killed(self.process)


class ServiceProcess:
    """One command of On Record that goes on, as a process of its own."""

    def __init__(self, word: str, home: Path, store_url: str, says: str, **more: str) -> None:
        self._word, self._says = word, says
        self.printed: deque[str] = deque(maxlen=400)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = int(listener.getsockname()[1])
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("ONRECORD_")} | {
            "ONRECORD_HOME": str(home),
            "ONRECORD_PORT": str(self.port),
            "ONRECORD_STORE_URL": store_url,
            "ONRECORD_WRITES_PER_MINUTE": "0",
            "COLUMNS": "120",
            **more,
        }
        self.process: asyncio.subprocess.Process | None = None
        self.up = asyncio.Event()

    async def start(self) -> None:
        """Start it, and return when it says that it is there, if it is of those that say so."""
        self.process = await asyncio.create_subprocess_exec(
            ONRECORD,
            self._word,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = asyncio.Event()
        self._reading = asyncio.create_task(self._read(self.process, said))
        if self._says:
            await asyncio.wait_for(said.wait(), PATIENCE)
        self.up.set()

    async def _read(self, process: asyncio.subprocess.Process, said: asyncio.Event) -> None:
        """Keep what it prints until it ends, and say when it says that it is there."""
        assert process.stdout is not None
        async for line in process.stdout:
            self.printed.append(line.decode())
            if self._says in self.printed[-1]:
                said.set()

    async def kill(self) -> None:
        """Kill it as a crash would, and return when it is gone; it must have been there."""
        assert self.process is not None
        assert self.process.returncode is None, f"{self._word} ended by itself:\n{''.join(self.printed)}"
        self.up.clear()
        await self.end()

    async def end(self) -> None:
        """Kill it if it is still there, and return when it is gone; if the test failed, what it said is shown."""
        await killed(self.process)
        await self._reading
        print(f"{self._word} ended with {self.process and self.process.returncode}; it said:", *self.printed, sep="\n")  # noqa: T201


async def killed(process: asyncio.subprocess.Process | None) -> None:
    """Kill a process if it is still there, and return when it is gone."""
    if process is not None:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[StoreProcess]:
    """A store that can be killed and started again."""
    server = StoreProcess(tmp_path)
    await server.start()
    yield server
    await server.kill()


@pytest.fixture
async def client(server: StoreProcess) -> AsyncIterator[Store]:
    """A client of that store."""
    client = events.store.connect(server.url)
    yield client
    await client.aclose()


@pytest.fixture
async def api(server: StoreProcess, tmp_path: Path) -> AsyncIterator[ServiceProcess]:
    """The API on that store."""
    api = ServiceProcess("api", tmp_path, server.url, "On Record answers at")
    await api.start()
    yield api
    await api.end()


@pytest.fixture
async def worker(server: StoreProcess, api: ServiceProcess, tmp_path: Path) -> AsyncIterator[ServiceProcess]:
    """The worker on that store."""
    worker = ServiceProcess("worker", tmp_path, server.url, "")
    await worker.start()
    yield worker
    await worker.end()


@pytest.fixture
async def desk(api: ServiceProcess, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody who records over HTTP."""
    headers = {"Authorization": f"Bearer {(tmp_path / 'bootstrap.key').read_text().strip()}"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{api.port}", headers=headers, timeout=PATIENCE) as desk:
        yield desk


@contextlib.asynccontextmanager
async def working(url: str, ledger_name: str) -> AsyncIterator[asyncio.Task[None]]:
    """Run a worker in this process."""
    async with contextlib.aclosing(events.store.connect(url)) as client:
        task = asyncio.create_task(Worker(client, await Ledger.open(client, ledger_name)).run())
        try:
            yield task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def everything(ledger: Ledger) -> list[Entry]:
    """Return the whole log."""
    found: list[Entry] = []
    while batch := await ledger.read(found[-1].position if found else 0):
        found += batch
    return found


def assert_whole(entries: list[Entry]) -> None:
    """Positions count without a gap, recorded times never go back, and the events of a command are one run."""
    assert list(range(1, len(entries) + 1)) == [entry.position for entry in entries]
    assert [entry.position for entry in entries] == [entry.envelope.position for entry in entries]
    times = [entry.envelope.recordedtime for entry in entries]
    assert sorted(times) == times
    assert len(entries) == len({entry.envelope.id for entry in entries})
    commands = [entry.envelope.commandid for entry in entries]
    begun = [now for before, now in zip(["", *commands], commands, strict=False) if now != before]
    assert len(set(commands)) == len(begun)


async def assert_streams(client: Store, ledger: Ledger, entries: list[Entry]) -> None:
    """The positions kept for every stream are those of its events, and head and log agree."""
    streams: dict[str, list[bytes]] = {}
    for entry in entries:
        for stream in streams_of(entry.event):
            streams.setdefault(stream, []).append(b"%d" % entry.position)
    kept = {stream: await client.lrange(ledger.keys.positions(stream), 0, -1) for stream in streams}
    assert streams == kept
    assert len(streams) == len([key async for key in client.scan_iter(match=ledger.keys.positions("*"), count=1000)])
    assert len(entries) == (await ledger.head()).position == await client.xlen(ledger.keys.events)
