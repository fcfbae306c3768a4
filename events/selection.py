"""Selections: which events of a log somebody wants, and reading those that are wanted."""

import re
from collections.abc import AsyncGenerator
from typing import NamedTuple

from msgspec import Struct, structs

from events.catalog import CATALOG
from events.envelope import Entry, streams_of
from events.errors import UnreadableEvent
from events.identifiers import BASE32
from events.ledger import Ledger

_FIRST, _LEAST, _MOST = 100, 16, 1000
"""Entries read at once: at first, and then as many as make some ``_BYTES``."""
_BYTES = 1 << 20


_A_SOURCE = re.compile(rb'"(source_%b)"' % BASE32.encode())
"""One that is a string of its own: a quote within a string is never bare."""


class NoSuchType(Exception):
    """No type of event begins like that."""


class Selection(Struct, frozen=True):
    """Conditions on events, all of which must hold; one that is empty always does.

    ``types`` are what a type may begin with, ``story`` the story that an event belongs to, ``claim`` the claim whose
    history it is part of, and ``source`` a source that it names.
    """

    types: tuple[str, ...] = ()
    story: str = ""
    claim: str = ""
    source: str = ""

    @property
    def is_everything(self) -> bool:
        """Whether every event is wanted."""
        return not (self.types or self.story or self.claim or self.source)

    def wants(self, entry: Entry) -> bool:
        """Whether an event is wanted; one that this release cannot read is taken by what its bytes name."""
        if self.types and not entry.envelope.type.startswith(self.types):
            return False
        if self.story and self.story not in (entry.envelope.storyid, entry.envelope.subject):
            return False
        if self.source and self.source not in sources_in(entry):
            return False
        return not self.claim or (_names(entry, self.claim) and _is_of(entry, self.claim))


def beginning(pattern: str) -> str:
    """Return what the types begin with that a pattern means: ``claim.*``, ``claim.`` or a whole type.

    Raises ``NoSuchType`` if no type does.
    """
    begins = pattern.removesuffix("*")
    if begins in CATALOG or (begins.endswith(".") and any(known.startswith(begins) for known in CATALOG)):
        return begins
    families = ", ".join(dict.fromkeys(known.partition(".")[0] + ".*" for known in CATALOG))
    raise NoSuchType(f"{pattern[:80]!r} is no type of event; there are {families} and the types of each")


def sources_in(entry: Entry) -> set[str]:
    """Return the sources that an event names, in whatever role, also if this release cannot read it."""
    return {found.decode() for found in _A_SOURCE.findall(entry.raw)}


class Part(NamedTuple):
    """The wanted among some entries: up to ``reached`` there are no others, and ``looked_at`` is how many were read."""

    entries: list[Entry]
    reached: int
    looked_at: int


async def selected(ledger: Ledger, selection: Selection, after: int, end: int) -> AsyncGenerator[Part, None]:
    """Yield the wanted entries after a position up to another one, as many as are read at a time.

    A claim's history is read from the list of its positions; everything else is looked for in the log.
    """
    claim, at_once = selection.claim, _FIRST
    version = await ledger.version_at(claim, after) if claim else 0
    selection = structs.replace(selection, claim="")
    while after < end:
        if claim:
            entries = await ledger.history(claim, version, at_once)
        else:
            entries = await ledger.read(after, at_once)
        version += len(entries)
        within = [entry for entry in entries if entry.position <= end]
        is_last = len(entries) < at_once or len(within) < len(entries)
        after = end if is_last else within[-1].position
        wanted = within if selection.is_everything else [entry for entry in within if selection.wants(entry)]
        yield Part(wanted, after, len(entries))
        if entries:
            mean = sum(len(entry.raw) for entry in entries) // len(entries)
            at_once = max(_LEAST, min(_MOST, _BYTES // mean))


def _names(entry: Entry, identifier: str) -> bool:
    """Whether the identifier is one of the strings in an event: a quote within a string is never bare."""
    return b'"%b"' % identifier.encode() in entry.raw


def _is_of(entry: Entry, stream: str) -> bool:
    try:
        return stream in streams_of(entry.event)
    except UnreadableEvent:
        return True
