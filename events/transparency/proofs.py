"""Proofs of a Merkle tree: that it has a leaf at an index, and that a larger tree begins with a smaller one.

They are made as RFC 6962, sections 2.1.1 and 2.1.2, says, and verified as RFC 9162, sections 2.1.3.2 and 2.1.4.2, says.
"""

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from events.transparency.errors import BadProof
from events.transparency.hashing import HASH_BYTES, node_hash


class Node(Struct, frozen=True):
    """The root of a full subtree: of the ``2**level`` leaves from ``index * 2**level`` on."""

    level: int
    index: int


class Leaves(Struct, frozen=True):
    """The leaves from ``begin`` up to, and without, ``end``: a proof consists of the roots over such."""

    begin: int
    end: int

    def nodes(self) -> list[Node]:
        """Return the full subtrees that the leaves are, from left to right; each is smaller than the one before it."""
        found, begin = [], self.begin
        while begin < self.end:
            level = (self.end - begin).bit_length() - 1
            found.append(Node(level, begin >> level))
            begin += 1 << level
        return found


def inclusion_path(index: int, size: int) -> list[Leaves]:
    """Return the leaves whose roots prove the leaf at ``index`` (from 0) in the tree of ``size`` leaves.

    Raises ``BadProof`` for a leaf that the tree does not have.
    """
    if not 0 <= index < size:
        raise BadProof(f"a tree of {size} leaves has no leaf at {index}")
    path, begin, end = [], 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(Leaves(middle, end))
            end = middle
        else:
            path.append(Leaves(begin, middle))
            begin = middle
    return path[::-1]


def consistency_path(old: int, new: int) -> list[Leaves]:
    """Return the leaves whose roots prove that the tree of ``new`` leaves begins with that of ``old``.

    Raises ``BadProof`` if ``old`` is 0, of which nothing can be proved, or larger than ``new``.
    """
    if not 0 < old <= new:
        raise BadProof(f"nothing proves that a tree of {new} leaves begins with one of {old}")
    path, begin, end = [], 0, new
    while end != old:
        middle = begin + _split(end - begin)
        if old <= middle:
            path.append(Leaves(middle, end))
            end = middle
        else:
            path.append(Leaves(begin, middle))
            begin = middle
    if begin:
        path.append(Leaves(begin, end))
    return path[::-1]


def proof(path: Sequence[Leaves], hash_of: Callable[[Node], bytes]) -> list[bytes]:
    """Return the hashes of a proof from its path, and from what knows the hash of every full subtree."""
    return [root(leaves, hash_of) for leaves in path]


def root(leaves: Leaves, hash_of: Callable[[Node], bytes]) -> bytes:
    """Return the root over some leaves, of which there is at least one."""
    *left, found = (hash_of(node) for node in leaves.nodes())
    for each in reversed(left):
        found = node_hash(each, found)
    return found


def verify_inclusion(leaf: bytes, index: int, size: int, hashes: Sequence[bytes], root_hash: bytes) -> None:
    """Return if the hashes prove that the tree of ``size`` leaves with this root has a leaf at ``index``.

    ``leaf`` is the leaf's hash. Raises ``BadProof`` if they do not.
    """
    if not 0 <= index < size:
        raise BadProof(f"a tree of {size} leaves has no leaf at {index}")
    _check_length(leaf)
    found = leaf
    for each, is_left in _upwards(index, size - 1, hashes):
        found = node_hash(each, found) if is_left else node_hash(found, each)
    if found != root_hash:
        raise BadProof(f"leaf {index} is not in the tree of {size} leaves with that root")


def verify_consistency(old: int, new: int, hashes: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Return if the hashes prove that the tree of ``new`` leaves begins with that of ``old``, by their roots.

    Raises ``BadProof`` if they do not; also if ``old`` is 0, of which nothing can be proved.
    """
    if not 0 < old <= new:
        raise BadProof(f"nothing proves that a tree of {new} leaves begins with one of {old}")
    if old == new:
        if hashes or old_root != new_root:
            raise BadProof(f"there are two trees of {old} leaves")
        return
    first, *others = [old_root, *hashes] if old & (old - 1) == 0 else hashes or [b""]
    whole = (old & -old).bit_length() - 1  # up to there the old tree's right edge is a full subtree
    then = now = first
    for each, is_left in _upwards((old - 1) >> whole, (new - 1) >> whole, others):
        then = node_hash(each, then) if is_left else then
        now = node_hash(each, now) if is_left else node_hash(now, each)
    if (then, now) != (old_root, new_root):
        raise BadProof(f"the tree of {new} leaves does not begin with that of {old}")


def _upwards(at: int, last: int, hashes: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield the hashes on the way from node ``at`` of a level that ends with ``last`` up, and whether each is left.

    Raises ``BadProof`` if they are not just as many as the way has.
    """
    for each in hashes:
        _check_length(each)
        if last == 0:
            raise BadProof("the proof has too many hashes")
        is_left = bool(at & 1) or at == last
        yield each, is_left
        while is_left and at and not at & 1:
            at, last = at >> 1, last >> 1
        at, last = at >> 1, last >> 1
    if last:
        raise BadProof("the proof has too few hashes")


def _split(size: int) -> int:
    """Return the largest power of two below ``size``, which is at least 2."""
    return 1 << ((size - 1).bit_length() - 1)


def _check_length(hash_: bytes) -> None:
    if len(hash_) != HASH_BYTES:
        raise BadProof(f"a hash has {HASH_BYTES} bytes, not {len(hash_)}")
