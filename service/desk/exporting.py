"""The record as a file, and back: what was put on record, one event a line, in order and in its own bytes.

What is derived (``claim.state_changed``) is left out: it follows again. Kept are every identifier, every word, every
moment that was said or dated, and the order of recording. Not kept are what a ledger gives of its own: positions, times
of recording, and who recorded what by which command. Sealed values stay sealed, and are read only where their key is.
"""

from collections.abc import AsyncIterator

import msgspec

from events import catalog
from events.envelope import Entry
from events.errors import UnreadableEvent
from events.ledger import Ledger
from events.words import Policy
from service.desk.rows import BadImport, Misfit, Row
from service.desk.undated import Line, is_undated, losing_their_place

_LEFT_OUT = (
    catalog.ClaimStateChanged,  # follows again
    catalog.SubjectErased,  # is true of the keys beside one ledger
    catalog.ProjectionEventSkipped,  # concerns the reading of one ledger
    catalog.LedgerRestored,  # happened to one ledger
    catalog.LedgerArchiveLost,  # likewise
)
_BATCH = 1_000
_MOST_NAMED = 20


async def exported(ledger: Ledger) -> AsyncIterator[bytes]:
    """Yield the lines of a ledger's record, as it is when this begins."""
    head = (await ledger.head()).position
    at = 0
    while at < head:
        for entry in await ledger.read(at, min(_BATCH, head - at)):
            at = entry.position
            if not isinstance(entry.event, _LEFT_OUT):
                yield entry.raw + b"\n"


def rows(text: str, first_policy: Policy) -> list[Row | Misfit]:
    """Return a row for each line of an export. ``first_policy`` is the one that the receiving ledger began with.

    Raises ``BadImport`` if something without a date would lose its place among what has one: claims would then stand
    where they did not. Nothing is dated here; a desk that knows a date can add it in the file.
    """
    lines: list[Line] = []
    found: list[Row | Misfit] = []
    for number, raw in enumerate(text.split("\n"), start=1):
        if not raw.strip():
            continue
        try:
            entry = Entry(number, raw.encode())
            line = Line(f"line {number}", entry.event, entry.envelope.recordedtime)
        except (msgspec.MsgspecError, UnreadableEvent) as error:
            reason = error.__cause__ if isinstance(error, UnreadableEvent) and error.__cause__ else error
            found.append(Misfit(f"line {number}", f"is no line of an export: {reason}"))
            continue
        if isinstance(line.event, _LEFT_OUT):
            found.append(Misfit(line.where, f"{line.event.TYPE} is not imported: it is no part of what was said"))
            continue
        lines.append(line)
    made = [row for row in _made(lines, first_policy) if row]
    if lost := losing_their_place(lines, made):
        raise BadImport(_advice(lost))
    return found + made


def _made(lines: list[Line], first_policy: Policy) -> list[Row]:
    where_said = {
        line.event.statement_id: line.event.claim_id
        for line in lines
        if isinstance(line.event, catalog.StatementRecorded)
    }
    made = []
    for line in lines:
        event = line.event
        if isinstance(event, catalog.LedgerCreated):
            if event.policy == first_policy:
                continue
            event = catalog.PolicyActivated(policy=event.policy, reason="The imported record began with it.")
        reads: tuple[str, ...] = ()
        if isinstance(event, catalog.ClaimRegistered) and event.claim.about_statement_id in where_said:
            reads = (where_said[event.claim.about_statement_id],)
        undated = line.recordedtime if is_undated(event) else ""
        made.append(Row(line.where, event, reads=reads, undated=undated))
    return made


def _advice(lost: list[Line]) -> str:
    named = ", ".join(line.where for line in lost[:_MOST_NAMED]) + (", …" if len(lost) > _MOST_NAMED else "")
    return (
        f"{named}: without a date of its own, and beside something of the same speaker that may have been said later;"
        " claims might stand otherwise here. Add `said_at` (of a withdrawal: `at`) in the file, as precisely as the"
        " desk knows it. Nothing was recorded."
    )
