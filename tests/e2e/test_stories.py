"""Stories that rules can get wrong: what a reader saw of them at every step."""

from typing import Any

from tests.e2e.conftest import PERSON, Newsroom


async def standing(room: Newsroom, claim: str, **query: Any) -> tuple[str, set[str]]:
    """Return where a claim stands, with its flags."""
    found = (await room.read(claim, **query))["standing"]
    return found["state"], set(found["flags"])


async def przewodow(room: Newsroom) -> tuple[str, list[int]]:
    """Tell of the missile that fell on Przewodów in 2022; return the claim, and the position after each step."""
    allies = {"poland": ["ukraine"], "united-states": ["ukraine"]}
    parties = ["russia", "ukraine", "poland", "united-states"]
    room.story = (await room.post("/v1/stories", {"title": "Przewodów", "parties": parties, "allies": allies}))["id"]
    await room.source("ap", kind="news_agency")
    await room.source("us-official", kind="anonymous", parties=["united-states"])
    for name, party in (("zelensky", "ukraine"), ("ru-mod", "russia"), ("duda", "poland")):
        await room.source(name, kind="official", parties=[party])
    claim = await room.claim("A Russian missile hit Poland.", serves=["ukraine"], harms=["russia"])
    day = "2022-11-15T"
    steps = [
        room.said("us-official", publisher_id=room.sources["ap"], said_at=f"{day}18:30Z", terms="anonymous"),
        room.said("zelensky", said_at=f"{day}19:40Z"),
        room.said("duda", "investigating", said_at=f"{day}21:30Z"),
        room.said("ru-mod", "denies", said_at=f"{day}21:50Z"),
        room.said("duda", "denies", said_at="2022-11-16T11:00Z"),
    ]
    positions, told = [], []
    for step in steps:
        receipt = await room.post(f"/v1/claims/{claim}/statements", step)
        told.append(receipt["id"])
        positions.append(receipt["position"])
    withdrawn = await room.post(f"/v1/statements/{told[0]}/withdrawal", {"by": "publisher", "at": "2022-11-16T15:00Z"})
    return claim, [*positions, withdrawn["position"]]


async def test_a_missile_that_two_allied_voices_call_russian_is_never_corroborated(room: Newsroom) -> None:
    """An unnamed US official and Kyiv are two origins with one interest; then Moscow and Warsaw stand against them."""
    claim, positions = await przewodow(room)
    unnamed = {"unnamed_source", "interested_parties_only"}
    expected: list[tuple[str, set[str]]] = [
        ("unverified", unnamed | {"single_origin"}),
        ("unverified", unnamed),
        ("unverified", unnamed | {"under_investigation"}),
        ("contested", unnamed | {"under_investigation", "denied_by_interested_party"}),
        ("contested", unnamed),
        ("contested", {"interested_parties_only", "single_origin", "corrected"}),
    ]
    assert expected == [await standing(room, claim, as_of=position) for position in positions]
    that_night = await room.read(claim, said_by="2022-11-15T22:00Z")
    assert (that_night["standing"]["state"], that_night["evaluated"]) == ("contested", True)
    assert that_night["standing"]["because"]["od"] == 0
    for policy in ("strict-two-source", "permissive-tracker", "admiralty"):
        explained = await room.get(f"/v1/claims/{claim}/explanation", policy=policy)
        assert (explained["state"], explained["because"]["nd"], explained["because"]["od"]) == (
            "contested", 0, 0 if policy == "admiralty" else 1,
        )  # fmt: skip


async def test_a_retracted_report_tells_which_texts_relied_on_it(room: Newsroom) -> None:
    """The agency takes its report back, then its source does; our text that used it is to be corrected until it is."""
    claim = await room.claim()
    said = await room.say(claim, "witness", publisher_id=room.sources["outlet"], said_at="2024-03-01")
    use = [{"claim_id": claim}]
    text = {"title": "It fell", "url": "https://desk.example/1", "published_at": "2024-03-02", "claims": use}
    ours = (await room.post("/v1/publications", text))["id"]
    taken = await room.post(f"/v1/statements/{said}/withdrawal", {"by": "publisher", "at": "2024-03-03"})
    assert taken["events"][0]["data"]["relied_on_by"] == [ours]
    assert await standing(room, claim) == ("withdrawn", {"corrected"})
    assert await room.listed("/v1/publications", to_correct="true") == [ours]
    await room.post(f"/v1/publications/{ours}/correction", {"note": "It did not fall."})
    assert await room.listed("/v1/publications", to_correct="true") == []
    await room.refused(f"/v1/statements/{said}/withdrawal", {"by": "silent"}, "already-recorded")
    await room.post(f"/v1/statements/{said}/withdrawal", {"by": "speaker", "at": "2024-03-04"})
    await room.refused(f"/v1/statements/{said}/withdrawal", {"by": "speaker"}, "already-recorded")
    await room.refused(
        f"/v1/statements/{said}/correction", {"by": "speaker", "after": {"stance": "denies"}}, "rule-broken"
    )


async def test_adversaries_who_agree_are_enough_unless_they_are_allied(room: Newsroom) -> None:
    """Both sides have an interest in a claim that touches both; that they agree on it is worth more than either."""
    claim = await room.claim("An exchange was planned.", room.said("red"), room.said("blue"), serves=None, harms=None)
    assert await standing(room, claim) == ("corroborated", {"interested_parties_only"})
    assert (await room.read(claim))["standing"]["credibility"] == 2
    await room.patch(f"/v1/stories/{room.story}", {"allies": {"blue": ["red"]}})
    await room.follow_up()
    assert (await standing(room, claim))[0] == "unverified"
    await room.patch(f"/v1/stories/{room.story}", {"allies": {}})
    await room.follow_up()
    assert (await standing(room, claim))[0] == "corroborated"


async def test_a_film_that_turns_out_a_fake_takes_with_it_what_rests_on_it(room: Newsroom) -> None:
    """A source's doubt is flagged, the desk's own counts: film and who knows it from there alone are gone together."""
    claim = await room.claim()
    film = await room.show(claim, supplied_by=room.sources["blue"])
    await room.say(claim, "outlet", basis="reporting", rests_on=[film])
    await room.say(claim, "witness", basis="first_hand")
    assert (await standing(room, claim))[0] == "corroborated"
    await room.authenticate(film)
    counts = (await room.read(claim))["standing"]["because"]
    assert (counts["n"], counts["nd"]) == (2, 2)
    challenge = f"/v1/evidence/{film}/challenge"
    await room.post(challenge, {"ground": "Older.", "source_id": room.sources["red"]})
    assert await standing(room, claim) == ("corroborated", {"evidence_challenged"})
    await room.post(challenge, {"ground": "The shadows are wrong.", "by": PERSON})
    found = (await room.read(claim))["standing"]
    assert (found["state"], found["because"]["n"]) == ("unverified", 1)
    assert list(found["because"]["excluded"]) == ["rests_on_challenged_evidence"]
    explained = await room.get(f"/v1/claims/{claim}/explanation")
    again = [change for change in explained["would_change_if"] if film in change["sentence"]]
    assert [(each["to"], each["events"][0]["type"]) for each in again] == [("corroborated", "evidence.authenticated")]
    await room.authenticate(film)
    assert await standing(room, claim) == ("corroborated", set())


async def test_a_toll_that_rises_is_no_disagreement(room: Newsroom) -> None:
    """Figures of two days are not held against each other; two figures of one day are."""

    def killed(value: int, day: str) -> dict[str, Any]:
        return {"quantities": [{"measure": "killed", "value": value, "as_at": day}]}

    claim = await room.claim("Four were killed by the second day.", **killed(4, "2024-05-02"))
    await room.say(claim, "witness", said_at="2024-05-01", **killed(3, "2024-05-01"))
    assert await standing(room, claim) == ("unverified", {"partially_confirmed"})
    await room.say(claim, "witness", said_at="2024-05-02", **killed(4, "2024-05-02"))
    assert await standing(room, claim) == ("unverified", {"single_origin"})
    await room.say(claim, "outlet", basis="reporting", said_at="2024-05-03", **killed(7, "2024-05-03"))
    assert await standing(room, claim) == ("unverified", {"single_origin", "partially_confirmed"})
    await room.say(claim, "outlet", basis="reporting", said_at="2024-05-04", **killed(5, "2024-05-02"))
    assert await standing(room, claim) == ("unverified", {"single_origin", "partially_confirmed", "figures_disagree"})
