"""A claim to try the rules on: say what was recorded in a few words, and ask where it stands.

The story's parties are ``red`` and ``blue``; unless a test says otherwise the claim serves red and harms blue.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

import msgspec
import pytest

from events import catalog, records
from events.catalog import Event
from events.envelope import streams_of
from events.identifiers import Kind, derived_id
from events.records import Claim, Source, Story
from events.words import Policy
from service.verification.context import Context, StoryFacts, fold_story
from service.verification.decide import Decision, World, on_claims
from service.verification.facts import NOW, Facts, Horizon
from service.verification.fold import Happened, fold
from service.verification.in_force import Dossier, InForce
from service.verification.policy import STRICT_TWO_SOURCE, Verdict, evaluate
from service.verification.refusals import Refusal
from service.verification.sources import SourceFacts, SourceHistory, fold_source
from service.verification.voices import Voices

CAST: dict[str, dict[str, Any]] = {
    "red-gov": {"kind": "government", "parties": ["red"]},
    "red-mod": {"kind": "government", "affiliated_to": ["red-gov"]},
    "red-leak": {"kind": "anonymous", "affiliated_to": ["red-gov"]},
    "blue-gov": {"kind": "government", "parties": ["blue"]},
    "blue-mod": {"kind": "government", "affiliated_to": ["blue-gov"]},
    "blue-leak": {"kind": "anonymous", "affiliated_to": ["blue-gov"]},
    "green-gov": {"kind": "government", "parties": ["green"]},
    "witness": {"kind": "person"},
    "neighbour": {"kind": "person"},
    "institute": {"kind": "research"},
    "agency": {"kind": "news_agency"},
    "outlet": {"kind": "outlet"},
    "channel": {"kind": "social_media"},
    "somebody": {"kind": "anonymous"},
}
"""Sources that every case has, by the names that tests use."""

PERSON = derived_id("person", "p")
DECIDED_AT = 1_800_000_000_000_000
"""When proposals are decided on; after everything that a case records."""
_START = 1_700_000_000_000_000
_STEP = 1_000_000
_NAMED: dict[str, Kind] = {"publisher": "source", "repeats": "statement", "inquiry": "inquiry"}


class Case:
    """A claim with others beside it, their story and their sources, and everything recorded so far.

    Things are named by words; ``id_of`` gives their identifiers, and wherever a name is wanted an identifier does as
    well. Each recording is a second after the last. What is recorded on another claim than ``c`` is so with ``on``.
    """

    def __init__(
        self, *, allies: dict[str, list[str]] | None = None, parties: Sequence[str] = ("red", "blue"), **claim: object
    ) -> None:
        story = msgspec.convert({"title": "A story", "parties": list(parties), "allies": allies or {}}, Story)
        self.story_id = self.id_of("story", "s")
        self.happened: list[Happened] = []
        self._story: tuple[StoryFacts, ...] = (StoryFacts(0, 0, story),)
        self._known: dict[str, tuple[SourceFacts, ...]] = {}
        self._sources: SourceHistory | None = None
        self._facts: dict[str, Facts] = {}
        self._known |= _cast()
        self.claim_id = self.claim("c", **{"serves": ["red"], "harms": ["blue"]} | claim)

    @staticmethod
    @cache
    def id_of(kind: Kind, name: str) -> str:
        """Return the identifier of something by its name, or as it is."""
        return name if name.startswith(f"{kind}_") else derived_id(kind, name)

    def _claim(self, on: str) -> str:
        return self.id_of("claim", on)

    @property
    def clock(self) -> int:
        """When the next thing is recorded."""
        return _START + (len(self.happened) + 1) * _STEP

    def record(self, event: Event, at: int | None = None) -> Happened:
        """Put an event on record as it is."""
        it = Happened(event, len(self.happened) + 1, self.clock if at is None else at)
        self.happened.append(it)
        for stream in streams_of(event):
            if stream.startswith("claim_"):
                begins = isinstance(event, catalog.ClaimRegistered)
                self._facts[stream] = _some(fold(None if begins else self._facts[stream], [it]))
            elif stream.startswith("source_"):
                self._known[stream] = fold_source(self._known.get(stream, ()), it)
                self._sources = None
            elif stream.startswith("story_"):
                self._story = fold_story(self._story, it)
        return it

    # ------------------------------------------------------------------------- story, sources and claims

    def source(self, name: str, **source: object) -> str:
        """Have known a source all along, and return its identifier."""
        source_id = self.id_of("source", name)
        known = msgspec.convert({"name": name} | self._source(source), Source)
        self._known[source_id] = (SourceFacts(0, 0, known),)
        self._sources = None
        return source_id

    def _source(self, said: dict[str, object]) -> dict[str, object]:
        upper = cast("Sequence[str]", said.pop("affiliated_to", ()))
        return said | {"affiliated_to": [self.id_of("source", each) for each in upper]} if upper else said

    def update_source(self, name: str, **changes: object) -> None:
        """Record that a source is described anew."""
        said = msgspec.convert(self._source(changes), records.SourceChanges)
        self.record(catalog.SourceUpdated(source_id=self.id_of("source", name), changes=said))

    def grade(self, name: str, reliability: str | None, topic: str | None = None) -> None:
        """Record the desk's letter for a source."""
        said = {"reliability": reliability, "rationale": "Seen.", "by": PERSON, "topic": topic}
        grade = msgspec.convert(said, records.Grade)
        self.record(catalog.SourceGraded(source_id=self.id_of("source", name), grade=grade))

    def update_story(self, **changes: object) -> None:
        """Record that the story is described anew."""
        said = msgspec.convert(changes, records.StoryChanges)
        self.record(catalog.StoryUpdated(story_id=self.story_id, changes=said))

    def close(self) -> None:
        """Record that the story is no longer covered."""
        self.record(catalog.StoryClosed(story_id=self.story_id, closing=records.Closing()))

    def registered(self, name: str, **said: Any) -> catalog.ClaimRegistered:
        """Return a claim to be registered; ``sum_of`` names claims and measures, as ``{"c2": "killed"}``."""
        content = {"story_id": self.story_id, "text": "It is so."} | self._put(said)
        content = {member: value for member, value in content.items() if value is not None}
        return catalog.ClaimRegistered(claim_id=self._claim(name), claim=msgspec.convert(content, Claim))

    def claim(self, name: str, **said: Any) -> str:
        """Register a claim, and return its identifier."""
        event = self.registered(name, **said)
        self.record(event)
        return event.claim_id

    def updated(self, on: str = "c", **changes: Any) -> catalog.ClaimUpdated:
        """Return changes of a claim to be recorded."""
        said = msgspec.convert(self._put(changes), records.ClaimChanges)
        return catalog.ClaimUpdated(claim_id=self._claim(on), changes=said)

    def update(self, on: str = "c", **changes: Any) -> None:
        """Record that a claim is put anew."""
        self.record(self.updated(on, **changes))

    def _put(self, said: dict[str, Any]) -> dict[str, Any]:
        if said.get("declared_by"):
            said["declared_by"] = self.id_of("source", said["declared_by"])
        if said.get("parent_id"):
            said["parent_id"] = self._claim(said["parent_id"])
        if isinstance(terms := said.get("sum_of"), Mapping):
            said["sum_of"] = [{"claim_id": self._claim(name), "measure": terms[name]} for name in terms]
        return said

    def sums(self, *terms: Mapping[str, Any], on: str = "c") -> None:
        """Record claims with one figure each, and that a claim is their sum."""
        names = [f"term-{n}" for n, _ in enumerate(terms)]
        for name, term in zip(names, terms, strict=True):
            self.claim(name, quantities=[term])
        self.update(on, sum_of={name: term["measure"] for name, term in zip(names, terms, strict=True)})

    def merge(self, name: str, into: str = "c", *, inverted: bool = False) -> None:
        """Record that one claim is spoken for by another."""
        merge = records.Merge(into=self._claim(into), inverted=inverted)
        self.record(catalog.ClaimMerged(claim_id=self._claim(name), merge=merge))

    def unmerge(self, name: str, out_of: str = "c") -> None:
        """Record that a claim speaks for itself again."""
        self.record(
            catalog.ClaimUnmerged(
                claim_id=self._claim(name), out_of=self._claim(out_of), unmerge=records.Unmerge(reason="Not the same.")
            )
        )

    def splits(self, parts: Mapping[str, Sequence[str]], on: str = "c") -> catalog.ClaimSplit:
        """Return a split to be recorded: which statements are read in which parts."""
        split = records.Split(
            parts=tuple(
                records.SplitPart(
                    claim_id=self._claim(name), statement_ids=tuple(self.id_of("statement", key) for key in said)
                )
                for name, said in parts.items()
            )
        )
        return catalog.ClaimSplit(claim_id=self._claim(on), split=split)

    def split(self, parts: Mapping[str, Sequence[str]], on: str = "c") -> None:
        """Record that statements of a claim are read in its parts as well."""
        self.record(self.splits(parts, on))

    # ------------------------------------------------------------------------------------------ statements

    def statement(self, speaker: str, stance: str = "asserts", *, on: str = "c", **said: Any) -> Any:
        """Return a statement to be recorded; ``rests_on`` names ``source:x`` and ``evidence:x``."""
        name = str(said.pop("name", f"said-{len(self.happened) + 1}"))
        for member, kind in _NAMED.items():
            if member in said:
                target = member if member == "repeats" else f"{member}_id"
                said[target] = self.id_of(kind, str(said.pop(member)))
        content = {"speaker_id": self.id_of("source", speaker), "stance": stance} | self._resting(said)
        return catalog.StatementRecorded(
            claim_id=self._claim(on),
            statement_id=self.id_of("statement", name),
            statement=msgspec.convert(content, records.Statement),
        )

    def _resting(self, said: dict[str, Any]) -> dict[str, Any]:
        if "rests_on" in said:
            named = [each.split(":") if ":" in each else ("", each) for each in said["rests_on"]]
            said["rests_on"] = [self.id_of(kind, name) if kind else name for kind, name in named]
        return said

    def says(self, speaker: str, stance: str = "asserts", **said: Any) -> str:
        """Record a statement, and return its identifier."""
        event = self.statement(speaker, stance, **said)
        self.record(event)
        return str(event.statement_id)

    def correction(
        self, name: str, *, by: str = "speaker", at: str | None = None, on: str = "c", **after: Any
    ) -> catalog.StatementCorrected:
        """Return a correction to be recorded: what a statement says now."""
        if "speaker" in after:
            after["speaker_id"] = self.id_of("source", after.pop("speaker"))
        said = msgspec.convert({"by": by, "at": at, "after": self._resting(after)}, records.Correction)
        return catalog.StatementCorrected(
            claim_id=self._claim(on), statement_id=self.id_of("statement", name), correction=said
        )

    def correct(self, name: str, **said: Any) -> None:
        """Record what a statement says now."""
        self.record(self.correction(name, **said))

    def withdrawal(
        self, name: str, *, by: str = "speaker", at: str | None = None, on: str = "c"
    ) -> catalog.StatementWithdrawn:
        """Return a withdrawal to be recorded."""
        taken = msgspec.convert({"by": by, "at": at}, records.Withdrawal)
        return catalog.StatementWithdrawn(
            claim_id=self._claim(on), statement_id=self.id_of("statement", name), withdrawal=taken
        )

    def withdraw(self, name: str, **said: Any) -> None:
        """Record that a statement was taken back."""
        self.record(self.withdrawal(name, **said))

    # ------------------------------------------------------------------------------------------- evidence

    def shown(
        self,
        bearing: str = "supports",
        *,
        name: str = "",
        by: str | None = None,
        derived_from: str | None = None,
        public: str | None = None,
        on: str = "c",
    ) -> catalog.EvidenceAdded:
        """Return a piece of evidence to be recorded."""
        content = {
            "kind": "video",
            "bearing": bearing,
            "description": "What it shows.",
            "supplied_by": by and self.id_of("source", by),
            "derived_from": derived_from and self.id_of("evidence", derived_from),
            "made_public_at": public,
        }
        return catalog.EvidenceAdded(
            claim_id=self._claim(on),
            evidence_id=self.id_of("evidence", name or f"shown-{len(self.happened) + 1}"),
            evidence=msgspec.convert(content, records.Evidence),
        )

    def evidence(self, bearing: str = "supports", *, authentic: bool = False, on: str = "c", **said: Any) -> str:
        """Record a piece of evidence, authenticated if so, and return its identifier."""
        event = self.shown(bearing, on=on, **said)
        self.record(event)
        if authentic:
            self.authenticate(event.evidence_id, on=on)
        return event.evidence_id

    def authentication(self, name: str, *, on: str = "c") -> catalog.EvidenceAuthenticated:
        """Return the desk's finding that a piece of evidence is authentic."""
        found = records.Authentication(method="Geolocated.", by=PERSON)
        return catalog.EvidenceAuthenticated(
            claim_id=self._claim(on), evidence_id=self.id_of("evidence", name), authentication=found
        )

    def authenticate(self, name: str, *, on: str = "c") -> None:
        """Record that the desk found a piece of evidence authentic."""
        self.record(self.authentication(name, on=on))

    def challenged(self, name: str, by: str | None = None, *, on: str = "c") -> catalog.EvidenceChallenged:
        """Return a challenge to be recorded: a source's, or else the desk's."""
        ground = records.Challenge(
            ground="Older.", source_id=by and self.id_of("source", by), by=None if by else PERSON
        )
        return catalog.EvidenceChallenged(
            claim_id=self._claim(on), evidence_id=self.id_of("evidence", name), challenge=ground
        )

    def challenge(self, name: str, by: str | None = None, *, on: str = "c") -> None:
        """Record that a source, or else the desk, disputes a piece of evidence."""
        self.record(self.challenged(name, by, on=on))

    def absence(self, *, on: str = "c", **said: str) -> None:
        """Record that no evidence was offered."""
        noted = msgspec.convert(
            {f"{who}_id": self.id_of("source", name) for who, name in said.items()}, records.Absence
        )
        self.record(catalog.EvidenceAbsenceNoted(claim_id=self._claim(on), absence=noted))

    # ------------------------------------------------------------ inquiries, assessments, voids, our texts

    def inquiry(self, source: str, *, name: str = "asked", on: str = "c", **said: Any) -> catalog.InquirySent:
        """Return an inquiry to be recorded."""
        content = {"source_id": self.id_of("source", source), "deadline": "2030-01-01"} | said
        return catalog.InquirySent(
            claim_id=self._claim(on),
            inquiry_id=self.id_of("inquiry", name),
            inquiry=msgspec.convert(content, records.Inquiry),
        )

    def ask(self, source: str, **said: Any) -> str:
        """Record that a source was asked, and return the inquiry's identifier."""
        event = self.inquiry(source, **said)
        self.record(event)
        return event.inquiry_id

    def answer(self, name: str = "asked", *, on: str = "c", **said: Any) -> None:
        """Record that the source that was asked responded."""
        if "statement" in said:
            said["statement_id"] = self.id_of("statement", said.pop("statement"))
        response = msgspec.convert(said, records.Response)
        self.record(
            catalog.InquiryAnswered(claim_id=self._claim(on), inquiry_id=self.id_of("inquiry", name), response=response)
        )

    def expire(self, name: str = "asked", *, on: str = "c") -> None:
        """Record that nobody answered in time."""
        self.record(catalog.InquiryExpired(claim_id=self._claim(on), inquiry_id=self.id_of("inquiry", name)))

    def assessment(
        self, verdict: str = "verified", *, name: str | None = None, on: str = "c"
    ) -> catalog.AssessmentMade:
        """Return the desk's judgement to be recorded."""
        made = msgspec.convert({"verdict": verdict, "rationale": "Seen.", "by": PERSON}, records.Assessment)
        key = self.id_of("assessment", name or f"judged-{len(self.happened) + 1}")
        return catalog.AssessmentMade(claim_id=self._claim(on), assessment_id=key, assessment=made)

    def assess(self, verdict: str = "verified", *, name: str | None = None, on: str = "c") -> str:
        """Record the desk's judgement, and return its identifier."""
        event = self.assessment(verdict, name=name, on=on)
        self.record(event)
        return event.assessment_id

    def revocation(self, name: str, *, on: str = "c") -> catalog.AssessmentRevoked:
        """Return the revocation of a judgement to be recorded."""
        why = records.Revocation(reason="Too soon.", by=PERSON)
        return catalog.AssessmentRevoked(
            claim_id=self._claim(on), assessment_id=self.id_of("assessment", name), revocation=why
        )

    def revoke(self, name: str, *, on: str = "c") -> None:
        """Record that the desk takes a judgement back."""
        self.record(self.revocation(name, on=on))

    def voiding(self, key: str, *, on: str = "c") -> catalog.RecordingVoided:
        """Return a void to be recorded; ``key`` is ``kind:name`` or an identifier."""
        kind, _, name = key.rpartition(":")
        target = self.id_of(cast("Kind", kind), name) if kind else name
        return catalog.RecordingVoided(
            claim_id=self._claim(on), position=1, voided=target, void=records.Void(reason="Mistaken.")
        )

    def void(self, key: str, *, on: str = "c") -> None:
        """Record that something was recorded by mistake."""
        self.record(self.voiding(key, on=on))

    def publication(self, *claims: str, name: str = "text", **said: Any) -> catalog.PublicationRecorded:
        """Return a text of ours to be recorded, which relies on claims."""
        content = {
            "title": "A text",
            "url": "https://desk.example/1",
            "published_at": "2023-11-14",
            "claims": [{"claim_id": self._claim(each)} for each in claims],
        } | said
        key = self.id_of("publication", name)
        return catalog.PublicationRecorded(
            publication_id=key, publication=msgspec.convert(content, records.Publication)
        )

    def publish(self, *claims: str, name: str = "text") -> str:
        """Record a text of ours, and return its identifier."""
        event = self.publication(*claims, name=name)
        self.record(event)
        return event.publication_id

    # ---------------------------------------------------------------------------------- where claims stand

    @property
    def begun(self) -> list[Event]:
        """The story and the sources that there were all along, as they would have been recorded."""
        known = ((key, versions[0].source) for key, versions in self._known.items())
        registered = [catalog.SourceRegistered(source_id=key, source=source) for key, source in known]
        return [catalog.StoryOpened(story_id=self.story_id, story=self._story[0].story), *registered]

    @property
    def facts(self) -> Facts:
        """The facts of everything recorded on the claim."""
        return self.facts_of("c")

    def facts_of(self, on: str) -> Facts:
        """Return the facts of everything recorded on a claim."""
        return self._facts[self._claim(on)]

    @property
    def sources(self) -> SourceHistory:
        """The sources through time."""
        if self._sources is None:
            self._sources = SourceHistory()
            self._sources.add(self._known)
        return self._sources

    @property
    def story(self) -> tuple[StoryFacts, ...]:
        """The story through time."""
        return self._story

    def world(self, policy: Policy = STRICT_TWO_SOURCE) -> World:
        """Return all that a decision reads."""
        facts = dict(self._facts)
        stories = {self.story_id, *(each.claim.story_id for each in facts.values())}
        return World(facts, dict.fromkeys(stories, self._story), self.sources, policy)

    @property
    def context(self) -> Context:
        """The story, the sources and the terms of the claim's sum."""
        return self.world().context(self.facts.claim)

    @property
    def dossier(self) -> Dossier:
        """The claim as the rules read it."""
        return Dossier(self.facts, self.world().facts)

    def in_force(self, horizon: Horizon = NOW, *, on: str = "c") -> InForce:
        """Return what holds on a claim at a moment."""
        return Dossier(self.facts_of(on), self.world().facts).in_force(horizon)

    def voices(self, policy: Policy = STRICT_TWO_SOURCE, horizon: Horizon = NOW) -> Voices:
        """Return who is heard on the claim."""
        return Voices(self.in_force(horizon), self.context.at(horizon), policy)

    def verdict(self, policy: Policy = STRICT_TWO_SOURCE, horizon: Horizon = NOW, *, on: str = "c") -> Verdict:
        """Return where a claim stands."""
        world = self.world(policy)
        facts = self.facts_of(on)
        return evaluate(Dossier(facts, world.facts), world.context(facts.claim), policy, horizon)

    def state(self, policy: Policy = STRICT_TWO_SOURCE, *, on: str = "c") -> str:
        """Return a claim's state."""
        return self.verdict(policy, on=on).state.value

    def flags(self, policy: Policy = STRICT_TWO_SOURCE, *, on: str = "c") -> set[str]:
        """Return a claim's flags."""
        return {flag.value for flag in self.verdict(policy, on=on).flags}

    def counts(self, policy: Policy = STRICT_TWO_SOURCE, *, on: str = "c") -> tuple[int, int, int]:
        """Return n, nd and od of the rules."""
        because = self.verdict(policy, on=on).because
        return because.n, because.nd, because.od

    def act(self, *proposed: Event) -> bool:
        """Record what becomes of proposed events, as one command; return whether they were not refused."""
        at = self.clock
        try:
            events = self.decided(*proposed, now=at).events
        except Refusal:
            return False
        for event in events:
            self.record(event, at)
        return True

    def decided(self, *proposed: Event, policy: Policy = STRICT_TWO_SOURCE, now: int = DECIDED_AT) -> Decision:
        """Return what becomes of proposed events; none of them is recorded."""
        return on_claims(proposed, self.world(policy), now)


def _some(facts: Facts | None) -> Facts:
    assert facts is not None
    return facts


@cache
def _cast() -> dict[str, tuple[SourceFacts, ...]]:
    everybody: dict[str, tuple[SourceFacts, ...]] = {}
    for name, said in CAST.items():
        upper = [derived_id("source", each) for each in said.get("affiliated_to", ())]
        source = msgspec.convert(said | {"name": name, "affiliated_to": upper}, Source)
        everybody[derived_id("source", name)] = (SourceFacts(0, 0, source),)
    return everybody


@pytest.fixture(scope="session")
def new_case() -> type[Case]:
    """What makes cases with a claim or a story of a test's own."""
    return Case


@pytest.fixture
def case() -> Case:
    """A claim that serves red and harms blue, with nothing said on it."""
    return Case()
