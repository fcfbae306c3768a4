"""Who stands behind a source, and whether it has an interest in a claim (rules, sections 1 and 5)."""

from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Literal

from msgspec import Struct, structs

from events import catalog
from events.records import Claim, Source, Story
from events.words import Identity, Letter, SourceKind
from service.verification.facts import NOW, Horizon, known
from service.verification.fold import Happened, changed

Side = Literal["supports", "opposes"]
Interest = Literal["interested", "undetermined", "disinterested"]
"""``disinterested`` includes speaking against one's own interest."""

_MOST_MOMENTS = 64
_MEDIA = {SourceKind.OUTLET, SourceKind.NEWS_AGENCY, SourceKind.SOCIAL_MEDIA}
_WITHHELD = {SourceKind.ANONYMOUS, SourceKind.SOCIAL_MEDIA}


def identity_of(source: Source) -> Identity:
    """Return whether a source is named, known to the desk, or withheld; anonymous kinds are withheld by default."""
    return source.identity or ("withheld" if source.kind in _WITHHELD else "named")


class SourceFacts(Struct, frozen=True, gc=False):
    """A source from a place in the record on; ``topics`` has the grades for topics, the latest last."""

    position: int
    recorded_at: int
    source: Source
    topics: dict[str, Letter | None] = {}


def fold_source(known: tuple[SourceFacts, ...], it: Happened) -> tuple[SourceFacts, ...]:
    """Return what a source was from place to place, with one more event of its stream."""
    match it.event:
        case catalog.SourceRegistered(source=source):
            return (SourceFacts(it.position, it.recorded_at, source),)
        case catalog.SourceUpdated(changes=changes):
            source, topics = structs.replace(known[-1].source, **changed(changes)), known[-1].topics
        case catalog.SourceGraded(grade=grade) if grade.topic is None:
            source, topics = structs.replace(known[-1].source, reliability=grade.reliability), known[-1].topics
        case catalog.SourceGraded(grade=grade):
            kept = {topic: letter for topic, letter in known[-1].topics.items() if topic != grade.topic}
            source, topics = known[-1].source, kept | {str(grade.topic): grade.reliability}
        case catalog.SubjectErased():
            source, topics = structs.replace(known[-1].source, sealed=None), known[-1].topics
        case _:
            return known
    return (*known, SourceFacts(it.position, it.recorded_at, source, topics))


class Profile(Struct, frozen=True, gc=False):
    """What the rules ask of one source, worked out once from it and everything above it."""

    roots: frozenset[str]
    """The sources at the top: those above it that answer to nobody, or the source itself."""
    parties: frozenset[str]
    """The parties that it speaks for: its own and those of every source above it."""
    marks: frozenset[str]
    """The marks by which its origin is recognised."""
    withheld: bool
    """Whether its identity is withheld."""
    media: bool
    """Whether it is an outlet, a news agency or social media."""
    unbound: bool
    """Whether it has no party and no affiliation."""
    reliability: Letter | None
    topics: dict[str, Letter | None]

    def grade(self, tags: Sequence[str]) -> Letter | None:
        """Return the desk's letter for the source on a claim: the latest for one of its tags, else the general one."""
        if not self.topics:
            return self.reliability
        return next((self.topics[topic] for topic in reversed(self.topics) if topic in tags), self.reliability)


class Sources:
    """Sources with everything above them, as they were at one moment."""

    def __init__(self, history: Mapping[str, tuple[SourceFacts, ...]], horizon: Horizon = NOW) -> None:
        self._history, self._horizon = history, horizon
        self._profiles: dict[str, Profile] = {}

    def __contains__(self, source_id: object) -> bool:
        return source_id in self._history

    def __getitem__(self, source_id: str) -> Profile:
        if (profile := self._profiles.get(source_id)) is None:
            profile = self._profiles[source_id] = self._profile(source_id)
        return profile

    def source(self, source_id: str) -> Source:
        """Return a source itself."""
        return self._known(source_id).source

    def above(self, source_id: str) -> tuple[str, ...]:
        """Return a source and every source that it answers to, at any remove."""
        found, waiting = {source_id: None}, [source_id]
        while waiting:
            for upper in self._known(waiting.pop()).source.affiliated_to:
                if upper not in found:
                    found[upper] = None
                    waiting.append(upper)
        return tuple(found)

    def _known(self, source_id: str) -> SourceFacts:
        return known(self._history[source_id], self._horizon)

    def _profile(self, source_id: str) -> Profile:
        facts, above = self._known(source_id), self.above(source_id)
        source, everyone = facts.source, [(upper, self._known(upper).source) for upper in above]
        roots = frozenset(upper for upper, who in everyone if not who.affiliated_to)
        parties = frozenset(party for _, who in everyone for party in who.parties)
        return Profile(
            roots=roots,
            parties=parties,
            marks=frozenset((*(f"root:{root}" for root in roots), *(f"party:{party}" for party in parties))),
            withheld=identity_of(source) == "withheld",
            media=source.kind in _MEDIA,
            unbound=not parties and not source.affiliated_to,
            reliability=source.reliability,
            topics=facts.topics,
        )


class SourceHistory:
    """Sources through time. What is read into it is seen by every view of it."""

    def __init__(self) -> None:
        self._history: dict[str, tuple[SourceFacts, ...]] = {}
        self.position = 0
        """The position of the latest change of any of them."""
        self._changed = False
        self._then: OrderedDict[Horizon, Sources] = OrderedDict()
        self.now = Sources(self._history)

    def __contains__(self, source_id: object) -> bool:
        return source_id in self._history

    def __len__(self) -> int:
        return len(self._history)

    def versions(self, source_id: str) -> tuple[SourceFacts, ...]:
        """Return what a source was from place to place."""
        return self._history[source_id]

    def version(self, source_id: str) -> int:
        """Return how many events a source's stream had when it was read."""
        return len(self._history[source_id])

    def add(self, read: Mapping[str, tuple[SourceFacts, ...]]) -> None:
        """Add sources, each with everything above it that is not there yet."""
        self._history |= read
        self.position = max(self.position, *(each.position for versions in read.values() for each in versions[-1:]), 0)
        self._changed = self._changed or any(len(versions) > 1 for versions in read.values())

    def without(self, source_ids: AbstractSet[str]) -> "SourceHistory":
        """Return these sources as they are now, less some that are to be read again and all that ever answered to them.

        So whoever finds a source here still finds everything above it.
        """
        gone = self._and_below(source_ids)
        left = SourceHistory()
        left.add({key: versions for key, versions in self._history.items() if key not in gone})
        return left

    def _and_below(self, source_ids: AbstractSet[str]) -> set[str]:
        gone, waiting = set(source_ids), [source_id for source_id in source_ids if source_id in self._history]
        below: dict[str, list[str]] = defaultdict(list)
        for key, versions in self._history.items() if waiting else ():
            for upper in {upper for each in versions for upper in each.source.affiliated_to}:
                below[upper].append(key)
        while waiting:
            found = [key for key in below[waiting.pop()] if key not in gone]
            gone.update(found)
            waiting += found
        return gone

    def at(self, horizon: Horizon) -> Sources:
        """Return the sources as they were at a moment."""
        if horizon is NOW or not self._changed:
            return self.now
        if horizon not in self._then:
            self._then[horizon] = Sources(self._history, horizon)
            if len(self._then) > _MOST_MOMENTS:
                self._then.popitem(last=False)
        return self._then[horizon]


class Interests:
    """Who has an interest in one claim of one story."""

    def __init__(self, claim: Claim, story: Story, sources: Sources) -> None:
        everyone = frozenset(story.parties)
        self._serves = everyone if claim.serves is None else frozenset(claim.serves)
        self._harms = everyone if claim.harms is None else frozenset(claim.harms)
        self._allies, self._sources = story.allies, sources
        self._known: dict[Side, dict[str, Interest]] = {"supports": {}, "opposes": {}}

    def of_source(self, source_id: str, side: Side) -> Interest:
        """Return the interest of a source in the claim standing (``supports``) or falling (``opposes``)."""
        known = self._known[side]
        if (interest := known.get(source_id)) is None:
            interest = known[source_id] = self._of_source(source_id, side)
        return interest

    def of_statement(self, speaker_id: str, sources: Sequence[str], suppliers: Sequence[str], side: Side) -> Interest:
        """Return the interest of a statement: of its speaker, the sources it rests on, and its evidence's suppliers."""
        if not sources and not suppliers:
            return self.of_source(speaker_id, side)
        voices = {self.of_source(voice, side) for voice in (speaker_id, *sources)}
        if "interested" in voices or any(self.of_source(supplier, side) == "interested" for supplier in suppliers):
            return "interested"
        return "undetermined" if "undetermined" in voices else "disinterested"

    def _of_source(self, source_id: str, side: Side) -> Interest:
        profile = self._sources[source_id]
        if parties := profile.parties:
            if not parties & (self._serves | self._harms):
                parties = frozenset(ally for party in parties for ally in self._allies.get(party, ())) - parties
            served, harmed = bool(parties & self._serves), bool(parties & self._harms)
            gains = served if side == "supports" else harmed
            if (served and harmed) or gains:
                return "interested"
        return "undetermined" if profile.withheld else "disinterested"
