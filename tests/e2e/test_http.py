"""What holds for every route, whoever wrote it: the routes are asked of the application, so that none is forgotten."""

import asyncio
import gc
import gzip
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import brotli
import httpx2
import pytest
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from msgspec import structs

from events.identifiers import derived_id
from service.api import operate
from service.api.http import connection
from service.api.http.kinds import KINDS
from service.api.http.negotiation import offered
from service.api.http.served import Visit
from service.app import create_app
from service.projections.catalog import PROJECTIONS
from service.projections.queries import Queries
from service.settings import Settings
from tests.e2e.conftest import Newsroom, sealed_up_to, serving

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
_OF_THEIR_OWN = {
    "/schemas/": "/schemas/story.opened.1.json",
    "/docs/{": "/docs/swagger-ui.css",
    "/v1/audit/diff": "/v1/audit/diff?from=1&to=2",
    "/v1/checkpoint/consistency": "/v1/checkpoint/consistency?old=1",
    "/v1/ledgers/{": "/v1/ledgers/{ledger}",
    "/v1/tile/": "/v1/tile/0/{tile}",
    "/v1/tile/entries/": "/v1/tile/entries/{tile}",
}
"""Paths in which a parameter means something else than in others, or that need a query."""
_OF_THE_LOG = {
    "/v1/checkpoint": "no-cache",
    "/v1/checkpoint/consistency": "no-cache",
    "/v1/tile/entries/{place:path}": "private, max-age=31536000, immutable",
    "/v1/tile/{level:int}/{place:path}": "private, max-age=31536000, immutable",
}
"""What may be kept of the log, which shows nobody's key: the last checkpoint changes, a tile never does."""
_NOTHING_YET = "/v1/webhooks/{webhook_id}/deliveries/{position}"
"""What there is nothing at in these tests: their worker delivers nothing."""
PROBLEM = "application/problem+json"
VARYING = {"date", "ratelimit", "x-request-id", "content-length"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings under which a webhook can lead to this machine."""
    return structs.replace(settings, webhook_allow="127.0.0.0/8")


@pytest.fixture
def app(settings: Settings) -> Litestar:
    """The application, for its routes."""
    return create_app(settings)


def routes(app: Litestar) -> Iterator[HTTPRoute]:
    """Yield the routes of an application, Litestar's own aside."""
    for route in app.routes:
        if isinstance(route, HTTPRoute) and not route.route_handlers[0].fn.__module__.startswith("litestar."):
            yield route


def handlers(app: Litestar) -> Iterator[tuple[HTTPRoute, str, HTTPRouteHandler]]:
    """Yield every route with a method and what handles it; OPTIONS aside, which no route handles by itself."""
    for route in routes(app):
        for method, (handler, _) in route.route_handler_map.items():
            if method != "OPTIONS":
                yield route, method, handler


@pytest.fixture
async def places(room: Newsroom, sealing: Path) -> dict[str, str]:
    """A thing that there is, for each parameter that a path can have."""
    claim = await room.claim("It fell.", room.said("red", quote="We did not do it. " * 200))
    statement, evidence = await room.say(claim), await room.show(claim)
    inquiry = {"source_id": room.sources["red"], "sent_at": "2024-01-24", "deadline": "2034-01-25"}
    text = {"url": "https://example.org/a", "title": "t", "published_at": "2024-01-24", "claims": [{"claim_id": claim}]}
    asked = await room.send("POST", f"/v1/claims/{claim}/inquiries", inquiry)
    made = await room.send("POST", "/v1/publications", text)
    webhook = await room.post("/v1/webhooks", {"url": "http://127.0.0.1:1/", "verify": False})
    await sealed_up_to(room.api, webhook["position"])
    (key,) = (await room.get("/v1/keys"))["items"]
    _, size, *_ = (await room.api.get("/v1/checkpoint")).text.splitlines()
    return {
        "story_id": room.story,
        "source_id": room.sources["red"],
        "claim_id": claim,
        "statement_id": statement,
        "evidence_id": evidence,
        "inquiry_id": asked.json()["id"],
        "assessment_id": await room.assess(claim),
        "publication_id": made.json()["id"],
        "person_id": "person_none",
        "position": "3",
        "name": "claims",
        "slug": "invalid",
        "webhook_id": webhook["id"],
        "key_id": key["id"],
        "ledger": room.ledger.name,
        "tile": f"000.p/{size}",
    }


def path_of(route: HTTPRoute, places: dict[str, str]) -> str:
    """Return the path of a route with a thing that there is for each of its parameters."""
    for begins in sorted(_OF_THEIR_OWN, reverse=True):
        if route.path.startswith(begins):
            return _OF_THEIR_OWN[begins].format_map(places)
    return re.sub(r"{(\w+)(:\w+)?}", lambda match: places.get(match[1]) or derived_id("claim", "nothing"), route.path)


async def test_every_route_can_be_asked_for_its_header_alone(
    room: Newsroom, app: Litestar, places: dict[str, str], subtests: pytest.Subtests
) -> None:
    """HEAD answers as GET does, without the body."""
    head_of_all = (await room.ledger.head()).position
    for projection in PROJECTIONS:
        await Queries(room.store, room.ledger.keys).wait_for(projection, head_of_all, seconds=20)
    for route, method, _ in handlers(app):
        if method != "GET":
            continue
        with subtests.test(route.path):
            path = path_of(route, places)
            body, head = await room.api.get(path), await room.api.head(path)
            assert (body.status_code, b"") == (head.status_code, head.content)
            assert _fixed(body) == _fixed(head)
            if "content-length" in head.headers:
                assert "content-length" in body.headers


async def test_the_header_of_a_stream_comes_without_the_stream(room: Newsroom) -> None:
    """HEAD of what streams, for ever or not, says how it would begin and ends at once."""
    for media_type in ("text/event-stream", "application/x-ndjson"):
        answer = await room.api.head("/v1/events", headers={"Accept": media_type})
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"].startswith(media_type)
        assert (await room.api.get("/livez")).status_code == 200


def _fixed(answer: httpx2.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in VARYING}


async def test_every_route_says_which_methods_it_has(
    room: Newsroom, app: Litestar, places: dict[str, str], subtests: pytest.Subtests
) -> None:
    """OPTIONS needs no key and names them; so does the 405 that any other method gets."""
    for route in routes(app):
        path = path_of(route, places)
        had = {*route.methods, "OPTIONS"} | ({"HEAD"} if "GET" in route.methods else set())
        with subtests.test(f"OPTIONS {path}"):
            answer = await room.api.options(path, headers={"Authorization": ""})
            assert (answer.status_code, answer.content) == (204, b"")
            assert sorted(had) == answer.headers["allow"].split(", ")
        for method in METHODS:
            if method not in had:
                with subtests.test(f"{method} {path}"):
                    refused = await room.api.request(method, path)
                    _is_problem(refused, 405, "method-not-allowed")
                    assert sorted(had) == refused.headers["allow"].split(", ")
    _is_problem(await room.api.options("/v1/nothing"), 404, "not-found")


def _described(app: Litestar, route: HTTPRoute) -> dict[str, Any]:
    """Return what the description says of an answer to GET that is as it should be; nothing if it is not described."""
    operation = json.loads(app.state.openapi)["paths"].get(route.path_format, {}).get("get")
    described: dict[str, Any] = operation["responses"]["200"] if operation else {}
    return described


def _is_problem(answer: httpx2.Response, status: int, slug: str) -> None:
    said = answer.json()
    assert (status, f"/problems/{slug}", status) == (answer.status_code, said["type"], said["status"]), answer.text
    assert answer.headers["content-type"] == PROBLEM
    assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")


async def test_no_route_answers_in_a_form_that_is_not_accepted(
    room: Newsroom, app: Litestar, places: dict[str, str], subtests: pytest.Subtests
) -> None:
    """What accepts nothing that a route has gets 406 and what there is, and nothing is done; ``*/*`` is always met."""
    before = await room.ledger.head()
    for route, method, handler in handlers(app):
        if not (handler.opt.keys() & {"answer", "items", "events", "text", "media"}):
            continue
        path = path_of(route, places)
        for accept in ("image/png", "*/*;q=0", "text/html;q=0, application/json;q=0, text/plain;q=0"):
            with subtests.test(f"{method} {path} {accept}"):
                headers = {"Accept": accept, "Content-Type": "application/json"}
                _is_problem(await room.api.request(method, path, headers=headers), 406, "not-acceptable")
        if method == "GET":
            with subtests.test(f"{path} for a browser"):
                answer = await room.api.get(path, headers={"Accept": BROWSER})
                there = [*_described(app, route).get("content", offered(handler.opt))]
                media_type = "text/html" if "text/html" in there else there[0]
                expected = (404, PROBLEM) if route.path_format == _NOTHING_YET else (200, media_type)
                assert expected == (answer.status_code, answer.headers["content-type"].partition(";")[0])
    assert before == await room.ledger.head()


async def test_whatever_is_said_to_have_an_etag_has_one(
    room: Newsroom, app: Litestar, places: dict[str, str], subtests: pytest.Subtests
) -> None:
    """What is described with an ETag has one, nothing else has; where If-None-Match is described, it is heeded."""
    for route, method, _ in handlers(app):
        if method != "GET" or route.path_format == _NOTHING_YET or not (described := _described(app, route)):
            continue
        with subtests.test(route.path):
            path = path_of(route, places)
            answer = await room.ask(path)
            assert (200, "ETag" in described["headers"]) == (answer.status_code, "etag" in answer.headers)
            parameters = json.loads(app.state.openapi)["paths"][route.path_format]["get"]["parameters"]
            if "#/components/parameters/IfNoneMatch" in [each.get("$ref") for each in parameters]:
                known = {"If-None-Match": answer.headers["etag"], "Onrecord-After": room.after}
                assert (await room.api.get(path, headers=known)).status_code == 304
                _is_problem(await room.api.get(path, headers={"If-None-Match": "x" * 4001}), 400, "bad-request")


async def test_every_answer_says_what_may_be_kept_of_it(
    room: Newsroom, app: Litestar, places: dict[str, str], subtests: pytest.Subtests
) -> None:
    """What is of a ledger is private and asked for each time, but for its log; an error is never kept."""
    for route, method, handler in handlers(app):
        with subtests.test(f"{method} {route.path}"):
            answer = await room.api.request(method, path_of(route, places))
            kept = answer.headers["cache-control"]
            if answer.is_error:
                assert kept == "no-store"
            elif route.path in _OF_THE_LOG:
                assert kept == _OF_THE_LOG[route.path]
            elif not handler.opt.get("public"):
                assert kept in {"private, no-cache", "no-store"}
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert {"accept", "accept-encoding"} <= {each.strip() for each in answer.headers["vary"].split(",")}


async def test_without_a_key_every_route_is_closed_but_those_for_everybody(
    room: Newsroom, app: Litestar, places: dict[str, str], subtests: pytest.Subtests
) -> None:
    """Whoever has no key is told so by a problem, with the scheme to use, whatever else is wrong."""
    for route, method, handler in handlers(app):
        with subtests.test(f"{method} {route.path}"):
            answer = await room.api.request(method, path_of(route, places), headers={"Authorization": ""})
            if handler.opt.get("public"):
                assert answer.status_code == 200
            else:
                _is_problem(answer, 401, "unauthorized")
                assert answer.headers["www-authenticate"].startswith("Bearer")


# ------------------------------------------------------------------------------------------- problems


async def test_every_problem_has_a_page_for_people(api: httpx2.AsyncClient, subtests: pytest.Subtests) -> None:
    """The type of a problem is a page that says what it means and what to do, for browsers and for terminals."""
    listed = (await api.get("/problems")).text
    linked = (await api.get("/problems", headers={"Accept": BROWSER})).text
    for kind in KINDS.values():
        with subtests.test(kind.slug):
            where = f"/problems/{kind.slug}"
            text = await api.get(where, headers={"Authorization": "", "Accept": "*/*"})
            page = await api.get(where, headers={"Authorization": "", "Accept": BROWSER})
            assert "text/plain; charset=utf-8" == text.headers["content-type"]  # noqa: SIM300 - expected first
            assert "text/html; charset=utf-8" == page.headers["content-type"]  # noqa: SIM300
            assert kind.title in text.text
            assert kind.advice in text.text
            assert f"<h1>{kind.title} ({kind.status})</h1>".replace("'", "&#x27;") in page.text
            assert "default-src 'none'" in page.headers["content-security-policy"]
            assert where in listed
            assert f'href="{where}"' in linked


async def test_no_inside_reaches_a_client(
    api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error that nobody foresaw is a problem that tells nothing of it; the log has it all."""

    async def broken(*_: object) -> None:
        raise RuntimeError("the password is swordfish")

    monkeypatch.setattr(operate.status, "of_all", broken)
    answer = await api.get("/readyz")
    _is_problem(answer, 500, "internal-error")
    assert "swordfish" not in answer.text
    assert "Traceback" not in answer.text
    assert "swordfish" in "".join(capsys.readouterr())  # on which stream hangs on what set up the log before


# ----------------------------------------------------------------------------------------- connections


async def exchange(api: httpx2.AsyncClient, request: bytes) -> tuple[bytes, dict[str, object]]:
    """Send bytes as they are, and return the status line and the problem that come back before the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.base_url.port)
    writer.write(request)
    await writer.drain()
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    return head.partition(b"\r\n")[0], json.loads(body)


@pytest.mark.parametrize(
    ("request_", "status", "slug"),
    [
        (b"NONSENSE\r\n\r\n", b"400", "bad-request"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400", "bad-request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", b"400", "bad-request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + 2 * b"Authorization: Bearer a\r\n" + b"\r\n", b"400", "bad-request"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400", "bad-request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", b"400", "bad-request"),
        (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", b"400", "bad-request"),
        (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", b"400", "bad-request"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"414", "uri-too-long"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 33_000 + b"\r\n\r\n", b"431", "headers-too-large"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: x\r\n" * 101 + b"\r\n", b"431", "headers-too-large"),
    ],
)
async def test_what_is_no_request_is_a_problem_too(
    api: httpx2.AsyncClient, request_: bytes, status: bytes, slug: str
) -> None:
    """Whatever the server itself cannot read or does not want gets a problem, and the connection ends."""
    line, problem = await exchange(api, request_)
    assert status == line.split()[1]
    assert (f"/problems/{slug}", int(status)) == (problem["type"], problem["status"])


LATE = (
    b"POST /v1/stories HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"
    b'{"title": "A st'
)


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n", LATE])
async def test_a_request_that_never_ends_is_not_waited_for(
    api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """A connection that brings no whole request in time is told so and closed, wherever in the request it stopped."""
    monkeypatch.setattr(connection, "PATIENCE_SECONDS", 0.3)
    token = str(api.headers["authorization"]).encode()
    line, problem = await exchange(api, sent.replace(b"Host: a", b"Host: a\r\nAuthorization: " + token))
    assert (line.split()[1], problem["type"]) == (b"408", "/problems/request-timeout")


async def test_a_connection_in_use_is_left_alone(api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """One connection can be used for longer than one request may take."""
    monkeypatch.setattr(connection, "PATIENCE_SECONDS", 0.05)
    loop = asyncio.get_running_loop()
    end = loop.time() + 0.3
    while loop.time() < end:
        assert (await api.get("/livez")).status_code == 200


# ---------------------------------------------------------------------------------------- compression


@pytest.mark.parametrize(
    ("accepted", "coded"),
    [
        ("br", "br"),
        ("gzip, deflate, br", "br"),
        ("gzip", "gzip"),
        ("*", "br"),
        ("br;q=0, *", "gzip"),
        ("br;q=0.5, gzip;q=0.8", "gzip"),
        ("identity, br;q=0.5", None),
        ("br;q=0", None),
        ("zstd", None),
        ("", None),
    ],
)
async def test_large_answers_are_compressed_for_those_who_want_that(
    room: Newsroom, places: dict[str, str], accepted: str, coded: str | None
) -> None:
    """A document is sent in the coding that is preferred, with an ETag of its own that names the same version."""
    where = f"/v1/claims/{places['claim_id']}"
    plain = await room.ask(where)
    async with room.api.stream("GET", where, headers={"Accept-Encoding": accepted}) as answer:
        raw = b"".join([part async for part in answer.aiter_raw()])
    assert coded == answer.headers.get("content-encoding")
    assert len(raw) == int(answer.headers["content-length"])
    decode = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}[coded]
    assert plain.content == decode(raw)
    tag = answer.headers["etag"]
    assert (coded is None) == (plain.headers["etag"] == tag)
    for accepting in (accepted, "identity"):
        headers = {"If-None-Match": tag, "Accept-Encoding": accepting}
        again = await room.api.get(where, headers=headers)
        assert (304, b"", tag) == (again.status_code, again.content, again.headers["etag"])
    changed = await room.send("PATCH", where, {"text": "It crashed."}, If_Match=tag)
    assert changed.status_code == 200


async def test_small_answers_are_sent_as_they_are(api: httpx2.AsyncClient) -> None:
    """What fits into a packet is not compressed."""
    answer = await api.get("/livez", headers={"Accept-Encoding": "br, gzip"})
    assert "content-encoding" not in answer.headers


# ----------------------------------------------------------------------------------------------- CORS


DESK = "https://desk.example.org"


@pytest.fixture
async def shared(settings: Settings, api: httpx2.AsyncClient) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an API that pages of one other origin may use."""
    cross_origin = structs.replace(settings, cors_origins=f"{DESK},http://localhost:3000")
    async with serving(cross_origin, api.headers) as client:
        yield client


def _cross_origin(answer: httpx2.Response) -> list[str]:
    return sorted(name for name in answer.headers if name.startswith("access-control"))


async def test_no_page_of_another_origin_may_read_unless_it_is_named(
    api: httpx2.AsyncClient, shared: httpx2.AsyncClient
) -> None:
    """Without a setting nobody is; with it, whoever is named exactly, also to problems, and never with cookies."""
    asking = {"Origin": DESK, "Access-Control-Request-Method": "PATCH", "Authorization": ""}
    preflight = await api.options("/v1/claims/x", headers=asking)
    assert (preflight.status_code, _cross_origin(preflight)) == (204, [])
    assert _cross_origin(await api.get("/v1/claims", headers={"Origin": DESK})) == []
    allowed = await shared.options("/v1/claims/x", headers=asking)
    assert allowed.headers["access-control-allow-origin"] == DESK
    assert "PATCH" in allowed.headers["access-control-allow-methods"].split(", ")
    assert {"Authorization", "If-Match", "Idempotency-Key"} <= set(
        allowed.headers["access-control-allow-headers"].split(", ")
    )
    for path in ("/v1/claims", "/v1/nothing", "/livez"):
        answer = await shared.get(path, headers={"Origin": DESK})
        assert answer.headers["access-control-allow-origin"] == DESK
        assert {"ETag", "Link", "Onrecord-After", "RateLimit"} <= set(
            answer.headers["access-control-expose-headers"].split(", ")
        )
        assert "origin" in answer.headers["vary"]
        assert "access-control-allow-credentials" not in answer.headers
    for other in ("https://desk.example.org.evil.org", "http://desk.example.org", "null", f"{DESK}:8443"):
        assert _cross_origin(await shared.get("/v1/claims", headers={"Origin": other})) == []
        assert _cross_origin(await shared.options("/v1/claims", headers=asking | {"Origin": other})) == []


async def test_answering_leaves_nothing_for_the_collector_of_cycles(room: Newsroom) -> None:
    """What a request held is gone with it: a collection that stops everything else has nothing to look for."""
    claim = await room.claim("It came down.")
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            await room.say(claim, "witness")
            await room.get(f"/v1/claims/{claim}")
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found = [each for each in gc.garbage if isinstance(each, Visit)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not found
