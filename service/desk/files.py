"""Files of others: CSV, NDJSON and arrays of JSON objects, as records with the line that each begins on."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct

from service.desk.rows import BadImport, Misfit


class Record(Struct, frozen=True):
    """One record of a file: its line, counted from 1, and its values by the names of their columns."""

    line: int
    values: dict[str, Any]

    @property
    def where(self) -> str:
        """Where it is, for a reader."""
        return f"line {self.line}"


Records = list[Record | Misfit]


def read(path: Path) -> Records:
    """Read a file by its suffix: ``.csv``, ``.ndjson`` or ``.json``. Raises ``BadImport`` if it is none of them."""
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise BadImport(f"{path}: is none of {', '.join(_READERS)}")
    return reader(text_of(path))


def text_of(path: Path) -> str:
    """Return what a file holds. Raises ``BadImport`` for one that cannot be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadImport(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BadImport(f"{path}: is not UTF-8 at byte {error.start}") from error


def _csv(text: str) -> Records:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    found: Records = []
    header: list[str] = []
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return found
        except csv.Error as error:
            found.append(Misfit(f"line {line}", str(error)))
            return found  # where the next record begins is unknown
        if not header:
            header = cells
            if len(set(header)) < len(header):
                raise BadImport("line 1: two columns have one name")
        elif len(cells) == len(header):
            found.append(Record(line, dict(zip(header, cells, strict=True))))
        elif cells:
            found.append(Misfit(f"line {line}", f"has {len(cells)} cells where the header has {len(header)}"))
        line = reader.line_num + 1


def _ndjson(text: str) -> Records:
    found: Records = []
    for line, each in enumerate(text.split("\n"), start=1):
        if not each.strip():
            continue
        try:
            value = json.loads(each)
        except ValueError as error:
            found.append(Misfit(f"line {line}", f"is no JSON: {error}"))
            continue
        found.append(_record(line, value))
    return found


def _json(text: str) -> Records:
    """Read an array object by object, so that each keeps its line."""
    decode = json.JSONDecoder().raw_decode
    found: Records = []
    line, at = 1, 0

    def skip(also: str) -> str:
        """Go past white space and at most one of these characters, and return the character after them."""
        nonlocal line, at
        while at < len(text) and (text[at].isspace() or text[at] in also):
            line += text[at] == "\n"
            also = "" if text[at] in also else also
            at += 1
        return text[at : at + 1]

    if skip("") != "[":
        raise BadImport("line 1: is no array of JSON objects")
    begin = "["
    while skip(begin) not in {"]", ""}:
        try:
            value, end = decode(text, at)
        except ValueError as error:
            raise BadImport(f"line {line}: is no JSON: {error}") from error
        found.append(_record(line, value))
        line += text.count("\n", at, end)
        at, begin = end, ","
    if text[at:].strip() != "]":
        raise BadImport(f"line {line}: the array does not end where the file does")
    return found


def _record(line: int, value: object) -> Record | Misfit:
    return Record(line, value) if isinstance(value, dict) else Misfit(f"line {line}", "is no JSON object")


_READERS: dict[str, Callable[[str], Records]] = {".csv": _csv, ".ndjson": _ndjson, ".json": _json}
