"""Estimates: what a line of the file becomes, and which lines become one statement."""

import tomllib
from collections.abc import Sequence
from importlib import resources
from typing import Any

import pytest

from events import catalog
from events.identifiers import derived_id
from events.words import Quantity
from service.desk.estimates import rows
from service.desk.files import Record
from service.desk.rows import BadImport, Misfit, Row
from service.desk.table import read_table

CONTENT = tomllib.loads(resources.files("service.desk").joinpath("losses.toml").read_text())
TABLE = read_table(CONTENT)


def line(number: int, kind: str, estimate: str, **other: str) -> Record:
    """Return a line of the file, on a day in 2023 unless said otherwise."""
    values = {
        "date": "2023-02-15", "source": "US officials (via NYT)", "country": "russia",
        "estimate_type": kind, "estimate": estimate, "source_type": "deaths",
    }  # fmt: skip
    return Record(number, values | other)


def made(lines: Sequence[Record]) -> list[Row | Misfit]:
    """Return what lines become."""
    return rows(list(lines), TABLE, CONTENT)


def on(claim: str, found: list[Row | Misfit]) -> list[Any]:
    """Return the statements on a claim, in order."""
    claim_id = derived_id("claim", "russian-losses", claim)
    events = [row.event for row in found if isinstance(row, Row)]
    assert all(isinstance(event, catalog.StatementRecorded) for event in events)
    return [event.statement for event in events if event.claim_id == claim_id]  # type: ignore[attr-defined]


def test_low_and_high_become_a_range_and_a_speaker_keeps_its_relay() -> None:
    """The lines of one estimate are one statement, by the officials and not by the paper that relays them."""
    (said,) = on("deaths", made([line(2, "estimate_low", "15000"), line(3, "estimate_high", "20000")]))
    figure = Quantity(measure="deaths", low=15000, high=20000, qualifier="range", unit="people", as_at="2023-02-15")
    assert (figure,) == said.quantities
    assert said.speaker_id == derived_id("source", "russian-losses", "us-officials")
    assert said.relay_ids == (derived_id("source", "russian-losses", "nyt"),)
    assert (said.said_at, said.attribution) == ("2023-02-15", "US officials (via NYT)")


@pytest.mark.parametrize(
    ("kind", "qualifier"), [("estimate", "about"), ("estimate_low", "at_least"), ("estimate_high", "at_most")]
)
def test_a_single_number_is_what_its_type_says(kind: str, qualifier: str) -> None:
    """A single estimate is about so; one end alone leaves the other open."""
    (said,) = on("deaths", made([line(2, kind, "20000")]))
    assert [(qualifier, 20000)] == [(figure.qualifier, figure.value) for figure in said.quantities]


def test_a_central_number_stays_beside_its_range() -> None:
    """The range is what is compared; the central number is a figure of its own."""
    lines = [line(2, "estimate", "4.5"), line(3, "estimate_low", "3.5"), line(4, "estimate_high", "5.5")]
    (said,) = on("deaths", made([Record(each.line, each.values | {"source": "Meduza"}) for each in lines]))
    assert [figure.measure for figure in said.quantities] == ["deaths", "deaths, central estimate"]
    assert said.basis == "reporting"


def test_a_figured_claim_is_spoken_on_from_the_first_estimate_that_reaches_it() -> None:
    """What a source says after it reached a figure is recorded there too, so that a retreat shows."""
    lines = [
        line(n, "estimate", number, date=f"202{n}-01-01")
        for n, number in enumerate(("40000", "60000", "45000"), start=2)
    ]
    found = made(lines)
    assert [said.quantities[0].value for said in on("deaths", found)] == [40000, 60000, 45000]
    assert [said.quantities[0].value for said in on("deaths-50000", found)] == [60000, 45000]
    assert on("deaths-100000", found) == []


def test_one_source_of_two_names_is_one_source() -> None:
    """The table says so."""
    lines = [
        line(2, "estimate", "1", source="CSIS"),
        line(3, "estimate", "2", source="The Centre for Strategic and International Studies"),
    ]
    assert len({said.speaker_id for said in on("deaths", made(lines))}) == 1


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"source": "Nobody"}, "source: 'Nobody' is not in the table"),
        ({"source": "CIA (via a friend)"}, "source: 'a friend' is not in the table of relays"),
        ({"country": "ukraine"}, "country: no claim is about losses of 'ukraine'"),
        ({"source_type": "wounded"}, "source_type: 'wounded' is none of deaths, casualties"),
        ({"date": "2023-02-30"}, "date: '2023-02-30' is no day"),
        ({"estimate": "many"}, "estimate: 'many' is no number"),
        ({"estimate": "-3"}, "estimate: '-3' is no number of people"),
        ({"estimate": "inf"}, "estimate: 'inf' is no number of people"),
        ({"estimate_type": "guess"}, "estimate_type: 'guess' is none of"),
    ],
)
def test_what_does_not_fit_is_refused_whole(other: dict[str, str], reason: str) -> None:
    """An estimate of which one line is wrong is not recorded by half."""
    broken = line(3, "estimate_high", "7")
    (misfit,) = made([line(2, "estimate_low", "5", **_without_kind(other)), Record(3, broken.values | other)])
    assert isinstance(misfit, Misfit)
    assert misfit.where == "lines 2, 3"
    assert reason in misfit.reason


def _without_kind(other: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in other.items() if not name.startswith("estimate")}


def test_two_numbers_of_one_type_are_refused() -> None:
    """Which of them is meant cannot be known."""
    (misfit,) = made([line(2, "estimate", "5"), line(3, "estimate", "6")])
    assert Misfit("lines 2, 3", "estimate_type: a second estimate of one estimate") == misfit


def test_another_file_is_refused() -> None:
    """The missing column is named."""
    with pytest.raises(BadImport, match="no column `date`"):
        made([Record(2, {"what": "x"})])
