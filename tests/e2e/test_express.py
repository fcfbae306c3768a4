"""Answers that are at hand: whoever asks again gets what they would have got, sooner, and nobody gets more."""

from typing import Any

import httpx2
import pytest

from events.ledger import Ledger
from events.store import Store
from service.api.http.answer import Answer
from service.api.http.at_hand import LARGEST, AnswersAtHand
from service.auth.keys import new_key
from service.auth.scopes import Scope
from tests.e2e.conftest import Newsroom

VARYING = {"date", "ratelimit", "x-request-id"}


@pytest.fixture
async def claim(room: Newsroom) -> str:
    """A claim that was read, so that it is at hand, as the list is that it is in."""
    claim = await room.claim("It fell.", room.said("red"))
    await room.read(claim)
    for path in ("/v1/claims", f"/v1/claims/{claim}"):
        for _ in range(3):
            assert (await room.api.get(path)).status_code == 200
    return claim


async def test_an_answer_at_hand_is_the_same_as_any_other(room: Newsroom, claim: str) -> None:
    """Content, status and header fields are those of an answer that was made anew, and each request is counted."""
    for path in ("/v1/claims", f"/v1/claims/{claim}"):
        anew = await room.ask(path)
        again = [await room.api.get(path) for _ in range(3)]
        for each in again:
            assert (200, anew.content) == (each.status_code, each.content)
            assert _fixed(anew) == _fixed(each)
        counts = [int(each.headers["ratelimit"].partition("r=")[2].partition(";")[0]) for each in (anew, *again)]
        assert counts == sorted(set(counts), reverse=True)
        header = await room.api.head(path)
        assert (200, b"", _fixed(anew)) == (header.status_code, header.content, _fixed(header))


async def test_what_is_at_hand_is_refused_as_ever(room: Newsroom, claim: str, store: Store, ledger: Ledger) -> None:
    """Neither a key without the scope nor one of another ledger gets it, nor who accepts another form or has it."""
    narrow, other = (
        await new_key(store, ledger.name, scopes={Scope.RECORD}),
        await new_key(store, f"{ledger.name}-other", scopes={Scope.READ}),
    )
    for path in ("/v1/claims", f"/v1/claims/{claim}"):
        tag = (await room.api.get(path)).headers["etag"]
        for headers, status in (
            ({"Authorization": ""}, 401),
            ({"Authorization": "Bearer onrecord_nobody.knows"}, 401),
            ({"Authorization": f"Bearer {narrow}"}, 403),
            ({"Authorization": f"Bearer {other}"}, 403),
            ({"Accept": "text/html"}, 406),
            ({"If-None-Match": tag}, 304),
            ({"Onrecord-After": "nonsense"}, 400),
            ({"Host": "no host"}, 400),
        ):
            for _ in range(2):
                assert status == (await room.api.get(path, headers=headers)).status_code, headers


async def test_what_is_recorded_is_seen(room: Newsroom, claim: str) -> None:
    """After a write, a claim and a list that were at hand are what the write made of them."""
    for _ in range(3):
        statement = await room.say(claim)
        found = await _until(room.api, f"/v1/claims/{claim}", statement)
        assert found.headers["etag"] == (await room.ask(f"/v1/claims/{claim}")).headers["etag"]
        another = await room.claim("It burned.")
        await _until(room.api, "/v1/claims", another)


def test_what_is_at_hand_has_a_limit() -> None:
    """Whoever asks for ever other things does not fill the memory: what was kept first goes."""
    kept, answer = AnswersAtHand(), Answer(b"x" * 100_000)
    scopes: list[Any] = [
        {"headers": [], "raw_path": b"/%d" % n, "query_string": b"", "route_handler": None, "path_template": "/"}
        for n in range(2 * LARGEST // 100_000)
    ]
    for scope in scopes:
        kept.keep(scope, answer, lambda: True)
    held = [scope for scope in scopes if kept.find((b"", scope["raw_path"], b""))]
    assert held == scopes[-len(held) :]
    assert LARGEST * 0.9 < len(held) * 100_000 <= LARGEST


async def _until(api: httpx2.AsyncClient, path: str, said: str) -> httpx2.Response:
    """Ask without a token until an answer has something in it; the time-out of the test bounds it."""
    while said not in (found := await api.get(path)).text:
        assert found.status_code == 200
    return found


def _fixed(answer: httpx2.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in VARYING}
