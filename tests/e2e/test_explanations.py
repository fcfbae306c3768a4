"""Explanations over REST: sentences, what was left out and why, other policies, and what would change a state."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.e2e.conftest import PERSON, Newsroom

Things = dict[str, str]
"""What a situation is made of: names, and the identifiers that they have this time."""
Situation = Callable[[Newsroom], Awaitable[Things]]
SITUATIONS: dict[str, Situation] = {}


def situation(build: Situation) -> Situation:
    """Enter a situation under its name. Each is built anew, with sources of its own, as often as it is tried."""
    SITUATIONS[build.__name__] = build
    return build


async def cast(room: Newsroom, **kinds: dict[str, Any]) -> Things:
    """Register sources of one's own."""
    return {name: await room.source(name, **more) for name, more in kinds.items()}


async def say(room: Newsroom, claim: str, speaker: str, stance: str = "asserts", **more: Any) -> str:
    """Record a statement of a source that is known by its identifier."""
    said = {"speaker_id": speaker, "stance": stance} | more
    return str((await room.post(f"/v1/claims/{claim}/statements", said))["id"])


PERSONS: dict[str, dict[str, Any]] = {"a": {}, "b": {}}
RED: dict[str, dict[str, Any]] = {"red": {"kind": "government", "parties": ["red"]}}
BLUE: dict[str, dict[str, Any]] = {"blue": {"kind": "government", "parties": ["blue"]}}
LEAK: dict[str, dict[str, Any]] = {"leak": {"kind": "anonymous"}}


@situation
async def nothing(room: Newsroom) -> Things:
    """Nobody has spoken."""
    return {"claim": await room.claim()}


@situation
async def one_source(room: Newsroom) -> Things:
    """One disinterested source."""
    who = await cast(room, a={})
    claim = await room.claim()
    return who | {"claim": claim, "said": await say(room, claim, who["a"])}


@situation
async def two_sources(room: Newsroom) -> Things:
    """Two disinterested sources."""
    who = await cast(room, **PERSONS)
    claim = await room.claim()
    return who | {
        "claim": claim, "one": await say(room, claim, who["a"]), "two": await say(room, claim, who["b"])
    }  # fmt: skip


@situation
async def one_side(room: Newsroom) -> Things:
    """Only the side that it serves."""
    who = await cast(room, **RED)
    claim = await room.claim()
    return who | {"claim": claim, "said": await say(room, claim, who["red"])}


@situation
async def both_sides(room: Newsroom) -> Things:
    """Adversaries agree on what serves the one and harms the other."""
    who = await cast(room, **RED, **BLUE)
    claim = await room.claim()
    return who | {
        "claim": claim, "one": await say(room, claim, who["red"]), "two": await say(room, claim, who["blue"])
    }  # fmt: skip


@situation
async def disputed(room: Newsroom) -> Things:
    """One disinterested source for it, one against it."""
    who = await cast(room, **PERSONS)
    claim = await room.claim()
    return who | {
        "claim": claim, "for": await say(room, claim, who["a"]), "against": await say(room, claim, who["b"], "denies")
    }  # fmt: skip


@situation
async def denied(room: Newsroom) -> Things:
    """Only a denial, by whom it harms."""
    who = await cast(room, **BLUE)
    claim = await room.claim()
    return who | {"claim": claim, "said": await say(room, claim, who["blue"], "denies")}


@situation
async def a_leak_and_a_witness(room: Newsroom) -> Things:
    """A witness, and somebody unnamed who is not counted."""
    who = await cast(room, a={}, **LEAK)
    claim = await room.claim()
    return who | {
        "claim": claim, "said": await say(room, claim, who["a"]), "leaked": await say(room, claim, who["leak"])
    }  # fmt: skip


@situation
async def a_leak_that_counts_for_nobody(room: Newsroom) -> Things:
    """A party, and somebody unnamed who answers to another one: two origins, none of them known to be disinterested."""
    who = await cast(room, **RED, leak={"kind": "anonymous", "parties": ["green"]})
    claim = await room.claim()
    return who | {
        "claim": claim, "said": await say(room, claim, who["red"]), "leaked": await say(room, claim, who["leak"])
    }  # fmt: skip


@situation
async def an_unexamined_film(room: Newsroom) -> Things:
    """A party that supports it, and a film that nobody has examined."""
    who = await cast(room, **RED)
    claim = await room.claim()
    return who | {
        "claim": claim, "said": await say(room, claim, who["red"]), "film": await room.show(claim)
    }  # fmt: skip


@situation
async def authentic_evidence(room: Newsroom) -> Things:
    """A witness and an authenticated film for it, and another film against it that is unexamined."""
    who = await cast(room, a={})
    claim = await room.claim()
    found = {"claim": claim, "said": await say(room, claim, who["a"]), "film": await room.show(claim)}
    await room.authenticate(found["film"])
    return who | found | {"other": await room.show(claim, "refutes")}


@situation
async def refuted_by_evidence(room: Newsroom) -> Things:
    """Two sources for it, and authenticated evidence against it."""
    who = await cast(room, **PERSONS)
    claim = await room.claim()
    found = {"claim": claim, "one": await say(room, claim, who["a"]), "two": await say(room, claim, who["b"])}
    found["film"] = await room.show(claim, "refutes")
    await room.authenticate(found["film"])
    return who | found


@situation
async def hedged_figures(room: Newsroom) -> Things:
    """A claim with a figure; one source gives it, another hedges, a third gives another one."""
    who = await cast(room, **PERSONS, c={})
    figure = {"measure": "dead", "value": 74, "unit": "people"}
    claim = await room.claim(quantities=[figure])
    return who | {
        "claim": claim,
        "exact": await say(room, claim, who["a"], quantities=[figure]),
        "hedged": await say(room, claim, who["b"], quantities=[figure], hedge="possible"),
        "other": await say(room, claim, who["c"], quantities=[figure | {"value": 60}]),
    }


@situation
async def unattributed_media(room: Newsroom) -> Things:
    """A witness, and an outlet that does not say how it knows."""
    who = await cast(room, a={}, outlet={"kind": "outlet"})
    claim = await room.claim()
    return who | {
        "claim": claim, "said": await say(room, claim, who["a"]), "printed": await say(room, claim, who["outlet"])
    }  # fmt: skip


@situation
async def a_change_of_mind(room: Newsroom) -> Things:
    """A source that said so first and then denied it, beside another one."""
    who = await cast(room, **PERSONS)
    claim = await room.claim()
    await say(room, claim, who["a"], said_at="2024-01")
    return who | {
        "claim": claim,
        "denial": await say(room, claim, who["a"], "denies", said_at="2024-02"),
        "said": await say(room, claim, who["b"]),
    }


@situation
async def resting_on_evidence(room: Newsroom) -> Things:
    """A source that knows it from a film, beside a witness."""
    who = await cast(room, **PERSONS)
    claim = await room.claim()
    film = await room.show(claim, "context")
    return who | {
        "claim": claim, "film": film, "said": await say(room, claim, who["a"]),
        "seen": await say(room, claim, who["b"], rests_on=[film]),
    }  # fmt: skip


@situation
async def a_merged_negation(room: Newsroom) -> Things:
    """A claim whose negation was merged into it: who supports the one denies the other."""
    who = await cast(room, **PERSONS)
    claim, negation = await room.claim(), await room.claim("It landed.")
    found = {"claim": claim, "for": await say(room, claim, who["a"]), "against": await say(room, negation, who["b"])}
    await room.post(f"/v1/claims/{negation}/merge", {"into": claim, "inverted": True})
    return who | found


@situation
async def a_part(room: Newsroom) -> Things:
    """A part of a claim, in which one of the whole's statements is read as well."""
    who = await cast(room, **PERSONS)
    whole, part = await room.claim("All."), await room.claim("One part.")
    said = await say(room, whole, who["a"])
    await room.post(f"/v1/claims/{whole}/split", {"parts": [{"claim_id": part, "statement_ids": [said]}]})
    return who | {"claim": part, "lent": said, "said": await say(room, part, who["b"])}


@situation
async def assessed(room: Newsroom) -> Things:
    """The desk has judged: no single event of these changes that."""
    who = await cast(room, a={})
    claim = await room.claim()
    said = await say(room, claim, who["a"])
    await room.assess(claim, "refuted")
    return who | {"claim": claim, "said": said}


Candidate = tuple[str, str]
"""What is tried, and the name of the thing that it is tried on."""


def candidates(things: Things, explained: Any, read: Any) -> list[Candidate]:
    """Return every single event that the rules say is tried, by what was recorded (rules, section 12)."""
    names = {key: name for name, key in things.items()}
    because = explained["because"]
    found = [("supports", ""), ("denies", "")]
    for item in read["evidence"]:
        status = [
            next(iter(check)) for check in ({k: v for k, v in c.items() if k in _CHECKS and v} for c in item["checks"])
        ]
        latest = status[-1] if status else "unexamined"
        found += [("authentication", names[item["id"]])] * (latest != "authentication")
        found += [("challenge", names[item["id"]])] * (latest != "challenge")
    weights = ("full_support", "partial_support", "denial", "partial_denial")
    effective = [key for weight in weights for key in because["reasons"].get(weight, {"ids": []})["ids"]]
    found += [("withdrawal", names[key]) for key in effective]
    found += [("identity", name) for name in things if name == "leak"]
    found += [("attribution", names[key]) for key in because["excluded"].get("unattributed", {"ids": []})["ids"]]
    return found


_CHECKS = ("authentication", "challenge")


def suggested(change: Any, things: Things) -> Candidate:
    """Return which of the candidates a suggestion is."""
    names = {key: name for name, key in things.items()}
    event = change["events"][-1]
    data = event["data"]
    match event["type"]:
        case "statement.recorded":
            return {"asserts": "supports", "denies": "denies"}[data["statement"]["stance"]], ""
        case "evidence.authenticated":
            return "authentication", names[data["evidence_id"]]
        case "evidence.challenged":
            return "challenge", names[data["evidence_id"]]
        case "statement.withdrawn":
            return "withdrawal", names[data["statement_id"]]
        case "source.updated":
            return "identity", names[data["source_id"]]
        case "statement.corrected":
            return "attribution", names[data["statement_id"]]
        case other:
            raise AssertionError(other)


async def happen(room: Newsroom, candidate: Candidate, things: Things, claim: Any) -> None:
    """Let a candidate really happen, over the API."""
    what, on = candidate[0], things.get(candidate[1], "")
    match what:
        case "supports" | "denies":
            somebody = await room.source("somebody")
            said = {"basis": "first_hand", "quantities": claim.get("quantities", [])}
            await say(room, things["claim"], somebody, {"supports": "asserts", "denies": "denies"}[what], **said)
        case "authentication":
            await room.authenticate(on)
        case "challenge":
            await room.post(f"/v1/evidence/{on}/challenge", {"ground": "…", "by": PERSON})
        case "withdrawal":
            await room.post(f"/v1/statements/{on}/withdrawal", {"by": "speaker"})
        case "identity":
            await room.patch(f"/v1/sources/{on}", {"identity": "named"})
        case "attribution":
            after = {"rests_on": [await room.source("somebody")]}
            await room.post(f"/v1/statements/{on}/correction", {"by": "publisher", "after": after})
    await room.follow_up()


@pytest.mark.parametrize("name", SITUATIONS)
async def test_what_would_change_a_state_does_and_nothing_else(room: Newsroom, name: str) -> None:
    """Each suggestion, if it really happens, gives the state that is said; what is not suggested leaves the state."""
    build = SITUATIONS[name]
    things = await build(room)
    explained = await room.get(f"/v1/claims/{things['claim']}/explanation")
    read = await room.read(things["claim"])
    expected = {suggested(change, things): change["to"] for change in explained["would_change_if"]}
    tried = candidates(things, explained, read)
    assert expected.keys() <= set(tried)
    assert bool(expected) != (name == "assessed")
    for candidate in tried:
        again = await build(room)
        before = await room.state(again["claim"])
        assert before == explained["state"]
        await happen(room, candidate, again, read["claim"])
        assert expected.get(candidate, before) == await room.state(again["claim"]), candidate


async def test_the_sentences_name_what_they_rest_on(room: Newsroom) -> None:
    """An explanation has a sentence for the rule, for each reason with identifiers, for the counts and each flag."""
    claim = await room.claim("It fell.")
    said, printed = await room.say(claim), await room.say(claim, "outlet")
    old = await room.say(claim, "neighbour", said_at="2024-01")
    denial = await room.say(claim, "neighbour", "denies", said_at="2024-02")
    repeat = await room.say(claim, "outlet", repeats=said)
    gone = await room.say(claim, "green")
    await room.post(f"/v1/statements/{gone}/withdrawal", {"by": "publisher"})
    explained = await room.get(f"/v1/claims/{claim}/explanation")
    assert explained["state"] == "contested" == explained["recorded"]["state"]
    assert explained["because"] == explained["recorded"]["because"]
    told = {key: each["sentence"] for each in explained["reasons"] for key in each["ids"]}
    assert (told[said], told[denial]) == ("2 statements support it as it stands.", "One statement denies it.")
    assert explained["reasons"][0]["sentence"].startswith("contested: ")
    assert any("1 of them disinterested" in each["sentence"] for each in explained["reasons"])
    for flag in explained["flags"]:
        assert any(each["sentence"].startswith(f"{flag}: ") for each in explained["reasons"])
    left_out = {key: each["sentence"] for each in explained["excluded"] for key in each["ids"]}
    assert left_out.keys() == {printed, old, repeat, gone}
    for key, words in (
        (printed, "nobody is named"),
        (old, "replaced"),
        (repeat, "another publication"),
        (gone, "withdrawn"),
    ):
        assert words in left_out[key]


async def test_a_sentence_about_several_is_in_the_plural(room: Newsroom) -> None:
    """One supports it; two support it."""
    claim = await room.claim("It fell.", room.said())
    await room.show(claim)
    where = f"/v1/claims/{claim}/explanation"
    assert "One statement supports it as it stands." in {
        each["sentence"] for each in (await room.get(where))["reasons"]
    }
    await room.say(claim, "neighbour")
    assert "2 statements support it as it stands." in {each["sentence"] for each in (await room.get(where))["reasons"]}


async def test_another_policy_is_asked_without_recording(room: Newsroom) -> None:
    """``?policy=`` says what another policy would, of On Record's own or once in force; nothing is recorded."""
    claim = await room.claim("It fell.", room.said())
    await room.post(
        f"/v1/sources/{room.sources['witness']}/grades", {"reliability": "A", "rationale": "r", "by": PERSON}
    )
    own = {"name": "ours", "version": 2, "min_origins": 1}
    before = await room.ledger.head()
    where = f"/v1/claims/{claim}/explanation"
    said = {
        name: await room.get(where, policy=name) for name in ("strict-two-source", "permissive-tracker", "admiralty:1")
    }
    assert [each["state"] for each in said.values()] == ["unverified", "corroborated", "unverified"]
    assert [each["policy"]["name"] for each in said.values()] == [
        "strict-two-source",
        "permissive-tracker",
        "admiralty",
    ]
    assert {each["recorded"]["policy"]["name"] for each in said.values()} == {"strict-two-source"}
    moved = {change["to"] for change in said["permissive-tracker"]["would_change_if"]}
    assert moved == {"contested", "withdrawn"}
    for unknown in ("ours", "admiralty:2", ""):
        assert (await room.ask(where, policy=unknown)).json()["type"] == "/problems/bad-request"
    assert before == await room.ledger.head()
    await room.post("/v1/policies", {"policy": own})
    await room.post("/v1/policies", {"name": "strict-two-source"})
    assert (await room.get(where, policy="ours:2"))["state"] == "corroborated"
    missing = await room.ask(f"/v1/claims/{claim[:-4]}0000/explanation")
    assert missing.json()["type"] == "/problems/not-found"
