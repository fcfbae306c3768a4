"""The states in a record: every recorded change of a claim's state is worked out again from the events before it.

By the policy that it names, which has to be the one in force there, and by the engine that it names.
"""

from collections import defaultdict
from collections.abc import Iterable

from msgspec import structs

from events import catalog
from events.catalog import ClaimStateChanged
from events.envelope import streams_of
from events.words import Policy
from service.audit.verifying.aside import Aside
from service.audit.verifying.report import Check, Report
from service.verification.context import StoryFacts, fold_story
from service.verification.decide import World, state_change
from service.verification.facts import Facts
from service.verification.fold import Happened, fold
from service.verification.policy import ENGINES, name_of
from service.verification.sources import SourceFacts, SourceHistory, fold_source

MOST_HELD = 100_000
"""Events whose facts are held in memory; those of sources and of stories, and those not folded yet, a tenth each."""
MOST_SOURCES = 4096
"""Sources that are held ready for verdicts."""


class States:
    """Follows a record event by event, and has at hand all that verdicts depend on, however long the record is."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.check = Check("states", "Every recorded change of a state follows from the events before it", "changes")
        self._facts: Aside[Facts] = Aside(Facts, lambda facts: facts.version, MOST_HELD)
        self._waiting: defaultdict[str, list[Happened]] = defaultdict(list)
        """Events of claims that are not folded yet: of most claims, none has to be before the next verdict."""
        self._waits = 0
        self._stories: Aside[tuple[StoryFacts, ...]] = Aside(tuple[StoryFacts, ...], len, MOST_HELD // 10)
        self._versions: Aside[tuple[SourceFacts, ...]] = Aside(tuple[SourceFacts, ...], len, MOST_HELD // 10)
        self._sources = SourceHistory()
        """Some of the sources, each with all that it ever answered to."""
        self._policy: Policy | None = None
        self.is_broken = False
        """Whether an event could not be taken, so that what follows from it is not known."""

    def stop(self, position: int) -> None:
        """Take no more events: what follows from that one, and so on, cannot be known."""
        if not self.is_broken:
            self.is_broken, self.check.without = True, f"event {position} and all after it"

    def take(self, it: Happened) -> None:
        """Take the next event; if it says that a state changed, see whether it did. Raises ``ArchiveUnavailable``."""
        match it.event:
            case ClaimStateChanged() as change:
                self.check.made += 1
                if wrong := self._wrong(change):
                    self._report.find(self.check, f"event {it.position}", f"{change.claim_id}: {wrong}")
            case catalog.LedgerCreated(policy=policy) | catalog.PolicyActivated(policy=policy):
                self._policy = policy
        for stream in streams_of(it.event):
            self._enter(stream, it)

    def _enter(self, stream: str, it: Happened) -> None:
        if stream.startswith("claim_"):
            self._waiting[stream].append(it)
            self._waits += 1
            if self._waits > MOST_HELD // 10:
                for each in list(self._waiting):
                    self._folded(each)
        elif stream.startswith("story_"):
            self._stories[stream] = fold_story(self._stories.get(stream) or (), it)
        elif stream.startswith("source_"):
            self._versions[stream] = fold_source(self._versions.get(stream) or (), it)
            if stream in self._sources:
                self._sources = self._sources.without({stream})

    def _wrong(self, change: ClaimStateChanged) -> str:
        """Return why a change does not follow from what is before it; nothing if it does."""
        if change.engine not in ENGINES:
            return f"it was worked out by engine {change.engine}, which this release does not have"
        if self._policy is None or name_of(self._policy) != change.policy:
            return f"it names the policy {change.policy.name}, which was not in force"
        facts = self._read(change.claim_id)
        if change.claim_id not in facts:
            return "there is no such claim"
        story_id = facts[change.claim_id].claim.story_id
        world = World(facts, {story_id: self._stories[story_id]}, self._sources_of(facts.values()), self._policy)
        expected = state_change(facts[change.claim_id], world.verdict(change.claim_id, change.engine), self._policy)
        if expected is None:
            return f"nothing had changed: it was {change.to} before"
        if structs.replace(expected, engine=change.engine) == change:
            return ""
        parts = [
            part for part in ClaimStateChanged.__struct_fields__ if getattr(expected, part) != getattr(change, part)
        ]
        told = [
            f"{part} is {getattr(change, part)}, not {getattr(expected, part)}" for part in parts if part != "engine"
        ]
        return f"by the events before it, {'; '.join(told)}"[:2000]

    def _read(self, claim_id: str) -> dict[str, Facts]:
        """Return the facts of a claim, and of all that it is read with."""
        found: dict[str, Facts] = {}
        waiting = [claim_id]
        while waiting:
            each = waiting.pop()
            if each in found or (facts := self._folded(each)) is None:
                continue
            found[each] = facts
            claim = facts.claim
            waiting += [*facts.neighbours(), *(term.claim_id for term in claim.sum_of)]
            waiting += [claim.parent_id] if claim.parent_id else []
        return found

    def _folded(self, claim_id: str) -> Facts | None:
        facts = self._facts.get(claim_id)
        if its := self._waiting.pop(claim_id, None):
            self._waits -= len(its)
            facts = fold(facts, its)
            assert facts is not None  # noqa: S101 - there was an event at least
            self._facts[claim_id] = facts
        return facts

    def _sources_of(self, claims: Iterable[Facts]) -> SourceHistory:
        """Return sources among which are those that verdicts on some claims depend on."""
        if len(self._sources) > MOST_SOURCES:
            self._sources = SourceHistory()
        missing: dict[str, tuple[SourceFacts, ...]] = {}
        waiting = [source_id for facts in claims for source_id in facts.source_ids()]
        while waiting:
            each = waiting.pop()
            if each in self._sources or each in missing or (versions := self._versions.get(each)) is None:
                continue
            missing[each] = versions
            waiting += [upper for version in versions for upper in version.source.affiliated_to]
        if missing:
            self._sources.add(missing)
        return self._sources
