"""Traces: from a request through the ledger to the worker, and off unless somebody collects them."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from pytest_httpserver import HTTPServer

from events.group_commit import OBSERVERS
from service import tracing
from tests.e2e.conftest import PERSON, Newsroom

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
ONRECORD = Path(sys.executable).with_name("onrecord")
PATIENCE = 30.0


@pytest.fixture
def collected() -> Iterator[InMemorySpanExporter]:
    """What collects the spans of this process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.collect(provider)
    yield exporter
    tracing.collect(None)
    provider.shutdown()


def of_trace(collected: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    """Return the spans of our trace by their names."""
    return {span.name: span for span in collected.get_finished_spans() if trace_of(span) == TRACE}


def trace_of(span: ReadableSpan) -> str:
    """Return the trace of a span."""
    return f"{span.context.trace_id:032x}"


async def until(collected: InMemorySpanExporter, name: str, trace: str) -> ReadableSpan:
    """Return the first span of a name that belongs or is linked to a trace, once there is one."""
    async with asyncio.timeout(PATIENCE):
        while True:
            for span in collected.get_finished_spans():
                linked = [f"{link.context.trace_id:032x}" for link in span.links]
                if span.name == name and trace in [trace_of(span), *linked]:
                    return span
            await asyncio.sleep(0.01)


async def test_a_request_is_seen_from_the_caller_to_the_worker(room: Newsroom, collected: InMemorySpanExporter) -> None:
    """The caller's trace has the request, its decision and its append; the worker's batch is linked to it."""
    claim = await room.claim()
    said = await room.send("POST", f"/v1/claims/{claim}/statements", room.said(), traceparent=TRACEPARENT)
    assert said.status_code == 201
    project = await until(collected, "project", TRACE)
    its = of_trace(collected)
    route = "POST /v1/claims/{claim_id}/statements"
    assert {route, "decide", "append"} == set(its)
    request = its[route]
    assert (request.kind, f"{request.parent.span_id:016x}") == (SpanKind.SERVER, "00f067aa0ba902b7")
    told = dict(request.attributes)
    assert told["http.response.status_code"] == 201
    assert told["onrecord.request_id"] == said.headers["x-request-id"]
    assert told["onrecord.ledger"] == room.ledger.name
    assert told["onrecord.key"].startswith("key_")
    for name in ("decide", "append"):
        assert its[name].parent.span_id == request.context.span_id
        assert request.start_time <= its[name].start_time <= its[name].end_time <= request.end_time
    assert its["append"].attributes["onrecord.position"] == said.json()["position"]
    assert request.context.span_id in [link.context.span_id for link in project.links]
    assert project.attributes["onrecord.ledger"] == room.ledger.name


async def test_what_follows_a_request_up_is_of_its_trace(room: Newsroom, collected: InMemorySpanExporter) -> None:
    """Grading a source lets the worker look at its claims, and what that records is in the trace of the grading."""
    await room.claim("It fell.", room.said())
    graded = await room.send(
        "POST",
        f"/v1/sources/{room.sources['witness']}/grades",
        {"reliability": "E", "rationale": "r", "by": PERSON},
        traceparent=TRACEPARENT,
    )
    assert graded.status_code == 201, graded.text
    reassess = await until(collected, "reassess", TRACE)
    assert reassess.attributes["onrecord.position"] == graded.json()["position"]
    async with asyncio.timeout(PATIENCE):
        while len(entries := await room.ledger.read(graded.json()["position"])) < 1:  # noqa: ASYNC110 - the worker tells nobody
            await asyncio.sleep(0.01)
    (trigger,) = await room.ledger.read(graded.json()["position"] - 1, 1)
    followed = entries[0].envelope
    assert followed.type == "claim.state_changed"
    assert (trigger.envelope.correlationid, trigger.envelope.id) == (followed.correlationid, followed.causationid)
    assert followed.correlationid[3:35] == TRACE


async def test_appends_that_share_a_group_say_so(room: Newsroom, collected: InMemorySpanExporter) -> None:
    """Each request has its own append, linked to the one of the group, which is linked to all of them."""
    bodies = [{"title": f"Together {n}"} for n in range(40)]
    answers = await asyncio.gather(*(room.api.post("/v1/stories", json=body) for body in bodies))
    assert {201} == {answer.status_code for answer in answers}
    spans = collected.get_finished_spans()
    groups = {span.context.span_id: span for span in spans if span.name == "append group"}
    shared = [span for span in spans if span.name == "append" and span.attributes["onrecord.commands"] > 1]
    assert groups
    assert sum(span.attributes["onrecord.commands"] for span in groups.values()) == len(shared)
    for span in shared:
        group = groups[span.links[0].context.span_id]
        assert span.parent.span_id in [link.context.span_id for link in group.links]


async def test_an_error_is_told_by_its_kind_alone(room: Newsroom, collected: InMemorySpanExporter) -> None:
    """What breaks is an error in the trace, with nothing of what the error says, and what is refused is none."""
    refused = await room.send("POST", "/v1/stories", {"titel": "HuntingtheSnark"}, traceparent=TRACEPARENT)
    assert refused.status_code == 422
    (request,) = of_trace(collected).values()
    assert request.status.status_code == StatusCode.UNSET
    with pytest.raises(KeyError), tracing.span("breaks", TRACEPARENT):
        raise KeyError("HuntingtheSnark")
    broken = of_trace(collected)["breaks"]
    assert (broken.status.status_code, broken.attributes["error.type"]) == (StatusCode.ERROR, "KeyError")
    assert not broken.events
    assert "Snark" not in "".join(span.to_json() for span in collected.get_finished_spans())


def test_nothing_is_done_when_nobody_collects() -> None:
    """Without a collector no span is made, no append is observed, and nothing that makes or sends spans is loaded."""
    assert tracing.appended not in OBSERVERS
    assert tracing.begin("anything") is None
    names = "('opentelemetry.sdk.trace', 'opentelemetry.exporter')"
    code = f"import service.cli, sys; print([name for name in sys.modules if name.startswith({names})])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)  # noqa: S603 - our own
    assert done.stdout == "[]\n"


async def test_traces_go_to_where_the_environment_says(
    httpserver: HTTPServer, store_url: str, ledger_name: str, tmp_path: Path
) -> None:
    """A process sends its spans by OTLP over HTTP to the collector that OpenTelemetry's own variables name."""
    httpserver.expect_request("/v1/traces", method="POST").respond_with_data(b"")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ONRECORD_", "OTEL_"))} | {
        "ONRECORD_HOME": str(tmp_path),
        "ONRECORD_STORE_URL": store_url,
        "ONRECORD_LEDGER": ledger_name,
        "ONRECORD_PORT": "0",
        "OTEL_EXPORTER_OTLP_ENDPOINT": httpserver.url_for(""),
        "OTEL_SERVICE_NAME": "desk",
    }
    process = await asyncio.create_subprocess_exec(ONRECORD, "api", env=environment, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    try:
        async with asyncio.timeout(PATIENCE):
            await process.stdout.readuntil(b"http://")
            address = (await process.stdout.readline()).decode().strip()
            async with httpx2.AsyncClient(base_url=f"http://{address}", timeout=PATIENCE) as client:
                assert (await client.get("/livez", headers={"traceparent": TRACEPARENT})).status_code == 200
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    spans, services = [], set()
    for request, _ in httpserver.log:
        sent = ExportTraceServiceRequest.FromString(request.get_data())
        for resource in sent.resource_spans:
            services |= {each.value.string_value for each in resource.resource.attributes if each.key == "service.name"}
            spans += [span for scope in resource.scope_spans for span in scope.spans]
    assert {"desk"} == services
    assert "GET /livez" in [span.name for span in spans if span.trace_id.hex() == TRACE]
