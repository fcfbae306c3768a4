"""Witnesses cosign what the sealer signs; and if they do not, it goes on without them."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from events.ledger import Ledger
from events.store import Store
from events.transparency.note import COSIGNATURE, Note, SigningKey, timestamp_of
from service.audit.log_key import LogKeyUnusable
from service.audit.sealer import Sealer
from service.audit.witness import Witness, Witnesses
from tests.sealing import Sealing, record

KEY = SigningKey("witness.example/w1", b"3" * 32, COSIGNATURE)


@pytest.fixture
def sealing(store: Store, ledger: Ledger, tmp_path: Path) -> Sealing:
    """The test's ledger with an archive."""
    return Sealing(store, ledger, tmp_path)


async def sealed(sealing: Sealing, witnesses: Witnesses) -> Note:
    """Seal all that is on record with witnesses, and return the checkpoint."""
    assert await sealing.lease.acquire()
    sealer = Sealer(
        sealing.store, sealing.ledger, sealing.archive, sealing.keys, lambda: sealing.lease.token, witnesses
    )
    await sealer.begin()
    await sealer.seal(await sealing.ledger.read((await sealing.checkpoint()).size, 1000))
    note = await sealing.archive.checkpoint()
    assert note is not None
    return Note.parse(note)


async def test_a_witness_that_others_wrote_cosigns_every_checkpoint(sealing: Sealing, tmp_path: Path) -> None:
    """It verifies the log's signature and that the log only grew, from the first checkpoint on and after a restart."""
    aics: Any = pytest.importorskip("aics_witness", reason="aics-witness needs Python 3.12")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(b"3" * 32)
    log = aics.LogConfig.from_strings(sealing.origin, [str(sealing.keys.verifiers[0])])
    their_store = aics.WitnessStore(tmp_path / "witness.db", create=True)
    server = aics.make_server(aics.Witness("witness.example/w1", key, their_store, [log]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for many in (1, 300, 7):
        await record(sealing.ledger, many)
        note = await sealed(sealing, Witnesses([Witness(KEY.verifier, server.url)]))
        assert [sealing.keys.verifiers[0], KEY.verifier] == note.verify([sealing.keys.verifiers[0], KEY.verifier])
        assert abs(timestamp_of(note.signatures[-1].signature) - time.time()) < 60
    server.shutdown()
    server.server_close()
    their_store.close()


async def test_a_witness_is_told_from_what_it_knows(sealing: Sealing, httpserver: HTTPServer) -> None:
    """It is first asked as if it knew nothing; if it says which size it knows, the proof begins there."""
    await record(sealing.ledger, 9)
    await sealing.all()
    await record(sealing.ledger, 9)
    asked: list[bytes] = []

    def answer(request: Request) -> Response:
        asked.append(request.data)
        if len(asked) == 1:
            return Response("10\n", status=409, content_type="text/x.tlog.size")
        text = request.data.partition(b"\n\n")[2].rpartition(b"\n\n")[0].decode() + "\n"
        return Response(str(KEY.sign(text, 1_700_000_000)))

    httpserver.expect_request("/w/add-checkpoint", method="POST").respond_with_handler(answer)
    note = await sealed(sealing, Witnesses([Witness(KEY.verifier, httpserver.url_for("/w"))]))
    assert [KEY.verifier] == note.verify([KEY.verifier])
    assert asked[0].startswith(b"old 0\n\n")
    assert asked[1].startswith(b"old 10\n")
    assert asked[1].index(b"\n\n") > 40


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "nonsense"),
        (200, ""),
        (200, str(KEY.sign("another\n", 5))),
        (409, "x"),
        (403, "no"),
        (404, ""),
        (409, "99"),
    ],
)
async def test_a_witness_that_does_not_cosign_holds_nobody_up(
    sealing: Sealing, httpserver: HTTPServer, status: int, body: str
) -> None:
    """Whatever it answers instead, the checkpoint is out without its cosignature, and it is left alone for a while."""
    httpserver.expect_request("/add-checkpoint").respond_with_data(body, status=status)
    witnesses = Witnesses([Witness(KEY.verifier, httpserver.url_for(""))])
    assert len((await sealed(sealing, witnesses)).signatures) == 1
    many = len(httpserver.log)
    await record(sealing.ledger, 1)
    assert len((await sealed(sealing, witnesses)).signatures) == 1
    assert len(httpserver.log) == many


async def test_a_witness_that_is_not_there_holds_nobody_up(sealing: Sealing) -> None:
    """Nor does one to which nothing can be sent."""
    note = await sealed(sealing, Witnesses([Witness(KEY.verifier, "http://127.0.0.1:1")]))
    assert len(note.signatures) == 1


@pytest.mark.parametrize("text", [str(KEY.verifier), "x http://x", f"{SigningKey('a', b'1' * 32).verifier} http://x"])
def test_what_is_no_witness_is_refused(text: str) -> None:
    """Each has a key for cosignatures and a URL."""
    with pytest.raises(LogKeyUnusable):
        Witnesses.parse(text)
    assert Witnesses.parse(f"{KEY.verifier} http://x/y")
