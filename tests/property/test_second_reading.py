"""Whether two readings of the rules give the same verdicts: the service's, and a plain one made without it."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import given, note
from hypothesis import strategies as st

from events.moments import interval
from events.words import Policy
from service.verification.explain import would_change_if
from service.verification.facts import NOW, Horizon
from service.verification.policy import ADMIRALTY, PERMISSIVE_TRACKER, STRICT_TWO_SOURCE
from tests.property import chance
from tests.property.histories import IDS, History, Stage, Step, claims_of, everything, rules
from tests.property.second_reading import Verdict, verdict
from tests.property.second_record import Recorded

if TYPE_CHECKING:
    from tests.unit.verification.conftest import Case

CAREFUL = Policy(
    name="careful", min_origins=3, adverse_agreement=False, countable_grades=("A", "B"), about_tolerance=0.2,
    refuting_evidence="refutes", single_source_grades=("A",),
)  # fmt: skip
"""A ledger's own policy, with every member other than usual."""
POLICIES = (STRICT_TWO_SOURCE, PERMISSIVE_TRACKER, ADMIRALTY, CAREFUL)
SAID_BY = ["2022-12", "2023-01", "2023-01-24", "2023-01-24T08:15Z", "2023", "2023-02", "2023-06"]
SEEDS = st.integers(0, 2**32 - 1)


class Difference(NamedTuple):
    """Where the readings differ: on which claim, by which policy, at which moment, and what they say."""

    claim: str
    policy: str
    horizon: Horizon
    second: Verdict
    ours: Verdict


def recorded(case: Case) -> list[Recorded]:
    """Return the whole history of a case: what it knew all along comes first, at position 0."""
    return [
        *(Recorded(0, 0, event) for event in case.begun),
        *(Recorded(it.position, it.recorded_at, it.event) for it in case.happened),
    ]


def moments_of(case: Case, seed: int) -> list[Horizon]:
    """Return the end of a history, a past position, and what had been said by some time, of all and of a part of it."""
    draw = Random(seed)  # noqa: S311 - a moment, not a secret
    positions = range(len(IDS), len(case.happened) + 1)
    times = [interval(moment).hi for moment in SAID_BY] + [it.recorded_at for it in case.happened]
    return [
        NOW,
        Horizon(draw.choice(positions)),
        Horizon(said_by=draw.choice(times)),
        Horizon(draw.choice(positions), draw.choice(times)),
    ]


def difference(case: Case, seed: int) -> Difference | None:
    """Return where the two readings of a history differ, if they do anywhere that is looked."""
    policy = Random(seed).choice(POLICIES)  # noqa: S311 - a policy, not a secret
    history = recorded(case)
    for horizon in moments_of(case, seed):
        for claim in IDS:
            claim_id, as_of, said_by = case.id_of("claim", claim), horizon.position, horizon.said_by
            if second := verdict(history, claim_id, policy, as_of=as_of, said_by=said_by):
                ours = told(case, policy, claim, horizon)
                if second != ours:
                    return Difference(claim, policy.name, horizon, second, ours)
    return None


def told(case: Case, policy: Policy, claim: str, horizon: Horizon = NOW) -> Verdict:
    """Return our verdict as the second reading gives its own."""
    it = case.verdict(policy, horizon, on=claim)
    flags = frozenset(flag.value for flag in it.flags)
    because = it.because
    return Verdict(because.rule, it.state.value, flags, it.credibility, because.n, because.nd, because.od)


@rules
@given(history=everything, seed=SEEDS)
def test_both_readings_agree(new_case: type[Case], history: History, seed: int) -> None:
    """Whoever implements the rules from their page gets the state, the flags, the digit and the counts that we give."""
    assert difference(Stage(new_case, history[0]).play(history[1]), seed) is None


@rules
@given(seed=SEEDS)
def test_both_readings_agree_on_long_histories(new_case: type[Case], seed: int) -> None:
    """So they do where a few voices talk for long, at the end, at past positions, and by past times."""
    claim, steps = chance.history(seed)

    def differ(some: list[Step]) -> Difference | None:
        return difference(Stage(new_case, claim).play(some), seed)

    if differ(steps):
        steps = chance.least(steps, lambda some: differ(some) is not None)
        note(f"{claim}\n" + "\n".join(map(str, steps)))
    assert differ(steps) is None


@rules
@given(seed=SEEDS)
def test_what_would_change_a_state_changes_it(new_case: type[Case], seed: int) -> None:
    """Each suggestion, recorded, brings the claim to the state that was said, also by the second reading."""
    claim, steps = chance.history(seed)
    case, policy = Stage(new_case, claim).play(steps), Random(seed).choice(POLICIES)  # noqa: S311 - no secret
    world, history = case.world(policy), recorded(case)
    now, position = case.happened[-1].recorded_at + 1, case.happened[-1].position
    for claim_id in claims_of(case):
        if world.facts[claim_id].merged_into:
            continue
        for change in would_change_if(claim_id, world, now):
            after = [Recorded(position + n, now, event) for n, event in enumerate(change.events, 1)]
            then = verdict([*history, *after], claim_id, policy)
            assert then is not None
            assert (change.to, True) == (then.state, change.to != world.verdict(claim_id).state)
