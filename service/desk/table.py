"""The table of an import: its story, sources and claims, each under a key, in the words of the API.

A table is a TOML or JSON file. Identifiers are derived from its name and the keys; what a desk has to decide, such as
whom a source speaks for, is declared there and nowhere else.
"""

import json
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from events import catalog, records
from events.identifiers import Kind, derived_id
from service.desk.files import text_of
from service.desk.rows import BadImport, Begins

_P = TypeVar("_P")


class Misnamed(ValueError):
    """A row names a source or a claim that the table does not have."""


class Table(Struct, frozen=True, dict=True):
    """A story, sources and claims. ``sources`` and ``claims`` hold what the file says, by key."""

    name: str
    story: records.Story
    story_key: str
    sources: dict[str, dict[str, Any]]
    claims: dict[str, dict[str, Any]]

    @property
    def story_id(self) -> str:
        """The identifier of the story."""
        return derived_id("story", self.name, self.story_key)

    def id_of(self, kind: Kind, key: str) -> str:
        """Return the identifier that a key of the table has in every ledger."""
        return derived_id(kind, self.name, key)

    def begins(self, claim_key: str, *source_keys: str | None) -> tuple[Begins, ...]:
        """Return the story, the sources with those above them, and a claim, in the order in which they are recorded.

        Raises ``Misnamed`` for a key that the table does not have.
        """
        opened = catalog.StoryOpened(story_id=self.story_id, story=self.story)
        return (opened, *self.sources_of(*source_keys), self.claim(claim_key))

    def sources_of(self, *keys: str | None) -> tuple[catalog.SourceRegistered, ...]:
        """Return sources with those above them, which come first. Raises ``Misnamed`` for one that there is not."""
        found: dict[str, catalog.SourceRegistered] = {}
        for key in keys:
            if key is not None:
                self._add_source(key, found, ())
        return tuple(found.values())

    def claim(self, key: str) -> catalog.ClaimRegistered:
        """Return a claim of the table. Raises ``Misnamed`` if there is none of that key."""
        if key not in self._claims:
            raise Misnamed(f"no claim {key!r} is in the table")
        return self._claims[key]

    def _add_source(self, key: str, found: dict[str, catalog.SourceRegistered], below: tuple[str, ...]) -> None:
        if key in below:
            raise Misnamed(f"source {key!r} answers to itself")
        if key not in self._sources:
            raise Misnamed(f"no source {key!r} is in the table: whom it speaks for has to be decided there")
        for above in self.sources[key].get("affiliated_to", ()):
            self._add_source(above, found, (*below, key))
        found[key] = self._sources[key]

    @cached_property
    def _sources(self) -> dict[str, catalog.SourceRegistered]:
        read = {}
        for key, said in self.sources.items():
            above = [self.id_of("source", each) for each in said.get("affiliated_to", ())]
            source = part(said | {"affiliated_to": above}, records.Source, f"sources.{key}")
            read[key] = catalog.SourceRegistered(source_id=self.id_of("source", key), source=source)
        return read

    @cached_property
    def _claims(self) -> dict[str, catalog.ClaimRegistered]:
        read = {}
        for key, said in self.claims.items():
            ids: dict[str, Any] = {"story_id": self.story_id}
            if "declared_by" in said:
                ids["declared_by"] = self.id_of("source", said["declared_by"])
            if "parent_id" in said:
                ids["parent_id"] = self.id_of("claim", said["parent_id"])
            claim = part(said | ids, records.Claim, f"claims.{key}")
            read[key] = catalog.ClaimRegistered(claim_id=self.id_of("claim", key), claim=claim)
        return read

    def checked(self) -> "Table":
        """Return the table. Raises ``BadImport`` for a source or a claim in it that cannot be."""
        try:
            self.sources_of(*self._sources)
            for key, registered in self._claims.items():
                check_parties(registered.claim, self.story, f"claims.{key}")
        except Misnamed as error:
            raise BadImport(str(error)) from error
        return self


def read_table(content: dict[str, Any]) -> Table:
    """Read ``name``, ``story``, ``sources`` and ``claims`` of a table. Raises ``BadImport`` naming what is wrong."""
    name, story = content.get("name"), content.get("story")
    if not isinstance(name, str) or not name:
        raise BadImport("`name` is missing: identifiers are derived from it")
    if not isinstance(story, dict):
        raise BadImport("`story` is missing")
    described = {member: value for member, value in story.items() if member != "key"}
    sources, claims = (_by_key(content, section) for section in ("sources", "claims"))
    read = part(described, records.Story, "story")
    return Table(name, read, str(story.get("key", name)), sources, claims).checked()


def read_document(path: Path) -> dict[str, Any]:
    """Read a TOML or JSON file. Raises ``BadImport``."""
    text = text_of(path)
    try:
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise BadImport(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise BadImport(f"{path}: is no table")
    return content


def part(said: object, type_: type[_P], where: str) -> _P:
    """Return a part of a table as what it is to be recorded as. Raises ``BadImport`` naming it."""
    try:
        return msgspec.convert(said, type_)
    except msgspec.ValidationError as error:
        raise BadImport(f"{where}: {error}") from error


def check_parties(claim: records.Claim, story: records.Story, where: str) -> None:
    """Raise ``BadImport`` if a claim serves or harms what is no party of its story."""
    for party in (*(claim.serves or ()), *(claim.harms or ())):
        if party not in story.parties:
            raise BadImport(f"{where}: {party!r} is no party of the story")


def _by_key(content: dict[str, Any], section: str) -> dict[str, dict[str, Any]]:
    found = content.get(section, {})
    if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
        raise BadImport(f"`{section}` is no table of tables")
    return found
