"""The API as its users meet it: recording, reading what was recorded, listing, the log, and asking twice."""

import asyncio
from typing import Any

import httpx2
import msgspec
import pytest
from openapi_spec_validator import validate

import events.store
from events.identifiers import derived_id
from events.ledger import Ledger
from service.load import StoryFile, load
from service.projections import status
from service.projections.catalog import PROJECTIONS
from service.projections.queries import Queries
from service.verification.commands import Recorder
from service.worker import Worker

PERSON = derived_id("person", "editor")
AS_LINES = {"Accept": "application/x-ndjson"}
FILM = {"kind": "video", "bearing": "supports", "description": "A fireball."}


class Desk(msgspec.Struct):
    """A client of the API who has a story and three sources, and remembers its last write."""

    api: httpx2.AsyncClient
    story: str = ""
    sources: dict[str, str] = {}
    after: str = ""

    async def post(self, path: str, body: object, **headers: str) -> httpx2.Response:
        """Record something."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.api.post(path, json=body, headers=named)
        assert answer.status_code == 201, answer.text
        self.after = answer.headers["Onrecord-After"]
        return answer

    async def get(self, path: str, *, status: int = 200, headers: dict[str, str] | None = None, **query: Any) -> Any:
        """Read something as it is after the last write."""
        seeing = {"Onrecord-After": self.after} | (headers or {})
        answer = await self.api.get(path, params=query or None, headers=seeing)
        assert status == answer.status_code, answer.text
        return answer

    def said(self, source: str = "witness", stance: str = "asserts", **more: Any) -> dict[str, Any]:
        """Return a statement."""
        return {"speaker_id": self.sources[source], "stance": stance} | more

    async def claim(self, text: str = "It fell.", *said: dict[str, Any], **more: Any) -> str:
        """Register a claim with what was said on it, and return its identifier."""
        first = {"first_statement": said[0]} if said else {}
        registered = await self.post("/v1/claims", {"story_id": self.story, "text": text} | first | more)
        claim_id = str(registered.json()["id"])
        for each in said[1:]:
            await self.post(f"/v1/claims/{claim_id}/statements", each)
        return claim_id


@pytest.fixture
async def desk(api: httpx2.AsyncClient) -> Desk:
    """A desk with a story, a witness, a neighbour, and a government of a party of the story."""
    desk = Desk(api)
    opened = await desk.post("/v1/stories", {"title": "A crash", "parties": ["russia", "ukraine"]})
    desk.story = opened.json()["id"]
    for name, more in [("witness", {}), ("neighbour", {}), ("kyiv", {"kind": "government", "parties": ["ukraine"]})]:
        desk.sources[name] = (await desk.post("/v1/sources", {"name": name, "kind": "person"} | more)).json()["id"]
    return desk


async def test_whatever_is_recorded_can_be_read_at_its_location_at_once(desk: Desk, ledger: Ledger) -> None:
    """Every 201 says where the new thing is, at which version, and with which token a read will see it."""
    claim = await desk.claim()
    written = [
        await desk.post("/v1/stories", {"title": "Another"}),
        await desk.post("/v1/sources", {"name": "Tass", "kind": "news_agency"}),
        await desk.post("/v1/claims", {"story_id": desk.story, "text": "t", "first_statement": desk.said()}),
        await desk.post(f"/v1/claims/{claim}/statements", desk.said()),
        shown := await desk.post(f"/v1/claims/{claim}/evidence", FILM),
        await desk.post(f"/v1/evidence/{shown.json()['id']}/authentication", {"method": "m", "by": PERSON}),
        await desk.post(f"/v1/claims/{claim}/evidence/absence", {}),
        await desk.post(f"/v1/claims/{claim}/assessments", {"verdict": "verified", "rationale": "r", "by": PERSON}),
    ]
    last_on_claim = written[-1].headers["ETag"]
    for answer in written:
        receipt, location = answer.json(), answer.headers["Location"]
        path, _, fragment = location.partition("#")
        assert receipt["id"] == (fragment or path.rpartition("/")[2])
        assert str(ledger.cursor(receipt["position"])) == answer.headers["Onrecord-After"]
        read = await desk.get(path)
        newest = last_on_claim if claim in path else answer.headers["ETag"]
        assert newest == read.headers["ETag"]
        assert receipt["id"] in read.text
        positions = [event["position"] for event in receipt["events"]]
        assert positions == list(range(positions[0], receipt["position"] + 1))
    assert (await ledger.head()).position == written[-1].json()["position"]


async def test_a_claim_shows_where_it_stands_and_what_was_said(desk: Desk) -> None:
    """A claim's document has its state with reasons, its statements, its evidence and the desk's judgements."""
    said = desk.said(quote="I saw it."), desk.said("kyiv", "denies")
    claim = await desk.claim("It fell.", *said, serves=["russia"], harms=["ukraine"])
    await desk.post(f"/v1/claims/{claim}/evidence", FILM)
    document = (await desk.get(f"/v1/claims/{claim}")).json()
    assert (document["standing"]["state"], document["standing"]["credibility"]) == ("contested", 3)
    assert document["standing"]["flags"] == ["denied_by_interested_party", "single_origin"]
    assert tuple(document["standing"]["because"][name] for name in ("n", "nd", "od")) == (1, 1, 0)
    assert [item["statement"].get("quote") for item in document["statements"]] == ["I saw it.", None]
    assert document["stances"] == {"asserts": 1, "denies": 1}
    assert [item["evidence"]["description"] for item in document["evidence"]] == ["A fireball."]
    assert document["statements"][1]["id"] in document["standing"]["because"]["reasons"]["denial"]["ids"]


async def test_a_first_statement_is_recorded_with_its_claim(desk: Desk) -> None:
    """A claim registered with what was first said on it is one command: claim, statement and state together."""
    body = {"story_id": desk.story, "text": "t", "first_statement": desk.said()}
    events_ = (await desk.post("/v1/claims", body)).json()["events"]
    assert [event["type"] for event in events_] == ["claim.registered", "statement.recorded", "claim.state_changed"]
    assert events_[-1]["position"] - events_[0]["position"] == 2


async def test_whoever_has_a_document_is_not_sent_it_again(desk: Desk) -> None:
    """If-None-Match with the present tag, weakly, among others or as a star, gets 304; with another, the document."""
    claim = await desk.claim()
    tag = (await desk.get(f"/v1/claims/{claim}")).headers["ETag"]
    for given in (tag, f"W/{tag}", f'"x", {tag}', f'"x",W/{tag} , "y"', "*"):
        answer = await desk.get(f"/v1/claims/{claim}", status=304, headers={"If-None-Match": given})
        assert (b"", tag) == (answer.content, answer.headers["ETag"])
    for given in ('"x"', tag.strip('"'), f'"x", W/"{tag.strip(chr(34))}0"'):
        assert claim in (await desk.get(f"/v1/claims/{claim}", headers={"If-None-Match": given})).text
    await desk.post(f"/v1/claims/{claim}/statements", desk.said("kyiv", "comments"))
    assert tag != (await desk.get(f"/v1/claims/{claim}", headers={"If-None-Match": tag})).headers["ETag"]


async def test_a_write_on_the_version_that_was_read_passes(desk: Desk) -> None:
    """If-Match with the present ETag, from a write or a read, or with a star, lets the write through."""
    claim = await desk.claim()
    where = f"/v1/claims/{claim}/statements"
    tag = (await desk.get(f"/v1/claims/{claim}")).headers["ETag"]
    for form in ("{}", "{}", "*"):
        tag = (await desk.post(where, desk.said(), If_Match=form.format(tag))).headers["ETag"]
    rebuilt = tag[:-2] + '9"'
    assert (await desk.post(where, desk.said(), If_Match=rebuilt)).status_code == 201


async def test_a_write_on_one_of_several_versions_passes(desk: Desk) -> None:
    """If-Match with a list (RFC 9110, 13.1.1) lets the write through if the present ETag is anywhere in it."""
    claim = await desk.claim()
    for form in ('{}, "0123456789abc.1.1"', '"0123456789abc.1.1", {}'):
        tag = (await desk.get(f"/v1/claims/{claim}")).headers["ETag"]
        await desk.post(f"/v1/claims/{claim}/statements", desk.said(), If_Match=form.format(tag))


def answered(answer: httpx2.Response) -> tuple[object, ...]:
    """Return all of an answer that a client relies on."""
    headers = (answer.headers.get(name) for name in ("ETag", "Location", "Onrecord-After"))
    return answer.status_code, answer.content, *headers


async def test_asking_again_with_the_same_key_answers_alike_and_records_once(desk: Desk, ledger: Ledger) -> None:
    """A retry gets the first answer, to the byte, also after later writes, and nothing more is recorded."""
    claim = await desk.claim()
    shown = (await desk.post(f"/v1/claims/{claim}/evidence", FILM)).json()["id"]
    requests: list[tuple[str, dict[str, Any]]] = [
        ("/v1/stories", {"title": "Another"}),
        ("/v1/sources", {"name": "Tass", "kind": "news_agency"}),
        ("/v1/claims", {"story_id": desk.story, "text": "t", "first_statement": desk.said()}),
        (f"/v1/claims/{claim}/statements", desk.said(quantities=[{"measure": "m", "value": 1.0}])),
        (f"/v1/claims/{claim}/evidence", FILM),
        (f"/v1/evidence/{shown}/authentication", {"method": "m", "by": PERSON, "pillars": {}}),
        (f"/v1/claims/{claim}/evidence/absence", {}),
        (f"/v1/claims/{claim}/assessments", {"verdict": "verified", "rationale": "r", "by": PERSON}),
    ]
    first = [await desk.post(path, body, Idempotency_Key=f"key {n}") for n, (path, body) in enumerate(requests)]
    await desk.post(f"/v1/claims/{claim}/statements", desk.said("neighbour"))
    before = await ledger.head()
    again = [await desk.post(path, body, Idempotency_Key=f"key {n}") for n, (path, body) in enumerate(requests)]
    assert list(map(answered, first)) == list(map(answered, again))
    assert before == await ledger.head()


async def test_a_retry_of_a_conditional_write_is_no_conflict(desk: Desk, ledger: Ledger) -> None:
    """Who retries with its If-Match still in place gets the first answer, although the claim has moved on by it."""
    claim = await desk.claim()
    tag = (await desk.get(f"/v1/claims/{claim}")).headers["ETag"]
    request = (f"/v1/claims/{claim}/statements", desk.said())
    first = await desk.post(*request, If_Match=tag, Idempotency_Key="once")
    assert answered(first) == answered(await desk.post(*request, If_Match=tag, Idempotency_Key="once"))


@pytest.mark.parametrize("where", ["/v1/stories", "/v1/claims", "statements"])
async def test_all_at_once_with_the_same_key_get_the_first_ones_answer(desk: Desk, ledger: Ledger, where: str) -> None:
    """However many send the same request at once, it is carried out once."""
    claim = await desk.claim()
    path, body = {
        "/v1/stories": (where, {"title": "Another"}),
        "/v1/claims": (where, {"story_id": desk.story, "text": "t", "first_statement": desk.said()}),
        "statements": (f"/v1/claims/{claim}/statements", desk.said()),
    }[where]
    before = (await ledger.head()).position
    answers = await asyncio.gather(*(desk.post(path, body, Idempotency_Key="once") for _ in range(5)))
    assert {answered(answers[0])} == set(map(answered, answers))
    assert len(answers[0].json()["events"]) == (await ledger.head()).position - before


async def test_many_on_one_claim_at_once_are_all_recorded(desk: Desk) -> None:
    """Writes on one claim queue up: none is lost and none is refused."""
    claim = await desk.claim()
    names = list(desk.sources)
    await asyncio.gather(*(desk.post(f"/v1/claims/{claim}/statements", desk.said(names[n % 3])) for n in range(30)))
    history = (await desk.get(f"/v1/claims/{claim}/history", limit=200)).json()
    assert sum(event["type"] == "statement.recorded" for event in history["events"]) == 30


async def listed(desk: Desk, path: str = "/v1/claims", **query: Any) -> list[str]:
    """Return the identifiers of a whole list, page by page of three, following the links."""
    found: list[str] = []
    url, query = path, query | {"limit": 3}
    for _ in range(50):
        answer = await desk.get(url, **query)
        page = answer.json()
        assert len(page["items"]) <= 3
        found += [item["id"] for item in page["items"]]
        if page["next_after"] is None:
            assert "next" not in answer.links
            return found
        url, query = answer.links["next"]["url"], {}
        assert f"after={page['next_after']}" in url
    raise AssertionError("the list has no end")


async def test_lists_are_filtered_and_paged_without_skips_or_repeats(desk: Desk) -> None:
    """Claims are listed in order of registration by story, state, flags and source, alone and together."""
    other = (await desk.post("/v1/stories", {"title": "Another"})).json()["id"]
    away = [await desk.claim(f"away {n}", desk.said(), story_id=other) for n in range(2)]
    one = [await desk.claim(f"one {n}", desk.said()) for n in range(7)]
    two = [await desk.claim(f"two {n}", desk.said(), desk.said("neighbour")) for n in range(4)]
    red = [await desk.claim(f"red {n}", desk.said("kyiv", publisher_id=desk.sources["neighbour"])) for n in range(3)]
    none = [await desk.claim("none")]
    assert [*away, *one, *two, *red, *none] == await listed(desk)
    assert [*one, *two, *red, *none] == await listed(desk, story=desk.story)
    assert two == await listed(desk, state="corroborated")
    assert [*away, *one, *red] == await listed(desk, flag="single_origin")
    assert red == await listed(desk, flag=["single_origin", "interested_parties_only"])
    assert [*two, *red] == await listed(desk, source=desk.sources["neighbour"])
    by_witness = {"state": "unverified", "flag": "single_origin", "source": desk.sources["witness"]}
    assert one == await listed(desk, story=desk.story, **by_witness)
    assert await listed(desk, state="verified") == []
    assert await listed(desk, story=derived_id("story", "nothing")) == []
    assert list(desk.sources.values()) == await listed(desk, "/v1/sources")
    assert [desk.story, other] == await listed(desk, "/v1/stories")
    every = (await desk.get("/v1/claims", limit=200)).json()
    assert [*away, *one, *two, *red, *none] == [item["id"] for item in every["items"]]


async def test_a_claim_that_leaves_a_state_leaves_its_list(desk: Desk) -> None:
    """Lists by state and flag follow the claim, and its place in them stays that of its registration."""
    first, second = await desk.claim("first", desk.said()), await desk.claim("second", desk.said())
    assert ([first, second], []) == (await listed(desk, state="unverified"), await listed(desk, state="corroborated"))
    await desk.post(f"/v1/claims/{second}/statements", desk.said("neighbour"))
    await desk.post(f"/v1/claims/{first}/statements", desk.said("neighbour"))
    assert ([], [first, second]) == (await listed(desk, state="unverified"), await listed(desk, state="corroborated"))
    assert await listed(desk, flag="single_origin") == []


async def test_a_claims_history_is_paged_in_order(desk: Desk, ledger: Ledger) -> None:
    """The history has every event of the claim and no other, in order, whatever the size of a page."""
    claim = await desk.claim("t", desk.said(), desk.said("kyiv", "denies"), desk.said("neighbour", "comments"))
    await desk.claim("another")
    whole = (await desk.get(f"/v1/claims/{claim}/history", limit=200)).json()
    assert whole["next_after"] is None
    paged: list[Any] = []
    after: dict[str, str] = {}
    while after is not None:
        page = (await desk.get(f"/v1/claims/{claim}/history", limit=2, **after)).json()
        paged += page["events"]
        after = {"after": page["next_after"]} if page["next_after"] else None  # type: ignore[assignment]
    assert whole["events"] == paged
    assert {claim} == {event["subject"] for event in paged}
    version = (await desk.get(f"/v1/claims/{claim}")).json()["version"]
    assert version == len(paged) == await ledger.version(claim)


class Page(msgspec.Struct):
    """A page of the log, with its events as bytes."""

    events: list[msgspec.Raw]
    next_after: str | None


async def test_the_log_is_the_same_bytes_as_pages_and_as_lines(desk: Desk, ledger: Ledger) -> None:
    """Whoever reads the log, in pages or as NDJSON, gets what the ledger holds, from 1 on without gaps."""
    await desk.claim("t", desk.said(), desk.said("kyiv", "denies"))
    stored = [entry.raw for entry in await ledger.read(0)]
    lines = await desk.get("/v1/events", headers=AS_LINES)
    assert lines.headers["content-type"].partition(";")[0] == "application/x-ndjson"
    assert stored == lines.content.splitlines()
    assert str(ledger.cursor(len(stored))) == lines.headers["Onrecord-After"]
    pages: list[bytes] = []
    query: dict[str, Any] = {"limit": 4}
    while query:
        page = msgspec.json.decode((await desk.get("/v1/events", **query)).content, type=Page)
        pages += map(bytes, page.events)
        query = {"limit": 4, "after": page.next_after} if page.next_after else {}
    assert stored == pages
    assert list(range(1, len(stored) + 1)) == [int(msgspec.json.decode(raw)["sequence"]) for raw in pages]
    some = await desk.get("/v1/events", headers=AS_LINES, after=str(ledger.cursor(2)), limit=3)
    assert stored[2:5] == some.content.splitlines()
    assert str(ledger.cursor(5)) == some.headers["Onrecord-After"]
    end = await desk.get("/v1/events", headers=AS_LINES, after=str(ledger.cursor(len(stored))))
    assert end.content == b""


async def test_evidence_can_be_authenticated_the_moment_it_was_added(desk: Desk) -> None:
    """Nobody has to wait for the reading side between adding evidence and authenticating it."""
    claim = await desk.claim("t", desk.said())
    for _ in range(5):
        shown = (await desk.post(f"/v1/claims/{claim}/evidence", FILM)).json()["id"]
        await desk.post(f"/v1/evidence/{shown}/authentication", {"method": "Geolocated.", "by": PERSON})
    document = (await desk.get(f"/v1/claims/{claim}")).json()
    assert document["standing"]["state"] == "corroborated"
    assert sum(bool(item["checks"]) for item in document["evidence"]) == 5


async def test_anybody_may_ask_how_it_is_and_what_it_speaks(desk: Desk) -> None:
    """Liveness, readiness and the description want no key; the description is valid OpenAPI 3.1 of every route."""
    public = {"Authorization": ""}
    assert (await desk.get("/livez", headers=public)).text == "alive\n"
    await desk.claim()
    await desk.get("/v1/claims")
    ready = (await desk.get("/readyz", headers=public)).json()
    assert (ready["ready"], ready["ledgers"]) == (True, 1)
    assert {projection.name for projection in PROJECTIONS} == set(ready["lag"])
    description = (await desk.get("/openapi.json", headers=public)).json()
    validate(description)
    assert description["openapi"].startswith("3.1")
    assert {"get", "post"} == set(description["paths"]["/v1/claims"])


async def test_a_worker_that_was_away_catches_up(
    ledger: Ledger, recorder: Recorder, store_url: str, il76: StoryFile
) -> None:
    """What was recorded while no worker ran is in the projections once one runs again, whole and once."""
    client = events.store.connect(store_url)
    queries = Queries(client, ledger.keys)

    async def work_until(position: int) -> None:
        worker = asyncio.create_task(Worker(client, await Ledger.open(client, ledger.name)).run())
        for projection in PROJECTIONS:
            await queries.wait_for(projection, position, seconds=20)
        worker.cancel()
        await asyncio.wait([worker])

    for half in (il76.items[: len(il76.items) // 2], il76.items):
        async for _ in load(StoryFile(il76.key, half), recorder):
            pass
        position = (await ledger.head()).position
        assert all(each.lag for each in await status.of_all(client, ledger))
        await work_until(position)
    for projection in PROJECTIONS[:3]:
        page = await queries.page(projection, [], limit=200)
        documents = [msgspec.json.decode(raw) for raw in page.items]
        registered = [each["position"] for each in documents]
        assert sorted(set(registered)) == registered
        assert [await ledger.version(each["id"]) for each in documents] == [each["version"] for each in documents]
    await client.aclose()
