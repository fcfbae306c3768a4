"""What a worker sends webhooks with, for every ledger of the store: one way out, and each ledger's vault."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from events.ledger import Ledger
from events.store import Store
from service.auth.vault import Vault
from service.projections.queries import Queries
from service.verification.commands import Recorder
from service.webhooks import schedule
from service.webhooks.book import Book
from service.webhooks.deliverer import Deliverer
from service.webhooks.egress import Egress
from service.webhooks.formats import Formats
from service.webhooks.queues import Queues

DUTY: Final = "webhooks"


class Outbound:
    """Delivers the webhooks of ledgers. ``link`` leads to a claim's page, ``{claim}`` standing for its identifier."""

    def __init__(
        self,
        store: Store,
        egress: Egress,
        open_vault: Callable[[str], Awaitable[Vault]],
        *,
        attempts: Sequence[float] = schedule.SCHEDULE,
        link: str = "",
    ) -> None:
        self._store, self._egress, self._open_vault = store, egress, open_vault
        self._attempts, self._link = attempts, link

    async def deliver(self, ledger: Ledger, recorder: Recorder) -> None:
        """Deliver a ledger's events until cancelled, or until another worker does.

        Raises ``SecretKeyUnusable`` if the worker cannot open the ledger's vault, ``NotThereYet`` if the projection of
        webhooks is behind, or an error of the ledger.
        """
        vault = await self._open_vault(ledger.name)
        queries = Queries(self._store, ledger.keys)
        book = Book(recorder, queries, vault)
        queues = Queues(self._store, ledger.keys)
        formats = Formats(queries, self._link)
        await Deliverer(
            ledger, queues, book, recorder, self._egress, formats, vault.signing, attempts=self._attempts
        ).run()
