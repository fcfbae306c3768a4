"""The store: a Redis-protocol server that acknowledges only what is on disk."""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any, TypeAlias

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,  # noqa: A004 - redis-py's name
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004 - likewise
)

from events.errors import StoreFull, StoreNotDurable, StoreTooOld, StoreUnavailable

Store: TypeAlias = Any  # a redis.asyncio.Redis, whose own annotations describe two kinds of client at once
"""A client of the store. One is shared by everything in a process; reads that block have one of their own."""

UNREACHABLE = (ConnectionError, TimeoutError, OSError)
"""What redis-py raises when the store cannot be reached or does not answer."""

_NO_WRITES = {"MISCONF", "READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS"}
"""Codes with which a server says that it cannot write now: full disk, failover, still loading."""
_OLDEST = (7, 2)
_OLDEST_VALKEY = (8, 0)


def connect(url: str, *, connections: int = 32, read_timeout: float = 5.0) -> Store:
    """Return a client for ``url`` (``redis://``, ``rediss://`` or ``unix://``); nothing is dialled yet.

    A command is tried three times with jittered pauses of at most a second; commands that write can bear that
    because every one carries its command id.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=5,
        socket_timeout=read_timeout,
        socket_connect_timeout=2,
        retry=Retry(ExponentialWithJitterBackoff(cap=1.0, base=0.05), 3),
        protocol=3,
        health_check_interval=0,
    )
    return Redis.from_pool(pool)


class Script:
    """A Lua script, run by its hash (EVALSHA); a server that does not know it yet is told."""

    def __init__(self, package: str, name: str) -> None:
        self._source = files(package).joinpath(name).read_text()
        self._sha = hashlib.sha1(self._source.encode(), usedforsecurity=False).hexdigest()

    def queue(self, pipeline: Store, keys: Sequence[str], args: Sequence[bytes | int | str]) -> None:
        """Add the script to a pipeline; a server that does not know it fails that with ``NoScriptError``."""
        pipeline.evalsha(self._sha, len(keys), *keys, *args)

    async def load(self, store: Store) -> None:
        """Tell a server the script."""
        await store.script_load(self._source)

    async def run(self, store: Store, keys: Sequence[str], args: Sequence[bytes | int | str]) -> Any:  # noqa: ANN401 - what Lua returns
        """Run the script on a store. Raises what redis-py raises."""
        try:
            return await store.evalsha(self._sha, len(keys), *keys, *args)
        except NoScriptError:
            return await store.eval(self._source, len(keys), *keys, *args)


@contextmanager
def answering() -> Iterator[None]:
    """Turn the ways in which a store does not do what it is asked into ``StoreUnavailable`` and ``StoreFull``.

    A cancellation that arrived meanwhile is always raised. Python 3.11's ``asyncio.wait_for``, by which redis-py sends,
    loses one that arrives just as the bytes have gone out; and one can be covered by an error of the client's.
    """
    task = asyncio.current_task()
    cancels = task.cancelling() if task else 0
    try:
        yield
    except UNREACHABLE as error:
        if task and task.cancelling() > cancels:
            raise asyncio.CancelledError from error
        raise StoreUnavailable(f"the store does not answer: {error}") from error
    except ResponseError as error:
        if said := meaning(error):
            raise said from error
        raise
    if task and task.cancelling() > cancels:
        raise asyncio.CancelledError


def meaning(error: ResponseError) -> StoreFull | StoreUnavailable | None:
    """Return what an error answer says of the store's condition, or None if it is about the command itself."""
    code = str(error).partition(" ")[0]
    if isinstance(error, OutOfMemoryError) or code == "OOM":
        return StoreFull("the store has reached its memory limit")
    if isinstance(error, ReadOnlyError) or code in _NO_WRITES:
        return StoreUnavailable(f"the store takes no writes: {error}")
    return None


async def check(store: Store, *, allow_lossy: bool = False) -> str:
    """Make sure that the store can hold a ledger, and return what it is, as in ``Valkey 9.1.2``.

    Raises ``StoreUnavailable`` when it does not answer, ``StoreTooOld`` below Redis 7.2 and Valkey 8, and
    ``StoreNotDurable`` when it could lose what it acknowledged, unless ``allow_lossy``.
    """
    try:
        server = await store.info("server")
        name, version, known = _name_and_version(server)
        if version < known:
            oldest = ".".join(map(str, known))
            raise StoreTooOld(f"the store is {name} {_dotted(version)}; On Record needs {oldest} or newer")
        reasons = [] if allow_lossy else await _lossy_settings(store)
    except AuthenticationError as error:
        raise StoreUnavailable(f"the store refuses our credentials: {error}") from error
    except UNREACHABLE as error:
        raise StoreUnavailable(f"the store does not answer: {error}") from error
    except RedisError as error:
        raise StoreUnavailable(f"the store refuses to be asked: {error}") from error
    if reasons:
        raise StoreNotDurable(reasons)
    return f"{name} {_dotted(version)}"


async def _lossy_settings(store: Store) -> list[str]:
    """Return the settings by which the store could lose acknowledged events."""
    try:
        settings = await store.config_get("appendonly", "appendfsync", "maxmemory-policy")
    except ResponseError:
        return ["CONFIG GET is not permitted, so its persistence cannot be seen"]
    wanted = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
    return [
        f"{name} is {settings.get(name, 'unknown')}, not {value}"
        for name, value in wanted.items()
        if settings.get(name) != value
    ]


def _name_and_version(server: dict[str, Any]) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    if "valkey_version" in server:
        return "Valkey", _numbers(server["valkey_version"]), _OLDEST_VALKEY
    return "Redis", _numbers(server["redis_version"]), _OLDEST


def _numbers(version: object) -> tuple[int, ...]:
    return tuple(int(part) for part in str(version).split(".") if part.isdigit())


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
