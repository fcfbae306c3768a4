"""What filters ask of an event."""

from collections.abc import Iterator
from typing import TypeAlias

from events import catalog
from events.envelope import Entry, streams_of
from events.errors import UnreadableEvent
from events.selection import sources_in

Key: TypeAlias = tuple[str, str]
"""Under what an event, or a filter, stands: a kind such as ``claim``, and a value."""
_ABOUT_ITSELF = (catalog.WebhookCircuitOpened, catalog.WebhookCircuitClosed, catalog.WebhookDisabled)
"""Events that are never sent to the endpoint that they are about."""


class Traits:
    """What filters ask of an event: its type, its story, the claims it is about, whom it names, the state reached."""

    __slots__ = ("about", "claims", "sources", "state", "story", "type")

    def __init__(self, entry: Entry) -> None:
        envelope = entry.envelope
        self.type = envelope.type
        self.story = envelope.storyid or ""
        self.claims: tuple[str, ...] = ()
        self.sources = sources_in(entry)
        self.state = self.about = ""
        try:
            event = entry.event
        except UnreadableEvent:  # of a later release: it is sent on as it is, to whoever asks for what its bytes say
            return
        streams = streams_of(event)
        self.claims = tuple(each for each in streams if each.startswith("claim_"))
        self.story = self.story or next((each for each in streams if each.startswith("story_")), "")
        if isinstance(event, catalog.ClaimStateChanged):
            self.state = event.to.value
        if isinstance(event, _ABOUT_ITSELF):
            self.about = event.webhook_id

    @property
    def claim(self) -> str:
        """The claim that the event is about first, if any."""
        return self.claims[0] if self.claims else ""

    def stands_under(self) -> Iterator[Key]:
        """Yield under which keys of the index a webhook can stand that this concerns."""
        yield from (("claim", each) for each in self.claims)
        yield from (("source", each) for each in self.sources)
        yield ("story", self.story)
        yield ("state", self.state)
        yield ("type", self.type)
        yield ("type", f"{self.type.partition('.')[0]}.*")
        yield ("type", "*")
