"""Policies: where a claim stands, by which rule, with which digit, and because of what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import methodcaller
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from events.words import Mentions, Policy
from service.verification.policy import STRICT_TWO_SOURCE, evaluate, name_of

if TYPE_CHECKING:
    from tests.unit.verification.conftest import Case

Step = Callable[[Any], object]
says = partial(methodcaller, "says")
shows = partial(methodcaller, "evidence")
assess = partial(methodcaller, "assess")
challenge = partial(methodcaller, "challenge")
grade = partial(methodcaller, "grade")
withdraw = partial(methodcaller, "withdraw")
on_24, on_25 = {"said_at": "2024-01-24"}, {"said_at": "2024-01-25"}
void = partial(methodcaller, "void")
disputed = [
    shows(name="film"),
    shows(name="other"),
    challenge("film"),
]
film, forgery = shows(authentic=True), shows("refutes", authentic=True)

STANDS: list[tuple[list[Step], str, int, tuple[int, int, int]]] = [
    # what was recorded, where the claim stands, its digit, and n, nd, od
    ([], "unverified", 6, (0, 0, 0)),
    ([says("witness")], "unverified", 3, (1, 1, 0)),
    ([says("red-gov")], "unverified", 6, (1, 0, 0)),
    ([says("blue-gov")], "unverified", 3, (1, 1, 0)),
    ([says("blue-leak")], "unverified", 6, (1, 0, 0)),
    ([says("somebody"), says("agency"), says("channel")], "unverified", 6, (0, 0, 0)),
    ([says("witness", "partially_confirms"), says("neighbour", "partially_confirms")], "unverified", 6, (0, 0, 0)),
    ([says("witness", "partially_denies")], "unverified", 6, (0, 0, 1)),
    ([shows()], "unverified", 6, (0, 0, 0)),
    ([film], "unverified", 3, (1, 1, 0)),
    ([shows(by="red-gov", authentic=True)], "unverified", 6, (1, 0, 0)),
    ([shows("refutes")], "unverified", 6, (0, 0, 0)),
    ([shows("context", authentic=True)], "unverified", 6, (0, 0, 0)),
    # corroborated: two origins, one of them disinterested, nobody disinterested against
    ([says("witness"), says("neighbour")], "corroborated", 1, (2, 2, 0)),
    ([says("witness"), film], "corroborated", 1, (2, 2, 0)),
    ([film, shows(authentic=True)], "corroborated", 1, (2, 2, 0)),
    ([says("red-gov"), says("witness")], "corroborated", 2, (2, 1, 0)),
    ([says("red-gov"), says("blue-gov")], "corroborated", 2, (2, 1, 0)),
    ([says("red-gov"), says("blue-leak")], "unverified", 6, (2, 0, 0)),
    ([says("red-gov"), says("somebody")], "unverified", 6, (1, 0, 0)),
    ([says("witness"), says("neighbour"), says("blue-gov", "denies")], "corroborated", 2, (2, 2, 0)),
    ([says("witness"), says("neighbour"), says("blue-gov", "partially_denies")], "corroborated", 2, (2, 2, 0)),
    ([says("witness"), says("neighbour"), says("red-leak", "denies")], "corroborated", 2, (2, 2, 0)),
    ([says("witness"), says("neighbour"), says("agency", "denies")], "corroborated", 2, (2, 2, 0)),
    ([says("witness"), says("neighbour"), shows("refutes")], "corroborated", 1, (2, 2, 0)),
    # contested: support against denial, or evidence against it
    ([says("witness"), says("neighbour"), says("institute", "denies")], "contested", 4, (2, 2, 1)),
    ([says("witness"), says("neighbour"), says("institute", "partially_denies")], "contested", 4, (2, 2, 1)),
    ([says("witness"), says("neighbour"), says("red-gov", "denies")], "contested", 4, (2, 2, 1)),
    ([says("witness"), says("neighbour"), forgery], "contested", 4, (2, 2, 1)),
    ([says("witness"), says("blue-gov", "denies")], "contested", 3, (1, 1, 0)),
    ([says("red-gov"), says("blue-gov", "denies")], "contested", 6, (1, 0, 0)),
    ([says("red-gov"), says("witness", "denies")], "contested", 4, (1, 0, 1)),
    ([says("red-gov"), says("witness", "denies"), says("neighbour", "denies")], "contested", 5, (1, 0, 2)),
    ([says("institute"), says("witness", "denies"), says("neighbour", "denies")], "contested", 4, (1, 1, 2)),
    ([says("witness", "partially_confirms"), says("blue-gov", "partially_denies")], "contested", 6, (0, 0, 0)),
    ([says("agency"), says("channel", "denies")], "contested", 6, (0, 0, 0)),
    ([film, says("blue-gov", "denies")], "contested", 3, (1, 1, 0)),
    ([forgery], "contested", 4, (0, 0, 1)),
    ([forgery, shows("refutes", authentic=True)], "contested", 5, (0, 0, 2)),
    ([shows("refutes", by="blue-gov", authentic=True)], "contested", 4, (0, 0, 1)),
    # denied: denials alone
    ([says("witness", "denies")], "denied", 5, (0, 0, 1)),
    ([says("blue-gov", "denies")], "denied", 6, (0, 0, 0)),
    ([says("somebody", "denies")], "denied", 6, (0, 0, 0)),
    ([says("witness", **on_24), says("witness", "denies", **on_25)], "denied", 5, (0, 0, 1)),
    ([shows(), says("witness", "denies")], "denied", 5, (0, 0, 1)),
    # the status of evidence is the later of its authentication and the desk's challenge
    ([shows(name="film", authentic=True), challenge("film")], "unverified", 6, (0, 0, 0)),
    ([shows(name="film", authentic=True), challenge("film", "red-gov")], "unverified", 3, (1, 1, 0)),
    ([shows("refutes", name="film", authentic=True), challenge("film")], "unverified", 6, (0, 0, 0)),
    ([shows("refutes", name="film", authentic=True), challenge("film", "red-gov")], "contested", 4, (0, 0, 1)),
    ([shows(name="film"), challenge("film"), methodcaller("authenticate", "film")], "unverified", 3, (1, 1, 0)),
    # a statement of which all that it rests on is challenged does not count, and is support or denial still
    ([*disputed, says("witness", rests_on=["evidence:film"])], "unverified", 6, (0, 0, 0)),
    ([*disputed, says("witness", rests_on=["evidence:film", "evidence:other"])], "unverified", 3, (1, 1, 0)),
    ([*disputed, says("witness", rests_on=["evidence:film", "source:neighbour"])], "unverified", 3, (1, 1, 0)),
    ([*disputed, says("witness", "denies", rests_on=["evidence:film"])], "denied", 6, (0, 0, 0)),
    ([*disputed, says("witness", rests_on=["evidence:film"]), says("blue-gov", "denies")], "contested", 6, (0, 0, 0)),
    (
        [shows(name="film"), challenge("film", "red-gov"), says("witness", rests_on=["evidence:film"])],
        "unverified",
        3,
        (1, 1, 0),
    ),
    # withdrawn: nobody stands by it any more
    ([says("witness", name="said"), withdraw("said")], "withdrawn", 6, (0, 0, 0)),
    ([says("witness", name="said"), withdraw("said"), forgery], "withdrawn", 6, (0, 0, 1)),
    ([says("witness", name="said"), says("red-gov"), withdraw("said")], "unverified", 6, (1, 0, 0)),
    # assessed: the latest judgement, over everything
    ([says("witness", name="said"), withdraw("said"), assess("misleading")], "misleading", 4, (0, 0, 0)),
    ([assess("verified"), assess("refuted", name="judged"), void("assessment:judged")], "verified", 1, (0, 0, 0)),
    ([assess("verified")], "verified", 1, (0, 0, 0)),
    ([says("witness"), says("neighbour"), assess("misleading")], "misleading", 4, (2, 2, 0)),
    ([film, assess("refuted")], "refuted", 5, (1, 1, 0)),
    ([says("witness", "denies"), assess("unverifiable")], "unverifiable", 6, (0, 0, 1)),
    ([assess("verified"), assess("refuted"), says("witness")], "refuted", 5, (1, 1, 0)),
]


@pytest.mark.parametrize(("steps", "state", "digit", "counts"), STANDS)
def test_a_claim_stands_where_the_first_rule_that_matches_says(
    case: Case, steps: Sequence[Step], state: str, digit: int, counts: tuple[int, int, int]
) -> None:
    """State, digit and the numbers of origins are those of the tables."""
    for step in steps:
        step(case)
    verdict = case.verdict()
    assert (state, digit, counts) == (verdict.state.value, verdict.credibility, case.counts())
    assert ("assessed" if case.facts.assessments else state) == verdict.because.rule


THREE = ("red", "blue", "green")
AGREEMENTS: list[tuple[dict[str, Any], list[Step], str]] = [
    ({}, [says("red-gov"), says("blue-gov")], "corroborated"),
    ({}, [says("red-mod"), says("blue-mod"), says("red-leak")], "corroborated"),
    ({}, [says("red-leak"), says("blue-gov")], "unverified"),
    ({}, [says("red-leak"), says("blue-leak")], "unverified"),
    ({"allies": {"red": ["blue"]}}, [says("red-gov"), says("blue-gov")], "unverified"),
    ({"allies": {"blue": ["red"]}}, [says("red-gov"), says("blue-gov")], "unverified"),
    ({}, [says("red-gov"), says("red-mod")], "unverified"),
    ({}, [says("red-gov", rests_on=["source:blue-mod"]), says("blue-gov")], "unverified"),
    ({"allies": {"green": ["blue"]}}, [says("red-gov"), says("green-gov")], "unverified"),
    ({"allies": {"green": ["blue"]}, "parties": THREE}, [says("red-gov"), says("green-gov")], "corroborated"),
    ({"allies": {"blue": ["red"]}, "parties": THREE}, [says("red-gov"), says("blue-gov")], "unverified"),
    (
        {"allies": {"blue": ["red"]}, "parties": THREE},
        [says("red-gov"), says("blue-gov"), says("green-gov")],
        "corroborated",
    ),
    ({}, [says("red-gov"), says("blue-gov", hedge="likely")], "unverified"),
    ({}, [says("red-gov"), says("blue-gov"), says("witness", "denies")], "contested"),
    ({}, [says("red-gov"), says("blue-gov"), says("green-gov", "denies")], "contested"),
]


@pytest.mark.parametrize(("claim", "steps", "expected"), AGREEMENTS)
def test_adversaries_who_agree_corroborate_and_allies_do_not(
    new_case: type[Case], claim: dict[str, Any], steps: Sequence[Step], expected: str
) -> None:
    """Where everybody is interested, two named sides that are not allied in either direction are believed together."""
    case = new_case(serves=None, harms=None, **claim)
    for step in steps:
        step(case)
    assert expected == case.state()
    assert case.counts()[1] == 0


def test_a_policy_may_do_without_adverse_agreement(new_case: type[Case]) -> None:
    """A desk that trusts no agreement of interested sides says so in its policy."""
    case = new_case(serves=None, harms=None)
    case.says("red-gov")
    case.says("blue-gov")
    assert case.state(Policy(name="stricter", adverse_agreement=False)) == "unverified"


@pytest.mark.parametrize(("min_origins", "expected"), [(1, "corroborated"), (2, "corroborated"), (3, "unverified")])
def test_a_policy_says_how_many_origins_it_wants(case: Case, min_origins: int, expected: str) -> None:
    """Two origins are enough for two, and not for three."""
    case.says("witness")
    case.says("neighbour")
    assert expected == case.state(Policy(name="counting", min_origins=min_origins))


PERMISSIVE = Policy(name="permissive-tracker", refuting_evidence="refutes", single_source_grades=("A", "B"))
ADMIRALTY = Policy(name="admiralty", countable_grades=("A", "B", "C"))
GRADED: list[tuple[Policy, list[Step], str]] = [
    (PERMISSIVE, [forgery], "refuted"),
    (PERMISSIVE, [forgery, says("witness"), says("neighbour")], "refuted"),
    (PERMISSIVE, [forgery, film], "contested"),
    (PERMISSIVE, [forgery, shows()], "refuted"),
    (PERMISSIVE, [shows("refutes"), says("witness")], "unverified"),
    (PERMISSIVE, [forgery, assess("verified")], "verified"),
    (PERMISSIVE, [says("person-A")], "corroborated"),
    (PERMISSIVE, [says("person-B")], "corroborated"),
    (PERMISSIVE, [says("person-C")], "unverified"),
    (PERMISSIVE, [says("witness")], "unverified"),
    (PERMISSIVE, [says("person-A", hedge="possible")], "unverified"),
    (PERMISSIVE, [says("person-A", rests_on=["source:red-gov"])], "unverified"),
    (PERMISSIVE, [says("outlet-A")], "unverified"),
    (PERMISSIVE, [says("outlet-A", basis="first_hand")], "corroborated"),
    (PERMISSIVE, [says("person-A"), says("blue-gov", "denies")], "corroborated"),
    (PERMISSIVE, [says("person-A"), says("witness", "denies")], "contested"),
    (ADMIRALTY, [says("witness"), says("neighbour")], "unverified"),
    (ADMIRALTY, [says("person-A"), says("witness")], "unverified"),
    (ADMIRALTY, [says("person-A"), says("person-C")], "corroborated"),
    (ADMIRALTY, [says("person-A"), says("person-D")], "unverified"),
    (ADMIRALTY, [says("person-A"), says("person-E")], "unverified"),
    (ADMIRALTY, [says("person-A"), says("person-F")], "unverified"),
    (ADMIRALTY, [says("person-A"), says("person-C"), says("witness", "denies")], "corroborated"),
    (ADMIRALTY, [says("person-A"), says("person-C"), says("person-B", "denies")], "contested"),
    (ADMIRALTY, [says("person-A"), film], "corroborated"),
    (PERMISSIVE, [says("witness", name="said"), withdraw("said"), forgery], "withdrawn"),
    (PERMISSIVE, [says("witness", "denies", name="said"), withdraw("said"), forgery], "refuted"),
    (PERMISSIVE, [shows("refutes", name="film", authentic=True), challenge("film"), says("witness")], "unverified"),
    (PERMISSIVE, [forgery, shows(name="film", authentic=True), challenge("film")], "refuted"),
    (PERMISSIVE, [grade("witness", "A"), says("witness")], "corroborated"),
    (PERMISSIVE, [grade("witness", "A", "ours"), says("witness")], "corroborated"),
    (PERMISSIVE, [grade("witness", "A", "theirs"), says("witness")], "unverified"),
    (PERMISSIVE, [grade("witness", "A"), grade("witness", "D", "ours"), says("witness")], "unverified"),
    (PERMISSIVE, [grade("witness", "D", "ours"), grade("witness", "A", "ours"), says("witness")], "corroborated"),
    (PERMISSIVE, [grade("witness", "A", "ours"), grade("witness", "D", "also"), says("witness")], "unverified"),
    (PERMISSIVE, [grade("witness", "A", "ours"), grade("witness", "D"), says("witness")], "corroborated"),
    (PERMISSIVE, [grade("witness", "A"), grade("witness", None), says("witness")], "unverified"),
    (PERMISSIVE, [grade("red-gov", "A"), says("red-gov")], "unverified"),
    (PERMISSIVE, [grade("blue-leak", "A"), says("blue-leak")], "unverified"),
    (PERMISSIVE, [grade("blue-gov", "A"), says("blue-gov")], "corroborated"),
    (PERMISSIVE, [says("person-A"), forgery], "refuted"),
    (PERMISSIVE, [says("person-A"), forgery, film], "contested"),
    (PERMISSIVE, [film], "unverified"),
    (PERMISSIVE, [shows(name="film"), challenge("film"), says("person-A", rests_on=["evidence:film"])], "unverified"),
    (ADMIRALTY, [grade("witness", "B"), grade("neighbour", "C"), says("witness"), says("neighbour")], "corroborated"),
    (ADMIRALTY, [grade("witness", "B"), says("witness"), says("neighbour", "denies")], "contested"),
    (ADMIRALTY, [film, shows(authentic=True)], "corroborated"),
    (STRICT_TWO_SOURCE, [says("witness"), says("neighbour"), grade("neighbour", "E")], "unverified"),
    (STRICT_TWO_SOURCE, [says("witness"), says("neighbour"), grade("neighbour", "E", "ours")], "unverified"),
    (STRICT_TWO_SOURCE, [says("person-A")], "unverified"),
    (STRICT_TWO_SOURCE, [says("person-D"), says("person-F")], "corroborated"),
    (STRICT_TWO_SOURCE, [says("person-A"), says("person-E")], "unverified"),
    (STRICT_TWO_SOURCE, [says("person-A"), says("person-B"), says("person-E", "denies")], "corroborated"),
]


@pytest.mark.parametrize(("policy", "steps", "expected"), GRADED)
def test_other_policies_weigh_grades_and_evidence_their_way(
    case: Case, policy: Policy, steps: Sequence[Step], expected: str
) -> None:
    """The same rules with other parameters: a permissive tracker, an Admiralty desk, and the default beside them."""
    for letter in "ABCDEF":
        case.source(f"person-{letter}", kind="person", reliability=letter)
    case.source("outlet-A", kind="outlet", reliability="A")
    case.update(tags=["ours", "also"])
    for step in steps:
        step(case)
    assert expected == case.state(policy)


def test_what_is_refuted_by_evidence_is_improbable(case: Case) -> None:
    """A permissive tracker's refuted has the digit of any refuted claim."""
    forgery(case)
    assert case.verdict(PERMISSIVE).credibility == 5


@pytest.mark.parametrize("allies", [{}, {"usa": ["ukraine"]}, {"usa": ["ukraine", "poland"]}])
def test_przewodow_stays_contested(new_case: type[Case], allies: dict[str, list[str]]) -> None:
    """An unnamed US official and Kyiv say a Russian missile hit Poland, Moscow denies: contested, not corroborated."""
    case = new_case(parties=["russia", "ukraine", "poland"], allies=allies, serves=["ukraine"], harms=["russia"])
    case.source("us-official", kind="anonymous", parties=["usa"])
    case.source("ap", kind="news_agency")
    case.source("kyiv", kind="government", parties=["ukraine"])
    case.source("moscow", kind="government", parties=["russia"])
    case.says("us-official", publisher="ap", said_at="2022-11-15T18:40Z")
    case.says("kyiv", said_at="2022-11-15T20:00Z")
    assert case.state() == "unverified"
    case.says("moscow", "denies", said_at="2022-11-15T19:00Z")
    assert case.state() == "contested"
    assert case.verdict().credibility == 6
    assert case.counts() == (2, 0, 0)
    assert {"unnamed_source", "denied_by_interested_party"} <= case.flags()


def test_a_verdict_names_what_it_rests_on_and_what_it_left_out(case: Case) -> None:
    """Every statement and authenticated piece of evidence is under its reason, each exclusion under its own."""
    case.source("gossip", kind="person", reliability="E")
    replaced = case.says("witness", **on_24)
    full, partly = case.says("witness", **on_25), case.says("neighbour", "partially_confirms")
    no, partly_no = case.says("blue-gov", "denies", name="no"), case.says("blue-mod", "partially_denies")
    repeat = case.says("outlet", "denies", repeats="no")
    nobody, gossip = case.says("somebody"), case.says("gossip")
    shown, refuting = film(case), forgery(case)
    shows()(case)
    case.says("institute", "comments")
    judged = case.assess()
    one = {"full_support": (full, nobody, gossip), "partial_support": (partly,), "denial": (no,)}
    two = {"partial_denial": (partly_no,), "supporting_evidence": (shown,), "refuting_evidence": (refuting,)}
    reasons = one | two | {"assessment": (judged,)}
    out = {"repeats": (repeat,), "superseded": (replaced,), "unattributed": (nobody,), "grade_excluded": (gossip,)}
    assert {reason: Mentions(ids, len(ids)) for reason, ids in reasons.items()} == case.verdict().because.reasons
    assert {reason: Mentions(ids, len(ids)) for reason, ids in out.items()} == case.verdict().because.excluded


def test_a_reason_names_twenty_and_counts_all(case: Case) -> None:
    """A verdict on hundreds of statements stays short, and says how many there are."""
    said = [case.says("witness") for _ in range(25)]
    assert Mentions((said[-1],), 1) == case.verdict().because.reasons["full_support"]
    for n in range(24):
        case.source(f"person-{n}", kind="person")
        said.append(case.says(f"person-{n}"))
    assert Mentions(tuple(said[24:44]), 25) == case.verdict().because.reasons["full_support"]
    assert Mentions(tuple(said[:20]), 24) == case.verdict().because.excluded["superseded"]


def test_the_same_facts_give_the_same_verdict(case: Case) -> None:
    """Evaluating changes nothing."""
    case.says("witness")
    case.assess()
    case.says("blue-gov", "denies")
    dossier, context = case.dossier, case.context
    before = msgspec.json.encode(dossier.facts)
    assert evaluate(dossier, context, STRICT_TWO_SOURCE) == evaluate(dossier, context, STRICT_TWO_SOURCE)
    assert before == msgspec.json.encode(dossier.facts)


def test_a_policy_is_known_by_its_name_its_version_and_its_hash() -> None:
    """Any other parameter gives another hash; the same parameters always give the same one."""
    named = name_of(STRICT_TWO_SOURCE)
    assert (named.name, named.version, len(named.hash)) == ("strict-two-source", 1, 64)
    assert named == name_of(Policy(name="strict-two-source"))
    others = [Policy(name="strict-two-source", **change) for change in ({"version": 2}, {"about_tolerance": 0.2})]
    assert len({named.hash, *(name_of(other).hash for other in others)}) == 3
