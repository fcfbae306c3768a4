"""A process that rebuilds the claims of a ledger and says how long it took and how much memory it had at most.

Run as ``python -m bench.rebuilding STORE_URL LEDGER``.
"""

import resource
import sys
import time

import uvloop
from msgspec import Struct, json

import events.store
from events.ledger import Ledger
from service.projections.catalog import CLAIMS
from service.projections.rebuild import rebuild

PER_MIB = 1024 if sys.platform != "darwin" else 1024 * 1024


class Rebuilt(Struct, frozen=True):
    """What a rebuild took: the most memory that its process had resident, and the time."""

    peak_mib: float
    seconds: float


async def _rebuild(store_url: str, name: str) -> Rebuilt:
    store = events.store.connect(store_url)
    begun = time.perf_counter()
    async for _ in rebuild(store, await Ledger.open(store, name), CLAIMS):
        pass
    await store.aclose()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / PER_MIB
    return Rebuilt(round(peak, 1), round(time.perf_counter() - begun, 1))


if __name__ == "__main__":
    sys.stdout.buffer.write(json.encode(uvloop.run(_rebuild(sys.argv[1], sys.argv[2]))))
