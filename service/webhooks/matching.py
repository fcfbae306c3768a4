"""Which webhooks an event concerns: an inverted index of their filters, so that many cost little more than one."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from events.endpoints import Filters
from service.projections.documents import WebhookDocument
from service.webhooks.traits import Key, Traits


class Index:
    """The webhooks that are told anything, by what is rarest in their filters."""

    def __init__(self, documents: Iterable[WebhookDocument] = ()) -> None:
        self._filters: dict[str, Filters] = {}
        self._by: defaultdict[Key, set[str]] = defaultdict(set)
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


def _rarest(filters: Filters) -> list[Key]:
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
