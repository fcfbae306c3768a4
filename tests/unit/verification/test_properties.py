"""What holds for every history: the promises that the rules make, tried on histories that nobody thought of."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from events.words import Stance
from service.verification.in_force import Dossier
from service.verification.policy import STRICT_TWO_SOURCE, Verdict, evaluate
from service.verification.voices import POSITIONAL

if TYPE_CHECKING:
    from tests.unit.verification.conftest import Case

RED = ["red-gov", "red-mod", "red-leak", "red-friend"]
EVERYBODY = [*RED, "blue-gov", "blue-leak", "green-gov", "witness", "neighbour", "agency", "channel", "somebody"]
HEDGES = ["none", "likely", "possible"]
moments = st.sampled_from(["2024", "2024-01", "2024-01-24", "2024-01-25", "2024-01-24T08:15Z", "2023-12"])
figures = st.sampled_from([[], [{"measure": "killed", "value": 3}], [{"measure": "killed", "value": 4}]])
stances = st.sampled_from(list(Stance))
idle_stances = st.sampled_from([stance for stance in Stance if stance not in POSITIONAL])


def statements(
    speakers: list[str], rests_on: list[str], stance: st.SearchStrategy[Stance] = stances
) -> st.SearchStrategy[dict[str, Any]]:
    """Return statements that these speakers may make."""
    return st.fixed_dictionaries(
        {"speaker": st.sampled_from(speakers), "stance": stance, "said_at": moments},
        optional={
            "publisher": st.sampled_from(["agency", "outlet"]),
            "basis": st.sampled_from(["first_hand", "reporting"]),
            "hedge": st.sampled_from(HEDGES),
            "quantities": figures,
            "evidence_offered": st.sampled_from(["none", "described", "supplied"]),
            "rests_on": st.lists(st.sampled_from(rests_on), max_size=2, unique=True),
        },
    )


def exhibits(suppliers: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Return evidence that these suppliers may bring; an empty name is the desk's own find."""
    return st.fixed_dictionaries(
        {
            "bearing": st.sampled_from(["supports", "refutes", "context"]),
            "by": st.sampled_from(suppliers).map(lambda name: name or None),
            "authentic": st.booleans(),
        }
    )


claims = st.fixed_dictionaries(
    {},
    optional={
        "serves": st.sampled_from([None, [], ["red"], ["blue"], ["red", "blue"]]),
        "harms": st.sampled_from([None, [], ["red"], ["blue"]]),
        "hedge": st.sampled_from(HEDGES),
        "quantities": figures,
        "allies": st.sampled_from([{}, {"green": ["red"]}, {"red": ["blue"]}]),
    },
)
ANY = [f"source:{name}" for name in ("red-gov", "blue-gov", "witness", "somebody")] + ["evidence:film"]
histories = st.tuples(
    claims, st.lists(exhibits(["", "red-gov", "witness"]), max_size=3), st.lists(statements(EVERYBODY, ANY), max_size=8)
)
History = tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]


def told(new_case: type[Case], history: History) -> Case:
    """Return the case in which a history was recorded."""
    claim, shown, said = history
    case = new_case(**claim)
    case.source("red-friend", kind="person", parties=["red"])
    case.evidence(name="film", by="red-gov")
    for each in shown:
        case.evidence(**each)
    for each in said:
        case.says(**each)
    return case


one_side = st.tuples(
    claims,
    st.lists(exhibits(RED), max_size=3),
    st.lists(statements(RED, [f"source:{name}" for name in RED] + ["evidence:film"]), max_size=8),
)


@given(history=one_side)
def test_one_side_alone_never_corroborates(new_case: type[Case], history: History) -> None:
    """However many of a side speak, and whatever evidence they supply, they are one origin."""
    case = told(new_case, history)
    assert case.counts()[0] <= 1
    assert case.state() != "corroborated"


@given(history=histories, again=statements(EVERYBODY, ANY))
def test_a_repetition_changes_no_verdict(new_case: type[Case], history: History, again: dict[str, Any]) -> None:
    """Another publication of what was said already changes neither state nor origins, nor any flag."""
    case = told(new_case, history)
    case.says("witness", name="original")
    before = case.verdict()
    case.says(**again, repeats="original")
    after = case.verdict()
    assert _without_reasons(before) == _without_reasons(after)
    assert before.because.reasons == after.because.reasons


@given(history=histories, idle=statements(EVERYBODY, ANY, idle_stances))
def test_a_stance_without_a_position_never_changes_the_state(
    new_case: type[Case], history: History, idle: dict[str, Any]
) -> None:
    """Questions, comments, refusals and investigations are flagged at most; state, digit and origins stay."""
    case = told(new_case, history)
    before, counts = case.verdict(), case.counts()
    case.says(**idle)
    after = case.verdict()
    assert (before.state, before.credibility, before.because.reasons, counts) == (
        after.state,
        after.credibility,
        after.because.reasons,
        case.counts(),
    )


@given(history=histories, seed=st.integers())
def test_the_order_of_recording_does_not_matter(new_case: type[Case], history: History, seed: int) -> None:
    """The same statements of the same moments give the same verdict in whatever order the desk records them."""
    case = told(new_case, history)
    registered, *rest = (it.event for it in case.happened)
    Random(seed).shuffle(rest)  # noqa: S311 - an order, not a secret
    rest.sort(key=lambda event: event.TYPE == "evidence.authenticated")
    rest.sort(key=lambda event: event.TYPE != "evidence.added")
    shuffled = new_case()
    shuffled.happened.clear()
    for event in (registered, *rest):
        shuffled.record(event)
    other = evaluate(Dossier(shuffled.facts), case.context, STRICT_TWO_SOURCE)
    assert _without_reasons(case.verdict()) == _without_reasons(other)
    assert _as_sets(case.verdict()) == _as_sets(other)


@given(history=histories)
def test_a_corroborated_claim_has_two_origins_and_nobody_disinterested_against_it(
    new_case: type[Case], history: History
) -> None:
    """What is published as corroborated was never said by one origin, nor denied by a disinterested one."""
    verdict = told(new_case, history).verdict()
    if verdict.state == "corroborated":
        assert verdict.because.n >= 2
        assert verdict.because.od == 0
    assert verdict.because.nd <= verdict.because.n
    assert 1 <= verdict.credibility <= 6


def _without_reasons(verdict: Verdict) -> tuple[object, ...]:
    return (
        verdict.state,
        verdict.flags,
        verdict.credibility,
        verdict.because.rule,
        verdict.because.n,
        verdict.because.nd,
        verdict.because.od,
    )


def _as_sets(verdict: Verdict) -> dict[str, set[str]]:
    return {reason: set(named.ids) for reason, named in (verdict.because.reasons | verdict.because.excluded).items()}
