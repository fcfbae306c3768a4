"""The transparency log: checkpoints, tiles, and proofs that an event is in it (C2SP tlog-tiles, tlog-proof)."""

from base64 import b64decode
from binascii import Error as NotBase64
from typing import Annotated

import msgspec
from litestar import get
from litestar.params import FromPath, FromQuery
from msgspec import Meta, Struct

from events.transparency.checkpoint import Checkpoint
from events.transparency.errors import BadProof, BadTile
from events.transparency.note import Note, encoded
from events.transparency.tiles import Tile, tile_at
from events.transparency.tlog_proof import TlogProof
from service.api.http.answer import Answer
from service.api.http.negotiation import JSON, acceptable
from service.api.http.problems import ApiError
from service.api.http.served import ApiRequest, Running, Served, Visit
from service.audit.archive import Archive
from service.auth.scopes import Scope

TEXT = "text/plain; charset=utf-8"
_BYTES = "application/octet-stream"
_FOR_EVER = "max-age=31536000, immutable"
_Hash = Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]{43}=$(?!\n)", max_length=44)]


class Proof(Struct, frozen=True):
    """That the log has an event: the leaf at ``index`` (from 0) with this hash is in the tree of ``size`` leaves.

    ``hashes`` lead from the leaf to ``root`` (RFC 6962), which ``checkpoint``, a signed note, has. Hashes are base64.
    """

    position: int
    index: int
    leaf_hash: _Hash
    size: int
    root: _Hash
    hashes: tuple[_Hash, ...]
    checkpoint: str


class Consistency(Struct, frozen=True):
    """That the tree of ``new`` leaves begins with that of ``old``: ``hashes`` prove it by their roots (RFC 6962)."""

    old: int
    new: int
    old_root: _Hash
    new_root: _Hash
    hashes: tuple[_Hash, ...]


@get(
    "/v1/checkpoint",
    operation_id="readCheckpoint",
    summary="The last checkpoint of the log",
    opt={"scope": Scope.READ, "public_log": True, "media": ("text/plain",)},
)
async def read_checkpoint(request: ApiRequest) -> Answer:
    """Return the log's size and root hash, signed: a C2SP tlog-checkpoint."""
    note, _ = await _checkpoint(await _log(request))
    return Answer(note, media_type=TEXT, headers={"Cache-Control": "no-cache"})


@get(
    "/v1/checkpoint/consistency",
    operation_id="proveConsistency",
    summary="Prove that the log only grew",
    opt={"scope": Scope.READ, "public_log": True, "answer": Consistency, "whole": True, "etag": False},
)
async def prove_consistency(
    request: ApiRequest,
    old: FromQuery[Annotated[int, Meta(ge=1)]],
    new: FromQuery[Annotated[int, Meta(ge=1)] | None] = None,
) -> Answer:
    """Prove that the log of `new` events (by default, of the last checkpoint) begins with that of `old`."""
    here = await _log(request)
    archive = _archive(here)
    note = await archive.checkpoint()
    sealed, largest = _read(note).size if note else 0, max(old, new or 0)
    if largest > sealed:
        end = (await here.ledger.head()).position
        if largest > end:
            raise ApiError(
                "bad-request", f"a tree of {largest} is beyond the end of the ledger, which has {end} events"
            )
        raise _not_sealed(largest, sealed)
    size = new or sealed
    try:
        hashes = await archive.consistency(old, size, sealed)
    except BadProof as error:
        raise ApiError("bad-request", str(error)) from error
    roots = [encoded(await archive.root(each, sealed)) for each in (old, size)]
    found = Consistency(old, size, roots[0], roots[1], tuple(map(encoded, hashes)))
    return Answer(msgspec.json.encode(found), media_type=JSON, headers={"Cache-Control": "no-cache"})


@get(
    "/v1/tile/entries/{place:path}",
    operation_id="readEntries",
    summary="A bundle of the log's entries",
    opt={"scope": Scope.AUDIT, "media": (_BYTES,)},
)
async def read_entries(request: ApiRequest, place: FromPath[str]) -> Answer:
    """Return a bundle of entries, as C2SP tlog-tiles has it. It is always sent compressed, with gzip."""
    raw = await _file(request, f"entries{place}")
    headers = {"Cache-Control": f"private, {_FOR_EVER}", "Content-Encoding": "gzip"}
    return Answer(raw, media_type=_BYTES, headers=headers)


@get(
    "/v1/tile/{level:int}/{place:path}",
    operation_id="readTile",
    summary="A tile of the log's hashes",
    opt={"scope": Scope.READ, "public_log": True, "media": (_BYTES,)},
)
async def read_tile(request: ApiRequest, level: FromPath[int], place: FromPath[str]) -> Answer:
    """Return a tile of hashes, as C2SP tlog-tiles has it."""
    raw = await _file(request, f"{level}{place}")
    kept = "public" if "auth" not in request.scope else "private"
    return Answer(raw, media_type=_BYTES, headers={"Cache-Control": f"{kept}, {_FOR_EVER}"})


@get(
    "/v1/events/{position:int}/proof",
    operation_id="proveEvent",
    summary="Prove that the log has an event",
    opt={"scope": Scope.READ, "answer": Proof, "whole": True, "etag": False, "media": (JSON, "text/plain")},
)
async def prove_event(
    request: ApiRequest, position: FromPath[int], leaf_hash: FromQuery[_Hash | None] = None
) -> Answer:
    """Prove that an event is in the log: as JSON, or with `Accept: text/plain` as a C2SP tlog-proof to keep.

    With `leaf_hash`, as a receipt has it, the event must be that one: after a restore it may be another.
    """
    here, archive = request.auth.served, _archive(request.auth.served)
    if not 1 <= position <= (await here.ledger.head()).position:
        raise ApiError("not-found", f"there is no event {position}")
    note, checkpoint = await _checkpoint(here)
    if position > checkpoint.size:
        raise _not_sealed(position, checkpoint.size)
    index = position - 1
    leaf = (await archive.hashes(tile_at(0, index // 256, checkpoint.size)))[index % 256]
    if leaf_hash is not None and _bytes(leaf_hash) != leaf:
        raise ApiError("receipt-void", f"event {position} has the leaf hash {encoded(leaf)}: it is another one")
    hashes = tuple(await archive.inclusion(index, checkpoint.size))
    headers = {"Cache-Control": "private, no-cache"}
    if acceptable(request.headers.get("accept", ""), (JSON, "text/plain")) == "text/plain":
        return Answer(bytes(TlogProof(index, hashes, note)), media_type=TEXT, headers=headers)
    found = Proof(
        position,
        index,
        encoded(leaf),
        checkpoint.size,
        encoded(checkpoint.root),
        tuple(map(encoded, hashes)),
        note.decode(),
    )
    return Answer(msgspec.json.encode(found), media_type=JSON, headers=headers)


async def _log(request: ApiRequest) -> Served:
    """Return the ledger of the request's key; without one, that whose log is public."""
    visit: Visit | None = request.scope.get("auth")
    if visit is not None:
        return visit.served
    running: Running = request.app.state.running
    return (await running.ledgers.get(running.public_ledger)).served


async def _checkpoint(here: Served) -> tuple[bytes, Checkpoint]:
    note = await _archive(here).checkpoint()
    if note is None:
        raise _not_sealed(1, 0)
    return note, _read(note)


def _read(note: bytes) -> Checkpoint:
    return Checkpoint.parse(Note.parse(note).text)


async def _file(request: ApiRequest, place: str) -> bytes:
    """Return a file of the archive by its place under ``tile/``. Raises ``not-found``."""
    path = f"tile/{place}"
    try:
        Tile.parse(path)
    except BadTile as error:
        raise ApiError("not-found", str(error)) from error
    raw = await _archive(await _log(request)).storage.read(path)
    if raw is None:
        raise ApiError("not-found", f"there is no {path}")
    return raw


def _archive(here: Served) -> Archive:
    if here.archive is None:
        raise ApiError("archive-unavailable", "this process knows no archive")
    return here.archive


def _not_sealed(position: int, size: int) -> ApiError:
    return ApiError("not-sealed-yet", f"event {position} is not sealed yet; the last checkpoint covers {size}")


def _bytes(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (NotBase64, ValueError) as error:
        raise ApiError("bad-request", f"leaf_hash: {text[:80]!r} is no hash in base64") from error


ROUTES = (read_checkpoint, prove_consistency, read_entries, read_tile, prove_event)
