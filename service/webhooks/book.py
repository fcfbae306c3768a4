"""The webhooks of a ledger as the worker knows them: folded from their streams, and read anew when one changes."""

from collections import OrderedDict
from functools import reduce

import msgspec

from service.auth.vault import Vault
from service.projections import folding
from service.projections.catalog import EVERYTHING, WEBHOOKS
from service.projections.documents import WebhookDocument
from service.projections.queries import Queries
from service.verification.commands import Recorder
from service.webhooks import kept
from service.webhooks.kept import Kept
from service.webhooks.matching import Index

_PAGE = 200
_PATIENCE, _POLL = 30.0, 0.1
"""Seconds for which the projection is waited for, and between two looks: hundreds of ledgers begin at once."""
_MOST_KEPT = 20_000
_decode = msgspec.json.Decoder(WebhookDocument).decode


class Book:
    """What is known of every webhook. ``index`` finds those that an event concerns."""

    def __init__(self, recorder: Recorder, queries: Queries, vault: Vault) -> None:
        self._recorder, self._queries, self._vault = recorder, queries, vault
        self._documents: dict[str, WebhookDocument] = {}
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self.index = Index()

    async def load(self, position: int) -> None:
        """Read every webhook there is, as of ``position`` at least. Raises ``NotThereYet``."""
        await self._queries.wait_for(WEBHOOKS, position, seconds=_PATIENCE, poll=_POLL)
        self._documents.clear()
        self.index = Index()
        after: int | None = 0
        while after is not None:
            page = await self._queries.page(WEBHOOKS, [EVERYTHING], after=after, limit=_PAGE)
            for raw in page.items:
                self._put(_decode(raw))
            after = page.next_after

    async def read_again(self, webhook_id: str) -> WebhookDocument | None:
        """Read one webhook from its stream, and return it unless it was deleted."""
        its = await self._recorder.stream(webhook_id)
        document: WebhookDocument | None = reduce(folding.webhook, its, None) if its else None
        if document is None or document.status == "deleted":
            self._documents.pop(webhook_id, None)
            self.index.drop(webhook_id)
            return None
        self._put(document)
        return document

    def get(self, webhook_id: str) -> WebhookDocument | None:
        """Return a webhook, unless there is none any more."""
        return self._documents.get(webhook_id)

    def __len__(self) -> int:
        return len(self._documents)

    @property
    def first_position(self) -> int | None:
        """The position of the first webhook's registration, if there is any."""
        return min((document.position for document in self._documents.values()), default=None)

    async def entrusted(self, document: WebhookDocument) -> Kept | None:
        """Return what the vault has of a webhook; what it has under a name never changes, so it is asked once."""
        known = self._kept.get(document.kept)
        if known is None:
            known = (await kept.kept(self._vault, [document.kept])).get(document.kept)
            if known is not None:
                self._kept[document.kept] = known
                if len(self._kept) > _MOST_KEPT:
                    self._kept.popitem(last=False)
        return known

    def _put(self, document: WebhookDocument) -> None:
        self._documents[document.id] = document
        self.index.put(document)
