"""What has no date of its own, and so would be read as of its recording: whether a new recording moves it.

Without a date, a statement is as of the moment at which its ledger recorded it (rules, 2.4), and so is a withdrawal.
Recorded anew it is later than all that is dated. That changes nothing where all that its speaker said with a date was
surely earlier already; elsewhere it might change where a claim stands.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from events import catalog, moments
from events.catalog import Event
from events.records import Statement, StatementChanges
from service.desk.recording import Components, claims_of
from service.desk.rows import Row
from service.verification.fold import changed, spoken


class Line(Struct, frozen=True):
    """A line of an export: its event, and when it was recorded there."""

    where: str
    event: Event
    recordedtime: str


class _Said(Struct):
    """A statement with its last values, and who has been its speaker."""

    line: Line
    statement: Statement
    speakers: set[str]
    withdrawn: list[tuple[Line, catalog.StatementWithdrawn]]

    @property
    def recorded(self) -> int:
        return moments.microseconds(self.line.recordedtime)

    @property
    def undated(self) -> bool:
        return is_undated(catalog.StatementRecorded(claim_id="", statement_id="", statement=self.statement))

    @property
    def span(self) -> tuple[int, int]:
        return spoken(self.statement.said_at, self.statement.published_at, self.recorded)


def is_undated(event: Event) -> bool:
    """Whether an event is read as of its recording."""
    match event:
        case catalog.StatementRecorded(statement=said):
            return said.said_at is None and said.published_at is None
        case catalog.StatementCorrected(correction=correction):
            cleared = changed(correction.after)
            return correction.at is None or any(cleared.get(name, "") is None for name in ("said_at", "published_at"))
        case catalog.StatementWithdrawn(withdrawal=withdrawal):
            return withdrawal.at is None
        case _:
            return False


def losing_their_place(lines: Sequence[Line], rows: Iterable[Row]) -> list[Line]:
    """Return the undated statements and withdrawals that might mean something else if they were recorded now."""
    together = Components()
    for row in rows:
        together.join(claims_of(row))
    groups: dict[tuple[str, str], list[_Said]] = {}
    for claim_id, said in _last_values(lines):
        for speaker in said.speakers:
            groups.setdefault((together.of(claim_id), speaker), []).append(said)
    lost: dict[str, Line] = {}
    for group in groups.values():
        if len(group) > 1:
            for line in _lost(group):
                lost[line.where] = line
    return list(lost.values())


def _last_values(lines: Sequence[Line]) -> Iterable[tuple[str, _Said]]:
    found: dict[str, tuple[str, _Said]] = {}
    for line in lines:
        match line.event:
            case catalog.StatementRecorded(claim_id=claim_id, statement_id=key, statement=statement):
                found[key] = claim_id, _Said(line, statement, {statement.speaker_id}, [])
            case catalog.StatementCorrected(statement_id=key, correction=correction) if key in found:
                said = found[key][1]
                said.statement = _corrected(said.statement, correction.after)
                said.speakers.add(said.statement.speaker_id)
            case catalog.StatementWithdrawn(statement_id=key) as event if key in found:
                found[key][1].withdrawn.append((line, event))
            case catalog.RecordingVoided(voided=key):
                found.pop(key, None)
    return found.values()


def _corrected(said: Statement, after: StatementChanges) -> Statement:
    values = changed(after)
    kept = {name: getattr(said, name) for name in said.__struct_fields__}
    return Statement(**(kept | values))


def _lost(group: Sequence[_Said]) -> Iterable[Line]:
    """Yield what loses its place among the statements of one speaker on claims that are read together."""
    dated = [said for said in group if not said.undated]
    for said in group:
        if said.undated and any(other.span[1] >= said.recorded for other in dated):
            yield said.line
        for line, event in said.withdrawn:
            if event.withdrawal.by != "speaker":
                continue
            others = [other for other in group if other is not said]
            if event.withdrawal.at is None:
                taken = moments.microseconds(line.recordedtime)
                if any(not other.undated and other.span[0] > taken for other in others):
                    yield line
            else:
                until = moments.interval(event.withdrawal.at).hi
                yield from (other.line for other in others if other.undated and other.recorded <= until)
