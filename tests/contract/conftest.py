"""A desk, and an endpoint that it is delivered to."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from events.ledger import Ledger
from events.store import Store
from service.auth import vault as vaults
from service.worker import Worker
from tests.contract.delivering import Desk
from tests.e2e.receiving import Receiver, receiving


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
