"""Which webhooks an event concerns: an inverted index of their filters, so that many cost little more than one."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from events import catalog
from events.endpoints import Filters
from events.envelope import Entry, streams_of
from events.errors import UnreadableEvent
from service.projections.documents import WebhookDocument

_Key: TypeAlias = tuple[str, str]
_ABOUT_ITSELF = (catalog.WebhookCircuitOpened, catalog.WebhookCircuitClosed, catalog.WebhookDisabled)
"""Events that are never sent to the endpoint that they are about."""


class Traits:
    """What filters ask of an event: its type, its story, the claims and sources it is about, the state reached."""

    __slots__ = ("about", "claims", "sources", "state", "story", "type")

    def __init__(self, entry: Entry) -> None:
        envelope = entry.envelope
        self.type = envelope.type
        self.story = envelope.storyid or ""
        self.claims: tuple[str, ...] = ()
        self.sources: set[str] = set()
        self.state = self.about = ""
        try:
            event = entry.event
        except UnreadableEvent:  # of a later release: it is sent on as it is, to whoever asks for its type
            return
        streams = streams_of(event)
        self.claims = tuple(each for each in streams if each.startswith("claim_"))
        self.story = self.story or next((each for each in streams if each.startswith("story_")), "")
        self.sources = {each for each in streams if each.startswith("source_")} | set(_heard(event))
        if isinstance(event, catalog.ClaimStateChanged):
            self.state = event.to.value
        if isinstance(event, _ABOUT_ITSELF):
            self.about = event.webhook_id

    @property
    def claim(self) -> str:
        """The claim that the event is about first, if any."""
        return self.claims[0] if self.claims else ""

    def stands_under(self) -> Iterator[_Key]:
        """Yield under which keys of the index a webhook can stand that this concerns."""
        yield from (("claim", each) for each in self.claims)
        yield from (("source", each) for each in self.sources)
        yield ("story", self.story)
        yield ("state", self.state)
        yield ("type", self.type)
        yield ("type", f"{self.type.partition('.')[0]}.*")
        yield ("type", "*")


class Index:
    """The webhooks that are told anything, by what is rarest in their filters."""

    def __init__(self, documents: Iterable[WebhookDocument] = ()) -> None:
        self._filters: dict[str, Filters] = {}
        self._by: defaultdict[_Key, set[str]] = defaultdict(set)
        for document in documents:
            self.put(document)

    def put(self, document: WebhookDocument) -> None:
        """Let a webhook be found if it is active, and no more if it is not."""
        self.drop(document.id)
        if document.status == "active":
            self._filters[document.id] = document.webhook.filters
            for key in _rarest(document.webhook.filters):
                self._by[key].add(document.id)

    def drop(self, webhook_id: str) -> None:
        """Let a webhook be found no more."""
        filters = self._filters.pop(webhook_id, None)
        if filters:
            for key in _rarest(filters):
                self._by[key].discard(webhook_id)
                if not self._by[key]:
                    del self._by[key]

    def concerned(self, traits: Traits) -> list[str]:
        """Return the webhooks that an event concerns, each once."""
        found: set[str] = set()
        for key in traits.stands_under():
            found |= self._by.get(key, frozenset())
        return [webhook_id for webhook_id in found if concerns(self._filters[webhook_id], traits, webhook_id)]

    def __len__(self) -> int:
        return len(self._filters)


def concerns(filters: Filters, traits: Traits, webhook_id: str) -> bool:
    """Whether an event concerns a webhook with these filters."""
    return (
        traits.about != webhook_id
        and any(_is_of(traits.type, pattern) for pattern in filters.types)
        and (not filters.states or traits.state in filters.states)
        and (not filters.stories or traits.story in filters.stories)
        and (not filters.claims or not set(filters.claims).isdisjoint(traits.claims))
        and (not filters.sources or not traits.sources.isdisjoint(filters.sources))
    )


def _rarest(filters: Filters) -> list[_Key]:
    """Return the keys under which a webhook stands: those of one of its filters, the one that lets least through."""
    ways: Mapping[str, Iterable[str]] = {
        "claim": filters.claims,
        "source": filters.sources,
        "story": filters.stories,
        "state": [state.value for state in filters.states],
        "type": filters.types,
    }
    kind, values = next((kind, values) for kind, values in ways.items() if values)
    return [(kind, value) for value in values]


def _is_of(type_: str, pattern: str) -> bool:
    return pattern in {"*", type_} or (pattern.endswith(".*") and type_.startswith(pattern[:-1]))


def _heard(event: catalog.Event) -> Iterator[str]:
    """Yield the sources that speak, publish, relay or supply in an event."""
    match event:
        case catalog.StatementRecorded(statement=said):
            yield from (each for each in (said.speaker_id, said.publisher_id, *said.relay_ids) if each)
        case catalog.EvidenceAdded(evidence=added) if added.supplied_by:
            yield added.supplied_by
        case catalog.InquirySent(inquiry=asked):
            yield asked.source_id
        case catalog.EvidenceChallenged(challenge=challenge) if challenge.source_id:
            yield challenge.source_id
