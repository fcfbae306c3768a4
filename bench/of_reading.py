"""Of reading: raw bytes beside bare XRANGE, and raw and decoded beside eventsourcing's SQLite recorder."""

import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate

from bench.measurement import Measurement, against
from bench.prepared import Bench, Rate, statement
from events import catalog
from events.envelope import Entry
from events.identifiers import new_id
from events.ledger import Ledger

_READ, _PAGE, _DECODED = 200_000, 1_000, 50_000
_OF_A_CLAIM = 40
"""Events of each claim in theirs."""
_THEIR_SECTION = Application.log_section_size


async def raw_beside_xrange(name: str, bench: Bench) -> Measurement:
    """Measure reading the bytes beside the store's own command."""
    ledger = await bench.filled(_READ)

    async def bare() -> float:
        read, begin, begun = 0, "-", time.perf_counter()
        while read < _READ:
            page = await bench.store.xrange(ledger.keys.events, min=begin, count=_PAGE)
            read, begin = read + len(page), b"(" + page[-1][0]
        return read / (time.perf_counter() - begun)

    return await against(name, _ours(ledger, _READ), bare, "bare XRANGE", 0.8)


async def raw_beside_eventsourcing(name: str, bench: Bench) -> Measurement:
    """Measure reading the bytes beside its recorder; neither decodes."""
    ledger, theirs = await bench.filled(_READ), await _eventsourcing(bench)
    return await against(name, _ours(ledger, _READ), theirs(_READ, _PAGE), "eventsourcing, not decoded")


async def decoded_beside_eventsourcing(name: str, bench: Bench) -> Measurement:
    """Measure reading events beside its domain events, in its log's sections as they come."""
    ledger, theirs = await bench.filled(_READ), await _eventsourcing(bench)
    peer = f"eventsourcing, decoded, sections of {_THEIR_SECTION}"
    return await against(name, _decoded(ledger), theirs(_DECODED, _THEIR_SECTION, decoded=True), peer, 20)


async def decoded_in_pages(name: str, bench: Bench) -> Measurement:
    """Measure reading events beside its domain events, in pages as large as ours."""
    ledger, theirs = await bench.filled(_READ), await _eventsourcing(bench)
    peer = "eventsourcing, decoded"
    return await against(name, _decoded(ledger), theirs(_DECODED, _PAGE, decoded=True), peer)


async def raw_beside_decoded(name: str, bench: Bench) -> Measurement:
    """Measure reading the bytes beside its domain events: what each is made for."""
    ledger, theirs = await bench.filled(_READ), await _eventsourcing(bench)
    peer = f"eventsourcing, decoded, sections of {_THEIR_SECTION}"
    return await against(name, _ours(ledger, _DECODED), theirs(_DECODED, _THEIR_SECTION, decoded=True), peer)


def _ours(ledger: Ledger, wanted: int) -> Rate:
    async def rate() -> float:
        after, begun = 0, time.perf_counter()
        while after < wanted:
            after = (await ledger.read(after, _PAGE))[-1].position
        return wanted / (time.perf_counter() - begun)

    return rate


def _decoded(ledger: Ledger) -> Rate:
    async def rate() -> float:
        begun = time.perf_counter()
        async for entry in entries(ledger, _DECODED):
            entry.event  # noqa: B018 - asking for it decodes it
        return _DECODED / (time.perf_counter() - begun)

    return rate


async def entries(ledger: Ledger, wanted: int) -> AsyncIterator[Entry]:
    """Yield the first entries of a ledger."""
    for after in range(0, wanted, _PAGE):
        for entry in await ledger.read(after, _PAGE):
            yield entry


class _Claim(Aggregate):
    """A claim as a user of eventsourcing would have it: each statement an event with the words of ours."""

    class StatementRecorded(Aggregate.Event):
        """What a source said."""

        statement_id: str
        speaker_id: str
        stance: str
        said_at: str | None
        quote: str | None

    def record(self, it: catalog.StatementRecorded) -> None:
        """Record a statement."""
        said = it.statement
        self.trigger_event(
            self.StatementRecorded,
            statement_id=it.statement_id,
            speaker_id=said.speaker_id,
            stance=said.stance.value,
            said_at=said.said_at,
            quote=said.quote,
        )


async def _eventsourcing(bench: Bench) -> Callable[..., Rate]:
    """Return what measures reading from an eventsourcing application with as many statements, on SQLite as it comes."""
    if bench.eventsourcing is None:
        name = str(bench.folder / "eventsourcing.db")
        application = Application[UUID](env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": name})
        bench.stack.callback(application.close)
        for _ in range(_READ // _OF_A_CLAIM):
            claim, name = _Claim(), new_id("claim")
            for _ in range(_OF_A_CLAIM - 1):
                claim.record(statement(name))
            application.save(claim)
        bench.eventsourcing = application
    return partial(_theirs, bench.eventsourcing)


def _theirs(application: Application[UUID], wanted: int, section: int, *, decoded: bool = False) -> Rate:
    async def rate() -> float:
        read, after, begun = 0, 0, time.perf_counter()
        while read < wanted:
            page = application.recorder.select_notifications(after, section, inclusive_of_start=False)
            if decoded:
                for notification in page:
                    application.mapper.to_domain_event(notification)
            read, after = read + len(page), page[-1].id
        return read / (time.perf_counter() - begun)

    return rate
