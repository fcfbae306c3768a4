"""Two newsrooms on one service: each has a ledger of its own, and neither can learn that the other is there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import msgspec
import pytest

import events.store
from events.identifiers import derived_id
from events.ledger import Ledger
from events.store import Store
from service.api.http.opened import OpenLedgers
from service.auth.keys import new_key
from service.auth.scopes import EVERY
from service.verification.policy import STRICT_TWO_SOURCE
from service.worker import Workers

PERSON = derived_id("person", "editor")
_PATIENCE = 20


@pytest.fixture
async def workers(store_url: str, store: Store) -> AsyncIterator[asyncio.Task[None]]:
    """A worker process's work, on every ledger of the store."""
    client = events.store.connect(store_url)
    working = asyncio.create_task(Workers(client).run())
    yield working
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
    await client.aclose()


@pytest.fixture
async def elsewhere(
    api: httpx2.AsyncClient, store: Store, workers: asyncio.Task[None]
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the same API with a key of another ledger, which was made while that ran."""
    name = f"test-{uuid4().hex[:12]}"
    await Ledger.open(store, name, create=STRICT_TWO_SOURCE)
    headers = {"Authorization": f"Bearer {await new_key(store, name, scopes=EVERY)}"}
    async with httpx2.AsyncClient(base_url=api.base_url, headers=headers, timeout=_PATIENCE) as client:
        yield client


class Recorded(msgspec.Struct):
    """What one of each kind of thing is called in a ledger, and the answers that made them."""

    ids: dict[str, str]
    answers: list[httpx2.Response]

    @property
    def after(self) -> str:
        """The token of the last write."""
        return str(self.answers[-1].headers["onrecord-after"])


async def record(api: httpx2.AsyncClient) -> Recorded:
    """Record one of each kind of thing."""
    made = Recorded({}, [])

    async def post(kind: str, path: str, body: dict[str, Any]) -> None:
        answer = await api.post(path, json=body)
        assert answer.status_code == 201, answer.text
        made.ids[kind] = answer.json()["id"]
        made.answers.append(answer)

    await post("story", "/v1/stories", {"title": "A crash"})
    await post("source", "/v1/sources", {"name": "A witness", "kind": "person"})
    await post("claim", "/v1/claims", {"story_id": made.ids["story"], "text": "It fell."})
    claim = f"/v1/claims/{made.ids['claim']}"
    await post("statement", f"{claim}/statements", {"speaker_id": made.ids["source"], "stance": "asserts"})
    await post("evidence", f"{claim}/evidence", {"kind": "video", "bearing": "supports", "description": "A film."})
    due = {"source_id": made.ids["source"], "deadline": "2099-01-01T00:00Z"}
    await post("inquiry", f"{claim}/inquiries", due)
    judged = {"verdict": "verified", "rationale": "We looked.", "by": PERSON}
    await post("assessment", f"{claim}/assessments", judged)
    ours: dict[str, Any] = {"title": "It fell", "url": "https://example.org/1", "published_at": "2026-11-01"}
    ours["claims"] = [{"claim_id": made.ids["claim"]}]
    await post("publication", "/v1/publications", ours)
    return made


def nowhere(key: str) -> str:
    """Return an identifier like this one that nothing has, anywhere."""
    return key[:-1] + ("1" if key.endswith("0") else "0")


def told(answer: httpx2.Response, *names: str) -> tuple[int, dict[str, str], str]:
    """Return what an answer tells, with identifiers out of it: status, headers, body."""
    text, headers = answer.text, dict(answer.headers)
    request_id = headers.get("request-id") or headers.get("x-request-id") or ""
    for name in ("date", "request-id", "x-request-id", "traceparent", "traceresponse", "ratelimit", "content-length"):
        headers.pop(name, None)
    for name in filter(None, (request_id, *names)):
        text = text.replace(name, "…")
    return answer.status_code, headers, text


async def test_identifiers_of_another_ledger_are_answered_as_those_that_nothing_has(
    api: httpx2.AsyncClient, elsewhere: httpx2.AsyncClient
) -> None:
    """Status, headers and words of each refusal are alike, for reading and for writing."""
    there = await record(elsewhere)
    id_ = there.ids
    judged = {"verdict": "verified", "rationale": "We looked.", "by": PERSON}
    said = {"speaker_id": (await record(api)).ids["source"], "stance": "asserts"}
    asked: list[tuple[str, str, str, Any]] = [
        ("GET", "/v1/stories/{}", id_["story"], None),
        ("PATCH", "/v1/stories/{}", id_["story"], {"title": "Other"}),
        ("POST", "/v1/stories/{}/closing", id_["story"], {}),
        ("GET", "/v1/sources/{}", id_["source"], None),
        ("GET", "/v1/sources/{}/record", id_["source"], None),
        ("PATCH", "/v1/sources/{}", id_["source"], {"name": "Other"}),
        ("POST", "/v1/sources/{}/grades", id_["source"], {"reliability": "A", "rationale": "Known.", "by": PERSON}),
        ("POST", "/v1/sources/{}/erasure", id_["source"], {}),
        ("GET", "/v1/claims/{}", id_["claim"], None),
        ("GET", "/v1/claims/{}?as_of=2099-01-01T00:00Z", id_["claim"], None),
        ("GET", "/v1/claims/{}/history", id_["claim"], None),
        ("GET", "/v1/claims/{}/explanation", id_["claim"], None),
        ("PATCH", "/v1/claims/{}", id_["claim"], {"text": "Other"}),
        ("POST", "/v1/claims/{}/statements", id_["claim"], said),
        ("POST", "/v1/claims/{}/assessments", id_["claim"], judged),
        ("GET", "/v1/claims?story={}", id_["story"], None),
        ("GET", "/v1/claims?source={}", id_["source"], None),
        ("POST", "/v1/claims", id_["story"], {"story_id": id_["story"], "text": "It fell."}),
        ("POST", "/v1/statements/{}/withdrawal", id_["statement"], {"by": "speaker"}),
        ("POST", "/v1/evidence/{}/authentication", id_["evidence"], {"method": "Seen.", "by": PERSON}),
        ("POST", "/v1/evidence/{}/erasure", id_["evidence"], {}),
        ("POST", "/v1/inquiries/{}/answer", id_["inquiry"], {}),
        ("POST", "/v1/assessments/{}/revocation", id_["assessment"], {"by": PERSON, "reason": "No."}),
        ("GET", "/v1/publications/{}", id_["publication"], None),
    ]
    for method, path, name, body in asked:
        pair = []
        for each in (name, nowhere(name)):
            content = msgspec.json.decode(msgspec.json.encode(body).replace(name.encode(), each.encode()))
            any_version = {"If-Match": "*"} if method == "PATCH" else {}
            answer = await api.request(method, path.format(each), json=content, headers=any_version)
            pair.append(told(answer, each))
        assert pair[0] == pair[1], (method, path)
        assert pair[0][0] in {404, 422} or "?" in path, (method, path, pair[0])
    assert "It fell." not in (await api.get(f"/v1/claims?story={id_['story']}")).text


async def test_cursors_tokens_and_tags_of_another_ledger_say_nothing(
    api: httpx2.AsyncClient, elsewhere: httpx2.AsyncClient
) -> None:
    """They are answered as those of an epoch that never was, and an ETag matches nothing."""
    here, there = await record(api), await record(elsewhere)
    epoch = there.after.partition(".")[0]
    for path in ("/v1/events?after={}", "/v1/claims?after={}", "/v1/claims?changed_since={}", "/v1/stories?after={}"):
        pair = [told(await api.get(path.format(f"{each}.1")), each) for each in (epoch, nowhere(epoch))]
        assert pair[0] == pair[1], path
        assert pair[0][0] in {400, 410}, path
    claim = f"/v1/claims/{here.ids['claim']}"
    pair = [
        told(await api.get(claim, headers={"Onrecord-After": f"{each}.1"}), each) for each in (epoch, nowhere(epoch))
    ]
    assert pair[0] == pair[1]
    theirs = there.answers[2].headers["etag"]
    for name, status in (("If-None-Match", 200), ("If-Match", 412)):
        method, body = ("GET", None) if status == 200 else ("PATCH", {"text": "It did not fall."})
        pair = [
            told(await api.request(method, claim, json=body, headers={name: tag}), epoch, nowhere(epoch))
            for tag in (theirs, theirs.replace(epoch, nowhere(epoch)))
        ]
        assert pair[0] == pair[1]
        assert pair[0][0] == status, name


async def test_an_idempotency_key_is_each_ledgers_own(api: httpx2.AsyncClient, elsewhere: httpx2.AsyncClient) -> None:
    """Two newsrooms that choose the same one, for different things, both record theirs."""
    once = {"Idempotency-Key": "one"}
    first = await api.post("/v1/stories", json={"title": "Ours"}, headers=once)
    second = await elsewhere.post("/v1/stories", json={"title": "Theirs"}, headers=once)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]


async def test_each_key_sees_its_own_ledger_and_no_other(
    api: httpx2.AsyncClient, elsewhere: httpx2.AsyncClient, ledger: Ledger, store: Store
) -> None:
    """Lists, log, desk and ledgers of one hold nothing of the other, and readiness names neither."""
    there = await record(elsewhere)
    mine = (await api.get("/v1/ledgers")).json()["items"]
    head = await ledger.head()
    assert [(ledger.name, ledger.epoch, head.position)] == [(it["name"], it["epoch"], it["position"]) for it in mine]
    assert mine[0]["policy"]["name"] == "strict-two-source"
    assert mine[0] == (await api.get(f"/v1/ledgers/{ledger.name}")).json()
    (theirs,) = (await elsewhere.get("/v1/ledgers")).json()["items"]
    pair = [told(await api.get(f"/v1/ledgers/{name}"), name) for name in (theirs["name"], "test-nothing")]
    assert pair[0] == pair[1]
    assert pair[0][0] == 404
    for path in ("/v1/stories", "/v1/sources", "/v1/claims", "/v1/publications", "/v1/inquiries", "/v1/desk"):
        seen = await api.get(path)
        assert not [name for name in there.ids.values() if name in seen.text], path
    log = await api.get("/v1/events", headers={"Accept": "application/x-ndjson"})
    assert len(log.text.splitlines()) == 1
    ready = await api.get("/readyz", headers={"Authorization": ""})
    assert ready.json()["ledgers"] == 2
    assert not [name for name in (ledger.name, theirs["name"]) if name in ready.text]


async def test_a_ledger_that_is_made_while_all_runs_is_served_within_seconds(
    api: httpx2.AsyncClient, elsewhere: httpx2.AsyncClient
) -> None:
    """The worker takes its duties, and the API reads there what was recorded."""
    made = await record(elsewhere)
    async with asyncio.timeout(_PATIENCE):
        while True:
            answer = await elsewhere.get(f"/v1/claims/{made.ids['claim']}", headers={"Onrecord-After": made.after})
            if answer.status_code == 200:
                break
            assert answer.json()["type"] == "/problems/not-there-yet"
    assert answer.json()["standing"]["state"] == "verified"


async def test_a_key_whose_ledger_is_not_there_opens_nothing(api: httpx2.AsyncClient, store: Store) -> None:
    """It is refused, and makes no ledger."""
    name = f"test-{uuid4().hex[:12]}"
    headers = {"Authorization": f"Bearer {await new_key(store, name, scopes=EVERY)}"}
    refused = await api.get("/v1/claims", headers=headers)
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")
    assert not await store.sismember("onrecord:ledgers", name)


class Door:
    """Something that is open, and remembers that it was closed."""

    def __init__(self, name: str) -> None:
        self.name, self.closed = name, False

    async def close(self) -> None:
        """Be closed."""
        self.closed = True


async def test_of_many_ledgers_those_asked_for_last_stay_open() -> None:
    """One more than there may be closes the one that nobody asked for the longest; all who wait share one opening."""
    opened: list[Door] = []

    async def open_one(name: str) -> Door:
        await asyncio.sleep(0)
        opened.append(Door(name))
        return opened[-1]

    ledgers = OpenLedgers(open_one, most=2)
    first, again = await asyncio.gather(ledgers.get("a"), ledgers.get("a"))
    assert first is again
    await ledgers.get("b")
    assert first is await ledgers.get("a")
    await ledgers.get("c")
    assert [each.name for each in ledgers] == ["a", "c"]
    await ledgers.close()
    assert [(each.name, each.closed) for each in opened] == [("a", True), ("b", True), ("c", True)]
