"""Sources: who stands behind one, and whether it has an interest in a claim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from events.identifiers import derived_id
from events.records import Claim, Source, Story
from events.words import SourceKind
from service.verification.sources import Interests, Side, SourceFacts, Sources, identity_of

if TYPE_CHECKING:
    from tests.unit.verification.conftest import Case


def registered(**said: dict[str, Any]) -> Sources:
    """Return sources by name; ``under`` names those that one answers to."""
    return Sources(
        {derived_id("source", name): (SourceFacts(0, 0, _source(name, each)),) for name, each in said.items()}
    )


def _source(name: str, said: dict[str, Any]) -> Source:
    upper = [derived_id("source", each) for each in said.get("under", [])]
    content = {"kind": said.get("kind", "government"), "parties": said.get("parties", []), "affiliated_to": upper}
    return msgspec.convert({"name": name} | content, Source)


def roots(sources: Sources, name: str) -> set[str]:
    """Return the names of a source's roots, of those that these tests use."""
    names = {derived_id("source", each): each for each in "abcdefg"}
    return {names[root] for root in sources[derived_id("source", name)].roots}


def parties(sources: Sources, name: str) -> set[str]:
    """Return the parties of a source."""
    return set(sources[derived_id("source", name)].parties)


def test_a_source_that_answers_to_nobody_is_its_own_root() -> None:
    """An unaffiliated source stands for itself, and has the parties that it names."""
    sources = registered(a={"parties": ["red", "pink"]}, b={})
    assert {"a"} == roots(sources, "a")
    assert {"red", "pink"} == parties(sources, "a")
    assert set() == parties(sources, "b")


def test_a_source_speaks_for_everybody_above_it() -> None:
    """Roots are at the top only; parties are gathered at every level on the way."""
    sources = registered(
        a={"parties": ["red"]}, b={"under": ["a"]}, c={"under": ["b"], "parties": ["army"]}, d={"under": ["c"]}
    )
    assert {"a"} == roots(sources, "d") == roots(sources, "b")
    assert {"red", "army"} == parties(sources, "d")
    assert {"red"} == parties(sources, "b")


def test_a_source_with_two_masters_has_the_roots_and_parties_of_both() -> None:
    """A joint body answers to both sides, also where the two lines meet again further up."""
    sources = registered(
        a={"parties": ["red"]},
        b={"parties": ["blue"]},
        c={"under": ["a"]},
        d={"under": ["c", "b"]},
        e={"under": ["a", "c"]},
    )
    assert {"a", "b"} == roots(sources, "d")
    assert {"red", "blue"} == parties(sources, "d")
    assert {"a"} == roots(sources, "e")


def test_what_is_below_a_source_says_nothing_of_it() -> None:
    """A ministry does not take on the parties of an agency that it runs."""
    sources = registered(a={}, b={"under": ["a"], "parties": ["red"]})
    assert set() == parties(sources, "a")


@pytest.mark.timeout(5)
def test_affiliations_in_a_circle_come_to_an_end() -> None:
    """Sources that answer to each other, which no command records, still have their parties and hang nobody."""
    sources = registered(
        a={"under": ["b"], "parties": ["red"]}, b={"under": ["a"], "parties": ["pink"]}, c={"under": ["c"]}
    )
    assert {"red", "pink"} == parties(sources, "a") == parties(sources, "b")
    assert set() == parties(sources, "c")


def test_marks_name_each_root_and_each_party() -> None:
    """A source's origin is recognised by its roots and its parties."""
    sources = registered(a={"parties": ["red"]}, b={"under": ["a"]})
    assert {f"root:{derived_id('source', 'a')}", "party:red"} == sources[derived_id("source", "b")].marks


@pytest.mark.parametrize("kind", SourceKind)
def test_only_anonymous_kinds_are_withheld_by_default(kind: SourceKind) -> None:
    """Whoever is not anonymous or on social media is named, unless the desk says otherwise."""
    expected = "withheld" if kind in {SourceKind.ANONYMOUS, SourceKind.SOCIAL_MEDIA} else "named"
    assert expected == identity_of(Source(name="x", kind=kind))
    for identity in ("named", "known_to_desk", "withheld"):
        assert identity == identity_of(msgspec.convert({"name": "x", "kind": kind, "identity": identity}, Source))


def interest(
    who: dict[str, Any],
    side: Side,
    *,
    serves: list[str] | None = None,
    harms: list[str] | None = None,
    allies: dict[str, list[str]] | None = None,
) -> str:
    """Return the interest of a source in a claim of a story between red and blue."""
    story = msgspec.convert({"title": "t", "parties": ["red", "blue"], "allies": allies or {}}, Story)
    said = {"story_id": derived_id("story", "s"), "text": "t"}
    said |= {name: value for name, value in (("serves", serves), ("harms", harms)) if value is not None}
    sources = registered(a=who)
    return Interests(msgspec.convert(said, Claim), story, sources).of_source(derived_id("source", "a"), side)


RED, BLUE, GREEN, NOBODY = ({"parties": each} for each in (["red"], ["blue"], ["green"], []))
BOTH = {"parties": ["red", "blue"]}
SERVES_RED, HARMS_BLUE = {"serves": ["red"], "harms": []}, {"serves": [], "harms": ["blue"]}
FOR_RED = {"serves": ["red"], "harms": ["blue"]}
ALLIED = {"green": ["red"]}

INTERESTS: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    # who, the claim and its story, its interest in supporting, its interest in opposing
    (RED, SERVES_RED, "interested", "disinterested"),
    (BLUE, HARMS_BLUE, "disinterested", "interested"),
    (BLUE, SERVES_RED, "disinterested", "disinterested"),
    (RED, HARMS_BLUE, "disinterested", "disinterested"),
    (RED, FOR_RED, "interested", "disinterested"),
    (BLUE, FOR_RED, "disinterested", "interested"),
    (BOTH, FOR_RED, "interested", "interested"),
    (RED, {"serves": ["red"], "harms": ["red"]}, "interested", "interested"),
    (GREEN, FOR_RED, "disinterested", "disinterested"),
    (NOBODY, FOR_RED, "disinterested", "disinterested"),
    (RED, {"serves": [], "harms": []}, "disinterested", "disinterested"),
    # unset reads as every party of the story
    (RED, {}, "interested", "interested"),
    (GREEN, {}, "disinterested", "disinterested"),
    (NOBODY, {}, "disinterested", "disinterested"),
    (BLUE, {"serves": ["red"]}, "disinterested", "interested"),
    (RED, {"serves": ["red"]}, "interested", "interested"),
    (RED, {"harms": []}, "interested", "disinterested"),
    (BLUE, {"serves": []}, "disinterested", "interested"),
    # allies speak where one's own parties are not touched, one step and one way
    (GREEN, FOR_RED | {"allies": ALLIED}, "interested", "disinterested"),
    (GREEN, FOR_RED | {"allies": {"green": ["blue"]}}, "disinterested", "interested"),
    (GREEN, FOR_RED | {"allies": {"green": ["red", "blue"]}}, "interested", "interested"),
    (GREEN, FOR_RED | {"allies": {"red": ["blue"]}}, "disinterested", "disinterested"),
    ({"parties": ["far"]}, FOR_RED | {"allies": {"far": ["blue"], "green": ["red"]}}, "disinterested", "interested"),
    (
        {"parties": ["far"]},
        {"serves": ["red"], "harms": [], "allies": {"far": ["blue"], "blue": ["red"]}},
        "disinterested",
        "disinterested",
    ),
    (RED, SERVES_RED | {"allies": {"blue": ["red"]}}, "interested", "disinterested"),
    (BLUE, SERVES_RED | {"allies": {"blue": ["red"]}}, "interested", "disinterested"),
    (BLUE, FOR_RED | {"allies": {"blue": ["red"]}}, "disinterested", "interested"),
    (RED, SERVES_RED | {"allies": {"red": ["blue"]}}, "interested", "disinterested"),
]


@pytest.mark.parametrize(("who", "claim", "supporting", "opposing"), INTERESTS)
def test_interest_follows_who_gains(who: dict[str, Any], claim: dict[str, Any], supporting: str, opposing: str) -> None:
    """A source is interested on the side that serves its party, or the party that it sides with."""
    assert (supporting, opposing) == (interest(who, "supports", **claim), interest(who, "opposes", **claim))


@pytest.mark.parametrize(("who", "claim", "supporting", "opposing"), INTERESTS)
def test_without_a_name_nobody_is_disinterested(
    who: dict[str, Any], claim: dict[str, Any], supporting: str, opposing: str
) -> None:
    """A withheld identity leaves interest as it is, and makes everything else undetermined."""
    hidden = who | {"kind": "anonymous"}
    expected = tuple("interested" if each == "interested" else "undetermined" for each in (supporting, opposing))
    assert expected == (interest(hidden, "supports", **claim), interest(hidden, "opposes", **claim))


def test_a_source_between_two_affiliates_of_a_party_inherits_its_interest(new_case: type[Case]) -> None:
    """Interest comes with the parties of whoever is above, not only with one's own."""
    case = new_case()
    case.source("desk", kind="person", affiliated_to=["red-mod"])
    interests = case.voices().interests
    assert interests.of_source(case.id_of("source", "desk"), "supports") == "interested"


@pytest.mark.parametrize(
    ("speaker", "rests_on", "expected"),
    [
        ("witness", [], "disinterested"),
        ("witness", ["source:neighbour"], "disinterested"),
        ("witness", ["source:red-gov"], "interested"),
        ("witness", ["source:neighbour", "source:red-gov"], "interested"),
        ("witness", ["source:somebody"], "undetermined"),
        ("witness", ["source:somebody", "source:red-gov"], "interested"),
        ("witness", ["source:blue-gov"], "disinterested"),
        ("red-gov", ["source:witness"], "interested"),
        ("blue-gov", [], "disinterested"),
        ("somebody", ["source:witness"], "undetermined"),
        ("red-leak", [], "interested"),
        ("blue-leak", [], "undetermined"),
        ("witness", ["evidence:from-red"], "interested"),
        ("witness", ["evidence:from-blue"], "disinterested"),
        ("witness", ["evidence:from-somebody"], "disinterested"),
        ("witness", ["evidence:from-nobody"], "disinterested"),
        ("somebody", ["evidence:from-red"], "interested"),
    ],
)
def test_a_statement_has_the_interest_of_whoever_it_rests_on(
    case: Case, speaker: str, rests_on: list[str], expected: str
) -> None:
    """A statement is as interested as its speaker, the sources it rests on, or who supplied its evidence."""
    case.evidence(name="from-red", by="red-mod")
    case.evidence(name="from-blue", by="blue-mod")
    case.evidence(name="from-somebody", by="somebody")
    case.evidence(name="from-nobody")
    case.says(speaker, rests_on=rests_on)
    (voice,) = case.voices().effective
    assert expected == voice.interest
