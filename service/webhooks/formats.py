"""What a webhook is sent: the ledger's bytes, or a message that an editor wants to read."""

from events.endpoints import Format
from events.envelope import Entry
from service.webhooks.messages import CLOUDEVENT, Message


class Formats:
    """Makes messages of events."""

    async def message(self, entry: Entry, format_: Format) -> Message | None:
        """Return what is sent of an event, or None if there is nothing to say of it in this format."""
        if format_ == "cloudevents":
            return Message(entry.envelope.id, entry.raw, CLOUDEVENT)
        return None
