"""Who may do what: every route with every scope, with no key, and with keys that open nothing."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from events.identifiers import derived_id
from events.ledger import Ledger
from events.store import Store
from service.app import create_app
from service.auth import attempts
from service.auth.kept_keys import KeptKeys, NewKey, split
from service.auth.keys import new_key
from service.auth.scopes import EVERY, Scope
from service.settings import Settings

PUBLIC = None
WANTED: dict[str, Scope | None] = msgspec.json.decode(
    Path(__file__).with_name("scopes.json").read_bytes(), type=dict[str, Scope | None]
)
"""The scope that each route wants, by its operation; none where anybody may ask."""
_IN_PATHS = {"position": "999999", "level": "0", "place": "000", "name": "nothing", "slug": "nothing"}


class Operation(msgspec.Struct, frozen=True):
    """One operation of the API, with a path at which there is nothing."""

    id: str
    method: str
    path: str


def operations() -> list[Operation]:
    """Return every operation that the application has, but for those by which it answers OPTIONS."""
    found = []
    for route in create_app(Settings()).routes:
        for handler in getattr(route, "route_handlers", ()):
            if handler.fn.__module__.startswith("litestar."):
                continue
            path = "".join(f"/{_filled(part)}" for part in route.path_components)
            found += [Operation(handler.operation_id, method, path) for method in handler.http_methods]
    return found


def _filled(part: Any) -> str:
    if isinstance(part, str):
        return part
    kind = part.name.removesuffix("_id")
    return _IN_PATHS.get(part.name) or derived_id(kind, "nothing")


OPERATIONS = operations()


@pytest.fixture
async def anybody(api: httpx2.AsyncClient) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the same API without a key."""
    async with httpx2.AsyncClient(base_url=api.base_url, timeout=10) as client:
        yield client


def bearing(token: str) -> dict[str, str]:
    """Return the header of who bears a key."""
    return {"Authorization": f"Bearer {token}"}


async def test_every_route_opens_for_its_scope_and_for_no_other(
    anybody: httpx2.AsyncClient, store: Store, ledger: Ledger
) -> None:
    """A key with one scope gets through where that is wanted; elsewhere it is told which one is, in two places."""
    tokens = {scope: await new_key(store, ledger.name, scopes={scope}) for scope in Scope}
    for operation in OPERATIONS:
        wanted = WANTED[operation.id]
        for scope, token in tokens.items():
            answer = await anybody.request(operation.method, operation.path, headers=bearing(token))
            if wanted in {scope, PUBLIC}:
                assert answer.status_code not in {401, 403, 500}, (operation, scope, answer.text)
                continue
            challenge = f'Bearer realm="On Record", error="insufficient_scope", scope="{wanted}"'
            assert (403, challenge) == (answer.status_code, answer.headers["www-authenticate"]), (operation, scope)
            assert answer.json()["detail"] == f"the key does not have the scope {wanted}"


async def test_a_key_with_every_scope_but_one_lacks_just_that(
    anybody: httpx2.AsyncClient, store: Store, ledger: Ledger
) -> None:
    """No scope implies another: whoever has all others does not have this one."""
    for scope in Scope:
        token = await new_key(store, ledger.name, scopes=EVERY - {scope})
        for operation in OPERATIONS:
            if WANTED[operation.id] is scope:
                answer = await anybody.request(operation.method, operation.path, headers=bearing(token))
                assert answer.status_code == 403, (operation, scope)


async def test_without_a_key_that_opens_something_only_what_is_public_answers(
    anybody: httpx2.AsyncClient, store: Store, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No key, another scheme, no secret, a wrong one, a revoked and an expired key: 401 everywhere."""
    monkeypatch.setattr(attempts, "BURST", 10_000)
    known = await new_key(store, ledger.name, scopes=EVERY)
    wrong = known[:-1] + ("A" if known[-1] != "A" else "B")
    kept = KeptKeys(store)
    revoked = await kept.create(NewKey(ledger=ledger.name, scopes=EVERY))
    await kept.revoke(f"key_{split(revoked)[0]}", ledger.name, by="system", spare_last=False)
    expired = await kept.create(NewKey(ledger=ledger.name, scopes=EVERY, expires=1))
    for given in (
        "",
        "Basic dXNlcjpzZWNyZXQ=",
        "Bearer",
        f"Bearer {known.partition('.')[0]}.",
        f"Bearer {wrong}",
        f"Bearer {revoked}",
        f"Bearer {expired}",
    ):
        for operation in OPERATIONS:
            headers = {"Authorization": given} if given else {}
            answer = await anybody.request(operation.method, operation.path, headers=headers)
            if WANTED[operation.id] is PUBLIC:
                assert answer.status_code == (404 if operation.path.endswith("/nothing") else 200), (operation, given)
            else:
                assert answer.status_code == 401, (operation, given)
                assert answer.headers["www-authenticate"].startswith('Bearer realm="On Record"')


async def test_what_litestar_serves_by_itself_is_nowhere(api: httpx2.AsyncClient) -> None:
    """Its own pages on the description, which load scripts from elsewhere, are not part of the API."""
    for path in ("/schema", "/schema/swagger", "/schema/openapi.json"):
        assert (await api.get(path)).status_code == 404


async def test_an_assessment_is_voided_only_by_who_may_assess(
    api: httpx2.AsyncClient, store: Store, ledger: Ledger
) -> None:
    """A key that may record cannot take back a judgement by another way."""
    story = (await api.post("/v1/stories", json={"title": "A crash"})).json()["id"]
    claim = (await api.post("/v1/claims", json={"story_id": story, "text": "It fell."})).json()["id"]
    judged = {"verdict": "verified", "rationale": "We looked.", "by": derived_id("person", "editor")}
    made = (await api.post(f"/v1/claims/{claim}/assessments", json=judged)).json()
    void = f"/v1/events/{made['events'][0]['position']}/void"
    recorder = bearing(await new_key(store, ledger.name, scopes={Scope.RECORD}))
    refused = await api.post(void, json={"reason": "Not ours."}, headers=recorder)
    assert (refused.status_code, refused.json()["detail"]) == (403, "the key does not have the scope assess")
    assert (await api.post(void, json={"reason": "Not ours."})).status_code == 201
