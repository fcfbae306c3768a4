"""A process that seals a ledger, as a worker does, until it is terminated.

Run as ``python -m bench.sealing STORE_URL LEDGER FOLDER``.
"""

import contextlib
import sys
from pathlib import Path

import uvloop

import events.store
from bench.sealed import Sealed
from events.errors import LedgerError
from events.ledger import Ledger


async def _seal(store_url: str, name: str, folder: Path) -> None:
    store = events.store.connect(store_url)
    with contextlib.suppress(LedgerError):
        await (await Sealed(store, await Ledger.open(store, name), folder).sealer()).run()


if __name__ == "__main__":
    uvloop.run(_seal(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
