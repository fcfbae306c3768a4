"""Bad input over HTTP: each gets its status and a problem that says what and where, and none leaves a trace."""

import re
from collections.abc import Mapping
from typing import Any

import httpx2
import msgspec
import pytest

from events import keys
from events.envelope import LARGEST_EVENT
from events.identifiers import derived_id
from events.ledger import Ledger
from events.store import Store
from service.auth.kept_keys import hashed

NOBODY = derived_id("source", "nobody")
NOTHING = {kind: derived_id(kind, "nothing") for kind in ("story", "claim", "statement", "evidence")}
PERSON = derived_id("person", "editor")


class Desk(msgspec.Struct):
    """A client of the API, the ledger it records on, and what is on record there already."""

    api: httpx2.AsyncClient
    ledger: Ledger
    story: str
    source: str
    claim: str
    statement: str
    evidence: str

    @property
    def statements(self) -> str:
        """Where statements on the claim go."""
        return f"/v1/claims/{self.claim}/statements"

    def said(self, **more: Any) -> dict[str, Any]:
        """Return a good statement, changed."""
        return {"speaker_id": self.source, "stance": "asserts"} | more

    async def post(self, path: str, body: object) -> str:
        """Record something good, and return its identifier."""
        answer = await self.api.post(path, json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def refuses(self, method: str, path: str, status: int, slug: str, **request: Any) -> httpx2.Response:
        """Send a request that is refused, see that the problem is complete and that nothing was recorded."""
        before = await self.ledger.head()
        answer = await self.api.request(method, path, **request)
        problem = answer.json()
        said = (answer.status_code, answer.headers["content-type"], problem.get("type"), problem.get("status"))
        assert (status, "application/problem+json", f"/problems/{slug}", status) == said, answer.text
        assert problem["title"]
        assert problem["detail"]
        assert path.partition("?")[0] == problem["instance"]
        assert answer.headers["cache-control"] == "no-store"
        page = await self.api.get(problem["type"], headers={"Authorization": ""})
        assert (page.status_code, problem["title"] in page.text) == (200, True)
        assert before == await self.ledger.head()
        return answer


@pytest.fixture
async def desk(api: httpx2.AsyncClient, ledger: Ledger) -> Desk:
    """A desk with one story, source, claim, statement and piece of evidence."""
    desk = Desk(api, ledger, "", "", "", "", "")
    desk.story = await desk.post("/v1/stories", {"title": "A crash", "parties": ["russia"]})
    desk.source = await desk.post("/v1/sources", {"name": "A witness", "kind": "person"})
    desk.claim = await desk.post("/v1/claims", {"story_id": desk.story, "text": "It fell."})
    desk.statement = await desk.post(desk.statements, desk.said())
    film = {"kind": "video", "bearing": "supports", "description": "A fireball."}
    desk.evidence = await desk.post(f"/v1/claims/{desk.claim}/evidence", film)
    return desk


def pointers(answer: httpx2.Response) -> list[str]:
    """Return where a problem points to."""
    return [error["pointer"] for error in answer.json()["errors"]]


FIGURE = {"measure": "killed", "value": 74}
STATEMENTS: dict[str, tuple[dict[str, Any], str]] = {
    # what is wrong: the members that make it so, and the pointer to them
    "an unknown stance": ({"stance": "sings"}, "/stance"),
    "a stance that is null": ({"stance": None}, "/stance"),
    "an unknown member": ({"colour": 1}, "/colour"),
    "an unknown member with a slash and a tilde": ({"a/b~c": 1}, "/a~1b~0c"),
    "an identifier of another kind": ({"speaker_id": NOTHING["claim"]}, "/speaker_id"),
    "a wrong type": ({"quote": 5}, "/quote"),
    "a wrong type deep inside": ({"quantities": [FIGURE | {"value": "74"}]}, "/quantities/0/value"),
    "an unknown member deep inside": ({"quantities": [FIGURE, FIGURE | {"colour": 1}]}, "/quantities/1/colour"),
    "a figure without a value": ({"quantities": [{"measure": "killed"}]}, "/quantities/0"),
    "something in a list": ({"relay_ids": [NOBODY, 5]}, "/relay_ids/1"),
    "a quote of great length": ({"quote": "x" * 10_001}, "/quote"),
    "an impossible date": ({"said_at": "2024-02-30"}, "/said_at"),
    "an impossible date beside a good one": ({"said_at": "2024", "published_at": "2024-13"}, "/published_at"),
    "an impossible date deep inside": ({"quantities": [FIGURE | {"as_at": "2024-02-30"}]}, "/quantities/0/as_at"),
    "what is no date": ({"said_at": "yesterday"}, "/said_at"),
    "a time without a zone": ({"said_at": "2024-01-24T08:15"}, "/said_at"),
}


async def test_what_is_not_valid_is_pointed_to(desk: Desk, subtests: pytest.Subtests) -> None:
    """A body that is JSON and no statement gets 422 and a JSON Pointer to what is wrong."""
    for what, (wrong, pointer) in STATEMENTS.items():
        with subtests.test(what):
            answer = await desk.refuses("POST", desk.statements, 422, "invalid", json=desk.said(**wrong))
            assert [pointer] == pointers(answer)
    for member in ("speaker_id", "stance"):
        with subtests.test(f"without {member}"):
            body = {name: value for name, value in desk.said().items() if name != member}
            answer = await desk.refuses("POST", desk.statements, 422, "invalid", json=body)
            assert [f"/{member}"] == pointers(answer)


def resolves(pointer: str, body: Any) -> bool:
    """Whether a JSON Pointer (RFC 6901) leads to a place in a body."""
    try:
        for step in pointer.split("/")[1:]:
            body = body[int(step)] if isinstance(body, list) else body[step.replace("~1", "/").replace("~0", "~")]
    except (KeyError, ValueError, IndexError, TypeError):
        return False
    return True


async def test_a_pointer_into_the_allies_leads_somewhere(desk: Desk, subtests: pytest.Subtests) -> None:
    """What is wrong among the allies is found by the pointer, whether it is a name or a party it sides with."""
    for allies in ({"Bad Party": ["russia"]}, {"germany": ["russia", "Bad Party"]}, {"germany": "russia"}):
        with subtests.test(str(allies)):
            body = {"title": "t", "parties": ["russia"], "allies": allies}
            answer = await desk.refuses("POST", "/v1/stories", 422, "invalid", json=body)
            (pointer,) = pointers(answer)
            assert pointer.startswith("/allies")
            assert resolves(pointer, body)


async def test_what_is_named_and_not_on_record_is_pointed_to(desk: Desk, subtests: pytest.Subtests) -> None:
    """A reference to something unknown gets 422, names it and points at it, wherever it stands."""
    claim, film = f"/v1/claims/{desk.claim}", {"kind": "video", "bearing": "context", "description": "d"}
    new_claim = {"story_id": desk.story, "text": "t"}
    first = {"speaker_id": desk.source, "stance": "asserts"}
    rows: list[tuple[str, dict[str, Any], str, str]] = [
        (desk.statements, desk.said(speaker_id=NOBODY), "/speaker_id", NOBODY),
        (desk.statements, desk.said(publisher_id=NOBODY), "/publisher_id", NOBODY),
        (desk.statements, desk.said(relay_ids=[desk.source, NOBODY]), "/relay_ids/1", NOBODY),
        (desk.statements, desk.said(rests_on=[NOBODY]), "/rests_on/0", NOBODY),
        (
            desk.statements,
            desk.said(rests_on=[desk.evidence, NOTHING["evidence"]]),
            "/rests_on/1",
            NOTHING["evidence"],
        ),
        (desk.statements, desk.said(repeats=NOTHING["statement"]), "/repeats", NOTHING["statement"]),
        (f"{claim}/evidence", film | {"supplied_by": NOBODY}, "/supplied_by", NOBODY),
        (f"{claim}/evidence", film | {"derived_from": NOTHING["evidence"]}, "/derived_from", NOTHING["evidence"]),
        (f"{claim}/evidence/absence", {"source_id": NOBODY}, "/source_id", NOBODY),
        (f"{claim}/evidence/absence", {"publisher_id": NOBODY}, "/publisher_id", NOBODY),
        ("/v1/claims", new_claim | {"story_id": NOTHING["story"]}, "/story_id", NOTHING["story"]),
        ("/v1/claims", new_claim | {"declared_by": NOBODY}, "/declared_by", NOBODY),
        (
            "/v1/claims",
            new_claim | {"quantities": [FIGURE], "sum_of": [{"claim_id": NOTHING["claim"], "measure": "killed"}]},
            "/sum_of/0/claim_id",
            NOTHING["claim"],
        ),
        (
            "/v1/claims",
            new_claim | {"first_statement": first | {"speaker_id": NOBODY}},
            "/first_statement/speaker_id",
            NOBODY,
        ),
        (
            "/v1/claims",
            new_claim | {"first_statement": first | {"rests_on": [NOTHING["evidence"]]}},
            "/first_statement/rests_on/0",
            NOTHING["evidence"],
        ),
        ("/v1/sources", {"name": "n", "kind": "person", "affiliated_to": [NOBODY]}, "/affiliated_to/0", NOBODY),
    ]
    for path, body, pointer, name in rows:
        with subtests.test(f"{path.rpartition('/')[2]} {pointer}"):
            answer = await desk.refuses("POST", path, 422, "unknown-reference", json=body)
            assert [pointer] == pointers(answer)
            assert name in answer.json()["detail"]


async def test_what_breaks_a_rule_is_pointed_to(desk: Desk, subtests: pytest.Subtests) -> None:
    """A claim serves parties of its story, a party is not its own ally, and nobody repeats a repetition."""
    repeated = await desk.post(desk.statements, desk.said(repeats=desk.statement))
    claim = {"story_id": desk.story, "text": "t"}
    term = {"claim_id": await desk.post("/v1/claims", claim | {"quantities": [FIGURE]}), "measure": "killed"}
    for path, body, pointer, name in [
        ("/v1/claims", claim | {"serves": ["russia", "atlantis"]}, "/serves/1", "atlantis"),
        ("/v1/claims", claim | {"harms": ["atlantis"]}, "/harms/0", "atlantis"),
        ("/v1/claims", claim | {"sum_of": [term]}, "/sum_of", "figure"),
        ("/v1/stories", {"title": "t", "parties": ["a"], "allies": {"a": ["a"]}}, "/allies/a", "own ally"),
        (desk.statements, desk.said(repeats=repeated), "/repeats", desk.statement),
    ]:
        with subtests.test(pointer):
            answer = await desk.refuses("POST", path, 422, "rule-broken", json=body)
            assert [pointer] == pointers(answer)
            assert name in answer.json()["detail"]


async def test_what_is_not_there_is_named(desk: Desk, subtests: pytest.Subtests) -> None:
    """A path to something that is not on record gets 404 and its identifier, whatever one would do there."""
    claim, film = f"/v1/claims/{NOTHING['claim']}", {"kind": "video", "bearing": "context", "description": "d"}
    for method, path, body in [
        ("GET", claim, None),
        ("GET", f"{claim}/history", None),
        ("POST", f"{claim}/statements", desk.said()),
        ("POST", f"{claim}/evidence", film),
        ("POST", f"{claim}/evidence/absence", {}),
        ("POST", f"{claim}/assessments", {"verdict": "verified", "rationale": "r", "by": PERSON}),
        ("POST", f"/v1/evidence/{NOTHING['evidence']}/authentication", {"method": "m", "by": PERSON}),
        ("GET", f"/v1/stories/{NOTHING['story']}", None),
        ("GET", f"/v1/sources/{NOBODY}", None),
    ]:
        with subtests.test(f"{method} {path}"):
            answer = await desk.refuses(method, path, 404, "not-found", json=body)
            assert path.split("/")[3] in answer.json()["detail"]


async def test_only_a_claim_is_a_claim(desk: Desk, subtests: pytest.Subtests) -> None:
    """A story, a source, the ledger itself or nonsense in the place of a claim is no claim: 404."""
    for other in (desk.story, desk.source, desk.evidence, "ledger", "claim_nonsense"):
        with subtests.test(other.partition("_")[0]):
            await desk.refuses("GET", f"/v1/claims/{other}", 404, "not-found")
        with subtests.test(f"history of {other.partition('_')[0]}"):
            await desk.refuses("GET", f"/v1/claims/{other}/history", 404, "not-found")
        with subtests.test(f"statement on {other.partition('_')[0]}"):
            await desk.refuses("POST", f"/v1/claims/{other}/statements", 404, "not-found", json=desk.said())


async def test_a_second_authentication_is_refused(desk: Desk) -> None:
    """What is on record already is not recorded again: 409."""
    body, path = {"method": "m", "by": PERSON}, f"/v1/evidence/{desk.evidence}/authentication"
    await desk.post(path, body)
    await desk.refuses("POST", path, 409, "already-recorded", json=body)


GOOD = b'{"title": "A story"}'
JSON = {"Content-Type": "application/json"}
BODIES: dict[str, tuple[bytes, Mapping[str, str], int, str]] = {
    "not JSON": (b"title=A+story", JSON, 400, "not-json"),
    "truncated": (GOOD[:-3], JSON, 400, "not-json"),
    "more than one value": (GOOD + GOOD, JSON, 400, "not-json"),
    "empty": (b"", JSON, 400, "not-json"),
    "invalid UTF-8": (b'{"title": "\xff\xfe"}', JSON, 400, "not-json"),
    "half a character": (b'{"title": "\\ud800"}', JSON, 400, "not-json"),
    "an array": (b"[" + GOOD + b"]", JSON, 422, "invalid"),
    "null": (b"null", JSON, 422, "invalid"),
    "a form": (b"title=A+story", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "unsupported-media-type"),
    "text": (GOOD, {"Content-Type": "text/plain"}, 415, "unsupported-media-type"),
    "XML": (b"<title/>", {"Content-Type": "application/xml"}, 415, "unsupported-media-type"),
    "of no type": (GOOD, {}, 415, "unsupported-media-type"),
    "compressed": (GOOD, JSON | {"Content-Encoding": "gzip"}, 415, "unsupported-media-type"),
    "over 60 KiB": (b'{"title": "' + b"x" * LARGEST_EVENT + b'"}', JSON, 413, "too-large"),
}


async def test_what_is_no_json_object_of_a_fair_size_is_refused(desk: Desk, subtests: pytest.Subtests) -> None:
    """The body has to be one JSON object in UTF-8, said to be JSON, and of at most 60 KiB."""
    for what, (content, headers, status, slug) in BODIES.items():
        with subtests.test(what):
            await desk.refuses("POST", "/v1/stories", status, slug, content=content, headers=headers)


async def test_an_event_over_60_kib_is_refused_even_if_its_body_is_not(desk: Desk) -> None:
    """What would take more than 60 KiB in the log is too large, although the request just is not."""
    figures = [{"measure": "😀" * 100, "value": n, "unit": "😀" * 50} for n in range(20)]
    body = desk.said(attribution="😀" * 2_000, quantities=figures, relay_ids=[desk.source] * 20, quote="")
    room = (LARGEST_EVENT - len(msgspec.json.encode(body))) // 4
    content = msgspec.json.encode(body | {"quote": "😀" * room})
    assert LARGEST_EVENT - 4 < len(content) <= LARGEST_EVENT
    await desk.refuses("POST", desk.statements, 413, "too-large", content=content, headers=JSON)


async def test_a_precondition_that_does_not_hold_or_is_none_is_refused(desk: Desk, subtests: pytest.Subtests) -> None:
    """If-Match with another version, epoch or service, or a weak tag, gets 412; with what is no ETag 400."""
    epoch = desk.ledger.epoch
    for given, status, slug in [
        (f'"{epoch}.1.1"', 412, "version-mismatch"),
        (f'"{epoch}.999.1"', 412, "version-mismatch"),
        ('"0123456789abc.1.1"', 412, "version-mismatch"),
        ('"nonsense"', 412, "version-mismatch"),
        (f'"{epoch}"', 412, "version-mismatch"),
        (f'"{epoch}.x.1"', 412, "version-mismatch"),
        (f'"{epoch}.-1.1"', 412, "version-mismatch"),
        (f'W/"{epoch}.1.1"', 412, "version-mismatch"),
        ('""', 412, "version-mismatch"),
        ("nonsense", 400, "bad-request"),
        (f"{epoch}.1.1", 400, "bad-request"),
        ('"nonsense', 400, "bad-request"),
        ("", 400, "bad-request"),
    ]:
        with subtests.test(given):
            await desk.refuses("POST", desk.statements, status, slug, json=desk.said(), headers={"If-Match": given})


async def test_a_key_for_one_request_is_not_for_another(desk: Desk, subtests: pytest.Subtests) -> None:
    """An Idempotency-Key with another body, at another place, or of no fair length is refused."""
    once = {"Idempotency-Key": "once"}
    other = await desk.post("/v1/claims", {"story_id": desk.story, "text": "Another."})
    assert (await desk.api.post(desk.statements, json=desk.said(), headers=once)).status_code == 201
    for what, path, body in [
        ("another body", desk.statements, desk.said(stance="denies")),
        ("another claim", f"/v1/claims/{other}/statements", desk.said()),
        ("another operation", "/v1/stories", {"title": "t"}),
    ]:
        with subtests.test(what):
            await desk.refuses("POST", path, 422, "idempotency-conflict", json=body, headers=once)
    for given in ("", "x" * 256, "x" * 300):
        with subtests.test(f"{len(given)} characters"):
            headers = {"Idempotency-Key": given}
            await desk.refuses("POST", desk.statements, 400, "bad-request", json=desk.said(), headers=headers)


async def test_without_a_key_of_this_ledger_nothing_opens(desk: Desk, store: Store, subtests: pytest.Subtests) -> None:
    """No key, half a key or a wrong secret gets 401 and how to authenticate; a key of another ledger gets 403."""
    good = desk.api.headers["authorization"]
    elsewhere = {"sha256": hashed("secret"), "ledger": "another", "scopes": "read record"}
    await store.hset(keys.api_key(f"elsewhere-{desk.ledger.name}"), mapping=elsewhere)
    for what, given, status, slug in [
        ("no key", "", 401, "unauthorized"),
        ("no token", "Bearer", 401, "unauthorized"),
        ("another scheme", good.replace("Bearer", "Basic"), 401, "unauthorized"),
        ("malformed", "Bearer nonsense", 401, "unauthorized"),
        ("no secret", good.partition(".")[0], 401, "unauthorized"),
        ("no prefix", good.replace("onrecord_", ""), 401, "unauthorized"),
        ("wrong secret", good[:-1] + ("A" if good[-1] != "A" else "B"), 401, "unauthorized"),
        ("unknown", "Bearer onrecord_0123.secret", 401, "unauthorized"),
        ("another ledger", f"Bearer onrecord_elsewhere-{desk.ledger.name}.secret", 403, "forbidden"),
    ]:
        for method, path in (("GET", "/v1/claims"), ("POST", desk.statements), ("GET", "/v1/events")):
            with subtests.test(f"{what}: {method} {path}"):
                headers = {"Authorization": given}
                answer = await desk.refuses(method, path, status, slug, json=desk.said(), headers=headers)
                assert ("Bearer" if status == 401 else "") == answer.headers.get("www-authenticate", "")[:6]


async def test_what_is_no_cursor_of_this_epoch_is_refused(desk: Desk, subtests: pytest.Subtests) -> None:
    """A malformed cursor, or one of another epoch, is never read as "from the beginning"."""
    for given in ("nonsense", f"{desk.ledger.epoch}.", f"{desk.ledger.epoch}.x", "0123456789abc.1", ""):
        for path in ("/v1/claims", "/v1/stories", "/v1/sources", "/v1/events", f"/v1/claims/{desk.claim}/history"):
            with subtests.test(f"{path}?after={given}"):
                await desk.refuses("GET", path, 400, "bad-cursor", params={"after": given})
        with subtests.test(f"Onrecord-After: {given}"):
            if given:
                headers = {"Onrecord-After": given}
                await desk.refuses("GET", f"/v1/claims/{desk.claim}", 400, "bad-cursor", headers=headers)


async def test_a_limit_outside_1_to_200_is_refused(desk: Desk, subtests: pytest.Subtests) -> None:
    """Every list wants a limit from 1 to 200."""
    for path in ("/v1/claims", "/v1/stories", "/v1/sources", "/v1/events", f"/v1/claims/{desk.claim}/history"):
        for limit in ("0", "201", "-1", "abc", "1.5"):
            with subtests.test(f"{path}?limit={limit}"):
                await desk.refuses("GET", path, 400, "bad-request", params={"limit": limit})


async def test_a_query_that_makes_no_sense_names_what_does_not(desk: Desk, subtests: pytest.Subtests) -> None:
    """A state or flag that there is none of is refused, and the problem names that parameter and no other."""
    for wrong, good in [("state", "source"), ("flag", "state"), ("limit", "state")]:
        with subtests.test(wrong):
            answer = await desk.refuses(
                "GET", "/v1/claims", 400, "bad-request", params={wrong: "nonsense", good: "contested"}
            )
            detail = answer.json()["detail"]
            assert detail.startswith(wrong)
            assert not re.search(rf"\b{good}\b", detail)


async def test_paths_and_methods_that_do_not_exist_are_refused(desk: Desk, subtests: pytest.Subtests) -> None:
    """An unknown path gets 404; a method that a resource has not gets 405 and those that it has."""
    for path in ("/v1/nothing", "/nothing", "/v2/claims", "/problems/nothing"):
        with subtests.test(path):
            await desk.refuses("GET", path, 404, "not-found")
    for method, path, allowed in [
        ("DELETE", "/v1/claims", {"GET", "POST"}),
        ("PUT", f"/v1/claims/{desk.claim}", {"GET"}),
        ("POST", "/v1/events", {"GET"}),
        ("GET", desk.statements, {"POST"}),
    ]:
        with subtests.test(f"{method} {path}"):
            answer = await desk.refuses(method, path, 405, "method-not-allowed")
            assert allowed <= {each.strip() for each in answer.headers["allow"].split(",")}


@pytest.mark.parametrize("moment", ["9999", "9999-12", "9999-12-31", "9999-12-31T23:59Z"])
async def test_what_lies_ahead_is_not_recorded(desk: Desk, moment: str) -> None:
    """Nothing was said in the future, to the very end of the calendar; a figure may be as at any moment."""
    await desk.refuses("POST", desk.statements, 422, "rule-broken", json=desk.said(said_at=moment))
    figure = {"measure": "aboard", "value": 3, "as_at": moment}
    await desk.post(desk.statements, desk.said(quantities=[figure]))


async def test_the_first_year_is_a_moment_like_any_other(desk: Desk) -> None:
    """What was said in the year 1 is recorded as it is."""
    await desk.post(desk.statements, desk.said(said_at="0001"))
