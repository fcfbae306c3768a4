"""The examples in the contract are what the service answers: recorded from the Il-76 story, and recorded anew here.

``make examples`` writes what this run recorded into ``service/api/description/examples.json``.
"""

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2

from events.identifiers import derived_id
from events.ledger import Ledger
from service.verification.commands import Recorder
from tests.conftest import ROOT
from tests.e2e.examples import CALLS, PROBLEMS, WITHOUT, WITHOUT_TAGS, Call

KEPT = ROOT / "service" / "api" / "description" / "examples.json"
OPENAPI = json.loads((ROOT / "openapi" / "openapi.json").read_bytes())
OPERATIONS = {
    operation["operationId"]: (method, path)
    for path, item in OPENAPI["paths"].items()
    for method, operation in item.items()
}

_ID = re.compile(r"\b([a-z]+)_[0-7][0-9a-hjkmnp-tv-z]{25}\b")
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_TIME = re.compile(r"\b20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-9:]{8}\.[0-9]{6}Z")
_SEALED = re.compile(r'"(kid|nonce|ct)": "([^"]+)"')
_LEAF = re.compile(r'(?<="leaf_hash": ")[A-Za-z0-9+/]{43}=(?=")')
_COMMAND = re.compile(r'(?<="commandid": ")[0-9a-f]{32}(?=")')
_REQUEST = re.compile(r'(?<="request_id": ")[0-9a-f]{32}(?=")')
_SHA256 = re.compile(r'(?<="commandhash": ")[0-9a-f]{64}(?=")')


class Player:
    """Sends calls, and remembers what came of them."""

    def __init__(self, api: httpx2.AsyncClient, ledger: Ledger) -> None:
        self.api, self.ledger, self.after = api, ledger, str(ledger.cursor(1))

    async def send(self, call: Call) -> dict[str, Any]:
        """Send a call after all writes before it can be read, and return it with its answer."""
        method, path = OPERATIONS[call.operation]
        self.after = str(self.ledger.cursor((await self.ledger.head()).position))
        filled = {name: await self._filled(value) for name, value in call.path.items()}
        headers = {"Onrecord-After": self.after} if method == "get" else {}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        content = None if call.body is None else json.dumps(call.body)
        answer = await self.api.request(
            method.upper(), path.format(**filled), params=call.query, content=content, headers=headers | call.headers
        )
        sent = {"path": filled, "query": call.query, "headers": call.headers, "body": call.body}
        is_json = "json" in answer.headers["content-type"]
        return {name: value for name, value in sent.items() if value} | {
            "status": answer.status_code,
            "answer": answer.json() if is_json else answer.text,
        }

    async def _filled(self, value: Any) -> Any:
        """Return what fills a path: ``@key`` is the position at which that statement of the sample was recorded."""
        if not (isinstance(value, str) and value.startswith("@")):
            return value
        statement_id = derived_id("statement", "il76", value[1:])
        async with self.api.stream("GET", "/v1/events", headers={"Accept": "application/x-ndjson"}) as lines:
            async for line in lines.aiter_lines():
                event = json.loads(line)
                if event["type"] == "statement.recorded" and event["data"]["statement_id"] == statement_id:
                    return int(event["sequence"])
        raise LookupError(value)


def settled(recorded: str, log: str, ledger: Ledger) -> str:
    """Return what was recorded with everything that chance and the clock made replaced by what always comes out.

    Equal values stay equal, later times stay later; what the sample story brought is as it is in every ledger.
    """
    text = recorded.replace(ledger.epoch, "24jan20240000").replace(ledger.name, "main")
    text = _SEALED.sub(lambda found: f'"{found[1]}": "{"A" * len(found[2])}"', text)
    known = {found.group() for found in _ID.finditer(log)}
    ids = (found for found in _ID.finditer(text) if found.group() not in known)
    replacements = dict(_numbered(ids, lambda n, found: derived_id(found.group(1), "example", str(n))))
    replacements |= dict(_numbered(_UUID.finditer(text), lambda n, _: f"018d3b2e-0000-7000-8000-{n:012x}"))
    for pattern, length in ((_COMMAND, 32), (_REQUEST, 32), (_SHA256, 64)):
        hashed = lambda n, _, length=length: hashlib.sha256(str(n).encode()).hexdigest()[:length]  # noqa: E731
        replacements |= dict(_numbered(pattern.finditer(text), hashed))
    replacements |= dict(
        _numbered(_LEAF.finditer(text), lambda n, _: base64.b64encode(hashlib.sha256(b"%d" % n).digest()).decode())
    )
    times = sorted({found.group() for found in _TIME.finditer(text)})
    replacements |= {time: f"2024-01-24T20:{n // 60:02}:{n % 60:02}.000000Z" for n, time in enumerate(times)}
    if not replacements:
        return text
    return re.sub("|".join(map(re.escape, replacements)), lambda found: replacements[found.group()], text)


def _numbered(found: Iterator[re.Match[str]], named: Any) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for each in found:
        if each.group() not in seen:
            seen.add(each.group())
            yield each.group(), named(len(seen), each)


async def test_the_examples_are_what_the_service_answers(
    api: httpx2.AsyncClient, ledger: Ledger, loaded: Recorder
) -> None:
    """Every request of the documentation, sent anew, is answered as the documentation shows it."""
    assert loaded.ledger is ledger
    log = (await api.get("/v1/events", headers={"Accept": "application/x-ndjson"})).text
    player = Player(api, ledger)
    examples = {call.operation: await player.send(call) for call in CALLS}
    problems = {str(status): await player.send(call) for status, call in PROBLEMS.items()}
    problems = {
        "401": {"status": 401, "answer": (await api.get("/v1/stories", headers={"Authorization": ""})).json()}
    } | problems
    recorded = json.loads(settled(json.dumps({"operations": examples, "problems": problems}), log, ledger))
    assert {call.operation: True for call in CALLS} == {
        name: 200 <= each["status"] < 300 for name, each in examples.items()
    }, [each["answer"] for each in examples.values() if each["status"] >= 300]
    assert {int(status): each["status"] for status, each in problems.items()} == {
        int(status): int(status) for status in problems
    }
    if os.environ.get("ONRECORD_RECORD_EXAMPLES"):
        Path(KEPT).write_text(json.dumps(recorded, indent=1, ensure_ascii=False) + "\n")
    assert json.loads(KEPT.read_text()) == recorded


def test_every_operation_has_an_example_or_a_reason() -> None:
    """A route that is new comes with a real example of its use (tests/e2e/examples.py)."""
    wanted = {
        operation["operationId"]
        for item in OPENAPI["paths"].values()
        for operation in item.values()
        if not {*operation["tags"]} & {*WITHOUT_TAGS}
    }
    assert wanted == {call.operation for call in CALLS} | set(WITHOUT)
