"""Reference: the stories, sources and policies that a decision depends on beside its claims.

Kept in the process as an :class:`Edition`, true for one version of the ledger's ``reference`` stream. A decision made
on an edition names its version as a condition, so that an outdated one can do no harm.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

from msgspec import Struct

from events import catalog
from events.envelope import POLICY, REFERENCE, subject_of
from events.ledger import Ledger
from events.words import Policy
from service.verification.context import StoryFacts, fold_story
from service.verification.facts import Horizon, known
from service.verification.fold import Happened, happened
from service.verification.refusals import UnknownReference
from service.verification.sources import SourceFacts, SourceHistory, fold_source

_MOST_KEPT = 50_000
_T = TypeVar("_T")
_NO_STORY: tuple[StoryFacts, ...] = ()
_NO_SOURCE: tuple[SourceFacts, ...] = ()


class PolicyFacts(Struct, frozen=True, gc=False):
    """The policy in force from a place in the record on."""

    position: int
    recorded_at: int
    policy: Policy


class Reference:
    """Where decisions get the edition that is kept now."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._edition: Edition | None = None

    async def edition(self) -> "Edition":
        """Return the edition kept now; a new one if there is none, or if it has grown too large."""
        if self._edition is None or self._edition.size > _MOST_KEPT:
            self._edition = await Edition.begun(self._ledger)
        return self._edition

    async def renew(self) -> "Edition":
        """Return the edition of now: what has been changed since the one that is kept will be read again."""
        self._edition = await (await self.edition()).renewed()
        return self._edition


class Edition:
    """What decisions read beside their claims, at one version of the ``reference`` stream. It only grows."""

    def __init__(self, ledger: Ledger, version: int, policies: tuple[PolicyFacts, ...]) -> None:
        self._ledger = ledger
        self.version = version
        self.policies = policies
        self.sources = SourceHistory()
        self._stories: dict[str, tuple[StoryFacts, ...]] = {}

    @classmethod
    async def begun(cls, ledger: Ledger) -> "Edition":
        """Return an edition of now that holds the policies only."""
        version = await ledger.version(REFERENCE)
        (created,) = await ledger.at(iter([1]))
        first = happened(created)
        policies = (PolicyFacts(1, first.recorded_at, await ledger.policy()),)
        return cls(ledger, version, await _folded(ledger, POLICY, _fold_policy, policies))

    @property
    def size(self) -> int:
        """How much is kept."""
        return len(self.sources) + len(self._stories)

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.policies[-1].policy

    def policy_at(self, horizon: Horizon) -> Policy:
        """Return the policy that was in force at a moment: at least the ledger's first."""
        return known(self.policies, horizon).policy

    async def renewed(self) -> "Edition":
        """Return an edition of now, without what changed since this one; this one if nothing did."""
        version, changed, policies = self.version, set(), self.policies
        while entries := await self._ledger.history(REFERENCE, after=version):
            version += len(entries)
            changed |= {subject_of(entry.event) for entry in entries}
            for entry in entries:
                policies = _fold_policy(policies, happened(entry))
        if version == self.version:
            return self
        new = Edition(self._ledger, version, policies)
        new.sources = self.sources.without(changed)
        new._stories = {key: story for key, story in self._stories.items() if key not in changed}
        return new

    def forget(self, stream: str) -> None:
        """Let a story or a source be read again: it changed in what does not concern decisions on claims."""
        self._stories.pop(stream, None)
        self.sources = self.sources.without({stream})

    async def story(self, story_id: str, *, again: bool = False) -> tuple[StoryFacts, ...]:
        """Return a story through time. Raises ``UnknownReference`` if it is not on record.

        Not every change of a story is in the ``reference`` stream: who decides on the story itself reads it ``again``.
        """
        if again or story_id not in self._stories:
            versions = await _folded(self._ledger, story_id, fold_story, _NO_STORY)
            if not versions:
                raise UnknownReference(f"there is no story {story_id}", "/story_id")
            self._stories[story_id] = versions
        return self._stories[story_id]

    async def read_sources(self, source_ids: Iterable[str]) -> SourceHistory:
        """Return the sources, with these and all that was ever above them among them, as far as they are on record."""
        read: dict[str, tuple[SourceFacts, ...]] = {}
        waiting = [source_id for source_id in source_ids if source_id not in self.sources]
        while waiting:
            source_id = waiting.pop()
            if source_id in read or source_id in self.sources or not source_id.startswith("source_"):
                continue
            versions = await _folded(self._ledger, source_id, fold_source, _NO_SOURCE)
            if versions:
                read[source_id] = versions
                waiting += [upper for each in versions for upper in each.source.affiliated_to]
        self.sources.add(read)  # at once: nobody sees a source without those above it
        return self.sources


async def _folded(ledger: Ledger, stream: str, fold: Callable[[_T, Happened], _T], begun: _T) -> _T:
    version = 0
    while entries := await ledger.history(stream, after=version):
        version += len(entries)
        for entry in entries:
            begun = fold(begun, happened(entry))
    return begun


def _fold_policy(policies: tuple[PolicyFacts, ...], it: Happened) -> tuple[PolicyFacts, ...]:
    if not isinstance(it.event, catalog.PolicyActivated):
        return policies
    return (*policies, PolicyFacts(it.position, it.recorded_at, it.event.policy))
