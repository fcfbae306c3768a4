"""The live feed: everything once and in order, from wherever one was, and a clear end when there is one."""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import msgspec
import pytest
from msgspec import structs

from events import catalog, keys, tail
from events.envelope import Entry, Provenance
from events.identifiers import derived_id, new_id
from events.ledger import Command, Ledger
from events.records import Story
from events.store import Store
from service.api import feed
from service.auth.keys import new_key
from service.settings import Settings
from tests.e2e.conftest import Newsroom
from tests.e2e.live import LIVE, PATIENCE, Told, following

LINES = {"Accept": "application/x-ndjson"}
NOTHING = derived_id("claim", "nothing")
_NUMBERS = itertools.count()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with room for few streams."""
    return structs.replace(settings, streams=6, streams_per_key=4)


async def write(ledger: Ledger, number: int, *, title: str = "A story", at_once: int = 50) -> int:
    """Append that many events, and return the last position."""
    appended = await ledger.append_many(
        [
            Command(
                [
                    catalog.StoryOpened(story_id=new_id("story"), story=Story(title=title))
                    for _ in range(min(at_once, number - begun))
                ],
                {},
                Provenance("system", f"feed-{next(_NUMBERS)}", "ab" * 32),
            )
            for begun in range(0, number, at_once)
        ]
    )
    assert len(appended) == -(-number // at_once)
    return (await ledger.head()).position


async def log(ledger: Ledger, after: int = 0) -> list[Entry]:
    """Return what is on record after a position."""
    found: list[Entry] = []
    while entries := await ledger.read(found[-1].position if found else after):
        found += entries
    return found


def as_told(ledger: Ledger, entries: list[Entry]) -> list[Told]:
    """Return how the feed tells events."""
    return [Told(f"{ledger.epoch}.{each.position}", each.envelope.type, each.raw) for each in entries]


async def test_what_is_recorded_comes_at_once_and_as_it_was_recorded(room: Newsroom, ledger: Ledger) -> None:
    """Without a cursor one is told what comes from now on: its cursor, its type, and the bytes of the ledger."""
    before = (await ledger.head()).position
    async with following(room.api) as live:
        assert str(ledger.cursor(before)) == live.response.headers["onrecord-after"]
        assert live.response.headers["cache-control"] == "no-store"
        claim = await room.claim("It fell.", room.said(), room.said("blue", "denies"))
        recorded = await log(ledger, before)
        assert as_told(ledger, recorded) == await live.take(len(recorded))
    assert claim in {entry.envelope.subject for entry in recorded}


async def test_whoever_comes_back_misses_nothing_and_is_told_nothing_twice(room: Newsroom, ledger: Ledger) -> None:
    """However often a stream breaks while others record, Last-Event-ID goes on after the last event that one had."""
    writing = asyncio.create_task(_keep_writing(ledger))
    told: list[Told] = []
    last_id, after = None, f"{ledger.epoch}.0"
    for part in range(12):
        async with following(room.api, last_id=last_id, after=after) as live:
            told += await live.take(1 + part * 7)
            last_id = live.last_id
    writing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await writing
    assert as_told(ledger, (await log(ledger))[: len(told)]) == told


async def _keep_writing(ledger: Ledger) -> None:
    while True:
        await write(ledger, 3, at_once=1)


async def test_a_cursor_that_is_none_is_refused_before_the_stream_begins(
    room: Newsroom, ledger: Ledger, subtests: pytest.Subtests
) -> None:
    """Malformed, of another ledger's epoch, or beyond the end: 400, and never the log from its beginning."""
    end = (await ledger.head()).position
    bad = ("", "12", "x", f"{ledger.epoch}.", f"{ledger.epoch}.-1", f"{ledger.epoch}.{end + 1}", f"0000000000000.{end}")
    for cursor in bad:
        for given in ({"headers": {"Last-Event-ID": cursor}}, {"params": {"after": cursor}}):
            with subtests.test(cursor=cursor, given=next(iter(given))):
                answer = await room.api.get("/v1/events", **given | {"headers": LIVE | given.get("headers", {})})
                assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad-cursor")
        page = await room.api.get("/v1/events", headers={"Last-Event-ID": cursor})
        assert (page.status_code, page.json()["type"]) == (400, "/problems/bad-cursor")
    answer = await room.api.get("/v1/events", params={"limit": 5}, headers=LIVE)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad-request")
    without = await room.api.get("/v1/events", headers=LIVE | {"Authorization": ""})
    assert without.status_code == 401


def _strings(value: Any) -> Iterator[str]:
    """Yield every string in JSON."""
    if isinstance(value, str):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _strings(each)


async def _whole(room: Newsroom, **query: Any) -> list[bytes]:
    """Return what the pages of a selection have, page by page, and see that each says how far it looked."""
    found: list[bytes] = []
    after = {}
    while True:
        answer = await room.api.get("/v1/events", params=query | after | {"limit": 3})
        assert answer.status_code == 200, answer.text
        page = msgspec.json.decode(answer.content, type=_Page)
        found += map(bytes, page.events)
        if page.next_after is None:
            assert room.after == answer.headers["onrecord-after"]
            return found
        assert page.next_after == answer.headers["onrecord-after"]
        after = {"after": page.next_after}


class _Page(msgspec.Struct):
    events: list[msgspec.Raw]
    next_after: str | None


async def test_a_selection_is_the_same_as_pages_as_lines_and_live(
    room: Newsroom, ledger: Ledger, subtests: pytest.Subtests
) -> None:
    """Filters by type, story, claim and source leave the same events, by whichever form they are asked for."""
    claim = await room.claim(
        "It fell.", room.said("red"), room.said("blue", "denies", publisher_id=room.sources["outlet"])
    )
    part = await room.claim("It was shot down.", room.said("witness"), parent_id=claim)
    await room.post(f"/v1/claims/{part}/merge", {"into": claim, "reason": "The same."})
    await room.post("/v1/sources", {"name": "Her voice", "kind": "person", "affiliated_to": [room.sources["red"]]})
    other = (await room.post("/v1/stories", {"title": f'"{room.sources["red"]}" said so'}))["id"]
    await room.post(f"/v1/stories/{other}/closing", {})
    everything = [(entry.raw, msgspec.json.decode(entry.raw)) for entry in await log(ledger)]
    of_claim = {entry.envelope.id for entry in await ledger.history(claim)}
    red, blue, outlet = (room.sources[name] for name in ("red", "blue", "outlet"))

    def of_story(it: Any, story: str) -> bool:
        return story in (it.get("storyid"), it["subject"])

    cases: list[tuple[dict[str, Any], Callable[[Any], bool]]] = [
        ({}, bool),
        ({"type": "claim."}, lambda it: it["type"].startswith("claim.")),
        ({"type": "claim.*"}, lambda it: it["type"].startswith("claim.")),
        ({"type": "statement.recorded"}, lambda it: it["type"] == "statement.recorded"),
        ({"type": ["story.*", "claim.merged"]}, lambda it: it["type"].startswith(("story.", "claim.merged"))),
        ({"story": room.story}, lambda it: of_story(it, room.story)),
        ({"story": other}, lambda it: of_story(it, other)),
        ({"claim": claim}, lambda it: it["id"] in of_claim),
        ({"source": red}, lambda it: red in _strings(it)),
        ({"source": outlet}, lambda it: outlet in _strings(it)),
        (
            {"type": "statement.*", "claim": claim, "source": blue, "story": room.story},
            lambda it: it["type"] == "statement.recorded" and it["id"] in of_claim and blue in _strings(it),
        ),
        ({"claim": NOTHING}, lambda it: it["id"] == NOTHING),
    ]
    for query, is_wanted in cases:
        with subtests.test(**query):
            wanted = [raw for raw, it in everything if is_wanted(it)]
            assert bool(wanted) == (query != {"claim": NOTHING})
            assert wanted == await _whole(room, **query)
            lines = await room.api.get("/v1/events", params=query, headers=LINES)
            assert wanted == lines.content.splitlines()
            assert room.after == lines.headers["onrecord-after"]
            some = await room.api.get("/v1/events", params=query | {"limit": 2}, headers=LINES)
            assert wanted[:2] == some.content.splitlines()
            async with following(room.api, after=f"{ledger.epoch}.0", **query) as live:
                assert wanted == [told.data for told in await live.take(len(wanted))]


async def test_a_selection_that_nobody_can_mean_is_refused(room: Newsroom, subtests: pytest.Subtests) -> None:
    """A type that there is not, or an identifier of another kind, would be silent for ever: it is 400."""
    bad = (("type", "clam.*"), ("type", "claim"), ("type", "*"), ("story", room.sources["red"]), ("claim", "x"))
    for name, value in bad:
        for accept in ({}, LINES, LIVE):
            with subtests.test(name=name, value=value, accept=accept):
                answer = await room.api.get("/v1/events", params={name: value}, headers=accept)
                assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad-request")
                assert name in answer.json()["detail"]


async def test_a_quiet_stream_says_how_far_it_is(
    room: Newsroom, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever follows what seldom happens is given cursors without events, and does not begin far behind again."""
    monkeypatch.setattr(feed, "_HEARTBEAT_SECONDS", 0)
    async with following(room.api, type="policy.*") as live:
        end = await write(ledger, 120)
        while live.last_id != str(ledger.cursor(end)):
            told = await live.block()
            assert told
            assert (told.data, told.event) == (b"", "")
    async with following(room.api, type="story.*", last_id=live.last_id) as live:
        last = await write(ledger, 1)
        assert last == (await live.next()).position


async def test_a_page_looks_at_a_bounded_part_of_the_log(
    room: Newsroom, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is rare is found by following cursors over empty pages, each of which is quickly there."""
    monkeypatch.setattr(feed, "_MOST_LOOKED_AT", 100)
    await write(ledger, 500)
    claim = await room.claim()
    await room.latest()
    answer = await room.api.get("/v1/events", params={"type": "policy.*"})
    assert ([], answer.headers["onrecord-after"]) == (answer.json()["events"], answer.json()["next_after"])
    assert [claim] == [msgspec.json.decode(each)["subject"] for each in await _whole(room, type="claim.registered")]


async def test_a_slow_client_is_dropped_and_may_come_back(
    room: Newsroom, ledger: Ledger, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who takes nothing costs a bounded queue, is told at the end why it was dropped, and resumes where it was."""
    monkeypatch.setattr(tail, "LONGEST_QUEUE", 100)
    begun = (await ledger.head()).position
    with _slow_socket(room.api) as slow:
        loop = asyncio.get_running_loop()
        head = b""
        while b"\nid: " not in head:
            head += await loop.sock_recv(slow, 100)
        for _ in range(60):
            last = await write(ledger, 100, title="A long story. " * 140, at_once=5)
        rest = b""
        async with asyncio.timeout(PATIENCE):
            while not rest.endswith(b"0\r\n\r\n"):
                rest += await loop.sock_recv(slow, 1 << 20)
    frames = [line for line in rest.splitlines() if line.startswith((b"id: ", b"event: ", b"data: "))]
    ids = [line.removeprefix(b"id: ").decode() for line in frames if line.startswith(b"id: ")]
    assert frames[-2] == b"event: stream.ended"
    assert msgspec.json.decode(frames[-1].removeprefix(b"data: "))["type"] == "/problems/too-slow"
    positions = [int(each.partition(".")[2]) for each in ids]
    assert list(range(begun + 1, positions[-1] + 1)) == [each for each in positions if each > begun]
    assert positions[-1] < last
    async with following(room.api, last_id=ids[-1]) as live:
        told = await live.take(last - positions[-1])
    assert list(range(positions[-1] + 1, last + 1)) == [each.position for each in told]


def _slow_socket(api: httpx2.AsyncClient) -> socket.socket:
    """Return a connection that has asked to follow, and into which little fits that is not taken."""
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect((api.base_url.host, api.base_url.port))
    slow.settimeout(0)
    key = api.headers["authorization"]
    request = f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: {key}\r\n\r\n"
    slow.send(request.encode())
    return slow


async def test_streams_are_limited_by_key_and_in_all(room: Newsroom, ledger: Ledger, store: Store) -> None:
    """One key cannot have them all, a full process says so, and whoever leaves makes room."""
    other = {"Authorization": f"Bearer {await new_key(store, ledger.name)}"}
    third = {"Authorization": f"Bearer {await new_key(store, ledger.name)}"}
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(following(room.api))
        refused = await room.api.get("/v1/events", headers=LIVE)
        assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-streams")
        async with following(room.api, headers=other), following(room.api, headers=other):
            refused = await room.api.get("/v1/events", headers=LIVE | third)
            assert (refused.status_code, refused.json()["type"]) == (503, "/problems/streams-full")
            assert refused.headers["retry-after"]
        await _until_there_is_room(room.api, third)
    await _until_there_is_room(room.api, {})


async def _until_there_is_room(api: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(AssertionError):
                async with following(api, headers=headers):
                    return


async def test_a_key_that_is_revoked_ends_its_streams(
    room: Newsroom, ledger: Ledger, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing more is told to whoever may no longer read; streams of other keys go on."""
    monkeypatch.setattr(feed, "_LOOKED_AGAIN_SECONDS", 0)
    token = await new_key(store, ledger.name)
    async with following(room.api) as other, following(room.api, headers={"Authorization": f"Bearer {token}"}) as live:
        await write(ledger, 1)
        await live.next()
        await store.delete(keys.api_key(token.removeprefix("onrecord_").partition(".")[0]))
        assert (await live.ended())["type"] == "/problems/unauthorized"
        last = await write(ledger, 1)
        assert last == (await other.take(2))[-1].position


async def test_whoever_leaves_leaves_nothing_behind(room: Newsroom, ledger: Ledger) -> None:
    """A client that goes away in the middle, of lines or of a live stream, ends what worked for it."""
    await write(ledger, 3000, title="A long story. " * 100)
    before = asyncio.all_tasks()
    for accept in (LINES, LIVE):
        for _ in range(10):  # more than there is room for at once
            async with room.api.stream(
                "GET", "/v1/events", headers=accept, params={"after": f"{ledger.epoch}.0"}
            ) as response:
                if response.status_code == 429:
                    continue
                await anext(response.aiter_raw())
    await _until_there_is_room(room.api, {})
    async with asyncio.timeout(PATIENCE):
        while len(asyncio.all_tasks()) > len(before):
            await ledger.head()
