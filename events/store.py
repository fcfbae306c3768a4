"""The store: a Redis-protocol server that acknowledges only what is on disk."""

import asyncio
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any, Protocol, TypeAlias, TypeVar
from urllib.parse import unquote

from redis.asyncio import BlockingConnectionPool, Connection, Redis, RedisCluster, SSLConnection
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    ClusterDownError,
    ConnectionError,  # noqa: A004 - redis-py's name
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    SlotNotCoveredError,
    TimeoutError,  # noqa: A004 - likewise
)
from redis.maint_notifications import MaintNotificationsConfig

from events.errors import StoreFull, StoreUnavailable

Store: TypeAlias = Any  # a redis.asyncio.Redis or RedisCluster, whose annotations describe two kinds of client at once
"""A client of the store. One is shared by everything in a process; reads that block have one of their own."""

_T = TypeVar("_T")

UNREACHABLE = (ConnectionError, TimeoutError, OSError, SlotNotCoveredError)
"""What redis-py raises when the store cannot be reached or does not answer."""

_NO_WRITES = {"MISCONF", "READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS"}
"""Codes with which a server says that it cannot write now: full disk, failover, still loading."""
_OF_A_PIPELINE = re.compile(r"^Command # \d+ .* of pipeline caused error: \(?['\"]?", re.DOTALL)
"""What redis-py puts before the error of a command in a pipeline."""
_POOL_SECONDS = 5.0
_CONNECT_SECONDS = 2
_REWRITE_SECONDS = 10
_REWRITE_POLL = 0.05
_UNBOUNDED = 2**31


_CLUSTER = "redis+cluster://"


class Disconnected(Protocol):
    """What is disconnected with a client."""

    async def disconnect(self) -> None:
        """Leave no task and no connection."""


class Pool(BlockingConnectionPool):
    """The connections of a client: those that are lent for a command, and those kept by who writes (``keep``)."""

    def __init__(self, *, replicas: int = 0, **settings: Any) -> None:  # noqa: ANN401 - redis-py's own
        super().__init__(**settings)
        self.replicas = replicas
        """How many replicas have to have a write on disk before it counts."""
        self.patience: float = settings["socket_timeout"]
        """Seconds to wait for an answer."""
        self.kept: list[Any] = []
        """Connections of who writes, and whatever else is disconnected with the client."""
        self.shared: dict[object, Any] = {}
        """What is there once for the client."""

    def keep(self) -> Any:  # noqa: ANN401 - redis-py's connections
        """Return a new connection, closed with the client. Its user bounds its waiting: it has no time-out itself."""
        settings = self.connection_kwargs | {"socket_timeout": None}  # which costs a task for every write
        self.kept.append(self.connection_class(**settings))
        return self.kept[-1]

    async def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's signature
        """Close every connection."""
        for each in list(self.kept):
            await each.disconnect()
        await super().disconnect(inuse_connections)


def connect(
    url: str, *, connections: int = 32, read_timeout: float = 5.0, replicas: int = 0, wait: float = _POOL_SECONDS
) -> Store:
    """Return a client for ``url``; nothing is dialled yet.

    ``redis://``, ``rediss://`` and ``unix://`` name a server, ``redis+cluster://HOST:PORT[,HOST:PORT…]`` some nodes of
    a cluster, for which ``connections`` bounds nothing: one more caller waits for no other there.

    A command waits ``wait`` seconds for a connection, and is tried four times with jittered pauses of at most a second.
    What a ledger appends is acknowledged when ``replicas`` replicas have it on disk too.
    """
    if url.startswith(_CLUSTER):
        return _Cluster(url, read_timeout, replicas)
    pool = Pool.from_url(
        url,
        replicas=replicas,
        max_connections=connections,
        timeout=wait,
        socket_timeout=read_timeout,
        socket_connect_timeout=_CONNECT_SECONDS,
        retry=_retry(),
        protocol=3,
        health_check_interval=0,
    )
    pool.connection_class = _CANCELLABLE[pool.connection_class]
    return Redis.from_pool(pool)


def beside(store: Store) -> Store:
    """Return another client of the same store, with one connection of its own to each server: for reads that block."""
    if isinstance(store, _Cluster):
        return _Cluster(store.url, store.read_timeout, store.replicas)
    pool = store.connection_pool
    return Redis.from_pool(
        BlockingConnectionPool(
            max_connections=1, timeout=pool.timeout, connection_class=pool.connection_class, **pool.connection_kwargs
        )
    )


async def kept(store: Store, key: str) -> Any:  # noqa: ANN401 - redis-py's connections
    """Return a new connection to where a key is, for one user alone; it is closed with the client.

    Its user bounds its waiting: it has no time-out of its own, which would cost a task for every write.
    """
    return await store.keep(key) if isinstance(store, _Cluster) else store.connection_pool.keep()


async def let_go(store: Store, connection: Any) -> None:  # noqa: ANN401 - redis-py's connections
    """Close a connection that was kept."""
    holder = store if isinstance(store, _Cluster) else store.connection_pool
    if connection in holder.kept:
        holder.kept.remove(connection)
    await connection.disconnect(nowait=True)


def shared(store: Store, make: Callable[[Store], _T]) -> _T:
    """Return what there is once for a client, for all who use it: made the first time, and gone with the client."""
    holder = store if isinstance(store, _Cluster) else store.connection_pool
    its: _T | None = holder.shared.get(make)
    if its is None:
        its = holder.shared[make] = make(store)
    return its


def closed_with(store: Store, its: Disconnected) -> None:
    """Let something be disconnected when a client is closed."""
    holder = store if isinstance(store, _Cluster) else store.connection_pool
    holder.kept.append(its)


def is_cluster(store: Store) -> bool:
    """Whether a client is one of a cluster."""
    return isinstance(store, _Cluster)


async def server_of(store: Store, key: str) -> str:
    """Return the name of the server of a cluster that has a key, and nothing if there is but one server."""
    if not isinstance(store, _Cluster):
        return ""
    await store.initialize()
    return str(_node_of(store, key).name)


def required_replicas(store: Store) -> int:
    """Return how many replicas have to have a write on disk before it counts."""
    replicas: int = store.replicas if isinstance(store, _Cluster) else store.connection_pool.replicas
    return replicas


def patience(store: Store) -> float:
    """Return for how many seconds an answer is waited for."""
    seconds: float = store.read_timeout if isinstance(store, _Cluster) else store.connection_pool.patience
    return seconds


def servers(store: Store) -> Iterable[dict[str, Any]]:
    """Return, for each server that holds data, the arguments that send a command to it."""
    return [{"target_nodes": node} for node in store.get_primaries()] if isinstance(store, _Cluster) else [{}]


def _retry() -> Retry:
    return Retry(ExponentialWithJitterBackoff(cap=1.0, base=0.05), 3)


class _Cancellable(AbstractConnection):
    """A connection that never forgets that its task was cancelled.

    redis-py sends with ``asyncio.wait_for``, and that of Python 3.11 returns as if nothing had been when the
    cancellation comes just as the send is done (python/cpython#86296); what is read next could then block for long.
    """

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever redis-py gives
        """Send, and be cancelled if that was asked for meanwhile."""
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        await super().send_packed_command(*args, **kwargs)
        if task and task.cancelling() > before:
            await self.disconnect(nowait=True)  # what was sent has an answer that nobody will read
            raise asyncio.CancelledError


class _Tcp(_Cancellable, Connection):
    pass


class _Tls(_Cancellable, SSLConnection):
    pass


class _Unix(_Cancellable, UnixDomainSocketConnection):
    pass


_CANCELLABLE: dict[type[AbstractConnection], type[AbstractConnection]] = {
    Connection: _Tcp,
    SSLConnection: _Tls,
    UnixDomainSocketConnection: _Unix,
}


class _Cluster(RedisCluster):
    """A client of a cluster. All keys of one ledger are in one slot; a command is tried as on a single server."""

    def __init__(self, url: str, read_timeout: float, replicas: int = 0) -> None:
        self.url, self.read_timeout, self.replicas = url, read_timeout, replicas
        self.kept: list[Any] = []
        self.shared: dict[object, Any] = {}
        who, _, nodes = url.removeprefix(_CLUSTER).rpartition("@")
        username, _, password = who.partition(":")
        places = [node.rpartition(":") for node in nodes.rstrip("/").split(",")]
        super().__init__(
            startup_nodes=[ClusterNode(host.strip("[]"), int(port)) for host, _, port in places],
            username=unquote(username) or None,
            password=unquote(password) or None,
            max_connections=_UNBOUNDED,  # a client of a cluster raises where one of a server would wait
            socket_timeout=read_timeout,
            socket_connect_timeout=_CONNECT_SECONDS,
            retry=_retry(),
            protocol=3,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),  # a handshake that Valkey does not know
        )
        self.connection_kwargs["connection_class"] = _Tcp
        for node in self.nodes_manager.startup_nodes.values():
            node.connection_class = _Tcp

    async def initialize(self, *args: Any, **kwargs: Any) -> "_Cluster":  # noqa: ANN401 - whatever redis-py gives
        """Learn who has which slots. Raises ``ConnectionError`` if nobody can be asked or slots are nobody's."""
        try:
            await super().initialize(*args, **kwargs)
        except RedisClusterException as error:
            raise ConnectionError(str(error)) from error
        return self

    async def keep(self, key: str) -> Any:  # noqa: ANN401 - redis-py's connections
        """Return a new connection to the server that has a key, closed with the client."""
        await self.initialize()
        node = _node_of(self, key)
        self.kept.append(node.connection_class(**(node.connection_kwargs | {"socket_timeout": None})))
        return self.kept[-1]

    async def aclose(self) -> None:
        """Close every connection."""
        for each in list(self.kept):
            await each.disconnect()
        await super().aclose()


def _node_of(cluster: RedisCluster, key: str) -> ClusterNode:
    """Return the server of a cluster that has a key. Raises ``SlotNotCoveredError``."""
    node = cluster.get_node_from_key(key)
    if node is None:
        raise SlotNotCoveredError(f"no server of the cluster has {key}")
    return node


class Script:
    """A Lua script, run by its hash (EVALSHA); a server that does not know it yet is told."""

    def __init__(self, package: str, name: str) -> None:
        self.source = files(package).joinpath(name).read_text()
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def queue(self, pipeline: Store, keys: Sequence[str], args: Sequence[bytes | int | str]) -> None:
        """Add the script to a pipeline; a server that does not know it fails that with ``NoScriptError``."""
        pipeline.execute_command("EVALSHA", self.sha, len(keys), *keys, *args)  # of a cluster it has no evalsha()

    async def load(self, store: Store) -> None:
        """Tell a server the script."""
        await store.script_load(self.source)

    async def run(self, store: Store, keys: Sequence[str], args: Sequence[bytes | int | str]) -> Any:  # noqa: ANN401 - what Lua returns
        """Run the script on a store. Raises what redis-py raises."""
        try:
            return await store.evalsha(self.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await store.eval(self.source, len(keys), *keys, *args)


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
    said = _OF_A_PIPELINE.sub("", str(error))
    code = said.partition(" ")[0]
    if isinstance(error, OutOfMemoryError) or code == "OOM":
        return StoreFull("the store takes no more writes: it is at its memory limit, or its disk is nearly full")
    if isinstance(error, ReadOnlyError | ClusterDownError) or code in _NO_WRITES:
        return StoreUnavailable(f"the store takes no writes: {error}")
    return None


async def rewrite_logs(store: Store) -> list[str]:
    """Let every server begin to write its log anew, so that its files forget what was deleted or overwritten.

    Returns why servers did not begin: their logs forget when they are next written anew. Replicas, and copies of the
    files, are not reached from here.
    """
    why_not = []
    for server in servers(store):
        try:
            async with asyncio.timeout(_REWRITE_SECONDS):
                while not await _began_rewrite(store, server):  # noqa: ASYNC110 - a server tells nobody that it is done
                    await asyncio.sleep(_REWRITE_POLL)
        except (*UNREACHABLE, RedisError) as error:
            why_not.append(str(error) or "a rewrite that was under way did not end")
    return why_not


async def _began_rewrite(store: Store, server: dict[str, Any]) -> bool:
    """Tell a server to write its log anew; a rewrite under way began too early to count."""
    try:
        await store.bgrewriteaof(**server)
    except ResponseError as error:
        if "already in progress" in str(error):
            return False
        raise
    return True
