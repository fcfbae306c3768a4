"""A process that verifies an archive, states too, and says how long it took and how much memory it had at most.

Run as ``python -m bench.verifying FOLDER KEY``, with the log's verifier key.
"""

import resource
import sys
import time

import uvloop
from msgspec import Struct, json

from bench.rebuilding import PER_MIB
from events.transparency.note import VerifierKey
from service.audit import storage
from service.audit.verifying.examination import Examination


class Verified(Struct, frozen=True):
    """What a verification took, and what of it reading by schemas and states did."""

    peak_mib: float
    seconds: float
    schema: float
    states: float


async def _verify(folder: str, key: str) -> Verified:
    examination, begun = Examination(storage.at(folder), [VerifierKey.parse(key)], version="bench"), time.perf_counter()
    async for _ in examination.steps():
        pass
    took = time.perf_counter() - begun
    assert examination.report.ok, examination.report.findings[:3]  # noqa: S101 - it was just sealed
    seconds = {check.name: check.seconds for check in examination.report.checks}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / PER_MIB
    return Verified(round(peak, 1), round(took, 1), round(seconds["schema"], 1), round(seconds["states"], 1))


if __name__ == "__main__":
    sys.stdout.buffer.write(json.encode(uvloop.run(_verify(sys.argv[1], sys.argv[2]))))
