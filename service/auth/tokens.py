"""Tokens of an identity provider: JSON Web Tokens (RFC 7519), signed, for people who sign in with their own accounts.

A token is good if its signature is by a key that the provider publishes, with an allowed asymmetric algorithm, it is by
our issuer for our audience, and it is neither expired nor of the future (30 s of leeway). Its claim ``onrecord_ledger``
names the ledger, ``scope`` (RFC 8693) or ``scp`` its scopes, of which those that are ours count. The actor on record is
a ``person_`` derived from issuer and subject: always the same, and it names nobody.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import jwt
import msgspec
from jwt.exceptions import ExpiredSignatureError, InvalidAudienceError, InvalidIssuerError, PyJWTError

from events.identifiers import LedgerName, derived_id
from service.auth.jwks import Jwks
from service.auth.keys import Key, NotRecognised
from service.auth.scopes import Scope

LEEWAY_SECONDS = 30
BELIEVED_SECONDS = 60.0
"""For how long a token that was found good is not checked again, unless it expires."""
_LARGEST = 8192
_LONGEST_SUBJECT = 255
_MOST_KNOWN = 10_000
_SCOPES = {scope.value: scope for scope in Scope}


class Tokens:
    """The tokens of one issuer for one audience."""

    def __init__(self, issuer: str, audience: str, algorithms: Sequence[str], jwks: Jwks) -> None:
        self._issuer, self._audience, self._algorithms, self._jwks = issuer, audience, list(algorithms), jwks
        self._known: OrderedDict[bytes, tuple[float, Key]] = OrderedDict()

    def known(self, token: str) -> Key | None:
        """Return who this process found a token to be within the last minute, or None."""
        known = self._known.get(_digest(token))
        if known is None or time.monotonic() > known[0] or time.time() >= (known[1].expires or 0):
            return None
        return known[1]

    async def recognise(self, token: str) -> Key:
        """Return who a token is. Raises ``NotRecognised``, or ``ProviderAway`` if that cannot be found out now."""
        if known := self.known(token):
            return known
        key = self._read(await self._verified(token))
        self._known[_digest(token)] = (time.monotonic() + BELIEVED_SECONDS, key)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return key

    async def aclose(self) -> None:
        """Close the connection to the provider."""
        await self._jwks.aclose()

    async def _verified(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that is good."""
        if len(token) > _LARGEST:
            raise NotRecognised("the token is too long")
        try:
            header = jwt.get_unverified_header(token)
        except PyJWTError as error:
            raise NotRecognised("this is neither an API key nor a token") from error
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in self._algorithms:
            raise NotRecognised("the token is signed with an algorithm that is not allowed")
        key = await self._jwks.key(kid, algorithm)
        if key is None:
            raise NotRecognised("the token is signed with a key that the identity provider does not publish")
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except ExpiredSignatureError as error:
            raise NotRecognised("the token has expired") from error
        except InvalidAudienceError as error:
            raise NotRecognised("the token is for another audience") from error
        except InvalidIssuerError as error:
            raise NotRecognised("the token is of another issuer") from error
        except (PyJWTError, TypeError, ValueError) as error:
            raise NotRecognised("the token is not valid") from error
        return claims

    def _read(self, claims: dict[str, Any]) -> Key:
        subject = claims["sub"]
        if not (isinstance(subject, str) and 1 <= len(subject) <= _LONGEST_SUBJECT):
            raise NotRecognised("the token names no subject")
        try:
            ledger = msgspec.convert(claims.get("onrecord_ledger"), LedgerName)
        except msgspec.ValidationError as error:
            raise NotRecognised("the token names no ledger in onrecord_ledger") from error
        given = claims.get("scope", claims.get("scp", ""))
        words = given.split() if isinstance(given, str) else given if isinstance(given, list) else []
        scopes = frozenset(_SCOPES[word] for word in words if isinstance(word, str) and word in _SCOPES)
        person = derived_id("person", self._issuer, subject)
        return Key(person, ledger, scopes, float(claims["exp"]) + LEEWAY_SECONDS)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
