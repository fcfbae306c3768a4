"""A claim to try the rules on: say what was recorded in a few words, and ask where it stands.

The story's parties are ``red`` and ``blue``; unless a test says otherwise the claim serves red and harms blue.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from events import catalog, records, words
from events.catalog import Event
from events.identifiers import Kind, derived_id
from events.records import Claim, Source, Story
from events.words import Policy
from service.verification.context import Context, StoryFacts, Term
from service.verification.facts import Facts, Happened, fold
from service.verification.in_force import Dossier
from service.verification.policy import STRICT_TWO_SOURCE, Verdict, evaluate
from service.verification.sources import SourceFacts, SourceHistory
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

_START = 1_700_000_000_000_000
_STEP = 1_000_000


class Case:
    """One claim, with its story and its sources, and everything recorded on it so far.

    Things are named by words; ``id_of`` gives their identifiers. Each recording is a second after the last.
    """

    def __init__(
        self, *, allies: dict[str, list[str]] | None = None, parties: Sequence[str] = ("red", "blue"), **claim: object
    ) -> None:
        self.story = msgspec.convert({"title": "A story", "parties": list(parties), "allies": allies or {}}, Story)
        self._sources = SourceHistory()
        for name, source in CAST.items():
            self.source(name, **source)
        said = {"story_id": self.id_of("story", "s"), "text": "It is so.", "serves": ["red"], "harms": ["blue"]} | claim
        if "declared_by" in claim:
            said["declared_by"] = self.id_of("source", str(claim["declared_by"]))
        said = {name: value for name, value in said.items() if value is not None}
        self.summands: tuple[words.Quantity, ...] = ()
        """The figures that the claim is said to be the sum of, each a claim's own."""
        self.claim_id = self.id_of("claim", "c")
        self.happened: list[Happened] = []
        self.record(catalog.ClaimRegistered(claim_id=self.claim_id, claim=msgspec.convert(said, Claim)))

    @staticmethod
    def id_of(kind: Kind, name: str) -> str:
        """Return the identifier of something by its name."""
        return derived_id(kind, name)

    def source(self, name: str, **source: object) -> str:
        """Register a source, and return its identifier."""
        upper = [self.id_of("source", each) for each in source.pop("affiliated_to", ())]  # type: ignore[attr-defined]
        source_id = self.id_of("source", name)
        known = msgspec.convert({"name": name, "affiliated_to": upper} | source, Source)
        self._sources.add({source_id: (SourceFacts(0, 0, known),)})
        return source_id

    def record(self, event: Event) -> None:
        """Put an event on record as it is."""
        n = len(self.happened) + 1
        self.happened.append(Happened(event, n, _START + n * _STEP))

    def statement(self, speaker: str, stance: str = "asserts", **said: object) -> catalog.StatementRecorded:
        """Return a statement to be recorded; ``rests_on`` names ``source:x`` and ``evidence:x``."""
        name = str(said.pop("name", f"said-{len(self.happened) + 1}"))
        for member, kind in (("publisher", "source"), ("repeats", "statement")):
            if member in said:
                target = "publisher_id" if member == "publisher" else member
                said[target] = self.id_of(kind, str(said.pop(member)))  # type: ignore[arg-type]
        if "rests_on" in said:
            said["rests_on"] = [self.id_of(*each.split(":")) for each in said["rests_on"]]  # type: ignore[attr-defined]
        content = {"speaker_id": self.id_of("source", speaker), "stance": stance} | said
        return catalog.StatementRecorded(
            claim_id=self.claim_id,
            statement_id=self.id_of("statement", name),
            statement=msgspec.convert(content, records.Statement),
        )

    def says(self, speaker: str, stance: str = "asserts", **said: object) -> str:
        """Record a statement, and return its identifier."""
        event = self.statement(speaker, stance, **said)
        self.record(event)
        return event.statement_id

    def evidence(
        self,
        bearing: str = "supports",
        *,
        name: str = "",
        by: str | None = None,
        derived_from: str | None = None,
        authentic: bool = False,
    ) -> str:
        """Record a piece of evidence, authenticated if so, and return its identifier."""
        evidence_id = self.id_of("evidence", name or f"shown-{len(self.happened) + 1}")
        content = {
            "kind": "video",
            "bearing": bearing,
            "description": "What it shows.",
            "supplied_by": by and self.id_of("source", by),
            "derived_from": derived_from and self.id_of("evidence", derived_from),
        }
        shown = msgspec.convert(content, records.Evidence)
        self.record(catalog.EvidenceAdded(claim_id=self.claim_id, evidence_id=evidence_id, evidence=shown))
        if authentic:
            self.authenticate(evidence_id)
        return evidence_id

    def authenticate(self, evidence_id: str) -> None:
        """Record that the desk found a piece of evidence authentic."""
        found = records.Authentication(method="Geolocated.", by=self.id_of("person", "p"))
        self.record(
            catalog.EvidenceAuthenticated(claim_id=self.claim_id, evidence_id=evidence_id, authentication=found)
        )

    def absence(self) -> None:
        """Record that no evidence was offered."""
        self.record(catalog.EvidenceAbsenceNoted(claim_id=self.claim_id, absence=records.Absence()))

    def assess(self, verdict: str = "verified") -> str:
        """Record the desk's judgement, and return its identifier."""
        assessment_id = self.id_of("assessment", f"judged-{len(self.happened) + 1}")
        content = {"verdict": verdict, "rationale": "Seen.", "by": self.id_of("person", "p")}
        made = msgspec.convert(content, records.Assessment)
        self.record(catalog.AssessmentMade(claim_id=self.claim_id, assessment_id=assessment_id, assessment=made))
        return assessment_id

    @property
    def facts(self) -> Facts:
        """The facts of everything recorded."""
        folded = fold(None, self.happened)
        assert folded is not None
        return folded

    @property
    def context(self) -> Context:
        """The story and the sources."""
        return Context([StoryFacts(0, 0, self.story)], self._sources, [_term(figure) for figure in self.summands])

    @property
    def dossier(self) -> Dossier:
        """The claim as the rules read it."""
        return Dossier(self.facts)

    def voices(self, policy: Policy = STRICT_TWO_SOURCE) -> Voices:
        """Return who is heard on the claim."""
        return Voices(self.dossier.in_force(), self.context.at(), policy)

    def verdict(self, policy: Policy = STRICT_TWO_SOURCE) -> Verdict:
        """Return where the claim stands."""
        return evaluate(self.dossier, self.context, policy)

    def state(self, policy: Policy = STRICT_TWO_SOURCE) -> str:
        """Return the claim's state."""
        return self.verdict(policy).state.value

    def flags(self, policy: Policy = STRICT_TWO_SOURCE) -> set[str]:
        """Return the claim's flags."""
        return {flag.value for flag in self.verdict(policy).flags}

    def counts(self, policy: Policy = STRICT_TWO_SOURCE) -> tuple[int, int, int]:
        """Return n, nd and od of the rules."""
        because = self.verdict(policy).because
        return because.n, because.nd, because.od


def _term(figure: words.Quantity) -> Term:
    claim_id = derived_id("claim", figure.measure)
    claim = Claim(story_id=derived_id("story", "s"), text="A part.", quantities=(figure,))
    facts = fold(None, [Happened(catalog.ClaimRegistered(claim_id=claim_id, claim=claim), 1, _START)])
    assert facts is not None
    return Term(facts, words.Summand(claim_id=claim_id, measure=figure.measure))


@pytest.fixture(scope="session")
def new_case() -> type[Case]:
    """What makes cases with a claim or a story of a test's own."""
    return Case


@pytest.fixture
def case() -> Case:
    """A claim that serves red and harms blue, with nothing said on it."""
    return Case()
