"""What the rules promise for every history, tried on histories that nobody thought of."""

from __future__ import annotations

import asyncio
import contextlib
from fractions import Fraction
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from events import catalog, records, words
from events.envelope import Entry, streams_of
from events.ledger import Ledger
from service.verification import decide
from service.verification.commands import Caller, Recorder
from service.verification.decide import World
from service.verification.facts import Horizon
from service.verification.fold import Happened, fold, happened
from service.verification.in_force import Dossier
from service.verification.policy import evaluate
from service.verification.quantities import disjoint_from_sum, range_of
from service.verification.refusals import Refusal
from service.verification.voices import POSITIONAL
from tests.property.histories import (
    EVERYBODY,
    IDS,
    RED,
    THINGS,
    History,
    Op,
    Stage,
    Step,
    amendments,
    asks,
    claim_ids,
    claims_of,
    everything,
    exhibits,
    figures,
    hedges,
    histories,
    idle,
    merges,
    ops,
    proposed,
    replayed,
    rules,
    stands,
    statements,
    talk,
    told,
    without_merges,
)

if TYPE_CHECKING:
    from tests.unit.verification.conftest import Case

# ----------------------------------------------------------------------------------------------- promises

ONE_SIDE = histories(
    *[statements(RED), statements(RED), exhibits(list(RED))] * 2,
    *amendments(RED),
    *asks,
    ops("update", on=claim_ids, changes=st.fixed_dictionaries({"hedge": hedges, "quantities": figures})),
    ops("grade", name=st.sampled_from(RED), letter=st.sampled_from([None, "A", "E"])),
    *merges,
)


@rules
@given(
    history=ONE_SIDE,
    harms=st.sampled_from([["blue"], []]),
    parties_=st.sampled_from([["red", "blue"], ["red", "blue", "green"]]),
)
def test_one_side_alone_never_corroborates(
    new_case: type[Case], history: History, harms: list[str], parties_: list[str]
) -> None:
    """A party, those that answer to it, its allies, and all the evidence that they bring, are not enough."""
    claim = {"hedge": history[0]["hedge"], "serves": ["red"], "harms": harms}
    case = Stage(new_case, claim, allies={"green": ["red"]}, parties=parties_).play(history[1])
    for name in IDS:
        assert case.state(on=name) != "corroborated"


@rules
@given(history=everything, again=statements(EVERYBODY), at=st.integers(0, 30), which=THINGS)
def test_a_repetition_changes_neither_state_nor_origins_nor_flags(
    new_case: type[Case], history: History, again: Step, at: int, which: int
) -> None:
    """Another publication of what was said already can be recorded at any time."""
    case = Stage(new_case, history[0]).play(history[1])
    said = [it.event for it in case.happened if isinstance(it.event, catalog.StatementRecorded)]
    originals = [each for each in said if each.statement.repeats is None]
    assume(originals)
    original = originals[which % len(originals)]
    events = proposed(case)
    first = next(n for n, it in enumerate(events) if it.event is original)
    repeat = case.statement(again[1]["speaker"], again[1]["stance"], said_at=again[1]["said_at"], name="again")
    content = msgspec.structs.replace(repeat.statement, repeats=original.statement_id)
    it = Happened(
        msgspec.structs.replace(repeat, claim_id=original.claim_id, statement=content), 0, events[first].recorded_at
    )
    n = first + 1 + at % (len(events) - first)
    other = replayed(new_case, case, [*events[:n], it, *events[n:]])
    for claim_id in claims_of(case):
        assert stands(case.verdict(on=claim_id)) == stands(other.verdict(on=claim_id))


@rules
@given(history=everything, relays=st.lists(st.sampled_from(EVERYBODY), min_size=1, max_size=3), which=THINGS)
def test_who_passed_a_statement_on_changes_nothing(
    new_case: type[Case], history: History, relays: list[str], which: int
) -> None:
    """A relay is never an origin, has no interest, and no grade that matters."""
    case = Stage(new_case, history[0]).play(history[1])
    events = proposed(case)
    said = [n for n, it in enumerate(events) if isinstance(it.event, catalog.StatementRecorded)]
    assume(said)
    n = said[which % len(said)]
    event = events[n].event
    assert isinstance(event, catalog.StatementRecorded)
    relayed = msgspec.structs.replace(event.statement, relay_ids=tuple(case.id_of("source", each) for each in relays))
    events[n] = Happened(msgspec.structs.replace(event, statement=relayed), 0, events[n].recorded_at)
    other = replayed(new_case, case, events)
    for claim_id in claims_of(case):
        assert case.verdict(on=claim_id) == other.verdict(on=claim_id)


@rules
@given(history=everything, said=statements(EVERYBODY, idle), at=st.integers(0, 30))
def test_a_stance_without_a_position_never_changes_the_state(
    new_case: type[Case], history: History, said: Step, at: int
) -> None:
    """Questions, comments, refusals and investigations are flagged at most; state, digit and origins stay."""
    case = Stage(new_case, history[0]).play(history[1])
    events = proposed(case)
    more = {member: said[1][member] for member in ("hedge", "said_at", "basis", "evidence_offered", "quantities")}
    event = case.statement(said[1]["speaker"], said[1]["stance"], on=said[1]["on"], name="idle", **more)
    n = 3 + at % (len(events) - 2)
    other = replayed(new_case, case, [*events[:n], Happened(event, 0, events[n - 1].recorded_at), *events[n:]])
    for claim_id in claims_of(case):
        before, after = case.verdict(on=claim_id), other.verdict(on=claim_id)
        assert (before.state, before.credibility, before.because.n, before.because.nd, before.because.od) == (
            after.state, after.credibility, after.because.n, after.because.nd, after.because.od,
        )  # fmt: skip


ANY_ORDER = histories(*talk, *talk, *(each for each in amendments(EVERYBODY)[:2]), *asks[:1], most=12)


@rules
@given(history=ANY_ORDER, seed=st.integers())
def test_the_order_of_recording_does_not_matter(new_case: type[Case], history: History, seed: int) -> None:
    """What was said and taken back on the same days gives the same verdict, whenever the desk records it.

    The defaults that depend on the time of recording aside: everything is dated here.
    """
    case = Stage(new_case, history[0]).play([_dated(step) for step in history[1]])
    begun, rest = proposed(case)[:3], proposed(case)[3:]
    order = list(range(len(rest)))
    Random(seed).shuffle(order)  # noqa: S311 - an order, not a secret
    corrected: dict[str, list[int]] = {}
    for n, it in enumerate(rest):
        if isinstance(it.event, catalog.StatementCorrected):
            corrected.setdefault(it.event.statement_id, []).append(n)
    for several in corrected.values():  # corrections of one statement stay in their order
        places = sorted(order.index(n) for n in several)
        for place, n in zip(places, several, strict=True):
            order[place] = n
    shuffled = sorted((rest[n] for n in order), key=lambda it: not it.event.TYPE.endswith(("recorded", "added")))
    other = replayed(new_case, case, [*begun, *shuffled])
    for claim_id in claims_of(case):
        assert told(case.verdict(on=claim_id)) == told(other.verdict(on=claim_id))


def _dated(step: Step) -> Step:
    do, said = step
    after = {"after": _dated(("", said["after"]))[1]} if "after" in said else {}
    dates = {member: said[member] or "2023-01-20" for member in ("said_at", "at", "public") if member in said}
    return do, said | dates | after


VOIDABLE: dict[str, Any] = {
    "statement": statements(EVERYBODY),
    "evidence": exhibits([None, "red-gov"]),
    "assessment": ops("assess", on=claim_ids, verdict=st.sampled_from(["verified", "unverifiable"])),
}


@pytest.mark.parametrize("kind", VOIDABLE)
@rules
@given(history=everything, data=st.data(), at=st.integers(0, 30), after=st.integers(0, 30))
def test_voiding_is_the_inverse_of_recording(
    new_case: type[Case], history: History, kind: str, data: st.DataObject, at: int, after: int
) -> None:
    """Whatever was recorded by mistake, and made of it until it was voided, leaves nothing behind."""
    case = Stage(new_case, history[0]).play(history[1])
    events = proposed(case)
    _, said = data.draw(VOIDABLE[kind])
    on = said["on"]
    made: list[Any]
    if kind == "statement":
        event = case.statement(said["speaker"], said["stance"], on=on, said_at=said["said_at"], name="x")
        made = [event, case.correction("x", on=on, hedge="likely"), case.withdrawal("x", on=on, by="speaker")]
    elif kind == "evidence":
        made = [case.shown(said["bearing"], by=said["by"], on=on, name="x"), case.authentication("x", on=on)]
        made.append(case.challenged("x", on=on))
    else:
        made = [case.assessment(said["verdict"], on=on, name="x"), case.revocation("x", on=on)]
    made = made[: data.draw(st.integers(1, len(made)))]
    n = 3 + at % (len(events) - 2)
    m = n + after % (len(events) - n + 1)
    then = events[n - 1].recorded_at
    mistaken = [Happened(event, 0, then) for event in made]
    void = Happened(case.voiding(f"{kind}:x", on=on), 0, events[m - 1].recorded_at)
    other = replayed(new_case, case, [*events[:n], *mistaken, *events[n:m], void, *events[m:]])
    for claim_id in claims_of(case):
        assert case.verdict(on=claim_id) == other.verdict(on=claim_id)


@rules
@given(history=without_merges, inverted=st.booleans(), at=st.integers(0, 30), after=st.integers(0, 30))
def test_unmerging_is_the_inverse_of_merging(
    new_case: type[Case],
    history: History,
    inverted: bool,  # noqa: FBT001 - drawn
    at: int,
    after: int,
) -> None:
    """What was recorded meanwhile stays where it was recorded, and both claims stand where they would have stood."""
    case = Stage(new_case, history[0]).play(history[1])
    events = proposed(case)
    n = 3 + at % (len(events) - 2)
    m = n + after % (len(events) - n + 1)
    claim_id, into = case.id_of("claim", "d"), case.claim_id
    merge = catalog.ClaimMerged(claim_id=claim_id, merge=records.Merge(into=into, inverted=inverted))
    unmerge = catalog.ClaimUnmerged(claim_id=claim_id, out_of=into, unmerge=records.Unmerge())
    there, back = (Happened(event, 0, events[k - 1].recorded_at) for event, k in ((merge, n), (unmerge, m)))
    other = replayed(new_case, case, [*events[:n], there, *events[n:m], back, *events[m:]])
    for each in claims_of(case):
        assert case.verdict(on=each) == other.verdict(on=each)


@rules
@given(history=everything, at=st.integers(0, 60))
def test_looking_back_shows_what_there_was(new_case: type[Case], history: History, at: int) -> None:
    """At a past position stands what the events until then give: with its sources, its story, its sums and merges."""
    case = Stage(new_case, history[0]).play(history[1])
    position = 3 + at % (len(case.happened) - 2)
    then = replayed(new_case, case, case.happened[:position])
    for claim_id in claims_of(case):
        assert then.verdict(on=claim_id) == case.verdict(horizon=Horizon(position), on=claim_id)
        held, was = case.in_force(Horizon(position), on=claim_id), then.in_force(on=claim_id)
        assert (was.claim, [*was.statements], was.evidence, was.corrected) == (
            held.claim, [*held.statements], held.evidence, held.corrected,
        )  # fmt: skip


@rules
@given(history=everything)
def test_every_recorded_state_is_the_one_that_there_was(new_case: type[Case], history: History) -> None:
    """A recorded verdict is that of its position, whatever is recorded later; what is brought up to date stays so."""
    case = Stage(new_case, history[0]).play(history[1])
    assert_states(case.happened, case.world())
    changes = [it.event for it in case.happened if isinstance(it.event, catalog.ClaimStateChanged)]
    for change in changes:
        assert change.changed
    for claim_id, facts in case.world().facts.items():
        if facts.last and not facts.merged_into:
            (*again,) = decide.reassessed(claim_id, case.world())
            for event in again:
                case.record(event)
            assert not decide.reassessed(claim_id, case.world())


def assert_states(happenings: list[Happened], world: World) -> None:
    """Check every state that was recorded against the verdict at its position."""
    for it in happenings:
        change = it.event
        if isinstance(change, catalog.ClaimStateChanged):
            facts = world.facts[change.claim_id]
            dossier, context = Dossier(facts, world.facts), world.context(facts.claim)
            verdict = evaluate(dossier, context, world.policy, Horizon(it.position))
            because = change.because
            assert (verdict.state, verdict.flags, verdict.credibility, because.n, because.nd, because.od) == (
                change.to, change.flags, change.credibility,
                verdict.because.n, verdict.because.nd, verdict.because.od,
            )  # fmt: skip


@rules
@given(history=everything)
def test_a_corroborated_claim_has_two_origins_and_nobody_disinterested_against_it(
    new_case: type[Case], history: History
) -> None:
    """What is published as corroborated was never said by one origin, nor denied by a disinterested one."""
    case = Stage(new_case, history[0]).play(history[1])
    for name in IDS:
        verdict = case.verdict(on=name)
        if verdict.state == "corroborated":
            assert verdict.because.n >= 2
            assert verdict.because.od == 0
        assert verdict.because.nd <= verdict.because.n
        assert 1 <= verdict.credibility <= 6


# --------------------------------------------------------------------------------------------------- sums

values = st.integers(0, 4)
terms = st.one_of(
    st.builds(
        lambda qualifier, value: words.Quantity(
            measure="m", qualifier=qualifier, value=value + (qualifier == "fewer_than")
        ),
        st.sampled_from(["exactly", "at_least", "more_than", "at_most", "fewer_than"]),
        values,
    ),
    st.builds(lambda value: words.Quantity(measure="m", qualifier="about", value=10 * value), values),
    st.builds(
        lambda low, more: words.Quantity(measure="m", qualifier="range", low=low, high=low + more), values, values
    ),
)
_FINE = 8
_MOST = 90


def least_and_most(figure: words.Quantity) -> tuple[Fraction, Fraction]:
    """Return the least and the greatest of the eighths up to ninety that a figure allows."""
    allowed = range_of(figure)
    eighths = [Fraction(n, _FINE) for n in range(_MOST * _FINE + 1)]
    inside = [each for each in eighths if allowed.lo <= (each, 0) <= allowed.hi]
    return inside[0], inside[-1]


@rules
@given(total=terms, parts=st.lists(terms, min_size=1, max_size=3))
def test_a_sum_disagrees_if_no_values_of_its_terms_make_it(total: words.Quantity, parts: list[words.Quantity]) -> None:
    """Eighths can be found within every term that add up to one within the total, unless they disagree."""
    ends = [least_and_most(part) for part in parts]
    least, most = (sum(each, Fraction(0)) for each in zip(*ends, strict=True))
    low, high = least_and_most(total)
    assert (least > high or low > most) == disjoint_from_sum(total, parts, 0.10)


@pytest.mark.parametrize(
    ("total", "parts", "agrees"),
    [
        ("74", ["65", "6", "3"], True),
        ("74", ["65", "6", "4"], False),
        ("73", ["65", "6", "3"], False),
        ("74", ["65", "6", "2-3"], True),
        ("74", ["60-64", "6", "3"], False),
        ("about 74", ["65", "6", "2"], True),
        ("about 74", ["50", "6", "3"], False),
        ("at_least 70", ["65", "6", "3"], True),
        ("at_least 75", ["65", "6", "3"], False),
        ("more_than 74", ["65", "6", "3"], False),
        ("74", ["at_least 65", "6", "3"], True),
        ("74", ["more_than 65", "6", "3"], False),
        ("74", ["more_than 64", "6", "3"], True),
        ("74", ["at_least 66", "6", "3"], False),
        ("74", ["fewer_than 65", "6", "3"], False),
        ("74", ["at_most 65", "6", "3"], True),
        ("fewer_than 74", ["65", "6", "3"], False),
        ("at_most 74", ["65", "6", "more_than 3"], False),
        ("70-74", ["65", "6", "about 3"], True),
    ],
)
def test_seventy_four_are_sixty_five_six_and_three(
    new_case: type[Case],
    total: str,
    parts: list[str],
    agrees: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """The claim's figure is held against the sum of its terms, ranges and qualifiers included."""

    def figure(said: str) -> Op:
        qualifier, _, value = said.rpartition(" ")
        low, dash, high = value.partition("-")
        if dash:
            return {"measure": "killed", "qualifier": "range", "low": int(low), "high": int(high)}
        return {"measure": "killed", "qualifier": qualifier or "exactly", "value": int(value)}

    case = new_case(quantities=[figure(total)])
    case.sums(*map(figure, parts))
    assert agrees == ("figures_disagree" not in case.flags())


# ---------------------------------------------------------------------------------------- a real recorder

VOICES = ("red-gov", "red-mod", "blue-gov", "witness", "neighbour", "somebody", "agency")


def caller() -> Caller:
    """Return the caller of a command that was never given before."""
    key = uuid4().hex
    return Caller("key_test", key, key * 2)


async def prepared(case: Case, recorder: Recorder) -> None:
    """Put a case's story, its sources and its claims on a ledger."""
    await recorder.on_story(catalog.StoryOpened(story_id=case.story_id, story=case.story[0].story), caller())
    for name in VOICES:
        source_id = case.id_of("source", name)
        source = case.sources.now.source(source_id)
        await recorder.on_source(catalog.SourceRegistered(source_id=source_id, source=source), caller())
    for name in IDS:
        await recorder.on_claim([case.registered(name, serves=["red"], harms=["blue"])], caller())


def at_once(case: Case, chance: Random, round_: int, said: list[tuple[str, str]]) -> list[catalog.Event]:
    """Return what is proposed at the same time: statements, amendments, a judgement, and a merge or its end."""
    events: list[catalog.Event] = [case.assessment("refuted", name=f"judged-{round_}")]
    for old, on in chance.sample(said, min(8, len(said))):
        amendments_ = [
            case.withdrawal(old, on=on),
            case.voiding(f"statement:{old}", on=on),
            case.correction(old, on=on, stance="denies", speaker=chance.choice(VOICES)),
        ]
        events.append(chance.choice(amendments_))
    for n in range(10):
        key, on = f"{round_}-{n}", chance.choice(IDS)
        events.append(case.statement(chance.choice(VOICES), chance.choice(list(POSITIONAL)), on=on, name=key))
        said.append((key, on))
    claim_id = case.id_of("claim", "d")
    if round_ % 2:
        merge = records.Merge(into=case.claim_id, inverted=bool(round_ & 2))
        return [*events, catalog.ClaimMerged(claim_id=claim_id, merge=merge)]
    return [*events, catalog.ClaimUnmerged(claim_id=claim_id, out_of=claim_id, unmerge=records.Unmerge())]


async def everything_on(ledger: Ledger) -> list[Happened]:
    """Return all that a ledger holds."""
    entries: list[Entry] = []
    while page := await ledger.read(after=len(entries)):
        entries += page
    return [happened(entry) for entry in entries]


@pytest.mark.parametrize("seed", range(4))
async def test_concurrent_commands_record_the_states_that_there_were(
    new_case: type[Case], ledger: Ledger, recorder: Recorder, seed: int
) -> None:
    """Many writers on a few claims, through two services at once: each recorded state is that of its position."""
    case, services, chance = new_case(), [recorder, Recorder(ledger)], Random(seed)  # noqa: S311 - no secret
    await prepared(case, recorder)

    async def propose(event: catalog.Event) -> None:
        service = chance.choice(services)
        with contextlib.suppress(Refusal):
            if isinstance(event, catalog.SourceGraded):
                await service.on_source(event, caller())
            else:
                await service.on_claim([event], caller())

    said: list[tuple[str, str]] = []
    for round_ in range(4):
        grade = records.Grade(reliability=chance.choice(["A", "E"]), rationale="r", by=case.id_of("person", "p"))
        graded = catalog.SourceGraded(source_id=case.id_of("source", chance.choice(VOICES)), grade=grade)
        events = [*at_once(case, chance, round_, said), graded]
        chance.shuffle(events)
        await asyncio.gather(*map(propose, events))
    happenings = await everything_on(ledger)
    for name in IDS:
        claim_id = case.id_of("claim", name)
        world, _ = await Recorder(ledger).reader.world(claim_id)
        assert_states([it for it in happenings if getattr(it.event, "claim_id", None) == claim_id], world)
        assert fold(None, (it for it in happenings if claim_id in streams_of(it.event))) == world.facts[claim_id]
