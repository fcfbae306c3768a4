"""Who stands behind a source, and whether it has an interest in a claim (rules, sections 1 and 5)."""

from collections.abc import Iterable, Mapping
from typing import Literal

from events.catalog import Claim, Identity, Source, SourceKind, Story

Side = Literal["supports", "opposes"]
Interest = Literal["interested", "undetermined", "disinterested"]
"""``disinterested`` includes speaking against one's own interest."""

_MEDIA = {SourceKind.OUTLET, SourceKind.NEWS_AGENCY, SourceKind.SOCIAL_MEDIA}
_WITHHELD = {SourceKind.ANONYMOUS, SourceKind.SOCIAL_MEDIA}


def identity_of(source: Source) -> Identity:
    """Return whether a source is named, known to the desk, or withheld; anonymous kinds are withheld by default."""
    return source.identity or ("withheld" if source.kind in _WITHHELD else "named")


class Sources:
    """Sources with everything above them. Roots and parties are worked out once for each."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources
        self._above: dict[str, tuple[str, ...]] = {}

    def __getitem__(self, source_id: str) -> Source:
        return self._sources[source_id]

    def __contains__(self, source_id: object) -> bool:
        return source_id in self._sources

    def withheld(self, source_id: str) -> bool:
        """Whether the identity of a source is withheld."""
        return identity_of(self[source_id]) == "withheld"

    def is_media(self, source_id: str) -> bool:
        """Whether a source is an outlet, a news agency or social media."""
        return self[source_id].kind in _MEDIA

    def above(self, source_id: str) -> tuple[str, ...]:
        """Return a source and every source that it answers to, at any remove."""
        if source_id not in self._above:
            found, waiting = {source_id: None}, [source_id]
            while waiting:
                for upper in self[waiting.pop()].affiliated_to:
                    if upper not in found:
                        found[upper] = None
                        waiting.append(upper)
            self._above[source_id] = tuple(found)
        return self._above[source_id]

    def roots(self, source_id: str) -> frozenset[str]:
        """Return the sources at the top: those above it that answer to nobody, or the source itself."""
        return frozenset(upper for upper in self.above(source_id) if not self[upper].affiliated_to)

    def parties(self, source_id: str) -> frozenset[str]:
        """Return the parties that a source speaks for: its own and those of every source above it."""
        return frozenset(party for upper in self.above(source_id) for party in self[upper].parties)

    def marks(self, source_id: str) -> frozenset[str]:
        """Return the marks by which a source's origin is recognised."""
        roots = (f"root:{root}" for root in self.roots(source_id))
        return frozenset((*roots, *(f"party:{party}" for party in self.parties(source_id))))


class Interests:
    """Who has an interest in one claim of one story."""

    def __init__(self, claim: Claim, story: Story, sources: Sources) -> None:
        everyone = frozenset(story.parties)
        self._serves = everyone if claim.serves is None else frozenset(claim.serves)
        self._harms = everyone if claim.harms is None else frozenset(claim.harms)
        self._allies, self._sources = story.allies, sources
        self._known: dict[tuple[str, Side], Interest] = {}

    def of_source(self, source_id: str, side: Side) -> Interest:
        """Return the interest of a source in the claim standing (``supports``) or falling (``opposes``)."""
        key = (source_id, side)
        if key not in self._known:
            self._known[key] = self._of_source(source_id, side)
        return self._known[key]

    def of_statement(self, speaker_id: str, sources: Iterable[str], suppliers: Iterable[str], side: Side) -> Interest:
        """Return the interest of a statement: of its speaker, the sources it rests on, and its evidence's suppliers."""
        voices = {self.of_source(voice, side) for voice in (speaker_id, *sources)}
        if "interested" in voices or any(self.of_source(supplier, side) == "interested" for supplier in suppliers):
            return "interested"
        return "undetermined" if "undetermined" in voices else "disinterested"

    def _of_source(self, source_id: str, side: Side) -> Interest:
        parties = self._sources.parties(source_id)
        if not parties & (self._serves | self._harms):
            parties = frozenset(ally for party in parties for ally in self._allies.get(party, ())) - parties
        served, harmed = bool(parties & self._serves), bool(parties & self._harms)
        gains = served if side == "supports" else harmed
        if (served and harmed) or gains:
            return "interested"
        return "undetermined" if self._sources.withheld(source_id) else "disinterested"
