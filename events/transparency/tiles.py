"""Tiles and entry bundles (C2SP tlog-tiles v0.1.0): a tree cut into pieces that are files, and never change.

A tile has up to 256 hashes: of leaves (level 0), or each the root of a whole tile of the level below. A bundle has the
entries under a tile of level 0. The last tile of a level and the last bundle may be *partial*; every size of the tree
has partial ones of its own.
"""

import hashlib
import re
import struct
import zlib
from collections.abc import Iterator, Sequence

from msgspec import Struct

from events.transparency.errors import BadTile
from events.transparency.hashing import HASH_BYTES

WIDTH = 256
"""Hashes in a whole tile, and entries in a whole bundle."""
HEIGHT = 8
"""Levels of the tree that a tile spans."""
LARGEST_ENTRY = 0xFFFF
_GZIP_LEVEL = 5
_LARGEST_BUNDLE = WIDTH * (LARGEST_ENTRY + 2)
_LAST_LEVEL = 63
_PATH = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")

_FEXTRA, _UNKNOWN_SYSTEM, _SUBFIELD = 4, 255, b"OR"
_HEADER = struct.pack("<BBBBIBBH2sH", 0x1F, 0x8B, 8, _FEXTRA, 0, 0, _UNKNOWN_SYSTEM, 36, _SUBFIELD, 32)
"""The first bytes of a packed bundle (RFC 1952): no time, no name, and one extra field, which a SHA-256 follows."""
_DIGEST_END = len(_HEADER) + 32
_TRAILER = 8


class Tile(Struct, frozen=True, order=True):
    """A tile (of ``level`` 0 and up) or a bundle of entries (level -1) by its place, whole unless ``width`` is less."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Where it is: ``tile/<L>/<N>[.p/<W>]``, with three digits of N to a folder."""
        digits = f"{self.index:03d}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[n : n + 3] for n in range(0, len(digits), 3)]
        place = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{'entries' if self.level < 0 else self.level}/{place}{partial}"

    @property
    def whole(self) -> "Tile":
        """The whole tile of this place."""
        return Tile(self.level, self.index)

    @property
    def is_partial(self) -> bool:
        """Whether more can come to it."""
        return self.width < WIDTH

    @classmethod
    def parse(cls, path: str) -> "Tile":
        """Read a path. Raises ``BadTile`` for one that names no tile, also if it could be written otherwise."""
        match = _PATH.fullmatch(path)
        if match is None:
            raise BadTile(f"{path[:100]!r} is no path of a tile")
        level, place, width = match.groups()
        number = int("".join(group.removeprefix("x") for group in place.split("/")))
        tile = cls(-1 if level == "entries" else int(level), number, int(width or WIDTH))
        if tile.path != path or tile.level > _LAST_LEVEL:
            raise BadTile(f"{path[:100]!r} is no path of a tile")
        return tile


def tiles_of(size: int) -> Iterator[Tile]:
    """Yield every bundle and tile of the tree of ``size`` leaves, from the lowest level up."""
    for level in (-1, *range(_LAST_LEVEL)):
        hashes = size >> (HEIGHT * max(level, 0))
        if not hashes:
            return
        for index in range(hashes // WIDTH):
            yield Tile(level, index)
        if hashes % WIDTH:
            yield Tile(level, hashes // WIDTH, hashes % WIDTH)


def edge_of(size: int) -> Iterator[Tile]:
    """Yield the last bundle and the last tile of every level of the tree of ``size`` leaves, where it is partial."""
    for level in (-1, *range(_LAST_LEVEL)):
        hashes = size >> (HEIGHT * max(level, 0))
        if hashes % WIDTH:
            yield Tile(level, hashes // WIDTH, hashes % WIDTH)


def tile_at(level: int, index: int, size: int) -> Tile:
    """Return the tile at a place of a tree of ``size`` leaves, whole or partial. Raises ``BadTile`` if it has none."""
    width = min((size >> (HEIGHT * max(level, 0))) - index * WIDTH, WIDTH)
    if width < 1:
        raise BadTile(f"a tree of {size} leaves has no tile {index} of level {level}")
    return Tile(level, index, width)


def hashes_in(tile: Tile, raw: bytes) -> list[bytes]:
    """Return the hashes of a tile. Raises ``BadTile`` if they are more or fewer than it has."""
    if len(raw) != tile.width * HASH_BYTES:
        raise BadTile(f"{tile.path} has {len(raw)} bytes, not {tile.width * HASH_BYTES}")
    return [raw[n : n + HASH_BYTES] for n in range(0, len(raw), HASH_BYTES)]


def bundle(entries: Sequence[bytes]) -> bytes:
    """Return entries as a bundle, each after its length in two bytes. Raises ``BadTile`` for one that is too long."""
    if any(len(entry) > LARGEST_ENTRY for entry in entries):
        raise BadTile(f"an entry of a bundle has at most {LARGEST_ENTRY} bytes")
    return b"".join([part for entry in entries for part in (len(entry).to_bytes(2, "big"), entry)])


def entries_in(tile: Tile, raw: bytes) -> list[bytes]:
    """Return the entries of a bundle. Raises ``BadTile`` if they are more or fewer than it has, or cut short."""
    found, at = [], 0
    while at < len(raw):
        begin = at + 2
        at = begin + int.from_bytes(raw[at:begin], "big")
        found.append(raw[begin:at])
    if at != len(raw) or len(found) != tile.width:
        raise BadTile(f"{tile.path} does not have {tile.width} entries that fill it")
    return found


def packed(raw: bytes) -> bytes:
    """Return a bundle as it is kept and sent: one member of gzip (RFC 1952).

    Deflate has bits that mean nothing, and so one content more than one form. That no byte can be changed unnoticed, an
    extra field of the header has the SHA-256 of all that follows it.
    """
    deflate = zlib.compressobj(_GZIP_LEVEL, wbits=-zlib.MAX_WBITS)
    body = deflate.compress(raw) + deflate.flush() + struct.pack("<II", zlib.crc32(raw), len(raw) & 0xFFFFFFFF)
    return _HEADER + hashlib.sha256(body).digest() + body


def unpacked(tile: Tile, kept: bytes) -> bytes:
    """Return a bundle from how it is kept. Raises ``BadTile`` if any byte is not as ``packed`` made it."""
    body = kept[_DIGEST_END:]
    if kept[: len(_HEADER)] != _HEADER or kept[len(_HEADER) : _DIGEST_END] != hashlib.sha256(body).digest():
        raise BadTile(f"{tile.path} is not as it was written: its header or its digest is another")
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        raw = inflate.decompress(body, _LARGEST_BUNDLE + 1)
    except zlib.error as error:
        raise BadTile(f"{tile.path} cannot be unpacked: {error}") from error
    if not inflate.eof or inflate.unused_data != struct.pack("<II", zlib.crc32(raw), len(raw) & 0xFFFFFFFF):
        raise BadTile(f"{tile.path} is not as long as it says, or not what it was")
    return raw
