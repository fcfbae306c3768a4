"""Following the live feed as a browser does: what a stream says, and beginning again where it broke off."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing

from msgspec import Struct

_LONGEST_PAUSE = 30.0
_FIRST_PAUSE = 1.0


class StreamBroken(Exception):
    """The stream broke off, or could not be opened for now; it may be opened again."""


class Told(Struct, frozen=True):
    """What a stream says at one time: an event with its data, or (without data) only how far it is."""

    id: str
    event: str
    data: bytes


async def told(stream: AsyncIterator[bytes]) -> AsyncGenerator[Told, None]:
    """Yield what a stream says (HTML, section 9.2.6), as far as On Record writes it: lines that end in LF.

    ``id`` is the last that was said. What is not ended by an empty line was not said.
    """
    rest, last_id = b"", ""
    async for part in stream:
        *lines, rest = (rest + part).split(b"\n\n")
        for block in lines:
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line and line[:1] != b":")
            last_id = fields.get(b"id", last_id.encode()).decode()
            yield Told(last_id, fields.get(b"event", b"").decode(), fields.get(b"data", b""))


async def followed(
    opened: Callable[[str | None], AbstractAsyncContextManager[AsyncIterator[bytes]]],
) -> AsyncGenerator[Told, None]:
    """Yield the events of a feed for as long as it is asked, each once.

    ``opened`` opens the stream after a cursor (None: for the first time). It may raise ``StreamBroken``, which means to
    try again with growing pauses, as does a stream that ends; only the first time it is raised. Whatever else it raises
    ends this.
    """
    last_id: str | None = None
    pause = _FIRST_PAUSE
    while True:
        try:
            async with opened(last_id) as stream, aclosing(told(stream)) as all_told:
                async for each in all_told:
                    last_id = each.id or last_id
                    pause = _FIRST_PAUSE
                    if each.data and each.event != "stream.ended":
                        yield each
        except StreamBroken:
            if last_id is None:
                raise
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
        pause = min(2 * pause, _LONGEST_PAUSE)
