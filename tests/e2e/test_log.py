"""The transparency log over HTTP: receipts, seals, proofs, tiles, and what a public log shows."""

import asyncio
import base64
from pathlib import Path

import httpx2
import msgspec
import pytest
import uvicorn

from events.ledger import Ledger
from events.store import Store
from events.transparency.checkpoint import opened
from events.transparency.hashing import leaf_hash
from events.transparency.note import VerifierKey
from events.transparency.proofs import verify_consistency, verify_inclusion
from events.transparency.tiles import Tile, entries_in
from events.transparency.tlog_proof import TlogProof
from service.app import create_app
from service.audit import log_key
from service.auth.keys import new_key
from service.auth.scopes import Scope
from service.settings import Settings
from tests.e2e.conftest import Newsroom, sealed_up_to


def keys_in(path: Path) -> tuple[VerifierKey, ...]:
    """Return the verifier keys of a log."""
    keys = log_key.read(path)
    assert keys is not None
    return keys.verifiers


def hash_(text: str) -> bytes:
    """Return a hash from its base64."""
    return base64.b64decode(text)


async def test_a_receipt_has_the_hash_of_every_event(room: Newsroom, ledger: Ledger) -> None:
    """It is the hash of the bytes that the log has; asked again with the same key, the receipt is the same."""
    body = {"story_id": room.story, "text": "It fell.", "first_statement": room.said()}
    first = await room.post("/v1/claims", body, Idempotency_Key="once")
    again = await room.post("/v1/claims", body, Idempotency_Key="once")
    assert first == again
    assert len(first["events"]) == 3
    for each in first["events"]:
        (entry,) = await ledger.at(iter([each["position"]]))
        assert hash_(each["leaf_hash"]) == leaf_hash(entry.raw)


async def test_a_write_can_wait_until_it_is_sealed(room: Newsroom, sealing: Path) -> None:
    """Then a signed checkpoint covers it when its answer comes, and a proof can be had at once."""
    answer = await room.send("POST", "/v1/sources?wait=sealed", {"name": "One more", "kind": "person"})
    receipt = answer.json()
    assert (answer.status_code, int(answer.headers["Onrecord-Sealed"]) >= receipt["position"]) == (201, True)
    note = (await room.api.get("/v1/checkpoint")).content
    assert opened(note, keys_in(sealing)).size >= receipt["position"]
    proof = await room.get(f"/v1/events/{receipt['position']}/proof", leaf_hash=receipt["events"][0]["leaf_hash"])
    assert proof["leaf_hash"] == receipt["events"][0]["leaf_hash"]


async def test_without_a_sealer_a_write_is_answered_all_the_same(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on record; that it is not sealed yet is said by the header that is missing."""
    monkeypatch.setattr("service.api.http.sealing.LONGEST_WAIT", 0.1)
    answer = await room.send("POST", "/v1/sources?wait=sealed", {"name": "One more", "kind": "person"})
    assert answer.status_code == 201
    assert "Onrecord-Sealed" not in answer.headers
    consistency = "/v1/checkpoint/consistency"
    for path in ("/v1/checkpoint", "/v1/events/1/proof", f"{consistency}?old=1", f"{consistency}?old=1&new=2"):
        early = await room.api.get(path)
        assert (early.status_code, early.json()["type"]) == (503, "/problems/not-sealed-yet")
        assert early.headers["Retry-After"]
    never = await room.api.get(consistency, params={"old": 1, "new": answer.json()["position"] + 1})
    assert (never.status_code, never.json()["type"]) == (400, "/problems/bad-request")
    await room.refused("/v1/sources?wait=forever", {"name": "Another", "kind": "person"}, "bad-request")


async def test_every_event_is_proved(room: Newsroom, ledger: Ledger, sealing: Path) -> None:
    """As JSON and as a proof to keep, both by the log's public key alone."""
    await room.claim("It fell.", room.said(), room.said("neighbour", "denies"))
    head = (await ledger.head()).position
    await sealed_up_to(room.api, head)
    for entry in await ledger.read(0, head):
        path = f"/v1/events/{entry.position}/proof"
        proof = (await room.api.get(path)).json()
        leaf = leaf_hash(entry.raw)
        checkpoint = opened(proof["checkpoint"].encode(), keys_in(sealing))
        assert (proof["size"], proof["root"]) == (checkpoint.size, base64.b64encode(checkpoint.root).decode())
        verify_inclusion(leaf, proof["index"], proof["size"], [*map(hash_, proof["hashes"])], checkpoint.root)
        kept = await room.api.get(path, headers={"Accept": "text/plain"})
        assert kept.headers["content-type"].startswith("text/plain")
        assert TlogProof.parse(kept.content).verify(leaf, keys_in(sealing)).size >= head
    nothing = await room.api.get(f"/v1/events/{head + 1}/proof")
    assert nothing.status_code == 404
    other = await room.api.get("/v1/events/2/proof", params={"leaf_hash": base64.b64encode(b"x" * 32).decode()})
    assert (other.status_code, other.json()["type"]) == (410, "/problems/receipt-void")
    bad = await room.api.get("/v1/events/2/proof", params={"leaf_hash": "x"})
    assert bad.status_code == 400


async def test_the_log_is_shown_only_to_have_grown(room: Newsroom, ledger: Ledger, sealing: Path) -> None:
    """Between any two sizes there is a proof; none from nothing, and none from or to a size that it never had."""
    first = (await ledger.head()).position
    await sealed_up_to(room.api, first)
    old = opened((await room.api.get("/v1/checkpoint")).content, keys_in(sealing))
    await room.claim()
    await sealed_up_to(room.api, (await ledger.head()).position)
    new = opened((await room.api.get("/v1/checkpoint")).content, keys_in(sealing))
    proof = await room.get("/v1/checkpoint/consistency", old=old.size)
    hashes = [*map(hash_, proof["hashes"])]
    verify_consistency(old.size, new.size, hashes, hash_(proof["old_root"]), hash_(proof["new_root"]))
    assert (hash_(proof["old_root"]), hash_(proof["new_root"])) == (old.root, new.root)
    between = await room.get("/v1/checkpoint/consistency", old=2, new=old.size)
    assert hash_(between["new_root"]) == old.root
    beyond = new.size + 1
    for query in ({"old": 0}, {"old": 5, "new": 4}, {"old": 1, "new": beyond}, {"old": beyond}, {"old": 2**60}):
        refused = await room.api.get("/v1/checkpoint/consistency", params=query)
        assert (refused.status_code, refused.json()["type"]) == (400, "/problems/bad-request"), refused.text


async def test_tiles_and_entries_are_served_as_they_are(
    room: Newsroom, ledger: Ledger, store: Store, sealing: Path
) -> None:
    """Anybody's C2SP client can read them; entries only with the scope for audits, and nothing leads elsewhere."""
    head = (await ledger.head()).position
    await sealed_up_to(room.api, head)
    size = opened((await room.api.get("/v1/checkpoint")).content, keys_in(sealing)).size
    entries = await room.api.get(f"/v1/{Tile(-1, 0, size).path}")
    assert entries.headers["content-encoding"] == "gzip"
    assert "immutable" in entries.headers["cache-control"]
    raw = [entry.raw for entry in await ledger.read(0, size)]
    assert entries_in(Tile(-1, 0, size), entries.content) == raw  # the client has unpacked it
    tile = await room.api.get(f"/v1/{Tile(0, 0, size).path}")
    assert tile.content == b"".join(map(leaf_hash, raw))
    for path in (
        "tile/0/001",
        "tile/0/000.p/999",
        "tile/0/0",
        "tile/9/000",
        "tile/entries/%2e%2e/%2e%2e/checkpoint",
        "tile/x",
    ):
        missing = await room.api.get(f"/v1/{path}")
        assert missing.status_code == 404, path
    reader = await new_key(store, ledger.name, scopes={Scope.READ})
    headers = {"Authorization": f"Bearer {reader}"}
    assert (await room.api.get(f"/v1/{Tile(0, 0, size).path}", headers=headers)).status_code == 200
    assert (await room.api.get(f"/v1/{Tile(-1, 0, size).path}", headers=headers)).status_code == 403


async def test_a_public_log_shows_hashes_and_no_entries(
    room: Newsroom, ledger: Ledger, settings: Settings, sealing: Path
) -> None:
    """Without a key, checkpoints, tiles and consistency can be had where that is set, and nothing else."""
    await sealed_up_to(room.api, (await ledger.head()).position)
    async with httpx2.AsyncClient(base_url=room.api.base_url, timeout=10) as anybody:
        for path in ("/v1/checkpoint", "/v1/tile/0/000.p/3", "/v1/checkpoint/consistency?old=1"):
            assert (await anybody.get(path)).status_code == 401
    public = msgspec.structs.replace(settings, public_log=True)
    server = uvicorn.Server(uvicorn.Config(create_app(public), port=0, log_config=None, lifespan="on"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done()
        await asyncio.sleep(0)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as anybody:
        note = await anybody.get("/v1/checkpoint")
        checkpoint = opened(note.content, keys_in(sealing))
        tile = await anybody.get(f"/v1/{Tile(0, 0, checkpoint.size).path}")
        assert (tile.status_code, "public" in tile.headers["cache-control"]) == (200, True)
        assert (await anybody.get("/v1/checkpoint/consistency?old=1")).status_code == 200
        wrong = {"Authorization": "Bearer onrecord_x.y"}
        for path in (f"/v1/{Tile(-1, 0, checkpoint.size).path}", "/v1/events/1/proof", "/v1/events"):
            assert (await anybody.get(path)).status_code == 401
        assert (await anybody.get("/v1/checkpoint", headers=wrong)).status_code == 401
    server.should_exit = True
    await serving


async def test_a_store_that_is_not_what_was_sealed_is_said_not_to_be(
    room: Newsroom, ledger: Ledger, sealing: Path
) -> None:
    """Nothing can be recorded, whoever asks is told why, and the service is not ready; reading goes on."""
    await ledger.refuse("the store ends at event 3; the last checkpoint covers 8 events")
    await room.refused("/v1/sources", {"name": "One more", "kind": "person"}, "ledger-diverged")
    assert (await room.api.get("/v1/sources")).status_code == 200
    ready = await room.api.get("/readyz")
    assert ready.status_code == 503
    assert "not the one that was sealed" in ready.text
