"""Measure everything, print it as a table, write ``bench/latest.json``; exit 1 if a ratio is below its floor.

``python -m bench.run [WORD…]`` measures only what has one of the words in its name, and writes nothing.
"""

import sys
from pathlib import Path

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from bench import of_decisions, of_the_ledger, of_the_log, of_webhooks, over_feed, over_http
from bench.measurement import Measurement

_LATEST = Path(__file__).with_name("latest.json")
_SUITES = (
    over_http.measure,
    over_feed.measure,
    of_the_ledger.measure,
    of_decisions.measure,
    of_the_log.measure,
    of_webhooks.measure,
)


async def _all(words: list[str]) -> list[Measurement]:
    found = []
    for suite in _SUITES:
        async for each in suite(words):
            print(f"{each.name}: {each.ours:,.0f}", file=sys.stderr)
            found.append(each)
    return found


def _table(measurements: list[Measurement]) -> Table:
    table = Table("what", "ours", "peer", "peer's name", "ratio", "at least")
    for each in measurements:
        peer = f"{each.peer:,.0f}" if each.peer else ""
        ratio = f"{each.ratio:.2f}" if each.ratio is not None else ""
        floor = f"{each.at_least:,.2f}" if each.at_least is not None else ""
        style = "red" if each.missed else ""
        table.add_row(each.name, f"{each.ours:,.0f}", peer, each.peer_name or "", ratio, floor, style=style)
    return table


def main() -> None:
    """Run the measurements that the command line asks for."""
    words = sys.argv[1:]
    measurements = uvloop.run(_all(words))
    Console().print(_table(measurements))
    if not words:
        _LATEST.write_bytes(msgspec.json.format(msgspec.json.encode(measurements), indent=2) + b"\n")
    sys.exit(any(each.missed for each in measurements))


if __name__ == "__main__":
    main()
