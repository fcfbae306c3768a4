"""The vault: a key for each subject, outside the ledger, under which what is confidential about it is sealed.

Each key is random, and wrapped by the secret key (AES-256-GCM), so that the store alone opens nothing. Erasing a
subject puts a mark in the place of its key: nothing can be sealed or opened for it any more, whatever crashes after
that. A process believes for two seconds what the vault said of a subject when it opens something; it seals only with
what the vault says now.
"""

import asyncio
import base64
import binascii
import contextlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import msgspec
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from redis.exceptions import ResponseError

from events import keys
from events.confidential import Confidential
from events.identifiers import derived_id
from events.sending import Sender
from events.store import Script, Store, answering, meaning, rewrite_logs
from events.words import Sealed
from service.auth import secret_key
from service.auth.secret_key import SecretKey, SecretKeyUnusable

_LOG = structlog.get_logger("onrecord.vault")
BELIEVED_SECONDS = 2.0
"""For how long a process may open what was erased by another one."""
_PUT = Script("service.auth", "vault.lua")
_ERASED = b"erased"
_KEY_BITS = 256
_NONCE = 12
_BLOCK = 128
_MOST_KNOWN = 10_000


class Erased(Exception):
    """The subject was erased: nothing can be sealed for it, and what was sealed cannot be opened."""

    def __init__(self, subject: str) -> None:
        super().__init__(f"{subject} was erased: nothing confidential about it can be recorded any more")


class Unopened(Exception):
    """A sealed value that cannot be opened, though its subject was not erased: no key is there, or it was changed."""


class Vault:
    """The keys of one ledger's subjects. Open it with :func:`opened`."""

    def __init__(self, store: Store, ledger: str, secret: SecretKey) -> None:
        self._store, self._ledger, self._secret = store, ledger, secret
        self._sender, self._sending = Sender(store), asyncio.Lock()
        self._known: OrderedDict[str, tuple[float, AESGCM | None]] = OrderedDict()

    async def seal(self, subject: str, content: Confidential) -> Sealed:
        """Seal what is confidential about a subject, with a key that is on disk; its first value makes its key.

        Raises ``Erased``, and what a write of the store raises.
        """
        key = self._unwrapped(subject, await self._held(subject) or await self._put(subject, self._wrapped(subject)))
        if key is None:
            raise Erased(subject)
        clear = msgspec.json.encode(content)
        padded = clear.ljust(-len(clear) // _BLOCK * -_BLOCK)  # the length of a name says something about it
        nonce = secrets.token_bytes(_NONCE)
        return Sealed(
            kid=subject,
            nonce=base64.b64encode(nonce).decode(),
            ct=base64.b64encode(key.encrypt(nonce, padded, self._bound_to(subject))).decode(),
        )

    async def open(self, values: Iterable[Sealed]) -> Mapping[Sealed, bytes | Erased | Unopened]:
        """Open sealed values: for each its JSON, or why it cannot be opened."""
        values = list(values)
        known = await self._keys({value.kid for value in values})
        return {value: self._opened(value, known[value.kid]) for value in values}

    async def knows(self, subject: str) -> bool:
        """Whether anything confidential about a subject was ever sealed, or it was erased."""
        return await self._held(subject) is not None

    async def erase(self, subject: str) -> None:
        """Delete a subject's key for ever. Doing it again does no harm, and deletes a key that a backup brought back.

        The servers are asked to write their logs anew, because a log keeps what was deleted from the store.
        """
        await self._put(subject, _ERASED, only_if_none=False)
        self._known.pop(subject, None)
        for why in await rewrite_logs(self._store):
            _LOG.warning("a log of the store still has what was erased from it, until it is next written anew", why=why)

    async def keep(self, kept_id: str, content: bytes) -> None:
        """Keep something that is of no event, encrypted under the secret key, on disk when this returns."""
        nonce = secrets.token_bytes(_NONCE)
        await self._put(_shelf(kept_id), nonce + self._wrapping().encrypt(nonce, content, self._bound_to(kept_id)))

    async def kept(self, kept_ids: Collection[str]) -> dict[str, bytes]:
        """Return what was kept under these names; what is not there, or was changed, is left out."""
        with answering():
            pipeline = self._store.pipeline(transaction=False)
            for kept_id in kept_ids:
                pipeline.get(keys.vault(self._ledger, _shelf(kept_id)))
            held = await pipeline.execute() if kept_ids else []
        found: dict[str, bytes] = {}
        for kept_id, value in zip(kept_ids, held, strict=True):
            with contextlib.suppress(InvalidTag):
                if value is not None:
                    clear = self._wrapping().decrypt(value[:_NONCE], value[_NONCE:], self._bound_to(kept_id))
                    found[kept_id] = clear
        return found

    async def discard(self, kept_ids: Collection[str]) -> None:
        """Keep something no longer."""
        with answering():
            for kept_id in kept_ids:
                await self._store.delete(keys.vault(self._ledger, _shelf(kept_id)))

    @property
    def signing(self) -> Ed25519PrivateKey:
        """The key that webhooks are signed with, the same for every ledger under one secret key."""
        return Ed25519PrivateKey.from_private_bytes(self._secret.signing)

    async def close(self) -> None:
        """Wait for a write that is under way."""
        async with self._sending:
            pass

    def named_key(self, caller: str, name: str) -> tuple[str, str]:
        """Return the identifier and the secret of the API key that a caller asks for under a name: always the same."""
        said = msgspec.json.encode((caller, name))
        secret = hmac.digest(self._secret.hashing, b"api key\0" + said, "sha256")
        return derived_id("key", self._ledger, caller, name), base64.urlsafe_b64encode(secret).decode().rstrip("=")

    def command_hash(self, content: bytes) -> str:
        """Return a hash by which a command is recognised, and from which nobody can guess what it says."""
        return hmac.digest(self._secret.hashing, content, "sha256").hex()

    # ----------------------------------------------------------------------------------- keys of subjects

    async def _keys(self, subjects: Collection[str]) -> dict[str, AESGCM | Erased | Unopened]:
        now = time.monotonic()
        found = {name: self._known[name][1] for name in subjects if name in self._known and self._known[name][0] > now}
        answer: dict[str, AESGCM | Erased | Unopened] = {name: key or Erased(name) for name, key in found.items()}
        missing = [name for name in subjects if name not in found]
        if missing:
            with answering():
                pipeline = self._store.pipeline(transaction=False)
                for subject in missing:
                    pipeline.get(keys.vault(self._ledger, subject))
                held = await pipeline.execute()
            for subject, value in zip(missing, held, strict=True):
                answer[subject] = self._learned(subject, value)
        return answer

    def _learned(self, subject: str, held: bytes | None) -> AESGCM | Erased | Unopened:
        """Return a subject's key from what the vault holds, and believe it for a while."""
        if held is None:
            return Unopened(f"the vault has no key of {subject}")
        try:
            key = self._unwrapped(subject, held)
        except InvalidTag:
            return Unopened(f"the key of {subject} was changed")
        self._known[subject] = (time.monotonic() + BELIEVED_SECONDS, key)
        self._known.move_to_end(subject)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return key or Erased(subject)

    def _opened(self, value: Sealed, key: AESGCM | Erased | Unopened) -> bytes | Erased | Unopened:
        if not isinstance(key, AESGCM):
            return key
        try:
            nonce, ciphertext = base64.b64decode(value.nonce), base64.b64decode(value.ct)
            return key.decrypt(nonce, ciphertext, self._bound_to(value.kid)).rstrip(b" ")
        except (InvalidTag, ValueError, binascii.Error):
            return Unopened(f"a value sealed for {value.kid} was changed")

    async def _held(self, subject: str) -> bytes | None:
        with answering():
            held: bytes | None = await self._store.get(keys.vault(self._ledger, subject))
        return held

    async def _put(self, subject: str, value: bytes, *, only_if_none: bool = True) -> bytes:
        """Let the vault hold something, on as many disks as an event has to be on, and return what it holds then."""
        async with self._sending:
            try:
                held: bytes = await self._sender.run(
                    _PUT, [keys.vault(self._ledger, subject)], [value, "1" if only_if_none else "0"]
                )
            except ResponseError as error:
                raise meaning(error) or error from error
        return held

    def _wrapped(self, subject: str) -> bytes:
        """Return a new key, wrapped."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._wrapping().encrypt(nonce, AESGCM.generate_key(_KEY_BITS), self._bound_to(subject))

    def _unwrapped(self, subject: str, held: bytes) -> AESGCM | None:
        """Return the key that the vault holds for a subject; None if it was erased. Raises ``InvalidTag``."""
        if held == _ERASED:
            return None
        return AESGCM(self._wrapping().decrypt(held[:_NONCE], held[_NONCE:], self._bound_to(subject)))

    def _wrapping(self) -> AESGCM:
        return AESGCM(self._secret.wrapping)

    def _bound_to(self, subject: str) -> bytes:
        """Return the associated data of whatever is encrypted for a subject: it opens nowhere else."""
        return f"{self._ledger}\0{subject}".encode()


def _shelf(kept_id: str) -> str:
    return f"kept_{kept_id}"


async def opened(store: Store, ledger: str, setting: str, path: Path) -> Vault:
    """Open a ledger's vault with the secret key of the setting or the file; the first to open it makes the file.

    Raises ``SecretKeyUnusable`` if that is no secret key, or not the one that the vault was begun with.
    """
    name = keys.vault_check(ledger)
    with answering():
        check = await store.get(name)
    key = secret_key.given(setting, path)
    if key is None and check:
        raise SecretKeyUnusable(
            f"the secret key of ledger {ledger} is not here: give it in ONRECORD_SECRET_KEY or in {path};"
            " without it, what is confidential cannot be read"
        )
    secret = secret_key.derived(key or secret_key.made(path), ledger)
    if not check:
        with answering():
            await store.set(name, secret.check, nx=True)
            check = await store.get(name)
    if not hmac.compare_digest(check, secret.check):
        where = "ONRECORD_SECRET_KEY" if setting else str(path)
        raise SecretKeyUnusable(f"{where} is not the secret key that the vault of ledger {ledger} was begun with")
    return Vault(store, ledger, secret)
