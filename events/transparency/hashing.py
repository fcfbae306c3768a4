"""The hashes of a Merkle tree, as RFC 6962, section 2.1, has them: SHA-256, leaves and nodes told apart by a prefix."""

from collections.abc import Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
"""The root of a tree without leaves."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf: of an entry's bytes as they are stored."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node from those of the two below it."""
    return sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Return the root of the tree over some hashes (leaves, or nodes of one level); they may be any number."""
    if not hashes:
        return EMPTY_ROOT
    level = hashes
    while len(level) > 1:
        above = [sha256(b"\x01" + level[n] + level[n + 1]).digest() for n in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0]
