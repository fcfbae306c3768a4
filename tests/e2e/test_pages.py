"""Pages of lists: forwards and backwards by their links, from any place, and cursors that are good for nothing."""

from typing import Any

import httpx2
import pytest

from events.envelope import Cursor
from events.store import Store
from service.settings import Settings
from tests.e2e.conftest import Newsroom, serving


async def walked(room: Newsroom, path: str, relation: str, **query: Any) -> list[list[str]]:
    """Return the identifiers on each page, following one of the links from page to page."""
    pages: list[list[str]] = []
    answer = await room.ask(path, **query)
    for _ in range(40):
        assert answer.status_code == 200, answer.text
        content = answer.json()
        pages.append([item["id"] for item in content.get("items", content.get("events", []))])
        if relation not in answer.links:
            return pages
        answer = await room.ask(answer.links[relation]["url"])
    raise AssertionError("the list has no end")


def links(answer: httpx2.Response) -> set[str]:
    """Return the relations that an answer links to."""
    return set(answer.links)


async def last_place(room: Newsroom) -> str:
    """Return the cursor of the present end."""
    await room.latest()
    return room.after


async def test_a_list_reads_the_same_backwards(room: Newsroom, subtests: pytest.Subtests) -> None:
    """From the end, ``prev`` leads to the beginning over the same items, each once, and ``next`` back to the end."""
    claims = [await room.claim(f"claim {n}", *([room.said()] if n % 3 else [])) for n in range(11)]
    for n in range(5):
        await room.say(claims[4], ("witness", "neighbour")[n % 2])
    end = await last_place(room)
    for path, query in (
        ("/v1/claims", {}),
        ("/v1/claims", {"flag": "single_origin"}),
        ("/v1/claims", {"story": room.story, "as_of": end}),
        ("/v1/claims", {"changed_since": "3"}),
        ("/v1/sources", {}),
        ("/v1/stories", {}),
        (f"/v1/claims/{claims[4]}/history", {}),
        ("/v1/events", {}),
        ("/v1/events", {"type": "claim.registered"}),
        ("/v1/events", {"story": room.story, "source": room.sources["neighbour"]}),
    ):
        with subtests.test(f"{path} {query}"):
            forwards = await walked(room, path, "next", limit=3, **query)
            backwards = await walked(room, path, "prev", limit=3, before=end, **query)
            every = [each for page in forwards for each in page]
            assert len(every) == len(set(every)) > 0
            assert every == [each for page in reversed(backwards) for each in page]
            if len(forwards) > 2:
                first = await room.ask(path, limit=3, **query)
                second = await room.ask(first.links["next"]["url"])
                again = await room.ask(second.links["prev"]["url"])
                assert ({"next"}, {"next", "prev"}) == (links(first), links(second))
                assert (await _items(first), {"next"}) == (await _items(again), links(again))
                assert await _items(second) == await _items(await room.ask(again.links["next"]["url"]))
                head = await room.api.head(second.request.url, headers=second.request.headers)
                assert second.headers["link"] == head.headers["link"]


async def _items(answer: httpx2.Response) -> list[str]:
    content = answer.json()
    return [each["id"] for each in content.get("items", content.get("events", []))]


async def test_a_page_before_a_place_is_the_nearest_one(room: Newsroom) -> None:
    """``before`` gives the last items that come before a place, in their order, and not the first ones."""
    claims = [await room.claim(f"claim {n}") for n in range(6)]
    registered = [(await room.read(claim))["position"] for claim in claims]
    before = str(room.ledger.cursor(registered[4] - 1))
    answer = await room.ask("/v1/claims", limit=2, before=before)
    assert claims[2:4] == await _items(answer)
    assert claims[4:] == await _items(await room.ask(answer.links["next"]["url"]))
    assert before == answer.json()["next_after"]
    assert await _items(await room.ask("/v1/claims", before=str(room.ledger.cursor(1)))) == []


async def test_claims_that_changed_by_the_same_event_come_together(room: Newsroom) -> None:
    """A page of what changed never ends among claims that one event changed, so none of them is passed over."""
    claims = [await room.claim(f"claim {n}") for n in range(7)]
    since = await last_place(room)
    text = {"url": "https://example.org/a", "title": "t", "published_at": "2024-01-24"}
    await room.post("/v1/publications", text | {"claims": [{"claim_id": each} for each in claims[:5]]})
    await room.say(claims[6])
    for limit in (1, 2, 3, 5, 6):
        pages = await walked(room, "/v1/claims", "next", limit=limit, changed_since=since)
        assert sorted([*claims[:5], claims[6]]) == sorted(each for page in pages for each in page)
        back = await walked(room, "/v1/claims", "prev", limit=limit, changed_since=since, before=await last_place(room))
        assert sorted([*claims[:5], claims[6]]) == sorted(each for page in back for each in page)


async def test_a_list_that_has_not_changed_is_not_sent_again(room: Newsroom) -> None:
    """A list has an ETag, which stays until something that its projection folds is recorded."""
    await room.claim()
    first = await room.ask("/v1/claims")
    tag = first.headers["etag"]
    assert tag.startswith('W/"')
    again = await room.api.get("/v1/claims", headers={"If-None-Match": tag, "Onrecord-After": room.after})
    assert (304, b"", tag) == (again.status_code, again.content, again.headers["etag"])
    await room.claim("Another.")
    changed = await room.api.get("/v1/claims", headers={"If-None-Match": tag, "Onrecord-After": room.after})
    assert (changed.status_code, len(changed.json()["items"])) == (200, 2)


LISTS = (
    "/v1/claims",
    "/v1/stories",
    "/v1/sources",
    "/v1/publications",
    "/v1/inquiries",
    "/v1/webhooks",
    "/v1/desk/on-one-government",
    "/v1/events",
)


async def test_a_cursor_that_leads_nowhere_is_refused(room: Newsroom, subtests: pytest.Subtests) -> None:
    """A cursor beyond the end, or both directions at once, is a problem that says which."""
    here = str(Cursor(room.ledger.epoch, 1))
    for path in (*LISTS, f"/v1/claims/{await room.claim()}/history", f"/v1/sources/{room.sources['red']}/record"):
        with subtests.test(path):
            far = str(Cursor(room.ledger.epoch, (await room.ledger.head()).position + 1000))
            answer = await room.api.get(path, params={"after": far})
            assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad-cursor")
            assert "beyond the end" in answer.json()["detail"]
            if not path.endswith("/record"):
                both = await room.api.get(path, params={"after": here, "before": here})
                assert (both.status_code, both.json()["type"]) == (400, "/problems/bad-request")


async def test_a_token_that_no_write_gave_is_refused(room: Newsroom) -> None:
    """Whoever wants to see a write that there is not is told so, and not to come back."""
    beyond = str(Cursor(room.ledger.epoch, (await room.ledger.head()).position + 7))
    answer = await room.api.get("/v1/claims", headers={"Onrecord-After": beyond})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad-cursor")


async def test_a_cursor_from_before_a_restore_says_where_to_go_on(
    room: Newsroom, settings: Settings, store: Store, subtests: pytest.Subtests
) -> None:
    """After a restore an older cursor is gone, and the problem has the one that continues it without a gap."""
    claim = await room.claim()
    old, head = room.ledger.epoch, (await room.ledger.head()).position
    await store.hset(room.ledger.keys.head, "epochs", f"{old}:1,0123456789abc:{head - 1}")
    async with serving(settings, room.api.headers) as api:
        for path in (
            *LISTS,
            f"/v1/claims/{claim}/history",
            "/v1/claims?changed_since={}",
            f"/v1/claims/{claim}?as_of={{}}",
        ):
            for position, resumed in ((2, 2), (head - 2, head - 2), (head - 1, head - 2), (head + 9, head - 2)):
                with subtests.test(f"{path} {position}"):
                    cursor = f"{old}.{position}"
                    answer = await api.get(path.format(cursor) if "{}" in path else f"{path}?after={cursor}")
                    assert (answer.status_code, answer.json()["type"]) == (410, "/problems/cursor-passed")
                    assert f"0123456789abc.{resumed}" == answer.json()["resume_after"]
        resumed_at = answer.json()["resume_after"]
        events = (await api.get("/v1/events", params={"after": resumed_at})).json()["events"]
        assert [head - 1, head] == [int(event["sequence"]) for event in events]
        live = {"Accept": "text/event-stream", "Last-Event-ID": f"{old}.{head}"}
        assert (await api.get("/v1/events", headers=live)).status_code == 410
        token = await api.get("/v1/claims", headers={"Onrecord-After": f"{old}.{head}"})
        assert (410, resumed_at) == (token.status_code, token.json()["resume_after"])
        stranger = await api.get("/v1/events", params={"after": "zzzzzzzzzzzzz.3"})
        assert (stranger.status_code, stranger.json()["type"]) == (400, "/problems/bad-cursor")
