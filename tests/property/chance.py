"""Longer histories, drawn by a seed: a few voices on a few claims do a few kinds of things again and again.

What a history is about is drawn first (swarm testing), so that rare things meet each other more often than they would
if each step were drawn from all there is. A history that shows something is cut down by leaving steps out.
"""

from collections.abc import Callable
from random import Random
from typing import Any

from events.words import Stance
from service.verification.voices import POSITIONAL
from tests.property.histories import EVERYBODY, History, Op, Step

_MOMENTS = ["2022-12", "2023", "2023-01", "2023-01-24", "2023-01-25", "2023-01-24T08:15Z", "2023-02", "2023-06", None]
_POSITIONAL = [stance.value for stance in POSITIONAL]
_OTHERS = [stance.value for stance in Stance if stance not in POSITIONAL]
_PARTIES = [None, [], ["red"], ["blue"], ["red", "blue"]]
_TAGS = [[], ["losses"], ["losses", "weather"]]
_STORIES = [
    {"parties": ["red", "blue", "green"]},
    {"parties": ["red", "blue", "green"], "allies": {"green": ["red"]}},
    {"allies": {"green": ["red"]}},
    {"allies": {}},
]
_QUALIFIERS = ["exactly", "exactly", "about", "at_least", "more_than", "at_most", "fewer_than", "range"]


def history(seed: int) -> History:
    """Return the history of a seed: what the claim says, and what is proposed one after the other."""
    return _Chance(Random(seed)).history()  # noqa: S311 - a history, not a secret


def least(steps: list[Step], shows: Callable[[list[Step]], bool]) -> list[Step]:
    """Return as few of the steps as still show what they show, by leaving out runs of them, then single ones."""
    size = len(steps) // 2
    while size:
        n = 0
        while n < len(steps):
            fewer = steps[:n] + steps[n + size :]
            if shows(fewer):
                steps = fewer
            else:
                n += size
        size //= 2
    return steps


class _Chance:
    """What one history is about, and its steps."""

    def __init__(self, draw: Random) -> None:
        self.draw = draw
        self.voices = draw.sample(EVERYBODY, draw.randint(2, 5))
        self.claims = draw.choice([["c"], ["c", "c", "d"], ["c", "d"], ["c", "d", "e"]])
        self.moments = draw.sample(_MOMENTS, draw.randint(1, 4))
        self.figures_matter, self.hedges_matter = draw.random() < 0.3, draw.random() < 0.3
        self.resting = draw.choice([0.0, 0.3, 0.8])
        self.stances = draw.choice([["asserts"], ["asserts", "denies"], _POSITIONAL, [*_POSITIONAL, *_OTHERS]])

    def history(self) -> History:
        """Return the whole."""
        several: list[Callable[[], Step]] = [
            self.corrects, self.withdraws, self.checks, self.voids, self.assesses, self.puts, self.surrounds,
            self.merges, self.splits, self.notes,
        ]  # fmt: skip
        kinds = [self.says, self.says, self.shows, *self.draw.sample(several, self.draw.randint(2, 5))]
        steps = [self.draw.choice(kinds)() for _ in range(self.draw.randint(6, 24))]
        claim = {"serves": self.any(_PARTIES), "harms": self.any(_PARTIES), "hedge": self.hedge()}
        more = {"declared_by": self.any([None, *self.voices]), "tags": self.any(_TAGS)}
        return claim | more | {"quantities": self.figures()}, steps

    def any(self, of: list[Any]) -> Any:
        """Return any of these."""
        return self.draw.choice(of)

    def which(self) -> int:
        """Return which of the things that there are already, counted from the last."""
        return self.draw.choice([0, 0, 1, 2, 3, 5])

    def hedge(self) -> str:
        """Return a hedge, if they matter."""
        return str(self.any(["none", "likely", "possible"])) if self.hedges_matter else "none"

    def figures(self) -> list[Op]:
        """Return figures, if they matter."""
        return [self._figure() for _ in range(self.any([0, 1, 1, 2]))] if self.figures_matter else []

    def _figure(self) -> Op:
        qualifier, value = self.any(_QUALIFIERS), self.any([2, 3, 3.3, 4])
        figure = {"low": 3, "high": max(3, value)} if qualifier == "range" else {"value": value}
        as_at, unit = self.any([None, None, "2023-01", "2023-02"]), self.any([None, None, "people"])
        measure = self.any(["killed", "killed", "hurt"])
        return {"measure": measure, "qualifier": qualifier, "unit": unit, "as_at": as_at} | figure

    def says(self) -> Step:
        """Somebody takes a stance."""
        rests_on: list[str | int] = []
        if self.draw.random() < self.resting:
            rests_on = [self.any([0, 1, 2, self.any(self.voices)]) for _ in range(self.any([1, 1, 2]))]
        return "says", {
            "on": self.any(self.claims),
            "speaker": self.any(self.voices),
            "stance": self.any(self.stances),
            "said_at": self.any(self.moments),
            "published_at": self.any([None, *self.moments]),
            "publisher": self.any([None, "agency", "outlet"]),
            "basis": self.any(["unstated", "first_hand", "reporting"]),
            "hedge": self.hedge(),
            "quantities": self.figures(),
            "evidence_offered": self.any(["none", "none", "described", "supplied"]),
            "rests_on": rests_on,
            "repeats": self.any([None] * 9 + [0]),
        }

    def shows(self) -> Step:
        """Somebody brings evidence."""
        return "shows", {
            "on": self.any(self.claims),
            "bearing": self.any(["supports", "supports", "refutes", "context"]),
            "by": self.any([None, *self.voices]),
            "authentic": self.draw.random() < 0.5,
            "derived_from": self.any([None, 0, 1]),
            "public": self.any([None, *self.moments]),
        }

    def corrects(self) -> Step:
        """A statement says something else."""
        after = self.any(
            [
                {"stance": self.any(_POSITIONAL)},
                {"hedge": self.hedge()},
                {"quantities": self.figures()},
                {"speaker": self.any(self.voices)},
                {"said_at": self.any(self.moments)},
                {"published_at": self.any(self.moments), "basis": "first_hand"},
                {"rests_on": self.any([[], [f"source:{self.any(self.voices)}"]])},
                {"evidence_offered": self.any(["none", "described", "supplied"])},
            ]
        )
        return "correct", {"which": self.which(), "by": self._by(), "at": self.any(self.moments), "after": after}

    def withdraws(self) -> Step:
        """A statement is taken back."""
        return "withdraw", {"which": self.which(), "by": self._by(), "at": self.any(self.moments)}

    def _by(self) -> str:
        return str(self.any(["speaker", "speaker", "publisher", "silent"]))

    def checks(self) -> Step:
        """Evidence is authenticated or challenged."""
        if self.draw.random() < 0.4:
            return "authenticate", {"which": self.which()}
        return "challenge", {"which": self.which(), "by": self.any([None, None, "blue-gov"])}

    def voids(self) -> Step:
        """Something was recorded by mistake."""
        return "void", {"kind": self.any(["statement", "evidence", "assessment"]), "which": self.which()}

    def assesses(self) -> Step:
        """The desk judges, or takes its judgement back."""
        if self.draw.random() < 0.3:
            return "revoke", {"which": 0}
        verdict = self.any(["verified", "refuted", "misleading", "unverifiable"])
        return "assess", {"on": self.any(self.claims), "verdict": verdict}

    def puts(self) -> Step:
        """A claim is put in other words."""
        changes = self.any(
            [
                {"serves": self.any(_PARTIES), "harms": self.any(_PARTIES)},
                {"hedge": self.hedge(), "quantities": self.figures()},
                {"text": self.any(["It is so.", "Otherwise."])},
                {"tags": self.any(_TAGS)},
                {"declared_by": self.any([None, *self.voices])},
                {"quantities": [self._figure()], "sum_of": self.any([{}, {"d": "killed"}, {"e": "killed"}])},
            ]
        )
        return "update", {"on": self.any(self.claims), "changes": changes}

    def surrounds(self) -> Step:
        """A source or the story is described anew, or the desk grades."""
        name = self.any(self.voices)
        changes = self.any(
            [
                {"parties": self.any([[], ["red"], ["blue"], ["green"], ["red", "green"]])},
                {"affiliated_to": self.any([[], [self.any(self.voices)]])},
                {"identity": self.any([None, "named", "known_to_desk", "withheld"])},
                {"kind": self.any(["person", "outlet", "social_media", "anonymous"])},
            ]
        )
        letter, topic = self.any([None, "A", "B", "D", "E"]), self.any([None, None, "losses", "weather"])
        steps: list[Step] = [
            ("source", {"name": name, "changes": changes}),
            ("source", {"name": name, "changes": changes}),
            ("grade", {"name": name, "letter": letter, "topic": topic}),
            ("story", self.any(_STORIES)),
        ]
        return self.draw.choice(steps)

    def merges(self) -> Step:
        """Claims are read together, or no longer."""
        if self.draw.random() < 0.3:
            return "unmerge", {"name": self.any(["c", "d", "e"])}
        name, into = self.draw.sample(["c", "d", "e"], 2)
        return "merge", {"name": name, "into": into, "inverted": self.draw.random() < 0.4}

    def splits(self) -> Step:
        """Statements are read in a part as well."""
        on, into = self.draw.sample(["c", "d", "e"], 2)
        return "split", {"on": on, "into": into, "which": [self.which() for _ in range(self.any([1, 2, 3]))]}

    def notes(self) -> Step:
        """It is noted that no evidence was offered."""
        return "absence", {"on": self.any(self.claims)}
