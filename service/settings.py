"""Settings: read from the environment, in this one place."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from events.identifiers import LedgerName

_PREFIX = "ONRECORD_"
_SECRET = {
    "key": "it must have no spaces",
    "secret_key": "it must be 32 bytes in hexadecimal or base64",
    "store_url": "it must be as in redis://host:6379/0, unix:///path or redis+cluster://host:6379,other:6379",
    "webhook_proxy": "it must be as in http://proxy:3128",
}
"""Settings that are a secret or can hold a password, and how they have to be: what they were set to is never shown."""
_ALGORITHM = "(RS256|RS384|RS512|PS256|PS384|PS512|ES256|ES384|ES512|EdDSA)"
_LOCAL = r"(127\.0\.0\.1|localhost|\[::1\])"


class BadSettings(Exception):
    """An environment variable that cannot be used; the message names it."""


class Settings(Struct, frozen=True, kw_only=True):
    """What can be set, each by ``ONRECORD_`` and its name in capitals."""

    home: Annotated[str, Meta(min_length=1)] = ".onrecord"
    """Where the bootstrap key, the secret key, the keys of the log, the embedded store and the archive are kept."""
    store_url: Annotated[
        str,
        Meta(
            pattern=r"^$|^(redis|rediss|unix)://.|^redis\+cluster://(\S*@)?[^\s,@/]+:[0-9]+(,[^\s,@/]+:[0-9]+)*/?$(?!\n)"
        ),
    ] = ""
    """The store, as in `redis://host:6379/0`, `unix:///path` or `redis+cluster://host:6379,other:6379`; empty: the
    embedded one, under the home."""
    ledger: LedgerName = "main"
    """The ledger that is made at the first start, that the bootstrap key opens, and that commands on the store are
    about. The API and the worker serve every ledger of the store."""
    host: Annotated[str, Meta(pattern=r"^\S+$(?!\n)")] = "127.0.0.1"
    """The address that the API listens on."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 8181
    """The port that the API listens on; 0 takes a free one."""
    metrics_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """The port on 127.0.0.1 where Prometheus finds `/metrics`, without a key; 0: there are no metrics."""
    drain_seconds: Annotated[int, Meta(ge=0, le=300)] = 0
    """Seconds between a signal to end and the closing of the port. Meanwhile `/readyz` says 503 and requests are still
    answered, so that a load balancer goes elsewhere first."""
    allow_lossy_store: bool = False
    """`1` accepts a store that could lose acknowledged events. For trials only."""
    replicas: Annotated[int, Meta(ge=0, le=100)] = 0
    """How many replicas of the store must have an event on disk too before it is acknowledged."""
    log_level: Annotated[str, Meta(pattern=r"^(debug|info|warning|error)$(?!\n)")] = "info"
    """The least level that is logged."""
    streams: Annotated[int, Meta(ge=0, le=100_000)] = 2000
    """How many streams of events an API process has open at once."""
    streams_per_key: Annotated[int, Meta(ge=0, le=100_000)] = 100
    """How many of them one key may have."""
    reads_per_minute: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 60_000
    """How many requests that record nothing one API key may make in a minute; 0: as many as it likes."""
    writes_per_minute: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 30_000
    """How many other requests one API key may make in a minute; 0: as many as it likes."""
    cors_origins: Annotated[
        str, Meta(pattern=r"^$|^https?://[a-z0-9.-]+(:[0-9]+)?(,https?://[a-z0-9.-]+(:[0-9]+)?)*$(?!\n)")
    ] = ""
    """The web origins whose pages may use the API from a browser, each exactly, as in `https://desk.example.org`,
    separated by commas; empty: none."""
    secret_key: str = ""
    """The key under which confidential values are kept: 32 bytes in hexadecimal or base64. Empty: `secret.key` in the
    home, which the first start makes. Every API process of a ledger needs the same."""
    webhook_allow: str = ""
    """Networks that webhooks are sent to though they are not public, also by plain http, as in `127.0.0.0/8,::1/128`.
    For development."""
    webhook_proxy: Annotated[str, Meta(pattern=r"^$|^https?://[^\s/]+/?$(?!\n)")] = ""
    """The HTTP proxy that webhooks go through, as in `http://proxy:3128`; empty: none."""
    webhook_schedule: Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)?(,[0-9]+(\.[0-9]+)?){0,49}$(?!\n)")] = (
        "0,5,300,1800,7200,18000,36000,50400,72000,86400"
    )
    """Seconds before each attempt of a delivery, counted from the one before it; after the last one it is given up."""
    claim_link: Annotated[str, Meta(pattern=r"^$|^https?://[^\s<>|]+$(?!\n)")] = ""
    """Where messages for chats lead, `{claim}` standing for a claim's identifier, as in
    `https://desk.example.org/claims/{claim}`; empty: the API's document."""
    archive: str = ""
    """Where ledgers are sealed: a folder, or objects as in `s3://bucket/prefix`. Empty: `archive` in the home."""
    origin: Annotated[str, Meta(pattern=r"^$|^[^\s+]+[^\s+/]$(?!\n)")] = ""
    """What the names of new transparency logs begin with, as in `record.example.org`; a ledger's name follows."""
    witnesses: str = ""
    """Who cosigns checkpoints (C2SP tlog-witness): for each its verifier key and its URL, with spaces between them."""
    public_log: bool = False
    """`1` lets everybody read checkpoints and hash tiles of the ledger above; entries need a key for audits."""
    jwt_issuer: str = ""
    """The identity provider whose tokens open the API too, as the claim `iss` has it; empty: none's do."""
    jwt_audience: str = ""
    """What the claim `aud` of such a token has to name."""
    jwt_jwks_url: Annotated[
        str, Meta(pattern=rf"^$|^https://[^\s/]+(/\S*)?$(?!\n)|^http://{_LOCAL}(:[0-9]+)?(/\S*)?$(?!\n)")
    ] = ""
    """Where the provider publishes the keys that it signs with, by https (http only on this machine)."""
    jwt_algorithms: Annotated[str, Meta(pattern=rf"^{_ALGORITHM}(,{_ALGORITHM})*$(?!\n)")] = "RS256,ES256,EdDSA"
    """The algorithms that it may sign with: asymmetric ones."""
    url: Annotated[str, Meta(pattern=r"^$|^https?://[^\s/]\S*$(?!\n)")] = ""
    """Where `onrecord claims` and `onrecord events` find the API; empty: the host and port above."""
    key: Annotated[str, Meta(pattern=r"^\S*$(?!\n)")] = ""
    """The API key that those commands use; empty: the bootstrap key in the home."""

    def __post_init__(self) -> None:
        try:
            _ = self.webhook_networks
        except ValueError as error:
            raise BadSettings(f"{_PREFIX}WEBHOOK_ALLOW={self.webhook_allow!r}: {error}") from error
        if self.port and self.port == self.metrics_port:
            raise BadSettings(f"{_PREFIX}METRICS_PORT={self.metrics_port}: {_PREFIX}PORT is the same")
        if self.replicas and not self.store_url:
            raise BadSettings(
                f"{_PREFIX}REPLICAS={self.replicas}: the embedded store has no replicas; name one in {_PREFIX}STORE_URL"
            )

        provider = {name: getattr(self, name) for name in ("jwt_issuer", "jwt_audience", "jwt_jwks_url")}
        if any(provider.values()) and not all(provider.values()):
            lacking = next(name for name, value in provider.items() if not value)
            raise BadSettings(f"{_PREFIX}{lacking.upper()} is not set, and tokens of an identity provider need it")

    @property
    def webhook_networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """The networks that webhooks are sent to though they are not public."""
        return tuple(ipaddress.ip_network(each.strip()) for each in self.webhook_allow.split(",") if each.strip())

    @property
    def webhook_attempts(self) -> tuple[float, ...]:
        """The times of `webhook_schedule`."""
        return tuple(map(float, self.webhook_schedule.split(",")))

    @property
    def origins(self) -> list[str]:
        """The origins of `cors_origins`."""
        return self.cors_origins.split(",") if self.cors_origins else []

    @property
    def home_path(self) -> Path:
        """The home as an absolute path."""
        return Path(self.home).expanduser().absolute()

    @property
    def bootstrap_key_path(self) -> Path:
        """Where the first API key is kept."""
        return self.home_path / "bootstrap.key"

    @property
    def secret_key_path(self) -> Path:
        """Where the secret key is kept, unless it is set."""
        return self.home_path / "secret.key"

    @property
    def archive_place(self) -> str:
        """Where ledgers are sealed."""
        return self.archive or str(self.home_path / "archive")

    @property
    def api_url(self) -> str:
        """Where the API is."""
        return self.url.rstrip("/") or f"http://{self.host}:{self.port}"


def read(environment: Mapping[str, str]) -> Settings:
    """Return the settings of an environment. Raises ``BadSettings`` for a variable that cannot be used."""
    given = {
        name.removeprefix(_PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(_PREFIX) and not name.startswith("ONRECORD_TEST_")
    }
    known = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    for name in given:
        if name not in known:
            raise BadSettings(f"{_PREFIX}{name.upper()} is no setting of On Record")
    values: dict[str, Any] = {}
    for name, value in given.items():
        try:
            values[name] = msgspec.convert(value, known[name], strict=False)
        except msgspec.ValidationError as error:
            shown = "" if name in _SECRET else f"={value!r}"
            why = _SECRET.get(name) or f"{str(error)[:1].lower()}{str(error)[1:]}"
            raise BadSettings(f"{_PREFIX}{name.upper()}{shown}: {why}") from error
    return Settings(**values)


def wants_traces(environment: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's own variables ask for traces: they name an endpoint, and do not turn them off."""
    return (
        any(environment.get(f"OTEL_EXPORTER_OTLP_{name}") for name in ("ENDPOINT", "TRACES_ENDPOINT"))
        and environment.get("OTEL_SDK_DISABLED", "").lower() != "true"
        and environment.get("OTEL_TRACES_EXPORTER", "otlp") == "otlp"
    )
