"""Measure decisions: what one costs on a claim of many statements, and how that grows with their number.

Pure: facts are in memory and nothing is appended. A decision is what a command costs beside the store: its checks, the
facts folded with it, and the verdict.
"""

import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from bench.measurement import Measurement, against
from events import catalog, records
from events.identifiers import derived_id
from events.words import SourceKind, Stance
from service.verification import decide
from service.verification.context import StoryFacts
from service.verification.decide import World
from service.verification.facts import Facts
from service.verification.fold import Happened, fold
from service.verification.policy import STRICT_TWO_SOURCE
from service.verification.sources import SourceFacts, SourceHistory

_SIZES = (10, 100, 1_000, 10_000)
_LIMITED, _LIMIT = 1_000, 100.0
"""Statements of the claim on which a decision takes at most 10 ms, and how many decisions a second that is."""
_LINEAR = 0.85
"""What the ratio to a tenth of the speed on a tenth of the statements is, at least: 1 is linear, and this is noise."""
_SPEAKERS = 300
_STORY, _CLAIM, _PERSON = derived_id("story", "bench"), derived_id("claim", "bench"), derived_id("person", "bench")
_START = 1_700_000_000_000_000
_STANCES = [Stance.ASSERTS] * 5 + [Stance.CONFIRMS] * 2 + [Stance.DENIES] + [Stance.INVESTIGATING]


def world_of(size: int) -> World:
    """Return a claim with ``size`` statements of up to three hundred sources, a tenth of them resting on evidence."""
    sources = SourceHistory()
    kinds = list(SourceKind)
    for n in range(_SPEAKERS):
        about = {"kind": kinds[n % len(kinds)], "parties": ("red",) if n % 7 == 0 else ()}
        upper = (derived_id("source", str(n - n % 10)),) if n % 10 > 7 else ()  # noqa: PLR2004 - some answer to others
        source = records.Source(name=f"Source {n}", affiliated_to=upper, **about)  # type: ignore[arg-type]
        sources.add({derived_id("source", str(n)): (SourceFacts(n, n, source),)})
    events: list[catalog.Event] = [
        catalog.ClaimRegistered(
            claim_id=_CLAIM, claim=records.Claim(story_id=_STORY, text="So.", serves=("red",), harms=("blue",))
        )
    ]
    shown = [derived_id("evidence", f"bench {n}") for n in range(max(1, size // 100))]
    for evidence_id in shown:
        content = records.Evidence(kind="video", bearing="context", description="What it shows.")
        events.append(catalog.EvidenceAdded(claim_id=_CLAIM, evidence_id=evidence_id, evidence=content))
    events += [_statement(n, (shown[n % len(shown)],) if n % 10 == 0 else ()) for n in range(size)]
    facts = fold(None, (Happened(event, n, _START + n) for n, event in enumerate(events, _SPEAKERS + 2)))
    assert facts is not None  # noqa: S101 - it begins with the claim
    story = records.Story(title="A story", parties=("red", "blue"))
    return World({_CLAIM: facts}, {_STORY: (StoryFacts(1, 1, story),)}, sources, STRICT_TWO_SOURCE)


def _statement(n: int, rests_on: tuple[str, ...] = ()) -> catalog.StatementRecorded:
    said = records.Statement(
        speaker_id=derived_id("source", str(n * 7 % _SPEAKERS)),
        stance=_STANCES[n % len(_STANCES)],
        said_at=f"2023-{1 + n % 12:02d}-{1 + n % 28:02d}",
        rests_on=rests_on,
    )
    return catalog.StatementRecorded(
        claim_id=_CLAIM, statement_id=derived_id("statement", f"bench {n}"), statement=said
    )


def _seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the least time of a processor that some work took, of several times: nothing in it waits."""
    work()
    found = []
    for _ in range(repeats):
        gc.collect()
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return min(found)


def deciding(world: World) -> float:
    """Return how many milliseconds a decision on one more statement takes."""
    proposed = _statement(100_000)
    return 1_000 * _seconds(lambda: decide.on_claims([proposed], world, _START * 2), 15)


def _assessed(world: World) -> World:
    """Return a world in which the desk has judged the claim: its substance is compared with that of then."""
    facts: Facts = world.facts[_CLAIM]
    judged = records.Assessment(verdict="verified", rationale="Seen.", by=_PERSON)
    event = catalog.AssessmentMade(claim_id=_CLAIM, assessment_id=derived_id("assessment", "bench"), assessment=judged)
    folded = fold(facts, [Happened(event, facts.position + 1, facts.recorded_at + 1)])
    assert folded is not None  # noqa: S101 - it was there
    return World({_CLAIM: folded}, world.stories, world.sources, world.policy)


async def measure(words: list[str]) -> AsyncIterator[Measurement]:
    """Measure what has one of the words in its name; everything if there are none."""
    for size in _SIZES:
        if words and not any(word in _name(size) for word in words):
            continue
        world, tenth = world_of(size), world_of(max(1, size // 10))
        if size == _SIZES[0]:
            yield Measurement(_name(size), round(_rate(world), 1))
        else:
            beside = f"a tenth of that on {size // 10:,}"
            yield await against(_name(size), _later(world, 1), _later(tenth, 10), beside, at_least=_LINEAR)
    for name, world in (("", world_of(_LIMITED)), (", assessed", _assessed(world_of(_LIMITED)))):
        limited = f"{_name(_LIMITED)}{name} (at most 10 ms)"
        if not words or any(word in limited for word in words):
            found = _rate(world)
            yield Measurement(limited, round(found, 1), _LIMIT, "one in 10 ms", round(found / _LIMIT, 2), 1.0)


def _name(size: int) -> str:
    return f"decide on a claim of {size:,} statements, decisions per second"


def _rate(world: World) -> float:
    return 1_000 / deciding(world)


def _later(world: World, divisor: int) -> Callable[[], Awaitable[float]]:
    async def rate() -> float:
        return _rate(world) / divisor

    return rate
