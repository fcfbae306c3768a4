"""Following a feed: what is said is understood however it arrives, and a stream that broke is taken up where it was."""

import contextlib
import itertools
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import following
from service.following import StreamBroken, Told, followed, told

SAID = (
    b"retry: 1000\n:\nid: e.4\n\n"
    b'id: e.5\nevent: claim.merged\ndata: {"a":": b"}\n\n'
    b":\nid: e.9\n\n"
    b'event: stream.ended\ndata: {"type":"/problems/too-slow"}\n\n'
)
MEANT = [
    Told("e.4", "", b""),
    Told("e.5", "claim.merged", b'{"a":": b"}'),
    Told("e.9", "", b""),
    Told("e.9", "stream.ended", b'{"type":"/problems/too-slow"}'),
]


async def parts(*pieces: bytes) -> AsyncIterator[bytes]:
    """Arrive piece by piece."""
    for piece in pieces:
        yield piece


@given(cuts=st.lists(st.integers(0, len(SAID)), max_size=8).map(sorted))
async def test_a_stream_may_arrive_in_any_pieces(cuts: list[int]) -> None:
    """Wherever the network cuts, the same is said; an event that was cut off at the end was not said."""
    edges = [0, *cuts, len(SAID)]
    pieces = [SAID[begin:end] for begin, end in itertools.pairwise(edges)]
    assert [each async for each in told(parts(*pieces))] == MEANT
    assert MEANT[:3] == [each async for each in told(parts(SAID[:-1]))]


async def test_a_stream_that_breaks_is_resumed_after_the_last_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken off, ended or refused for now: it is asked for again, after the last id, also that of a quiet time."""
    monkeypatch.setattr(following, "_FIRST_PAUSE", 0)
    streams = iter((SAID, None, b"id: e.10\nevent: x\ndata: {}\n\n"))
    asked: list[str | None] = []

    @contextlib.asynccontextmanager
    async def opened(last_id: str | None) -> AsyncIterator[AsyncIterator[bytes]]:
        asked.append(last_id)
        if (said := next(streams)) is None:
            raise StreamBroken("not now")
        yield parts(said)

    async with contextlib.aclosing(followed(opened)) as events:
        assert [MEANT[1], Told("e.10", "x", b"{}")] == [await anext(events), await anext(events)]
    assert asked == [None, "e.9", "e.9"]


async def test_a_stream_that_cannot_be_opened_at_all_says_so() -> None:
    """Whoever follows what was never there is told at once, and not left waiting."""

    @contextlib.asynccontextmanager
    async def opened(_: str | None) -> AsyncIterator[AsyncIterator[bytes]]:
        raise StreamBroken("there is nobody")
        yield parts()

    with pytest.raises(StreamBroken):
        await anext(followed(opened))
