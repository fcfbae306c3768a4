"""Sending to endpoints: what is dialled, what is refused, and what an endpoint cannot do to the sender."""

import asyncio
import ipaddress
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from service.webhooks.destination import NOT_PUBLIC, Destination, Refused, read
from service.webhooks.egress import Bounds, Egress, Unanswered

HERE = ipaddress.ip_network("127.0.0.0/8")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def answer_ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request with 200."""
    await request_of(reader)
    writer.write(OK)


async def request_of(reader: asyncio.StreamReader) -> bytes:
    """Return a request with its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    return head + await reader.readexactly(length)


@asynccontextmanager
async def listening(answer: Answering, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Listen on loopback, and yield the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def at(port: int, host: str = "127.0.0.1", scheme: str = "http") -> Destination:
    """Return a destination on this machine."""
    return read(f"{scheme}://{host}:{port}/hook?a=b")


async def test_an_allowed_network_is_sent_to_and_the_request_is_as_given() -> None:
    """Body, target and headers arrive as they were given, and the answer comes back with its beginning."""
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await request_of(reader))
        writer.write(OK)

    async with listening(answer) as port, Egress(allowed=[HERE]) as egress:
        answered = await egress.post(at(port), b'{"a":1}', {"webhook-id": "msg_1", "Content-Type": "application/json"})
    assert (answered.status, answered.body) == (200, b"ok")
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook?a=b HTTP/1.1\r\n")
    assert b"webhook-id: msg_1" in head
    assert body == b'{"a":1}'


async def test_loopback_is_refused_unless_it_is_allowed() -> None:
    """Nothing is dialled at an address that is not public, with TLS or without, and the reason says no more."""
    connected = asyncio.Event()

    async def answer(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        connected.set()

    async with listening(answer) as port, Egress() as egress:
        for scheme in ("http", "https"):
            with pytest.raises(Refused):
                await egress.post(at(port, scheme=scheme), b"", {})
        with pytest.raises(Refused) as refused:
            await egress.check(at(port, "localhost", "https"))
    assert str(refused.value) == NOT_PUBLIC
    assert not connected.is_set()


async def test_plain_http_is_refused_outside_of_allowed_networks() -> None:
    """A public address is not sent to without TLS."""

    async def resolve(_: str) -> list[str]:
        return ["8.8.8.8"]

    async with Egress(allowed=[HERE], resolve=resolve) as egress:
        with pytest.raises(Refused, match="https"):
            await egress.check(read("http://hooks.example.com/"))
        await egress.check(read("https://hooks.example.com/"))


@pytest.mark.parametrize(
    "mixed", [["8.8.8.8", "10.0.0.1"], ["2606:4700::1111", "::ffff:127.0.0.1"], ["fe80::1%eth0"], []]
)
async def test_one_address_that_is_not_public_refuses_the_name(mixed: list[str]) -> None:
    """All addresses of a name have to be public, or none is dialled."""

    async def resolve(_: str) -> list[str]:
        return mixed

    async with Egress(resolve=resolve) as egress:
        with pytest.raises(Refused) as refused:
            await egress.post(read("https://hooks.example.com/"), b"", {})
    assert str(refused.value) == NOT_PUBLIC


async def test_a_name_that_does_not_resolve_looks_like_one_that_is_not_public() -> None:
    """Nobody can try out which names an internal network knows."""

    async def resolve(_: str) -> list[str]:
        raise OSError("no such name")

    async with Egress(resolve=resolve) as egress:
        with pytest.raises(Refused) as refused:
            await egress.check(read("https://db.internal/"))
    assert str(refused.value) == NOT_PUBLIC


async def test_a_name_that_changes_its_answer_gains_nothing() -> None:
    """A name that is public when it is checked and loopback when it is dialled is refused (DNS rebinding)."""
    answers = iter([["8.8.8.8"], ["127.0.0.1"]])

    async def resolve(_: str) -> list[str]:
        return next(answers)

    connected = asyncio.Event()

    async def answer(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        connected.set()

    async with listening(answer) as port, Egress(resolve=resolve) as egress:
        rebinding = read(f"https://rebinding.example:{port}/")
        await egress.check(rebinding)
        with pytest.raises(Refused):
            await egress.post(rebinding, b"", {})
    assert not connected.is_set()


async def test_a_name_is_resolved_once_for_a_connection_and_what_was_checked_is_dialled() -> None:
    """Between the check and the connection nothing is asked again."""
    asked: list[str] = []

    async def resolve(name: str) -> list[str]:
        asked.append(name)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    async with listening(answer_ok) as port, Egress(allowed=[HERE], resolve=resolve) as egress:
        assert (await egress.post(at(port, "hooks.example"), b"", {})).status == 200
    assert asked == ["hooks.example"]


async def test_names_stay_in_tls(tmp_path: Path) -> None:
    """The certificate is checked against the name in the URL, though an address is dialled."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("hooks.example").configure_cert(server)
    authority.configure_trust(client)

    async def resolve(_: str) -> list[str]:
        return ["127.0.0.1"]

    async with listening(answer_ok, server) as port, Egress(allowed=[HERE], resolve=resolve, tls=client) as egress:
        assert (await egress.post(at(port, "hooks.example", "https"), b"", {})).status == 200
        with pytest.raises(Unanswered):
            await egress.post(at(port, "other.example", "https"), b"", {})


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    """Where a redirect leads is never dialled."""
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await request_of(reader)
        writer.write(b"HTTP/1.1 307 Go\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")

    async with listening(answer) as port, Egress(allowed=[HERE]) as egress:
        assert (await egress.post(at(port), b"", {})).status == 307
    assert asked == 1


async def test_an_endpoint_that_never_answers_is_left_in_time() -> None:
    """An endpoint that accepts and says nothing costs no more than the bound."""

    async def answer(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    begun = time.monotonic()
    async with listening(answer) as port, Egress(allowed=[HERE], bounds=Bounds(0.2, 0.2, 0.2, 0.5)) as egress:
        with pytest.raises(Unanswered):
            await egress.post(at(port), b"", {})
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"], ids=["head", "body"])
async def test_an_endpoint_that_answers_byte_by_byte_is_left_in_time(begin: bytes) -> None:
    """An answer that never ends, each byte in time, is bounded as a whole."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(begin)
        leaving = asyncio.ensure_future(reader.read(1))
        while not leaving.done():
            writer.write(b"H")
            await writer.drain()
            await asyncio.wait([leaving], timeout=0.05)

    begun = time.monotonic()
    async with listening(answer) as port, Egress(allowed=[HERE], bounds=Bounds(0.3, 0.3, 0.3, 0.6)) as egress:
        with pytest.raises(Unanswered):
            await egress.post(at(port), b"", {})
    assert time.monotonic() - begun < 5


async def test_an_answer_of_a_gibibyte_is_not_read() -> None:
    """Only the beginning of an answer is taken from the connection, and it is closed then."""
    sent = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await request_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 30))
        while sent < 1 << 30:
            writer.write(bytes(65536))
            await writer.drain()
            sent += 65536

    async with listening(answer) as port, Egress(allowed=[HERE]) as egress:
        answered = await egress.post(at(port), b"", {})
        assert (answered.status, len(answered.body)) == (200, 16 * 1024)
    assert sent < 64 << 20


async def test_nobody_there_says_so_without_the_address() -> None:
    """A refused connection is a failure that names no address."""
    async with listening(answer_ok) as port:
        pass
    async with Egress(allowed=[HERE]) as egress:
        with pytest.raises(Unanswered) as unanswered:
            await egress.post(at(port), b"", {})
    assert "127.0.0.1" not in str(unanswered.value)


async def test_a_proxy_dials_and_names_are_checked_before_it_is_asked() -> None:
    """With an egress proxy only the proxy is dialled, and an address that is not public never reaches it."""
    lines: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(await reader.readline())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    async def resolve(name: str) -> list[str]:
        return ["8.8.8.8"] if name == "hooks.example" else ["10.0.0.1"]

    async with listening(proxy) as port, Egress(proxy=f"http://127.0.0.1:{port}", resolve=resolve) as egress:
        with pytest.raises(Unanswered):
            await egress.post(read("https://hooks.example/"), b"", {})
        with pytest.raises(Refused):
            await egress.post(read("https://internal.example/"), b"", {})
    assert lines == [b"CONNECT hooks.example:443 HTTP/1.1\r\n"]
