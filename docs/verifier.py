"""Verify an archive of On Record, with the log's public key and nothing of On Record's.

    python verifier.py DIRECTORY KEY [--checkpoint OLD]

DIRECTORY is an archive; KEY is the log's verifier key, as `onrecord keys log` prints it; OLD is a checkpoint that you
kept: the archive has to go on from it. Whatever is amiss is printed, and then the exit code is 1.

It follows RFC 6962 (hashes), and C2SP's signed-note, tlog-checkpoint and tlog-tiles; it needs the package cryptography.
Whether the events are valid by their schemas, and the states in them right, `onrecord verify` says.
"""

import argparse
import base64
import hashlib
import json
import struct
import sys
import zlib
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

WIDTH = 256  # hashes in a whole tile, entries in a whole bundle
GZIP = bytes.fromhex("1f8b08040000000000ff24004f522000")  # how every bundle begins (RFC 1952), up to a SHA-256


def sha256(data):
    return hashlib.sha256(data).digest()


def base64_of(text):
    """Return the bytes of base64 in its one form."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("there is base64 that could be written otherwise")
    return data


def root(hashes):
    """Return the root of the tree over some hashes (RFC 6962, section 2.1)."""
    while len(hashes) > 1:
        pairs = [sha256(b"\x01" + hashes[n] + hashes[n + 1]) for n in range(0, len(hashes) - 1, 2)]
        hashes = pairs + hashes[len(pairs) * 2 :]
    return hashes[0] if hashes else sha256(b"")


def checkpoint_in(raw, key):
    """Return origin, size and root hash of a checkpoint that the key signed."""
    name, key_id, material = (*key.strip().split("+", 2), "", "")[:3]
    public = base64_of(material)
    if public[:1] != b"\x01" or sha256(name.encode() + b"\n" + public)[:4].hex() != key_id:
        raise ValueError("the key is no verifier key for Ed25519")
    text, _, signatures = raw.decode().rpartition("\n\n")
    if not signatures.endswith("\n"):
        raise ValueError("it is cut short")
    text += "\n"
    for line in signatures.removesuffix("\n").split("\n"):
        dash, signer, signature = (*line.split(" ", 2), "", "")[:3]
        signed = base64_of(signature)
        if dash == "\u2014" and signer == name and signed[:4].hex() == key_id:
            Ed25519PublicKey.from_public_bytes(public[1:]).verify(signed[4:], text.encode())
            break
    else:
        raise ValueError("it is not signed by the key")
    origin, size, root_hash = text.split("\n")[:3]
    if origin != name or str(int(size)) != size:
        raise ValueError(f"it is a checkpoint of {origin!r} with the size {size!r}")
    return int(size), base64_of(root_hash)


def path_of(level, index, width):
    """Return the path of a tile (of "entries", or of a level), as tlog-tiles has it."""
    digits = str(index).zfill(-(-len(str(index)) // 3) * 3)
    *above, last = [digits[n : n + 3] for n in range(0, len(digits), 3)]
    whole = "/".join(["tile", str(level), *(f"x{group}" for group in above), last])
    return whole if width == WIDTH else f"{whole}.p/{width}"


def entries_in(raw):
    """Return the entries of a bundle. Its header has the SHA-256 of what follows, so that no bit of it is free."""
    body = raw[len(GZIP) + 32 :]
    if not raw.startswith(GZIP) or raw[len(GZIP) : len(GZIP) + 32] != sha256(body):
        raise ValueError("its header or its digest is not what it was")
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflate.decompress(body)
    if inflate.unused_data != struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF):
        raise ValueError("it does not have the check sum or the length that it says")
    found, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 2], "big")
        found.append(data[at + 2 : at + 2 + length])
        at += 2 + length
    return found if at == len(data) else []


class Archive:
    """An archive in a directory, and what is amiss with it."""

    def __init__(self, directory):
        self.directory, self.amiss, self.seen = Path(directory), 0, {"checkpoint"}

    def say(self, where, what):
        self.amiss += 1
        print(f"{where}: {what}")

    def each(self, level, index, width):
        """Yield a tile and those of smaller trees in its place, with their widths and bytes."""
        place = self.directory / path_of(level, index, WIDTH)
        smaller = [int(each.name) for each in Path(f"{place}.p").glob("*") if each.name.isdigit()]
        for each in sorted({width, *(n for n in smaller if n < width)}, reverse=True):
            path = path_of(level, index, each)
            self.seen.add(path)
            try:
                yield path, each, (self.directory / path).read_bytes()
            except FileNotFoundError:
                self.say(path, "it is missing")

    def leaves(self, size):
        """Return the hash of every leaf, as worked out from the entries."""
        leaves, last = [], ""
        for index in range(-(-size // WIDTH)):
            begin, width = index * WIDTH, min(WIDTH, size - index * WIDTH)
            entries = []
            for path, its, raw in self.each("entries", index, width):
                try:
                    found = entries_in(raw)
                except (ValueError, zlib.error) as error:
                    self.say(path, error)
                    continue
                entries = found if its == width else entries
                if len(found) != its or (entries and found != entries[:its]):
                    self.say(path, "it does not have the entries that it should have")
            for position, entry in enumerate(entries, begin + 1):
                last = self.check(position, entry, last)
            hashes = [sha256(b"\x00" + entry) for entry in entries]
            leaves += self.compare(0, index, width, hashes)
        return leaves

    def check(self, position, entry, last):
        """Check that an event says its place, and was recorded no earlier than the one before it."""
        try:
            event = json.loads(entry)
            number, time = event["sequence"], max(last, event["recordedtime"])
        except (ValueError, KeyError, TypeError):
            number, time = "", last
        if number != f"{position:016d}" or event["recordedtime"] < last:
            self.say(f"event {position}", "it is no event, or its number or its time is out of order")
        return time

    def compare(self, level, index, width, hashes):
        """Compare a tile, and smaller ones in its place, with the hashes that they have to have, if these are known."""
        for path, its, raw in self.each(level, index, width):
            found = [raw[n : n + 32] for n in range(0, len(raw), 32)]
            hashes = hashes or found[:width]
            for n in range(max(its, len(found))):
                if found[n : n + 1] != hashes[:its][n : n + 1]:
                    what = f"event {index * WIDTH + n + 1}" if level == 0 else f"hash {n}"
                    self.say(path, f"{what} is not the one whose hash it has")
        return hashes

    def verify(self, size, root_hash, older):
        level, hashes = 0, (leaves := self.leaves(size))
        while len(hashes) >= WIDTH:
            tiles = range(0, len(hashes) // WIDTH * WIDTH, WIDTH)
            level, hashes = level + 1, [root(hashes[n : n + WIDTH]) for n in tiles]
            for n in range(0, len(hashes), WIDTH):
                self.compare(level, n // WIDTH, len(hashes[n : n + WIDTH]), hashes[n : n + WIDTH])
        if len(leaves) != size or root(leaves) != root_hash:
            self.say("checkpoint", "the events do not lead to the root that was signed")
        if older and (not 0 < older[0] <= size or root(leaves[: older[0]]) != older[1]):
            self.say("old checkpoint", "the archive does not go on from it")
        for path in self.directory.rglob("*"):
            name = path.relative_to(self.directory).as_posix()
            if path.is_file() and name not in self.seen and "/." not in f"/{name}":
                self.say(name, "it is no part of the archive")


def main():
    parser = argparse.ArgumentParser(description="Verify an archive of On Record.")
    parser.add_argument("directory")
    parser.add_argument("key")
    parser.add_argument("--checkpoint", help="a file with a checkpoint that the archive has to go on from")
    asked = parser.parse_args()
    archive, size, where = Archive(asked.directory), 0, "checkpoint"
    try:
        size, root_hash = checkpoint_in((archive.directory / "checkpoint").read_bytes(), asked.key)
        where = "old checkpoint"
        older = checkpoint_in(Path(asked.checkpoint).read_bytes(), asked.key) if asked.checkpoint else None
    except (OSError, ValueError, InvalidSignature) as error:
        archive.say(where, str(error) or "the signature is not one by the key")
    else:
        archive.verify(size, root_hash, older)
    print(f"Amiss: {archive.amiss}" if archive.amiss else f"All {size} events are those that the log signed.")
    sys.exit(archive.amiss > 0)


if __name__ == "__main__":
    main()
