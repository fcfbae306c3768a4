"""A policy applied to the facts: ``evaluate(facts, context, policy) → Verdict``. First match wins.

The rules are normative (``docs/verification.md``). A verdict holds identifiers and counts, no prose.
"""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from itertools import combinations

import msgspec
from msgspec import Struct, structs

from events.catalog import Because, Flag, Mentions, Policy, PolicyName, State
from service.verification import flags
from service.verification.facts import Facts
from service.verification.origins import independent
from service.verification.voices import Context, Exhibit, Voice, Voices, Weight

ENGINE = 1
"""The version of this evaluating code: raised whenever a verdict could change for the same facts and policy."""

STRICT_TWO_SOURCE = Policy(name="strict-two-source")
"""Two independent origins, one of them disinterested or adversaries in agreement, and nobody disinterested against."""

_MOST_IDS = 20


class Verdict(Struct, frozen=True):
    """Where a claim stands: its state with flags and Admiralty digit, and because of what."""

    state: State
    flags: tuple[Flag, ...]
    credibility: int
    because: Because


class Counts(Struct, frozen=True):
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


def evaluate(facts: Facts, context: Context, policy: Policy) -> Verdict:
    """Return where a claim stands by a policy. Pure: the same facts always give the same verdict."""
    voices = Voices(facts, context, policy)
    counts = _count(voices)
    state, rule = _state_without_assessment(voices, counts)
    raised = flags.raised(voices, counts.n)
    if facts.assessments:
        latest = facts.assessments[-1]
        if _needs_review(voices, state, latest.position):
            raised.add(Flag.NEEDS_REVIEW)
        state, rule = latest.verdict, "assessed"
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
        ),
    )


def _count(voices: Voices) -> Counts:
    supports = [voice for voice in voices.full_supports if voice.counts]
    denials = [voice for voice in voices.denials if voice.counts and voice.interest == "disinterested"]
    for_it: list[Voice | Exhibit] = [*supports, *voices.supporting]
    against: list[Voice | Exhibit] = [*denials, *voices.refuting]
    return Counts(
        n=len(independent(each.marks for each in for_it)),
        nd=len(independent(each.marks for each in for_it if each.interest == "disinterested")),
        od=len(independent(each.marks for each in against)),
    )


def _state_without_assessment(voices: Voices, counts: Counts) -> tuple[State, str]:
    policy = voices.policy
    supported = voices.full_supports or voices.by_weight[Weight.PARTIAL_SUPPORT] or voices.supporting
    if policy.refuting_evidence == "refutes" and voices.refuting and not voices.supporting:
        return State.REFUTED, "refuted"
    if counts.od == 0 and _two_sources(voices, counts):
        return State.CORROBORATED, "corroborated"
    if counts.od == 0 and _one_good_source(voices):
        return State.CORROBORATED, "single_source_grade"
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
    grades = voices.policy.single_source_grades
    return any(
        voice.counts and voice.interest == "disinterested" and voice.speaker.reliability in grades
        for voice in voices.full_supports
    )


def _adversaries_agree(voices: Voices) -> bool:
    """Whether two named voices of parties that are not allied support the claim without a common origin."""
    allies, parties = voices.context.story.allies, frozenset(voices.context.story.parties)
    sides = {
        (voice.marks, voice.speaker.parties & parties)
        for voice in voices.full_supports
        if voice.counts and not voice.speaker.withheld
    }
    return any(
        p != q and q not in allies.get(p, ()) and p not in allies.get(q, ())
        for (marks, ours), (others, theirs) in combinations(sides, 2)
        if marks.isdisjoint(others)
        for p in ours
        for q in theirs
    )


def _needs_review(voices: Voices, state: State, position: int) -> bool:
    """Whether the substance differs from what it was when the assessment was made."""
    then = Voices(voices.facts.until(position), voices.context, voices.policy)
    state_then, _ = _state_without_assessment(then, _count(then))
    return flags.substance(voices, state, voices.facts) != flags.substance(then, state_then, then.facts)


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
    fired["assessment"] = [made.assessment_id for made in voices.facts.assessments[-1:]]
    return _mentions(fired)


def _mentions(named: dict[str, list[str]]) -> dict[str, Mentions]:
    return {reason: _mention(ids) for reason, ids in named.items() if ids}


def _mention(ids: Iterable[str]) -> Mentions:
    every = tuple(ids)
    return Mentions(every[:_MOST_IDS], len(every))


def shortened(because: Because, most: int) -> Because:
    """Return the reasons with at most ``most`` identifiers for each reason; the totals stay."""

    def cut(named: dict[str, Mentions]) -> dict[str, Mentions]:
        return {reason: Mentions(it.ids[:most], it.total) for reason, it in named.items()}

    return structs.replace(because, reasons=cut(because.reasons), excluded=cut(because.excluded))
