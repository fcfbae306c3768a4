"""Files: every record comes with the line that it begins on, and what is broken is named by its line."""

from pathlib import Path

import pytest

from service.desk.files import Record, read
from service.desk.rows import BadImport, Misfit


def written(tmp_path: Path, name: str, text: str) -> Path:
    """Return a file with a text in it."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_record_has_the_line_it_begins_on(tmp_path: Path) -> None:
    """A quoted line break does not put the lines after it out of count."""
    path = written(tmp_path, "a.csv", '\ufeffwho,what\nA,"two\nlines"\nB,one\n')
    assert [Record(2, {"who": "A", "what": "two\nlines"}), Record(4, {"who": "B", "what": "one"})] == read(path)


def test_a_csv_record_of_another_width_is_a_misfit(tmp_path: Path) -> None:
    """A row with too many cells is named and the rest is read."""
    path = written(tmp_path, "a.csv", "who,what\nA,x,y\nB,z\n\n")
    assert [
        Misfit("line 2", "has 3 cells where the header has 2"),
        Record(3, {"who": "B", "what": "z"}),
    ] == read(path)


def test_an_open_quote_ends_the_csv(tmp_path: Path) -> None:
    """Nothing after a quote that never closes can be told apart."""
    found = read(written(tmp_path, "a.csv", 'who,what\nA,x\nB,"open\n'))
    assert [Record(2, {"who": "A", "what": "x"}), Misfit("line 3", "unexpected end of data")] == found


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    """Which of them is meant cannot be known."""
    with pytest.raises(BadImport, match="two columns have one name"):
        read(written(tmp_path, "a.csv", "who,who\nA,B\n"))


def test_objects_of_an_array_keep_their_lines(tmp_path: Path) -> None:
    """The line is that of the opening brace."""
    found = read(written(tmp_path, "a.json", '[\n  {"a": 1},\n\n  {\n    "a": 2\n  }, 7\n]\n'))
    assert [Record(2, {"a": 1}), Record(4, {"a": 2}), Misfit("line 6", "is no JSON object")] == found


@pytest.mark.parametrize(
    ("text", "why"),
    [('{"a": 1}', "line 1: is no array"), ('[{"a": 1}', "does not end"), ('[\n{"a": }]', "line 2: is no JSON")],
)
def test_what_is_no_array_of_objects_is_refused(tmp_path: Path, text: str, why: str) -> None:
    """A file that is cut off or is something else is not read in part."""
    with pytest.raises(BadImport, match=why):
        read(written(tmp_path, "a.json", text))


def test_a_broken_line_of_ndjson_stops_nobody_elses(tmp_path: Path) -> None:
    """Each line stands for itself."""
    first, second, third = read(written(tmp_path, "a.ndjson", '{"a": 1}\n\n{"a": \n[]\n'))
    assert Record(1, {"a": 1}) == first
    assert isinstance(second, Misfit)
    assert second.where == "line 3"
    assert Misfit("line 4", "is no JSON object") == third


def test_a_file_that_is_not_there_or_of_no_known_kind_is_refused(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(BadImport, match=r"gone\.csv: No such file"):
        read(tmp_path / "gone.csv")
    with pytest.raises(BadImport, match=r"is none of \.csv"):
        read(written(tmp_path, "a.xlsx", ""))
    (tmp_path / "latin.csv").write_bytes(b"who\n\xe9\n")
    with pytest.raises(BadImport, match="is not UTF-8 at byte 4"):
        read(tmp_path / "latin.csv")
