"""A real story many times over: the Il-76's events with their recorded states, under other identifiers in each copy.

Identifiers keep their order within a copy, so that every verdict in it is the one that was recorded.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from msgspec import json

from bench.prepared import command
from events import catalog
from events.ledger import Ledger
from service.load import load, read_story
from service.verification.commands import Recorder

_STORY = Path(__file__).parent.parent / "samples" / "il76.json"
_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
_END_OF_AN_ID = re.compile(rb"(_[0-9a-hjkmnp-tv-z]{18})[0-9a-hjkmnp-tv-z]{8}(?=\")")
_COMMAND, _AT_ONCE = 84, 40
"""Events of a command, and copies that are recorded together."""


async def original(ledger: Ledger) -> list[catalog.Event]:
    """Record the story in a ledger of its own, by decisions, and return its events, those of its states among them."""
    async for _ in load(read_story(_STORY), Recorder(ledger)):
        pass
    return [entry.event for entry in await ledger.read(1, 10_000)]


class Copies:
    """Copies of a story, numbered from 0."""

    def __init__(self, story: Sequence[catalog.Event]) -> None:
        self.length = len(story)
        self._encoded = [(json.Decoder(type(event)).decode, json.encode(event)) for event in story]

    def copy(self, number: int) -> list[catalog.Event]:
        """Return the events of a copy."""
        digits = "".join(_BASE32[number >> shift & 31] for shift in range(35, -1, -5)).encode()
        return [decode(_END_OF_AN_ID.sub(rb"\g<1>" + digits, raw)) for decode, raw in self._encoded]

    async def fill(self, ledger: Ledger, size: int) -> int:
        """Record copies in a new ledger until it has so many events or a few more; return how many copies those are."""
        needed = -(-(size - 1) // self.length)
        for begin in range(0, needed, _AT_ONCE):
            copies = [self.copy(number) for number in range(begin, min(begin + _AT_ONCE, needed))]
            parts = [copy[at : at + _COMMAND] for copy in copies for at in range(0, self.length, _COMMAND)]
            await ledger.append_many([command(part, {}) for part in parts])
        return needed
