"""Who stands behind a source, and whether it has an interest in a claim (rules, sections 1 and 5)."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from events.catalog import Claim, Identity, Letter, Source, SourceKind, Story

Side = Literal["supports", "opposes"]
Interest = Literal["interested", "undetermined", "disinterested"]
"""``disinterested`` includes speaking against one's own interest."""

_MEDIA = {SourceKind.OUTLET, SourceKind.NEWS_AGENCY, SourceKind.SOCIAL_MEDIA}
_WITHHELD = {SourceKind.ANONYMOUS, SourceKind.SOCIAL_MEDIA}


def identity_of(source: Source) -> Identity:
    """Return whether a source is named, known to the desk, or withheld; anonymous kinds are withheld by default."""
    return source.identity or ("withheld" if source.kind in _WITHHELD else "named")


class Profile(Struct, frozen=True):
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


class Sources:
    """Sources with everything above them."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources
        self._profiles: dict[str, Profile] = {}

    def __contains__(self, source_id: object) -> bool:
        return source_id in self._sources

    def __getitem__(self, source_id: str) -> Profile:
        if (profile := self._profiles.get(source_id)) is None:
            profile = self._profiles[source_id] = self._profile(source_id)
        return profile

    def above(self, source_id: str) -> tuple[str, ...]:
        """Return a source and every source that it answers to, at any remove."""
        found, waiting = {source_id: None}, [source_id]
        while waiting:
            for upper in self._sources[waiting.pop()].affiliated_to:
                if upper not in found:
                    found[upper] = None
                    waiting.append(upper)
        return tuple(found)

    def _profile(self, source_id: str) -> Profile:
        source, above = self._sources[source_id], self.above(source_id)
        roots = frozenset(upper for upper in above if not self._sources[upper].affiliated_to)
        parties = frozenset(party for upper in above for party in self._sources[upper].parties)
        return Profile(
            roots=roots,
            parties=parties,
            marks=frozenset((*(f"root:{root}" for root in roots), *(f"party:{party}" for party in parties))),
            withheld=identity_of(source) == "withheld",
            media=source.kind in _MEDIA,
            unbound=not parties and not source.affiliated_to,
            reliability=source.reliability,
        )


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
        parties = self._sources[source_id].parties
        if not parties & (self._serves | self._harms):
            parties = frozenset(ally for party in parties for ally in self._allies.get(party, ())) - parties
        served, harmed = bool(parties & self._serves), bool(parties & self._harms)
        gains = served if side == "supports" else harmed
        if (served and harmed) or gains:
            return "interested"
        return "undetermined" if self._sources[source_id].withheld else "disinterested"
