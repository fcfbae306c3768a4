"""Signed notes (C2SP signed-note v1): text, and below it lines with signatures by named keys.

Keys are Ed25519, for notes (type 1) or for cosignatures of checkpoints (type 4, C2SP tlog-cosignature). A verifier key
reads ``name+id+base64``; a signing key is written as Go's ``note`` package does.
"""

import base64
import binascii
import hashlib
import re
import unicodedata
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from events.transparency.errors import BadNote

ED25519, COSIGNATURE = 1, 4
"""Types of signatures."""
_ID_BYTES, _SEED_BYTES = 4, 32
_TIMESTAMP_BYTES = 8
_LARGEST_NOTE = 1 << 20
_MOST_SIGNATURES = 64
_DASH = "\N{EM DASH} "
_SIGNER = "PRIVATE+KEY+"
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class VerifierKey(Struct, frozen=True):
    """What verifies the signatures of one key: its name, its type, and the public key."""

    name: str
    type: int
    public: bytes

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read ``name+id+base64``. Raises ``BadNote`` for what is no key, or one of another kind than Ed25519."""
        name, plus, rest = text.strip().partition("+")
        key_id, plus_too, encoded = rest.partition("+")
        material = decoded(encoded) if plus and plus_too else b""
        if not is_name(name) or len(material) != 1 + _SEED_BYTES or material[0] not in {ED25519, COSIGNATURE}:
            raise BadNote(f"{text[:100]!r} is no verifier key of type 1 or 4: one reads name+id+base64")
        key = cls(name, material[0], material[1:])
        if key.key_id.hex() != key_id:
            raise BadNote(f"the verifier key of {name} says that its id is {key_id[:20]!r}; it is {key.key_id.hex()}")
        return key

    @property
    def key_id(self) -> bytes:
        """The four bytes that, with the name, tell the key from others."""
        hashed = self.name.encode() + b"\n" + bytes([self.type]) + self.public
        return hashlib.sha256(hashed).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encoded(bytes([self.type]) + self.public)}"

    def verify(self, text: str, signature: bytes) -> None:
        """Return if the key signed the text. Raises ``BadNote`` if it did not."""
        message, signed = text.encode(), signature
        if self.type == COSIGNATURE:
            message, signed = cosigned(text, timestamp_of(signature)), signature[_TIMESTAMP_BYTES:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signed, message)
        except (InvalidSignature, ValueError) as error:
            raise BadNote(f"the signature by {self.name} ({self.key_id.hex()}) is not one of this text") from error


class SigningKey:
    """What signs in a name. Its secret is only in what ``written`` returns."""

    def __init__(self, name: str, seed: bytes, type_: int = ED25519) -> None:
        if not is_name(name):
            raise BadNote(f"{name[:100]!r} is no name of a key: it is not empty and has no spaces and no plus")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(name, type_, self._private.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str, type_: int = ED25519) -> "SigningKey":
        """Make a new key."""
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw(), type_)

    @classmethod
    def parse(cls, text: str) -> "SigningKey":
        """Read what ``written`` returned. Raises ``BadNote`` for anything else; no message has what was given."""
        parts = text.strip().removeprefix(_SIGNER).split("+", 2)
        material = decoded(parts[2]) if text.startswith(_SIGNER) and len(parts) == 3 else b""  # noqa: PLR2004 - 3 parts
        if len(material) != 1 + _SEED_BYTES or material[0] not in {ED25519, COSIGNATURE}:
            raise BadNote("this is no signing key of type 1 or 4")
        key = cls(parts[0], material[1:], material[0])
        if key.verifier.key_id.hex() != parts[1]:
            raise BadNote(f"the signing key of {parts[0]} does not have the id that it says")
        return key

    def written(self) -> str:
        """Return the key with its secret, as text."""
        material = bytes([self.verifier.type]) + self._private.private_bytes_raw()
        return f"{_SIGNER}{self.verifier.name}+{self.verifier.key_id.hex()}+{encoded(material)}"

    def sign(self, text: str, timestamp: int = 0) -> "Signature":
        """Sign a text; a cosignature is of ``timestamp``, in seconds since 1970."""
        if self.verifier.type == COSIGNATURE:
            signed = timestamp.to_bytes(_TIMESTAMP_BYTES, "big") + self._private.sign(cosigned(text, timestamp))
        else:
            signed = self._private.sign(text.encode())
        return Signature(self.verifier.name, self.verifier.key_id, signed)


class Signature(Struct, frozen=True):
    """One line below a note: who signed, by which key, and the signature."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {encoded(self.key_id + self.signature)}\n"

    def is_by(self, key: VerifierKey) -> bool:
        """Whether it says that it is by this key."""
        return (self.name, self.key_id) == (key.name, key.key_id)


class Note(Struct, frozen=True):
    """A text, which ends in a newline, and its signatures."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, raw: bytes) -> "Note":
        """Read a signed note. Raises ``BadNote`` for anything else, also for base64 that could be written otherwise."""
        if len(raw) > _LARGEST_NOTE:
            raise BadNote(f"a note of {len(raw)} bytes is too large")
        try:
            everything = raw.decode()
        except UnicodeDecodeError as error:
            raise BadNote("a note is UTF-8") from error
        text, blank, lines = everything.rpartition("\n\n")
        if not blank or not lines.endswith("\n") or _CONTROL.search(everything):
            raise BadNote("a note is a text, an empty line, and lines with signatures")
        signatures = tuple(map(_signature, lines[:-1].split("\n")))
        if len(signatures) > _MOST_SIGNATURES:
            raise BadNote(f"a note has at most {_MOST_SIGNATURES} signatures")
        return cls(text + "\n", signatures)

    def __bytes__(self) -> bytes:
        return f"{self.text}\n{''.join(map(str, self.signatures))}".encode()

    def verify(self, keys: Sequence[VerifierKey]) -> list[VerifierKey]:
        """Return which of the keys signed the note: at least one. What others signed is passed over.

        Raises ``BadNote`` if none did, or if a signature that says it is by one of them is not.
        """
        found = []
        for key in keys:
            signed = [each for each in self.signatures if each.is_by(key)]
            for each in signed:
                key.verify(self.text, each.signature)
            if signed:
                found.append(key)
        if not found:
            signers = ", ".join(f"{each.name} ({each.key_id.hex()})" for each in self.signatures)
            wanted = ", ".join(f"{key.name} ({key.key_id.hex()})" for key in keys)
            raise BadNote(f"the note is signed by {signers}, and by none of {wanted}")
        return found


def cosigned(text: str, timestamp: int) -> bytes:
    """Return what is signed when a checkpoint is cosigned at a time (C2SP tlog-cosignature, Ed25519)."""
    return f"cosignature/v1\ntime {timestamp}\n{text}".encode()


def timestamp_of(signature: bytes) -> int:
    """Return when a cosignature was made, in seconds since 1970."""
    return int.from_bytes(signature[:_TIMESTAMP_BYTES], "big")


def is_name(name: str) -> bool:
    """Whether a key can have this name."""
    return bool(name) and "+" not in name and not any(c.isspace() or unicodedata.category(c) == "Cc" for c in name)


def encoded(material: bytes) -> str:
    """Return bytes as base64 (RFC 4648, section 4)."""
    return base64.b64encode(material).decode()


def decoded(text: str) -> bytes:
    """Return the bytes of base64; none at all if it is not written as ``encoded`` writes it."""
    try:
        material = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""
    return material if encoded(material) == text else b""


def _signature(line: str) -> Signature:
    name, space, signed = line.removeprefix(_DASH).partition(" ")
    material = decoded(signed) if space else b""
    if not line.startswith(_DASH) or not is_name(name) or len(material) <= _ID_BYTES:
        raise BadNote(f"{line[:100]!r} is no line with a signature")
    return Signature(name, material[:_ID_BYTES], material[_ID_BYTES:])
