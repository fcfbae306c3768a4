"""Webhooks: who is told what happens, where, and signed with what."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Literal

import msgspec
from litestar import delete, get, patch, post
from litestar.params import FromPath, FromQuery
from msgspec import UNSET, Meta, Struct, UnsetType, field, structs

from events import catalog
from events.endpoints import Webhook, WebhookChanges
from events.envelope import subject_of
from events.words import LongText, Part
from service.api.http import preconditions
from service.api.http.answer import Answer
from service.api.http.bodies import body
from service.api.http.documents import page_of, page_size, wait_for_writes
from service.api.http.pagination import place
from service.api.http.receipts import Receipt, caller, receipt, recorded
from service.api.http.served import ApiRequest, served
from service.auth.scopes import Scope
from service.projections.catalog import EVERYTHING, WEBHOOKS, Membership
from service.projections.documents import WebhookDocument
from service.verification.commands import Outcome
from service.verification.refusals import NotOnRecord, RuleBroken
from service.webhooks import kept
from service.webhooks.counters import Counters, counters
from service.webhooks.registry import Endpoint, Pinged, Registry
from service.webhooks.signing import public_key

_WHERE = "/v1/webhooks"
_WEBHOOK = f"{_WHERE}/{{webhook_id:str}}"
_MOST = 10_000
"""Webhooks of one ledger."""
_decode = msgspec.json.Decoder(WebhookDocument).decode

Headers = Annotated[dict[str, str], Meta(description="Sent with every attempt; their values are never shown again.")]
HookUrl = Annotated[str, Meta(min_length=1, max_length=2048, description="Where to send: https, a public address.")]
GivenSecret = Annotated[str, Meta(max_length=120, description="`whsec_` and 24 to 64 bytes in base64.")]


class NewWebhook(Webhook, frozen=True, kw_only=True):
    """An endpoint to register. With ``verify`` it is pending until it answers a signed ping with 2xx."""

    url: HookUrl
    headers: Headers = field(default_factory=dict)
    secret: GivenSecret | None = None
    verify: bool = True


class ChangedWebhook(WebhookChanges, frozen=True):
    """What changes in a webhook. Another ``url`` has to answer a ping; ``headers`` replace all that there are."""

    url: HookUrl | UnsetType = UNSET
    headers: Headers | UnsetType = UNSET


class NewSecret(Part, frozen=True):
    """A new secret; one is made if it is not given. Those before it are valid for ``overlap_hours`` more."""

    secret: GivenSecret | None = None
    overlap_hours: Annotated[float, Meta(ge=0, le=24 * 30)] = 24


class Disabled(Part, frozen=True):
    """Why a webhook is to be told nothing any more."""

    reason: LongText | None = None


class WithSecret(Receipt, frozen=True):
    """A receipt with the secret that was made, which is shown this once."""

    secret: str


class WebhookView(WebhookDocument, frozen=True):
    """A webhook with where it is sent, and how its deliveries go. Of its headers only the names are shown."""

    url: str | None = None
    header_names: tuple[str, ...] = ()
    deliveries: Counters | None = None


class PublicKey(Struct, frozen=True):
    """A key that ``v1a`` signatures verify with: ``whpk_`` and an Ed25519 public key in base64."""

    algorithm: str
    key: str


class PublicKeys(Struct, frozen=True):
    """The keys that are in use, the newest first."""

    keys: tuple[PublicKey, ...]


def _registry(request: ApiRequest) -> Registry:
    return Registry(served(request).recorder, request.auth.vault, request.app.state.running.egress)


@post(
    _WHERE,
    operation_id="registerWebhook",
    summary="Register a webhook",
    opt={"body": NewWebhook, "answer": WithSecret, "scope": Scope.WEBHOOKS},
)
async def register_webhook(request: ApiRequest) -> Answer:
    """Register an endpoint, and ping it. The answer has its secret, which is not shown again.

    `verify: false` trusts the endpoint without a ping, and wants the scope `admin`.
    """
    new = await body(request, NewWebhook)
    if not new.verify and Scope.ADMIN not in request.auth.key.scopes:
        raise RuleBroken("an endpoint is trusted without a ping for the scope admin only", "/verify")
    if await served(request).queries.count(WEBHOOKS, [EVERYTHING], most=_MOST) >= _MOST:
        raise RuleBroken(f"a ledger has at most {_MOST} webhooks")
    asks = caller(request, "registerWebhook", new, in_confidence=True)
    registry = _registry(request)
    told = Webhook(**{name: getattr(new, name) for name in Webhook.__struct_fields__})
    endpoint = Endpoint(new.url, new.headers, new.secret)
    outcome = await registry.register(told, endpoint, asks, verified=not new.verify)
    if new.verify and not outcome.repeated:
        await registry.ping(subject_of(outcome.happened[0].event), asks)
    return await _with_secret(request, registry, outcome)


@get(
    _WHERE,
    operation_id="listWebhooks",
    summary="List webhooks",
    opt={"items": WebhookView, "etag": False, "scope": Scope.WEBHOOKS},
)
async def list_webhooks(
    request: ApiRequest,
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    limit: FromQuery[int] = 50,
    status: FromQuery[Literal["pending", "active", "disabled", "deleted"] | None] = None,
) -> Answer:
    """List webhooks in the order in which they were registered: all but the deleted ones, or those of a `status`."""
    here = served(request)
    filters: list[Membership] = [("status", status)] if status else []
    await wait_for_writes(request, WEBHOOKS)
    at = await place(here.ledger, after, before)
    page = await here.queries.page(WEBHOOKS, filters, after=at.after, before=at.before, limit=page_size(limit))
    return await page_of(request, page, await _shown(request, page.items))


@get(
    _WEBHOOK,
    operation_id="getWebhook",
    summary="Read a webhook",
    opt={"answer": WebhookView, "conditional": False, "scope": Scope.WEBHOOKS},
)
async def get_webhook(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """Read a webhook: where it is sent, what it is told, and how its deliveries go.

    Those change without it, so the answer is never 304; its ETag is for If-Match.
    """
    here = served(request)
    await wait_for_writes(request, WEBHOOKS)
    found = await here.queries.document(WEBHOOKS, webhook_id)
    shown = await _shown(request, [found.raw]) if found else []
    if found is None or not shown:
        raise NotOnRecord(f"there is no webhook {webhook_id[:80]}")
    tag = preconditions.etag(here.ledger, found.version, found.generation)
    return Answer(shown[0], headers={"ETag": tag, "Cache-Control": "no-store"})


@patch(
    _WEBHOOK,
    operation_id="updateWebhook",
    summary="Change a webhook",
    opt={"body": ChangedWebhook, "answer": Receipt, "scope": Scope.WEBHOOKS, "if_match": True},
)
async def update_webhook(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """Change a webhook: members that are left out stay. Another URL is pinged, and told nothing until it answers."""
    given = await body(request, ChangedWebhook)
    asks = caller(request, "updateWebhook", webhook_id, given, in_confidence=True)
    registry = _registry(request)
    changes = WebhookChanges(**{name: getattr(given, name) for name in WebhookChanges.__struct_fields__})
    outcome = await registry.change(webhook_id, changes, asks, url=given.url, headers=given.headers)
    event = outcome.happened[0].event
    if isinstance(event, catalog.WebhookUpdated) and not event.verified and not outcome.repeated:
        await registry.ping(webhook_id, asks)
    return recorded(request, outcome, "webhook_id", WEBHOOKS, _WHERE, status=200)


@delete(
    _WEBHOOK,
    operation_id="deleteWebhook",
    summary="Delete a webhook",
    status_code=200,
    opt={"answer": Receipt, "scope": Scope.WEBHOOKS},
)
async def delete_webhook(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """Delete a webhook and what is kept of it: its URL, its headers and its secrets. Nothing more is sent to it."""
    asks = caller(request, "deleteWebhook", webhook_id)
    outcome = await _registry(request).delete(webhook_id, asks)
    return recorded(request, outcome, "webhook_id", WEBHOOKS, "", status=200)


@post(
    f"{_WEBHOOK}/ping",
    operation_id="pingWebhook",
    summary="Ping a webhook",
    status_code=200,
    opt={"answer": Pinged, "status": 200, "whole": True, "scope": Scope.WEBHOOKS},
)
async def ping_webhook(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """Send a signed ping, and say what came of it. One that is answered with 2xx verifies a pending webhook."""
    pinged = await _registry(request).ping(webhook_id, caller(request, "pingWebhook", webhook_id))
    return Answer(msgspec.json.encode(pinged), headers={"Cache-Control": "no-store"})


@post(
    f"{_WEBHOOK}/enable",
    operation_id="enableWebhook",
    summary="Enable a webhook",
    opt={"answer": Receipt, "status": 200, "scope": Scope.WEBHOOKS},
    status_code=200,
)
async def enable_webhook(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """Let a disabled webhook be told again, from now on; what it missed can be replayed.

    One that is pending has to answer a ping, unless the key has the scope `admin`.
    """
    asks = caller(request, "enableWebhook", webhook_id)
    trusted = Scope.ADMIN in request.auth.key.scopes
    outcome = await _registry(request).enable(webhook_id, asks, trusted=trusted)
    return recorded(request, outcome, "webhook_id", WEBHOOKS, _WHERE, status=200)


@post(
    f"{_WEBHOOK}/disable",
    operation_id="disableWebhook",
    summary="Disable a webhook",
    opt={"body": Disabled, "answer": Receipt, "status": 200, "scope": Scope.WEBHOOKS},
    status_code=200,
)
async def disable_webhook(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """Tell a webhook nothing any more, until it is enabled."""
    given = await body(request, Disabled)
    asks = caller(request, "disableWebhook", webhook_id, given)
    outcome = await _registry(request).disable(webhook_id, asks, given.reason)
    return recorded(request, outcome, "webhook_id", WEBHOOKS, _WHERE, status=200)


@post(
    f"{_WEBHOOK}/secret",
    operation_id="rotateWebhookSecret",
    summary="Give a webhook a new secret",
    opt={"body": NewSecret, "answer": WithSecret, "scope": Scope.WEBHOOKS},
)
async def rotate_webhook_secret(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """Give a webhook a new secret. Messages are signed with the old ones too until the overlap is over."""
    given = await body(request, NewSecret)
    asks = caller(request, "rotateWebhookSecret", webhook_id, given, in_confidence=True)
    registry = _registry(request)
    overlap = timedelta(hours=given.overlap_hours)
    outcome = await registry.rotate_secret(webhook_id, asks, secret=given.secret, overlap=overlap)
    return await _with_secret(request, registry, outcome)


@get(
    "/.well-known/webhook-keys",
    operation_id="readWebhookKeys",
    summary="The keys that webhooks are signed with",
    opt={"public": True, "answer": PublicKeys},
)
async def read_webhook_keys(request: ApiRequest) -> Answer:
    """Return the public keys of `v1a` signatures (Standard Webhooks, Ed25519)."""
    keys = PublicKeys((PublicKey("ed25519", public_key(request.app.state.running.signing)),))
    return Answer(msgspec.json.encode(keys), headers={"Cache-Control": "public, max-age=300"})


async def _with_secret(request: ApiRequest, registry: Registry, outcome: Outcome) -> Answer:
    """Answer with a receipt and the newest secret that the command's event keeps."""
    secret = await registry.secret_of(outcome.happened[0].event)
    made = WithSecret(**structs.asdict(receipt(outcome, "webhook_id")), secret=secret)
    return recorded(request, outcome, "webhook_id", WEBHOOKS, _WHERE, answer=made)


async def _shown(request: ApiRequest, raws: Sequence[bytes]) -> list[bytes]:
    """Return stored documents with what the vault has of them; those of deleted webhooks are left out."""
    documents = [document for raw in raws if (document := _decode(raw)).status != "deleted"]
    entrusted = await kept.kept(request.auth.vault, [document.kept for document in documents])
    here = served(request)
    counted = await counters(here.queries.store, here.ledger.keys, [document.id for document in documents])
    views = []
    for document, deliveries in zip(documents, counted, strict=True):
        view = WebhookView(**structs.asdict(document), deliveries=deliveries)
        if its := entrusted.get(document.kept):
            view = structs.replace(view, url=its.url, header_names=tuple(sorted(its.headers)))
        views.append(msgspec.json.encode(view))
    return views


ROUTES = (
    register_webhook,
    list_webhooks,
    get_webhook,
    update_webhook,
    delete_webhook,
    ping_webhook,
    enable_webhook,
    disable_webhook,
    rotate_webhook_secret,
    read_webhook_keys,
)
