"""Tokens of an identity provider: a local issuer, its key set over a real socket, and every way to get one wrong."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import jwt
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import structs
from pytest_httpserver import HTTPServer

from events.identifiers import derived_id
from events.ledger import Ledger
from service.app import create_app
from service.auth import jwks
from service.settings import BadSettings, Settings, read

ISSUER, AUDIENCE = "https://accounts.example.org/", "onrecord"
_SIGNERS = {"one": rsa.generate_private_key(65537, 2048), "two": rsa.generate_private_key(65537, 2048)}
_CURVE = ec.generate_private_key(ec.SECP256R1())


def published(*kids: str) -> dict[str, Any]:
    """Return the key set with some of the issuer's keys in it, and one key that is for something else."""
    sets = [jwt.algorithms.RSAAlgorithm.to_jwk(_SIGNERS[kid].public_key(), as_dict=True) for kid in kids]
    keys = [{**each, "kid": kid, "use": "sig"} for each, kid in zip(sets, kids, strict=True)]
    curve = {**jwt.algorithms.ECAlgorithm.to_jwk(_CURVE.public_key(), as_dict=True), "kid": "curve", "alg": "ES256"}
    return {"keys": [*keys, curve, {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}]}


class Provider:
    """The identity provider, and an API that takes its tokens."""

    def __init__(self, api: httpx2.AsyncClient, server: HTTPServer, ledger: str) -> None:
        self.api, self.server, self.ledger = api, server, ledger

    def claims(self, **more: Any) -> dict[str, Any]:
        """Return good claims, changed; those that are None are left out."""
        now = int(time.time())
        good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "user-1", "iat": now, "exp": now + 600}
        good |= {"onrecord_ledger": self.ledger, "scope": "openid read record"} | more
        return {name: value for name, value in good.items() if value is not None}

    def token(self, kid: str | None = "one", algorithm: str = "RS256", key: Any = None, **more: Any) -> str:
        """Return a token, signed as the issuer would unless it is said otherwise."""
        signer = key if key is not None else _SIGNERS[str(kid)]
        return jwt.encode(self.claims(**more), signer, algorithm, {"kid": kid} if kid else {})

    async def asks(self, token: str, method: str = "GET", path: str = "/v1/claims", **more: Any) -> httpx2.Response:
        """Ask the API with a token."""
        return await self.api.request(method, path, headers={"Authorization": f"Bearer {token}"}, **more)

    async def refuses(self, token: str, why: str) -> None:
        """See that a token is refused as unauthorized, and why."""
        answer = await self.asks(token)
        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthorized"), answer.text
        assert why == answer.json()["detail"]
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]

    def publishes(self, *kids: str) -> None:
        """Publish some keys from now on."""
        self.server.clear()
        self.server.expect_request("/jwks").respond_with_json(published(*kids))

    @property
    def fetches(self) -> int:
        """How often the key set was fetched."""
        return len(self.server.log)


@pytest.fixture
async def provider(ledger: Ledger, settings: Settings, httpserver: HTTPServer) -> AsyncIterator[Provider]:
    """A provider that publishes its first key, and an API that trusts it."""
    trusting = structs.replace(
        settings, jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_jwks_url=httpserver.url_for("/jwks")
    )
    server = uvicorn.Server(uvicorn.Config(create_app(trusting), port=0, log_config=None, lifespan="on"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done()
        await asyncio.sleep(0)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        provider = Provider(client, httpserver, ledger.name)
        provider.publishes("one")
        yield provider
    server.should_exit = True
    await serving


async def test_a_good_token_opens_the_ledger_that_it_names_with_its_scopes(provider: Provider, ledger: Ledger) -> None:
    """It reads and records there, as a person who is always the same and is not named, and does nothing else."""
    token = provider.token()
    assert (await provider.asks(token)).status_code == 200
    recorded = await provider.asks(token, "POST", "/v1/stories", json={"title": "A crash"})
    assert recorded.status_code == 201, recorded.text
    (entry,) = await ledger.read(1, 1)
    assert entry.envelope.actor == derived_id("person", ISSUER, "user-1")
    assert b"user-1" not in entry.raw
    refused = await provider.asks(token, "GET", "/v1/keys")
    assert (refused.status_code, refused.json()["detail"]) == (403, "the key does not have the scope admin")
    assert (await provider.asks(provider.token(scope=None, scp=["read"]))).status_code == 200
    assert (await provider.asks(provider.token(scope="openid"))).status_code == 403
    assert (await provider.asks(provider.token(aud=["other", AUDIENCE]))).status_code == 200
    assert (await provider.asks(provider.token("curve", "ES256", _CURVE))).status_code == 200
    assert provider.fetches == 1


async def test_a_token_that_is_not_good_is_refused_and_told_why(provider: Provider) -> None:
    """Out of date, of or for somebody else, without what it must say, or signed as it must not be."""
    now = int(time.time())
    public = _SIGNERS["one"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').rstrip(b"=").decode()
    _, body, _ = provider.token().split(".")
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        f"{header}.{body}".encode(), public
    )
    confused = f"{header}.{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    not_allowed = "the token is signed with an algorithm that is not allowed"
    unpublished = "the token is signed with a key that the identity provider does not publish"
    for token, why in (
        (provider.token(exp=now - 60), "the token has expired"),
        (provider.token(nbf=now + 120), "the token is not valid"),
        (provider.token(aud="somebody-else"), "the token is for another audience"),
        (provider.token(iss="https://accounts.example.com/"), "the token is of another issuer"),
        (provider.token(exp=None), "the token is not valid"),
        (provider.token(sub=None), "the token is not valid"),
        (provider.token(sub=""), "the token names no subject"),
        (provider.token(onrecord_ledger=None), "the token names no ledger in onrecord_ledger"),
        (provider.token(onrecord_ledger="Not a Name"), "the token names no ledger in onrecord_ledger"),
        (jwt.encode(provider.claims(), None, "none", {"kid": "one"}), not_allowed),
        (confused, not_allowed),
        (provider.token("one", "RS512"), not_allowed),
        (provider.token("one", "RS256", _SIGNERS["two"]), "the token is not valid"),
        (provider.token("curve", "RS256", _SIGNERS["two"]), unpublished),
        ("nonsense", "this is neither an API key nor a token"),
        (provider.token() + "x" * 9000, "the token is too long"),
    ):
        await provider.refuses(token, why)


async def test_a_ledger_that_is_not_here_is_refused_and_not_made(provider: Provider) -> None:
    """A good token for it is forbidden."""
    answer = await provider.asks(provider.token(onrecord_ledger="nowhere-at-all"))
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")


async def test_a_new_key_of_the_provider_is_fetched_once_and_an_unknown_one_never_twice_soon(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it signs with a new key that is fetched by one of those who ask; unknown keys cause no storm of fetches."""
    assert (await provider.asks(provider.token())).status_code == 200
    provider.publishes("one", "two")
    for _ in range(5):
        assert (await provider.asks(provider.token("two"))).status_code == 401, "it looked just now"
    assert provider.fetches == 0
    monkeypatch.setattr(jwks, "BETWEEN_FETCHES", 0.0)
    answers = await asyncio.gather(*(provider.asks(provider.token("two", sub=f"user-{n}")) for n in range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert provider.fetches == 1
    assert (await provider.asks(provider.token(sub="user-9"))).status_code == 200


async def test_while_the_provider_is_away_its_keys_serve_on(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails, answers nonsense, redirects or too much: whoever signs with a key that was known still comes in."""
    assert (await provider.asks(provider.token())).status_code == 200
    monkeypatch.setattr(jwks, "BETWEEN_FETCHES", 0.0)
    monkeypatch.setattr(jwks, "FRESH_SECONDS", 0.0)
    for n, (content, status) in enumerate([("", 500), ("nonsense", 200), ('{"keys":[]}', 200), (" " * 300_000, 200)]):
        provider.server.clear()
        provider.server.expect_request("/jwks").respond_with_data(content, status=status)
        assert (await provider.asks(provider.token(sub=f"user-{n}"))).status_code == 200
        unknown = await provider.asks(provider.token("two", sub=f"user-{n}"))
        assert unknown.status_code == 401


async def test_a_provider_that_never_answered_is_not_the_callers_fault(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is 503 and says so, within seconds; once the provider is there, the same token is good."""
    provider.server.clear()
    provider.server.expect_request("/jwks").respond_with_data("", status=503)
    answer = await provider.asks(provider.token())
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/provider-away")
    assert answer.headers["retry-after"]
    provider.publishes("one")
    monkeypatch.setattr(jwks, "BETWEEN_FETCHES", 0.0)
    assert (await provider.asks(provider.token())).status_code == 200


async def test_without_a_provider_no_token_is_looked_at(api: httpx2.AsyncClient) -> None:
    """It is simply no API key."""
    token = jwt.encode({"sub": "user-1"}, _SIGNERS["one"], "RS256")
    answer = await api.get("/v1/claims", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["detail"]) == (401, "this is no API key")


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"ONRECORD_JWT_ISSUER": ISSUER}, "ONRECORD_JWT_AUDIENCE"),
        ({"ONRECORD_JWT_ISSUER": ISSUER, "ONRECORD_JWT_AUDIENCE": AUDIENCE}, "ONRECORD_JWT_JWKS_URL"),
        ({"ONRECORD_JWT_JWKS_URL": "http://accounts.example.org/jwks"}, "ONRECORD_JWT_JWKS_URL"),
        ({"ONRECORD_JWT_ALGORITHMS": "HS256"}, "ONRECORD_JWT_ALGORITHMS"),
        ({"ONRECORD_JWT_ALGORITHMS": "RS256,none"}, "ONRECORD_JWT_ALGORITHMS"),
    ],
)
def test_half_a_provider_or_a_weak_one_is_refused_by_name(environment: dict[str, str], named: str) -> None:
    """A setting that is lacking, a key set by plain http from elsewhere, and symmetric or no signatures."""
    with pytest.raises(BadSettings, match=named):
        read(environment)
