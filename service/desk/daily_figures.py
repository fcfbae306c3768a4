"""Daily figures: what one party says day by day that the other has lost in all, and what it took back of it.

A file of figures has an object a day. Each number in it becomes a statement of Ukraine's General Staff on the claim of
its column, said on that day and as at it. A file of corrections has an object for each day on which the running totals
of some columns were put right, with what was added to them. Since a total is only ever given anew, what was put right
is the last figure before the one that has the correction: that of the day before or, where the day's own figure does
not have it yet, that of the day. The earlier ones stay as they were said.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from msgspec import structs

from events import catalog
from events.records import Correction, Statement, StatementChanges
from events.words import Qualifier, Quantity, Stance
from service.desk.files import Record, Records
from service.desk.known import Known
from service.desk.rows import BadImport, Misfit, Row
from service.desk.table import Table

_SPEAKER = "general-staff"
_PEOPLE = {"personnel": "personnel", "POW": "prisoners"}
"""Columns that count people, with the claims they are figures of."""
_QUALIFIERS: dict[str, Qualifier] = {"about": "about", "more": "more_than"}
"""What a column with a star says of the figure beside it. A figure without one is given as exact."""
_NO_FIGURES = {"date", "day", "greatest losses direction"}
"""Columns that have no figures. The last one names a place in the field and bears on no claim here."""


def with_equipment(table: dict[str, Any]) -> dict[str, Any]:
    """Return the content of the table with a claim for each kind of equipment that it lists."""
    made = {
        _key(column): {
            "text": f"Russia has lost {what} in the war, in the totals given day by day.",
            "serves": ["ukraine"],
            "harms": ["russia"],
        }
        for column, what in table["equipment"].items()
    }
    return table | {"claims": table["claims"] | made}


class Figures:
    """What the figures of the General Staff are recorded as. ``columns`` are those that have equipment in them."""

    def __init__(self, table: Table, columns: Sequence[str]) -> None:
        self._table = table
        self._claims = _PEOPLE | {column: _key(column) for column in columns}
        """The key of the claim that each column has figures of."""

    def rows(self, records: Records) -> list[Row | Misfit]:
        """Return a row for each figure of a file of them."""
        found: list[Row | Misfit] = []
        for record in records:
            if isinstance(record, Misfit):
                found.append(record)
                continue
            try:
                said_at = _day(record)
            except ValueError as error:
                found.append(Misfit(record.where, str(error)))
                continue
            for column in record.values:
                if column in _NO_FIGURES or column.endswith("*"):
                    continue
                where = f"{record.where}, {column}"
                try:
                    found.append(self._row(where, record, column, said_at))
                except ValueError as error:
                    found.append(Misfit(where, str(error)))
        return found

    def _row(self, where: str, record: Record, column: str, said_at: str) -> Row:
        value = _whole(record.values[column])
        if value < 0:
            raise ValueError(f"{value} is less than nothing")
        claim = self._claim(column)
        qualifier = record.values.get(f"{column}*")
        if qualifier is not None and qualifier not in _QUALIFIERS:
            raise ValueError(f"{qualifier!r} is none of {', '.join(_QUALIFIERS)}")
        figure = Quantity(
            measure=claim,
            value=value,
            qualifier=_QUALIFIERS[qualifier] if qualifier else "exactly",
            unit="people" if column in _PEOPLE else None,
            as_at=said_at,
        )
        speaker_id = self._table.id_of("source", _SPEAKER)
        statement = Statement(speaker_id=speaker_id, stance=Stance.ASSERTS, said_at=said_at, quantities=(figure,))
        event = catalog.StatementRecorded(
            claim_id=self._table.id_of("claim", claim),
            statement_id=self._statement_id(claim, said_at),
            statement=statement,
        )
        return Row(where, event, self._table.begins(claim, _SPEAKER))

    async def corrections(self, records: Records, known: Known) -> list[Row | Misfit]:
        """Return a row for each figure that a file of corrections puts right, as that figure is on record."""
        said = {claim: await self._on_record(claim, known) for claim in self._claims.values()}
        found: list[Row | Misfit] = []
        for record in records:
            if isinstance(record, Misfit):
                found.append(record)
                continue
            try:
                at = _day(record)
                numbers = {column: value for column, value in record.values.items() if column not in _NO_FIGURES}
                added = {self._claim(column): _whole(value) for column, value in numbers.items() if value != 0}
            except ValueError as error:
                found.append(Misfit(record.where, str(error)))
                continue
            day = _corrected_day(at, added, said)
            for claim, amount in added.items():
                where = f"{record.where}, {claim}"
                try:
                    found.append(self._correction(where, at, day, claim, amount, said[claim].get(day)))
                except ValueError as error:
                    found.append(Misfit(where, str(error)))
        return found

    def _correction(self, where: str, at: str, day: str, claim: str, amount: int, before: Quantity | None) -> Row:  # noqa: PLR0913 - what a correction is made of
        if before is None or before.value is None:
            raise ValueError(f"no figure of {day} is on record to correct: import the daily figures first")
        after = structs.replace(before, value=before.value + amount)
        if (after.value or 0) < 0:
            raise ValueError(f"{amount:+} makes the figure of {day} less than nothing")
        correction = Correction(
            by="speaker",
            at=at,
            before=StatementChanges(quantities=(before,)),
            after=StatementChanges(quantities=(after,)),
            note=f"The running total was put right by {amount:+} on {at}.",
        )
        event = catalog.StatementCorrected(
            claim_id=self._table.id_of("claim", claim),
            statement_id=self._statement_id(claim, day),
            correction=correction,
        )
        return Row(where, event)

    async def _on_record(self, claim: str, known: Known) -> dict[str, Quantity]:
        """Return the figures of a claim as they were first said, by day."""
        found = {}
        for event in await known.history(self._table.id_of("claim", claim)):
            if isinstance(event, catalog.StatementRecorded):
                said_at = event.statement.said_at or ""
                if event.statement_id == self._statement_id(claim, said_at) and event.statement.quantities:
                    found[said_at] = event.statement.quantities[0]
        return found

    def _claim(self, column: str) -> str:
        if column not in self._claims:
            raise ValueError(f"no claim is in the table for the column {column!r}")
        return self._claims[column]

    def _statement_id(self, claim: str, said_at: str) -> str:
        return self._table.id_of("statement", f"{_SPEAKER}/{claim}/{said_at}")


def _corrected_day(at: str, added: dict[str, int], said: dict[str, dict[str, Quantity]]) -> str:
    """Return whose day's figures were put right: the day's own if they do not have the correction yet.

    They have it if, without it, no running total fell on that day.
    """
    day_before = (date.fromisoformat(at) - timedelta(days=1)).isoformat()
    for claim, amount in added.items():
        before, now = said[claim].get(day_before), said[claim].get(at)
        if before and now and (now.value or 0) - amount < (before.value or 0):
            return at
    return day_before


def _key(column: str) -> str:
    return column.lower().replace(" ", "-")


def _day(record: Record) -> str:
    given = record.values.get("date")
    if given is None and "date" not in record.values:
        raise BadImport(f"{record.where}: has no `date`; this is no file of daily figures")
    try:
        return date.fromisoformat(given).isoformat()  # type: ignore[arg-type]  # what is no text is refused below
    except (ValueError, TypeError):
        raise ValueError(f"date: {given!r} is no day, as in 2024-01-24") from None


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"{value!r} is no whole number")
