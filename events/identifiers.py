"""Typed identifiers: a kind, an underscore, and a 128-bit UUID in Crockford base32 (26 characters, lower case)."""

import hashlib
import uuid
from typing import Annotated, Literal

import uuid_utils
from msgspec import Meta

Kind = Literal[
    "story",
    "claim",
    "source",
    "statement",
    "evidence",
    "inquiry",
    "assessment",
    "publication",
    "webhook",
    "key",
    "person",
]

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [high + low for high in _CROCKFORD for low in _CROCKFORD]
BASE32 = "[0-7][0-9a-hjkmnp-tv-z]{25}"

StoryId = Annotated[str, Meta(pattern=rf"^story_{BASE32}$(?!\n)", description="A story's identifier.")]
ClaimId = Annotated[str, Meta(pattern=rf"^claim_{BASE32}$(?!\n)", description="A claim's identifier.")]
SourceId = Annotated[str, Meta(pattern=rf"^source_{BASE32}$(?!\n)", description="A source's identifier.")]
StatementId = Annotated[str, Meta(pattern=rf"^statement_{BASE32}$(?!\n)", description="A statement's identifier.")]
EvidenceId = Annotated[
    str, Meta(pattern=rf"^evidence_{BASE32}$(?!\n)", description="A piece of evidence's identifier.")
]
AssessmentId = Annotated[str, Meta(pattern=rf"^assessment_{BASE32}$(?!\n)", description="An assessment's identifier.")]
InquiryId = Annotated[str, Meta(pattern=rf"^inquiry_{BASE32}$(?!\n)", description="An inquiry's identifier.")]
PublicationId = Annotated[
    str, Meta(pattern=rf"^publication_{BASE32}$(?!\n)", description="A publication's identifier.")
]
WebhookId = Annotated[str, Meta(pattern=rf"^webhook_{BASE32}$(?!\n)", description="A webhook's identifier.")]
PersonId = Annotated[
    str, Meta(pattern=rf"^person_{BASE32}$(?!\n)", description="An opaque identifier of a person; names stay outside.")
]
SourceOrEvidenceId = Annotated[
    str,
    Meta(pattern=rf"^(source|evidence)_{BASE32}$(?!\n)", description="A source's or a piece of evidence's identifier."),
]
LedgerName = Annotated[
    str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$(?!\n)", max_length=60, description="A ledger's name.")
]


def new_id(kind: Kind) -> str:
    """Return a fresh identifier of ``kind``: a UUIDv7 (RFC 9562), so that later ones sort after earlier ones."""
    return f"{kind}_{_crockford(uuid_utils.uuid7().bytes)}"


def derived_id(kind: Kind, *parts: str) -> str:
    """Return the identifier that ``parts`` always give: a UUIDv8 (RFC 9562, section 5.8) over their SHA-256.

    What is imported twice gets the same identifiers twice, and is refused the second time.
    """
    digest = bytearray(hashlib.sha256("\0".join((kind, *parts)).encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return f"{kind}_{_crockford(bytes(digest))}"


def new_event_id() -> str:
    """Return a fresh CloudEvents ``id``: a UUIDv7 in its usual text form."""
    return str(uuid_utils.uuid7())


def new_epoch() -> str:
    """Return a fresh ledger epoch: 64 random bits in base32 (13 characters)."""
    return _crockford(b"\0" * 8 + uuid.uuid4().bytes[:8])[-13:]


def _crockford(raw: bytes) -> str:
    """Encode 16 bytes, most significant first, as 26 characters (the first holds three bits)."""
    number = int.from_bytes(raw)
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])
