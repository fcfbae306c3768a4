"""What a connection sends: the header of an answer goes with the beginning of its body."""

import asyncio
from collections.abc import Callable

from service.api.http.connection import JoinedWrites

HEADER = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"


class Wire(asyncio.Transport):
    """A transport that keeps what is written to it, piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes | None] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep a piece."""
        self.sent.append(bytes(data))

    def close(self) -> None:
        """Keep that it was closed."""
        self.sent.append(None)


async def sent(*pieces: bytes, then: Callable[[JoinedWrites], object] = lambda _: None) -> list[bytes | None]:
    """Return what is on the wire after some pieces were written."""
    wire = Wire()
    joined = JoinedWrites(wire, asyncio.get_running_loop())
    for piece in pieces:
        joined.write(piece)
    then(joined)
    return wire.sent


async def test_a_header_goes_with_its_body() -> None:
    """One write for both, and what follows goes as it comes."""
    assert await sent(HEADER, b"body", b"more") == [HEADER + b"body", b"more"]


async def test_a_header_alone_goes_in_the_next_turn() -> None:
    """A stream that says nothing yet has its header sent all the same, once."""
    wire = await sent(HEADER)
    assert wire == []
    await asyncio.sleep(0)
    assert wire == [HEADER]


async def test_answers_stay_in_their_order() -> None:
    """An interim answer goes before the one that follows it."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert await sent(interim, HEADER, b"body") == [interim + HEADER, b"body"]


async def test_closing_sends_what_waits_first() -> None:
    """An answer without a body is not lost when the connection is closed after it."""
    assert await sent(HEADER, then=JoinedWrites.close) == [HEADER, None]
