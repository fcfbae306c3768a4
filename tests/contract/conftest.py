"""What contracts are about: a desk, an endpoint that it is delivered to, and places in which an archive is kept."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from moto.server import ThreadedMotoServer

from events.ledger import Ledger
from events.store import Store
from service.auth import vault as vaults
from service.worker import Worker
from tests.contract.delivering import Desk
from tests.e2e.receiving import Receiver, receiving
from tests.sealing import Sealing


@pytest.fixture
async def desk(store: Store, ledger: Ledger, worker: Worker, tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk on a ledger whose projections are kept up."""
    desk = Desk(store, ledger, await vaults.opened(store, ledger.name, "", tmp_path / "secret.key"))
    yield desk
    await desk.egress.aclose()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """An endpoint."""
    async with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of a server that speaks S3, with a bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with urlopen(Request(f"http://{host}:{port}/archives", method="PUT")) as answer:
        assert answer.status == 200
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where archives are kept, as the setting would name it: a folder, and objects."""
    if request.param == "folder":
        return str(tmp_path / "archive")
    monkeypatch.setenv("AWS_ENDPOINT", request.getfixturevalue("s3"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return f"s3://archives/{tmp_path.name}/{request.node.name[:20]}"


@pytest.fixture
def sealing(store: Store, ledger: Ledger, tmp_path: Path, place: str) -> Sealing:
    """The test's ledger with an archive."""
    return Sealing(store, ledger, tmp_path, place)
