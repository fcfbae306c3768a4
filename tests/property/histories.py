"""Histories that nobody thought of, for the promises of the rules to be tried on.

A history is a list of proposals, decided on one after the other as a service would; what is refused is left out.
``ONRECORD_TEST_EXAMPLES`` says how many histories each promise is tried on: 100 unless it is set.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from events import catalog, records
from events.words import Stance
from service.verification.fold import Happened
from service.verification.policy import Verdict
from service.verification.voices import POSITIONAL

if TYPE_CHECKING:
    from tests.unit.verification.conftest import Case

EXAMPLES = int(os.environ.get("ONRECORD_TEST_EXAMPLES", "100"))
rules = settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])

Op = dict[str, Any]
Step = tuple[str, Op]
IDS = ("c", "d", "e")
"""The claims of every history."""
RED = ["red-gov", "red-mod", "red-leak", "red-friend", "green-gov", "green-friend"]
"""One side: a party, those that speak for it, and its ally."""
EVERYBODY = [*RED, "blue-gov", "blue-leak", "witness", "neighbour", "agency", "channel", "somebody"]
THINGS = st.integers(0, 7)
"""Which of the statements, or of whatever else there is, counted from the last."""
claim_ids = st.sampled_from(["c", "c", "c", "d", "e"])
moments = st.sampled_from(
    [
        "2022-12",
        "2023",
        "2023-01",
        "2023-01-24",
        "2023-01-25",
        "2023-01-24T08:15Z",
        "2023-01-24T08:15:30Z",
        "2023-02",
        None,
        None,
    ]
)
hedges = st.sampled_from(["none", "none", "likely", "possible"])
values = st.sampled_from([3, 3.3, 4])
figure = st.one_of(
    st.fixed_dictionaries({"measure": st.just("killed"), "value": st.integers(3, 4)}),
    st.fixed_dictionaries(
        {
            "measure": st.sampled_from(["killed", "killed", "hurt"]),
            "value": values,
            "qualifier": st.sampled_from(["exactly", "about", "at_least", "more_than", "at_most", "fewer_than"]),
            "unit": st.sampled_from([None, None, "people"]),
            "as_at": st.sampled_from([None, None, "2023-01", "2023-02"]),
        }
    ),
    st.fixed_dictionaries(
        {"measure": st.just("killed"), "qualifier": st.just("range"), "low": st.just(3), "high": values}
    ),
)
figures = st.one_of(st.just([]), st.lists(figure, max_size=2))
positional = st.sampled_from(list(POSITIONAL))
stances = st.one_of(positional, positional, st.sampled_from(list(Stance)))
idle = st.sampled_from([stance for stance in Stance if stance not in POSITIONAL])
parties = st.sampled_from([None, [], ["red"], ["blue"], ["red", "blue"]])


def ops(do: str, **members: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    """Return proposals of one kind."""
    return st.fixed_dictionaries(members).map(lambda said: (do, said))


def statements(speakers: list[str], stance: st.SearchStrategy[Stance] = stances) -> st.SearchStrategy[Step]:
    """Return statements that these speakers may make; ``rests_on`` names sources, or evidence by its number."""
    return ops(
        "says",
        on=claim_ids,
        speaker=st.sampled_from(speakers),
        stance=stance,
        said_at=moments,
        published_at=moments,
        publisher=st.sampled_from([None, "agency", "outlet"]),
        basis=st.sampled_from(["unstated", "first_hand", "reporting"]),
        hedge=hedges,
        quantities=figures,
        evidence_offered=st.sampled_from(["none", "described", "supplied"]),
        rests_on=st.one_of(st.just([]), st.lists(st.one_of(st.sampled_from(speakers), st.integers(0, 2)), max_size=2)),
        repeats=st.one_of(st.none(), st.none(), st.none(), THINGS),
    )


def amendments(speakers: list[str]) -> list[st.SearchStrategy[Step]]:
    """Return what may become of statements and evidence."""
    by = st.sampled_from(["speaker", "publisher", "silent"])
    after = st.one_of(
        st.fixed_dictionaries({"stance": stances}),
        st.fixed_dictionaries({"hedge": hedges}),
        st.fixed_dictionaries({"quantities": figures}),
        st.fixed_dictionaries({"speaker": st.sampled_from(speakers)}),
        st.fixed_dictionaries({"said_at": moments}),
        st.fixed_dictionaries({"published_at": moments, "basis": st.sampled_from(["unstated", "first_hand"])}),
        st.fixed_dictionaries({"rests_on": st.lists(st.sampled_from(speakers).map("source:{}".format), max_size=1)}),
        st.fixed_dictionaries({"evidence_offered": st.sampled_from(["none", "described", "supplied"])}),
    )
    return [
        ops("correct", which=THINGS, by=by, at=moments, after=after),
        ops("withdraw", which=THINGS, by=by, at=moments),
        ops("authenticate", which=THINGS),
        ops("challenge", which=THINGS, by=st.sampled_from([None, "blue-gov"])),
        ops("void", kind=st.sampled_from(["statement", "evidence"]), which=THINGS),
    ]


def exhibits(suppliers: list[str | None]) -> st.SearchStrategy[Step]:
    """Return evidence that these suppliers may bring; no name is the desk's own find."""
    return ops(
        "shows",
        on=claim_ids,
        bearing=st.sampled_from(["supports", "supports", "refutes", "context"]),
        by=st.sampled_from(suppliers),
        authentic=st.booleans(),
        derived_from=st.one_of(st.none(), st.none(), THINGS),
        public=moments,
    )


asks: list[st.SearchStrategy[Step]] = [
    ops("absence", on=claim_ids),
    ops("ask", on=claim_ids),
    ops("publish", on=claim_ids),
]
desk: list[st.SearchStrategy[Step]] = [
    ops("assess", on=claim_ids, verdict=st.sampled_from(["verified", "refuted", "misleading", "unverifiable"])),
    ops("revoke", which=st.integers(0, 1)),
    ops("void", kind=st.just("assessment"), which=st.integers(0, 1)),
]
puts: list[st.SearchStrategy[Step]] = [
    ops("update", on=claim_ids, changes=st.fixed_dictionaries({"serves": parties, "harms": parties})),
    ops("update", on=claim_ids, changes=st.fixed_dictionaries({"hedge": hedges, "quantities": figures})),
    ops("update", on=claim_ids, changes=st.fixed_dictionaries({"text": st.sampled_from(["It is so.", "Otherwise."])})),
    ops("update", on=claim_ids, changes=st.fixed_dictionaries({"tags": st.sampled_from([[], ["losses"]])})),
    ops("update", on=claim_ids, changes=st.fixed_dictionaries({"declared_by": st.sampled_from([None, "red-leak"])})),
    ops(
        "update",
        on=st.just("c"),
        changes=st.fixed_dictionaries(
            {
                "quantities": st.lists(figure, min_size=1, max_size=1),
                "sum_of": st.sampled_from([{}, {"d": "killed"}, {"d": "killed", "e": "killed"}]),
            }
        ),
    ),
]
around: list[st.SearchStrategy[Step]] = [
    ops(
        "grade",
        name=st.sampled_from(EVERYBODY),
        letter=st.sampled_from([None, "A", "B", "D", "E"]),
        topic=st.sampled_from([None, None, "losses", "weather"]),
    ),
    ops(
        "source",
        name=st.sampled_from(EVERYBODY),
        changes=st.one_of(
            st.fixed_dictionaries({"parties": st.sampled_from([[], ["red"], ["blue"], ["green"]])}),
            st.fixed_dictionaries({"affiliated_to": st.lists(st.sampled_from(EVERYBODY), max_size=1)}),
            st.fixed_dictionaries({"identity": st.sampled_from([None, "named", "known_to_desk", "withheld"])}),
            st.fixed_dictionaries({"kind": st.sampled_from(["person", "outlet", "social_media", "anonymous"])}),
        ),
    ),
    ops("story", allies=st.sampled_from([{}, {"green": ["red"]}, {"red": ["blue"]}])),
    ops("story", parties=st.sampled_from([["red", "blue"], ["red", "blue", "green"]])),
]
merges: list[st.SearchStrategy[Step]] = [
    ops("merge", name=st.sampled_from(IDS), into=st.sampled_from(IDS), inverted=st.booleans()),
    ops("unmerge", name=st.sampled_from(IDS)),
    ops("split", on=st.sampled_from(IDS), into=st.sampled_from(IDS), which=st.lists(THINGS, min_size=1, max_size=2)),
]
talk = [statements(EVERYBODY), statements(EVERYBODY), exhibits([None, "red-gov", "witness"])]
beginnings = st.fixed_dictionaries(
    {
        "serves": parties,
        "harms": parties,
        "hedge": hedges,
        "quantities": figures,
        "declared_by": st.sampled_from([None, "red-mod"]),
        "tags": st.sampled_from([[], ["losses"]]),
    }
)


def histories(*kinds: st.SearchStrategy[Step], most: int = 14) -> st.SearchStrategy[tuple[Op, list[Step]]]:
    """Return what the claim says, and proposals of these kinds."""
    return st.tuples(beginnings, st.lists(st.one_of(*kinds), min_size=1, max_size=most))


everything = histories(*talk, *talk, *amendments(EVERYBODY), *asks, *desk, *puts, *around, *merges)
without_merges = histories(*talk, *talk, *amendments(EVERYBODY), *asks, *puts, *around)
History = tuple[Op, list[Step]]


class Stage:
    """A case on which proposals are decided on, as a service would."""

    def __init__(self, new_case: type[Case], claim: Op, **story: Any) -> None:
        self.case = new_case(**claim, **story)
        self.case.source("red-friend", kind="person", parties=["red"])
        self.case.source("green-friend", kind="person", affiliated_to=["green-gov"])
        for name in ("d", "e"):
            self.case.claim(name, serves=["red"], harms=["blue"])
        self.said: list[tuple[str, str]] = []
        self.shown: list[tuple[str, str]] = []
        self.judged: list[tuple[str, str]] = []

    def play(self, steps: list[Step]) -> Case:
        """Propose one thing after the other, and return the case."""
        for do, said in steps:
            getattr(self, f"_{do}")(**said)
        return self.case

    def _says(self, on: str, speaker: str, rests_on: list[str | int], repeats: int | None, **said: Any) -> None:
        shown = [key for key, claim in self.shown if claim == on]
        named = [
            f"source:{each}" if isinstance(each, str) else shown[-1 - each % len(shown)]
            for each in rests_on
            if isinstance(each, str) or shown
        ]
        original = _pick([key for key, claim in self.said if claim == on], repeats)
        more = {"repeats": original} if original else {}
        content = {member: value for member, value in said.items() if value is not None}
        event = self.case.statement(speaker, content.pop("stance"), on=on, rests_on=named, **content, **more)
        if self.case.act(event):
            self.said.append((event.statement_id, on))

    def _shows(self, on: str, derived_from: int | None, *, authentic: bool, **said: Any) -> None:
        first = _pick([key for key, claim in self.shown if claim == on], derived_from)
        event = self.case.shown(on=on, derived_from=first, **said)
        if self.case.act(event):
            self.shown.append((event.evidence_id, on))
            if authentic:
                self.case.act(self.case.authentication(event.evidence_id, on=on))

    def _correct(self, which: int, by: str, at: str | None, after: Op) -> None:
        for key, on in _picked(self.said, which):
            self.case.act(self.case.correction(key, by=by, at=at, on=on, **after))

    def _withdraw(self, which: int, by: str, at: str | None) -> None:
        for key, on in _picked(self.said, which):
            self.case.act(self.case.withdrawal(key, by=by, at=at, on=on))

    def _authenticate(self, which: int) -> None:
        for key, on in _picked(self.shown, which):
            self.case.act(self.case.authentication(key, on=on))

    def _challenge(self, which: int, by: str | None) -> None:
        for key, on in _picked(self.shown, which):
            self.case.act(self.case.challenged(key, by, on=on))

    def _void(self, kind: str, which: int) -> None:
        things = {"statement": self.said, "evidence": self.shown, "assessment": self.judged}[kind]
        for key, on in _picked(things, which):
            self.case.act(self.case.voiding(key, on=on))

    def _absence(self, on: str) -> None:
        self.case.act(catalog.EvidenceAbsenceNoted(claim_id=self.case.id_of("claim", on), absence=records.Absence()))

    def _ask(self, on: str) -> None:
        self.case.act(self.case.inquiry("red-gov", name=f"asked-{len(self.case.happened)}", on=on))

    def _publish(self, on: str) -> None:
        self.case.act(self.case.publication(on, name=f"text-{len(self.case.happened)}"))

    def _assess(self, on: str, verdict: str) -> None:
        event = self.case.assessment(verdict, on=on)
        if self.case.act(event):
            self.judged.append((event.assessment_id, on))

    def _revoke(self, which: int) -> None:
        for key, on in _picked(self.judged, which):
            self.case.act(self.case.revocation(key, on=on))

    def _update(self, on: str, changes: Op) -> None:
        self.case.act(self.case.updated(on, **changes))

    def _grade(self, name: str, letter: str | None, topic: str | None = None) -> None:
        self.case.grade(name, letter, topic)

    def _source(self, name: str, changes: Op) -> None:
        upper = [self.case.id_of("source", each) for each in changes.get("affiliated_to", ())]
        if not any(self.case.id_of("source", name) in self.case.sources.now.above(each) for each in upper):
            self.case.update_source(name, **changes)

    def _story(self, **changes: Any) -> None:
        self.case.update_story(**changes)

    def _merge(self, name: str, into: str, *, inverted: bool) -> None:
        merge = records.Merge(into=self.case.id_of("claim", into), inverted=inverted)
        self.case.act(catalog.ClaimMerged(claim_id=self.case.id_of("claim", name), merge=merge))

    def _unmerge(self, name: str) -> None:
        claim_id = self.case.id_of("claim", name)
        self.case.act(catalog.ClaimUnmerged(claim_id=claim_id, out_of=claim_id, unmerge=records.Unmerge()))

    def _split(self, on: str, into: str, which: list[int]) -> None:
        said = {key for n in which for key, claim in _picked(self.said, n) if claim == on}
        if said:
            self.case.act(self.case.splits({into: sorted(said)}, on=on))


def _pick(keys: list[str], which: int | None) -> str | None:
    return keys[-1 - which % len(keys)] if keys and which is not None else None


def _picked(things: list[tuple[str, str]], which: int) -> list[tuple[str, str]]:
    return [things[-1 - which % len(things)]] if things else []


def stands(verdict: Verdict) -> tuple[object, ...]:
    """Return where a claim stands, without which statements brought it there."""
    it = verdict.because
    return (verdict.state, verdict.flags, verdict.credibility, it.rule, it.n, it.nd, it.od)


def told(verdict: Verdict) -> tuple[object, ...]:
    """Return where a claim stands and because of what, in whatever order that was recorded."""
    reasons = (verdict.because.reasons, verdict.because.excluded)
    return (*stands(verdict), [{reason: {*it.ids} for reason, it in named.items()} for named in reasons])


def replayed(new_case: type[Case], case: Case, happenings: list[Happened]) -> Case:
    """Return a case with the same sources and stories at the beginning, in which these things happened."""
    other = new_case(allies=dict(case.story[0].story.allies))
    other.happened.clear()
    other.source("red-friend", kind="person", parties=["red"])
    other.source("green-friend", kind="person", affiliated_to=["green-gov"])
    for it in happenings:
        other.record(it.event, it.recorded_at)
    return other


def claims_of(case: Case) -> list[str]:
    """Return the claims of a case."""
    return [it.event.claim_id for it in case.happened if isinstance(it.event, catalog.ClaimRegistered)]


def proposed(case: Case) -> list[Happened]:
    """Return what was recorded, without the states that followed."""
    return [it for it in case.happened if not isinstance(it.event, catalog.ClaimStateChanged)]
