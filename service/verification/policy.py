"""A policy applied to the facts: ``evaluate(facts, context, policy) → Verdict``. First match wins.

The rules are normative (``docs/verification.md``). A verdict holds identifiers and counts, no prose.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import combinations

import msgspec
from msgspec import Struct, structs

from events.words import Arithmetic, Because, Flag, Mentions, Policy, PolicyName, State, SumTerm
from service.verification import flags
from service.verification.context import Context
from service.verification.facts import NOW, Horizon
from service.verification.in_force import Dossier
from service.verification.origins import Marks, independent, some_disjoint
from service.verification.voices import POSITIONAL, SUPPORT, Exhibit, Voice, Voices, Weight

ENGINE = 1
"""The version of this evaluating code: raised whenever a verdict could change for the same facts and policy."""

STRICT_TWO_SOURCE = Policy(name="strict-two-source")
"""Two independent origins, one of them disinterested or adversaries in agreement, and nobody disinterested against."""

PERMISSIVE_TRACKER = Policy(name="permissive-tracker", refuting_evidence="refutes", single_source_grades=("A", "B"))
"""One good source is enough, and authenticated refuting evidence refutes."""

ADMIRALTY = Policy(name="admiralty", countable_grades=("A", "B", "C"))
"""Only sources that the desk graded A to C count."""

BUILT_IN = {policy.name: policy for policy in (STRICT_TWO_SOURCE, PERMISSIVE_TRACKER, ADMIRALTY)}

_MOST_IDS = 20


class Verdict(Struct, frozen=True, gc=False):
    """Where a claim stands: its state with flags and Admiralty digit, and because of what."""

    state: State
    flags: tuple[Flag, ...]
    credibility: int
    because: Because


class Counts(Struct, frozen=True, gc=False):
    """How many independent origins speak for and against a claim."""

    n: int
    nd: int
    od: int


@lru_cache(maxsize=64)
def name_of(policy: Policy) -> PolicyName:
    """Return a policy's name and version with the SHA-256 of its canonical JSON."""
    return PolicyName(
        policy.name, policy.version, hashlib.sha256(msgspec.json.encode(policy, order="sorted")).hexdigest()
    )


def evaluate(dossier: Dossier, context: Context, policy: Policy, horizon: Horizon = NOW) -> Verdict:
    """Return where a claim stands by a policy, at a moment. Pure: the same facts always give the same verdict."""
    record = dossier.in_force(horizon)
    voices = Voices(record, context.at(horizon, record.claim.sum_of), policy)
    counts = _count(voices)
    state, rule = _state_without_assessment(voices, counts)
    raised = flags.raised(voices, counts.n)
    if record.assessment:
        then = Horizon(min(record.assessment.position, horizon.position), horizon.said_by)
        if _needs_review(voices, state, Voices(dossier.in_force(then, horizon.position), context.at(then), policy)):
            raised.add(Flag.NEEDS_REVIEW)
        state, rule = record.assessment.verdict, "assessed"
    return Verdict(
        state=state,
        flags=tuple(sorted(raised)),
        credibility=_credibility(state, counts, voices),
        because=Because(
            rule=rule,
            n=counts.n,
            nd=counts.nd,
            od=counts.od,
            reasons=_reasons(voices),
            excluded=_mentions(voices.left_out),
            arithmetic=_arithmetic(voices) if flags.sum_disagrees(voices) else None,
        ),
    )


ENGINES: Mapping[int, Callable[[Dossier, Context, Policy, Horizon], Verdict]] = {ENGINE: evaluate}
"""The evaluating code by its version. An older one stays here, since what it recorded is checked by it."""


def _count(voices: Voices) -> Counts:
    supports = [voice for voice in voices.full_supports if voice.counts]
    denials = [voice for voice in voices.denials if voice.counts and voice.interest == "disinterested"]
    for_it: list[Voice | Exhibit] = [*supports, *voices.supporting]
    against: list[Voice | Exhibit] = [*denials, *voices.refuting]
    return Counts(
        n=len(independent([each.marks for each in for_it])),
        nd=len(independent([each.marks for each in for_it if each.interest == "disinterested"])),
        od=len(independent([each.marks for each in against])),
    )


def _state_without_assessment(voices: Voices, counts: Counts) -> tuple[State, str]:
    policy = voices.policy
    supported = voices.full_supports or voices.by_weight[Weight.PARTIAL_SUPPORT] or voices.supporting
    if not supported and any(POSITIONAL.get(said.stance) in SUPPORT for said in voices.record.withdrawn):
        return State.WITHDRAWN, "withdrawn"
    if policy.refuting_evidence == "refutes" and voices.refuting and not voices.supporting:
        return State.REFUTED, "refuted"
    if counts.od == 0 and (_two_sources(voices, counts) or _one_good_source(voices)):
        return State.CORROBORATED, "corroborated"
    if voices.refuting or (supported and voices.denials):
        return State.CONTESTED, "contested"
    if voices.by_weight[Weight.DENIAL]:
        return State.DENIED, "denied"
    return State.UNVERIFIED, "unverified"


def _two_sources(voices: Voices, counts: Counts) -> bool:
    if counts.n < voices.policy.min_origins:
        return False
    return counts.nd >= 1 or (voices.policy.adverse_agreement and _adversaries_agree(voices))


def _one_good_source(voices: Voices) -> bool:
    grades, tags = voices.policy.single_source_grades, voices.record.claim.tags
    return any(
        voice.counts and voice.interest == "disinterested" and voice.speaker.grade(tags) in grades
        for voice in voices.full_supports
    )


def _adversaries_agree(voices: Voices) -> bool:
    """Whether two named voices of parties that are not allied support the claim without a common origin."""
    allies, parties = voices.scene.story.allies, frozenset(voices.scene.story.parties)
    sides: dict[frozenset[str], set[Marks]] = {}
    for voice in voices.full_supports:
        if voice.counts and not voice.speaker.withheld:
            sides.setdefault(voice.speaker.parties & parties, set()).add(voice.marks)
    return any(
        some_disjoint(sides[ours], sides[theirs])
        for ours, theirs in combinations(sides, 2)
        if any(p != q and q not in allies.get(p, ()) and p not in allies.get(q, ()) for p in ours for q in theirs)
    )


def _needs_review(now: Voices, state: State, then: Voices) -> bool:
    """Whether the substance differs from what it was when the assessment was made."""
    state_then, _ = _state_without_assessment(then, _count(then))
    return flags.substance(now, state) != flags.substance(then, state_then)


def _credibility(state: State, counts: Counts, voices: Voices) -> int:  # noqa: PLR0911 - one line a row of the table
    """Return the Admiralty digit: 1 confirmed … 5 improbable, 6 cannot be judged (rules, section 9)."""
    n_d, o_d = counts.nd, counts.od
    match state:
        case State.VERIFIED:
            return 1
        case State.MISLEADING:
            return 4
        case State.REFUTED:
            return 5
        case State.CORROBORATED:
            return 1 if n_d >= 2 and not voices.denials else 2  # noqa: PLR2004 - the rules' own number
        case State.CONTESTED if o_d == 0:
            return 3 if n_d else 6
        case State.CONTESTED:
            return 5 if n_d == 0 and o_d >= 2 else 4  # noqa: PLR2004 - the rules' own number
        case State.DENIED:
            return 5 if o_d else 6
        case State.UNVERIFIED:
            return 3 if n_d else 6
        case _:
            return 6


def _reasons(voices: Voices) -> dict[str, Mentions]:
    def ids(heard: list[Voice]) -> list[str]:
        return [voice.statement.statement_id for voice in heard]

    fired = {weight.value: ids(heard) for weight, heard in voices.by_weight.items()}
    fired["supporting_evidence"] = [item.evidence.evidence_id for item in voices.supporting]
    fired["refuting_evidence"] = [item.evidence.evidence_id for item in voices.refuting]
    fired["assessment"] = [voices.record.assessment.assessment_id] if voices.record.assessment else []
    return _mentions(fired)


def _arithmetic(voices: Voices) -> Arithmetic:
    scene, (figure, *_) = voices.scene, voices.record.claim.quantities
    terms = tuple(SumTerm(claim_id=key, figure=term) for key, term in zip(scene.summed, scene.summands, strict=True))
    return Arithmetic(figure=figure, terms=terms[:_MOST_IDS], total=len(terms))


def _mentions(named: dict[str, list[str]]) -> dict[str, Mentions]:
    return {reason: _mention(ids) for reason, ids in named.items() if ids}


def _mention(ids: Iterable[str]) -> Mentions:
    every = tuple(ids)
    return Mentions(every[:_MOST_IDS], len(every))


def shortened(because: Because, most: int) -> Because:
    """Return the reasons with at most ``most`` identifiers for each, and as many terms; the totals stay."""

    def cut(named: dict[str, Mentions]) -> dict[str, Mentions]:
        return {reason: Mentions(it.ids[:most], it.total) for reason, it in named.items()}

    sum_ = because.arithmetic
    return structs.replace(
        because,
        reasons=cut(because.reasons),
        excluded=cut(because.excluded),
        arithmetic=sum_ and structs.replace(sum_, terms=sum_.terms[:most]),
    )
