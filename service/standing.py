"""How the store and its ledgers stand, as gauges that are set at each scrape.

``onrecord_projection_checkpoint`` counts the events that a projection has folded, so its rate is how fast the workers
project. Of a store that does not answer nothing is told but that: what was so before is not passed off as what is so.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from msgspec import Struct
from prometheus_client import CollectorRegistry, Gauge
from redis.exceptions import NoPermissionError, RedisError

from events.errors import LedgerError
from events.ledger import Ledger, ledger_names
from events.store import Store, answering, servers
from service import reassessor
from service.audit.sealer import Sealed, sealed
from service.projections import status
from service.projections.status import ProjectionStatus
from service.reassessor import Progress
from service.webhooks.counters import Dispatched, dispatched

MOST_LEDGERS = 500
"""Ledgers that have series of their own; ``onrecord_ledgers`` says how many there are."""
_AT_ONCE = 32
"""Ledgers that are looked at together."""
_PATIENCE = 5.0
"""Seconds that a look may take; Prometheus gives up after ten."""
_LOG = structlog.get_logger("onrecord.metrics")


class _Ledger(Struct, frozen=True):
    name: str
    projections: Sequence[ProjectionStatus]
    reassessor: Progress
    sealed: Sealed
    dispatched: Dispatched

    @property
    def head(self) -> int:
        return self.projections[0].checkpoint + self.projections[0].lag


class Standing:
    """The gauges of a store and its ledgers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._gauges: list[Gauge] = []
        self._up = Gauge("onrecord_store_up", "1 if the store answered this scrape, else 0.", registry=registry)
        self._memory = self._gauge("store_memory_used_bytes", "Memory that the store uses.", "server")
        self._limit = self._gauge("store_memory_limit_bytes", "Memory that it may use; 0: no limit.", "server")
        self._durable = self._gauge("store_log_written", "1 if its last write to its log succeeded, else 0.", "server")
        self._replicas = self._gauge("store_replicas", "Replicas that are connected to it.", "server")
        self._ledgers = Gauge("onrecord_ledgers", "Ledgers of the store.", registry=registry)
        self._head = self._gauge("ledger_head", "The last position of the ledger.", "ledger")
        of_projection = ("ledger", "projection")
        self._lag = self._gauge("projection_lag_events", "Events that it is behind the ledger.", *of_projection)
        self._checkpoint = self._gauge("projection_checkpoint", "The last position folded.", *of_projection)
        self._stopped = self._gauge("projection_stopped", "1 if it stopped at an event, else 0.", *of_projection)
        self._rebuilt = self._gauge(
            "projection_rebuild_position", "The last position folded by a rebuild, while there is one.", *of_projection
        )
        self._followed = self._gauge("reassessor_checkpoint", "The last position that it has followed up.", "ledger")
        self._behind = self._gauge("reassessor_lag_events", "Events that it is behind the ledger.", "ledger")
        self._sealed = self._gauge("sealer_checkpoint", "Events that the last signed checkpoint covers.", "ledger")
        self._unsealed = self._gauge("sealer_lag_events", "Events that it does not cover yet.", "ledger")
        self._dispatched = self._gauge(
            "dispatcher_checkpoint", "The last position that is in the queues of webhooks.", "ledger"
        )
        self._undispatched = self._gauge("dispatcher_lag_events", "Events that are not in them yet.", "ledger")
        self._waiting = self._gauge("webhooks_waiting", "Webhooks for which a delivery waits.", "ledger")
        self._left = self._gauge("reassessor_claims_left", "Claims still to look at for one event.", "ledger")

    def _gauge(self, name: str, help_: str, *labels: str) -> Gauge:
        self._gauges.append(Gauge(f"onrecord_{name}", help_, labels, registry=self._registry))
        return self._gauges[-1]

    async def look(self, store: Store) -> None:
        """Set the gauges to what is so now, within five seconds."""
        found: list[_Ledger] = []
        memory: list[tuple[str, Any]] = []
        total, up = 0, False
        try:
            async with asyncio.timeout(_PATIENCE):
                names = await ledger_names(store)
                total = len(names)
                memory = [(_name(server), await _info(store, server)) for server in servers(store)]
                for begin in range(0, min(total, MOST_LEDGERS), _AT_ONCE):
                    together = names[begin : min(begin + _AT_ONCE, MOST_LEDGERS)]
                    found += await asyncio.gather(*(_ledger(store, name) for name in together))
            up = True
        except (LedgerError, RedisError, TimeoutError) as error:
            _LOG.warning("store unavailable", error=str(error) or f"no answer within {_PATIENCE} s")
        for gauge in self._gauges:  # nothing waits from here on
            gauge.clear()
        self._up.set(up)
        self._ledgers.set(total if up else math.nan)
        for name, info in memory if up else ():
            self._tell_server(name, info)
        for each in found if up else ():
            self._tell(each)

    def _tell_server(self, name: str, info: Mapping[str, Any]) -> None:
        """Tell what a server says of itself; some that others run say less."""
        for gauge, said in (
            (self._memory, info.get("used_memory")),
            (self._limit, info.get("maxmemory")),
            (self._replicas, info.get("connected_slaves")),
        ):
            if said is not None:
                gauge.labels(name).set(said)
        if "aof_last_write_status" in info:
            self._durable.labels(name).set(info["aof_last_write_status"] == "ok")

    def _tell(self, of: _Ledger) -> None:
        self._head.labels(of.name).set(of.head)
        for each in of.projections:
            self._lag.labels(of.name, each.name).set(each.lag)
            self._checkpoint.labels(of.name, each.name).set(each.checkpoint)
            self._stopped.labels(of.name, each.name).set(each.stopped is not None)
            if each.built is not None:
                self._rebuilt.labels(of.name, each.name).set(each.built)
        self._followed.labels(of.name).set(of.reassessor.checkpoint)
        self._behind.labels(of.name).set(max(0, of.head - of.reassessor.checkpoint))
        if of.sealed.size:  # else nobody seals it
            self._sealed.labels(of.name).set(of.sealed.size)
            self._unsealed.labels(of.name).set(max(0, of.head - of.sealed.size))
        if of.dispatched.place is not None:  # else nobody delivers anything
            self._dispatched.labels(of.name).set(of.dispatched.place)
            self._undispatched.labels(of.name).set(max(0, of.head - of.dispatched.place))
            self._waiting.labels(of.name).set(of.dispatched.waiting)
        self._left.labels(of.name).set(of.reassessor.total - of.reassessor.done)


async def _ledger(store: Store, name: str) -> _Ledger:
    ledger = Ledger(store, name, "")
    return _Ledger(
        name,
        await status.of_all(store, ledger),
        await reassessor.progress(store, ledger),
        await sealed(store, ledger),
        await dispatched(store, ledger.keys),
    )


async def _info(store: Store, server: dict[str, Any]) -> Mapping[str, Any]:
    """Return what a server says of its memory, log and replicas; nothing if we may not ask it."""
    with answering():
        try:
            said: Mapping[str, Any] = await store.info("memory", "persistence", "replication", **server)
        except NoPermissionError:
            return {}
        return said


def _name(server: dict[str, Any]) -> str:
    return str(server["target_nodes"].name) if server else "store"
