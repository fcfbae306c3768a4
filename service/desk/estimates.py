"""Estimates of losses: the file that The Economist compiles from what sources say and others relay.

A line is one number: an estimate, or the low or the high end of one. The lines of a source, day and type are one
estimate and become one statement, whatever counter the file's own `source_id` ends in: low and high are a range, a
single number is about so. Where there is a central number beside a range, it is a figure of a measure of its own, so
that nothing is lost. The file has one date an estimate. It is taken for the day on which the estimate was given as well
as for the one that it speaks of, though some series, as Meduza's, were computed later.
"""

import math
import re
from datetime import date

from msgspec import Struct

from events import catalog
from events.records import Statement
from events.words import Quantity, Stance
from service.desk.files import Record, Records
from service.desk.rows import BadImport, Misfit, Row
from service.desk.table import Misnamed, Table
from service.verification.quantities import entailed

_COLUMNS = ("date", "source", "country", "estimate_type", "estimate", "source_type")
_MEASURES = {"deaths": "deaths", "casualties": "casualties"}
"""What a `source_type` is an estimate of, in the words of the claims."""
_MILESTONES = {"deaths": ("deaths-50000", "deaths-100000", "deaths-200000")}
"""Claims with a figure, by measure."""
_PUBLISHER = "the-economist"
_RELAYED = re.compile(r"(?P<speaker>.+) \(via (?P<relay>.+)\)")
_TOLERANCE = 0.10


class Estimate(Struct):
    """The lines of one estimate, and its numbers by the type that the file gives them."""

    lines: list[int]
    values: dict[str, str]
    numbers: dict[str, float]

    @property
    def where(self) -> str:
        """Where it is in the file."""
        listed = ", ".join(map(str, self.lines))
        return f"line {listed}" if len(self.lines) == 1 else f"lines {listed}"


def rows(records: Records, table: Table, names: dict[str, dict[str, str]]) -> list[Row | Misfit]:
    """Return a row for each estimate, and for each milestone that it or an earlier one of its speaker reaches.

    ``names`` has the file's names of ``speakers`` and ``relays``, with their keys in the table.
    """
    found: list[Row | Misfit] = []
    reached: set[tuple[str, str]] = set()
    estimates = _gathered(records, found)
    for estimate in sorted(estimates, key=lambda each: each.values["date"]):
        try:
            found += _rows(estimate, table, names, reached)
        except (ValueError, BadImport) as error:
            found.append(Misfit(estimate.where, str(error)))
    return found


def _gathered(records: Records, misfits: list[Row | Misfit]) -> list[Estimate]:
    """Bring the lines of each estimate together."""
    estimates: dict[tuple[str, ...], Estimate] = {}
    broken: dict[tuple[str, ...], str] = {}
    for record in records:
        if isinstance(record, Misfit):
            misfits.append(record)
            continue
        missing = [column for column in _COLUMNS if column not in record.values]
        if missing:
            raise BadImport(f"line 1: no column `{missing[0]}`; this is no file of estimates")
        values = record.values
        key: tuple[str, ...] = (values["source"], values["date"], values["source_type"], values["country"])
        estimate = estimates.setdefault(key, Estimate([], values, {}))
        try:
            _add(estimate, record)
        except ValueError as error:
            broken[key] = str(error)
            estimate.lines.append(record.line)
    for key, reason in broken.items():
        misfits.append(Misfit(estimates.pop(key).where, reason))
    return list(estimates.values())


def _add(estimate: Estimate, record: Record) -> None:
    kind, given = record.values["estimate_type"], record.values["estimate"]
    if kind not in {"estimate", "estimate_low", "estimate_high"}:
        raise ValueError(f"estimate_type: {kind!r} is none of estimate, estimate_low, estimate_high")
    if kind in estimate.numbers:
        raise ValueError(f"estimate_type: a second {kind} of one estimate")
    estimate.numbers[kind] = _number(given)
    estimate.lines.append(record.line)


def _number(given: str) -> float:
    try:
        number = float(given)
    except ValueError:
        raise ValueError(f"estimate: {given!r} is no number") from None
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"estimate: {given!r} is no number of people")
    return int(number) if number.is_integer() else number


def _rows(
    estimate: Estimate, table: Table, names: dict[str, dict[str, str]], reached: set[tuple[str, str]]
) -> list[Row]:
    values = estimate.values
    if values["country"] != "russia":
        raise ValueError(f"country: no claim is about losses of {values['country']!r}")
    if values["source_type"] not in _MEASURES:
        raise ValueError(f"source_type: {values['source_type']!r} is none of {', '.join(_MEASURES)}")
    said_at = _day(values["date"])
    measure = _MEASURES[values["source_type"]]
    speaker, relay = _attributed(values["source"], names)
    figures = _figures(estimate.numbers, measure, said_at)
    statement = Statement(
        speaker_id=table.id_of("source", speaker),
        stance=Stance.ASSERTS,
        publisher_id=table.id_of("source", _PUBLISHER),
        relay_ids=(table.id_of("source", relay),) if relay else (),
        said_at=said_at,
        attribution=values["source"],
        basis="reporting" if table.sources[speaker]["kind"] == "outlet" else "unstated",  # they counted themselves
        quantities=figures,
    )
    claims: list[str] = [measure]
    for milestone in _MILESTONES.get(measure, ()):
        if entailed(table.claim(milestone).claim.quantities, figures[:1], _TOLERANCE):
            reached.add((milestone, speaker))
        if (milestone, speaker) in reached:  # and what it says from then on, should it take that back
            claims.append(milestone)
    return [
        Row(
            estimate.where if claim == measure else f"{estimate.where} on {claim}",
            catalog.StatementRecorded(
                claim_id=table.id_of("claim", claim),
                statement_id=table.id_of("statement", f"{claim}/{values['source']}/{said_at}"),
                statement=statement,
            ),
            table.begins(claim, speaker, relay, _PUBLISHER),
        )
        for claim in claims
    ]


def _day(given: str) -> str:
    try:
        return date.fromisoformat(given).isoformat()
    except ValueError:
        raise ValueError(f"date: {given!r} is no day, as in 2024-01-24") from None


def _attributed(given: str, names: dict[str, dict[str, str]]) -> tuple[str, str | None]:
    """Return the keys of whose estimate it is and of who relayed it: `US officials (via NYT)`."""
    relayed = _RELAYED.fullmatch(given)
    speaker, relay = (relayed["speaker"], relayed["relay"]) if relayed else (given, None)
    if speaker not in names["speakers"]:
        raise Misnamed(f"source: {speaker!r} is not in the table: whom it speaks for has to be decided there")
    if relay is not None and relay not in names["relays"]:
        raise Misnamed(f"source: {relay!r} is not in the table of relays")
    return names["speakers"][speaker], names["relays"][relay] if relay else None


def _figures(numbers: dict[str, float], measure: str, as_at: str) -> tuple[Quantity, ...]:
    """Return the figures of an estimate, the one that is compared first."""
    low, high, central = (numbers.get(kind) for kind in ("estimate_low", "estimate_high", "estimate"))
    figures = []
    if low is not None and high is not None:
        figures.append(Quantity(measure=measure, low=low, high=high, qualifier="range", unit="people", as_at=as_at))
    elif low is not None:
        figures.append(Quantity(measure=measure, value=low, qualifier="at_least", unit="people", as_at=as_at))
    elif high is not None:
        figures.append(Quantity(measure=measure, value=high, qualifier="at_most", unit="people", as_at=as_at))
    if central is not None:
        named = f"{measure}, central estimate" if figures else measure
        figures.append(Quantity(measure=named, value=central, qualifier="about", unit="people", as_at=as_at))
    return tuple(figures)
