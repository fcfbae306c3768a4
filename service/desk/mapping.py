"""Mappings: which column of a file of others becomes which member of what is recorded.

A mapping is a table (:mod:`service.desk.table`) with four templates more: ``claim``, ``speaker``, ``publisher`` and
``relay``, and ``statement``, all in the words of the API. A value in a template is a constant, or taken from the row:
``{ column = "name", default = …, map = { … }, split = ";" }``. What a row leaves empty is left out.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from events import catalog, records
from events.identifiers import derived_id
from service.desk.files import Record, Records
from service.desk.rows import BadImport, Begins, Misfit, Row
from service.desk.table import Table, check_parties, read_document, read_table

_SOURCES = ("speaker", "publisher", "relay")
_SECTIONS = {"name", "story", "sources", "claims", "id", "claim", *_SOURCES, "statement"}
_MEMBERS: dict[str, set[str]] = {
    "claim": {"key"} | set(records.Claim.__struct_fields__) - {"story_id", "sum_of", "parent_id", "about_statement_id"},
    **{role: {"key"} | set(records.Source.__struct_fields__) - {"sealed"} for role in _SOURCES},
    "statement": set(records.Statement.__struct_fields__)
    - {"speaker_id", "publisher_id", "relay_ids", "rests_on", "repeats", "inquiry_id", "sealed"},
}
"""What each template may say. What names other things on record is not for a mapping."""
_NUMBERS = ("value", "low", "high")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_P = TypeVar("_P")


class Taken(Struct, frozen=True, forbid_unknown_fields=True):
    """A value that is taken from a column; ``map`` puts others in its place, ``split`` makes it a list."""

    column: str
    default: Any = None
    map: dict[str, Any] = {}
    split: str | None = None

    def of(self, row: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
        """Return what a row has for it, or None. Raises ``ValueError`` for what ``map`` does not know."""
        given = row.get(self.column)
        if isinstance(given, str):
            given = given.strip()
        if given is None or given == "":
            return self.default
        if self.split is not None:
            return [self._mapped(each.strip()) for each in str(given).split(self.split) if each.strip()]
        return self._mapped(given)

    def _mapped(self, given: Any) -> Any:  # noqa: ANN401 - any JSON
        if not self.map:
            return given
        if str(given) not in self.map:
            raise ValueError(f"column `{self.column}`: {given!r} is not in the mapping")
        return self.map[str(given)]


class MappingFile(Struct, frozen=True):
    """A mapping: its table, its templates, and what tells one row of the file from another."""

    table: Table
    templates: dict[str, Any]
    row_id: Any = None

    def columns(self) -> set[str]:
        """Return the columns that the mapping takes values from."""
        return {taken.column for taken in _taken([self.templates, self.row_id])}


def read_mapping(path: Path) -> MappingFile:
    """Read a mapping. Raises ``BadImport`` naming what is wrong in it."""
    content = read_document(path)
    unknown = sorted(set(content) - _SECTIONS)
    if unknown:
        raise BadImport(f"{path}: a mapping has no `{unknown[0]}`; it has {', '.join(sorted(_SECTIONS))}")
    table = read_table(content)
    templates = {}
    for section, members in _MEMBERS.items():
        template = content.get(section, {})
        if not isinstance(template, dict):
            raise BadImport(f"{path}: `{section}` is no table")
        wrong = sorted(set(template) - members)
        if wrong:
            raise BadImport(f"{path}: `{section}` has no `{wrong[0]}`; it has {', '.join(sorted(members))}")
        templates[section] = _template(template, section)
    for section, either in (("claim", ("key", "text")), ("speaker", ("key", "name")), ("statement", ("stance",))):
        if not any(member in templates[section] for member in either):
            raise BadImport(f"{path}: `{section}` needs {' or '.join(f'`{each}`' for each in either)}")
    return MappingFile(table, templates, _template(content.get("id"), "id"))


def rows(found: Records, mapping: MappingFile) -> list[Row | Misfit]:
    """Return a row for each record that fits the mapping. Raises ``BadImport`` for a column that no record has."""
    columns = {column for record in found if isinstance(record, Record) for column in record.values}
    unknown = sorted(mapping.columns() - columns) if columns else []
    if unknown:
        raise BadImport(f"line 1: no column `{unknown[0]}`; there are {', '.join(sorted(map(str, columns)))}")
    seen: dict[str, int] = {}
    made: list[Row | Misfit] = []
    for record in found:
        if isinstance(record, Misfit):
            made.append(record)
            continue
        try:
            made.append(_row(record, mapping, seen))
        except (ValueError, BadImport) as error:
            made.append(Misfit(record.where, str(error)))
    return made


def _row(record: Record, mapping: MappingFile, seen: dict[str, int]) -> Row:
    said = {section: _filled(template, record.values) or {} for section, template in mapping.templates.items()}
    table, story = mapping.table, mapping.table.story
    sources: dict[str, str] = {}
    added: list[catalog.SourceRegistered] = []
    for role in _SOURCES:
        if said[role]:
            key, new = _source(said[role], role, mapping)
            sources[role] = key
            added += [new] if new else []
    if "speaker" not in sources:
        raise ValueError(_empty(mapping, "speaker", "key", "name"))
    claim_key, registered = _claim(said["claim"], mapping)
    check_parties(registered.claim, story, "claim")
    ids: dict[str, Any] = {"speaker_id": table.id_of("source", sources["speaker"])}
    if "publisher" in sources:
        ids["publisher_id"] = table.id_of("source", sources["publisher"])
    if "relay" in sources:
        ids["relay_ids"] = [table.id_of("source", sources["relay"])]
    quantities = _figures(said["statement"], "statement", mapping)
    statement = _converted(
        said["statement"] | ids | {"quantities": quantities}, records.Statement, "statement", mapping
    )
    row_id = _row_id(record, mapping, seen)
    event = catalog.StatementRecorded(
        claim_id=registered.claim_id,
        statement_id=table.id_of("statement", f"{claim_key}/{row_id}"),
        statement=statement,
    )
    known = [key for key in dict.fromkeys(sources.values()) if key in table.sources]
    opened = catalog.StoryOpened(story_id=table.story_id, story=story)
    begins: tuple[Begins, ...] = (opened, *table.sources_of(*known), *added, registered)
    undated = "" if statement.said_at or statement.published_at else record.where
    return Row(record.where, event, begins, undated=undated)


def _source(said: dict[str, Any], role: str, mapping: MappingFile) -> tuple[str, catalog.SourceRegistered | None]:
    """Return the key of a source and, unless it is one of the table's, what registers it."""
    key = str(said.get("key") or said.get("name") or "")
    if not key:
        raise ValueError(_empty(mapping, role, "key", "name"))
    if key in mapping.table.sources:
        return key, None
    described = {member: value for member, value in said.items() if member != "key"}
    if "name" not in described or "kind" not in described:
        raise ValueError(f"{role}: {key!r} is not among the `sources`, and the row has no name or kind for it")
    above = described.get("affiliated_to", ())
    if above:
        raise ValueError(f"{role}: a source that answers to others belongs among the `sources`")
    source = _converted(described, records.Source, role, mapping)
    return key, catalog.SourceRegistered(source_id=mapping.table.id_of("source", key), source=source)


def _claim(said: dict[str, Any], mapping: MappingFile) -> tuple[str, catalog.ClaimRegistered]:
    key = str(said.get("key") or said.get("text") or "")
    if not key:
        raise ValueError(_empty(mapping, "claim", "key", "text"))
    if key in mapping.table.claims:
        return key, mapping.table.claim(key)
    described = {member: value for member, value in said.items() if member != "key"}
    if "text" not in described:
        raise ValueError(f"claim: {key!r} is not among the `claims`, and the row has no text for it")
    figures = _figures(described, "claim", mapping)
    ids: dict[str, Any] = {"story_id": mapping.table.story_id, "quantities": figures}
    if "declared_by" in described:
        ids["declared_by"] = mapping.table.id_of("source", described["declared_by"])
    claim = _converted(described | ids, records.Claim, "claim", mapping)
    return key, catalog.ClaimRegistered(claim_id=mapping.table.id_of("claim", key), claim=claim)


def _figures(said: dict[str, Any], section: str, mapping: MappingFile) -> list[dict[str, Any]]:
    """Return the figures that a row gives. Raises ``ValueError`` for what is no number, with its columns."""
    try:
        return [figure for figure in map(_figure, said.get("quantities", ())) if figure]
    except ValueError as error:
        raise ValueError(f"{section}: {error}{_column_of('$.quantities', section, mapping)}") from error


def _figure(said: dict[str, Any]) -> dict[str, Any] | None:
    """Return a figure with numbers for their text and the qualifier that its ends imply; None if it has no number."""
    figure = dict(said)
    for member in _NUMBERS:
        if member in figure:
            figure[member] = _number(figure[member], member)
    given = [member for member in _NUMBERS if member in figure]
    if not given:
        return None
    if "qualifier" not in figure and "value" not in given:
        if len(given) > 1:
            figure["qualifier"] = "range"
        else:
            figure["qualifier"] = "at_least" if given == ["low"] else "at_most"
            figure["value"] = figure.pop(given[0])
    return figure


def _number(given: object, member: str) -> object:
    if not isinstance(given, str):
        return given
    if not _NUMBER.fullmatch(given):
        raise ValueError(f"{member}: {given!r} is no number; write it without separators of thousands")
    return int(given) if given.lstrip("-").isdigit() else float(given)


def _row_id(record: Record, mapping: MappingFile, seen: dict[str, int]) -> str:
    """Return what tells a row from all others: what the mapping says, else its content and how often it came before."""
    if mapping.row_id is not None:
        given = _filled(mapping.row_id, record.values)
        if given is None:
            raise ValueError("`id`: the row has nothing for it")
        return json_of(given)
    content = derived_id("statement", json_of(record.values))
    seen[content] = seen.get(content, 0) + 1
    return f"{content}/{seen[content]}"


def json_of(value: object) -> str:
    """Return a value in one canonical form."""
    return msgspec.json.encode(value, order="sorted").decode()


# -------------------------------------------------------------------------------------------- templates


def _template(value: Any, where: str) -> Any:  # noqa: ANN401 - any JSON
    """Return a template with what it takes from columns read."""
    if isinstance(value, dict):
        if "column" in value:
            try:
                return msgspec.convert(value, Taken)
            except msgspec.ValidationError as error:
                raise BadImport(f"`{where}`: {error}") from error
        return {name: _template(each, f"{where}.{name}") for name, each in value.items()}
    if isinstance(value, list):
        return [_template(each, where) for each in value]
    return value


def _filled(template: Any, row: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    """Return a template with a row's values; None for what the row has nothing for."""
    if isinstance(template, Taken):
        return template.of(row)
    if isinstance(template, dict):
        filled = {name: _filled(each, row) for name, each in template.items()}
        return {name: each for name, each in filled.items() if each is not None}
    if isinstance(template, list):
        return [each for each in (_filled(item, row) for item in template) if each is not None]
    return template


def _taken(template: Any) -> Iterator[Taken]:  # noqa: ANN401 - any JSON
    if isinstance(template, Taken):
        yield template
    elif isinstance(template, dict | list):
        for each in template.values() if isinstance(template, dict) else template:
            yield from _taken(each)


def _converted(said: dict[str, Any], type_: type[_P], section: str, mapping: MappingFile) -> _P:
    """Return what a row says as a record, or raise ``ValueError`` naming the member and its column."""
    try:
        return msgspec.convert(said, type_)
    except msgspec.ValidationError as error:
        raise ValueError(f"{section}: {error}{_column_of(str(error), section, mapping)}") from error


def _column_of(error: str, section: str, mapping: MappingFile) -> str:
    """Return from which column the member came that an error is about, if from one."""
    for member, template in mapping.templates[section].items():
        if f"$.{member}" in error or error.startswith(f"`{member}`"):
            columns = sorted({taken.column for taken in _taken(template)})
            return f" (column {', '.join(f'`{each}`' for each in columns)})" if columns else ""
    return ""


def _empty(mapping: MappingFile, section: str, *members: str) -> str:
    columns = [taken.column for member in members for taken in _taken(mapping.templates[section].get(member))]
    return f"{section}: nothing in {' or '.join(f'column `{each}`' for each in columns) or 'the mapping'}"
