"""Context: what a verdict depends on beside the claim's own facts, at any moment: story, sources, figures to sum."""

from collections.abc import Mapping, Sequence

from msgspec import Struct, structs

from events import catalog
from events.records import Story
from events.words import Quantity, Summand
from service.verification.facts import NOW, Facts, Horizon, known
from service.verification.fold import Happened, changed
from service.verification.sources import SourceHistory
from service.verification.voices import Scene


class StoryFacts(Struct, frozen=True, gc=False):
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


class Context:
    """The surroundings of one claim through time: its story, the sources, and the claims whose figures it may sum."""

    def __init__(
        self, story: Sequence[StoryFacts], sources: SourceHistory, claims: Mapping[str, Facts] | None = None
    ) -> None:
        self._story, self._sources, self._claims = story, sources, claims or {}

    @property
    def story(self) -> StoryFacts:
        """The story as it is now."""
        return self._story[-1]

    def at(self, horizon: Horizon = NOW, sum_of: Sequence[Summand] = ()) -> Scene:
        """Return the surroundings as they were at a moment, with the figures that the claim was the sum of then."""
        figures = [self._figure(term, horizon) for term in sum_of]
        story, sources = known(self._story, horizon).story, self._sources.at(horizon)
        if not figures or None in figures:
            return Scene(story, sources)
        summands = tuple(figure for figure in figures if figure is not None)
        return Scene(story, sources, summands, tuple(term.claim_id for term in sum_of))

    def _figure(self, term: Summand, horizon: Horizon) -> Quantity | None:
        """Return the figure as it was at a moment; None if the claim has none of that measure any more."""
        if term.claim_id not in self._claims:
            return None
        figures = known(self._claims[term.claim_id].wordings, horizon).claim.quantities
        return next((each for each in figures if each.measure == term.measure), None)
