"""Every member of everything that can be put on record is taken over HTTP and read back as it was sent."""

import inspect
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from events import records
from events.words import Part, Pillars, Quantity, Summand
from service.api.amending import Answered
from service.api.claims import NewClaim, NewPart, NewSplit
from tests.e2e.conftest import PERSON, SECOND, Newsroom

KINDS: set[type[Struct]] = {
    *(each for _, each in inspect.getmembers(records, inspect.isclass) if each.__module__ == records.__name__),
    *(Pillars, Quantity, Summand, NewClaim, NewPart, NewSplit, Answered),
}
"""What a request can hold: what events hold, and what some requests hold beside it."""
NOT_SENT = {"sealed"}
"""What is written by us alone; what is said in confidence has tests of its own."""
FIGURES = [
    {"measure": "m", "unit": "people", "as_at": "2024-01-24", "qualifier": qualifier, "value": value}
    for qualifier, value in (
        ("about", 74), ("at_least", 65.5), ("more_than", 6), ("at_most", 80), ("fewer_than", 81),
    )
]  # fmt: skip
RANGE = {"measure": "m", "qualifier": "range", "low": 60, "high": 80.25, "unit": "people", "as_at": "2024-01"}
PARTIES = ("red", "blue", "green")
EXACTLY = {"measure": "m", "value": 74}
EVERY_FIGURE = [*FIGURES, RANGE, EXACTLY]


def members(value: Any) -> Iterator[tuple[type[Struct], str]]:
    """Yield the members that have a value of their own in a value and in all that it holds."""
    if isinstance(value, Struct):
        for field in msgspec.structs.fields(value):
            held = getattr(value, field.name)
            default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
            if held != default:
                yield from (
                    (kind, field.name) for kind in KINDS.intersection(type(value).__mro__) if _has(kind, field.name)
                )
                yield from members(held)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from members(each)


def _has(kind: type[Struct], member: str) -> bool:
    return member in kind.__struct_fields__


class Desk:
    """Sends each kind of request, notes the members that were in it, and finds each in the log as it was sent."""

    def __init__(self, room: Newsroom) -> None:
        self.room = room
        self.sent: set[tuple[type[Struct], str]] = set()

    async def send(self, kind: type[Part], path: str, body: dict[str, Any], *, logged: Any = None) -> str:
        """Send a body, see its event hold it (or what is ``logged`` for it), and return what it made."""
        self.note(kind, body)
        receipt = await (self.room.patch if kind.__name__.endswith("Changes") else self.room.post)(path, body)
        position = receipt["events"][0]["position"]
        (event,) = await self.events(position, 1)
        said = event["data"]
        assert (logged or body) in said.values()
        return str(receipt["id"])

    async def claim(self, story_id: str, **more: Any) -> str:
        """Register a claim that is only there for others to name, and return its identifier."""
        receipt = await self.room.post("/v1/claims", {"story_id": story_id, "text": "So."} | more)
        return str(receipt["id"])

    def note(self, kind: type[Part], body: Any) -> None:
        """Note the members of a body."""
        self.sent.update(members(msgspec.convert(body, kind)))

    async def events(self, position: int, many: int) -> list[Any]:
        """Return events from a position on, as the log has them."""
        after = str(self.room.ledger.cursor(position - 1))
        return list((await self.room.get("/v1/events", after=after, limit=many))["events"])


def statement(room: Newsroom, **more: Any) -> dict[str, Any]:
    """Return a statement with every member that needs nothing else on record."""
    names = room.sources
    return {
        "speaker_id": names["witness"], "stance": "partially_confirms", "publisher_id": names["outlet"],
        "relay_ids": [names["leak"], names["blue"]], "said_at": "2024-01-24T08:15Z", "published_at": "2024-01",
        "quote": "Їх було сімдесят чотири.", "language": "uk-UA", "translation": "There were 74.",
        "url": "https://example.org/said", "archived_url": "https://example.net/archive/said",
        "attribution": "a witness", "terms": "background", "channel": "press_conference", "basis": "first_hand",
        "rests_on": [names["neighbour"]], "hedge": "likely", "evidence_offered": "described",
        "quantities": EVERY_FIGURE,
    } | more  # fmt: skip


async def describe_stories_and_sources(desk: Desk) -> str:
    """Open a story, register a source, describe both anew, grade the source; return the story."""
    room, names = desk.room, desk.room.sources
    story = {"title": "A crash", "summary": "Near Yablonovo.", "parties": ["red", "blue"], "allies": {"red": ["blue"]}}
    story_id = await desk.send(records.Story, "/v1/stories", story)
    assert story == (await room.get(f"/v1/stories/{story_id}"))["story"]
    story = {"title": "The crash", "summary": "It fell.", "parties": [*PARTIES], "allies": {"blue": ["green"]}}
    await desk.send(records.StoryChanges, f"/v1/stories/{story_id}", story)
    assert story == (await room.get(f"/v1/stories/{story_id}"))["story"]

    source = {
        "name": "Ministry", "kind": "official", "parties": ["red"], "affiliated_to": [names["red"]],
        "identity": "known_to_desk", "reliability": "B", "url": "https://example.org/ministry",
    }  # fmt: skip
    source_id = await desk.send(records.Source, "/v1/sources", source)
    assert source == (await room.get(f"/v1/sources/{source_id}"))["source"]
    changes = {
        "name": "The ministry", "kind": "government", "parties": ["red", "green"], "affiliated_to": [names["green"]],
        "identity": "withheld", "url": "https://example.org/new",
    }  # fmt: skip
    await desk.send(records.SourceChanges, f"/v1/sources/{source_id}", changes)
    grade = {"reliability": "C", "rationale": "Often early.", "by": PERSON, "topic": "air"}
    await desk.send(records.Grade, f"/v1/sources/{source_id}/grades", grade)
    shown = await room.get(f"/v1/sources/{source_id}")
    assert (source | changes, [grade]) == (shown["source"], [each["grade"] for each in shown["grades"]])
    return story_id


async def register(desk: Desk, story_id: str) -> str:
    """Register a claim with what was first said on it, and put it in other words; return it."""
    room, names = desk.room, desk.room.sources
    parent, term = await desk.claim(story_id), await desk.claim(story_id, quantities=EVERY_FIGURE)
    uttered, first = await room.say(parent), statement(room)
    claim = {
        "story_id": story_id, "text": "74 died.", "serves": ["red"], "harms": ["blue"], "quantities": [RANGE],
        "sum_of": [{"claim_id": term, "measure": "m"}], "hedge": "possible", "declared_by": names["red"],
        "parent_id": parent, "about_statement_id": uttered, "tags": ["air", "losses"],
    }  # fmt: skip
    claim_id = await desk.send(NewClaim, "/v1/claims", claim | {"first_statement": first}, logged=claim)
    shown = await room.read(claim_id)
    assert (claim, [first]) == (shown["claim"], [each["statement"] for each in shown["statements"]])
    altered = {
        "text": "It was 65.", "serves": ["blue"], "harms": ["red", "green"], "quantities": [FIGURES[0]],
        "sum_of": [{"claim_id": term, "measure": "m"}] * 2, "hedge": "likely", "declared_by": names["blue"],
        "parent_id": term, "tags": ["land"],
    }  # fmt: skip
    await desk.send(records.ClaimChanges, f"/v1/claims/{claim_id}", altered)
    assert claim | altered == (await room.read(claim_id))["claim"]
    return claim_id


async def examine(desk: Desk, claim_id: str) -> str:
    """Add evidence, authenticate it, challenge it twice, note an absence; return the evidence."""
    room, names, where = desk.room, desk.room.sources, f"/v1/claims/{claim_id}"
    film = {
        "kind": "radar_record", "bearing": "supports", "description": "A track.", "supplied_by": names["red"],
        "derived_from": await room.show(claim_id), "url": "https://example.org/film", "sha256": "0f" * 32,
        "archived_url": "https://example.net/film", "made_public_at": "2024-01-25T10:00Z",
    }  # fmt: skip
    film_id = await desk.send(records.Evidence, f"{where}/evidence", film)
    pillars = {each: f"Its {each}." for each in Pillars.__struct_fields__}
    authentic = {"method": "Seen.", "by": PERSON, "pillars": pillars}
    await desk.send(records.Authentication, f"/v1/evidence/{film_id}/authentication", authentic)
    theirs = {"ground": "Cut.", "source_id": names["blue"], "url": "https://example.org/cut"}
    ours = {"ground": "Old.", "by": PERSON, "url": "https://example.org/old"}
    for challenge in (theirs, ours):
        await desk.send(records.Challenge, f"/v1/evidence/{film_id}/challenge", challenge)
    absence = {"source_id": names["red"], "publisher_id": names["outlet"], "quote": "It showed nothing."}
    await desk.send(records.Absence, f"{where}/evidence/absence", absence)
    shown = await room.read(claim_id)
    (item,) = [each for each in shown["evidence"] if each["id"] == film_id]
    checks = [each.get("authentication") or each.get("challenge") for each in item["checks"]]
    assert (film, [authentic, theirs, ours]) == (item["evidence"], checks)
    assert [absence] == [each["absence"] for each in shown["absences"]]
    return film_id


async def ask_and_answer(desk: Desk, claim_id: str, film_id: str) -> str:
    """Ask twice, and record the answers: one with a statement on record, one with its statement; return the first."""
    room, names, where = desk.room, desk.room.sources, f"/v1/claims/{claim_id}"
    asked = {
        "source_id": names["blue"], "deadline": "2090-01-01T12:00Z", "question": "Did you?", "channel": "email",
        "sent_at": "2024-01-25", "by": PERSON,
    }  # fmt: skip
    again = asked | {"question": "Again?"}
    inquiry_id = await desk.send(records.Inquiry, f"{where}/inquiries", asked)
    second_id = await desk.send(records.Inquiry, f"{where}/inquiries", again)
    said = statement(room, rests_on=[names["neighbour"], film_id], inquiry_id=inquiry_id)
    said_id = await desk.send(records.Statement, f"{where}/statements", said)
    repeated = statement(room, repeats=said_id)
    await desk.send(records.Statement, f"{where}/statements", repeated)
    response = {"at": "2024-01-26", "note": "By phone."}
    answer = response | {"statement_id": said_id}
    await desk.send(Answered, f"/v1/inquiries/{inquiry_id}/answer", answer)
    answered = statement(room, speaker_id=names["blue"], stance="denies", inquiry_id=second_id)
    with_it = response | {"statement": answered}
    await desk.send(Answered, f"/v1/inquiries/{second_id}/answer", with_it, logged=answered)
    shown = await room.read(claim_id)
    by_id = {each["id"]: each["statement"] for each in shown["statements"]}
    assert all(each in by_id.values() for each in (said, repeated, answered))
    (its_id,) = [key for key, each in by_id.items() if each == answered]
    of = {each["id"]: (each["inquiry"], each["response"]) for each in shown["inquiries"]}
    assert {inquiry_id: (asked, answer), second_id: (again, response | {"statement_id": its_id})} == of
    return said_id


async def amend(desk: Desk, claim_id: str, said_id: str, film_id: str) -> None:
    """Correct a statement in all that can be corrected, withdraw it, and void another one."""
    room, names = desk.room, desk.room.sources
    said = next(each["statement"] for each in (await room.read(claim_id))["statements"] if each["id"] == said_id)
    after = {
        "speaker_id": names["red"], "stance": "denies", "said_at": "2024-01-25", "published_at": "2024-01-26",
        "quote": "None.", "translation": "Nobody.", "url": "https://example.org/new", "attribution": "the ministry",
        "basis": "reporting", "rests_on": [film_id], "hedge": "possible", "evidence_offered": "supplied",
        "quantities": [EXACTLY],
    }  # fmt: skip
    correction = {
        "by": "publisher", "after": after, "before": {name: said[name] for name in after}, "at": "2024-01-27",
        "note": "Misheard.", "url": "https://example.org/correction",
    }  # fmt: skip
    await desk.send(records.Correction, f"/v1/statements/{said_id}/correction", correction)
    withdrawal = {"by": "speaker", "at": "2024-01-28", "reason": "Wrong.", "url": "https://example.org/withdrawn"}
    await desk.send(records.Withdrawal, f"/v1/statements/{said_id}/withdrawal", withdrawal)
    mistaken = await room.post(f"/v1/claims/{claim_id}/statements", room.said("neighbour", "denies"))
    void = {"reason": "Another claim.", "by": PERSON}
    await desk.send(records.Void, f"/v1/events/{mistaken['position']}/void", void)
    shown = (await room.read(claim_id))["amendments"]
    became = [each.get("correction") or each.get("withdrawal") or each["void"] for each in shown]
    assert [correction, withdrawal, void] == became


async def judge(desk: Desk, claim_id: str) -> None:
    """Assess a claim with a second reviewer, and revoke that."""
    judged = {"verdict": "misleading", "rationale": "We looked.", "by": PERSON, "reviewed_by": SECOND}
    judgement = await desk.send(records.Assessment, f"/v1/claims/{claim_id}/assessments", judged)
    why = {"reason": "Too soon.", "by": SECOND}
    await desk.send(records.Revocation, f"/v1/assessments/{judgement}/revocation", why)
    (made,) = (await desk.room.read(claim_id))["assessments"]
    assert (judged, why) == (made["assessment"], made["revoked"])


async def split_and_merge(desk: Desk, story_id: str, claim_id: str, said_id: str) -> None:
    """Split a claim into one that is on record and a new one; merge one as a negation, and take that back."""
    room, other = desk.room, await desk.claim(story_id)
    part = {"story_id": story_id, "text": "Pilots died.", "parent_id": claim_id}
    theirs = {"claim_id": other, "statement_ids": [said_id]}
    split = {"parts": [{"claim": part, "statement_ids": [said_id]}, theirs], "reason": "Two things."}
    desk.note(NewSplit, split)
    receipt = await room.post(f"/v1/claims/{claim_id}/split", split)
    registered, made = await desk.events(receipt["events"][0]["position"], 2)
    new_id = registered["data"]["claim_id"]
    logged = {"parts": [{"claim_id": new_id, "statement_ids": [said_id]}, theirs], "reason": "Two things."}
    desk.note(records.Split, logged)
    assert (part, logged) == (registered["data"]["claim"], made["data"]["split"])
    assert [[claim_id]] * 2 == [(await room.read(each))["part_of"] for each in (new_id, other)]

    negation = await desk.claim(story_id)
    merge = {"into": other, "inverted": True, "reason": "Its negation."}
    await desk.send(records.Merge, f"/v1/claims/{negation}/merge", merge)
    assert {"claim_id": other, "inverted": True} == (await room.read(negation))["merged_into"]
    await desk.send(records.Unmerge, f"/v1/claims/{negation}/unmerge", {"reason": "It is not."})
    assert (await room.read(negation))["merged_into"] is None


async def publish(desk: Desk, story_id: str, claim_id: str) -> None:
    """Record a text of ours and its correction, and close the story."""
    text = {
        "title": "What fell", "url": "https://example.com/text", "published_at": "2024-01-29",
        "claims": [{"claim_id": claim_id, "state": "contested"}],
    }  # fmt: skip
    text_id = await desk.send(records.Publication, "/v1/publications", text)
    put_right = {"note": "It was 65.", "at": "2024-01-30", "url": "https://example.com/corrected"}
    await desk.send(records.PublicationCorrection, f"/v1/publications/{text_id}/correction", put_right)
    shown = await desk.room.get(f"/v1/publications/{text_id}")
    assert (text, [put_right]) == (shown["publication"], shown["corrections"])
    await desk.send(records.Closing, f"/v1/stories/{story_id}/closing", {"reason": "Nothing new."})
    assert (await desk.room.get(f"/v1/stories/{story_id}"))["closed"]


async def test_every_member_is_taken_and_read_back(room: Newsroom) -> None:
    """Whatever the contract names can be said, and stands in the log and in the documents as it was said."""
    desk = Desk(room)
    story_id = await describe_stories_and_sources(desk)
    claim_id = await register(desk, story_id)
    film_id = await examine(desk, claim_id)
    said_id = await ask_and_answer(desk, claim_id, film_id)
    await amend(desk, claim_id, said_id, film_id)
    await judge(desk, claim_id)
    await split_and_merge(desk, story_id, claim_id, said_id)
    await publish(desk, story_id, claim_id)
    every = {(kind, name) for kind in KINDS for name in kind.__struct_fields__ if name not in NOT_SENT}
    assert every == desk.sent, "a member was sent by no request here"
