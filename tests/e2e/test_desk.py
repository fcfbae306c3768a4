"""The desk, and lists: what somebody should look at, found by filters and paged while others write."""

import asyncio
import json
import os
import sys
import time
from typing import Any

from events import moments
from tests.e2e.conftest import Newsroom, missing

WEB = "https://example.org/a"


async def on_desk(room: Newsroom, **query: Any) -> dict[str, list[str]]:
    """Return what is on the desk, having checked that counts, first items and the full lists agree."""
    found = {}
    for name, part in (await room.get("/v1/desk", **query)).items():
        ids = [each["id"] for each in part["items"]]
        assert (part["count"], part["more"]) == (len(ids), False)
        path, _, asked = part["all"].partition("?")
        everything = await room.listed(path, **dict(each.split("=") for each in asked.split("&") if each))
        assert set(ids) <= set(everything)
        if name not in {"overdue_inquiries", "to_correct"}:
            assert ids == everything
        found[name] = ids
    return found


async def test_the_desk_shows_what_to_look_at(room: Newsroom) -> None:
    """Single-sourced, on one government, to be reviewed, overdue, to be corrected: each until it is dealt with."""
    nothing = {name: [] for name in await room.get("/v1/desk")}
    single = await room.claim("It fell.", room.said())
    government = await room.claim("It was hit.", room.said("red"), room.said("green"))
    solid = await room.claim("It burnt.", room.said(), room.said("neighbour"))
    await room.assess(solid)
    assert await on_desk(room) == nothing | {"single_sourced": [single], "on_one_government": [government]}
    await room.say(solid, "green", "denies")
    soon = moments.timestamp(time.time_ns() // 1000 + 200_000)
    asked = {"source_id": room.sources["blue"], "deadline": soon}
    inquiry = (await room.post(f"/v1/claims/{single}/inquiries", asked))["id"]
    await room.post(f"/v1/claims/{single}/inquiries", asked | {"deadline": "2999"})
    text = {"title": "t", "url": WEB, "published_at": "2026", "claims": [{"claim_id": government}]}
    lost = await room.say(government, "witness")
    ours = (await room.post("/v1/publications", text))["id"]
    tag = (await room.ask(f"/v1/publications/{ours}")).headers["ETag"]
    await room.post(f"/v1/statements/{lost}/withdrawal", {"by": "speaker"})
    affected = await room.ask(f"/v1/publications/{ours}")
    assert tag != affected.headers["ETag"]
    assert [each["statement_id"] for each in affected.json()["affected_by"]] == [lost]
    while not (await room.get("/v1/desk"))["overdue_inquiries"]["count"]:
        pass
    full = {
        "single_sourced": [single], "on_one_government": [government], "needs_review": [solid],
        "overdue_inquiries": [inquiry], "to_correct": [ours],
    }  # fmt: skip
    assert await on_desk(room) == full == await on_desk(room, story=room.story)
    other = (await room.post("/v1/stories", {"title": "Another"}))["id"]
    assert await on_desk(room, story=other) == nothing
    assert await room.timers.expire() == 1
    await room.post(f"/v1/publications/{ours}/correction", {"note": "n"}, If_Match=affected.headers["ETag"])
    await room.assess(solid, "unverifiable")
    await room.say(single, "neighbour")
    await room.say(government, "neighbour")
    await room.latest()
    assert await on_desk(room) == nothing
    assert not (await room.get(f"/v1/publications/{ours}"))["to_correct"]


async def test_resting_on_one_government_is_told_from_what_is_like_it(room: Newsroom) -> None:
    """One origin that is disinterested, a government or official, and no evidence of anybody else's."""
    await room.source("minister", kind="official", affiliated_to=[room.sources["green"]])
    await room.source("institute", kind="research")
    expected = [
        await room.claim("government", room.said("red"), room.said("green")),
        await room.claim("official", room.said("red"), room.said("minister")),
        await room.claim("one side of it", room.said("red"), room.said("green"), room.said("minister")),
        await room.claim("against its interest", room.said("red"), room.said("blue", "confirms")),
    ]
    await room.claim("not corroborated", room.said("green"))
    await room.claim("a person", room.said("red"), room.said("witness"))
    await room.claim("an institute", room.said("red"), room.said("institute"))
    await room.claim("two", room.said("green"), room.said("witness"))
    filmed = await room.claim("filmed", room.said("red"))
    await room.authenticate(await room.show(filmed))
    merged = await room.claim("merged", room.said("red"), room.said("green"))
    await room.post(f"/v1/claims/{merged}/merge", {"into": expected[0]})
    assert expected == (await on_desk(room))["on_one_government"]
    assert expected == await room.listed("/v1/desk/on-one-government", limit=1)


async def test_the_desk_counts_beyond_what_it_shows(room: Newsroom) -> None:
    """Each part has its whole count, the first ten items, and a link to all of them."""
    claims = [await room.claim(f"{n}", room.said()) for n in range(12)]
    part = (await room.get("/v1/desk", story=room.story))["single_sourced"]
    assert (part["count"], part["more"], [each["id"] for each in part["items"]]) == (12, False, claims[:10])
    path, _, asked = part["all"].partition("?")
    assert claims == await room.listed(path, **dict(each.split("=") for each in asked.split("&")))


async def test_inquiries_are_listed_by_status(room: Newsroom) -> None:
    """Open, answered and voided ones each have their list."""
    claim = await room.claim()
    asked = {"source_id": room.sources["red"], "deadline": "2999"}
    first, second, third = [await room.post(f"/v1/claims/{claim}/inquiries", asked) for _ in range(3)]
    await room.post(f"/v1/inquiries/{second['id']}/answer", {"note": "Yes."})
    await room.post(f"/v1/events/{third['events'][0]['position']}/void", {"reason": "Nobody was asked."})
    assert [first["id"], second["id"], third["id"]] == await room.listed("/v1/inquiries")
    for status, one in (("open", first), ("answered", second), ("voided", third)):
        assert [one["id"]] == await room.listed("/v1/inquiries", status=status)
    assert await room.listed("/v1/inquiries", status="expired") == []
    assert await room.listed("/v1/inquiries", overdue="true", limit=1) == []
    assert (await room.ask("/v1/inquiries", status="late")).json()["type"] == "/problems/bad-request"


async def test_claims_are_found_by_party_tag_words_and_parent(room: Newsroom) -> None:
    """Filters narrow a list together; text finds whole words, whatever their case; a claim put anew moves."""
    red = await room.claim("Émile's plane fell at 08:15.", tags=["crash", "air"])
    both = await room.claim("The PLANE burnt.", serves=["red"], harms=["red"], tags=["air"], parent_id=red)
    none = await room.claim("A planet.", serves=[], harms=[])
    for query, expected in (
        ({"party": "red"}, [red, both]), ({"party": "blue"}, [red]), ({"party": "green"}, []),
        ({"tag": "air"}, [red, both]), ({"tag": "crash"}, [red]),
        ({"text": "plane"}, [red, both]), ({"text": "émile PLANE"}, [red]), ({"text": "08"}, [red]),
        ({"text": "plan"}, []), ({"text": "planet"}, [none]), ({"text": "…"}, [red, both, none]),
        ({"parent": red}, [both]), ({"party": "red", "tag": "air", "text": "burnt", "parent": red}, [both]),
    ):  # fmt: skip
        assert expected == await room.listed(**query), query
        position = (await room.ledger.head()).position
        assert expected == await room.listed(story=room.story, as_of=position, **query), query
    await room.patch(f"/v1/claims/{red}", {"text": "A ship sank.", "tags": ["sea"], "harms": []})
    await room.patch(f"/v1/claims/{both}", {"parent_id": None})
    for query, expected in (
        ({"text": "plane"}, [both]), ({"text": "ship"}, [red]), ({"tag": "crash"}, []), ({"tag": "sea"}, [red]),
        ({"party": "blue"}, []), ({"parent": red}, []),
    ):  # fmt: skip
        assert expected == await room.listed(**query), query


async def test_a_page_neither_skips_nor_repeats_while_others_write(room: Newsroom) -> None:
    """Whoever pages through a list while claims are added and move sees each that was there once, in order."""
    there = [await room.claim(f"there {n}", room.said(), tags=["sea"]) for n in range(20)]
    writing = True

    async def write(n: int) -> None:
        count = 0
        while writing:
            await room.claim(f"added {n} {count}", room.said(), tags=["sea"])
            await room.say(there[(7 * n + count) % 20], "neighbour" if count % 2 else "green", "comments")
            count += 1

    writers = [asyncio.create_task(write(n)) for n in range(3)]
    try:
        for query in ({}, {"tag": "sea"}, {"tag": "sea", "story": room.story, "flag": "single_origin"}):
            found: list[str] = []
            after: dict[str, str] | None = {}
            while after is not None and len(found) < 60:  # only along the cursors that are given
                page = (await room.api.get("/v1/claims", params={"limit": 2} | query | after)).json()
                found += [item["id"] for item in page["items"]]
                after = {"after": page["next_after"]} if page["next_after"] else None
            assert len(set(found)) == len(found)
            assert there == [each for each in found if each in there]
    finally:
        writing = False
        await asyncio.gather(*writers)


async def test_whoever_asks_what_changed_misses_nothing(room: Newsroom) -> None:
    """``changed_since`` lists claims in the order of their last events: all that moved since, others not."""
    claims = [await room.claim(f"{n}", room.said()) for n in range(6)]
    since = room.after
    for claim in (claims[4], claims[1], claims[4], claims[0]):
        await room.say(claim, "neighbour")
    assert [claims[1], claims[4], claims[0]] == await room.listed(changed_since=since, limit=2)
    assert [claims[1]] == (await room.listed(changed_since=since.partition(".")[2], limit=1))[:1]
    filtered = await room.listed(changed_since=since, story=room.story, state="corroborated", limit=1)
    assert [claims[1], claims[4], claims[0]] == filtered
    assert await room.listed(changed_since=room.after) == []
    assert (await room.ask("/v1/claims", changed_since="never")).json()["type"] == "/problems/bad-cursor"


async def command(room: Newsroom, *words: str) -> tuple[int, str]:
    """Run the command line against the API, and return its exit code and what it printed."""
    environment = os.environ | {
        "ONRECORD_URL": str(room.api.base_url),
        "ONRECORD_KEY": room.api.headers["Authorization"].partition(" ")[2],
        "NO_COLOR": "1",
    }
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service.cli", *words,
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    printed, _ = await running.communicate()
    return running.returncode or 0, printed.decode()


async def test_the_command_line_shows_the_desk_and_explains(room: Newsroom) -> None:
    """``onrecord desk`` and ``onrecord explain`` show in words, or with ``--json`` as the API gives it."""
    claim = await room.claim("It fell.", room.said())
    asked = room.said("outlet")
    printed = str((await room.post(f"/v1/claims/{claim}/statements", asked))["id"])
    await room.read(claim)
    code, shown = await command(room, "desk", "--story", room.story)
    assert (code, f"single-sourced: 1  /v1/claims?flag=single_origin&story={room.story}" in shown) == (0, True)
    assert f"{claim}  It fell." in shown
    code, raw = await command(room, "desk", "--json")
    assert (code, json.loads(raw)) == (0, await room.get("/v1/desk"))
    code, said = await command(room, "explain", claim)
    assert code == 0
    for words in (
        "unverified: What is on record",
        "Left out:",
        printed,
        "It would change if:",
        "corroborated: if a named",
    ):
        assert words in said
    code, raw = await command(room, "explain", claim, "--policy", "admiralty", "--json")
    assert json.loads(raw) == await room.get(f"/v1/claims/{claim}/explanation", policy="admiralty")
    code, refusal = await command(room, "explain", missing(claim))
    assert (code, "There is no such thing (404)" in refusal) == (1, True)
