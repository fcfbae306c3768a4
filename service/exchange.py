"""What ``onrecord import`` and ``onrecord export`` do on the store itself."""

import sys
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from events.ledger import Ledger
from service.app import archives_of, open_served
from service.desk.exporting import exported
from service.desk.importing import Adapter, Reading
from service.desk.rows import Done
from service.run import COLUMNS, checked_store, with_store
from service.settings import Settings

_MOST_TOLD = 200
"""Refusals that are listed one by one."""
_console = Console(highlight=False)
_errors = Console(stderr=True, highlight=False)


async def import_file(settings: Settings, file: Path, *, adapter: Adapter | None, mapping: Path | None) -> bool:
    """Import a file with a progress bar, and say what became of it; return whether nothing was refused.

    Raises ``BadImport`` for a file or mapping that cannot be imported at all, or an error of the ledger.
    """
    reading = Reading(file, adapter=adapter, mapping_file=mapping)
    settings = with_store(settings)
    outcomes: Counter[str] = Counter()
    refused: list[Done] = []
    async with checked_store(settings) as store:
        here = await open_served(store, settings.ledger, archives=archives_of(settings))
        begun = await reading.begin(here.ledger, here.recorder)
        with Progress(*COLUMNS, console=_console) as progress:
            task = progress.add_task(f"Importing {file.name}", total=begun.total)
            async for done in begun.record():
                outcomes[done.outcome] += 1
                if done.outcome == "refused":
                    refused.append(done)
                progress.advance(task)
    for done in refused[:_MOST_TOLD]:
        _errors.print(f"{file.name}, {done.where}: {done.reason}", markup=False, soft_wrap=True)
    if len(refused) > _MOST_TOLD:
        _errors.print(f"… and {len(refused) - _MOST_TOLD} more", markup=False)
    _console.print(f"{outcomes['taken']} taken, {outcomes['there']} on record already, {outcomes['refused']} refused.")
    return not refused


async def export_record(settings: Settings) -> None:
    """Write the record to the standard output, one event a line. Raises an error of the ledger."""
    settings = with_store(settings)
    async with checked_store(settings) as store:
        past = archives_of(settings).past_of(settings.ledger)
        async for line in exported(await Ledger.open(store, settings.ledger, past=past)):
            sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
