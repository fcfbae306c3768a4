"""What the vault keeps of a webhook: where it is sent, with which headers, signed with which secrets."""

import re
import time
from collections.abc import Collection, Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from events import moments
from events.identifiers import new_id
from service.auth.vault import Vault
from service.webhooks import signing

MOST_HEADERS: Final = 20
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE = re.compile(r"[!-~]([ -~]{0,998}[!-~])?")
_RESERVED = {
    *("accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host"),
    *("keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "user-agent"),
}
_RESERVED_BEGINNINGS = ("webhook-", "proxy-", "ce-", "onrecord-")


class BadHeader(ValueError):
    """A header that an endpoint cannot have. ``name`` is its name; its value is in no message."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"the header {name[:100]!r} {why}")
        self.name = name


class Secret(Struct, frozen=True):
    """A secret that a webhook is signed with; ``until`` is the last moment in which it is valid, if there is one."""

    secret: str
    until: str | None = None


class Kept(Struct, frozen=True):
    """URL, headers and secrets of a webhook, the newest secret first."""

    url: str
    headers: dict[str, str]
    secrets: Annotated[tuple[Secret, ...], Meta(min_length=1)]

    def __repr__(self) -> str:
        return "Kept(…)"

    def valid_secrets(self) -> list[bytes]:
        """Return the secrets that are valid now, as bytes."""
        now = time.time_ns() // 1000
        valid = [each for each in self.secrets if each.until is None or now <= moments.microseconds(each.until)]
        return [signing.secret_bytes(each.secret) for each in valid]


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise ``BadHeader`` for a header (RFC 9110) that is not well formed, or that is ours to set."""
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise BadHeader(name, "has a name that is no header's name")
        if name.lower() in _RESERVED or name.lower().startswith(_RESERVED_BEGINNINGS):
            raise BadHeader(name, "is set by the service itself")
        if not _VALUE.fullmatch(value):
            raise BadHeader(name, "has a value that is not visible ASCII of 1 to 1,000 characters")
    if len({name.lower() for name in headers}) < len(headers):
        raise BadHeader(next(iter(headers)), "or another one is there twice")


async def keep(vault: Vault, kept: Kept) -> str:
    """Put it into the vault, and return under which name."""
    kept_id = new_id("webhook").partition("_")[2]
    await vault.keep(kept_id, msgspec.json.encode(kept))
    return kept_id


async def kept(vault: Vault, kept_ids: Collection[str]) -> dict[str, Kept]:
    """Return what the vault has under these names; what is not there any more is left out."""
    found = await vault.kept(kept_ids)
    return {kept_id: msgspec.json.decode(content, type=Kept) for kept_id, content in found.items()}
