"""The keys that an identity provider signs its tokens with: its JSON Web Key Set (RFC 7517), fetched and kept.

The set is fetched again after five minutes, beside whoever asks, and at once when a token names a key that is not in
it, but not within ten seconds of the last time. While the provider is away the set that is there serves on, for a day.
"""

import asyncio
import time
from typing import Any, TypeAlias

import httpcore2
import jwt
import msgspec
import structlog
from jwt.exceptions import PyJWTError

_LOG = structlog.get_logger("onrecord.auth")
FRESH_SECONDS = 300.0
KEPT_SECONDS = 86_400.0
BETWEEN_FETCHES = 10.0
_LARGEST = 256 * 1024
_MOST_KEYS = 100
_FETCH_SECONDS = 5.0
_TIMEOUTS = {"connect": 3.0, "read": 3.0, "write": 3.0, "pool": 3.0}
_OK = 200
_FAMILIES = {"RSA": ("RS", "PS"), "EC": ("ES",), "OKP": ("Ed",)}
"""By the kind of a key, what the algorithms begin with that it verifies. A symmetric key has no place here."""

PublicKey: TypeAlias = Any  # one of cryptography's


class ProviderAway(Exception):
    """The identity provider's keys were never had, or not for a day: no token can be checked now."""


class _Set(msgspec.Struct):
    keys: list[dict[str, Any]]


class _Verifying(msgspec.Struct, frozen=True):
    """A key of the set: its identifier, kind, the one algorithm it is for if it says so, and the key itself."""

    kid: str | None
    kty: str
    alg: str | None
    key: PublicKey

    def verifies(self, algorithm: str) -> bool:
        return algorithm.startswith(_FAMILIES[self.kty]) and self.alg in {None, algorithm}


class Jwks:
    """The key set at a URL."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool = httpcore2.AsyncConnectionPool(max_connections=1)
        self._keys: tuple[_Verifying, ...] = ()
        self._fetched = self._tried = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """Return the public key that a token names, or the only one there is for its algorithm; None if there is none.

        Raises ``ProviderAway`` if that cannot be known. Waits a few seconds at most.
        """
        if time.monotonic() - self._fetched > FRESH_SECONDS:
            self._fetch_soon()
        found = self._find(kid, algorithm)
        if found is None:
            self._fetch_soon()
            if self._fetching is not None:
                await asyncio.shield(self._fetching)
            found = self._find(kid, algorithm)
        if found is None and time.monotonic() - self._fetched > KEPT_SECONDS:
            raise ProviderAway("the identity provider's keys cannot be had now")
        return found

    async def aclose(self) -> None:
        """End what is under way, and close the connection."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])
        await self._pool.aclose()

    def _find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        if time.monotonic() - self._fetched > KEPT_SECONDS:
            return None
        fit = [each for each in self._keys if each.verifies(algorithm) and kid in {None, each.kid}]
        return fit[0].key if len(fit) == 1 else None

    def _fetch_soon(self) -> None:
        """Begin to fetch the set, unless that is under way or was tried just now."""
        if self._fetching is None and time.monotonic() - self._tried >= BETWEEN_FETCHES:
            self._tried = time.monotonic()
            self._fetching = asyncio.create_task(self._fetch())

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                self._keys = _read(await self._get())
            self._fetched = time.monotonic()
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, OSError) as error:
            _LOG.warning("the identity provider's keys cannot be fetched", why=str(error) or type(error).__name__)
        except (ValueError, msgspec.MsgspecError) as error:
            _LOG.warning("what the identity provider answers is no key set", why=str(error))
        finally:
            self._fetching = None

    async def _get(self) -> bytes:
        """Return what is at the URL. A redirection is no answer."""
        headers = [("Accept", "application/json")]
        async with self._pool.stream("GET", self._url, headers=headers, extensions={"timeout": _TIMEOUTS}) as response:
            if response.status != _OK:
                raise ValueError(f"its status is {response.status}")
            content = b""
            async for chunk in response.aiter_stream():
                content += chunk
                if len(content) > _LARGEST:
                    raise ValueError(f"it is larger than {_LARGEST} bytes")
        return content


def _read(content: bytes) -> tuple[_Verifying, ...]:
    """Return the keys of a set that verify signatures; those that are for something else are passed over."""
    found = []
    for each in msgspec.json.decode(content, type=_Set).keys[:_MOST_KEYS]:
        if each.get("kty") not in _FAMILIES or each.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK(each)
        except PyJWTError as error:
            _LOG.warning("a key of the identity provider cannot be used", kid=str(each.get("kid"))[:80], why=str(error))
            continue
        found.append(_Verifying(each.get("kid"), each["kty"], each.get("alg"), key.key))
    if not found:
        raise ValueError("there is no key in it that verifies signatures")
    return tuple(found)
