"""Traces by OpenTelemetry: what a request, its decision, its append and the work that follows it took.

Off unless somebody collects them, and then next to nothing is done. A span's parent is named by its W3C trace context
(``00-TRACE-SPAN-FLAGS``), which is what events have as their ``correlationid``: so a trace goes from the API through
the ledger to the worker, and no context is handed along. Of an error only its kind is told: what it says can quote a
request.
"""

import contextlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

import structlog

from events.group_commit import OBSERVERS, Appended, Group

if TYPE_CHECKING:  # an extra: nothing of it is imported unless traces are wanted
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

Attributes: TypeAlias = Mapping[str, str | int | float]
_PARENT = 55
_MOST_LINKS = 64
_LONGEST_FAREWELL = 2.0
"""Seconds for which the end of the process waits for what is still to be sent."""
_LOG = structlog.get_logger("onrecord.tracing")
_tracer: "trace.Tracer | None" = None


def start() -> "TracerProvider | None":
    """Send traces by OTLP over HTTP to where the environment's ``OTEL_…`` variables say, and return the provider.

    Without the extra ``otel`` that is said in the log, and None returned.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        _LOG.warning("there are no traces", why="OTEL_… variables ask for them, but onrecord[otel] is not installed")
        return None
    resource = Resource({SERVICE_NAME: "onrecord"}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    collect(provider)
    return provider


def collect(provider: "TracerProvider | None") -> None:
    """Let a provider have the spans from now on, or nobody."""
    global _tracer  # noqa: PLW0603 - one for the process, as loggers are
    _tracer = provider.get_tracer("onrecord") if provider else None
    if appended in OBSERVERS:
        OBSERVERS.remove(appended)
    if provider:
        OBSERVERS.append(appended)


def stop(provider: "TracerProvider") -> None:
    """Send what is still to be sent, for two seconds at most."""
    collect(None)
    ending = threading.Thread(target=provider.shutdown, daemon=True)
    ending.start()
    ending.join(_LONGEST_FAREWELL)


def is_on() -> bool:
    """Whether anybody collects traces."""
    return _tracer is not None


class Span:
    """A span that is under way. ``traceparent`` names it as the parent of others."""

    def __init__(self, span: "trace.Span") -> None:
        self._span = span
        self.traceparent = traceparent(span)

    def name(self, name: str, attributes: Attributes) -> None:
        """Say what it is, now that it is known."""
        self._span.update_name(name)
        self._span.set_attributes(dict(attributes))

    def fail(self, kind: str) -> None:
        """Say that it failed, and with which kind of error."""
        from opentelemetry.trace import StatusCode  # noqa: PLC0415 - an extra, and there is one if there is a span

        self._span.set_attribute("error.type", kind)
        self._span.set_status(StatusCode.ERROR)

    def end(self) -> None:
        """End it."""
        self._span.end()


def traceparent(span: "trace.Span") -> str:
    """Return the W3C trace context that names a span."""
    its = span.get_span_context()
    return f"00-{its.trace_id:032x}-{its.span_id:016x}-{its.trace_flags:02x}"


def begin(
    name: str,
    parent: str | None = None,
    *,
    serves: bool = False,
    links: Iterable[str | None] = (),
    said: Mapping[str, str | int] = MappingProxyType({}),
) -> Span | None:
    """Begin a span, for its caller to end, if anybody collects them. What is ``said`` becomes attributes."""
    if _tracer is None:
        return None
    from opentelemetry.trace import SpanKind  # noqa: PLC0415 - an extra

    attributes = {f"onrecord.{key}": value for key, value in said.items()}
    kind = SpanKind.SERVER if serves else SpanKind.INTERNAL
    its_parent = _context(parent)
    return Span(_tracer.start_span(name, its_parent, kind=kind, attributes=attributes, links=_links(links)))


@contextlib.contextmanager
def _spanned(span: Span) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        span.fail(type(error).__qualname__)
        raise
    finally:
        span.end()


_NOTHING = contextlib.nullcontext()


def span(
    name: str, parent: str | None = None, *, links: Iterable[str | None] = (), **said: str | int
) -> contextlib.AbstractContextManager[None]:
    """Return what makes a span of the block that it is entered for. ``said`` become attributes ``onrecord.…``."""
    begun = begin(name, parent, links=links, said=said)
    return _spanned(begun) if begun else _NOTHING


def appended(group: Group) -> None:
    """Learn what became of a group of commands: one span each, under its request, and one of all together."""
    if _tracer is None:  # it was turned off meanwhile
        return
    from opentelemetry.trace import Link  # noqa: PLC0415 - an extra

    end = group.begun + int(1e9 * group.seconds)
    together = []
    if len(group.commands) > 1:
        requests = [command.correlation_id for command in group.commands]
        size = {"onrecord.commands": len(group.commands)}
        whole = _tracer.start_span("append group", attributes=size, links=_links(requests), start_time=group.begun)
        whole.end(end)
        together = [Link(whole.get_span_context())]
    for command, outcome in zip(group.commands, group.outcomes, strict=True):
        said: dict[str, str | int] = {"onrecord.commands": len(group.commands), "onrecord.events": len(command.events)}
        if isinstance(outcome, Appended):
            said |= {"onrecord.position": outcome.last, "onrecord.repeated": str(outcome.repeated).lower()}
        elif outcome is not None:
            said["error.type"] = type(outcome).__qualname__
        parent = _context(command.correlation_id)
        made = _tracer.start_span("append", parent, attributes=said, links=together, start_time=group.begun)
        made.end(end)


def _context(parent: str | None) -> "Context":
    """Return the context of a span's parent; an empty one if what is given names none."""
    from opentelemetry.context import Context  # noqa: PLC0415 - an extra
    from opentelemetry.trace import NonRecordingSpan, set_span_in_context  # noqa: PLC0415

    named = _named(parent)
    return set_span_in_context(NonRecordingSpan(named), Context()) if named else Context()


def _links(parents: Iterable[str | None]) -> "list[trace.Link]":
    from opentelemetry.trace import Link  # noqa: PLC0415 - an extra

    named = [_named(each) for each in list(dict.fromkeys(parents))[:_MOST_LINKS]]
    return [Link(each) for each in named if each]


def _named(parent: str | None) -> "trace.SpanContext | None":
    from opentelemetry.trace import SpanContext, TraceFlags  # noqa: PLC0415 - an extra

    if not parent or len(parent) != _PARENT:
        return None
    try:
        _, trace_id, span_id, flags = parent.split("-")
        return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    except ValueError:
        return None
