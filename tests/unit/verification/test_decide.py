"""Decide: what is refused and why, and when a claim's new state is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec import structs

from events import catalog, records, words
from events.catalog import ClaimStateChanged, Event
from events.identifiers import derived_id
from events.words import Policy
from service.verification import decide
from service.verification.fold import Happened, fold
from service.verification.in_force import Dossier
from service.verification.policy import ADMIRALTY, ENGINE, STRICT_TWO_SOURCE, evaluate, name_of
from service.verification.refusals import AlreadyRecorded, NotOnRecord, RuleBroken, UnknownReference
from service.verification.sources import SourceHistory

if TYPE_CHECKING:
    from tests.unit.verification.conftest import Case

NOW = 1_800_000_000_000_000


def decided(case: Case, *proposed: Event, policy: Policy = STRICT_TWO_SOURCE) -> tuple[Event, ...]:
    """Return what becomes of events proposed on the case's claim."""
    return case.decided(*proposed, policy=policy, now=NOW).events


def begun(case: Case, *proposed: Event) -> tuple[Event, ...]:
    """Return what becomes of events proposed where no claim is on record yet."""
    return decide.on_claims(proposed, structs.replace(case.world(), facts={}), NOW).events


def settle(case: Case, *proposed: Event, policy: Policy = STRICT_TWO_SOURCE) -> ClaimStateChanged | None:
    """Record events with the state change that follows from them, and return that, if there is one."""
    events = decided(case, *proposed, policy=policy)
    for event in events:
        case.record(event)
    return events[-1] if isinstance(events[-1], ClaimStateChanged) else None


def evidence(case: Case, **said: Any) -> Event:
    """Return a new piece of evidence."""
    content = {"kind": "video", "bearing": "supports", "description": "d"} | said
    return catalog.EvidenceAdded(
        claim_id=case.claim_id,
        evidence_id=case.id_of("evidence", "new"),
        evidence=msgspec.convert(content, records.Evidence),
    )


def authentication(case: Case, name: str) -> Event:
    """Return the authentication of a piece of evidence."""
    return catalog.EvidenceAuthenticated(
        claim_id=case.claim_id,
        evidence_id=case.id_of("evidence", name),
        authentication=records.Authentication(method="m", by=case.id_of("person", "p")),
    )


def absence(case: Case, **said: str) -> Event:
    """Return a note that no evidence was offered."""
    return catalog.EvidenceAbsenceNoted(claim_id=case.claim_id, absence=msgspec.convert(said, records.Absence))


def test_nothing_is_recorded_on_a_claim_that_is_not_there(case: Case) -> None:
    """Whatever is proposed first on an unknown claim is refused."""
    for event in (case.statement("witness"), evidence(case), authentication(case, "x"), absence(case)):
        with pytest.raises(NotOnRecord):
            begun(case, event)


def test_nobody_proposes_a_state(case: Case) -> None:
    """A state follows from what is recorded; no command may set it."""
    changed = settle(case, case.statement("witness"))
    assert changed is not None
    with pytest.raises(TypeError):
        decided(case, changed)


@pytest.mark.parametrize(
    ("allies", "names"),
    [({"red": ["red"]}, "red"), ({"red": ["blue", "green"]}, "green"), ({"far": ["green"]}, "green")],
)
def test_a_story_with_impossible_allies_is_refused(allies: dict[str, list[str]], names: str) -> None:
    """A party sides with other parties of the story; who sides with them need not be one."""
    said = {"title": "t", "parties": ["red", "blue"]}
    story_id = derived_id("story", "s")
    with pytest.raises(RuleBroken, match=names) as refused:
        decide.on_story(
            catalog.StoryOpened(story_id=story_id, story=msgspec.convert(said | {"allies": allies}, records.Story)), ()
        )
    assert f"/allies/{next(iter(allies))}" == refused.value.pointer
    fine = msgspec.convert(said | {"allies": {"far": ["red"], "red": ["blue"]}}, records.Story)
    opened = catalog.StoryOpened(story_id=story_id, story=fine)
    assert (opened,) == decide.on_story(opened, ())


def test_a_source_answers_to_known_sources_only(case: Case) -> None:
    """An affiliation to a source that is not on record is refused."""
    known, unknown = case.id_of("source", "red-gov"), case.id_of("source", "nobody")

    def registered(*upper: str) -> catalog.SourceRegistered:
        source = records.Source(name="x", kind=words.SourceKind.PERSON, affiliated_to=upper)
        return catalog.SourceRegistered(source_id=case.id_of("source", "x"), source=source)

    assert (registered(known),) == decide.on_source(registered(known), case.sources.now)
    with pytest.raises(UnknownReference, match=unknown) as refused:
        decide.on_source(registered(known, unknown), case.sources.now)
    assert refused.value.pointer == "/affiliated_to/1"
    with pytest.raises(UnknownReference):
        decide.on_source(registered(known), SourceHistory().now)


EVERYTHING = ("state", "flags", "credibility", "n", "nd", "od", "policy")


def test_a_state_is_recorded_with_the_claim_and_then_whenever_it_differs(new_case: type[Case]) -> None:
    """Each state change says from where to where, and exactly which parts differ."""
    case = new_case()
    registered = case.happened[0].event
    first = begun(case, registered)
    assert [event.TYPE for event in first] == [registered.TYPE, "claim.state_changed"]
    case.record(first[-1])
    changes = [
        first[-1],
        settle(case, case.statement("red-gov")),
        settle(case, case.statement("red-mod", evidence_offered="described")),
        settle(case, case.statement("witness")),
        settle(case, case.statement("neighbour", "denies")),
        settle(case, case.statement("blue-gov", "denies")),
        settle(case, case.statement("institute", "denies"), policy=Policy(name="strict-two-source", version=2)),
    ]
    told = [(it.from_, it.to.value, it.changed) for it in changes if isinstance(it, ClaimStateChanged)]
    assert told == [
        (None, "unverified", EVERYTHING),
        ("unverified", "unverified", ("flags", "n")),
        ("unverified", "unverified", ("flags",)),
        ("unverified", "corroborated", ("state", "flags", "credibility", "n", "nd")),
        ("corroborated", "contested", ("state", "credibility", "od")),
        ("contested", "contested", ("od", "policy")),
    ]


def test_nothing_is_recorded_beside_a_statement_that_changes_no_verdict(case: Case) -> None:
    """A comment, a repetition or one more voice of the same side leaves the recorded state as it is."""
    assert settle(case, case.statement("red-gov", name="said")) is not None
    for said in (
        case.statement("witness", "comments"),
        case.statement("outlet", repeats="said"),
        case.statement("red-gov", said_at="2001"),
        case.statement("red-mod", "confirms"),
    ):
        assert (said,) == decided(case, said)


def test_a_state_change_names_the_policy_and_the_engine(case: Case) -> None:
    """A recorded verdict can be traced to the policy and the code that gave it."""
    changed = settle(case, case.statement("witness"))
    assert changed is not None
    assert (name_of(STRICT_TWO_SOURCE), ENGINE, case.claim_id) == (changed.policy, changed.engine, changed.claim_id)
    verdict = case.verdict()
    assert (verdict.state, verdict.flags, verdict.because) == (changed.to, changed.flags, changed.because)


def test_a_state_change_on_hundreds_of_statements_stays_small_and_counts_all(case: Case) -> None:
    """However much was said, a state change has at most 8 KiB: it names fewer, and its totals stay."""
    for n in range(200):
        for kind, stance in enumerate(("asserts", "partially_confirms", "denies", "partially_denies")):
            case.source(f"person-{n}-{kind}", kind="person", reliability="E" if n % 2 else None)
            case.says(f"person-{n}-{kind}", stance)
            case.says(f"person-{n}-{kind}", stance)
        case.says("somebody", publisher=f"outlet-{n}")
        case.says("outlet", repeats="said-2")
        case.evidence(authentic=True)
        case.evidence("refutes", authentic=True)
    changed = settle(case, case.statement("witness", "denies"))
    assert changed is not None
    assert len(msgspec.json.encode(changed)) <= 8 * 1024
    totals = {reason: told.total for reason, told in (changed.because.reasons | changed.because.excluded).items()}
    assert totals == {
        "full_support": 400,
        "partial_support": 200,
        "denial": 201,
        "partial_denial": 200,
        "supporting_evidence": 200,
        "refuting_evidence": 200,
        "repeats": 200,
        "superseded": 800,
        "unattributed": 200,
        "grade_excluded": 400,
    }
    assert all(told.ids for told in changed.because.reasons.values())


def test_the_recorded_state_is_the_one_that_the_recorded_history_gives(case: Case) -> None:
    """The events of one command have one recorded time: undated, they were said together, also when decided on."""
    *events, changed = decided(case, case.statement("witness", name="a"), case.statement("witness", "denies", name="b"))
    history = [*case.happened, *(Happened(event, n, NOW) for n, event in enumerate(events, start=2))]
    facts = fold(None, history)
    assert facts is not None
    assert isinstance(changed, ClaimStateChanged)
    verdict = evaluate(Dossier(facts), case.context, STRICT_TWO_SOURCE)
    assert (verdict.state, verdict.flags, verdict.because) == (changed.to, changed.flags, changed.because)


def test_what_is_decided_comes_after_everything_that_it_was_decided_on(case: Case) -> None:
    """An assessment made after a source or the story changed judged the claim with the change."""
    case.says("red-gov")
    case.says("witness")
    for change in ({"parties": ["blue"]}, {"parties": ["red"]}):
        case.update_source("witness", **change)
    for allies in ({}, {"green": ["red"]}):
        case.update_story(allies=allies)
    changed = settle(case, case.assessment())
    assert changed is not None
    assert "needs_review" not in changed.flags


def test_a_change_on_one_claim_is_recorded_on_every_claim_that_it_changes(case: Case) -> None:
    """The claim that speaks for it, and its parts or those that speak for them, each have their state brought up."""
    for name in ("whole", "member", "part", "elsewhere"):
        case.claim(name)
    case.says("witness", on="member", name="said")
    case.split({"part": ["said"]}, on="member")
    case.merge("member", into="whole")
    case.merge("part", into="elsewhere")
    for claim in ("whole", "elsewhere"):
        (changed,) = decide.reassessed(case.id_of("claim", claim), case.world())
        case.record(changed)
    events = decided(case, case.withdrawal("said", on="member"))
    told = {event.claim_id: event.to.value for event in events if isinstance(event, ClaimStateChanged)}
    assert told == {case.id_of("claim", name): "withdrawn" for name in ("whole", "elsewhere")}


def test_a_merged_claim_has_no_state(case: Case) -> None:
    """While it is merged none is recorded on it, and when it is not any more, its own is, as if for the first time."""
    case.claim("other")
    case.says("witness", on="other")
    assert settle(case, case.statement("neighbour", on="other")) is not None
    merge = catalog.ClaimMerged(claim_id=case.id_of("claim", "other"), merge=records.Merge(into=case.claim_id))
    changed = settle(case, merge)
    assert changed is not None
    assert (case.claim_id, "corroborated") == (changed.claim_id, changed.to.value)
    assert decide.reassessed(case.id_of("claim", "other"), case.world()) == ()
    unmerge = catalog.ClaimUnmerged(
        claim_id=case.id_of("claim", "other"), out_of=case.claim_id, unmerge=records.Unmerge()
    )
    told = [event for event in decided(case, unmerge) if isinstance(event, ClaimStateChanged)]
    assert {(case.id_of("claim", "other"), None, "corroborated"), (case.claim_id, "corroborated", "unverified")} == {
        (event.claim_id, event.from_ and event.from_.value, event.to.value) for event in told
    }


def test_a_verdict_is_brought_up_to_date_only_if_it_is_not(case: Case) -> None:
    """After a source changed, its claims' states are recorded anew where they differ."""
    settle(case, case.statement("witness", name="a"), case.statement("neighbour", name="b"))
    assert decide.reassessed(case.claim_id, case.world()) == ()
    case.update_source("neighbour", affiliated_to=["witness"])
    (changed,) = decide.reassessed(case.claim_id, case.world())
    assert isinstance(changed, ClaimStateChanged)
    assert (changed.from_, changed.to) == ("corroborated", "unverified")
    assert changed.changed == ("state", "flags", "credibility", "n", "nd")
    case.record(changed)
    assert decide.reassessed(case.claim_id, case.world()) == ()
    (changed,) = decide.reassessed(case.claim_id, case.world(ADMIRALTY))
    assert isinstance(changed, ClaimStateChanged)
    assert changed.changed == ("credibility", "n", "nd", "policy")


def test_events_of_one_command_are_seen_in_their_order(case: Case) -> None:
    """A later event of a command may name what an earlier one of it records."""
    shown = evidence(case)
    said = case.statement("witness", rests_on=["evidence:new"])
    assert [shown, said] == list(decided(case, shown, said))[:2]
    with pytest.raises(UnknownReference):
        decided(case, said, shown)
    with pytest.raises(AlreadyRecorded):
        decided(case, shown, shown)
