"""Mappings: a row becomes a statement as the mapping says, or is refused with its line, the member and the column."""

from pathlib import Path
from typing import Any

import pytest

from events import catalog
from service.desk.files import Record, read
from service.desk.mapping import MappingFile, read_mapping, rows
from service.desk.rows import BadImport, Misfit, Row

SAMPLES = Path(__file__).parent.parent.parent.parent / "samples"
LEAST = """
name = "trial"
[story]
title = "A trial"
parties = ["red", "blue"]
[claim]
text = { column = "what" }
[speaker]
name = { column = "who" }
kind = "person"
[statement]
stance = "asserts"
"""
"""The least that a mapping says."""
FIGURE = 'quantities = [{ measure = "m", value = { column = "x" } }]'


def mapping(tmp_path: Path, text: str = LEAST) -> MappingFile:
    """Return a mapping that is written so."""
    path = tmp_path / "mapping.toml"
    path.write_text(text)
    return read_mapping(path)


def only(made: list[Row | Misfit]) -> Row:
    """Return the one row that was made."""
    (row,) = made
    assert isinstance(row, Row), row
    return row


def statement(row: Row) -> Any:
    """Return the statement that a row records."""
    assert isinstance(row.event, catalog.StatementRecorded)
    return row.event.statement


def test_the_sample_becomes_statements_as_its_mapping_says() -> None:
    """Every row of the sample fits, and figures take the qualifier that their ends imply."""
    made = rows(read(SAMPLES / "reports.csv"), read_mapping(SAMPLES / "reports.toml"))
    said = [statement(row) for row in made if isinstance(row, Row)]
    assert len(said) == 5
    assert [each.stance for each in said] == ["asserts"] * 4 + ["denies"]
    assert [tuple((figure.qualifier, figure.value) for figure in each.quantities) for each in said] == [
        (),
        (),
        (("at_least", 6),),
        (("range", None),),
        (),
    ]
    assert said[3].publisher_id is None
    assert said[0].publisher_id == said[2].publisher_id


def test_a_row_brings_the_story_its_sources_and_its_claim(tmp_path: Path) -> None:
    """Whoever the statement names comes before it, those above them first."""
    text = LEAST + '[publisher]\nkey = "o"\n[sources]\no = { name = "O", kind = "outlet", affiliated_to = ["p"] }\n'
    row = only(
        rows(
            [Record(2, {"what": "It burned.", "who": "A"})],
            mapping(tmp_path, text + 'p = { name = "P", kind = "company" }'),
        )
    )
    begun = [getattr(each, "source", None) or getattr(each, "claim", None) or each.story for each in row.begins]
    assert [getattr(each, "title", None) or getattr(each, "name", None) or each.text for each in begun] == [
        "A trial",
        "P",
        "O",
        "A",
        "It burned.",
    ]


def test_a_row_without_a_date_has_an_order_and_one_with_a_date_needs_none(tmp_path: Path) -> None:
    """What has no date is recorded one after the other."""
    dated = mapping(tmp_path, LEAST + 'said_at = { column = "day" }')
    found = rows(
        [Record(2, {"what": "a", "who": "A", "day": ""}), Record(3, {"what": "a", "who": "A", "day": "2024"})], dated
    )
    assert [row.undated for row in found if isinstance(row, Row)] == ["line 2", ""]


def test_the_same_row_twice_is_two_statements_unless_it_has_an_id(tmp_path: Path) -> None:
    """A row is known by its content and how often it came, or by what the mapping says tells it apart."""
    twice = [Record(2, {"what": "a", "who": "A", "no": "1"}), Record(3, {"what": "a", "who": "A", "no": "1"})]
    ids = {row.event.statement_id for row in rows(twice, mapping(tmp_path))}  # type: ignore[union-attr]
    assert len(ids) == 2
    named = 'id = { column = "no" }\n' + LEAST
    ids = {row.event.statement_id for row in rows(twice, mapping(tmp_path, named))}  # type: ignore[union-attr]
    assert len(ids) == 1


@pytest.mark.parametrize(
    ("more", "cells", "why"),
    [
        (
            'said_at = { column = "x" }',
            "2024-13-01",
            "2024-13-01 is in no calendar: month must be in 1..12 (column `x`)",
        ),
        ('said_at = { column = "x" }', "May 1st", "Expected `str` matching regex"),
        (
            'quantities = [{ measure = "m", value = { column = "x" } }]',
            "1,000",
            "value: '1,000' is no number; write it without separators of thousands (column `x`)",
        ),
        (FIGURE, "1_000", "is no number"),
        (FIGURE, "nan", "is no number"),
        ('quantities = [{ measure = "m", value = { column = "x" }, low = 3 }]', "7", "(column `x`)"),
        ('hedge = { column = "x" }', "perhaps", "Invalid enum value 'perhaps' - at `$.hedge` (column `x`)"),
        (
            'hedge = { column = "x", map = { maybe = "possible" } }',
            "likely",
            "column `x`: 'likely' is not in the mapping",
        ),
        ('url = { column = "x" }', "ftp://x", "at `$.url` (column `x`)"),
    ],
)
def test_a_row_that_does_not_fit_is_named_by_line_member_and_column(
    tmp_path: Path, more: str, cells: str, why: str
) -> None:
    """A bad date, number or word is told with where it stands."""
    (misfit,) = rows([Record(9, {"what": "a", "who": "A", "x": cells})], mapping(tmp_path, LEAST + more))
    assert isinstance(misfit, Misfit)
    assert misfit.where == "line 9"
    assert why in misfit.reason


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"what": "", "who": "A"}, "claim: nothing in column `what`"),
        ({"what": "a", "who": " "}, "speaker: nothing in column `who`"),
    ],
)
def test_a_row_without_claim_or_speaker_is_refused(tmp_path: Path, row: dict[str, str], why: str) -> None:
    """A statement has a speaker and is on a claim."""
    assert [Misfit("line 2", why)] == rows([Record(2, row)], mapping(tmp_path))


def test_a_party_that_the_story_does_not_have_is_refused(tmp_path: Path) -> None:
    """Nothing is registered for a row whose claim would be refused."""
    text = LEAST.replace("[speaker]", 'serves = { column = "for", split = ";" }\n[speaker]')
    (misfit,) = rows([Record(2, {"what": "a", "who": "A", "for": "red;green"})], mapping(tmp_path, text))
    assert Misfit("line 2", "claim: 'green' is no party of the story") == misfit


def test_a_source_that_nobody_described_is_refused(tmp_path: Path) -> None:
    """Whether it is media, or withheld, decides whether it counts."""
    text = LEAST.replace('kind = "person"', "")
    (misfit,) = rows([Record(2, {"what": "a", "who": "A"})], mapping(tmp_path, text))
    assert isinstance(misfit, Misfit)
    assert "'A' is not among the `sources`" in misfit.reason


def test_a_column_that_the_file_does_not_have_is_named(tmp_path: Path) -> None:
    """The message lists those that there are."""
    with pytest.raises(BadImport, match="no column `what`; there are who, wht"):
        rows([Record(2, {"wht": "a", "who": "A"})], mapping(tmp_path))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (LEAST + "[extra]", "a mapping has no `extra`"),
        (LEAST + "speaker_id = 'x'", "`statement` has no `speaker_id`"),
        (LEAST.replace('stance = "asserts"', ""), "`statement` needs `stance`"),
        (LEAST.replace("text = ", "serves = "), "`claim` needs `key` or `text`"),
        (LEAST.replace('name = "trial"', ""), "`name` is missing"),
        (LEAST.replace("[story]", "[stories]"), "a mapping has no `stories`"),
        (LEAST + 'said_at = { column = "x", format = "%d" }', "unknown field `format`"),
        (LEAST + "[sources]\na = { name = 'A', kind = 'person', affiliated_to = ['b'] }", "no source 'b'"),
        (LEAST + "[sources]\na = { name = 'A', kind = 'person', affiliated_to = ['a'] }", "answers to itself"),
        (LEAST + "[sources]\na = { name = 'A', kind = 'king' }", r"sources\.a: Invalid enum value 'king'"),
        (LEAST + "[claims]\na = { text = 'A', serves = ['green'] }", r"claims\.a: 'green' is no party"),
        ("name = ", "Invalid value"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(tmp_path: Path, text: str, why: str) -> None:
    """A slip in the mapping is found before any row is read."""
    with pytest.raises(BadImport, match=why):
        mapping(tmp_path, text)
