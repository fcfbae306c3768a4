"""Schemathesis against the running service: whatever the contract allows or forbids is answered as it says.

All of its checks and one of ours (tests/fuzz), in all four phases, with a new seed: ``make fuzz``. How far it gets
depends on the machine, so that what it finds is no sign of what has just changed; it is no part of ``make test``.
"""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

import events.store
from events.ledger import Ledger
from service.app import archives_of
from service.auth import attempts
from service.settings import Settings
from service.verification.commands import Recorder
from service.worker import Worker
from tests.conftest import ROOT

_HERE = ROOT / "tests" / "fuzz"
_ASKED = os.environ.get("ONRECORD_FUZZ_SECONDS", "")
_SECONDS = int(_ASKED or "90")
_PHASES = ("examples", "coverage", "fuzzing", "stateful")
_PATIENCE = 120
"""Seconds beside those of the run: to read the description, and to finish the cases under way."""


@pytest.fixture
async def sealed(
    api: httpx2.AsyncClient, ledger: Ledger, store_url: str, settings: Settings, loaded: Recorder
) -> AsyncIterator[None]:
    """A ledger that holds the story, under a checkpoint, with a worker that seals what is added."""
    assert loaded.ledger is ledger
    client = events.store.connect(store_url)
    task = asyncio.create_task(Worker(client, await Ledger.open(client, ledger.name), archives_of(settings)).run())
    async with asyncio.timeout(_PATIENCE):
        while (await api.get("/v1/checkpoint")).status_code != 200:  # noqa: ASYNC110 - a worker tells nobody
            await asyncio.sleep(0.1)
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await client.aclose()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that lets one address come with as many wrong keys as it likes: schemathesis tries them on purpose."""
    monkeypatch.setattr(attempts, "SECONDS_EACH", 0.0)


@pytest.mark.skipif(not _ASKED, reason="make fuzz runs it")
@pytest.mark.usefixtures("patient", "sealed")
@pytest.mark.timeout(_SECONDS + 2 * _PATIENCE)
async def test_schemathesis_finds_nothing(api: httpx2.AsyncClient, settings: Settings, tmp_path: Path) -> None:
    """Thousands of requests that keep the contract and that break it are answered as the contract says."""
    url, key = str(api.base_url).rstrip("/"), settings.bootstrap_key_path.read_text().strip()
    command = (
        Path(sys.executable).with_name("schemathesis"),
        *("--config-file", _HERE / "schemathesis.toml", "run", f"{url}/openapi.json", "--url", url),
        *("--header", f"Authorization: Bearer {key}", "--checks", "all", "--phases", ",".join(_PHASES)),
        *("--max-time", str(_SECONDS), "--continue-on-failure", "--no-color"),
    )
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(_HERE)}
    running = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        said = (await asyncio.wait_for(running.communicate(), _SECONDS + _PATIENCE))[0].decode()
    finally:
        if running.returncode is None:
            running.kill()
    (tmp_path / "said.txt").write_text(said)
    assert running.returncode == 0, said[:30_000] + said[-3_000:]
    tested = re.search(r"(\d+) generated", said)
    assert tested, said[-20_000:]
    assert int(tested[1]) > 10 * _SECONDS, said[-20_000:]
