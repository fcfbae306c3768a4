"""Checkpoints (C2SP tlog-checkpoint v1): a log's size and root hash, as the text of a signed note."""

import re
from collections.abc import Sequence

from msgspec import Struct

from events.transparency.errors import BadCheckpoint
from events.transparency.hashing import EMPTY_ROOT, HASH_BYTES
from events.transparency.note import Note, SigningKey, VerifierKey, decoded, encoded

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_LEAST_LINES = 3


class Checkpoint(Struct, frozen=True):
    """What a log says of itself: who it is (``origin``), how many leaves it has, and the root hash over them."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{encoded(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read the text of a checkpoint; lines after the third are passed over. Raises ``BadCheckpoint``."""
        lines = text.split("\n")
        if len(lines) <= _LEAST_LINES or lines[-1] or not all(lines[:-1]):
            raise BadCheckpoint("a checkpoint has an origin, a size and a root hash, a line each")
        origin, size, root = lines[:_LEAST_LINES]
        if not _SIZE.fullmatch(size):
            raise BadCheckpoint(f"{size[:40]!r} is no size of a tree")
        found = cls(origin, int(size), decoded(root))
        if len(found.root) != HASH_BYTES:
            raise BadCheckpoint(f"{root[:80]!r} is no root hash")
        if found.size == 0 and found.root != EMPTY_ROOT:
            raise BadCheckpoint("the tree without leaves has another root hash")
        return found

    def signed(self, keys: Sequence[SigningKey]) -> bytes:
        """Return the checkpoint as a note that each of the keys signed."""
        return bytes(Note(self.text, tuple(key.sign(self.text) for key in keys)))


def opened(raw: bytes, keys: Sequence[VerifierKey]) -> Checkpoint:
    """Return the checkpoint in a note that one of the log's keys signed; its origin is that key's name.

    Raises ``BadNote`` if none did, and ``BadCheckpoint`` for a note that is no checkpoint of theirs.
    """
    note = Note.parse(raw)
    signers = note.verify(keys)
    checkpoint = Checkpoint.parse(note.text)
    if all(key.name != checkpoint.origin for key in signers):
        raise BadCheckpoint(f"{signers[0].name} signed a checkpoint of {checkpoint.origin[:100]!r}")
    return checkpoint
