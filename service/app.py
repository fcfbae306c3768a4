"""The application: what is made of what. The only wiring of the API."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from litestar import Litestar
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme

import events.store
from events import durability
from events.envelope import LARGEST_EVENT
from events.errors import ArchiveDamaged, ArchiveUnavailable
from events.ledger import Ledger
from service.api import (
    amending,
    audit,
    claims,
    deliveries,
    desk,
    docs,
    erasures,
    explanations,
    feed,
    ledgers,
    log,
    operate,
    policies,
    projections,
    publications,
    recording,
    sources,
    stories,
    webhooks,
)
from service.api import keys as api_keys
from service.api.description import described, queries_of
from service.api.http import access, problems
from service.api.http.cors import Cors
from service.api.http.door import Door, check_declared
from service.api.http.edge import Edge
from service.api.http.express import Express
from service.api.http.opened import OpenLedgers
from service.api.http.parameters import KnownParameters
from service.api.http.rate_limits import RateLimit
from service.api.http.reception import Quotas, Reception
from service.api.http.served import Opened, Running, Served
from service.audit.archives import Archives
from service.auth import vault
from service.auth.bearers import Bearers
from service.auth.jwks import Jwks
from service.auth.keys import Keys
from service.auth.tokens import Tokens
from service.auth.vault import Vault
from service.projections.catalog import PROJECTIONS
from service.projections.kept import Kept
from service.projections.queries import Queries
from service.settings import Settings
from service.verification.commands import Recorder
from service.verification.policy import STRICT_TWO_SOURCE
from service.verification.snapshots import Snapshots
from service.webhooks.egress import Egress
from service.webhooks.outbound import Outbound

TITLE = "On Record"
_LOG = structlog.get_logger("onrecord.api")
_KEY = "An API key. The service keeps the first one in `bootstrap.key`, in its home (`.onrecord` after `make run`)."
VERSION = "0.1.0"
ABOUT = "The record of a contested story: who claimed what, who denied it, where each claim stands."


def archives_of(settings: Settings) -> Archives:
    """Return where ledgers are sealed."""
    return Archives(settings.archive_place, settings.home_path, settings.origin, settings.witnesses)


async def open_served(
    store: events.store.Store, ledger_name: str, *, create: bool = True, archives: Archives | None = None
) -> Served:
    """Open a ledger for recording and reading, and compare it with its archive if it is known where that is.

    If the store has none of that name, ``create`` it with the first policy, or raise ``UnknownLedger``.
    """
    past = archives.past_of(ledger_name) if archives else None
    ledger = await Ledger.open(store, ledger_name, create=STRICT_TWO_SOURCE if create else None, past=past)
    queries = Queries(store, ledger.keys, Kept(store, ledger, [each.name for each in PROJECTIONS]))
    await queries.look()
    recorder = Recorder(ledger, Snapshots(store, ledger))
    if archives is None:
        return Served(ledger, recorder, queries)
    try:
        await archives.check(ledger)
    except (ArchiveUnavailable, ArchiveDamaged) as error:  # the sealer looks again, and again
        _LOG.warning("the store is not compared with its archive", ledger=ledger.name, why=str(error))
    return Served(ledger, recorder, queries, archives.of(ledger.name))


async def open_vault(store: events.store.Store, settings: Settings, ledger_name: str) -> Vault:
    """Open the vault of a ledger, and make the secret key if this is the first one to be opened."""
    return await vault.opened(store, ledger_name, settings.secret_key, settings.secret_key_path)


def opener(store: events.store.Store, settings: Settings) -> Callable[[str], Awaitable[Opened]]:
    """Return what opens a ledger by its name, with its vault."""

    async def opened(name: str) -> Opened:
        served = await open_served(store, name, create=False, archives=archives_of(settings))
        return Opened(served, await open_vault(store, settings, name))

    return opened


def egress_of(settings: Settings) -> Egress:
    """Return the one way out to endpoints that others choose."""
    return Egress(allowed=settings.webhook_networks, proxy=settings.webhook_proxy)


def outbound_of(store: events.store.Store, egress: Egress, settings: Settings) -> Outbound:
    """Return what a worker delivers the webhooks of every ledger with."""
    return Outbound(
        store,
        egress,
        lambda ledger_name: open_vault(store, settings, ledger_name),
        attempts=settings.webhook_attempts,
        link=settings.claim_link or f"{settings.api_url}/v1/claims/{{claim}}",
    )


def tokens_of(settings: Settings) -> Tokens | None:
    """Return the tokens of the identity provider that the settings name, if they name one."""
    if not settings.jwt_issuer:
        return None
    algorithms = settings.jwt_algorithms.split(",")
    return Tokens(settings.jwt_issuer, settings.jwt_audience, algorithms, Jwks(settings.jwt_jwks_url))


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title=TITLE,
        version=VERSION,
        description=ABOUT,
        use_handler_docstrings=True,
        components=Components(
            security_schemes={
                "key": SecurityScheme(type="http", scheme="bearer", description=_KEY),
                "jwt": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    bearer_format="JWT",
                    description="A token of the identity provider, if one is set up (RFC8725 holds).",
                ),
            }
        ),
    )


def create_app(settings: Settings) -> Litestar:
    """Return the API over the store that the settings name, for every ledger in it.

    At start it makes sure that there is the ledger that the settings name, and raises ``StoreUnusable`` or
    ``StoreUnavailable`` when it should not run on that store, or not with that secret key; at the end it waits for the
    appends under way.
    """
    running = Running(settings.streams, settings.streams_per_key)
    quotas = Quotas()

    @asynccontextmanager
    async def on_store(_: Litestar) -> AsyncIterator[None]:
        store = events.store.connect(settings.store_url, replicas=settings.replicas)
        try:
            await durability.check(store, allow_lossy=settings.allow_lossy_store)
            keys, tokens = Keys(store), tokens_of(settings)
            running.bearers = Bearers(keys, tokens)
            running.ledgers = OpenLedgers(opener(store, settings))
            await archives_of(settings).check_not_lost(store, settings.ledger)
            await Ledger.open(store, settings.ledger, create=STRICT_TWO_SOURCE)
            running.signing = (await running.ledgers.get(settings.ledger)).vault.signing
            quotas.reads = RateLimit.of(store, "reads", settings.reads_per_minute)
            quotas.writes = RateLimit.of(store, "writes", settings.writes_per_minute)
            running.egress = egress_of(settings)
            running.public_ledger = settings.ledger if settings.public_log else ""
            async with keys.listening():
                yield
            if tokens:
                await tokens.aclose()
            await running.egress.aclose()
            await running.ledgers.close()
        finally:
            await store.aclose()

    known = KnownParameters()
    app = Litestar(
        route_handlers=[
            *stories.ROUTES,
            *sources.ROUTES,
            *erasures.ROUTES,
            *claims.ROUTES,
            *recording.ROUTES,
            *amending.ROUTES,
            *publications.ROUTES,
            *policies.ROUTES,
            *explanations.ROUTES,
            *desk.ROUTES,
            *feed.ROUTES,
            *projections.ROUTES,
            *webhooks.ROUTES,
            *deliveries.ROUTES,
            *log.ROUTES,
            *audit.ROUTES,
            *ledgers.ROUTES,
            *api_keys.ROUTES,
            *operate.ROUTES,
            *docs.ROUTES,
        ],
        middleware=[Door(running), Reception(quotas), known],
        exception_handlers={Exception: problems.answer},
        request_max_body_size=LARGEST_EVENT,
        lifespan=[on_store],
        openapi_config=_openapi(),
        logging_config=None,
    )
    check_declared(app)
    express = Express(app.asgi_handler, running, quotas)
    edge = Edge(app, express, Cors(settings.origins) if settings.origins else None)
    app.asgi_handler = app.state.access = access.Access(edge)
    app.state.running = running
    app.state.openapi = described(app)
    known.of_operation = queries_of(app.state.openapi)
    return app
