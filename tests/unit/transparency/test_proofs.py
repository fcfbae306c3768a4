"""Trees and proofs, against RFC 6962's own recursive definitions and against random damage."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.transparency.compact_range import CompactRange, joined
from events.transparency.errors import BadProof, BadTile
from events.transparency.hashing import EMPTY_ROOT, leaf_hash, node_hash, root_of
from events.transparency.proofs import (
    Node,
    consistency_path,
    inclusion_path,
    proof,
    verify_consistency,
    verify_inclusion,
)
from events.transparency.tiles import Tile, hashes_in, tiles_of

SIZES = st.integers(1, 1300)


def leaves(size: int) -> list[bytes]:
    """Return the hashes of so many leaves."""
    return [leaf_hash(b"%d" % n) for n in range(size)]


def mth(hashes: list[bytes]) -> bytes:
    """Return the root as RFC 6962, section 2.1, defines it."""
    if len(hashes) < 2:
        return hashes[0] if hashes else EMPTY_ROOT
    k = 1 << ((len(hashes) - 1).bit_length() - 1)
    return node_hash(mth(hashes[:k]), mth(hashes[k:]))


def rfc_path(m: int, hashes: list[bytes]) -> list[bytes]:
    """Return the audit path as RFC 6962, section 2.1.1, defines it."""
    if len(hashes) == 1:
        return []
    k = 1 << ((len(hashes) - 1).bit_length() - 1)
    if m < k:
        return [*rfc_path(m, hashes[:k]), mth(hashes[k:])]
    return [*rfc_path(m - k, hashes[k:]), mth(hashes[:k])]


def rfc_subproof(m: int, hashes: list[bytes], *, known: bool) -> list[bytes]:
    """Return the consistency proof as RFC 6962, section 2.1.2, defines it."""
    if m == len(hashes):
        return [] if known else [mth(hashes)]
    k = 1 << ((len(hashes) - 1).bit_length() - 1)
    if m <= k:
        return [*rfc_subproof(m, hashes[:k], known=known), mth(hashes[k:])]
    return [*rfc_subproof(m - k, hashes[k:], known=False), mth(hashes[:k])]


def hash_of(hashes: list[bytes], node: Node) -> bytes:
    """Return the hash of a node of the tree over these leaves."""
    width = 1 << node.level
    return mth(hashes[node.index * width : (node.index + 1) * width])


@given(SIZES)
def test_roots_are_those_of_the_definition(size: int) -> None:
    """The root over some hashes, and of a range that grew to them, is that of the recursive definition."""
    hashes = leaves(size)
    grown = CompactRange()
    for _ in grown.extend(hashes):
        pass
    assert mth(hashes) == root_of(hashes) == grown.root()


def test_the_tree_without_leaves_has_the_root_of_nothing() -> None:
    """Its root is the SHA-256 of no bytes."""
    assert EMPTY_ROOT == root_of([]) == CompactRange().root()


@given(st.data())
def test_an_inclusion_proof_proves_its_leaf_and_no_other(data: st.DataObject) -> None:
    """It is the path of the definition; with another leaf, index, size or root, or a hash more or less, it is none."""
    size = data.draw(SIZES)
    index = data.draw(st.integers(0, size - 1))
    hashes = leaves(size)
    path = proof(inclusion_path(index, size), lambda node: hash_of(hashes, node))
    root, leaf = mth(hashes), hashes[index]
    assert rfc_path(index, hashes) == path
    verify_inclusion(leaf, index, size, path, root)
    damaged = [
        (leaf_hash(b"another"), index, size, path, root),
        (leaf, index, size, path, leaf_hash(b"another")),
        (leaf, size, size, path, root),
        (leaf, -1, size, path, root),
        (leaf, index, size, [*path, root], root),
        (leaf, index, size, [*path, b"short"], root),
    ]
    if path:
        n = data.draw(st.integers(0, len(path) - 1))
        damaged += [
            (leaf, index, size, path[:-1], root),
            (leaf, index, size, [*path[:n], leaf_hash(path[n]), *path[n + 1 :]], root),
            (leaf, (index + 1) % size, size, path, root),
        ]
    for each in damaged:
        with pytest.raises(BadProof):
            verify_inclusion(*each)


@given(st.data())
def test_a_consistency_proof_proves_its_beginning_and_no_other(data: st.DataObject) -> None:
    """It is the proof of the definition; with another root, or a hash more, less or other, it is none."""
    new = data.draw(SIZES)
    old = data.draw(st.integers(1, new))
    hashes = leaves(new)
    path = proof(consistency_path(old, new), lambda node: hash_of(hashes, node))
    old_root, new_root = mth(hashes[:old]), mth(hashes)
    assert rfc_subproof(old, hashes, known=True) == path
    verify_consistency(old, new, path, old_root, new_root)
    another = leaf_hash(b"another")
    damaged = [(path, another, new_root), (path, old_root, another), ([*path, another], old_root, new_root)]
    if path:
        n = data.draw(st.integers(0, len(path) - 1))
        damaged += [
            (path[:-1], old_root, new_root),
            ([*path[:n], leaf_hash(path[n]), *path[n + 1 :]], old_root, new_root),
        ]
    for hashes_, then, now in damaged:
        with pytest.raises(BadProof):
            verify_consistency(old, new, hashes_, then, now)


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 5), (6, 5), (-1, 5)])
def test_nothing_is_proved_from_no_leaves(old: int, new: int) -> None:
    """A consistency proof from size 0, or from more than there is, is neither made nor accepted."""
    with pytest.raises(BadProof):
        consistency_path(old, new)
    with pytest.raises(BadProof):
        verify_consistency(old, new, [], EMPTY_ROOT, EMPTY_ROOT)


def test_no_proof_is_made_of_a_leaf_that_is_not_there() -> None:
    """The index is below the size."""
    for index, size in ((0, 0), (5, 5), (-1, 5)):
        with pytest.raises(BadProof, match="has no leaf"):
            inclusion_path(index, size)


def test_a_range_gives_every_tile_once_and_can_be_read_from_them() -> None:
    """However it grows, the tiles that become whole and the partial ones at the end are all that the tree has."""
    size = 256 * 256 + 256 * 3 + 17
    hashes = leaves(size)
    some = random.Random(6962)  # noqa: S311 - any partition will do
    grown, at = CompactRange(), 0
    written: dict[Tile, list[bytes]] = {}
    while at < size:
        step = some.randrange(1, 2000)
        for tile, its in grown.extend(hashes[at : at + step]):
            assert tile not in written
            written[tile] = its
        at += step
    written |= dict(grown.partial_tiles())
    assert [each for each in tiles_of(size) if each.level >= 0] == sorted(written)
    for tile, its in written.items():
        width = 256**tile.level
        begin = tile.index * 256 * width
        some_n = some.randrange(tile.width)
        assert mth(hashes[begin + some_n * width : begin + (some_n + 1) * width]) == its[some_n]
        assert its == hashes_in(tile, joined(its))
    levels = [written.get(Tile(level, (size >> 8 * level) // 256, (size >> 8 * level) % 256), []) for level in range(3)]
    again = CompactRange(size, levels)
    assert grown.root() == again.root() == mth(hashes)
    list(again.extend([leaf_hash(b"one more")]))
    assert mth([*hashes, leaf_hash(b"one more")]) == again.root()


def test_a_range_that_does_not_fit_its_size_is_refused() -> None:
    """A partial tile of another width than the size has is no part of it."""
    with pytest.raises(BadTile):
        CompactRange(3, [leaves(2)])


def test_a_copy_grows_by_itself() -> None:
    """What is added to a copy is not added to what it was made from."""
    grown = CompactRange()
    list(grown.extend(leaves(300)))
    copy = grown.copy()
    list(copy.extend(leaves(300)))
    assert (300, mth(leaves(300))) == (grown.size, grown.root())
    assert copy.size == 600
