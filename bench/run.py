"""Measure everything, print it as a table, write ``bench/latest.json``; exit 1 if a ratio is below its floor.

``python -m bench.run [WORD…]`` measures only what has one of the words in its name, and leaves the
other rows as they are.
"""

import sys
from pathlib import Path

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from bench import of_auditing, of_decisions, of_the_ledger, of_the_log, of_webhooks, over_feed, over_http
from bench.measurement import Measurement

_WIDTH, _WHOLE = 160, 100
_LATEST = Path(__file__).with_name("latest.json")
_SUITES = (
    over_http.measure,
    over_feed.measure,
    of_the_ledger.measure,
    of_decisions.measure,
    of_the_log.measure,
    of_auditing.measure,
    of_webhooks.measure,
)


async def _all(words: list[str]) -> list[Measurement]:
    found = []
    for suite in _SUITES:
        async for each in suite(words):
            print(f"{each.name}: {_number(each.ours)}", file=sys.stderr)
            found.append(each)
            _keep(found)  # at once, so that what fails later takes nothing with it
    return found


def _keep(found: list[Measurement], *, alone: bool = False) -> None:
    """Write what was found into the table, each in the row that has its name; alone: drop every other row."""
    before = [] if alone else msgspec.json.decode(_LATEST.read_bytes(), type=list[Measurement])
    rows = {each.name: each for each in (*before, *found)}
    _LATEST.write_bytes(msgspec.json.format(msgspec.json.encode(list(rows.values())), indent=2) + b"\n")


def _table(measurements: list[Measurement]) -> Table:
    table = Table("what", "ours", "peer", "peer's name", "ratio", "at least")
    for each in measurements:
        peer = _number(each.peer) if each.peer else ""
        ratio = f"{each.ratio:.2f}" if each.ratio is not None else ""
        floor = f"{each.at_least:,.2f}" if each.at_least is not None else ""
        style = "red" if each.missed else ""
        table.add_row(each.name, _number(each.ours), peer, each.peer_name or "", ratio, floor, style=style)
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= _WHOLE else f"{value:.3g}"


def main() -> None:
    """Run the measurements that the command line asks for."""
    words = sys.argv[1:]
    measurements = uvloop.run(_all(words))
    console = Console()
    console.width = max(console.width, _WIDTH)  # a name in one line, in a file too
    console.print(_table(measurements))
    if not words:
        _keep(measurements, alone=True)
    sys.exit(any(each.missed for each in measurements))


if __name__ == "__main__":
    main()
