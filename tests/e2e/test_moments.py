"""Other moments over REST: what was recorded by then (``as_of``), and what had been said in the world by then."""

import random
import time
from typing import Any

import httpx2
import msgspec

from events import moments
from events.identifiers import derived_id
from events.ledger import Ledger
from service.projections.catalog import CLAIMS, STORIES
from service.projections.documents import MOST_LISTED
from service.verification.commands import Recorder
from service.verification.fold import Happened, happened
from tests.e2e.conftest import Newsroom


def as_json(document: Any) -> Any:
    """Return a document as a reader of its JSON has it."""
    return msgspec.json.decode(msgspec.json.encode(document))


async def folded(ledger: Ledger, position: int, name: str) -> dict[str, Any]:
    """Return every document of a kind as a ledger with only the first ``position`` events would have it."""
    (projection,) = (each for each in (CLAIMS, STORIES) if each.name == name)
    streams: dict[str, list[Happened]] = {}
    for entry in await ledger.read(0, position):
        for key in projection.keys(entry.event):
            streams.setdefault(key, []).append(happened(entry))
    found = {}
    for key, its in streams.items():
        found[key] = as_json(projection.fold(None, its))
        if projection.item:
            items = [item for it in its if (item := projection.item(it))]
            found[key]["statements"] = as_json(items[-MOST_LISTED:])
    return found


async def test_a_past_position_shows_what_a_ledger_that_ends_there_shows(
    api: httpx2.AsyncClient, ledger: Ledger, loaded: Recorder
) -> None:
    """At twenty positions, each claim and the list of all equal the fold of only the events up to there."""
    story, head = derived_id("story", "il76"), (await ledger.head()).position
    some = random.Random(76)  # noqa: S311 - a sample
    for position in [*sorted(some.sample(range(1, head), 18)), head, head + 1000]:
        expected = await folded(ledger, position, "claims")
        page = await api.get("/v1/claims", params={"story": story, "as_of": position, "limit": 200})
        assert page.status_code == 200, page.text
        found = page.json()
        assert found["next_after"] is None
        assert list(expected) == [each["id"] for each in found["items"]]
        for each in found["items"]:
            assert (each.pop("evaluated"), each.pop("parts")) == (False, [])
            assert each == expected[each["id"]]
        for key in some.sample(sorted(await folded(ledger, head, "claims")), 3):
            as_of = str(ledger.cursor(position)) if position <= head else position  # a cursor leads somewhere
            one = await api.get(f"/v1/claims/{key}", params={"as_of": as_of})
            assert one.status_code == (200 if key in expected else 404)
            if key in expected:
                assert one.json() == expected[key] | {"evaluated": False, "parts": []}
        seen = await api.get(f"/v1/stories/{story}", params={"as_of": position})
        stories = await folded(ledger, position, "stories")
        assert (seen.json() if seen.status_code == 200 else None) == stories.get(story)


async def test_a_moment_is_a_position_a_cursor_or_a_time(room: Newsroom) -> None:
    """All three name the same moment; what is none of them is refused, as is a claim that was not there then."""
    before = (await room.ledger.head()).position
    claim = await room.claim("It fell.", room.said())
    position = (await room.ledger.head()).position
    cursor = room.after
    recorded = moments.timestamp(time.time_ns() // 1000)
    while moments.timestamp(time.time_ns() // 1000) <= recorded:
        pass
    await room.say(claim, "neighbour")
    assert await room.state(claim) == "corroborated"
    for as_of in (position, cursor, recorded):
        then = await room.read(claim, as_of=as_of)
        assert (then["standing"]["state"], len(then["statements"]), then["evaluated"]) == ("unverified", 1, False)
        explained = await room.get(f"/v1/claims/{claim}/explanation", as_of=as_of)
        assert (explained["state"], explained["recorded"]) == ("unverified", then["standing"])
        assert [claim] == await room.listed(story=room.story, as_of=as_of, state="unverified")
        assert await room.listed(story=room.story, as_of=as_of, state="corroborated") == []
    for path in (f"/v1/claims/{claim}", f"/v1/claims/{claim}/explanation"):
        assert (await room.ask(path, as_of=before)).json()["type"] == "/problems/not-found"
    assert (await room.ask(f"/v1/stories/{room.story}", as_of=1)).json()["type"] == "/problems/not-found"
    assert await room.listed(story=room.story, as_of=before) == []
    assert (await room.ask("/v1/claims", as_of=position)).json()["type"] == "/problems/bad-request"
    source = room.sources["witness"]
    for more in ({"source": source}, {"changed_since": "1"}):
        refused = await room.ask("/v1/claims", story=room.story, as_of=position, **more)
        assert refused.json()["type"] == "/problems/bad-request"
    for path in (f"/v1/claims/{claim}", f"/v1/stories/{room.story}", f"/v1/claims/{claim}/explanation"):
        for wrong in ({"as_of": "yesterday"}, {"as_of": "-1"}, {"said_by": "2024-13"}, {"said_by": "12"}):
            answer = await room.ask(path, **wrong)
            assert answer.json()["type"] == "/problems/bad-request", (path, wrong, answer.text)
        for wrong in ({"as_of": "0000000000000.5"}, {"as_of": "1" * 30}):
            assert (await room.ask(path, **wrong)).json()["type"] == "/problems/bad-cursor"


async def test_a_story_is_read_as_it_was(room: Newsroom) -> None:
    """A story's past has the title, the parties and the openness that it had."""
    where, position = f"/v1/stories/{room.story}", (await room.ledger.head()).position
    before = await room.get(where)
    await room.patch(where, {"title": "Another", "parties": ["red"]})
    await room.post(f"{where}/closing", {})
    assert await room.get(where, as_of=position) == before
    assert await room.get(where, said_by="2999-01") == await room.get(where)
    assert await room.get(where, said_by="2001-01") == before  # at least what it was opened with


async def test_said_by_judges_what_had_been_said_by_then(room: Newsroom) -> None:
    """Statements that were recorded late count from when they were said, and the verdict is marked as evaluated."""
    claim = await room.claim("It fell.")
    late = [("neighbour", "denies", "2024-03-01"), ("witness", "asserts", "2024-01"), ("blue", "confirms", "2024-02")]
    for name, stance, said_at in late:
        await room.say(claim, name, stance, said_at=said_at)
    recorded = await room.read(claim)
    expected = {
        "2023": (0, "unverified"), "2024-01-15": (0, "unverified"), "2024-01": (1, "unverified"),
        "2024-02": (2, "corroborated"), "2024-03": (3, "contested"),
    }  # fmt: skip
    for said_by, (statements, state) in expected.items():
        then = await room.read(claim, said_by=said_by)
        assert (len(then["statements"]), then["standing"]["state"], then["evaluated"]) == (statements, state, True)
        explained = await room.get(f"/v1/claims/{claim}/explanation", said_by=said_by)
        assert (explained["state"], explained["because"]) == (state, then["standing"]["because"])
        assert (explained["recorded"], explained["would_change_if"]) == (recorded["standing"], [])
        (listed,) = (await room.get("/v1/claims", story=room.story, said_by=said_by))["items"]
        assert listed == then
        assert await room.listed(story=room.story, said_by=said_by, state=state) == [claim]


async def test_both_axes_together(room: Newsroom) -> None:
    """``as_of`` with ``said_by``: of what was recorded by the one, what had been said by the other."""
    claim = await room.claim("It fell.")
    await room.say(claim, "witness", said_at="2024-01")
    position = (await room.ledger.head()).position
    await room.say(claim, "neighbour", said_at="2024-01")
    await room.say(claim, "green", "denies", said_at="2024-02")
    for as_of, said_by, state in (
        (position, "2024-01", "unverified"), (position, "2024-02", "unverified"),
        (position + 100, "2024-01", "corroborated"), (position + 100, "2024-02", "contested"),
    ):  # fmt: skip
        then = await room.read(claim, as_of=as_of, said_by=said_by)
        assert (then["standing"]["state"], then["evaluated"]) == (state, True)
        assert state == (await room.get(f"/v1/claims/{claim}/explanation", as_of=as_of, said_by=said_by))["state"]


async def test_amendments_count_from_their_own_time(room: Newsroom) -> None:
    """By ``said_by``: a correction and a withdrawal from when they were made, a void from ever, a merge from now."""
    claim, other, _ = await room.claim("It fell."), await room.claim("It crashed."), await room.source("third")
    said = await room.say(claim, "witness", said_at="2024-01", hedge="possible")
    await room.post(f"/v1/statements/{said}/correction", {"by": "speaker", "after": {"hedge": "none"}, "at": "2024-03"})
    await room.say(claim, "neighbour", said_at="2024-01")
    taken = await room.say(claim, "green", "denies", said_at="2024-05")
    await room.post(f"/v1/statements/{taken}/withdrawal", {"by": "speaker", "at": "2024-07"})
    denial = await room.post(f"/v1/claims/{claim}/statements", room.said("third", "denies", said_at="2024-01"))
    await room.post(f"/v1/events/{denial['events'][0]['position']}/void", {"reason": "Another claim."})
    await room.post(f"/v1/claims/{other}/merge", {"into": claim})
    for said_by, state, flags in (
        ("2024-01", "unverified", ["partially_confirmed", "single_origin"]),
        ("2024-03", "corroborated", ["corrected"]),
        ("2024-05", "contested", ["corrected"]),
        ("2024-07", "corroborated", ["corrected"]),
    ):
        standing = (await room.read(claim, said_by=said_by))["standing"]
        assert (standing["state"], standing["flags"]) == (state, flags)
    assert (await room.read(other, said_by="2024-07"))["merged_into"] is None
    explained = await room.get(f"/v1/claims/{other}/explanation", said_by="2024-07")
    assert (explained["state"], explained["merged_into"]) == ("unverified", None)
    assert (await room.get(f"/v1/claims/{other}/explanation"))["merged_into"] == {"claim_id": claim, "inverted": False}


async def test_a_statement_whose_date_was_corrected_was_made_when_the_correction_says(room: Newsroom) -> None:
    """A claim shows the statements that its verdict of then was made on, though their dates were wrong at first."""
    claim = await room.claim()
    said = await room.say(claim, said_at="2025-01-01")
    after = {"said_at": "2023-01-01"}
    await room.post(f"/v1/statements/{said}/correction", {"by": "publisher", "at": "2023-02-01", "after": after})
    for said_by, seen in (("2022", []), ("2023-01-15", []), ("2023-03", [said]), ("2025", [said])):
        found = await room.read(claim, said_by=said_by)
        assert ([each["id"] for each in found["statements"]], len(seen)) == (seen, found["standing"]["because"]["n"])


async def test_the_past_is_judged_by_the_policy_of_then(room: Newsroom) -> None:
    """``as_of`` before a policy was activated explains by the one that was in force; ``said_by`` likewise."""
    claim = await room.claim("It fell.", room.said(), room.said("neighbour"))
    position = (await room.ledger.head()).position
    await room.post("/v1/policies", {"name": "admiralty"})
    await room.follow_up()
    assert await room.state(claim) == "unverified"
    where = f"/v1/claims/{claim}/explanation"
    assert [(await room.get(where, **query))["policy"]["name"] for query in ({}, {"as_of": position})] == [
        "admiralty", "strict-two-source"
    ]  # fmt: skip
    assert (await room.read(claim, said_by="2025"))["standing"]["policy"]["name"] == "strict-two-source"
