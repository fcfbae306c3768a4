"""Durability: whether a store can hold a ledger. Asked before anything is recorded in it, or read from it."""

import time
from typing import Any

from redis.exceptions import AuthenticationError, RedisError, ResponseError

from events.errors import ClocksApart, StoreNotDurable, StoreTooOld, StoreUnavailable
from events.store import UNREACHABLE, Store, servers

_OLDEST = (7, 2)
_OLDEST_VALKEY = (8, 0)
_CLOCKS_APART = 5.0
"""Seconds by which the store's clock may differ from ours: as many as the append script lets it step back."""


async def check(store: Store, *, allow_lossy: bool = False) -> str:
    """Make sure that the store can hold a ledger, and return what it is, as in ``Valkey 9.1.2``.

    Of a cluster every primary is asked, and the first that will not do is the one that is named.

    Raises ``StoreUnavailable`` when it does not answer, ``StoreTooOld`` below Redis 7.2 and Valkey 8, ``ClocksApart``
    when its clock is not ours, and ``StoreNotDurable`` when it could lose what it acknowledged, unless ``allow_lossy``.
    """
    try:
        await store.initialize()
        for server in servers(store):
            name, version, known = _name_and_version(await store.info("server", **server))
            if version < known:
                oldest = ".".join(map(str, known))
                raise StoreTooOld(f"the store is {name} {_dotted(version)}; On Record needs {oldest} or newer")
            await _check_clock(store, server)
            reasons = [] if allow_lossy else await _lossy_settings(store, server)
            if reasons:
                raise StoreNotDurable(reasons)
    except AuthenticationError as error:
        raise StoreUnavailable(f"the store refuses our credentials: {error}") from error
    except UNREACHABLE as error:
        raise StoreUnavailable(f"the store does not answer: {error}") from error
    except RedisError as error:
        raise StoreUnavailable(f"the store refuses to be asked: {error}") from error
    return f"{name} {_dotted(version)}"


async def _check_clock(store: Store, server: dict[str, Any]) -> None:
    """Raise ``ClocksApart`` if a server's time lies further outside that of the question than clocks may differ."""
    before = time.time()
    seconds, microseconds = await store.time(**server)
    its, after = int(seconds) + int(microseconds) / 1e6, time.time()
    apart = max(before - its, its - after)
    if apart > _CLOCKS_APART:
        which = "behind" if its < before else "ahead of"
        raise ClocksApart(f"the store's clock is {apart:.1f} s {which} ours; let NTP set both")


async def _lossy_settings(store: Store, server: dict[str, Any]) -> list[str]:
    """Return the settings by which a server of the store could lose acknowledged events."""
    try:
        settings = await store.config_get("appendonly", "appendfsync", "maxmemory-policy", **server)
    except ResponseError:
        return ["CONFIG GET is not permitted, so its persistence cannot be seen"]
    wanted = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
    where = f"{server['target_nodes'].name}: " if server else ""
    return [
        f"{where}{name} is {settings.get(name, 'unknown')}, not {value}"
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
