"""The ledger does what a plain list would: appends, repeats and refusals in any order, tried against a model."""

import asyncio
from collections.abc import Coroutine
from itertools import count
from typing import Any, ClassVar, NamedTuple
from uuid import uuid4

from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

import events.store
from events import catalog, moments, records, words
from events.envelope import REFERENCE, Entry, Provenance, streams_of
from events.errors import CommandConflict, LedgerDamaged, VersionConflict
from events.group_commit import Appended
from events.identifiers import derived_id
from events.ledger import Command, Ledger
from service.verification.policy import STRICT_TWO_SOURCE

HASHES = ("ab" * 32, "cd" * 32)
STORIES = [derived_id("story", name) for name in "abc"]
SOURCES = [derived_id("source", name) for name in "ab"]
CLAIMS = [derived_id("claim", name) for name in "abc"]
STREAMS = [*STORIES, *SOURCES, *CLAIMS, REFERENCE, "ledger"]

_FRESH = count()
_texts = st.text(min_size=1, max_size=30)
_events: st.SearchStrategy[catalog.Event] = st.one_of(
    st.builds(catalog.StoryOpened, story_id=st.sampled_from(STORIES), story=st.builds(records.Story, title=_texts)),
    st.builds(
        catalog.SourceRegistered,
        source_id=st.sampled_from(SOURCES),
        source=st.builds(records.Source, name=_texts, kind=st.sampled_from(words.SourceKind)),
    ),
    st.builds(
        catalog.EvidenceAbsenceNoted,
        claim_id=st.sampled_from(CLAIMS),
        absence=st.builds(records.Absence, quote=_texts),
    ),
)
_used_ids = st.integers(0, 7).map("command-{}".format)
_positions = st.integers(0, 120)


class Given(NamedTuple):
    """A command to be: no id stands for one never used before; conditions say how far off each version is."""

    events: list[catalog.Event]
    off: dict[str, int]
    command_id: str | None
    command_hash: str


_commands = st.builds(
    Given,
    events=st.lists(_events, max_size=4),
    off=st.dictionaries(st.sampled_from(STREAMS), st.sampled_from([0, 0, 0, 0, 0, 0, 1, -1, 7]), max_size=4),
    command_id=st.none() | _used_ids,
    command_hash=st.sampled_from([HASHES[0], *HASHES]),
)


class Model:
    """What a ledger should be: a list of events, the positions of each stream, and the commands seen."""

    def __init__(self, created: catalog.Event) -> None:
        self.log: list[tuple[catalog.Event, Provenance | None]] = [(created, None)]
        self.streams: dict[str, list[int]] = {stream: [] for stream in STREAMS} | {"ledger": [1]}
        self.commands: dict[str, tuple[str, int, int]] = {}

    def append(self, command: Command) -> tuple[int, int, bool] | Exception:
        """Record a command, and return (first, count, repeated) or the error it ought to meet."""
        provenance = command.provenance
        known = self.recall(provenance.command_id, provenance.command_hash)
        if known is not None:
            return known
        for stream, expected in command.conditions.items():
            if len(self.streams[stream]) != expected:
                return VersionConflict(stream, expected, len(self.streams[stream]))
        first = len(self.log) + 1
        self.commands[provenance.command_id] = (provenance.command_hash, first, len(command.events))
        for event in command.events:
            self.log.append((event, provenance))
            for stream in streams_of(event):
                self.streams[stream].append(len(self.log))
        return first, len(command.events), False

    def recall(self, command_id: str, command_hash: str) -> tuple[int, int, bool] | Exception | None:
        """Return what a command recorded, the error if it was another, or None."""
        if command_id not in self.commands:
            return None
        known_hash, first, events_ = self.commands[command_id]
        return (first, events_, True) if known_hash == command_hash else CommandConflict(command_id)


def _comparable(outcome: object) -> object:
    """Return an outcome, of the model or of the ledger, as a value that can be compared."""
    if isinstance(outcome, Appended):
        return outcome.first, outcome.count, outcome.repeated
    if isinstance(outcome, Exception):
        return type(outcome), vars(outcome)
    return outcome


class LedgerMachine(RuleBasedStateMachine):
    """One ledger beside its model."""

    store_url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = events.store.connect(self.store_url)

    @initialize()
    def create(self) -> None:
        """Begin a ledger that no other example has."""
        name = f"model-{uuid4().hex}"
        self.ledger = self.run(Ledger.open(self.store, name, create=STRICT_TWO_SOURCE))
        self.model = Model(catalog.LedgerCreated(ledger=name, epoch=self.ledger.epoch, policy=STRICT_TWO_SOURCE))

    def teardown(self) -> None:
        """Leave no connection and no loop behind."""
        self.run(self.store.aclose())
        self.runner.close()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run something of the ledger on this machine's loop."""
        return self.runner.run(coroutine)

    @rule(given=_commands)
    def append(self, given: Given) -> None:
        """One command alone."""
        self._append([given])

    @rule(given=st.lists(_commands, min_size=2, max_size=6))
    def append_at_once(self, given: list[Given]) -> None:
        """Several commands in one group, each of which sees those before it."""
        self._append(given)

    @rule(events_=st.lists(_events, min_size=1, max_size=3), times=st.integers(2, 4))
    def race(self, events_: list[catalog.Event], times: int) -> None:
        """Several decisions on the same versions at once: one passes."""
        streams = [stream for event in events_ for stream in streams_of(event)]
        self._append([Given(events_, dict.fromkeys(streams, 0), None, HASHES[0])] * times)
        assert [True] + [False] * (times - 1) == [isinstance(outcome, Appended) for outcome in self.outcomes]

    def _append(self, given: list[Given]) -> None:
        commands = [
            Command(
                it.events,
                {stream: len(self.model.streams[stream]) + off for stream, off in it.off.items()},
                Provenance("system", it.command_id or f"fresh-{next(_FRESH)}", it.command_hash),
            )
            for it in given
        ]
        self.outcomes = self.run(self._gathered(commands))
        for command, outcome in zip(commands, self.outcomes, strict=True):
            expected = self.model.append(command)
            note(f"{command.provenance.command_id}: {outcome!r}")
            assert _comparable(expected) == _comparable(outcome)

    async def _gathered(self, commands: list[Command]) -> list[Appended | BaseException]:
        return await asyncio.gather(*map(self.ledger.append, commands), return_exceptions=True)

    @rule(command_id=_used_ids, command_hash=st.sampled_from(HASHES))
    def recall(self, command_id: str, command_hash: str) -> None:
        """What a command recorded can be asked for."""
        try:
            found = self.run(self.ledger.recall(command_id, command_hash))
        except CommandConflict as conflict:
            found = conflict
        assert _comparable(self.model.recall(command_id, command_hash)) == _comparable(found)

    @rule(after=_positions, limit=st.integers(1, 40))
    def read(self, after: int, limit: int) -> None:
        """Any page of the log."""
        expected = list(range(1, len(self.model.log) + 1))[after : after + limit]
        self._same(expected, self.run(self.ledger.read(after, limit)))

    @rule(stream=st.sampled_from(STREAMS), after=st.integers(0, 20), limit=st.integers(1, 20))
    def history(self, stream: str, after: int, limit: int) -> None:
        """Any page of a stream."""
        expected = self.model.streams[stream][after : after + limit]
        self._same(expected, self.run(self.ledger.history(stream, after, limit)))

    @rule(stream=st.sampled_from(STREAMS), position=_positions)
    def version_at(self, stream: str, position: int) -> None:
        """A stream's version at any position, also one that is yet to come."""
        expected = sum(its <= position for its in self.model.streams[stream])
        assert expected == self.run(self.ledger.version_at(stream, position))

    @rule(wanted=st.lists(st.integers(1, 120), max_size=6))
    def at(self, wanted: list[int]) -> None:
        """Entries by position, in the order asked for; one that is not there is not passed over."""
        try:
            found = self.run(self.ledger.at(iter(wanted)))
        except LedgerDamaged:
            assert max(wanted) > len(self.model.log)
        else:
            self._same(wanted, found)

    @rule()
    def reopen(self) -> None:
        """Another process goes on where this one stopped."""
        epoch = self.ledger.epoch
        self.ledger = self.run(Ledger.open(self.store, self.ledger.name))
        assert epoch == self.ledger.epoch

    @invariant()
    def the_log_is_the_models(self) -> None:
        """Log, head and times agree."""
        log = self.run(self.ledger.read(0, 10_000))
        self._same(list(range(1, len(self.model.log) + 1)), log)
        times = [entry.envelope.recordedtime for entry in log]
        assert sorted(times) == times
        assert (len(self.model.log), moments.microseconds(times[-1])) == self.run(self.ledger.head())

    @invariant()
    def the_streams_are_the_models(self) -> None:
        """The version of every stream is the number of its events."""

        async def versions() -> list[int]:
            return await asyncio.gather(*map(self.ledger.version, STREAMS))

        assert [len(self.model.streams[stream]) for stream in STREAMS] == self.run(versions())

    def _same(self, positions: list[int], entries: list[Entry]) -> None:
        """Assert that entries are those of the model at these positions, by content and by provenance."""
        assert positions == [entry.position for entry in entries]
        assert positions == [entry.envelope.position for entry in entries]
        for entry in entries:
            event, provenance = self.model.log[entry.position - 1]
            assert event == entry.event
            if provenance is not None:
                envelope = entry.envelope
                assert provenance == Provenance(envelope.actor, envelope.commandid, envelope.commandhash)


def test_a_ledger_does_what_a_plain_list_would(store_url: str) -> None:
    """Whatever is appended, repeated, refused and read, in whatever order, the ledger is what the model is."""
    machine = type("LedgerMachineOnTheStore", (LedgerMachine,), {"store_url": store_url})
    bounds = settings(
        max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    run_state_machine_as_test(machine, settings=bounds)
