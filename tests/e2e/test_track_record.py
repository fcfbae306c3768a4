"""A source's track record over REST: where the claims stand that it said are so."""

from collections import Counter
from typing import Any

from tests.e2e.conftest import Newsroom, missing


async def record(room: Newsroom, name: str = "witness", **query: Any) -> Any:
    """Return the whole record of a source, all pages added up."""
    outcomes: Counter[str] = Counter()
    years: dict[str, Counter[str]] = {}
    after: dict[str, str] = {}
    while True:
        page = await room.get(f"/v1/sources/{room.sources[name]}/record", **query, **after)
        assert page["asserted"] == sum(page["outcomes"].values())
        outcomes += Counter(page["outcomes"])
        for year, counted in page["by_year"].items():
            years[year] = years.get(year, Counter()) + Counter(counted)
        if page["next_after"] is None:
            return dict(outcomes), {year: dict(counted) for year, counted in years.items()}
        after = {"after": page["next_after"]}


async def test_a_record_counts_where_each_assertion_stands_now(room: Newsroom) -> None:
    """Each claim that a source asserted counts once, by its present state and the year in which it was first said."""
    assert await record(room) == ({}, {})
    first = await room.claim("one", room.said(said_at="2023-05"))
    await room.say(first, "witness", "confirms", said_at="2024-01")  # again: still one claim
    second = await room.claim("two", room.said(said_at="2024-03"))
    third = await room.claim("three", room.said(said_at="2024", stance="partially_confirms"))
    await room.claim("denied", room.said(stance="denies"))
    await room.claim("no position", room.said(stance="investigating"))
    await room.claim("repeated", room.said("green", publisher_id=room.sources["witness"]))
    assert await record(room) == ({"unverified": 3}, {"2023": {"unverified": 1}, "2024": {"unverified": 2}})
    await room.say(first, "neighbour")
    await room.assess(second)
    await room.say(third, "neighbour", "denies")
    now = {"corroborated": 1, "verified": 1, "contested": 1}
    assert await record(room) == (now, {"2023": {"corroborated": 1}, "2024": {"verified": 1, "contested": 1}})
    await room.assess(third, "refuted")
    assert (await record(room))[0] == {"corroborated": 1, "verified": 1, "refuted": 1}
    assert (await record(room, limit=1))[0] == (await record(room))[0]


async def test_what_was_taken_back_counts_as_withdrawn(room: Newsroom) -> None:
    """Withdrawn by speaker or publisher, although others still say it; voided, or corrected to another, not at all."""
    spoken, published = await room.claim("a", room.said("green")), await room.claim("b", room.said("green"))
    for claim, by in ((spoken, "speaker"), (published, "publisher")):
        said = await room.say(claim)
        await room.post(f"/v1/statements/{said}/withdrawal", {"by": by})
    mistaken, other = await room.claim("c", room.said("green")), await room.claim("d", room.said("green"))
    voided = await room.post(f"/v1/claims/{mistaken}/statements", room.said())
    await room.post(f"/v1/events/{voided['events'][0]['position']}/void", {"reason": "r"})
    said = await room.say(other)
    after = {"by": "publisher", "after": {"speaker_id": room.sources["neighbour"]}}
    await room.post(f"/v1/statements/{said}/correction", after)
    assert (await record(room))[0] == {"withdrawn": 2}
    assert (await record(room, "neighbour"))[0] == {"corroborated": 1}
    assert (await record(room, "green"))[0] == {"unverified": 3, "corroborated": 1}


async def test_merged_claims_count_once_and_inverted(room: Newsroom) -> None:
    """In a merge a source counts where it was first heard; to deny the negation is to say so."""
    claim = await room.claim("It fell.", room.said("neighbour"))
    same = await room.claim("It crashed.", room.said(said_at="2023"))
    again = await room.claim("It came down.", room.said(said_at="2022"))
    negation = await room.claim("It landed.", room.said("green", "denies"), room.said("blue"))
    await room.post(f"/v1/claims/{same}/merge", {"into": claim})
    await room.post(f"/v1/claims/{again}/merge", {"into": claim})
    await room.post(f"/v1/claims/{negation}/merge", {"into": claim, "inverted": True})
    state = await room.state(claim)
    for query in ({}, {"limit": 1}):
        assert await record(room, **query) == ({state: 1}, {"2022": {state: 1}})
        assert (await record(room, "green", **query))[0] == {state: 1}
        assert (await record(room, "blue", **query))[0] == {}  # it said that it landed
    await room.post(f"/v1/claims/{again}/unmerge", {})
    assert sum((await record(room))[0].values()) == 2


async def test_a_record_of_nobody_is_not_found(room: Newsroom) -> None:
    """A source that is not on record has no track record; one that is but never spoke has an empty one."""
    answer = await room.ask(f"/v1/sources/{missing(room.sources['red'])}/record")
    assert answer.json()["type"] == "/problems/not-found"
    empty = await room.get(f"/v1/sources/{room.sources['red']}/record")
    assert (empty["asserted"], empty["outcomes"], empty["by_year"], empty["next_after"]) == (0, {}, {}, None)
