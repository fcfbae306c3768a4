"""Reference: the stories, sources and other claims' figures that a decision depends on beside its claim.

Kept in the process as an :class:`Edition`, true for one version of the ledger's ``reference`` stream. A decision made
on an edition names its version as a condition, so that an outdated one can do no harm.
"""

from collections.abc import Iterable

from events import catalog
from events.catalog import Claim, Source, Story
from events.envelope import REFERENCE
from events.ledger import Ledger
from service.verification.refusals import UnknownReference
from service.verification.sources import Sources
from service.verification.voices import Context

_MOST_KEPT = 50_000


class Reference:
    """Where decisions get the edition that is kept now."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._edition: Edition | None = None

    async def edition(self) -> "Edition":
        """Return the edition kept now; a new one if there is none, or if it has grown too large."""
        if self._edition is None or self._edition.size > _MOST_KEPT:
            self._edition = Edition(self._ledger, await self._ledger.version(REFERENCE))
        return self._edition

    def forget(self) -> None:
        """Let the next decision begin a new edition."""
        self._edition = None


class Edition:
    """What decisions read beside their claim, at one version of the ``reference`` stream. It only grows."""

    def __init__(self, ledger: Ledger, version: int) -> None:
        self._ledger = ledger
        self.version = version
        self._sources: dict[str, Source] = {}
        self._stories: dict[str, Story] = {}
        self._claims: dict[str, Claim] = {}
        self._view = Sources(self._sources)

    @property
    def size(self) -> int:
        """How much is kept."""
        return len(self._sources) + len(self._stories) + len(self._claims)

    async def context(self, claim: Claim, source_ids: Iterable[str]) -> Context:
        """Return the context of a claim, with these sources and all above them as far as they are on record.

        Raises ``UnknownReference`` for a story or a term of a sum that is not.
        """
        story = await self._story(claim.story_id)
        sources = await self.sources(source_ids)
        summands = [await self._figure(n, term) for n, term in enumerate(claim.sum_of)]
        return Context(story, sources, tuple(summands))

    async def sources(self, source_ids: Iterable[str]) -> Sources:
        """Return the sources of these identifiers that are on record, and all above them."""
        read: dict[str, Source] = {}
        waiting = [source_id for source_id in source_ids if source_id not in self._sources]
        while waiting:
            source_id = waiting.pop()
            event = await self._first(source_id)
            if isinstance(event, catalog.SourceRegistered):
                read[source_id] = event.source
                above = event.source.affiliated_to
                waiting += [upper for upper in above if upper not in self._sources and upper not in read]
        self._sources |= read  # at once: nobody sees a source without those above it
        return self._view

    async def _story(self, story_id: str) -> Story:
        if story_id not in self._stories:
            event = await self._first(story_id)
            if not isinstance(event, catalog.StoryOpened):
                raise UnknownReference(f"there is no story {story_id}", "/story_id")
            self._stories[story_id] = event.story
        return self._stories[story_id]

    async def _figure(self, n: int, term: catalog.Summand) -> catalog.Quantity:
        if term.claim_id not in self._claims:
            event = await self._first(term.claim_id)
            if not isinstance(event, catalog.ClaimRegistered):
                raise UnknownReference(f"there is no claim {term.claim_id}", f"/sum_of/{n}/claim_id")
            self._claims[term.claim_id] = event.claim
        for figure in self._claims[term.claim_id].quantities:
            if figure.measure == term.measure:
                return figure
        raise UnknownReference(f"{term.claim_id} has no figure of {term.measure!r}", f"/sum_of/{n}/measure")

    async def _first(self, stream: str) -> catalog.Event | None:
        found = await self._ledger.history(stream, limit=1)
        return found[0].event if found else None
