"""The ledger passes the tests that another event store wrote for its own: those of ``eventsourcing``'s recorders.

A stored event of theirs becomes one event of ours on the stream of its originator, and the version it claims becomes
the version that the stream must be at: it is our append script that refuses what they want refused. Their first
version is set to 0 (``INITIAL_VERSION`` is theirs to set), so that a version is how many events came before. Their
notification ids begin at 1 where our position 1 is ``ledger.created``, hence one less.

Of their module these are not run: the cases of tracking and process recorders, which keep the place of a consumer and
no events (ours keep theirs in projections), and those of factories, mappers and transcoders, which touch no store.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import sys
import threading
import unittest
from collections.abc import Callable, Coroutine, Iterator, Sequence
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    IntegrityError,
    Notification,
    StoredEvent,
    Subscription,
)

import events.store
from events import catalog
from events.envelope import Entry, Provenance
from events.errors import VersionConflict
from events.identifiers import derived_id
from events.ledger import Command, Ledger
from service.verification.policy import STRICT_TWO_SOURCE

_CREATED = 1
"""Entries of ours that are none of theirs: ``ledger.created``."""


def _their_tests() -> ModuleType:
    """Import their tests; what they take from an optional cryptography package, the recorders' tests never use."""
    absent = ModuleType("eventsourcing.cipher")
    absent.AESCipher = None  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "eventsourcing.cipher", absent)
        from eventsourcing.tests import persistence
    return persistence


theirs = _their_tests()


class Backstage:
    """A loop in a thread of its own, for callers that know no ``await``, and the stores connected from it."""

    def __init__(self, store_url: str) -> None:
        self._store_url = store_url
        self._others = {*threading.enumerate()}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._stores: list[events.store.Store] = []

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine there and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def open(self, name: str, *, create: catalog.Policy | None = None) -> Ledger:
        """Open a ledger with a client of its own."""
        self._stores.append(events.store.connect(self._store_url))
        return self.run(Ledger.open(self._stores[-1], name, create=create))

    def close(self) -> None:
        """Leave no connection, thread or loop behind.

        One of their cases tells its threads to end and does not wait for them. Were the loop to stop first, what they
        had asked of it would never be answered, and Python would wait for them at its exit for ever.
        """
        for thread in {*threading.enumerate()} - self._others - {self._thread}:
            thread.join()
        for store in self._stores:
            self.run(store.aclose())
        self.run(self._loop.shutdown_asyncgens())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def backstage(store_url: str) -> Iterator[Backstage]:
    """A loop beside the test's."""
    backstage = Backstage(store_url)
    yield backstage
    backstage.close()


def _stream(originator_id: UUID | str) -> str:
    return derived_id("claim", str(originator_id))


def _ours(stored: StoredEvent) -> catalog.Event:
    """Return an event of ours that holds one of theirs, on the stream of its originator."""
    told = {
        "originator_id": str(stored.originator_id),
        "originator_version": stored.originator_version,
        "topic": stored.topic,
        "state": base64.b64encode(stored.state).decode(),
    }
    absence = catalog.Absence(quote=json.dumps(told))
    return catalog.EvidenceAbsenceNoted(claim_id=_stream(stored.originator_id), absence=absence)


def _theirs(entry: Entry) -> Notification:
    """Return the event of theirs that an entry holds."""
    event = entry.event
    assert isinstance(event, catalog.EvidenceAbsenceNoted)
    told = json.loads(event.absence.quote or "")
    told["originator_id"] = UUID(told["originator_id"])
    told["state"] = base64.b64decode(told["state"])
    return Notification(**told, id=entry.position - _CREATED)


class OurAggregateRecorder(AggregateRecorder):
    """Their recorder of aggregates, on one new ledger."""

    def __init__(self, backstage: Backstage, name: str) -> None:
        self._backstage = backstage
        self._ledger = backstage.open(name, create=STRICT_TWO_SOURCE)

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Record events, all or none."""
        self._insert(stored_events)

    def _insert(self, stored_events: Sequence[StoredEvent]) -> list[int]:
        if not stored_events:
            return []
        conditions: dict[str, int] = {}
        after: dict[str, int] = {}
        for stored in stored_events:  # the ledger says where a command may begin; that it counts on is for us to see
            stream = _stream(stored.originator_id)
            conditions.setdefault(stream, stored.originator_version)
            if after.setdefault(stream, stored.originator_version) != stored.originator_version:
                raise IntegrityError(f"{stored} does not follow on the one before it")
            after[stream] += 1
        told = [_ours(stored) for stored in stored_events]
        provenance = Provenance("system", str(uuid4()), hashlib.sha256(repr(told).encode()).hexdigest())
        try:
            appended = self._backstage.run(self._ledger.append(Command(told, conditions, provenance)))
        except VersionConflict as conflict:
            raise IntegrityError(str(conflict)) from conflict
        return [position - _CREATED for position in range(appended.first, appended.last + 1)]

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Return events of one originator, between versions."""
        stream = _stream(originator_id)
        first = 0 if gt is None else gt + 1
        end = self._backstage.run(self._ledger.version(stream))
        end = end if lte is None else min(end, lte + 1)
        if limit is not None:
            first, end = (max(first, end - limit), end) if desc else (first, min(end, first + limit))
        if first >= end:
            return []
        found = [_theirs(entry) for entry in self._backstage.run(self._ledger.history(stream, first, end - first))]
        assert list(range(first, end)) == [each.originator_version for each in found]
        plain = [StoredEvent(it.originator_id, it.originator_version, it.topic, it.state) for it in found]
        return plain[::-1] if desc else plain


class OurApplicationRecorder(OurAggregateRecorder, ApplicationRecorder):
    """Their recorder of applications: all events in one order."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Record events, all or none, and return their places."""
        return self._insert(stored_events)

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Return events in their order, from a place on."""
        after = max(0, (start or 0) - 1 if inclusive_of_start else (start or 0)) + _CREATED
        found: list[Notification] = []
        while page := self._backstage.run(self._ledger.read(after, limit)):
            after = page[-1].position
            notifications = [_theirs(entry) for entry in page]
            found += [it for it in notifications if (it.topic in topics or not topics) and it.id <= (stop or it.id)]
            if len(found) >= limit or len(page) < limit or (stop is not None and after - _CREATED >= stop):
                break
        return found[:limit]

    def max_notification_id(self) -> int | None:
        """Return the last event's place, or None."""
        return (self._backstage.run(self._ledger.head()).position - _CREATED) or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        """Return a subscription to all that comes after a place."""
        return OurSubscription(self, gt, topics, self._backstage, self._backstage.open(self._ledger.name))


class OurSubscription(Subscription[ApplicationRecorder]):
    """Their subscription, on the tail of a ledger."""

    def __init__(
        self, recorder: ApplicationRecorder, gt: int | None, topics: Sequence[str], backstage: Backstage, ledger: Ledger
    ) -> None:
        super().__init__(recorder, gt, topics)
        self._backstage = backstage
        self._tail = ledger.tail((gt or 0) + _CREATED)
        self._waiting: list[Notification] = []

    def __exit__(self, *args: object, **kwargs: Any) -> None:
        """End, and follow no more."""
        super().__exit__(*args, **kwargs)
        self._backstage.run(self._tail.aclose())

    def __next__(self) -> Notification:
        """Return the next event, waiting until there is one."""
        while not self._has_been_stopped:
            if self._waiting:
                return self._waiting.pop(0)
            found = [_theirs(entry) for entry in self._backstage.run(anext(self._tail))]
            self._waiting = [it for it in found if it.topic in self._topics or not self._topics]
        raise StopIteration


def _cases(*classes: type) -> list[tuple[type, str]]:
    """Return every test of these classes, their optional one included."""
    loader = unittest.TestLoader()
    found = [(case, name) for case in classes for name in loader.getTestCaseNames(case)]
    return found + [(case, name) for case in classes for name in dir(case) if name.startswith("optional_test")]


_CASES = _cases(
    theirs.AggregateRecorderTestCase,
    theirs.ApplicationRecorderTestCase,
    theirs.NonInterleavingNotificationIDsBaseCase,
)


def test_none_of_their_cases_is_left_out() -> None:
    """All of their recorders' cases are run, and a release of theirs that has others is looked at."""
    assert {
        "AggregateRecorderTestCase.test_insert_and_select",
        "AggregateRecorderTestCase.test_performance",
        "ApplicationRecorderTestCase.optional_test_insert_subscribe",
        "ApplicationRecorderTestCase.test_concurrent_no_conflicts",
        "ApplicationRecorderTestCase.test_concurrent_throughput",
        "ApplicationRecorderTestCase.test_insert_select",
        "ApplicationRecorderTestCase.test_performance",
        "NonInterleavingNotificationIDsBaseCase.test",
    } == {f"{case.__name__}.{name}" for case, name in _CASES}


@pytest.mark.parametrize(("case", "name"), _CASES, ids=[f"{case.__name__}-{name}" for case, name in _CASES])
def test_their_case_passes_on_our_ledger(case: type, name: str, backstage: Backstage) -> None:
    """What they expect of every event store, ours does."""
    recorder: Callable[[Backstage, str], AggregateRecorder] = OurApplicationRecorder
    if case is theirs.AggregateRecorderTestCase:
        recorder = OurAggregateRecorder

    def create_recorder(_self: object) -> AggregateRecorder:
        return recorder(backstage, f"outside-{uuid4().hex}")

    on_ours: Any = type(case.__name__, (case,), {"INITIAL_VERSION": 0, "create_recorder": create_recorder})
    with contextlib.redirect_stdout(None):
        on_ours(name).debug()
