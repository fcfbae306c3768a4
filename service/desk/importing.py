"""Importing: a file of a kind that is named or told by its mapping, read whole and then recorded row by row."""

import tomllib
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from events.ledger import Ledger
from service.desk import estimates, exporting, files, mapping
from service.desk.daily_figures import Figures, with_equipment
from service.desk.files import text_of
from service.desk.recording import Import
from service.desk.rows import BadImport, Done, Misfit, Row
from service.desk.table import read_table
from service.verification.commands import Recorder

Adapter = Literal["estimates", "general-staff", "general-staff-corrections"]


class Reading:
    """A file that is to be imported. Raises ``BadImport`` for one that cannot be."""

    def __init__(self, path: Path, *, adapter: Adapter | None = None, mapping_file: Path | None = None) -> None:
        if adapter and mapping_file:
            raise BadImport("an adapter and a mapping both say what a file means: name one")
        self._path, self._adapter = path, adapter
        self._mapping = mapping.read_mapping(mapping_file) if mapping_file else None
        if not (adapter or mapping_file) and path.suffix != ".ndjson":
            raise BadImport(f"{path}: is no export (.ndjson); name the adapter or the mapping that says what it means")
        self._content = _losses()

    async def begin(self, ledger: Ledger, recorder: Recorder) -> "Begun":
        """Read the file and make rows of it. Raises ``BadImport``."""
        name = self._mapping.table.name if self._mapping else self._content["name"] if self._adapter else "export"
        importing = Import(name, ledger, recorder)
        return Begun(await self._rows(importing, ledger), importing)

    async def _rows(self, importing: Import, ledger: Ledger) -> list[Row | Misfit]:
        if self._mapping:
            return mapping.rows(files.read(self._path), self._mapping)
        if not self._adapter:
            return exporting.rows(text_of(self._path), await ledger.policy())
        records = files.read(self._path)
        table, columns = read_table(self._content), list(self._content["equipment"])
        match self._adapter:
            case "estimates":
                names = {section: self._content[section] for section in ("speakers", "relays")}
                return estimates.rows(records, table, names)
            case "general-staff":
                return Figures(table, columns).rows(records)
            case "general-staff-corrections":
                return await Figures(table, columns).corrections(records, importing.known)


class Begun:
    """An import whose rows are known."""

    def __init__(self, rows: list[Row | Misfit], importing: Import) -> None:
        self._rows, self._importing = rows, importing
        self.total = len(rows)

    def record(self) -> AsyncIterator[Done]:
        """Record the rows, and say of each what became of it. Raises an error of the ledger if the store fails."""
        return self._importing.record(self._rows)


def _losses() -> dict[str, Any]:
    """Return the table of the two imports that come with On Record."""
    text = resources.files("service.desk").joinpath("losses.toml").read_text(encoding="utf-8")
    return with_equipment(tomllib.loads(text))
