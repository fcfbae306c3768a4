"""The whole language of the record over REST: each thing that can be recorded, and each that is refused."""

import time
from typing import Any

import pytest

from events import moments
from tests.e2e.conftest import PERSON, SECOND, Newsroom, missing

WEB = "https://example.org/a"


# -------------------------------------------------------------------------------- stories and sources


async def test_a_story_is_described_anew_and_closed(room: Newsroom) -> None:
    """What a story is changes by recording; a closed one takes no claim, and what it has can still be amended."""
    where, claim = f"/v1/stories/{room.story}", await room.claim("t", room.said())
    await room.patch(where, {"title": "Another", "summary": "s", "allies": {"green": ["blue"]}})
    await room.patch(where, {"summary": None})
    story = (await room.get(where))["story"]
    assert story == {"title": "Another", "parties": ["red", "blue"], "allies": {"green": ["blue"]}}
    await room.refused(where, {"title": "Another"}, "already-recorded", method="PATCH")
    await room.refused(where, {"allies": {"red": ["red"]}}, "rule-broken", "/allies/red", method="PATCH")
    await room.refused(where, {"allies": {"red": ["grey"]}}, "rule-broken", "/allies/red", method="PATCH")
    await room.refused(where, {"name": "x"}, "invalid", "/name", method="PATCH")
    await room.post(f"{where}/closing", {"reason": "It is over."})
    assert (await room.get(where))["closed"]
    await room.refused(f"{where}/closing", {}, "already-recorded")
    await room.refused("/v1/claims", {"story_id": room.story, "text": "t"}, "rule-broken", "/story_id")
    await room.say(claim, "neighbour")
    assert await room.state(claim) == "corroborated"


async def test_a_source_is_described_anew_and_graded(room: Newsroom) -> None:
    """A source's parties and affiliations change by recording, its letter by grading, for a topic or in general."""
    where = f"/v1/sources/{room.sources['witness']}"
    await room.patch(where, {"name": "The witness", "affiliated_to": [room.sources["red"]]})
    await room.post(f"{where}/grades", {"reliability": "B", "rationale": "Known for years.", "by": PERSON})
    await room.post(
        f"{where}/grades", {"reliability": "E", "rationale": "No pilot.", "by": PERSON, "topic": "aviation"}
    )
    found = await room.get(where)
    assert (found["source"]["name"], found["source"]["reliability"]) == ("The witness", "B")
    assert [item["grade"].get("topic") for item in found["grades"]] == [None, "aviation"]
    red = f"/v1/sources/{room.sources['red']}"
    cycle = {"affiliated_to": [room.sources["witness"]]}
    await room.refused(red, cycle, "rule-broken", "/affiliated_to/0", method="PATCH")
    unknown = {"affiliated_to": [missing(room.sources["red"])]}
    await room.refused(red, unknown, "unknown-reference", "/affiliated_to/0", method="PATCH")
    await room.refused(red, {"name": "red"}, "already-recorded", method="PATCH")
    await room.refused(f"{red}/grades", {"reliability": "G", "rationale": "r", "by": PERSON}, "invalid", "/reliability")
    about, other = (
        await room.claim("It flew.", room.said(), tags=["aviation"]),
        await room.claim("It fell.", room.said()),
    )
    excluded = [(await room.read(claim))["standing"]["because"]["excluded"] for claim in (about, other)]
    assert [list(each) for each in excluded] == [["grade_excluded"], []]


@pytest.mark.parametrize("kind", ["stories", "sources", "claims"])
async def test_a_change_of_what_has_moved_on_is_refused(room: Newsroom, kind: str) -> None:
    """PATCH with the ETag of an older version is a 412 that records nothing; with the present one it passes."""
    keys = {"stories": room.story, "sources": room.sources["witness"], "claims": await room.claim()}
    key, name = keys[kind], {"stories": "title", "sources": "name", "claims": "text"}[kind]
    where = f"/v1/{kind}/{key}"
    old = (await room.ask(where)).headers["ETag"]
    await room.patch(where, {name: "second"}, If_Match=old)
    await room.refused(where, {name: "third"}, "version-mismatch", method="PATCH", If_Match=old)
    await room.patch(where, {name: "third"}, If_Match=(await room.ask(where)).headers["ETag"])
    await room.refused(f"/v1/{kind}/{missing(key)}", {name: "x"}, "not-found", method="PATCH")


@pytest.mark.parametrize("kind", ["stories", "sources", "claims"])
async def test_what_was_changed_can_be_changed_back(room: Newsroom, kind: str) -> None:
    """Every change is decided on what the one before it made, with its ETag or without."""
    keys = {"stories": room.story, "sources": room.sources["witness"], "claims": await room.claim()}
    name = {"stories": "title", "sources": "name", "claims": "text"}[kind]
    where = f"/v1/{kind}/{keys[kind]}"
    before = (await room.get(where))[{"stories": "story", "sources": "source", "claims": "claim"}[kind]][name]
    await room.patch(where, {name: "Otherwise"})
    await room.patch(where, {name: before}, If_Match=(await room.ask(where)).headers["ETag"])
    await room.patch(where, {name: "Otherwise"})
    await room.patch(where, {name: before})
    await room.refused(where, {name: before}, "already-recorded", method="PATCH")


# -------------------------------------------------------------------------------------------- claims


async def test_a_claim_is_put_in_other_words(room: Newsroom) -> None:
    """What a claim says changes by recording, members that are null are cleared, and its verdict follows at once."""
    claim = await room.claim("Ten fell.", room.said("red"), tags=["count"])
    assert await room.flags(claim) == ["interested_parties_only", "single_origin"]
    where = f"/v1/claims/{claim}"
    receipt = await room.patch(where, {"text": "Several fell.", "serves": [], "harms": [], "tags": []})
    assert [event["type"] for event in receipt["events"]] == ["claim.updated", "claim.state_changed"]
    assert await room.flags(claim) == ["single_origin"]
    assert (await room.read(claim))["claim"] == {
        "story_id": room.story, "text": "Several fell.", "serves": [], "harms": []
    }  # fmt: skip
    await room.patch(where, {"serves": None})
    assert "serves" not in (await room.read(claim))["claim"]
    for change, problem, pointer in (
        ({"text": "Several fell."}, "already-recorded", ""),
        ({"harms": ["grey"]}, "rule-broken", "/harms/0"),
        ({"declared_by": missing(room.sources["red"])}, "unknown-reference", "/declared_by"),
        ({"sum_of": [{"claim_id": claim, "measure": "m"}]}, "rule-broken", "/sum_of"),
        ({"parent_id": claim}, "rule-broken", "/parent_id"),
        ({"story_id": room.story}, "invalid", "/story_id"),
    ):
        await room.refused(where, change, problem, pointer, method="PATCH")


async def test_a_merged_claim_is_spoken_for(room: Newsroom) -> None:
    """A merge lets one claim read another's statements; undone, both stand as if there had been none."""
    one, other = await room.claim("It fell.", room.said()), await room.claim("It crashed.", room.said("neighbour"))
    before = [(await room.read(each))["standing"] for each in (one, other)]
    receipt = await room.post(f"/v1/claims/{other}/merge", {"into": one, "reason": "The same."})
    assert [event["type"] for event in receipt["events"]] == ["claim.merged", "claim.state_changed"]
    assert (await room.state(one), await room.state(other)) == ("corroborated", None)
    assert (await room.read(other))["merged_into"] == {"claim_id": one, "inverted": False}
    assert (await room.read(one))["members"] == [{"claim_id": other, "inverted": False}]
    await room.say(other, "blue")  # what is said on the merged claim counts for the canonical one
    assert (await room.read(one))["standing"]["because"]["n"] == 3
    await room.refused(
        f"/v1/claims/{other}/assessments", {"verdict": "verified", "rationale": "r", "by": PERSON}, "rule-broken"
    )
    await room.refused(f"/v1/claims/{other}/merge", {"into": one}, "already-recorded")
    await room.post(f"/v1/claims/{other}/unmerge", {"reason": "Not the same."})
    await room.refused(f"/v1/claims/{other}/unmerge", {}, "already-recorded")
    after = [(await room.read(each))["standing"] for each in (one, other)]
    assert after[0]["state"] == before[0]["state"]
    assert (after[0]["because"], after[1]["because"]["n"]) == (before[0]["because"], 2)


async def test_a_claim_can_be_merged_as_the_negation_of_another(room: Newsroom) -> None:
    """Merged inverted, who asserts the one denies the other; not where either has figures."""
    claim, negation = await room.claim("It fell.", room.said()), await room.claim("It landed.", room.said("neighbour"))
    await room.post(f"/v1/claims/{negation}/merge", {"into": claim, "inverted": True})
    assert await room.state(claim) == "contested"
    figures = [{"measure": "m", "value": 1}]
    await room.refused(f"/v1/claims/{claim}", {"quantities": figures}, "rule-broken", "/quantities", method="PATCH")
    counted = await room.claim("One fell.", quantities=figures)
    await room.refused(f"/v1/claims/{counted}/merge", {"into": claim, "inverted": True}, "rule-broken", "/inverted")


async def test_a_merge_that_would_confuse_is_refused(room: Newsroom) -> None:
    """No claim is merged into itself, in a circle, into a merged one, into another story's, or into none."""
    a, b, c = [await room.claim(text, room.said()) for text in "abc"]
    await room.post(f"/v1/claims/{a}/merge", {"into": b})
    other = (await room.post("/v1/stories", {"title": "Another"}))["id"]
    far = await room.claim("far", story_id=other, serves=[], harms=[])
    await room.refused(f"/v1/claims/{c}/merge", {"into": c}, "rule-broken", "/into")
    await room.refused(f"/v1/claims/{b}/merge", {"into": a}, "rule-broken", "/into")
    await room.refused(f"/v1/claims/{c}/merge", {"into": a}, "rule-broken", "/into")
    await room.refused(f"/v1/claims/{c}/merge", {"into": far}, "rule-broken", "/into")
    await room.refused(f"/v1/claims/{c}/merge", {"into": missing(c)}, "unknown-reference", "/into")
    await room.refused(f"/v1/claims/{missing(c)}/merge", {"into": c}, "not-found")


async def test_a_claim_is_split_into_parts(room: Newsroom) -> None:
    """Statements are read in parts as well, old and new; confirming a part says nothing of its sibling."""
    whole = await room.claim("Two missiles hit it and 74 died.")
    said = await room.say(whole, "witness")
    old = await room.claim("Two missiles hit it.")
    body = {
        "parts": [
            {"claim_id": old, "statement_ids": [said]},
            {"claim": {"story_id": room.story, "text": "It fell.", "serves": [], "harms": []}, "statement_ids": [said]},
        ],
        "reason": "Two things.",
    }
    receipt = await room.post(f"/v1/claims/{whole}/split", body)
    new = receipt["events"][0]["data"]["claim_id"]
    assert [event["type"] for event in receipt["events"]] == [
        "claim.registered",
        "claim.split",
        *["claim.state_changed"] * 2,
    ]
    assert await room.flags(old) == ["single_origin"] == await room.flags(new)
    assert [part["id"] for part in (await room.read(whole))["parts"]] == [old, new]
    before = [(await room.read(each))["standing"] for each in (whole, new)]
    await room.say(old, "neighbour")
    assert await room.state(old) == "corroborated"
    assert before == [(await room.read(each))["standing"] for each in (whole, new)]
    parts = (await room.read(whole))["parts"]
    assert [(part["text"], part["state"], part["flags"]) for part in parts] == [
        ("Two missiles hit it.", "corroborated", []), ("It fell.", "unverified", ["single_origin"])
    ]  # fmt: skip
    again = {"parts": [{"claim_id": old, "statement_ids": [said]}]}
    await room.refused(f"/v1/claims/{whole}/split", again, "already-recorded")
    own = {"parts": [{"claim_id": whole, "statement_ids": [said]}]}
    await room.refused(f"/v1/claims/{whole}/split", own, "rule-broken", "/parts/0/claim_id")
    foreign = {"parts": [{"claim_id": old, "statement_ids": [await room.say(new)]}]}
    await room.refused(f"/v1/claims/{whole}/split", foreign, "unknown-reference", "/parts/0/statement_ids/0")
    grey = {"claim": {"story_id": room.story, "text": "t", "serves": ["grey"]}, "statement_ids": [said]}
    second = {"parts": [{"claim_id": old, "statement_ids": [said]}, grey]}
    await room.refused(f"/v1/claims/{whole}/split", second, "rule-broken", "/parts/1/claim/serves/0")
    both = {"parts": [{"claim_id": old, "claim": {"story_id": room.story, "text": "t"}, "statement_ids": [said]}]}
    await room.refused(f"/v1/claims/{whole}/split", both, "invalid", "/parts/0")


async def test_a_claims_page_shows_its_parts(room: Newsroom) -> None:
    """A claim registered as a part of another is shown on that one's page with where it stands."""
    whole = await room.claim("All of it.")
    parts = [await room.claim(f"Part {n}.", room.said(), parent_id=whole) for n in range(3)]
    found = (await room.read(whole))["parts"]
    assert [part["id"] for part in found] == parts == await room.listed(parent=whole)
    assert {part["state"] for part in found} == {"unverified"}
    tag = (await room.ask(f"/v1/claims/{whole}")).headers["ETag"]
    await room.say(parts[0], "neighbour")
    seen = await room.api.get(f"/v1/claims/{whole}", headers={"If-None-Match": tag, "Onrecord-After": room.after})
    assert (seen.status_code, seen.json()["parts"][0]["state"]) == (200, "corroborated")
    assert (await room.read(parts[1]))["parts"] == []
    await room.refused(f"/v1/claims/{whole}", {"parent_id": parts[0]}, "rule-broken", "/parent_id", method="PATCH")


async def test_that_something_was_said_is_a_claim_of_its_own(room: Newsroom) -> None:
    """A claim about an utterance rests on who heard it; it is no statement on what was uttered."""
    content = await room.claim("It was shot down.")
    said = await room.say(content, "red")
    heard = await room.claim("Red says it was shot down.", about_statement_id=said)
    second = await room.source("a second outlet", kind="outlet")
    for outlet in (room.sources["outlet"], second):
        await room.post(
            f"/v1/claims/{heard}/statements", {"speaker_id": outlet, "stance": "asserts", "basis": "first_hand"}
        )
    assert (await room.state(content), await room.state(heard)) == ("unverified", "corroborated")
    unknown = {"story_id": room.story, "text": "t", "about_statement_id": missing(said)}
    await room.refused("/v1/claims", unknown, "unknown-reference", "/about_statement_id")
    position = (await room.read(content))["statements"][0]["position"]
    await room.refused(f"/v1/events/{position}/void", {"reason": "wrong"}, "rule-broken")
    for nowhere in (0, position + 100, 10**30):
        await room.refused(f"/v1/events/{nowhere}/void", {"reason": "wrong"}, "not-found")


# -------------------------------------------------------------------------------------------- figures


async def the_74(room: Newsroom, aboard: int = 74) -> list[str]:
    """Register how many were aboard, as the sum of prisoners, crew and others."""
    terms = [("prisoners", 65), ("crew", 6), ("others", 3)]
    claims = [
        await room.claim(name, quantities=[{"measure": name, "value": value, "unit": "people"}])
        for name, value in terms
    ]
    sum_of = [{"claim_id": each, "measure": name} for each, (name, _) in zip(claims, terms, strict=True)]
    figure = [{"measure": "aboard", "value": aboard, "unit": "people"}]
    return [await room.claim(f"{aboard} were aboard.", quantities=figure, sum_of=sum_of), *claims]


async def test_a_figure_that_is_a_sum_is_held_against_its_terms(room: Newsroom) -> None:
    """74 = 65 + 6 + 3 agrees, and its explanation shows the arithmetic; once a term changes it does not any more."""
    whole, prisoners, *_ = await the_74(room)
    explained = await room.get(f"/v1/claims/{whole}/explanation")
    assert any("74" in each["sentence"] and "65 + 6 + 3" in each["sentence"] for each in explained["reasons"])
    assert "figures_disagree" not in await room.flags(whole)
    await room.patch(
        f"/v1/claims/{prisoners}", {"quantities": [{"measure": "prisoners", "value": 60, "unit": "people"}]}
    )
    await room.follow_up()
    standing = (await room.read(whole))["standing"]
    assert "figures_disagree" in standing["flags"]
    terms = standing["because"]["arithmetic"]["terms"]
    assert terms[0]["claim_id"] == prisoners
    assert [term["figure"]["value"] for term in terms] == [60, 6, 3]


async def test_a_sum_that_is_wrong_from_the_start_says_so(room: Newsroom) -> None:
    """A figure that its terms do not add up to is flagged with the terms in ``because``; one that fits has none."""
    wrong, *_ = await the_74(room, aboard=80)
    standing = (await room.read(wrong))["standing"]
    assert standing["flags"] == ["figures_disagree"]
    assert [term["figure"]["value"] for term in standing["because"]["arithmetic"]["terms"]] == [65, 6, 3]
    right, *_ = await the_74(room)
    assert "arithmetic" not in (await room.read(right))["standing"]["because"]


async def test_a_sum_of_what_is_not_there_is_refused(room: Newsroom) -> None:
    """A term names a claim on record and a measure that it has a figure of; a sum has one figure."""
    whole, prisoners, *_ = await the_74(room)
    where = f"/v1/claims/{whole}"
    for sum_of, problem, pointer in (
        ([{"claim_id": prisoners, "measure": "ships"}], "unknown-reference", "/sum_of/0/measure"),
        ([{"claim_id": whole, "measure": "aboard"}], "rule-broken", "/sum_of/0/claim_id"),
        ([{"claim_id": missing(whole), "measure": "aboard"}], "unknown-reference", "/sum_of/0/claim_id"),
    ):
        await room.refused(where, {"sum_of": sum_of}, problem, pointer, method="PATCH")
    await room.refused(where, {"quantities": []}, "rule-broken", "/sum_of", method="PATCH")


# ----------------------------------------------------------------------------------------- statements


async def test_a_statement_is_corrected(room: Newsroom) -> None:
    """A correction changes what a statement says from then on, and keeps what it said before."""
    claim = await room.claim("It fell.", room.said("neighbour"))
    said = await room.say(claim, hedge="possible", quote="Perhaps it fell.")
    where = f"/v1/statements/{said}/correction"
    receipt = await room.post(where, {"by": "speaker", "after": {"hedge": "none"}, "note": "n", "at": "2026-01"})
    assert receipt["events"][0]["data"]["correction"]["before"] == {"hedge": "possible"}
    assert (await room.state(claim), await room.flags(claim)) == ("corroborated", ["corrected"])
    assert (await room.read(claim))["amendments"][0]["correction"]["after"] == {"hedge": "none"}
    await room.refused(where, {"by": "speaker", "after": {"hedge": "none"}}, "already-recorded")
    wrong = {"by": "speaker", "after": {"hedge": "likely"}, "before": {"hedge": "possible"}}
    await room.refused(where, wrong, "rule-broken", "/before/hedge")
    await room.refused(where, {"by": "speaker", "after": {}}, "rule-broken", "/after")
    await room.refused(where, {"by": "nobody", "after": {"hedge": "likely"}}, "invalid", "/by")
    unknown = {"by": "publisher", "after": {"speaker_id": missing(room.sources["red"])}}
    await room.refused(where, unknown, "unknown-reference", "/after/speaker_id")
    await room.refused(
        f"/v1/statements/{missing(said)}/correction", {"by": "speaker", "after": {"hedge": "likely"}}, "not-found"
    )


async def test_a_withdrawal_names_our_texts_that_relied_on_the_claim(room: Newsroom) -> None:
    """A statement that is taken back leaves its mark: on the claim's state, and on what we published meanwhile."""
    claim = await room.claim("It fell.")
    said = await room.say(claim)
    text = {"title": "It fell", "url": WEB, "published_at": "2026-01-01", "claims": [{"claim_id": claim}]}
    ours = (await room.post("/v1/publications", text))["id"]
    where = f"/v1/statements/{said}/withdrawal"
    receipt = await room.post(where, {"by": "speaker", "reason": "I was wrong."})
    assert receipt["events"][0]["data"]["relied_on_by"] == [ours]
    found = await room.read(claim)
    assert found["standing"]["state"] == "withdrawn"
    assert (found["publications"][0]["state"], found["publications"][0]["affected_by"]) == ("unverified", [said])
    await room.refused(where, {"by": "speaker"}, "already-recorded")
    after = {"by": "speaker", "after": {"hedge": "likely"}}
    await room.refused(f"/v1/statements/{said}/correction", after, "rule-broken")
    later = await room.say(claim, "neighbour")
    assert (
        "relied_on_by"
        not in (await room.post(f"/v1/statements/{later}/withdrawal", {"by": "silent"}))["events"][0]["data"]
    )


async def test_a_text_of_ours_is_corrected(room: Newsroom) -> None:
    """Publications are recorded with the states they took claims in, listed, read, and corrected."""
    claim = await room.claim("It fell.", room.said())
    text = {
        "title": "It fell",
        "url": WEB,
        "published_at": "2026-01-01",
        "claims": [{"claim_id": claim, "state": "verified"}],
    }
    ours = (await room.post("/v1/publications", text))["id"]
    await room.post(f"/v1/publications/{ours}/correction", {"note": "It landed.", "url": WEB})
    found = await room.get(f"/v1/publications/{ours}")
    assert (found["publication"]["claims"], found["corrections"]) == (
        text["claims"],
        [{"note": "It landed.", "url": WEB}],
    )
    assert [each["corrected"] for each in (await room.read(claim))["publications"]] == [True]
    assert [ours] == await room.listed("/v1/publications")
    twice = text | {"claims": [{"claim_id": claim}, {"claim_id": claim}]}
    await room.refused("/v1/publications", twice, "rule-broken", "/claims")
    unknown = text | {"claims": [{"claim_id": claim}, {"claim_id": missing(claim)}]}
    await room.refused("/v1/publications", unknown, "unknown-reference", "/claims/1/claim_id")
    await room.refused("/v1/publications", text | {"published_at": "2999"}, "rule-broken", "/published_at")
    await room.refused(f"/v1/publications/{missing(ours)}/correction", {"note": "n"}, "not-found")


# ------------------------------------------------------------------------------------------- evidence


async def test_evidence_is_challenged_and_authenticated_again(room: Newsroom) -> None:
    """The desk's challenge takes away what its authentication gave; a source's challenge is only flagged."""
    claim = await room.claim("It fell.", room.said())
    film = await room.show(claim, supplied_by=room.sources["neighbour"])
    await room.authenticate(film)
    assert await room.state(claim) == "corroborated"
    where = f"/v1/evidence/{film}/challenge"
    await room.post(where, {"ground": "Another place.", "source_id": room.sources["blue"]})
    assert (await room.state(claim), await room.flags(claim)) == ("corroborated", ["evidence_challenged"])
    await room.post(where, {"ground": "The shadows are wrong.", "by": PERSON})
    assert await room.state(claim) == "unverified"
    await room.authenticate(film)
    assert (await room.state(claim), await room.flags(claim)) == ("corroborated", [])
    await room.refused(f"/v1/evidence/{film}/authentication", {"method": "m", "by": PERSON}, "already-recorded")
    checks = (await room.read(claim))["evidence"][0]["checks"]
    assert [next(name for name in ("authentication", "challenge") if each.get(name)) for each in checks] == [
        "authentication",
        "challenge",
        "challenge",
        "authentication",
    ]
    await room.refused(where, {"ground": "g"}, "invalid")
    await room.refused(
        where, {"ground": "g", "source_id": missing(room.sources["red"])}, "unknown-reference", "/source_id"
    )
    await room.refused(f"/v1/evidence/{missing(film)}/challenge", {"ground": "g", "by": PERSON}, "not-found")


async def test_a_copy_of_a_film_is_no_second_origin(room: Newsroom) -> None:
    """Evidence that is derived from other evidence counts as that."""
    claim = await room.claim("It fell.")
    film = await room.show(claim)
    copy = await room.show(claim, derived_from=film)
    await room.authenticate(film)
    await room.authenticate(copy)
    assert (await room.read(claim))["standing"]["because"]["n"] == 1
    unknown = {"kind": "video", "bearing": "supports", "description": "d", "derived_from": missing(film)}
    await room.refused(f"/v1/claims/{claim}/evidence", unknown, "unknown-reference", "/derived_from")


# ------------------------------------------------------------------------------------------ inquiries


async def test_an_inquiry_is_answered_with_a_statement(room: Newsroom) -> None:
    """What the source that was asked says is recorded with the answer, or named by it."""
    claim = await room.claim("It fell.", room.said())
    asked = {"source_id": room.sources["blue"], "deadline": "2999-01-01", "question": "Did it?"}
    first, second = [(await room.post(f"/v1/claims/{claim}/inquiries", asked))["id"] for _ in range(2)]
    denial = room.said("blue", "denies", inquiry_id=first)
    receipt = await room.post(f"/v1/inquiries/{first}/answer", {"statement": denial})
    assert [event["type"] for event in receipt["events"]] == [
        "statement.recorded",
        "inquiry.answered",
        "claim.state_changed",
    ]
    assert await room.state(claim) == "contested"
    known = receipt["events"][0]["data"]["statement_id"]
    await room.post(f"/v1/inquiries/{second}/answer", {"statement_id": known, "note": "The same."})
    assert [each["status"] for each in (await room.read(claim))["inquiries"]] == ["answered", "answered"]
    where = f"/v1/inquiries/{first}/answer"
    await room.refused(where, {"note": "n"}, "already-recorded")
    third = (await room.post(f"/v1/claims/{claim}/inquiries", asked))["id"]
    both = {"statement": denial, "statement_id": known}
    await room.refused(f"/v1/inquiries/{third}/answer", both, "invalid", "/statement_id")
    unknown = {"statement_id": missing(known)}
    await room.refused(f"/v1/inquiries/{third}/answer", unknown, "unknown-reference", "/statement_id")
    hopes = {"statement": denial | {"stance": "hopes"}}
    await room.refused(f"/v1/inquiries/{third}/answer", hopes, "invalid", "/statement/stance")
    nobody = {"statement": denial | {"speaker_id": missing(room.sources["red"])}}
    await room.refused(f"/v1/inquiries/{third}/answer", nobody, "unknown-reference", "/statement/speaker_id")


async def test_who_does_not_answer_in_time_gave_no_response(room: Newsroom) -> None:
    """An inquiry whose deadline passes is expired once, with a statement of no response; what is open stays open."""
    claim = await room.claim("It fell.", room.said())
    soon = moments.timestamp(time.time_ns() // 1000 + 300_000)
    asked = {"source_id": room.sources["blue"], "deadline": soon}
    late = (await room.post(f"/v1/claims/{claim}/inquiries", asked))["id"]
    await room.post(f"/v1/claims/{claim}/inquiries", asked | {"deadline": "2999"})
    await room.refused(f"/v1/claims/{claim}/inquiries", asked | {"deadline": "2001"}, "rule-broken", "/deadline")
    await room.read(claim)
    await room.until_expired()
    found = await room.read(claim)
    assert [each["status"] for each in found["inquiries"]] == ["expired", "open"]
    assert found["stances"] == {"asserts": 1, "no_response": 1}
    assert found["statements"][-1]["statement"]["inquiry_id"] == late
    assert await room.timers.expire() == 0
    await room.post(f"/v1/inquiries/{late}/answer", {"note": "Late, but an answer."})
    assert [each["status"] for each in (await room.read(claim))["inquiries"]] == ["answered", "open"]


# ------------------------------------------------------------------------------ assessments and voids


async def test_an_assessment_is_reviewed_and_revoked(room: Newsroom) -> None:
    """The latest assessment outranks all; revoked, the rules decide again; nobody reviews their own."""
    claim = await room.claim("It fell.", room.said())
    first = await room.assess(claim, reviewed_by=SECOND)
    assert await room.state(claim) == "verified"
    await room.say(claim, "neighbour", "denies")
    assert "needs_review" in await room.flags(claim)
    second = await room.assess(claim, "misleading")
    why = {"reason": "We were wrong.", "by": PERSON}
    await room.refused(f"/v1/assessments/{first}/revocation", why, "rule-broken")
    await room.post(f"/v1/assessments/{second}/revocation", why)
    assert await room.state(claim) == "contested"
    await room.refused(f"/v1/assessments/{second}/revocation", why, "already-recorded")
    await room.refused(f"/v1/assessments/{missing(first)}/revocation", why, "not-found")
    own = {"verdict": "verified", "rationale": "r", "by": PERSON, "reviewed_by": PERSON}
    await room.refused(f"/v1/claims/{claim}/assessments", own, "invalid", "/reviewed_by")
    judged = (await room.read(claim))["assessments"]
    assert [(each["assessment"].get("reviewed_by"), bool(each.get("revoked"))) for each in judged] == [
        (SECOND, False),
        (None, True),
    ]


async def test_what_was_recorded_by_mistake_is_voided(room: Newsroom) -> None:
    """A void of a statement, evidence, an inquiry or an assessment leaves the claim as if it had never been."""
    claim = await room.claim("It fell.", room.said())
    before = (await room.read(claim))["standing"]
    asked = {"source_id": room.sources["blue"], "deadline": "2999"}
    recorded = [
        lambda: room.post(f"/v1/claims/{claim}/statements", room.said("blue", "denies")),
        lambda: room.post(f"/v1/claims/{claim}/evidence", {"kind": "video", "bearing": "supports", "description": "d"}),
        lambda: room.post(f"/v1/claims/{claim}/inquiries", asked),
        lambda: room.post(f"/v1/claims/{claim}/assessments", {"verdict": "refuted", "rationale": "r", "by": PERSON}),
    ]
    for record in recorded:
        receipt = await record()
        if receipt["id"].startswith("evidence_"):
            await room.authenticate(receipt["id"])
        position = receipt["events"][0]["position"]
        void = await room.post(f"/v1/events/{position}/void", {"reason": "The wrong claim.", "by": PERSON})
        assert void["id"] == receipt["id"]
        standing = (await room.read(claim))["standing"]
        assert (before["state"], before["flags"], before["because"]) == (
            standing["state"], standing["flags"], standing["because"]
        )  # fmt: skip
        await room.refused(f"/v1/events/{position}/void", {"reason": "r"}, "already-recorded")
    found = await room.read(claim)
    assert tuple(found.get(name, []) for name in ("evidence", "inquiries", "assessments")) == ([], [], [])
    assert found["amendments"][0]["void"]["reason"] == "The wrong claim."


async def test_a_claim_counts_the_stances_that_are_taken_now(room: Newsroom) -> None:
    """A corrected stance is counted as it is now and a voided one no longer, also when the claim is read as it was."""
    claim = await room.claim("It fell.", room.said())
    said = await room.post(f"/v1/claims/{claim}/statements", room.said("blue", "denies"))
    after = {"stance": "partially_denies"}
    corrected = await room.post(f"/v1/statements/{said['id']}/correction", {"by": "speaker", "after": after})
    assert (await room.read(claim))["stances"] == {"asserts": 1, "partially_denies": 1}
    await room.post(f"/v1/events/{said['events'][0]['position']}/void", {"reason": "Another claim.", "by": PERSON})
    assert (await room.read(claim))["stances"] == {"asserts": 1}
    position = corrected["position"]
    for moment, stances in ((position, {"asserts": 1, "partially_denies": 1}), (position + 2, {"asserts": 1})):
        assert (await room.read(claim, as_of=moment))["stances"] == stances


async def test_what_something_depends_on_is_not_voided(room: Newsroom) -> None:
    """A void is refused while something in force depends on its target, and for anything that is no part of a claim."""
    receipt = await room.post("/v1/claims", {"story_id": room.story, "text": "t"})
    claim = receipt["id"]
    await room.refused(f"/v1/events/{receipt['events'][0]['position']}/void", {"reason": "r"}, "rule-broken")
    await room.refused("/v1/events/1/void", {"reason": "r"}, "rule-broken")
    for position in (0, 100_000):
        await room.refused(f"/v1/events/{position}/void", {"reason": "r"}, "not-found")

    async def place(path: str, body: Any) -> tuple[str, int]:
        made = await room.post(path, body)
        return made["id"], made["events"][0]["position"]

    said, at = await place(f"/v1/claims/{claim}/statements", room.said())
    _, repeat_at = await place(f"/v1/claims/{claim}/statements", room.said("outlet", repeats=said))
    await room.refused(f"/v1/events/{at}/void", {"reason": "r"}, "rule-broken")
    await room.post(f"/v1/events/{repeat_at}/void", {"reason": "r"})
    await room.post(f"/v1/events/{at}/void", {"reason": "r"})
    film = {"kind": "video", "bearing": "supports", "description": "d"}
    shown, shown_at = await place(f"/v1/claims/{claim}/evidence", film)
    _, copy_at = await place(f"/v1/claims/{claim}/evidence", film | {"derived_from": shown})
    await room.refused(f"/v1/events/{shown_at}/void", {"reason": "r"}, "rule-broken")
    await room.post(f"/v1/events/{copy_at}/void", {"reason": "r"})
    _, rests_at = await place(f"/v1/claims/{claim}/statements", room.said(rests_on=[shown]))
    await room.refused(f"/v1/events/{shown_at}/void", {"reason": "r"}, "rule-broken")
    await room.post(f"/v1/events/{rests_at}/void", {"reason": "r"})
    await room.post(f"/v1/events/{shown_at}/void", {"reason": "r"})
    question = {"source_id": room.sources["red"], "deadline": "2999"}
    asked, asked_at = await place(f"/v1/claims/{claim}/inquiries", question)
    reply = {"statement": room.said("red", "comments", inquiry_id=asked)}
    answer = await room.post(f"/v1/inquiries/{asked}/answer", reply)
    await room.refused(f"/v1/events/{asked_at}/void", {"reason": "r"}, "rule-broken")
    await room.post(f"/v1/events/{answer['events'][0]['position']}/void", {"reason": "r"})
    await room.post(f"/v1/events/{asked_at}/void", {"reason": "r"})


# -------------------------------------------------------------------------------------- asking again


async def test_a_receipt_has_the_etag_of_what_it_is_about(room: Newsroom) -> None:
    """Also where a command touches several streams: a split with a new part, and the correction of a text of ours."""
    claim = await room.claim("Two things.", room.said())
    said = await room.say(claim, "neighbour")
    new = {"claim": {"story_id": room.story, "text": "One."}, "statement_ids": [said]}
    where = f"/v1/claims/{claim}"
    tag = (await room.ask(where)).headers["ETag"]
    split = await room.send("POST", f"{where}/split", {"parts": [new]}, If_Match=tag)
    seen = await room.ask(where)
    assert (201, seen.json()["version"]) == (split.status_code, int(split.headers["ETag"].split(".")[1]))
    assert (await room.send("PATCH", where, {"text": "Two."}, If_Match=seen.headers["ETag"])).status_code == 200
    text = {"title": "t", "url": WEB, "published_at": "2026", "claims": [{"claim_id": claim}]}
    ours = await room.send("POST", "/v1/publications", text)
    where, tag = ours.headers["Location"], ours.headers["ETag"]
    for n in range(2):
        made = await room.send("POST", f"{where}/correction", {"note": f"n{n}"}, If_Match=tag)
        assert (201, (await room.ask(where)).headers["ETag"]) == (made.status_code, made.headers["ETag"])
        await room.refused(f"{where}/correction", {"note": "late"}, "version-mismatch", If_Match=tag)
        tag = made.headers["ETag"]


async def asked_for(room: Newsroom) -> int:
    """Return how many events somebody asked for; a worker may add others meanwhile."""
    return len([entry for entry in await room.ledger.read(0, 10_000) if entry.envelope.actor != "system"])


async def test_every_kind_of_write_can_be_sent_again(room: Newsroom) -> None:
    """With an Idempotency-Key each write is carried out once, and answered alike after whatever came later."""
    claim, other = await room.claim("It fell.", room.said()), await room.claim("It crashed.")
    said, split = await room.say(claim, "neighbour"), await room.say(claim, "green")
    part, parent = await room.claim("A part."), f"/v1/claims/{claim}"
    film = await room.show(claim)
    asked = {"source_id": room.sources["blue"], "deadline": "2999"}
    inquiry = (await room.post(f"{parent}/inquiries", asked))["id"]
    judged = await room.assess(claim)
    mistake = (await room.post(f"{parent}/statements", room.said("red")))["events"][0]["position"]
    text = {"title": "t", "url": WEB, "published_at": "2026", "claims": [{"claim_id": claim}]}
    ours = (await room.post("/v1/publications", text))["id"]
    writes: list[tuple[str, str, Any]] = [
        ("PATCH", f"/v1/stories/{room.story}", {"title": "Another"}),
        ("PATCH", f"/v1/sources/{room.sources['red']}", {"name": "Red"}),
        ("POST", f"/v1/sources/{room.sources['red']}/grades", {"reliability": "C", "rationale": "r", "by": PERSON}),
        ("PATCH", parent, {"text": "It came down."}),
        ("POST", f"/v1/claims/{other}/merge", {"into": claim}),
        ("POST", f"/v1/claims/{other}/unmerge", {}),
        ("POST", f"{parent}/split", {"parts": [{"claim_id": part, "statement_ids": [split]}]}),
        ("POST", f"/v1/statements/{said}/correction", {"by": "speaker", "after": {"hedge": "likely"}}),
        ("POST", f"/v1/statements/{said}/withdrawal", {"by": "publisher"}),
        ("POST", f"{parent}/inquiries", asked),
        ("POST", f"/v1/inquiries/{inquiry}/answer", {"statement": room.said("blue", "comments")}),
        ("POST", f"/v1/evidence/{film}/challenge", {"ground": "g", "by": PERSON}),
        ("POST", f"/v1/assessments/{judged}/revocation", {"reason": "r", "by": PERSON}),
        ("POST", f"/v1/events/{mistake}/void", {"reason": "r"}),
        ("POST", "/v1/publications", text),
        ("POST", f"/v1/publications/{ours}/correction", {"note": "n"}),
        ("POST", "/v1/policies", {"name": "admiralty"}),
        ("POST", f"/v1/stories/{room.story}/closing", {}),
    ]

    async def all_of_them() -> list[tuple[object, ...]]:
        found: list[tuple[object, ...]] = []
        for n, write in enumerate(writes):
            answer = await room.send(*write, Idempotency_Key=f"k{n}")
            headers = (answer.headers.get(each) for each in ("ETag", "Location", "Onrecord-After"))
            found.append((answer.status_code, answer.content, *headers))
        return found

    first = await all_of_them()
    assert {201, 200} == {answer[0] for answer in first}, first
    before = await asked_for(room)
    assert first == await all_of_them()
    assert before == await asked_for(room)
    how, where, _ = writes[0]
    await room.refused(where, {"title": "A third"}, "idempotency-conflict", method=how, Idempotency_Key="k0")
