"""Skipping an event that a projection cannot fold: an explicit act, recorded in the ledger, and honoured by every fold.

The stream ``projection:NAME`` holds what was skipped. A projector looks there only when it meets an event that it
cannot fold, so an event that a later release can fold is folded by it.
"""

from typing import cast

from events.catalog import ProjectionEventSkipped
from events.envelope import Provenance, subject_of
from events.errors import VersionConflict
from events.ledger import Command, Ledger
from service.verification.refusals import AlreadyRecorded, RuleBroken


async def skip(ledger: Ledger, proposed: ProjectionEventSkipped, stopped: int | None, provenance: Provenance) -> None:
    """Record that a projection is to go on past the event at which it ``stopped``.

    Raises ``AlreadyRecorded`` if that is on record, ``RuleBroken`` if it did not stop at exactly that event.
    """
    if await ledger.recall(provenance.command_id, provenance.command_hash):
        return
    name, stream = proposed.projection, subject_of(proposed)
    version = await ledger.version(stream)
    if await is_skipped(ledger, name, proposed.position):
        raise AlreadyRecorded(f"it is on record that {name} skips event {proposed.position}")
    if stopped != proposed.position:
        where = "has not stopped" if stopped is None else f"stopped at event {stopped}"
        raise RuleBroken(f"{name} {where}, and can skip only the event at which it stopped", "/position")
    try:
        await ledger.append(Command([proposed], {stream: version}, provenance))
    except VersionConflict as conflict:
        raise AlreadyRecorded(f"it has just been recorded that {name} skips an event") from conflict


async def is_skipped(ledger: Ledger, name: str, position: int) -> bool:
    """Whether it is on record that a projection skips the event at a position."""
    stream = subject_of(ProjectionEventSkipped(projection=name, position=position, why="asked"))
    version = 0
    while entries := await ledger.history(stream, after=version):
        version += len(entries)
        if any(cast("ProjectionEventSkipped", entry.event).position == position for entry in entries):
            return True
    return False
