"""What is appended goes over a connection that redis-py made: whatever the URL asks for holds there too."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from redis.exceptions import ResponseError, TimeoutError  # noqa: A004 - redis-py's name

import events.store
from events.ledger import Ledger
from events.line import Line
from events.store import Store, kept
from service.verification.policy import STRICT_TWO_SOURCE
from tests.contract.test_append import noting
from tests.contract.test_store import server

_PATIENCE = 30


def certified(folder: Path) -> ssl.SSLContext:
    """Return what a server on the loopback needs, with a certificate of our own, which is left in a file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([]), dt.datetime.now(dt.UTC)
    itself = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(itself, critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "certificate").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key").write_bytes(private)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "certificate", folder / "key")
    return context


@contextlib.asynccontextmanager
async def port_of(socket: str, context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """Stand before a server with a port of the loopback, with TLS or without."""
    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        from_store, to_store = await asyncio.open_unix_connection(socket)
        await asyncio.gather(passed(reader, to_store), passed(from_store, writer))

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield int(listening.sockets[0].getsockname()[1])
    listening.close()
    await asyncio.gather(*filter(None, serving))


async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes, until nothing does; with TLS, what comes after a farewell is an error."""
    with contextlib.suppress(OSError):
        while said := await reader.read(1 << 16):
            writer.write(said)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@pytest.mark.parametrize("runs", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("way", ["unix", "redis", "rediss"])
def test_what_the_url_asks_for_holds_for_appends(
    tmp_path: Path, way: str, runs: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    """User, password, database and TLS are those of the URL, also when the connection was closed and is made again."""
    runs(asyncio.wait_for(_appends(tmp_path, way), _PATIENCE))


async def _appends(folder: Path, way: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        socket = (await stack.enter_async_context(server(folder))).removeprefix("unix://")
        admin = await stack.enter_async_context(contextlib.aclosing(events.store.connect(f"unix://{socket}?db=3")))
        await admin.acl_setuser("recorder", enabled=True, passwords=["+secret"], keys=["*"], categories=["+@all"])
        await admin.acl_setuser("default", categories=["-@write", "-@scripting"])
        if way == "unix":
            url = f"unix://recorder:secret@{socket}?db=3"
        else:
            port = await stack.enter_async_context(port_of(socket, certified(folder) if way == "rediss" else None))
            url = f"{way}://recorder:secret@127.0.0.1:{port}/3"
            url += f"?ssl_ca_certs={folder / 'certificate'}" if way == "rediss" else ""
        store = await stack.enter_async_context(contextlib.aclosing(events.store.connect(url)))
        ledger = await Ledger.open(store, "main", create=STRICT_TWO_SOURCE)
        assert (await ledger.append(noting("claim", 60))).first == 2
        await admin.client_kill_filter(user="recorder")
        assert (await ledger.append(noting("claim", 60, at=60))).first == 62
        assert await admin.xlen(ledger.keys.events) == 121


@pytest.fixture
async def line(store: Store) -> Line:
    """A line to the store."""
    connection = await kept(store, "any")
    await connection.connect()
    return Line(connection, 0.5)


async def test_a_line_whose_answer_nobody_waits_for_any_more_is_closed(line: Line) -> None:
    """Who is cancelled after it asked leaves no answer that would be taken for the next one's."""
    asked = asyncio.create_task(line.ask("BLPOP", "any", 0))
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert not line.is_open


async def test_a_store_that_does_not_answer_in_time_is_waited_for_no_longer(line: Line) -> None:
    """A line gives up when it was told to, and is closed."""
    with pytest.raises(TimeoutError):
        await line.ask("BLPOP", "any", 0)
    assert not line.is_open


async def test_what_the_store_says_unasked_is_no_answer(line: Line, store: Store) -> None:
    """A message between a command and its answer is passed over; an answer that nobody asked for closes the line."""
    assert await line.ask("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "any") == b"OK"
    await store.set("any", "value")
    assert await line.ask("GET", "any") == b"value"
    assert isinstance(await line.ask("GET"), ResponseError)
    line.data_received(b"+OK\r\n")
    assert not line.is_open
