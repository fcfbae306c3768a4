"""Decide: what is proposed, seen against what is on record, is refused or becomes events. Pure.

A command proposes the events that its caller wants on record. :func:`on_claims` checks each against what is on record
(:mod:`service.verification.checks`), and adds ``claim.state_changed`` for every claim whose verdict differs from the
last one recorded: the claim itself, the one that speaks for it, and its parts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec import UNSET, Struct, structs

from events import catalog, moments
from events.catalog import ClaimStateChanged, Event
from events.envelope import streams_of
from events.records import Claim, Story
from events.words import Policy
from service.verification.checks import Ground, check
from service.verification.context import Context, StoryFacts
from service.verification.facts import NOW, Facts, StatementFacts
from service.verification.fold import Happened, changed, fold
from service.verification.in_force import Dossier
from service.verification.policy import BUILT_IN, ENGINE, ENGINES, Verdict, name_of, shortened
from service.verification.refusals import AlreadyRecorded, Refusal, RuleBroken, UnknownReference
from service.verification.sources import SourceHistory, Sources

LARGEST_STATE_CHANGE = 8 * 1024
"""Bytes of a ``claim.state_changed``; beyond it, reasons name fewer identifiers."""


class World(Struct, frozen=True, gc=False):
    """All that a decision reads: claims, their stories through time, sources through time, and the policy in force."""

    facts: Mapping[str, Facts]
    stories: Mapping[str, Sequence[StoryFacts]]
    sources: SourceHistory
    policy: Policy

    def context(self, claim: Claim) -> Context:
        """Return the surroundings of one of the claims."""
        return Context(self.stories[claim.story_id], self.sources, self.facts)

    def verdict(self, claim_id: str, engine: int = ENGINE) -> Verdict:
        """Return where a claim stands, as that version of the evaluating code has it."""
        facts = self.facts[claim_id]
        return ENGINES[engine](Dossier(facts, self.facts), self.context(facts.claim), self.policy, NOW)


class Decision(Struct, frozen=True, gc=False):
    """The events to record, and the facts as they are once that is done.

    ``at`` is the recorded time that was foreseen, in microseconds since 1970.
    """

    events: tuple[Event, ...]
    facts: Mapping[str, Facts]
    at: int


def on_claims(proposed: Sequence[Event], world: World, now: int) -> Decision:
    """Decide on events of one or several claims. ``now`` is in microseconds since 1970.

    Raises ``NotOnRecord``, ``UnknownReference``, ``AlreadyRecorded`` or ``RuleBroken``.
    """
    facts = dict(world.facts)
    world = structs.replace(world, facts=facts)
    known = [world.sources.position, *(versions[-1].position for versions in world.stories.values())]
    position = max(*known, *(each.position for each in facts.values()), 0)  # after all that is decided on
    at = max(now, max((each.recorded_at + 1 for each in facts.values()), default=0))  # a command has one time
    decided: list[Event] = []
    touched: dict[str, None] = {}

    def record(event: Event) -> None:
        decided.append(event)
        it = Happened(event, position + len(decided), at)
        for claim_id in _claims_of(event):
            folded = fold(facts.get(claim_id), [it])
            assert folded is not None  # noqa: S101 - it has this event at least
            facts[claim_id] = folded
            touched[claim_id] = None

    for n, event in enumerate(proposed):
        try:
            record(check(event, Ground(facts, world.stories, world.sources.now, now)))
        except Refusal as refusal:
            refusal.proposal = n
            raise
    for claim_id in _affected(touched, facts):
        if change := state_change(facts[claim_id], world.verdict(claim_id), world.policy):
            record(change)
    return Decision(tuple(decided), facts, at)


def hangs_on_its_time(decision: Decision, recorded_at: int) -> bool:
    """Whether a verdict might be another one because its events were recorded at another time than was foreseen.

    Only what was said or taken back at no known time depends on that, and only on what was said between the two times.
    """
    if not any(map(_is_undated, decision.events)):
        return False
    first, last = sorted((decision.at, recorded_at))
    said = (said for facts in decision.facts.values() for said in facts.statements.values())
    return any(first <= bound <= last for each in said for bound in _bounds(each) if bound != decision.at)


def _bounds(said: StatementFacts) -> Iterator[int]:
    """Yield when what was said at a known time, or taken back, began and ended."""
    if moment := said.said_at or said.published_at:
        yield from moments.interval(moment)
    for correction in said.corrections:
        for anew in (correction.changes.said_at, correction.changes.published_at):
            if isinstance(anew, str):
                yield from moments.interval(anew)
    yield from (each.hi for each in said.withdrawals)


def _is_undated(event: Event) -> bool:
    match event:
        case catalog.StatementRecorded(statement=said):
            return not (said.said_at or said.published_at)
        case catalog.StatementWithdrawn(withdrawal=taken):
            return taken.at is None
        case _:
            return False


def reassessed(claim_id: str, world: World) -> tuple[Event, ...]:
    """Return the events by which the verdict on a claim, and on those that it speaks in, is brought up to date."""
    changes = (
        state_change(world.facts[each], world.verdict(each), world.policy)
        for each in _affected([claim_id], world.facts)
    )
    return tuple(change for change in changes if change)


def _claims_of(event: Event) -> Iterable[str]:
    return (stream for stream in streams_of(event) if stream.startswith("claim_"))


def _affected(touched: Iterable[str], facts: Mapping[str, Facts]) -> Iterable[str]:
    """Return the claims whose verdict may differ: those that speak for the touched ones and for their parts.

    Among them are those that once spoke for them: statements of theirs may rest on evidence that was found there.
    """
    found: dict[str, None] = {}
    waiting, seen = [*touched], set()
    while waiting:
        claim_id = waiting.pop(0)
        if claim_id in seen:
            continue
        seen.add(claim_id)
        above = facts[claim_id]
        waiting += [*above.lent_to, *(each.claim_id for each in above.merges)]
        while above.merged_into:
            above = facts[above.merged_into]
        found[above.claim_id] = None
    return found


def state_change(facts: Facts, verdict: Verdict, policy: Policy) -> ClaimStateChanged | None:
    """Return the event that records a verdict, or None if it is the one last recorded."""
    name = name_of(policy)
    now = {
        "state": verdict.state,
        "flags": verdict.flags,
        "credibility": verdict.credibility,
        "n": verdict.because.n,
        "nd": verdict.because.nd,
        "od": verdict.because.od,
        "policy": name.hash,
    }
    last = facts.last
    differing = tuple(part for part, value in now.items() if last is None or getattr(last, part) != value)
    if not differing:
        return None
    because = verdict.because
    for most in (10, 5, 2, 0, 0):
        event = ClaimStateChanged(
            claim_id=facts.claim_id,
            from_=last.state if last else None,
            to=verdict.state,
            flags=verdict.flags,
            credibility=verdict.credibility,
            because=because,
            policy=name,
            engine=ENGINE,
            changed=differing,
        )
        if len(msgspec.json.encode(event)) <= LARGEST_STATE_CHANGE:
            break
        because = shortened(because, most)
    return event


def on_story(proposed: Event, versions: Sequence[StoryFacts]) -> tuple[Event, ...]:
    """Decide on a story: opening, updating or closing it. Raises ``AlreadyRecorded`` or ``RuleBroken``."""
    match proposed:
        case catalog.StoryOpened(story=story):
            _check_story(story)
        case catalog.StoryUpdated(changes=changes):
            now, values = versions[-1].story, changed(changes)
            if all(getattr(now, name) == value for name, value in values.items()):
                raise AlreadyRecorded("the story is as these changes would make it")
            _check_story(structs.replace(now, **values))
        case catalog.StoryClosed(story_id=story_id) if versions[-1].closed:
            raise AlreadyRecorded(f"{story_id} is closed already")
    return (proposed,)


def _check_story(story: Story) -> None:
    for party, allies in story.allies.items():
        for ally in allies:
            if ally == party:
                raise RuleBroken(f"{party!r} cannot be its own ally", f"/allies/{party}")
            if ally not in story.parties:
                raise RuleBroken(f"{party!r} sides with {ally!r}, which is no party of the story", f"/allies/{party}")


def on_source(proposed: Event, sources: Sources) -> tuple[Event, ...]:
    """Decide on a source: registering, updating or grading it.

    Raises ``UnknownReference``, ``AlreadyRecorded`` or ``RuleBroken``.
    """
    match proposed:
        case catalog.SourceRegistered(source_id=source_id, source=source):
            _check_affiliations(source_id, source.affiliated_to, sources)
        case catalog.SourceUpdated(source_id=source_id, changes=changes):
            now, values = sources.source(source_id), changed(changes)
            if all(getattr(now, name) == value for name, value in values.items()):
                raise AlreadyRecorded("the source is as these changes would make it")
            if changes.affiliated_to is not UNSET:
                _check_affiliations(source_id, changes.affiliated_to, sources)
    return (proposed,)


def on_erasure(proposed: catalog.SubjectErased, earlier: Iterable[Event]) -> tuple[Event, ...]:
    """Decide on recording that a subject was erased. Raises ``AlreadyRecorded``."""
    if any(isinstance(event, catalog.SubjectErased) for event in earlier):
        raise AlreadyRecorded(f"{proposed.subject_id} was erased, and that is on record")
    return (proposed,)


def on_policy(proposed: catalog.PolicyActivated, earlier: Sequence[Policy]) -> tuple[Event, ...]:
    """Decide on a policy that is to be in force. Raises ``AlreadyRecorded`` or ``RuleBroken``."""
    policy = proposed.policy
    check_policy(policy)
    if policy == earlier[-1]:
        raise AlreadyRecorded(f"{policy.name} version {policy.version} is in force")
    for known in earlier:
        if (known.name, known.version) == (policy.name, policy.version) and known != policy:
            raise RuleBroken(
                f"{policy.name} version {policy.version} had other rules; give it a new version", "/version"
            )
    return (proposed,)


def check_policy(policy: Policy) -> None:
    """Raise ``RuleBroken`` for a policy that contradicts itself or takes the name of another."""
    if policy.name in BUILT_IN and policy != BUILT_IN[policy.name]:
        raise RuleBroken(f"{policy.name} is On Record's own; name yours otherwise", "/name")
    excluded, countable = set(policy.excluded_grades), set(policy.countable_grades)
    if both := sorted(excluded & countable):
        raise RuleBroken(f"grade {both[0]} is both excluded and countable", "/excluded_grades")
    single = set(policy.single_source_grades)
    if never := sorted(single & excluded | (single - countable if countable else set())):
        raise RuleBroken(f"grade {never[0]} is enough for a single source, and does not count", "/single_source_grades")
    for field, grades in (("excluded_grades", policy.excluded_grades), ("countable_grades", policy.countable_grades)):
        if len(set(grades)) < len(grades):
            raise RuleBroken("every grade is named once", f"/{field}")


def _check_affiliations(source_id: str, affiliated_to: Sequence[str], sources: Sources) -> None:
    for n, upper in enumerate(affiliated_to):
        if upper not in sources:
            raise UnknownReference(f"there is no source {upper}", f"/affiliated_to/{n}")
        if source_id == upper or source_id in sources.above(upper):
            raise RuleBroken("no source answers to itself, at any remove", f"/affiliated_to/{n}")
