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
            "text": f"Russia has lost {what} in the war, in the running total that is given day by day.",
            "serves": ["ukraine"],
            "harms": ["russia"],
        }
        for column, what in table["equipment"].items()
    }
    return table | {"claims": table["claims"] | made}


def rows(records: Records, table: Table, columns: Sequence[str]) -> list[Row | Misfit]:
    """Return a row for each figure. ``columns`` are those that have equipment in them."""
    known = _claims(columns)
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
        for column, value in record.values.items():
            if column in _NO_FIGURES or column.endswith("*"):
                continue
            where = f"{record.where}, {column}"
            try:
                found.append(_row(where, record, column, _count(value), said_at, known, table))
            except ValueError as error:
                found.append(Misfit(where, str(error)))
    return found


def _row(where: str, record: Record, column: str, value: int, said_at: str, known: dict[str, str], table: Table) -> Row:
    if column not in known:
        raise ValueError("no claim is in the table for this column")
    qualifier = record.values.get(f"{column}*")
    if qualifier is not None and qualifier not in _QUALIFIERS:
        raise ValueError(f"{qualifier!r} is none of {', '.join(_QUALIFIERS)}")
    unit = "people" if column in _PEOPLE else None
    said_as = _QUALIFIERS[qualifier] if qualifier else "exactly"
    claim = known[column]
    statement = Statement(
        speaker_id=table.id_of("source", _SPEAKER),
        stance=Stance.ASSERTS,
        said_at=said_at,
        quantities=(Quantity(measure=claim, value=value, qualifier=said_as, unit=unit, as_at=said_at),),
    )
    event = catalog.StatementRecorded(
        claim_id=table.id_of("claim", claim), statement_id=_statement_id(table, claim, said_at), statement=statement
    )
    return Row(where, event, table.begins(claim, _SPEAKER))


async def corrections(records: Records, table: Table, columns: Sequence[str], known: Known) -> list[Row | Misfit]:
    """Return a row for each figure that was put right, as it is on record."""
    claims = _claims(columns)
    said = {claim: await _on_record(table, claim, known) for claim in claims.values()}
    found: list[Row | Misfit] = []
    for record in records:
        if isinstance(record, Misfit):
            found.append(record)
            continue
        try:
            at = _day(record)
            added = {column: value for column, value in record.values.items() if column not in _NO_FIGURES and value}
            unknown = next((column for column in added if column not in claims), None)
            if unknown:
                raise ValueError(f"no claim is in the table for the column {unknown!r}")  # noqa: TRY301 - beside the others
            amounts = {claims[column]: _count(value) for column, value in added.items()}
        except ValueError as error:
            found.append(Misfit(record.where, str(error)))
            continue
        day = _corrected_day(at, amounts, said)
        found += [_correction(record, at, day, claim, amount, table, said[claim]) for claim, amount in amounts.items()]
    return found


def _correction(
    record: Record, at: str, day: str, claim: str, amount: int, table: Table, said: dict[str, Quantity]
) -> Row | Misfit:
    where = f"{record.where}, {claim}"
    before = said.get(day)
    if before is None or before.value is None:
        return Misfit(where, f"no figure of {day} is on record to correct: import the daily figures first")
    corrected = before.value + amount
    if corrected < 0:
        return Misfit(where, f"{amount:+} makes the figure of {day} less than nothing")
    after = structs.replace(before, value=corrected)
    correction = Correction(
        by="speaker",
        at=at,
        before=StatementChanges(quantities=(before,)),
        after=StatementChanges(quantities=(after,)),
        note=f"The running total was put right by {amount:+} on {at}.",
    )
    event = catalog.StatementCorrected(
        claim_id=table.id_of("claim", claim), statement_id=_statement_id(table, claim, day), correction=correction
    )
    return Row(where, event)


def _corrected_day(at: str, amounts: dict[str, int], said: dict[str, dict[str, Quantity]]) -> str:
    """Return whose day's figures were put right: the day's own if they do not have the correction yet.

    They have it if, without it, no running total fell on that day.
    """
    day_before = (date.fromisoformat(at) - timedelta(days=1)).isoformat()
    for claim, amount in amounts.items():
        before, now = said[claim].get(day_before), said[claim].get(at)
        if before and now and (now.value or 0) - amount < (before.value or 0):
            return at
    return day_before


async def _on_record(table: Table, claim: str, known: Known) -> dict[str, Quantity]:
    """Return the figures of a claim as they were first said, by day."""
    found = {}
    speaker_id = table.id_of("source", _SPEAKER)
    for event in await known.history(table.id_of("claim", claim)):
        if isinstance(event, catalog.StatementRecorded):
            statement = event.statement
            ours = statement.speaker_id == speaker_id and statement.said_at and statement.quantities
            if ours and event.statement_id == _statement_id(table, claim, statement.said_at or ""):
                found[statement.said_at or ""] = statement.quantities[0]
    return found


def _claims(columns: Sequence[str]) -> dict[str, str]:
    """Return the key of the claim that each column has figures of."""
    return _PEOPLE | {column: _key(column) for column in columns}


def _key(column: str) -> str:
    return column.lower().replace(" ", "-")


def _statement_id(table: Table, claim: str, said_at: str) -> str:
    return table.id_of("statement", f"{_SPEAKER}/{claim}/{said_at}")


def _day(record: Record) -> str:
    given = record.values.get("date")
    if given is None and "date" not in record.values:
        raise BadImport(f"{record.where}: has no `date`; this is no file of daily figures")
    try:
        return date.fromisoformat(given).isoformat()  # type: ignore[arg-type]  # what is no text is refused below
    except (ValueError, TypeError):
        raise ValueError(f"date: {given!r} is no day, as in 2024-01-24") from None


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{value!r} is no whole number")
    return value
