"""Proofs to keep (C2SP tlog-proof v1): a leaf's place, the hashes of its proof, and the checkpoint they lead to."""

import re
from collections.abc import Sequence

from msgspec import Struct

from events.transparency.checkpoint import Checkpoint, opened
from events.transparency.errors import BadProof
from events.transparency.hashing import HASH_BYTES
from events.transparency.note import VerifierKey, decoded, encoded
from events.transparency.proofs import verify_inclusion

MEDIA_TYPE = "text/plain; charset=utf-8"
_FIRST = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


class TlogProof(Struct, frozen=True):
    """That a log has a leaf at ``index`` (from 0). ``checkpoint`` is the signed note, byte for byte."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = b""

    def __bytes__(self) -> bytes:
        extra = [f"extra {encoded(self.extra)}"] if self.extra else []
        lines = [_FIRST, *extra, f"index {self.index}", *map(encoded, self.hashes), "", ""]
        return "\n".join(lines).encode() + self.checkpoint

    @classmethod
    def parse(cls, raw: bytes) -> "TlogProof":
        """Read a proof. Raises ``BadProof`` for anything else."""
        above, blank, checkpoint = raw.partition(b"\n\n")
        lines = above.decode(errors="replace").split("\n")
        if not blank or lines.pop(0) != _FIRST:
            raise BadProof(f"a proof begins with {_FIRST}, and has a checkpoint after an empty line")
        extra = b""
        if lines and lines[0].startswith("extra "):
            extra = decoded(lines.pop(0).removeprefix("extra "))
            if not extra:
                raise BadProof("the extra data of a proof is base64")
        index = _INDEX.fullmatch(lines.pop(0)) if lines else None
        if index is None:
            raise BadProof("a proof says at which index the leaf is")
        hashes = tuple(map(decoded, lines))
        if any(len(each) != HASH_BYTES for each in hashes):
            raise BadProof("a hash of a proof is 32 bytes in base64")
        return cls(int(index[1]), hashes, checkpoint, extra)

    def verify(self, leaf: bytes, keys: Sequence[VerifierKey]) -> Checkpoint:
        """Return the checkpoint if one of the log's keys signed it and it covers the leaf with this hash.

        Raises ``BadNote``, ``BadCheckpoint`` or ``BadProof``.
        """
        checkpoint = opened(self.checkpoint, keys)
        verify_inclusion(leaf, self.index, checkpoint.size, self.hashes, checkpoint.root)
        return checkpoint
