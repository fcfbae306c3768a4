"""Witnesses (C2SP tlog-witness): others who see every checkpoint of the log, and sign that it only grew.

Whoever trusts a witness cannot be shown another log than others are. A witness that does not answer is left alone for a
minute: sealing does not depend on it.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import TypeAlias

import httpcore2
import structlog
from msgspec import Struct

from events.errors import LedgerError
from events.transparency.checkpoint import Checkpoint
from events.transparency.errors import BadNote, TransparencyError
from events.transparency.note import COSIGNATURE, Note, Signature, VerifierKey, encoded
from service.audit.archive import Archive
from service.audit.log_key import LogKeyUnusable

_LOG = structlog.get_logger("onrecord.sealer")
_Pool: TypeAlias = httpcore2.AsyncConnectionPool
_PATIENCE = 1.0
_REST = 60.0
_COSIGNED, _CONFLICT = 200, 409
_LARGEST_ANSWER = 64 * 1024


class Witness(Struct, frozen=True):
    """A witness: the key by which it cosigns, and where it is asked."""

    key: VerifierKey
    url: str


class Refused(Exception):
    """A witness did not cosign."""


class Witnesses:
    """Asks witnesses to cosign a log's checkpoints."""

    def __init__(self, witnesses: Sequence[Witness]) -> None:
        self._witnesses = witnesses
        self._seen: dict[Witness, int] = {}
        self._rests: dict[Witness, float] = {}

    @classmethod
    def parse(cls, text: str) -> "Witnesses":
        """Read verifier keys and URLs, in turn. Raises ``LogKeyUnusable``."""
        words = text.split()
        if len(words) % 2:
            raise LogKeyUnusable("ONRECORD_WITNESSES has a verifier key and a URL for each witness")
        try:
            found = [Witness(VerifierKey.parse(key), url) for key, url in zip(words[::2], words[1::2], strict=True)]
        except BadNote as error:
            raise LogKeyUnusable(f"ONRECORD_WITNESSES: {error}") from error
        if any(each.key.type != COSIGNATURE for each in found):
            raise LogKeyUnusable("ONRECORD_WITNESSES: the key of a witness is one for cosignatures (type 4)")
        return cls(found)

    async def cosigned(self, raw: bytes, archive: Archive) -> bytes:
        """Return a checkpoint with the cosignatures of those witnesses who give them within a second.

        ``archive`` has the tree that it is over.
        """
        note = Note.parse(raw)
        now = time.monotonic()
        awake = [each for each in self._witnesses if self._rests.get(each, 0.0) <= now]
        if not awake:
            return raw
        checkpoint = Checkpoint.parse(note.text)
        async with httpcore2.AsyncConnectionPool() as pool:
            found = await asyncio.gather(*(self._one(pool, each, raw, checkpoint, archive) for each in awake))
        return bytes(Note(note.text, (*note.signatures, *(line for lines in found for line in lines))))

    async def _one(
        self,
        pool: _Pool,
        witness: Witness,
        raw: bytes,
        checkpoint: Checkpoint,
        archive: Archive,
    ) -> list[Signature]:
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self._ask(pool, witness, raw, checkpoint, archive)
        except (httpcore2.NetworkError, httpcore2.ProtocolError, TimeoutError, Refused, LedgerError) as error:
            why = str(error) or type(error).__name__
        except (TransparencyError, ValueError) as error:
            why = f"its answer is none: {error}"
        self._rests[witness] = time.monotonic() + _REST
        _LOG.warning("a witness did not cosign", witness=witness.key.name, why=why)
        return []

    async def _ask(
        self,
        pool: _Pool,
        witness: Witness,
        raw: bytes,
        checkpoint: Checkpoint,
        archive: Archive,
    ) -> list[Signature]:
        """Ask once and, if it knows another size than we thought, once more from that."""
        for _ in range(2):
            old = self._seen.get(witness, 0)
            if old > checkpoint.size:
                raise Refused(f"it has cosigned {old} events, and this checkpoint is over {checkpoint.size}")
            proof = await archive.consistency(old, checkpoint.size, checkpoint.size) if old else []
            body = "".join([f"old {old}\n", *(f"{encoded(each)}\n" for each in proof), "\n"]).encode() + raw
            response = await pool.request("POST", f"{witness.url.rstrip('/')}/add-checkpoint", content=body)
            said = response.content[:_LARGEST_ANSWER].decode()
            if response.status == _COSIGNED:
                lines = Note.parse(f"{checkpoint.text}\n{said}".encode()).signatures
                its = [line for line in lines if line.is_by(witness.key)]
                for line in its:
                    witness.key.verify(checkpoint.text, line.signature)
                self._seen[witness] = checkpoint.size
                return its
            if response.status != _CONFLICT:
                raise Refused(f"it answers {response.status}: {said[:200]}")
            self._seen[witness] = int(said)
        raise Refused("it knows another size each time")
