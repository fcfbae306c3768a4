"""API keys: made once, shown once, revoked at once in every process, and nothing of another ledger's."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import structlog
import uvicorn

from events import keys
from events.ledger import Ledger
from events.store import Store
from service.app import create_app
from service.auth.kept_keys import KeptKeys, NewKey
from service.auth.keys import new_key
from service.auth.scopes import EVERY, Scope
from service.settings import Settings
from service.verification.policy import STRICT_TWO_SOURCE

_PATIENCE = 20
ASKED = {"name": "website", "scopes": ["read"]}


def bearing(token: str) -> dict[str, str]:
    """Return the header of who bears a key."""
    return {"Authorization": f"Bearer {token}"}


@contextlib.asynccontextmanager
async def process(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """Run another API process's work on the same store, and yield a client of it without a key."""
    server = uvicorn.Server(uvicorn.Config(create_app(settings), port=0, log_config=None, lifespan="on"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done()
        await asyncio.sleep(0)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=_PATIENCE) as client:
        yield client
    server.should_exit = True
    await serving


async def made(api: httpx2.AsyncClient, **more: Any) -> dict[str, Any]:
    """Make a key, and return the answer."""
    answer = await api.post("/v1/keys", json=ASKED | more)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_a_key_is_shown_once_and_only_its_hash_is_kept(
    api: httpx2.AsyncClient, store: Store, ledger: Ledger
) -> None:
    """The answer that makes it has it, and is not to be kept; no other answer and nothing in the store does."""
    answer = await api.post("/v1/keys", json=ASKED | {"expires": "2099-12-31"})
    key = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["location"] == f"/v1/keys/{key['id']}"
    assert key["key"].startswith(f"onrecord_{key['id'].removeprefix('key_')}.")
    assert (key["ledger"], key["name"], key["scopes"]) == (ledger.name, "website", ["read"])
    assert key["expires"] == "2099-12-31T23:59:59.999999Z"
    assert (await api.get("/v1/claims", headers=bearing(key["key"]))).status_code == 200
    secret = key["key"].partition(".")[2]
    read = await api.get(f"/v1/keys/{key['id']}")
    assert {name: value for name, value in key.items() if name not in {"key", "last_used"}} == {
        name: value for name, value in read.json().items() if name != "last_used"
    }
    listed = await api.get("/v1/keys")
    assert secret not in read.text + listed.text
    held = await store.hgetall(keys.api_key(key["id"].removeprefix("key_")))
    assert not [value for value in held.values() if secret.encode() in value]


async def test_asking_twice_for_a_key_makes_one(api: httpx2.AsyncClient) -> None:
    """With one Idempotency-Key the second answer is the first one; for another key it is refused."""
    once = {"Idempotency-Key": "website"}
    first, second = [await api.post("/v1/keys", json=ASKED, headers=once) for _ in range(2)]
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert (await api.get("/v1/claims", headers=bearing(second.json()["key"]))).status_code == 200
    other = await api.post("/v1/keys", json=ASKED | {"name": "alerts"}, headers=once)
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-conflict")
    both = await asyncio.gather(
        *(api.post("/v1/keys", json=ASKED, headers={"Idempotency-Key": "both"}) for _ in range(2))
    )
    assert both[0].json() == both[1].json()
    assert len({each["id"] for each in (await api.get("/v1/keys")).json()["items"]}) == 3


async def test_what_is_asked_amiss_makes_no_key(api: httpx2.AsyncClient, store: Store, ledger: Ledger) -> None:
    """No scope, an unknown one, no name, a past end, a ledger of one's choice, and a scope that one does not have."""
    before = (await api.get("/v1/keys")).json()["items"]
    for body, pointer in (
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["all"]}, "/scopes/0"),
        ({"name": ""}, "/name"),
        ({"expires": "2020-01-01"}, "/expires"),
        ({"expires": "2099-13"}, "/expires"),
        ({"ledger": "main"}, "/ledger"),
    ):
        refused = await api.post("/v1/keys", json=ASKED | body)
        assert refused.status_code == 422, body
        assert [each["pointer"] for each in refused.json()["errors"]] in ([pointer], [""]), body
    administrator = bearing(await new_key(store, ledger.name, scopes={Scope.ADMIN}))
    refused = await api.post("/v1/keys", json=ASKED, headers=administrator)
    assert (refused.status_code, refused.json()["detail"]) == (403, "the key does not have the scope read")
    after = (await api.get("/v1/keys")).json()["items"]
    assert len(before) + 1 == len(after)


async def test_a_revoked_key_opens_nothing_in_any_process_at_once(
    api: httpx2.AsyncClient, settings: Settings, store: Store
) -> None:
    """Both processes knew the key well; after the answer to its revocation neither lets it in any more."""
    async with process(settings) as other:
        for _ in range(3):
            key = await made(api)
            mine = bearing(key["key"])
            for each in (api, other, other):
                assert (await each.get("/v1/claims", headers=mine)).status_code == 200
            revoked = await api.delete(f"/v1/keys/{key['id']}")
            begun = time.monotonic()
            assert revoked.status_code == 200
            assert revoked.json()["revoked"]
            while (answer := await other.get("/v1/claims", headers=mine)).status_code == 200:
                assert time.monotonic() - begun < 1, "it is believed for half a minute unless that is cut"
            assert (answer.status_code, answer.json()["detail"]) == (401, "the API key was revoked")
            assert (await api.get("/v1/claims", headers=mine)).status_code == 401
            again = await api.delete(f"/v1/keys/{key['id']}")
            assert revoked.json() == again.json()


async def test_a_key_ends_when_it_expires_though_it_was_known(
    api: httpx2.AsyncClient, store: Store, ledger: Ledger
) -> None:
    """It opens up to that moment, and not after it, from the cache of a process neither."""
    ends = time.time_ns() // 1000 + 700_000
    key = await KeptKeys(store).create(NewKey(ledger=ledger.name, scopes={Scope.READ}, expires=ends))
    while (answer := await api.get("/v1/claims", headers=bearing(key))).status_code == 200:
        assert time.time_ns() // 1000 < ends + 200_000
    assert time.time_ns() // 1000 >= ends
    assert answer.json()["detail"] == "the API key has expired"


async def test_a_known_key_costs_no_round_trip(
    api: httpx2.AsyncClient, store: Store, ledger: Ledger, settings: Settings
) -> None:
    """While revocations are heard, the store is not asked again: that it lost the key is not noticed."""
    async with process(settings) as other:
        token = await new_key(store, ledger.name, scopes=EVERY)
        assert (await other.get("/v1/claims", headers=bearing(token))).status_code == 200
        await store.delete(keys.api_key(token.partition(".")[0].removeprefix("onrecord_")))
        for _ in range(5):
            assert (await other.get("/v1/claims", headers=bearing(token))).status_code == 200
        assert (await api.get("/v1/claims", headers=bearing(token))).status_code == 401


async def test_the_last_use_of_a_key_is_noted(api: httpx2.AsyncClient) -> None:
    """Nothing at first; some seconds after a use, when that was, and using it again does not move it at once."""
    key = await made(api)
    assert key["last_used"] is None
    before = time.time_ns() // 1000
    assert (await api.get("/v1/claims", headers=bearing(key["key"]))).status_code == 200
    async with asyncio.timeout(_PATIENCE):
        while (noted := (await api.get(f"/v1/keys/{key['id']}")).json()["last_used"]) is None:
            assert (await api.get("/v1/claims", headers=bearing(key["key"]))).status_code == 200
    assert noted >= time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(before / 1_000_000 - 1))


async def test_the_last_key_that_administers_stays(api: httpx2.AsyncClient, store: Store, ledger: Ledger) -> None:
    """Over HTTP it is refused until there is another; of two that are revoked at once, one stays."""
    mine = (await api.get("/v1/keys")).json()["items"][0]["id"]
    refused = await api.delete(f"/v1/keys/{mine}")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/last-administrator")
    another = await made(api, name="deputy", scopes=["admin"])
    ends = await asyncio.gather(
        api.delete(f"/v1/keys/{mine}"), api.delete(f"/v1/keys/{another['id']}", headers=bearing(another["key"]))
    )
    one, two = sorted(each.status_code for each in ends)
    assert one == 200
    assert two in {401, 409}


async def test_keys_are_listed_in_pages_and_those_of_others_are_nowhere(
    api: httpx2.AsyncClient, store: Store, ledger: Ledger
) -> None:
    """Pages of two, in the order of making; another ledger's key is answered as one that there is not."""
    ids = [(await api.get("/v1/keys")).json()["items"][0]["id"]] + [(await made(api))["id"] for _ in range(4)]
    found, query = [], {"limit": "2"}
    while True:
        page = (await api.get("/v1/keys", params=query)).json()
        found += [each["id"] for each in page["items"]]
        if page["next_after"] is None:
            break
        query["after"] = page["next_after"]
    assert ids == found
    await Ledger.open(store, f"{ledger.name}-b", create=STRICT_TWO_SOURCE)
    theirs = "key_" + (await new_key(store, f"{ledger.name}-b")).partition(".")[0].removeprefix("onrecord_")
    nobodys = theirs[:-1] + ("1" if theirs.endswith("0") else "0")
    for method in ("GET", "DELETE"):
        pair = [await api.request(method, f"/v1/keys/{each}") for each in (theirs, nobodys)]
        texts = [
            each.text.replace(name, "…").replace(each.json()["request_id"], "…")
            for each, name in zip(pair, (theirs, nobodys), strict=True)
        ]
        assert (pair[0].status_code, texts[0]) == (404, texts[1])
    assert (await KeptKeys(store).read(theirs)) is not None


async def test_whoever_guesses_has_to_wait_and_nobody_else_does(
    api: httpx2.AsyncClient, settings: Settings, store: Store, ledger: Ledger
) -> None:
    """After twenty wrong keys there is a 429 that says for how long; known keys go on; no secret is logged."""
    good = bearing(await new_key(store, ledger.name, scopes={Scope.READ}))
    guess = f"onrecord_{ledger.name}.not-to-be-logged"
    async with process(settings) as other:
        assert (await other.get("/v1/claims", headers=good)).status_code == 200
        with structlog.testing.capture_logs() as logs:
            codes = [(await other.get("/v1/claims", headers=bearing(f"{guess}{n}"))).status_code for n in range(30)]
            limited = await other.get("/v1/claims", headers=bearing(guess))
        assert set(codes[:20]) == {401}
        assert codes[-1] == 429
        assert (limited.status_code, limited.json()["type"]) == (429, "/problems/too-many-attempts")
        assert 1 <= int(limited.headers["retry-after"]) <= 60
        assert (await other.get("/v1/claims", headers=good)).status_code == 200
    assert "not-to-be-logged" not in str(logs)
    told = [each for each in logs if each["event"] == "not recognised"]
    assert 20 <= len(told) <= 25
    assert told[0]["key"] == f"key_{ledger.name}"
    assert told[0]["address"] == "127.0.0.1"
