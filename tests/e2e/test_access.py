"""Requests and the log: what identifies a request ties its answer, its events and its lines in the log together."""

import asyncio
import base64
import contextlib
import json
import os
import pty
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from events.ledger import Ledger
from events.store import Store
from service.auth.keys import new_key
from service.auth.scopes import EVERY

ONRECORD = Path(sys.executable).with_name("onrecord")
PATIENCE = 30.0
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


async def test_a_request_keeps_the_identifier_that_it_brings(api: httpx2.AsyncClient) -> None:
    """The identifier that a caller gives is in the answer, also in that of a problem, in header and body alike."""
    headers = {"X-Request-Id": "desk:2026-11_7"}
    assert (await api.get("/livez", headers=headers)).headers["x-request-id"] == "desk:2026-11_7"
    for path in ("/v1/claims/nothing", "/nowhere"):
        problem = await api.get(path, headers=headers)
        assert problem.status_code == 404
        assert [problem.headers["x-request-id"], problem.json()["request_id"]] == ["desk:2026-11_7"] * 2


@pytest.mark.parametrize(
    "bad", ["", "a b", "x" * 65, "a\u00e9", "onrecord_01m82y52k1expamp8bfm2v8smv.secret", "-a", 'a"b', "e30.e30.c2ln"]
)
async def test_an_identifier_that_is_not_sane_is_replaced(api: httpx2.AsyncClient, bad: str) -> None:
    """Too long, empty, with other characters, or like a key or a token: the request gets one of ours instead."""
    answered = await api.get("/livez", headers=[(b"X-Request-Id", bad.encode())])
    made = answered.headers["x-request-id"]
    assert bad != made
    assert (len(made), made.isalnum()) == (32, True)
    assert made != (await api.get("/livez")).headers["x-request-id"]


async def posted(api: httpx2.AsyncClient, **headers: str) -> Any:
    """Open a story, and return the envelope of its first event with the answer's headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await api.post("/v1/stories", json={"title": "Correlated"}, headers=named)
    assert answer.status_code == 201
    position = answer.json()["events"][0]["position"]
    page = (await api.get("/v1/events", headers={"Accept": "application/x-ndjson"})).text
    return json.loads(page.splitlines()[position - 1]), answer.headers


async def test_events_name_the_request_that_recorded_them(api: httpx2.AsyncClient) -> None:
    """``correlationid`` is the trace if the request has one, else the request; a retry leaves it as it was."""
    by_request, headers = await posted(api)
    assert headers["x-request-id"] == by_request["correlationid"]
    by_trace, _ = await posted(api, traceparent=TRACEPARENT)
    assert by_trace["correlationid"] == TRACEPARENT
    first, _ = await posted(api, Idempotency_Key="once", X_Request_Id="first")
    again, headers = await posted(api, Idempotency_Key="once", X_Request_Id="second", traceparent=TRACEPARENT)
    assert headers["x-request-id"] == "second"
    assert (first, "first") == (again, again["correlationid"])


@pytest.mark.parametrize(
    "bad",
    [
        [TRACEPARENT.upper()],
        [TRACEPARENT, TRACEPARENT],
        [f"00-{'0' * 32}-00f067aa0ba902b7-01"],
        [f"00-{TRACE}-{'0' * 16}-01"],
        [f"ff-{TRACE}-00f067aa0ba902b7-01"],
        ["anything"],
    ],
)
async def test_a_trace_that_is_malformed_is_no_trace(api: httpx2.AsyncClient, bad: list[str]) -> None:
    """What is not a trace parent of W3C Trace Context is not put on record."""
    headers = [(b"traceparent", each.encode()) for each in bad]
    answer = await api.post("/v1/stories", json={"title": "Untraced"}, headers=headers)
    page = (await api.get("/v1/events", headers={"Accept": "application/x-ndjson"})).text
    assert answer.headers["x-request-id"] == json.loads(page.splitlines()[-1])["correlationid"]


# --------------------------------------------------------------------------------------------- the log of a process


class Logging:
    """An API as a process, with the lines that it has logged so far."""

    def __init__(self, home: Path, store_url: str, ledger: str, **more: str) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = int(listener.getsockname()[1])
        self.raw: list[str] = []
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("ONRECORD_")} | {
            "ONRECORD_HOME": str(home),
            "ONRECORD_STORE_URL": store_url,
            "ONRECORD_LEDGER": ledger,
            "ONRECORD_PORT": str(self.port),
            "ONRECORD_LOG_LEVEL": "debug",
            **more,
        }

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run it until the caller is done; it must end well."""
        process = await asyncio.create_subprocess_exec(
            ONRECORD, "api", env=self._environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        assert process.stdout
        reading = asyncio.create_task(self._read(process))
        try:
            async with asyncio.timeout(PATIENCE):
                await process.stdout.readuntil(b"On Record answers at")
            yield
        finally:
            process.terminate()
            assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
            await reading

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr
        async for line in process.stderr:
            self.raw.append(line.decode())

    def lines(self, event: str = "request") -> list[Any]:
        """Return the lines about one kind of thing; every line has to be JSON."""
        return [line for line in map(json.loads, self.raw) if line["event"] == event]

    def client(self, **headers: str) -> httpx2.AsyncClient:
        """Return a client of it."""
        return httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=PATIENCE)


@pytest.fixture
def logging(tmp_path: Path, store_url: str, ledger: Ledger) -> Callable[..., Logging]:
    """Makes an API on the test's ledger."""
    return lambda **more: Logging(tmp_path, store_url, ledger.name, **more)


async def test_every_request_has_one_line(logging: Callable[..., Logging], store: Store, ledger: Ledger) -> None:
    """A line has the route and not the path, the status and its level, time, size, request, trace, key and ledger."""
    api = logging()
    token = await new_key(store, ledger.name)
    key = "key_" + token.removeprefix("onrecord_").partition(".")[0]
    async with api.running(), api.client(Authorization=f"Bearer {token}") as client:
        made = await client.post("/v1/stories", json={"title": "A"}, headers={"traceparent": TRACEPARENT})
        await client.get(f"/v1/stories/{made.json()['id']}", headers={"Onrecord-After": "0.1", "X-Request-Id": "r2"})
        await client.get("/nowhere/at/all", headers={"X-Request-Id": "r3"})
        await client.get("/v1/stories", headers={"Authorization": "", "X-Request-Id": "r4"})
        await client.post("/v1/policies", json={}, headers={"X-Request-Id": "r5"})
    shown = ("method", "route", "status", "level", "request_id", "trace_id", "key", "ledger", "problem")
    assert [
        ["POST", "/v1/stories", 201, "info", made.headers["x-request-id"], TRACE, key, ledger.name, None],
        ["GET", "/v1/stories/{story_id}", 400, "warning", "r2", None, key, ledger.name, "bad-cursor"],
        ["GET", "unmatched", 404, "warning", "r3", None, None, None, "not-found"],
        ["GET", "/v1/stories", 401, "warning", "r4", None, None, None, "unauthorized"],
        ["POST", "/v1/policies", 403, "warning", "r5", None, key, ledger.name, "forbidden"],
    ] == [[line.get(name) for name in shown] for line in api.lines()]
    assert len(made.content) == api.lines()[0]["bytes"]
    assert all(0 < line["duration_ms"] < 1000 * PATIENCE for line in api.lines())
    assert all(line["timestamp"].endswith("Z") for line in api.lines())


async def test_no_secret_is_ever_logged(logging: Callable[..., Logging], store: Store, ledger: Ledger) -> None:
    """Whatever place of a request a secret is in, and however the request ends, no line of the log has it."""
    api = logging()
    token = await new_key(store, ledger.name, scopes=EVERY)
    secret = "HuntingtheSnark"  # noqa: S105 - what must not be found
    coded = base64.b64encode(secret.encode()).decode().rstrip("=")
    source = {"name": "Protected", "kind": "anonymous"}
    async with api.running(), api.client(Authorization=f"Bearer {token}") as client:
        for authorization in (f"Bearer {secret}", f"Bearer onrecord_x.{secret}", f"Basic {coded}", secret):
            await client.get("/v1/claims", headers={"Authorization": authorization})
        for path in (f"/{secret}", f"/v1/claims/{secret}", f"/v1/claims?text={secret}", f"/v1/claims?after={secret}"):
            await client.get(path)
        for header in ("X-Request-Id", "traceparent", "Cookie", "If-Match", "Onrecord-After", "Referer", "User-Agent"):
            await client.get("/v1/claims", headers={header: f"onrecord_x.{secret}"})
        await client.get("/v1/claims", headers={secret: secret})
        await client.post("/v1/stories", json={"title": secret}, headers={"Idempotency-Key": secret})
        await client.post("/v1/stories", json={"title": "another"}, headers={"Idempotency-Key": secret})
        held = await client.post("/v1/sources", json={**source, "confidential": {"identity": secret, "note": secret}})
        assert held.status_code == 201, held.text
        for body in (f'{{"{secret}": 1}}', f'{{"title": {{"a": "{secret}"}}}}', f'"{secret}', f"\ud800{secret}"):
            content = body.encode("utf-8", "surrogatepass")
            await client.post("/v1/stories", content=content, headers={"Content-Type": "application/json"})
        await client.post("/v1/stories", content=b"{}", headers={"Content-Type": secret})
        await client.request(secret.upper(), "/v1/stories")
        with contextlib.suppress(httpx2.TransportError):
            await client.get("/livez", headers={"Host": secret})
    said = "".join(api.raw).lower()
    assert len(api.lines()) >= 20
    for hidden in (secret.lower(), coded.lower(), token.partition(".")[2].lower()):
        assert hidden not in said


async def test_what_breaks_is_logged_with_its_place_and_not_with_what_it_quotes(
    logging: Callable[..., Logging], store: Store, ledger: Ledger
) -> None:
    """The log says which error it was and where, by the identifier that the client has; not what the error says."""
    api = logging()
    token = await new_key(store, ledger.name)
    async with api.running(), api.client(Authorization=f"Bearer {token}") as client:
        assert (await client.get("/v1/sources")).status_code == 200
        await store.hset(ledger.keys.projection("stories"), "checkpoint:1", "HuntingtheSnark")
        broken = await client.get("/v1/stories")
    assert broken.status_code == 500
    assert "Snark" not in broken.text
    assert "Snark" not in "".join(api.raw)
    (failed,) = api.lines("request failed")
    assert failed["request_id"] == broken.json()["request_id"] == api.lines()[1]["request_id"]
    assert "builtins.ValueError\n" in failed["exception"]
    assert "in placed\n" in failed["exception"]


async def test_what_the_server_says_is_in_the_log_as_all_else(logging: Callable[..., Logging]) -> None:
    """What is no HTTP at all is a warning of the server's, as a JSON line, without what was sent."""
    api = logging()
    async with api.running():
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(b"HuntingtheSnark\r\n\r\n")
        assert b"400" in await asyncio.wait_for(reader.readline(), PATIENCE)
        writer.close()
    (said,) = api.lines("Invalid HTTP request received.")
    assert (said["level"], said["logger"]) == ("warning", "uvicorn.error")
    assert "Snark" not in "".join(api.raw)


def test_a_terminal_gets_something_to_read() -> None:
    """On a terminal a line is in words and colours, and not in JSON; elsewhere it is JSON."""
    code = (
        "import structlog, service.logs as logs; logs.configure('info'); structlog.get_logger('desk').info('hi', n=1)"
    )
    ours, theirs = pty.openpty()
    for stderr in (theirs, subprocess.PIPE):
        done = subprocess.run([sys.executable, "-c", code], stderr=stderr, timeout=60, check=True)  # noqa: S603 - our own
    os.close(theirs)
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert "hi" in shown
    assert not shown.startswith("{")
    line = json.loads(done.stderr)
    assert (line["event"], line["n"], line["level"], line["logger"]) == ("hi", 1, "info", "desk")
