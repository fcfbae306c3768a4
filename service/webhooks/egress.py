"""Egress: the one way in which this service sends anything to an address that somebody else chose.

A name is resolved once, when a connection is made; if any of its addresses is not public nothing is dialled, and what
is dialled is an address that was checked. So a name that changes its answer between check and connection gains nothing.
Names stay in TLS and in the Host header. Redirects are answers like any other, and are not followed.
"""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from ssl import SSLContext
from types import TracebackType
from typing import Any, Self, TypeAlias

import httpcore2
from msgspec import Struct

from service.webhooks.destination import NOT_PUBLIC, Address, Destination, Network, Refused, is_public

Resolver: TypeAlias = Callable[[str], Awaitable[Sequence[str]]]
"""Returns the addresses of a name. Raises ``OSError`` if it has none."""

_NOT_PLAIN = "the scheme is https; http is for networks that are allowed"
_RESOLVERS = 32
"""Names that are looked up at once: one whose servers do not answer keeps a thread until the system gives up."""
_POOLS = 64
"""Pools of connections: with every request a pool looks at all that it has, so each has few. A URL has one of them."""
_KEPT_OPEN = 8
"""Connections that are kept open of each pool while they wait."""
_KEPT_OPEN_SECONDS = 30.0


class Unanswered(Exception):
    """A request that got no answer: nobody was there, or the answer did not come in time. Says what kind it was."""


class Bounds(Struct, frozen=True):
    """What one request may take: seconds to connect, for TLS, until the answer begins, and in all; bytes to read."""

    connect: float = 5.0
    tls: float = 5.0
    first_byte: float = 15.0
    total: float = 20.0
    largest_answer: int = 16 * 1024


class Answered(Struct, frozen=True):
    """What an endpoint answered: ``body`` is the beginning of it, and ``seconds`` what it took in all."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


class Egress:
    """Sends requests to endpoints. ``allowed`` networks are dialled as if they were public, also without TLS.

    With ``proxy`` everything goes through that HTTP proxy, by CONNECT: it resolves names, and decides on what they
    resolve to. Addresses in URLs are checked here all the same, and names too, before the proxy is asked.
    """

    def __init__(
        self,
        *,
        allowed: Iterable[Network] = (),
        bounds: Bounds | None = None,
        proxy: str = "",
        resolve: Resolver | None = None,
        tls: SSLContext | None = None,
    ) -> None:
        self._allowed = tuple(allowed)
        self.bounds = bounds or Bounds()
        self._timeouts = {
            "connect": self.bounds.connect,
            "read": self.bounds.first_byte,
            "write": self.bounds.first_byte,
            "pool": self.bounds.total,
        }
        self._threads = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="resolve")
        self._resolve = resolve or self._ask_the_system
        self._proxy = httpcore2.Proxy(proxy) if proxy else None
        settings: dict[str, Any] = {
            "ssl_context": tls,
            "max_connections": None,  # how many attempts are under way is bounded by who makes them
            "max_keepalive_connections": _KEPT_OPEN,
            "keepalive_expiry": _KEPT_OPEN_SECONDS,
            "proxy": self._proxy,
        }
        backends = {"https": _Guarded(self, is_plain=False), "http": _Guarded(self, is_plain=True)}
        self._pools = {
            scheme: [
                httpcore2.AsyncConnectionPool(
                    network_backend=httpcore2.AnyIOBackend() if self._proxy else backend, **settings
                )
                for _ in range(_POOLS)
            ]
            for scheme, backend in backends.items()
        }

    async def check(self, to: Destination) -> None:
        """Raise ``Refused`` if nothing would be sent there now."""
        if to.scheme == "http" and not self._allowed:
            raise Refused(_NOT_PLAIN)
        try:
            async with asyncio.timeout(self.bounds.connect):
                await self.addresses(to.host, is_plain=to.scheme == "http")
        except TimeoutError as error:
            raise Refused(NOT_PUBLIC) from error

    async def post(self, to: Destination, body: bytes, headers: Mapping[str, str]) -> Answered:
        """Post a body once. Raises ``Refused`` if nothing is sent there, ``Unanswered`` if no answer came in time."""
        begun = time.monotonic()
        request = httpcore2.Request(
            "POST",
            httpcore2.URL(scheme=to.scheme, host=to.host, port=to.port, target=to.target),
            headers=[("Host", to.authority), ("Content-Length", str(len(body))), *headers.items()],
            content=body,
            extensions={"timeout": self._timeouts},
        )
        try:
            async with asyncio.timeout(self.bounds.total):
                if self._proxy:
                    await self.addresses(to.host, is_plain=to.scheme == "http")
                answer = await self._first_byte(self._pools[to.scheme][hash(to) % _POOLS], request)
                try:
                    beginning = await self._beginning(answer)
                finally:
                    await answer.aclose()
        except TimeoutError as error:
            raise Unanswered(f"no whole answer within {self.bounds.total:g} s") from error
        except httpcore2.TimeoutException as error:
            raise Unanswered(f"no answer in time: {_kind(error)}") from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.ProxyError, OSError) as error:
            raise Unanswered(f"no answer: {_kind(error)}") from error
        said = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
        return Answered(answer.status, said, beginning, time.monotonic() - begun)

    async def addresses(self, host: str, *, is_plain: bool) -> list[Address]:
        """Return the addresses of a host, all of which may be dialled. Raises ``Refused`` if one may not be.

        Without TLS (``is_plain``) only the allowed networks may be.
        """
        try:
            found = [ipaddress.ip_address(host)]
        except ValueError:
            try:
                found = [ipaddress.ip_address(text.partition("%")[0]) for text in await self._resolve(host)]
            except OSError as error:
                raise Refused(NOT_PUBLIC) from error
        if not found or not all(self._may_dial(address, is_plain=is_plain) for address in found):
            raise Refused(NOT_PUBLIC if not is_plain else _NOT_PLAIN)
        return found

    async def aclose(self) -> None:
        """Close every connection."""
        for pools in self._pools.values():
            for pool in pools:
                await pool.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _may_dial(self, address: Address, *, is_plain: bool) -> bool:
        allowed = any(address in network for network in self._allowed if network.version == address.version)
        return allowed or (not is_plain and is_public(address))

    async def _first_byte(self, pool: httpcore2.AsyncConnectionPool, request: httpcore2.Request) -> httpcore2.Response:
        """Return the answer once its head is there; what arrives byte by byte is bounded too."""
        try:
            async with asyncio.timeout(self.bounds.connect + self.bounds.tls + self.bounds.first_byte):
                return await pool.handle_async_request(request)
        except TimeoutError as error:
            raise Unanswered(f"no answer within {self.bounds.first_byte:g} s") from error

    async def _beginning(self, answer: httpcore2.Response) -> bytes:
        """Return the first bytes of an answer's body, and read no more than those."""
        found = bytearray()
        async for part in answer.aiter_stream():
            found += part
            if len(found) >= self.bounds.largest_answer:
                break
        return bytes(found[: self.bounds.largest_answer])

    async def _ask_the_system(self, host: str) -> list[str]:
        """Return the addresses that the system's resolver knows."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        )
        return list(dict.fromkeys(str(place[4][0]) for place in found))


class _Guarded(httpcore2.AsyncNetworkBackend):
    """Dials for httpcore2, only what may be dialled."""

    def __init__(self, egress: Egress, *, is_plain: bool) -> None:
        self._egress, self._is_plain = egress, is_plain
        self._dialling = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Resolve a host, check all its addresses, and connect to the first that answers, within the time-out."""
        failure: Exception = httpcore2.ConnectError("no address")
        try:
            async with asyncio.timeout(timeout):
                for address in await self._egress.addresses(host, is_plain=self._is_plain):
                    try:
                        stream = await self._dialling.connect_tcp(
                            str(address), port, local_address=local_address, socket_options=socket_options
                        )
                    except httpcore2.ConnectError as error:
                        failure = error
                    else:
                        return _Timed(stream, self._egress.bounds.tls)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout("no connection") from error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,  # noqa: ARG002 - httpcore2's signature, here and below
        timeout: float | None = None,  # noqa: ARG002, ASYNC109
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore2.AsyncNetworkStream:
        """Refuse: nobody's endpoint is a file of this machine."""
        raise Refused(NOT_PUBLIC)

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        await asyncio.sleep(seconds)


class _Timed(httpcore2.AsyncNetworkStream):
    """A stream whose TLS handshake has a bound of its own."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream, seconds: float) -> None:
        self._stream, self._seconds = stream, seconds
        self.read, self.write, self.aclose = stream.read, stream.write, stream.aclose  # type: ignore[method-assign]
        self.get_extra_info = stream.get_extra_info  # type: ignore[method-assign]

    async def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - httpcore2 gives that of the connection
    ) -> httpcore2.AsyncNetworkStream:
        """Begin TLS."""
        return await self._stream.start_tls(ssl_context, server_hostname, self._seconds)


def _kind(error: Exception) -> str:
    """Return what kind of failure it was, and nothing of addresses, which an endpoint's owner must not learn."""
    return {
        httpcore2.ConnectTimeout: "it could not be connected to in time",
        httpcore2.ConnectError: "it could not be connected to",
        httpcore2.ReadTimeout: "it did not answer in time",
        httpcore2.WriteTimeout: "it did not take the request in time",
        httpcore2.PoolTimeout: "too many requests are under way",
        httpcore2.RemoteProtocolError: "it does not speak HTTP",
    }.get(type(error), "the connection broke")
