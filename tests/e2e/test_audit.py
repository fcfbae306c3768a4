"""What was known when, over REST: states at a moment, what changed between two, and rules told from facts."""

import time
from typing import Any

import httpx2
import pytest

from events.identifiers import derived_id
from events.ledger import Ledger
from service.projections.past import claim_at
from service.verification.commands import Recorder
from service.verification.facts import Horizon
from tests.e2e.conftest import PERSON, Newsroom


async def everything(api: httpx2.AsyncClient, seen: str, path: str, **query: Any) -> list[dict[str, Any]]:
    """Return a whole list, page by page, as it is when a write can be seen."""
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        answer = await api.get(
            path, params={"limit": 7} | query | ({"after": after} if after else {}), headers={"Onrecord-After": seen}
        )
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        after = answer.json()["next_after"]
        if after is None:
            return found


async def test_the_state_of_a_ledger_at_any_moment_is_what_was_recorded_by_then(
    api: httpx2.AsyncClient, ledger: Ledger, loaded: Recorder
) -> None:
    """At every position that is tried, each claim stands where the fold of only the events up to there has it."""
    head = (await ledger.head()).position
    seen = str(ledger.cursor(head))
    for position in (1, 40, 41, 77, 120, head):
        found = await everything(api, seen, "/v1/audit/state", as_of=position)
        for each in found:
            document = await claim_at(ledger, each["id"], Horizon(position))
            assert document is not None
            standing = each["standing"]
            assert (document.standing.position if document.standing else None) == (standing and standing["position"])
            assert (document.standing.state if document.standing else None) == (standing and standing["state"])
            assert document.version == each["version"]
        story = await everything(api, seen, "/v1/audit/state", as_of=position, story=derived_id("story", "il76"))
        assert found == story
        registered = [e for e in await ledger.read(0, position) if e.envelope.type == "claim.registered"]
        assert len(registered) == len(found)


async def test_a_past_state_of_a_story_is_answered_at_once(api: httpx2.AsyncClient, loaded: Recorder) -> None:
    """Where 28 claims stood is a matter of a moment; the benchmark measures it in a large ledger."""
    await loaded.ledger.head()
    begun = time.monotonic()
    answer = await api.get("/v1/audit/state", params={"story": derived_id("story", "il76"), "as_of": 120, "limit": 200})
    assert answer.status_code == 200
    assert time.monotonic() - begun < 5  # a busy machine


async def test_what_changed_between_two_moments_is_told_with_what_did_it(room: Newsroom, ledger: Ledger) -> None:
    """A claim that was corroborated since: by which statement; one of which nothing was heard is not in it."""
    quiet = await room.claim("It did not fall.")
    claim = await room.claim("It fell.", room.said())
    before = (await ledger.head()).position
    said = await room.post(f"/v1/claims/{claim}/statements", room.said("neighbour", "confirms"))
    new = await room.claim("It burned.")
    room.after = str(ledger.cursor((await ledger.head()).position))
    page = await room.get("/v1/audit/diff", **{"from": str(before)})
    found = {each["id"]: each for each in page["items"]}
    assert quiet not in found
    assert (found[claim]["before"]["standing"]["state"], found[claim]["after"]["standing"]["state"]) == (
        "unverified",
        "corroborated",
    )
    (change,) = found[claim]["changes"]
    assert (change["from"], change["to"], change["position"]) == ("unverified", "corroborated", said["position"])
    assert change["because_of"] == [
        {"position": said["position"] - 1, "type": "statement.recorded", "recordedtime": said["recordedtime"]}
    ]
    assert found[new]["before"] is None
    assert found[new]["events"][0]["type"] == "claim.registered"
    nothing = await room.get("/v1/audit/diff", **{"from": str(before), "to": str(before)})
    assert nothing["items"] == []
    wrong = await room.ask("/v1/audit/diff", **{"from": "5", "to": "4"})
    assert wrong.status_code == 400
    assert (await room.ask("/v1/audit/diff")).status_code == 400


async def test_a_changed_rule_is_told_from_a_changed_fact(room: Newsroom, ledger: Ledger) -> None:
    """What was recorded stays; beside it stands what another policy makes of the same facts."""
    claim = await room.claim("It fell.", room.said(), room.said("neighbour", "confirms"))
    await room.latest()
    recorded = await room.get("/v1/audit/state", recompute="admiralty")
    (item,) = [each for each in recorded["items"] if each["id"] == claim]
    assert item["standing"]["state"] == "corroborated"
    assert (item["recomputed"]["state"], item["recomputed"]["differs"]) == ("unverified", True)
    same = await room.get("/v1/audit/state", recompute="strict-two-source")
    assert not any(each["recomputed"]["differs"] for each in same["items"])
    plain = await room.get("/v1/audit/state")
    assert all("recomputed" not in each for each in plain["items"])
    assert (await room.ask("/v1/audit/state", recompute="nobody")).status_code == 400


async def test_what_followed_from_a_graded_source_names_the_grade(room: Newsroom, ledger: Ledger) -> None:
    """A state that changed because a source was graded is told to have changed because of that."""
    claim = await room.claim("It fell.", room.said(), room.said("neighbour", "confirms"))
    before = (await ledger.head()).position
    graded = await room.post(
        f"/v1/sources/{room.sources['neighbour']}/grades",
        {"reliability": "E", "by": PERSON, "rationale": "It was wrong."},
    )
    await room.follow_up()
    page = await room.get("/v1/audit/diff", **{"from": str(before)})
    (item,) = [each for each in page["items"] if each["id"] == claim]
    (change,) = item["changes"]
    assert (change["to"], [each["type"] for each in change["because_of"]]) == ("unverified", ["source.graded"])
    assert change["because_of"][0]["position"] == graded["position"]


async def test_a_merged_claim_has_no_state_of_its_own(room: Newsroom, ledger: Ledger) -> None:
    """It points to the claim that speaks for it, at the moments at which it did."""
    one, other = await room.claim("It fell."), await room.claim("It came down.")
    before = (await ledger.head()).position
    merged = await room.post(f"/v1/claims/{other}/merge", {"into": one, "reason": "The same."})
    items = {
        each["id"]: each for each in await everything(room.api, room.after, "/v1/audit/state", as_of=merged["position"])
    }
    assert (items[other]["standing"], items[other]["merged_into"]["claim_id"]) == (None, one)
    then = {each["id"]: each for each in await everything(room.api, room.after, "/v1/audit/state", as_of=before)}
    assert (then[other]["merged_into"], then[other]["standing"]["state"]) == (None, "unverified")


@pytest.mark.parametrize("path", ["/v1/audit/state", "/v1/audit/diff?from=1"])
async def test_a_page_says_of_which_moment_it_is(room: Newsroom, ledger: Ledger, path: str) -> None:
    """Whoever pages on with it sees one moment, whatever is recorded meanwhile."""
    await room.latest()
    answer = await room.api.get(path)
    assert answer.headers["Onrecord-As-Of"] == str(ledger.cursor((await ledger.head()).position))
