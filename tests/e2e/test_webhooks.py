"""Webhooks over HTTP: registering endpoints, what is kept of them and where, and what is shown."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import structs
from standardwebhooks import Webhook

from events.store import Store
from service.app import egress_of, outbound_of
from service.auth.keys import new_key
from service.auth.scopes import Scope
from service.settings import Settings
from tests.e2e.conftest import Newsroom, missing, sealed_up_to
from tests.e2e.receiving import Received, Receiver

SECRET = "whsec_" + base64.b64encode(b"planted secret of twenty-six").decode()
TOKEN = "Bearer planted-token"  # noqa: S105 - planted, to be looked for


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings under which endpoints on this machine can be sent to."""
    return structs.replace(settings, webhook_allow="127.0.0.0/8")


def verify(secret: str, message: Received) -> None:
    """Verify a message as a receiver would."""
    Webhook(secret).verify(message.body, message.headers)


async def test_an_endpoint_is_active_once_it_answered_a_signed_ping(room: Newsroom, receiver: Receiver) -> None:
    """Registering pings the endpoint; the ping verifies with the secret that the answer has, and makes it active."""
    made = await room.post("/v1/webhooks", {"url": receiver.url(), "headers": {"Authorization": TOKEN}})
    (ping,) = receiver.received
    verify(made["secret"], ping)
    assert ping.said["type"] == "webhook.ping"
    assert ping.headers["authorization"] == TOKEN
    await room.latest()
    shown = await room.get(f"/v1/webhooks/{made['id']}")
    assert ("active", receiver.url(), ["Authorization"]) == (shown["status"], shown["url"], shown["header_names"])


async def test_an_endpoint_that_does_not_answer_stays_pending_until_it_does(room: Newsroom, receiver: Receiver) -> None:
    """A refused ping leaves it pending; a later one that is answered with 2xx makes it active."""
    receiver.answers.append(500)
    made = await room.post("/v1/webhooks", {"url": receiver.url()})
    assert (await room.get(f"/v1/webhooks/{made['id']}"))["status"] == "pending"
    pinged = await room.api.post(f"/v1/webhooks/{made['id']}/ping")
    assert (pinged.json()["verified"], pinged.json()["status"]) == (True, 204)
    await room.latest()
    assert (await room.get(f"/v1/webhooks/{made['id']}"))["status"] == "active"


async def test_a_ping_says_why_there_was_no_answer(room: Newsroom, receiver: Receiver) -> None:
    """Whoever registers an endpoint learns that nobody is there, and not where it was looked for."""
    made = await room.post("/v1/webhooks", {"url": receiver.url(), "verify": False})
    changed = await room.patch(f"/v1/webhooks/{made['id']}", {"url": "http://127.0.0.1:1/"}, If_Match="*")
    assert len(changed["events"]) == 1
    pinged = (await room.api.post(f"/v1/webhooks/{made['id']}/ping")).json()
    assert pinged == {"verified": False, "failure": "no answer: it could not be connected to"}


async def test_the_same_request_again_gets_the_same_secret(room: Newsroom, receiver: Receiver) -> None:
    """A retry with its Idempotency-Key registers nothing twice, and is answered byte for byte."""
    body, key = {"url": receiver.url()}, {"Idempotency-Key": "k1"}
    first = await room.send("POST", "/v1/webhooks", body, **key)
    again = await room.send("POST", "/v1/webhooks", body, **key)
    assert (201, first.content) == (again.status_code, again.content)
    assert len(receiver.received) == 1


async def test_url_headers_and_secrets_are_nowhere_but_in_the_vault_and_there_encrypted(
    room: Newsroom, receiver: Receiver, store: Store
) -> None:
    """Neither the log nor a document nor anything else in the store has them in clear, and no later answer a secret."""
    body = {"url": receiver.url("/planted-path"), "headers": {"Authorization": TOKEN}, "secret": SECRET}
    made = await room.post("/v1/webhooks", body)
    await room.post(f"/v1/webhooks/{made['id']}/secret", {"secret": SECRET[:-4] + "AAAA"})
    planted = ("planted-path", "planted-token", SECRET.removeprefix("whsec_")[:20])
    answers = [
        (await room.ask(path)).text
        for path in ("/v1/events", f"/v1/webhooks/{made['id']}", "/v1/webhooks", "/openapi.json")
    ]
    assert "planted-path" in answers[1]
    for answer in answers:
        assert not any(each in answer for each in planted[1:])
    assert "planted-path" not in answers[0]
    async for key in store.scan_iter(f"*{room.ledger.name}*"):
        dumped = await store.dump(key)
        assert not any(each.encode() in dumped for each in planted), key


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"url": "https://user:planted@example.com/"}, "/url"),
        ({"url": "https://10.0.0.1/"}, "/url"),
        ({"url": "https://[::ffff:127.0.0.1]/"}, "/url"),
        ({"url": "http://8.8.8.8/"}, "/url"),
        ({"url": "http://127.0.0.1/", "headers": {"Host": "x"}}, "/headers/Host"),
        ({"url": "http://127.0.0.1/", "headers": {"webhook-id": "x"}}, "/headers/webhook-id"),
        ({"url": "http://127.0.0.1/", "headers": {"X-A": "a\r\nb"}}, "/headers/X-A"),
        ({"url": "http://127.0.0.1/", "secret": "whsec_short"}, "/secret"),
    ],
)
async def test_an_endpoint_that_nothing_is_sent_to_is_refused(
    room: Newsroom, body: dict[str, Any], pointer: str
) -> None:
    """The problem says which part is wrong and why, repeats no secret, and nothing is recorded."""
    said = await room.refused("/v1/webhooks", body, "rule-broken", pointer)
    assert "planted" not in said


@pytest.mark.parametrize(
    ("filters", "pointer"),
    [
        ({"types": []}, "/filters/types"),
        ({"types": ["claim*"]}, "/filters/types/0"),
        ({"claims": ["claim_1"]}, "/filters/claims/0"),
        ({"states": ["true"]}, "/filters/states/0"),
        ({"colour": 1}, "/filters/colour"),
    ],
)
async def test_a_filter_that_is_none_is_refused(room: Newsroom, filters: dict[str, Any], pointer: str) -> None:
    """A mistake in a filter is pointed to."""
    await room.refused("/v1/webhooks", {"url": "https://example.com/", "filters": filters}, "invalid", pointer)


async def test_another_url_has_to_answer_before_it_is_told_anything(
    room: Newsroom, receiver: Receiver, store: Store
) -> None:
    """A change of URL makes a webhook pending until the new endpoint answers; only an admin trusts it without that."""
    made = await room.post("/v1/webhooks", {"url": receiver.url()})
    where = f"/v1/webhooks/{made['id']}"
    await room.patch(where, {"description": "Alerts."}, If_Match="*")
    assert ((shown := await room.get(where))["status"], shown["webhook"]["description"]) == ("active", "Alerts.")
    receiver.status = 500
    await room.patch(where, {"url": receiver.url("/other")}, If_Match="*")
    assert ("pending", receiver.url("/other")) == ((shown := await room.get(where))["status"], shown["url"])
    key = await new_key(store, room.ledger.name, scopes={Scope.WEBHOOKS})
    await room.refused(f"{where}/enable", None, "rule-broken", Authorization=f"Bearer {key}")


async def test_old_secrets_are_valid_beside_the_new_one_until_the_overlap_is_over(
    room: Newsroom, receiver: Receiver
) -> None:
    """Messages carry a signature for each secret that is valid; without an overlap the old one is not."""
    made = await room.post("/v1/webhooks", {"url": receiver.url()})
    where = f"/v1/webhooks/{made['id']}"
    new = await room.post(f"{where}/secret", {})
    await room.api.post(f"{where}/ping")
    verify(made["secret"], receiver.received[-1])
    verify(new["secret"], receiver.received[-1])
    newest = await room.post(f"{where}/secret", {"overlap_hours": 0})
    await room.api.post(f"{where}/ping")
    signatures = receiver.received[-1].headers["webhook-signature"].split(" ")
    assert [each.partition(",")[0] for each in signatures] == ["v1", "v1", "v1a"]  # the first one's day is not over
    verify(newest["secret"], receiver.received[-1])


async def test_the_public_key_verifies_v1a(room: Newsroom, receiver: Receiver) -> None:
    """Anyone can verify a message with the key at its well-known place."""
    await room.post("/v1/webhooks", {"url": receiver.url()})
    (published,) = (await room.api.get("/.well-known/webhook-keys", headers={"Authorization": ""})).json()["keys"]
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(published["key"].removeprefix("whpk_")))
    (ping,) = receiver.received
    signature = next(each for each in ping.headers["webhook-signature"].split(" ") if each.startswith("v1a,"))
    signed = f"{ping.headers['webhook-id']}.{ping.headers['webhook-timestamp']}.".encode() + ping.body
    key.verify(base64.b64decode(signature.removeprefix("v1a,")), signed)


async def test_a_webhook_is_disabled_enabled_and_deleted(room: Newsroom, receiver: Receiver, store: Store) -> None:
    """Each is on record; after it was deleted it is not there, and the vault has nothing of it."""
    made = await room.post("/v1/webhooks", {"url": receiver.url()})
    where = f"/v1/webhooks/{made['id']}"
    assert (await room.send("POST", f"{where}/disable", {"reason": "Moved."})).status_code == 200
    assert {"why": "by_request", "reason": "Moved."}.items() <= (await room.get(where))["disabled"].items()
    assert [made["id"]] == await room.listed("/v1/webhooks", status="disabled")
    assert (await room.send("POST", f"{where}/enable", None)).status_code == 200
    assert (await room.get(where))["status"] == "active"
    assert (await room.send("DELETE", where, None)).status_code == 200
    assert (await room.ask(where)).status_code == 404
    assert await room.listed("/v1/webhooks") == []
    assert not [key async for key in store.scan_iter(f"onrecord:vault:{room.ledger.name}:kept_*")]
    await room.refused(where, None, "not-found", method="DELETE")


async def test_a_webhook_that_there_is_not_is_not_found(room: Newsroom, receiver: Receiver) -> None:
    """Every route about one answers alike."""
    made = await room.post("/v1/webhooks", {"url": receiver.url()})
    where = f"/v1/webhooks/{missing(made['id'])}"
    assert (await room.ask(where)).status_code == 404
    await room.refused(f"{where}/ping", None, "not-found")
    await room.refused(f"{where}/enable", None, "not-found")
    await room.refused(f"{where}/secret", {}, "not-found")


async def test_a_newsroom_is_told_when_a_claim_moves(
    room: Newsroom, receiver: Receiver, settings: Settings, store: Store
) -> None:
    """From the API through the worker to an endpoint: the event of the new state arrives, signed, as recorded."""
    made = await room.post("/v1/webhooks", {"url": receiver.url(), "filters": {"states": ["contested"]}})
    egress = egress_of(settings)
    delivering = asyncio.create_task(outbound_of(store, egress, settings).deliver(room.ledger, room.recorder))
    claim = await room.claim("It fell.", room.said("witness"), room.said("red", "denies"))
    (message,) = await receiver.until(1)
    verify(made["secret"], message)
    assert ("claim.state_changed", claim) == (message.said["type"], message.said["subject"])
    line = await room.get("/v1/events", after=f"{room.ledger.epoch}.{int(message.said['sequence']) - 1}", limit=1)
    assert message.said == line["events"][0]
    attempts = await until_listed(room, f"/v1/webhooks/{made['id']}/deliveries")
    assert [(each["became"], each["attempted"]["status"]) for each in attempts] == [("delivered", 204)]
    where = f"/v1/webhooks/{made['id']}/deliveries/{message.said['sequence'].lstrip('0')}"
    assert (await room.get(where))["status"] == "delivered"
    for _ in range(2):
        assert (await room.send("POST", f"{where}/resend", None, Idempotency_Key="once more")).status_code == 202
    again = (await receiver.until(2))[1]
    assert message.headers["webhook-id"] == again.headers["webhook-id"]
    replay = await room.send("POST", f"/v1/webhooks/{made['id']}/replay", {"since": 0})
    assert (replay.status_code, replay.json()["after"]) == (202, 0)
    await receiver.until(3)
    where = f"/v1/webhooks/{made['id']}/deliveries"
    attempts = await until_listed(room, where, 3)
    assert len(attempts) == 3
    first = await room.get(where, limit=1)
    second = await room.get(where, limit=1, after=first["next_after"])
    assert attempts[:2] == first["items"] + second["items"]
    recovered = await room.send("POST", f"/v1/webhooks/{made['id']}/recover", {"since": "2024"})
    assert recovered.json() == {"recovered": 0}
    delivering.cancel()
    await asyncio.wait([delivering])
    await egress.aclose()


async def test_nothing_is_sent_again_that_is_not_on_record(room: Newsroom, sealing: Path) -> None:
    """An event beyond the end of the ledger is not there, also where a sealed ledger would look into its archive."""
    made = await room.post("/v1/webhooks", {"url": "http://127.0.0.1:1/", "verify": False})
    await sealed_up_to(room.api, made["position"])
    for position in (made["position"] + 1, 2**53 - 1):
        where = f"/v1/webhooks/{made['id']}/deliveries/{position}"
        read = await room.ask(where)
        assert (read.status_code, read.json()["type"]) == (404, "/problems/not-found")
        await room.refused(f"{where}/resend", None, "not-found")


@pytest.mark.parametrize("after", [f"{10**22}-1", "²-1", "1_0-1", "5", "0123456789abc.1", ""])
async def test_deliveries_go_on_only_where_a_page_ended(room: Newsroom, after: str) -> None:
    """Whatever else is given as a place in a list of deliveries is the caller's mistake, and named."""
    made = await room.post("/v1/webhooks", {"url": "http://127.0.0.1:1/", "verify": False})
    for status in ({}, {"status": "waiting"}, {"status": "dead"}):
        answer = await room.ask(f"/v1/webhooks/{made['id']}/deliveries", after=after, **status)
        assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad-request")
        assert answer.json()["detail"].startswith("after: ")


async def until_listed(room: Newsroom, path: str, many: int = 1) -> list[Any]:
    """Return a list once there is so much on it."""
    async with asyncio.timeout(20):
        while len(items := (await room.get(path))["items"]) < many:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
    return list(items)


async def test_what_could_only_be_waited_for_in_vain_is_refused(room: Newsroom, receiver: Receiver) -> None:
    """A type of event that there is not, when a webhook is registered or changed; a replay from after the end."""
    wrong = {"types": ["claim.*", "*", "claimed.*"]}
    await room.refused("/v1/webhooks", {"url": receiver.url(), "filters": wrong}, "rule-broken", "/filters/types/2")
    made = await room.post("/v1/webhooks", {"url": receiver.url(), "filters": {"types": ["*", "claim.*"]}})
    where = f"/v1/webhooks/{made['id']}"
    await room.refused(where, {"filters": wrong}, "rule-broken", "/filters/types/2", method="PATCH")
    await room.patch(where, {"filters": {"types": ["claim.registered"]}})
    await room.latest()
    head = (await room.ledger.head()).position
    said = await room.refused(f"{where}/replay", {"since": head + 1}, "rule-broken", "/since")
    assert said == f"the ledger ends at {head}"
    assert (await room.send("POST", f"{where}/replay", {"since": head})).json()["end"] == head
