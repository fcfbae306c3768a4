"""Explain: a verdict in sentences, and what single event would change it. Pure.

Sentences name identifiers; readers put names to them. What would change a state is found by trying it: each suggestion
is an event that, if it were recorded now, would have the state that is said.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from events import catalog
from events.catalog import Event
from events.identifiers import derived_id
from events.records import (
    Authentication,
    Challenge,
    Correction,
    Source,
    SourceChanges,
    Statement,
    StatementChanges,
    Withdrawal,
)
from events.words import Flag, Mentions, SourceKind, Stance, State
from service.verification import decide
from service.verification.decide import World
from service.verification.facts import NOW, Horizon
from service.verification.fold import Happened
from service.verification.in_force import Dossier, InForce
from service.verification.policy import Verdict
from service.verification.refusals import Refusal
from service.verification.sources import SourceFacts, SourceHistory, fold_source
from service.verification.voices import UNATTRIBUTED, Voices

MOST_TRIED = 100
"""Statements, and pieces of evidence, of which it is tried what they would change."""
SOMEBODY = derived_id("source", "somebody", "who would change it")
"""A named source without interest or affiliation that suggestions speak of."""
_DESK = derived_id("person", "somebody", "at the desk")

_RULES = {
    "assessed": "The desk has assessed it; an assessment outranks everything else.",
    "withdrawn": "A statement for it was withdrawn, and nothing is left that supports it.",
    "corroborated": "Independent origins support it and nobody disinterested is against it.",
    "refuted": "Authenticated evidence refutes it, and none supports it.",
    "contested": "It is supported, and something stands against it.",
    "denied": "It is denied, and nothing supports it.",
    "unverified": "What is on record is not enough for more.",
}
_FLAGS = {
    Flag.SINGLE_ORIGIN: "Everything that supports it comes from a single origin.",
    Flag.INTERESTED_PARTIES_ONLY: "Only parties with an interest in it support it.",
    Flag.UNNAMED_SOURCE: "A source whose identity is withheld speaks on it.",
    Flag.ORIGIN_UNKNOWN: "Of something that was said nobody says whose knowledge it is.",
    Flag.NO_EVIDENCE_SUPPLIED: "No evidence was supplied for it.",
    Flag.UNDER_INVESTIGATION: "Somebody is still investigating it.",
    Flag.COULD_NOT_BE_VERIFIED: "Somebody tried to verify it and could not.",
    Flag.SELF_CONTRADICTED: "One side has both said and denied it.",
    Flag.PARTIALLY_CONFIRMED: "Something supports it only in part.",
    Flag.PARTIALLY_DENIED: "Something denies it in part.",
    Flag.FIGURES_DISAGREE: "The figures that were given cannot all be right.",
    Flag.DENIED_BY_INTERESTED_PARTY: "Whoever denies it has an interest in that.",
    Flag.EVIDENCE_CHALLENGED: "Evidence that bears on it is challenged.",
    Flag.CORRECTED: "Something that was said on it was corrected, or a publisher withdrew it.",
    Flag.DECLARED: "Whoever it is up to says so.",
    Flag.NEEDS_REVIEW: "What the desk assessed has changed since.",
}
_EXCLUDED = {
    "repeats": (
        "One statement is another publication of one that is counted already.",
        "{} statements are other publications of ones that are counted already.",
    ),
    "withdrawn": ("One statement was withdrawn.", "{} statements were withdrawn."),
    "superseded": (
        "One statement was replaced by what its speaker said later.",
        "{} statements were replaced by what their speakers said later.",
    ),
    UNATTRIBUTED: (
        "One statement is shown but not counted: nobody is named whose knowledge it is.",
        "{} statements are shown but not counted: nobody is named whose knowledge they are.",
    ),
    "grade_excluded": (
        "One statement is shown but not counted: the policy does not count sources of its speaker's grade.",
        "{} statements are shown but not counted: the policy does not count sources of their speakers' grades.",
    ),
    "rests_on_challenged_evidence": (
        "One statement is shown but not counted: all that it rests on is challenged evidence.",
        "{} statements are shown but not counted: all that they rest on is challenged evidence.",
    ),
}
_FIRED = {
    "full_support": ("One statement supports it as it stands.", "{} statements support it as it stands."),
    "partial_support": ("One statement supports it in part.", "{} statements support it in part."),
    "denial": ("One statement denies it.", "{} statements deny it."),
    "partial_denial": ("One statement denies it in part.", "{} statements deny it in part."),
    "supporting_evidence": (
        "One piece of evidence is authenticated and shows that it is so.",
        "{} pieces of evidence are authenticated and show that it is so.",
    ),
    "refuting_evidence": (
        "One piece of evidence is authenticated and shows that it is not so.",
        "{} pieces of evidence are authenticated and show that it is not so.",
    ),
    "assessment": ("One assessment of the desk is in force.", "{} assessments of the desk are in force."),
}
"""For each reason the sentence about one statement or piece of evidence, and the one about several."""


class Reason(Struct, frozen=True):
    """One sentence, and the statements or evidence that it is about: the first of them, and how many there are."""

    sentence: str
    ids: tuple[str, ...] = ()
    total: int = 0


class Suggestion(Struct, frozen=True):
    """If ``events`` were recorded now, the claim's state would be ``to``."""

    sentence: str
    to: State
    events: tuple[Event, ...]


def sentences(verdict: Verdict) -> tuple[Reason, ...]:
    """Return why a verdict is as it is: the rule, what fired it, the counts, the flags."""
    because = verdict.because
    found = [Reason(f"{verdict.state.value}: {_RULES[because.rule]}")]
    found += [_about(it, _FIRED[reason]) for reason, it in because.reasons.items()]
    found.append(
        Reason(
            f"Independent origins: {because.n} for it, {because.nd} of them disinterested; {because.od} disinterested"
            " against it."
        )
    )
    found += [Reason(f"{flag.value}: {_FLAGS[flag]}") for flag in verdict.flags]
    return tuple(found)


def exclusions(verdict: Verdict) -> tuple[Reason, ...]:
    """Return what a verdict leaves out, and why."""
    return tuple(_about(it, _EXCLUDED[reason]) for reason, it in verdict.because.excluded.items())


def arithmetic(record: InForce, world: World, horizon: Horizon = NOW) -> Reason | None:
    """Return the sum that a claim's figure is said to be, term by term, if it is said to be one."""
    terms = world.context(record.claim).at(horizon, record.claim.sum_of).summands
    if not terms:
        return None
    own, *_ = record.claim.quantities
    written = " + ".join(_figure(term.value, term.low, term.high) for term in terms)
    names = tuple(term.claim_id for term in record.claim.sum_of)
    return Reason(f"{_figure(own.value, own.low, own.high)} is to be the sum {written}.", names, len(names))


def would_change_if(claim_id: str, world: World, now: int) -> Iterator[Suggestion]:
    """Yield each single event, of those that are tried, that would change the claim's state.

    Tried are: a named, disinterested, first-hand support, and such a denial; authenticating or challenging each piece
    of evidence; withdrawing each effective statement; identifying each withheld speaker; attributing each unattributed
    statement. ``now`` is in microseconds since 1970.
    """
    yield from (found for found in tried(claim_id, world, now) if found)


def tried(claim_id: str, world: World, now: int) -> Iterator[Suggestion | None]:
    """Yield what :func:`would_change_if` yields, and None for each event that would change nothing.

    Each takes as long as a decision on the claim: between them, whoever has others to serve can do so.
    """
    state = world.verdict(claim_id).state
    for sentence, events in _candidates(claim_id, world):
        try:
            to = _tried(claim_id, events, world, now)
        except Refusal:
            to = state
        yield Suggestion(sentence, to, tuple(events)) if to != state else None


def _candidates(claim_id: str, world: World) -> Iterator[tuple[str, Sequence[Event]]]:
    facts = world.facts[claim_id]
    record = Dossier(facts, world.facts).in_force()
    voices = Voices(record, world.context(facts.claim).at(NOW, facts.claim.sum_of), world.policy)
    somebody = catalog.SourceRegistered(source_id=SOMEBODY, source=Source(name="Somebody", kind=SourceKind.PERSON))
    for stance, does in ((Stance.ASSERTS, "supports"), (Stance.DENIES, "denies")):
        said = Statement(speaker_id=SOMEBODY, stance=stance, basis="first_hand", quantities=facts.claim.quantities)
        statement_id = derived_id("statement", claim_id, does)
        event = catalog.StatementRecorded(claim_id=claim_id, statement_id=statement_id, statement=said)
        yield f"a named source without interest in it {does} it at first hand", (somebody, event)
    yield from _checks(record, world)
    heard = voices.effective[:MOST_TRIED]
    for voice in heard:
        key = voice.statement.statement_id
        withdrawn = catalog.StatementWithdrawn(
            claim_id=_owner(key, world), statement_id=key, withdrawal=Withdrawal(by="speaker")
        )
        yield f"{voice.statement.speaker_id} withdraws {key}", (withdrawn,)
    for speaker_id in dict.fromkeys(voice.statement.speaker_id for voice in heard if voice.speaker.withheld):
        named = catalog.SourceUpdated(source_id=speaker_id, changes=SourceChanges(identity="named"))
        yield f"{speaker_id} is identified", (named,)
    for key in voices.left_out.get(UNATTRIBUTED, [])[:MOST_TRIED]:
        correction = Correction(by="publisher", after=StatementChanges(rests_on=(SOMEBODY,)))
        attributed = catalog.StatementCorrected(claim_id=_owner(key, world), statement_id=key, correction=correction)
        yield f"{key} is attributed to a named source without interest in it", (somebody, attributed)


def _checks(record: InForce, world: World) -> Iterator[tuple[str, Sequence[Event]]]:
    for key, item in list(record.bearing().items())[:MOST_TRIED]:
        claim_id = _owner(key, world)
        if item.status != "authenticated":
            found = Authentication(method="…", by=_DESK)
            event: Event = catalog.EvidenceAuthenticated(claim_id=claim_id, evidence_id=key, authentication=found)
            yield f"the desk authenticates {key}", (event,)
        if item.status != "challenged":
            why = Challenge(ground="…", by=_DESK)
            event = catalog.EvidenceChallenged(claim_id=claim_id, evidence_id=key, challenge=why)
            yield f"the desk challenges {key}", (event,)


def _tried(claim_id: str, events: Sequence[Event], world: World, now: int) -> State:
    """Return the state that a claim would have after these events."""
    sources, on_claims = world.sources, []
    for event in events:
        if isinstance(event, catalog.SourceRegistered | catalog.SourceUpdated):
            sources = _with(sources, event, now)
        else:
            on_claims.append(event)
    world = World(world.facts, world.stories, sources, world.policy)
    decision = decide.on_claims(on_claims, world, now)
    return World(decision.facts, world.stories, sources, world.policy).verdict(claim_id).state


def _with(sources: SourceHistory, event: catalog.SourceRegistered | catalog.SourceUpdated, now: int) -> SourceHistory:
    key = event.source_id
    versions: tuple[SourceFacts, ...] = sources.versions(key) if key in sources else ()
    position = versions[-1].position + 1 if versions else 1
    copied = sources.without(set())
    copied.add({key: fold_source(versions, Happened(event, position, now))})
    return copied


def _owner(key: str, world: World) -> str:
    """Return the claim on which a statement or a piece of evidence was recorded."""
    return next(facts.claim_id for facts in world.facts.values() if key in facts.statements or key in facts.evidence)


def _about(mentions: Mentions, sentence: tuple[str, str]) -> Reason:
    one, several = sentence
    return Reason(one if mentions.total == 1 else several.format(mentions.total), mentions.ids, mentions.total)


def _figure(value: float | None, low: float | None, high: float | None) -> str:
    return f"{value:g}" if value is not None else f"{low:g} to {high:g}"
