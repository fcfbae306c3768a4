"""Rows: what an import wants on record, each with its place in the file, and what became of it."""

from typing import Literal

from msgspec import Struct

from events.catalog import ClaimRegistered, Event, SourceRegistered, StoryOpened

Begins = StoryOpened | SourceRegistered | ClaimRegistered


class BadImport(Exception):
    """A file or a mapping that cannot be imported at all; nothing of it was recorded."""


class Row(Struct, frozen=True):
    """An event to record; ``where`` is its place in the file, unlike that of any other row.

    ``begins`` are the story, the sources and the claim that it needs, which may be on record already. ``reads``
    names claims that the checks look at beside. ``undated`` tells apart the moments of what has no date of its own:
    rows on one claim that differ in it are recorded one after the other.
    """

    where: str
    event: Event
    begins: tuple[Begins, ...] = ()
    reads: tuple[str, ...] = ()
    undated: str = ""


class Misfit(Struct, frozen=True):
    """A part of a file that makes no row, and why."""

    where: str
    reason: str


class Done(Struct, frozen=True):
    """What became of a part of a file: ``there`` says that it was on record already."""

    where: str
    outcome: Literal["taken", "there", "refused"]
    reason: str = ""
