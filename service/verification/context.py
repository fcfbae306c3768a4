"""Context: what a verdict depends on beside the claim's own facts, at any moment: story, sources, figures to sum."""

from collections.abc import Sequence

from msgspec import Struct, structs

from events import catalog
from events.records import Story
from events.words import Quantity, Summand
from service.verification.facts import NOW, Facts, Happened, Horizon, changed, known
from service.verification.sources import SourceHistory
from service.verification.voices import Scene


class StoryFacts(Struct, frozen=True):
    """A story from a place in the record on."""

    position: int
    recorded_at: int
    story: Story
    closed: bool = False


def fold_story(versions: tuple[StoryFacts, ...], it: Happened) -> tuple[StoryFacts, ...]:
    """Return what a story was from place to place, with one more event of its stream."""
    match it.event:
        case catalog.StoryOpened(story=story):
            return (StoryFacts(it.position, it.recorded_at, story),)
        case catalog.StoryUpdated(changes=changes):
            story = structs.replace(versions[-1].story, **changed(changes))
            return (*versions, StoryFacts(it.position, it.recorded_at, story, versions[-1].closed))
        case catalog.StoryClosed():
            return (*versions, StoryFacts(it.position, it.recorded_at, versions[-1].story, closed=True))
        case other:
            raise TypeError(f"{other.TYPE} does not belong to a story's stream")


class Term(Struct, frozen=True):
    """One term of a sum: which figure of which claim."""

    facts: Facts
    summand: Summand

    def figure(self, horizon: Horizon) -> Quantity | None:
        """Return the figure as it was at a moment; None if the claim has none of that measure any more."""
        claim = known(self.facts.wordings, horizon).claim
        return next((each for each in claim.quantities if each.measure == self.summand.measure), None)


class Context:
    """The surroundings of one claim through time."""

    def __init__(self, story: Sequence[StoryFacts], sources: SourceHistory, terms: Sequence[Term] = ()) -> None:
        self._story, self._sources, self._terms = story, sources, terms

    @property
    def story(self) -> StoryFacts:
        """The story as it is now."""
        return self._story[-1]

    def at(self, horizon: Horizon = NOW) -> Scene:
        """Return the surroundings as they were at a moment."""
        figures = [term.figure(horizon) for term in self._terms]
        story, sources = known(self._story, horizon).story, self._sources.at(horizon)
        if not figures or None in figures:
            return Scene(story, sources)
        summands = tuple(figure for figure in figures if figure is not None)
        return Scene(story, sources, summands, tuple(term.facts.claim_id for term in self._terms))
