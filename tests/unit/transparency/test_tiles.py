"""Tiles and bundles: where they are, and that no byte of them can be changed unnoticed."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.transparency.errors import BadTile
from events.transparency.hashing import leaf_hash
from events.transparency.tiles import Tile, bundle, entries_in, hashes_in, packed, tile_at, tiles_of, unpacked


def test_paths_are_those_of_the_specification() -> None:
    """Three digits to a folder, all but the last with an x; partial ones say how wide they are."""
    assert Tile(0, 1234067).path == "tile/0/x001/x234/067"
    assert Tile(1, 0, 17).path == "tile/1/000.p/17"
    assert Tile(-1, 999).path == "tile/entries/999"
    assert Tile(-1, 1000, 1).path == "tile/entries/x001/000.p/1"


@given(st.builds(Tile, st.integers(-1, 63), st.integers(0, 10**12), st.integers(1, 256)))
def test_a_path_is_read_as_it_is_written(tile: Tile) -> None:
    """Every tile has one path."""
    assert tile == Tile.parse(tile.path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0/1",
        "tile/0/0001",
        "tile/64/000",
        "tile/00/000",
        "tile/-1/000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/x001/x002",
        "tile/entries/000/../001",
        "tile/0/000\n",
        "/tile/0/000",
        "tile/0/\u0660\u0660\u0660",
    ],
)
def test_what_is_no_path_is_refused(path: str) -> None:
    """A path that could be written otherwise, or that leads elsewhere, names no tile."""
    with pytest.raises(BadTile):
        Tile.parse(path)


def test_a_tree_of_70_000_has_the_tiles_that_the_specification_says() -> None:
    """273 whole ones of level 0 and one of 112, one whole of level 1 and one of 17, one of 1 of level 2."""
    hashes = [tile for tile in tiles_of(70_000) if tile.level >= 0]
    assert sum(tile.level == 0 and not tile.is_partial for tile in hashes) == 273
    assert [Tile(0, 273, 112), Tile(1, 0), Tile(1, 1, 17), Tile(2, 0, 1)] == hashes[273:]
    assert [Tile(-1, 0), Tile(0, 0), Tile(1, 0, 1)] == list(tiles_of(256))
    assert list(tiles_of(0)) == []
    assert Tile(1, 1, 17) == tile_at(1, 1, 70_000)
    assert Tile(1, 0) == tile_at(1, 0, 70_000)
    with pytest.raises(BadTile):
        tile_at(2, 1, 70_000)


def test_a_bundle_is_read_as_it_was_made() -> None:
    """Entries come out as they went in, the empty and the largest too, and any gzip reads what is kept."""
    entries = [b"", b"{}", b"x" * 0xFFFF, "ü".encode()]
    tile = Tile(-1, 0, 4)
    raw = bundle(entries)
    assert entries == entries_in(tile, unpacked(tile, packed(raw)))
    assert raw == gzip.decompress(packed(raw))
    assert packed(raw) == packed(raw)
    with pytest.raises(BadTile):
        bundle([b"x" * 0x10000])


def test_no_bit_of_a_bundle_can_be_changed() -> None:
    """Not one, also of those that mean nothing to gzip; nor can it be cut, or made longer."""
    tile = Tile(-1, 0, 3)
    kept = packed(bundle([b'{"a":1}', b'{"b":2}', b'{"c":[1,2,3,4,5]}']))
    for n in range(len(kept)):
        for bit in range(8):
            with pytest.raises(BadTile, match=r"tile/entries/000\.p/3"):
                unpacked(tile, kept[:n] + bytes([kept[n] ^ (1 << bit)]) + kept[n + 1 :])
        with pytest.raises(BadTile):
            unpacked(tile, kept[:n])
    with pytest.raises(BadTile):
        unpacked(tile, kept + b"\0")


def test_a_tile_has_as_many_as_its_path_says() -> None:
    """Hashes or entries more or fewer make it no such tile."""
    hashes = [leaf_hash(b"%d" % n) for n in range(3)]
    assert hashes == hashes_in(Tile(0, 0, 3), b"".join(hashes))
    for raw in (b"".join(hashes[:2]), b"".join(hashes) + b"\0", b""):
        with pytest.raises(BadTile):
            hashes_in(Tile(0, 0, 3), raw)
    for raw in (bundle([b"a"]), bundle([b"a", b"b", b"c"]), bundle([b"a", b"b"])[:-1], bundle([b"a", b"b"]) + b"\0"):
        with pytest.raises(BadTile):
            entries_in(Tile(-1, 0, 2), raw)


def test_a_bundle_that_unpacks_to_more_than_a_bundle_can_have_is_refused() -> None:
    """A small file cannot fill the memory of who reads it."""
    with pytest.raises(BadTile):
        unpacked(Tile(-1, 0), packed(b"\0" * (40 << 20)))
