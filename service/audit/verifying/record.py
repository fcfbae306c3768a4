"""The record in an archive: every event in its place, at its time, in the form that is fixed for ever."""

from msgspec import MsgspecError, json

from events.catalog import LedgerRestored
from events.envelope import LARGEST_EVENT, Entry, Envelope, subject_of
from events.errors import UnreadableEvent
from service.audit.verifying.report import Check, Report

_encode = json.Encoder().encode


class Record:
    """Checks events one after another, from the first on."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.sequence = Check("sequence", "Events are numbered without gaps, and times never go back", "events")
        self.schema = Check("schema", "Every event is complete and valid by the schema that it names", "events")
        self._time = ""
        self._source = ""

    def take(self, position: int, raw: bytes) -> Entry | None:
        """Check the next event, and return it if it can be read."""
        entry, where = Entry(position, raw), f"event {position}"
        self.sequence.made += 1
        self.schema.made += 1
        try:
            envelope = entry.envelope
        except (MsgspecError, UnicodeDecodeError) as error:
            self._report.find(self.schema, where, f"it is no event: {error}")
            return None
        self._place(position, envelope)
        if len(raw) > LARGEST_EVENT or _encode(envelope) != raw:
            self._report.find(self.schema, where, "its bytes are not in the form of stored events")
        self._report.events[envelope.type] = self._report.events.get(envelope.type, 0) + 1
        try:
            event = entry.event
        except UnreadableEvent as error:
            self._report.find(self.schema, where, f"it is not valid by {error.dataschema}: {error.why}")
            return None
        if isinstance(event, LedgerRestored) and event.size != position - 1:
            self._report.find(self.sequence, where, f"it says that the ledger was restored at event {event.size}")
        if envelope.subject != subject_of(event) or envelope.type != event.TYPE:
            self._report.find(
                self.schema, where, f"it says that it is {envelope.type} of {envelope.subject}; it is not"
            )
        return entry

    def _place(self, position: int, envelope: Envelope) -> None:
        where = f"event {position}"
        if envelope.sequence != f"{position:016d}":
            self._report.find(self.sequence, where, f"it says that it is event {envelope.sequence}")
        if envelope.recordedtime < self._time:
            said = f"it was recorded at {envelope.recordedtime}, before the event before it, at {self._time}"
            self._report.find(self.sequence, where, said)
        self._time = max(self._time, envelope.recordedtime)
        if position == 1 and envelope.type != "ledger.created":
            self._report.find(self.sequence, where, f"a ledger begins with ledger.created, not {envelope.type}")
        if not self._source:
            self._source = envelope.source
            self._report.first, self._report.ledger = envelope.recordedtime, envelope.source
        elif envelope.source != self._source:
            self._report.find(self.sequence, where, f"it is of {envelope.source}, the first event of {self._source}")
        self._report.last = envelope.recordedtime
