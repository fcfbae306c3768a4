"""Schemathesis against the running service: whatever the contract allows or forbids is answered as it says.

All of its checks and one of ours (tests/fuzz), in all four phases. ``make test`` runs it for a bounded time with a
fixed seed, so that what it finds is found again; ``make fuzz`` runs it for long with a new one.
"""

import asyncio
import os
import re
import sys
from pathlib import Path

import httpx2
import pytest

from service.settings import Settings
from service.verification.commands import Recorder
from tests.conftest import ROOT

_HERE = ROOT / "tests" / "fuzz"
_SECONDS = int(os.environ.get("ONRECORD_FUZZ_SECONDS", "90"))
_PHASES = ("examples", "coverage", "fuzzing", "stateful")
_PATIENCE = 120
"""Seconds beside those of the run: to read the description, and to finish the cases under way."""


@pytest.mark.timeout(_SECONDS + 2 * _PATIENCE)
async def test_schemathesis_finds_nothing(
    api: httpx2.AsyncClient, settings: Settings, loaded: Recorder, tmp_path: Path
) -> None:
    """Thousands of requests that keep the contract and that break it are answered as the contract says."""
    assert loaded.ledger.name == settings.ledger
    url, key = str(api.base_url).rstrip("/"), settings.bootstrap_key_path.read_text().strip()
    seed = () if "ONRECORD_FUZZ_SECONDS" in os.environ else ("--seed", "20240124", "--generation-deterministic")
    command = (
        Path(sys.executable).with_name("schemathesis"),
        *("--config-file", _HERE / "schemathesis.toml", "run", f"{url}/openapi.json", "--url", url),
        *("--header", f"Authorization: Bearer {key}", "--checks", "all", "--phases", ",".join(_PHASES)),
        *("--max-time", str(_SECONDS), "--continue-on-failure", "--no-color", *seed),
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
    assert running.returncode == 0, said[-20_000:]
    tested = re.search(r"(\d+) generated", said)
    assert tested, said[-20_000:]
    assert int(tested[1]) > 10 * _SECONDS, said[-20_000:]
