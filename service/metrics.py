"""Metrics: what Prometheus is told of this process, and of the store and its ledgers (:mod:`service.standing`)."""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from events.errors import CommandConflict, OutcomeUnknown, OutOfTurn, VersionConflict
from events.group_commit import LARGEST_GROUP, Appended, Group
from events.store import Store
from service.api.http.access import Application, Asked, Receive, Said, Send
from service.standing import Standing
from service.webhooks.attempts import Observed

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_APPEND_SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
_GROUPS = tuple(2**n for n in range(LARGEST_GROUP.bit_length()))
_OUTCOMES = {
    VersionConflict: "version_conflict",
    CommandConflict: "command_conflict",
    OutOfTurn: "out_of_turn",
    OutcomeUnknown: "unknown",
}
disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations


class Metrics:
    """The metrics of one process. It observes requests (:class:`service.api.http.access.Observer`) and appends."""

    def __init__(self, version: str) -> None:
        self._registry = registry = CollectorRegistry()
        self._standing = Standing(registry)
        self.duties: Callable[[], Mapping[str, int]] = dict
        """What says of how many ledgers this process has each duty, if it is a worker."""
        ProcessCollector(registry=registry)
        Gauge("onrecord_build_info", "The release that runs.", ["version"], registry=registry).labels(version).set(1)
        self._requests = Histogram(
            "onrecord_http_request_duration_seconds",
            "Time from a request to the last byte of its answer; of a stream, to the first.",
            ("method", "route", "status"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._in_flight = Gauge("onrecord_http_requests_in_flight", "Requests not answered yet.", registry=registry)
        self._streams = Gauge("onrecord_http_streams_open", "Answers that stream at this moment.", registry=registry)
        self._problems = Counter(
            "onrecord_http_problems", "Requests answered with a problem.", ["problem"], registry=registry
        )
        self._seconds = Histogram(
            "onrecord_append_duration_seconds",
            "Time from sending a group of commands to the store until they are on disk.",
            buckets=_APPEND_SECONDS,
            registry=registry,
        )
        self._group = Histogram(
            "onrecord_append_group_commands", "Commands in a group.", buckets=_GROUPS, registry=registry
        )
        self._commands = Counter(
            "onrecord_append_commands", "Commands by what became of them.", ["outcome"], registry=registry
        )
        self._events = Counter("onrecord_append_events", "Events recorded.", registry=registry)
        self._attempts = Counter(
            "onrecord_webhook_attempts",
            "Attempts to deliver an event to a webhook by what became of it; dropped: its filters had changed.",
            ["ledger", "outcome"],
            registry=registry,
        )
        self._took = Histogram(
            "onrecord_webhook_attempt_duration_seconds",
            "Time that an attempt took.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._leases = Gauge(
            "onrecord_leases_held", "Ledgers of which this process has a duty.", ["duty"], registry=registry
        )

    def begins(self) -> None:
        """Learn that a request came."""
        self._in_flight.inc()

    def streams(self) -> None:
        """Learn that the answer to one began to stream."""
        self._streams.inc()

    def ends(self, asked: Asked) -> None:
        """Learn that one was answered."""
        self._in_flight.dec()
        if asked.streams:
            self._streams.dec()
        if asked.problem:
            self._problems.labels(asked.problem).inc()
        self._requests.labels(asked.method, asked.route, str(asked.status)).observe(asked.seconds)

    def appended(self, group: Group) -> None:
        """Learn what became of a group of commands."""
        self._seconds.observe(group.seconds)
        self._group.observe(len(group.commands))
        for outcome in group.outcomes:
            if isinstance(outcome, Appended):
                self._commands.labels("repeated" if outcome.repeated else "recorded").inc()
                self._events.inc(0 if outcome.repeated else outcome.count)
            else:
                self._commands.labels(_OUTCOMES.get(type(outcome), "failed")).inc()

    def attempted(self, observed: Observed) -> None:
        """Learn what became of an attempt to deliver an event to a webhook."""
        self._attempts.labels(observed.ledger, observed.became).inc()
        if observed.seconds:
            self._took.observe(observed.seconds)

    def exposed(self, store: Store) -> Application:
        """Return an application that answers ``GET /metrics`` with this process and every ledger of a store."""

        async def expose(scope: Said, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's three
            if scope["type"] != "http":
                return
            found = scope["path"] == "/metrics" and scope["method"] == "GET"
            if found:
                await self._standing.look(store)
                self._leases.clear()
                for duty, ledgers in self.duties().items():
                    self._leases.labels(duty).set(ledgers)
            body = generate_latest(self._registry) if found else b"metrics are at /metrics\n"
            media_type = CONTENT_TYPE_LATEST if found else "text/plain"
            headers = [(b"content-type", media_type.encode()), (b"content-length", b"%d" % len(body))]
            code = HTTPStatus.OK if found else HTTPStatus.NOT_FOUND
            await send({"type": "http.response.start", "status": int(code), "headers": headers})
            await send({"type": "http.response.body", "body": body, "more_body": False})

        return expose
