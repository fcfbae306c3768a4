"""Policies over REST, and following up what touches many claims: nothing is missed, nothing is recorded twice."""

import asyncio
from typing import Any

import httpx2
import pytest

from events.ledger import Ledger
from events.store import Store
from service.reassessor import Reassessor
from service.verification.commands import Recorder
from tests.e2e.conftest import PERSON, Newsroom

NAMES = ("strict-two-source", "permissive-tracker", "admiralty")


async def test_policies_are_listed_and_activated(room: Newsroom) -> None:
    """The history of policies grows by activation; the last is in force, and the receipt says where it is."""
    own = {"name": "ours", "min_origins": 3}
    listed = await room.get("/v1/policies")
    assert [each["name"]["name"] for each in listed["history"]] == ["strict-two-source"]
    assert [each["name"] for each in listed["built_in"]] == list(NAMES)
    made = await room.send("POST", "/v1/policies", {"policy": own, "reason": "Three is better."})
    assert (made.status_code, made.headers["Location"]) == (201, "/v1/policies")
    await room.post("/v1/policies", {"name": "admiralty"})
    history = (await room.get("/v1/policies"))["history"]
    assert [each["name"]["name"] for each in history] == ["strict-two-source", "ours", "admiralty"]
    assert [each["policy"]["min_origins"] for each in history] == [2, 3, 2]
    assert [each["position"] for each in history][1:] == [made.json()["position"], made.json()["position"] + 1]
    assert len({each["name"]["hash"] for each in history}) == 3


@pytest.mark.parametrize(
    ("body", "problem", "pointer", "says"),
    [
        ({"policy": {"name": "admiralty", "min_origins": 9}}, "rule-broken", "/policy/name", "admiralty"),
        (
            {"policy": {"name": "p", "excluded_grades": ["A"], "countable_grades": ["A"]}},
            "rule-broken", "/policy/excluded_grades", "both excluded and countable",
        ),
        (
            {"policy": {"name": "p", "excluded_grades": ["A"], "single_source_grades": ["A"]}},
            "rule-broken", "/policy/single_source_grades", "does not count",
        ),
        (
            {"policy": {"name": "p", "countable_grades": ["A"], "single_source_grades": ["B"]}},
            "rule-broken", "/policy/single_source_grades", "does not count",
        ),
        ({"policy": {"name": "p", "countable_grades": ["A", "A"]}}, "rule-broken", "/policy/countable_grades", "once"),
        ({"name": "strict-two-source"}, "already-recorded", "", "in force"),
        ({"name": "lenient"}, "invalid", "/name", "admiralty"),
        ({"name": "admiralty", "policy": {"name": "p"}}, "invalid", "", "one of them"),
        ({}, "invalid", "", "one of them"),
        ({"policy": {"name": "p", "min_origins": 0}}, "invalid", "/policy/min_origins", "1"),
        ({"policy": {"name": "p", "minimum": 2}}, "invalid", "/policy/minimum", "minimum"),
    ],
)  # fmt: skip
async def test_a_policy_that_contradicts_itself_is_refused(
    room: Newsroom, body: Any, problem: str, pointer: str, says: str
) -> None:
    """The problem names the rule and points to it; nothing is recorded."""
    assert says in await room.refused("/v1/policies", body, problem, pointer)


async def test_a_name_and_version_mean_one_policy_for_ever(room: Newsroom) -> None:
    """Other rules under a name and version that were in force are refused; the same ones may come back."""
    await room.post("/v1/policies", {"policy": {"name": "ours", "min_origins": 3}})
    await room.post("/v1/policies", {"name": "admiralty"})
    await room.refused("/v1/policies", {"policy": {"name": "ours", "min_origins": 4}}, "rule-broken", "/policy/version")
    await room.post("/v1/policies", {"policy": {"name": "ours", "min_origins": 3}})
    await room.post("/v1/policies", {"policy": {"name": "ours", "version": 2, "min_origins": 4}})


async def standings(api: httpx2.AsyncClient, ledger: Ledger) -> dict[str, tuple[Any, ...]]:
    """Return where every claim stands by what was recorded, having checked that it is what would be said now."""
    after = {"Onrecord-After": str(ledger.cursor((await ledger.head()).position))}
    items = (await api.get("/v1/claims", params={"limit": 200}, headers=after)).json()["items"]
    items = [each for each in items if not each["merged_into"]]
    explained = await asyncio.gather(*(api.get(f"/v1/claims/{each['id']}/explanation") for each in items))
    for item, answer in zip(items, explained, strict=True):
        now = answer.json()
        for part in ("state", "flags", "credibility", "policy"):
            assert now[part] == item["standing"][part], (item["claim"]["text"], part)
        assert [now["because"][n] for n in ("n", "nd", "od")] == [
            item["standing"]["because"][n] for n in ("n", "nd", "od")
        ]
    parts = ("state", "flags", "credibility", "policy", "because")
    return {item["id"]: tuple(item["standing"][part] for part in parts) for item in items}


async def test_every_claim_is_judged_by_the_policy_in_force(
    api: httpx2.AsyncClient, ledger: Ledger, store: Store, loaded: Recorder
) -> None:
    """Once the reassessor has caught up no claim's verdict is missing; back again, all stand as they first did."""
    reassessor = Reassessor(store, ledger, loaded)
    before = await standings(api, ledger)
    seen: list[Any] = []

    async def activate(name: str) -> None:
        activated = await api.post("/v1/policies", json={"name": name})
        position = activated.json()["position"]

        async def watch() -> None:
            while not seen or seen[-1]["checkpoint"] < position:
                seen.append((await api.get("/v1/policies")).json()["reassessment"])

        watching = asyncio.create_task(watch())
        await reassessor.catch_up()
        await watching
        assert any((now.get("trigger"), now["total"]) == (position, len(before)) for now in seen)
        head = await ledger.head()
        await store.delete(ledger.keys.duty("reassessor"))  # as if it had been killed before it said how far it is
        await Reassessor(store, ledger, Recorder(ledger)).catch_up()
        assert head == await ledger.head()

    await activate("admiralty")
    other = await standings(api, ledger)
    assert {standing[3]["name"] for standing in other.values()} == {"admiralty"}
    assert other != before
    await activate("permissive-tracker")
    await standings(api, ledger)
    await activate("strict-two-source")
    assert before == await standings(api, ledger)


async def test_claims_recorded_while_a_policy_changes_are_judged_by_it_too(room: Newsroom) -> None:
    """Whoever records while a policy is being activated and followed up: in the end every verdict is by that one."""
    await room.claim("first", room.said())

    async def record(n: int) -> None:
        for m in range(5):
            await room.claim(f"{n} {m}", room.said())

    async def change() -> None:
        for name in ("admiralty", "permissive-tracker"):
            await room.post("/v1/policies", {"name": name})
            await room.follow_up()

    await asyncio.gather(change(), *(record(n) for n in range(4)))
    await room.follow_up()
    found = await standings(room.api, room.ledger)
    assert (len(found), {standing[3]["name"] for standing in found.values()}) == (21, {"permissive-tracker"})


async def changed(room: Newsroom, *claims: str) -> list[str | None]:
    """Return where claims stand once everything is followed up, having checked that all is as would be said now."""
    await room.follow_up()
    await standings(room.api, room.ledger)
    return [await room.state(claim) for claim in claims]


async def test_a_source_described_anew_moves_the_claims_it_is_heard_in(room: Newsroom) -> None:
    """What a source is, or one above it, is followed up wherever a verdict rests on it, also in merges and parts."""
    ministry = await room.source("ministry", kind="government")
    await room.source("spokesman", kind="official", affiliated_to=[ministry])
    direct = await room.claim("It fell.", room.said(), room.said("spokesman"))
    resting = await room.claim("It burnt.", room.said(), room.said("neighbour", rests_on=[room.sources["spokesman"]]))
    film = await room.claim("It was filmed.", room.said())
    await room.authenticate(await room.show(film, supplied_by=room.sources["spokesman"]))
    apart = await room.claim("It rained.", room.said(), room.said("neighbour"))
    merged = await room.claim("It rose.", room.said("spokesman"))
    into = await room.claim("It climbed.", room.said())
    await room.post(f"/v1/claims/{merged}/merge", {"into": into})
    whole, part = await room.claim("All."), await room.claim("A part.", room.said())
    lent = await room.say(whole, "spokesman")
    await room.post(f"/v1/claims/{whole}/split", {"parts": [{"claim_id": part, "statement_ids": [lent]}]})
    all_of_them = (direct, resting, film, into, part)
    assert await changed(room, *all_of_them, apart) == ["corroborated"] * 6
    for change in ({"affiliated_to": [room.sources["witness"]]}, {"affiliated_to": []}):
        await room.patch(f"/v1/sources/{ministry}", change)  # one origin with the witness, and no longer
        state = "unverified" if change["affiliated_to"] else "corroborated"
        assert await changed(room, *all_of_them, apart) == [*[state] * 5, "corroborated"]
    before = await room.ledger.head()
    await room.patch(f"/v1/sources/{ministry}", {"name": "The ministry"})
    await room.follow_up()
    assert (await room.ledger.head()).position == before.position + 1


async def test_grades_parties_allies_and_terms_are_followed_up(room: Newsroom) -> None:
    """A grade, a story's parties or allies, and another figure of a sum's term move the verdicts that rest on them."""
    graded = await room.claim("It fell.", room.said(), room.said("neighbour"))
    where = f"/v1/sources/{room.sources['neighbour']}/grades"
    assert await changed(room, graded) == ["corroborated"]
    await room.post(where, {"reliability": "E", "rationale": "r", "by": PERSON})
    assert await changed(room, graded) == ["unverified"]
    await room.post(where, {"reliability": "B", "rationale": "r", "by": PERSON})
    assert await changed(room, graded) == ["corroborated"]
    sided = await room.claim("It was blue.", room.said("red"), room.said("green"))
    adverse = await room.claim("Both were there.", room.said("red"), room.said("blue", "confirms"))
    assert await changed(room, sided, adverse) == ["corroborated", "corroborated"]
    await room.patch(f"/v1/stories/{room.story}", {"allies": {"green": ["red"], "blue": ["red"]}})
    assert await changed(room, sided, adverse) == [
        "unverified",
        "corroborated",
    ]  # blue still speaks against its interest
    await room.patch(f"/v1/stories/{room.story}", {"allies": {}})
    assert await changed(room, sided, adverse) == ["corroborated", "corroborated"]
    term = await room.claim("Six.", quantities=[{"measure": "crew", "value": 6}])
    sum_of = [{"claim_id": term, "measure": "crew"}]
    whole = await room.claim("Six in all.", quantities=[{"measure": "all", "value": 6}], sum_of=sum_of)
    for value, disagree in ((7, True), (6, False)):
        await room.patch(f"/v1/claims/{term}", {"quantities": [{"measure": "crew", "value": value}]})
        await changed(room, whole)
        assert ("figures_disagree" in await room.flags(whole)) == disagree


async def test_without_anything_to_follow_up_nothing_is_recorded(
    loaded: Recorder, ledger: Ledger, store: Store
) -> None:
    """Following up a ledger without anything to follow up records nothing and reaches its end."""
    before = await ledger.head()
    await Reassessor(store, ledger, loaded).catch_up()
    assert before == await ledger.head()
