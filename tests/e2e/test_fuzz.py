"""Schemathesis against the running service: whatever the contract allows or forbids is answered as it says.

All of its checks and one of ours (tests/fuzz), in all four phases. In ``make test`` it makes so many cases of each
operation, from one seed; ``make fuzz`` goes on for so many seconds, from a new one.
"""

import asyncio
import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from msgspec import structs

from service.auth import attempts
from service.settings import Settings
from service.verification.commands import Recorder
from tests.conftest import ROOT
from tests.e2e.conftest import sealed_up_to

_HERE = ROOT / "tests" / "fuzz"
_SECONDS = int(os.environ.get("ONRECORD_FUZZ_SECONDS", "0"))
_PHASES = ("examples", "coverage", "fuzzing", "stateful")
_AMOUNT = ("--max-time", str(_SECONDS)) if _SECONDS else ("--max-examples", "8", "--seed", "19", "--no-shrink")
_LEAST = 10 * _SECONDS or 4000
"""Cases that there are at least."""
_BOUND = _SECONDS + 600
"""Seconds after which a run hangs: the work of one in ``make test`` is a minute of a machine that does nothing else."""
_KNOWN_BY = re.compile(r"\^([a-z]+)_\[0-7\]")
"""How the pattern of an identifier begins: with its kind."""
_NEVER = {"path.key_id", "body.source_id", "body.by"}
"""What is not taken from the ledger: the key that schemathesis comes with, which it would revoke; and two members of
which a challenge has only one, which schemathesis does not heed where it puts in what is given to it."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings under which a webhook can lead to this machine, and nowhere else has to be looked up."""
    return structs.replace(settings, webhook_allow="127.0.0.0/8")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that lets one address come with as many wrong keys as it likes: schemathesis tries them on purpose."""
    monkeypatch.setattr(attempts, "SECONDS_EACH", 0.0)


@pytest.fixture
async def config(api: httpx2.AsyncClient, loaded: Recorder, sealing: Path, tmp_path: Path) -> Path:
    """The settings of schemathesis, with identifiers of what is on record for most of those that it would invent.

    On record are a story and a webhook, under a checkpoint; what is added is sealed.
    """
    made = await api.post("/v1/webhooks", json={"url": "http://127.0.0.1:1/", "verify": False})
    await sealed_up_to(api, made.json()["position"])
    log = (await api.get("/v1/events", headers={"Accept": "application/x-ndjson"})).text
    found = defaultdict(set)
    for identifier, kind in re.findall(r'"(([a-z]+)_[0-7][0-9a-z]{25})"', log):
        found[kind].add(identifier)
    description = (await api.get("/openapi.json")).json()
    lines = [(_HERE / "schemathesis.toml").read_text()]
    for kind, identifiers in found.items():
        lines.append(f"[dictionaries.{kind}]\nvalues = {json.dumps(sorted(identifiers))}")
    lines.append("[parameters]\n")
    for name, kind in sorted(set(_named(description))):
        if kind in found and name not in _NEVER:
            lines.append(f'"{name}" = {{ dictionary = "{kind}", probability = 0.7 }}')
    written = tmp_path / "schemathesis.toml"
    written.write_text("\n".join(lines))
    return written


def _named(description: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each parameter, and each member of a body, that is an identifier: what schemathesis calls it, its kind."""
    for methods in description["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                if kind := _KNOWN_BY.match(parameter.get("schema", {}).get("pattern", "")):
                    yield f"{parameter['in']}.{parameter['name']}", kind[1]
    for shape in description["components"]["schemas"].values():
        for name, member in shape.get("properties", {}).items():
            if kind := _KNOWN_BY.match(member.get("pattern", "")):
                yield f"body.{name}", kind[1]


@pytest.mark.usefixtures("patient")
@pytest.mark.timeout(_BOUND + 60)
async def test_schemathesis_finds_nothing(
    api: httpx2.AsyncClient, settings: Settings, config: Path, tmp_path: Path
) -> None:
    """Thousands of requests that keep the contract and that break it are answered as the contract says."""
    url, key = str(api.base_url).rstrip("/"), settings.bootstrap_key_path.read_text().strip()
    command = (
        Path(sys.executable).with_name("schemathesis"),
        *("--config-file", config, "run", f"{url}/openapi.json", "--url", url),
        *("--header", f"Authorization: Bearer {key}", "--checks", "all", "--phases", ",".join(_PHASES)),
        *(*_AMOUNT, "--generation-database", "none", "--continue-on-failure", "--no-color"),
    )
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(_HERE)}
    running = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        said = (await asyncio.wait_for(running.communicate(), _BOUND))[0].decode()
    finally:
        if running.returncode is None:
            running.kill()
    (tmp_path / "said.txt").write_text(said)
    assert running.returncode == 0, said[:30_000] + said[-3_000:]
    tested, ran = re.search(r"(\d+) generated", said), re.search(r"Selected: (\d+)/\1\n\s+Tested: \1\n", said)
    assert tested, said[-20_000:]
    assert int(tested[1]) > _LEAST, said[-20_000:]
    assert ran, said[-20_000:]
    assert said.count("✅") >= 2 * len(_PHASES), said[-20_000:]
