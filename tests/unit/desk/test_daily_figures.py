"""Daily figures: what a day's numbers become."""

import tomllib
from importlib import resources

import pytest

from events import catalog
from events.identifiers import derived_id
from service.desk.daily_figures import Figures, with_equipment
from service.desk.files import Record
from service.desk.rows import BadImport, Misfit, Row
from service.desk.table import read_table

CONTENT = with_equipment(tomllib.loads(resources.files("service.desk").joinpath("losses.toml").read_text()))
FIGURES = Figures(read_table(CONTENT), list(CONTENT["equipment"]))


def test_each_number_of_a_day_is_a_statement_on_a_claim_of_its_own() -> None:
    """The day is when it was said and what it is as at; a star qualifies the number beside it."""
    found = FIGURES.rows(
        [Record(3, {"date": "2022-02-25", "day": 2, "personnel": 2800, "personnel*": "more", "tank": 80})]
    )
    said = [row.event for row in found if isinstance(row, Row)]
    assert all(isinstance(event, catalog.StatementRecorded) for event in said)
    assert [
        (figure.measure, figure.value, figure.qualifier, figure.unit, figure.as_at)
        for event in said
        for figure in event.statement.quantities  # type: ignore[attr-defined]
    ] == [("personnel", 2800, "more_than", "people", "2022-02-25"), ("tank", 80, "exactly", None, "2022-02-25")]
    assert [derived_id("claim", "russian-losses", key) for key in ("personnel", "tank")] == [
        event.claim_id  # type: ignore[attr-defined]
        for event in said
    ]


@pytest.mark.parametrize(
    ("values", "misfit"),
    [
        ({"date": "yesterday", "tank": 1}, Misfit("line 3", "date: 'yesterday' is no day, as in 2024-01-24")),
        ({"date": 7, "tank": 1}, Misfit("line 3", "date: 7 is no day, as in 2024-01-24")),
        ({"date": "2022-02-25", "tank": "1"}, Misfit("line 3, tank", "'1' is no whole number")),
        ({"date": "2022-02-25", "tank": -1}, Misfit("line 3, tank", "-1 is less than nothing")),
        (
            {"date": "2022-02-25", "unicorn": 1},
            Misfit("line 3, unicorn", "no claim is in the table for the column 'unicorn'"),
        ),
        ({"date": "2022-02-25", "tank": 1, "tank*": "maybe"}, Misfit("line 3, tank", "'maybe' is none of about, more")),
    ],
)
def test_what_does_not_fit_is_refused_by_its_column(values: dict[str, object], misfit: Misfit) -> None:
    """The other numbers of the day are taken."""
    assert [misfit] == FIGURES.rows([Record(3, values)])


def test_another_file_is_refused() -> None:
    """A file without dates is none of daily figures."""
    with pytest.raises(BadImport, match="line 3: has no `date`"):
        FIGURES.rows([Record(3, {"tank": 1})])
