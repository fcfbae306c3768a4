"""``onrecord ledgers`` and ``onrecord keys`` as a person at a terminal meets them: real processes, on the store."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import httpx2

from service.settings import Settings

ONRECORD = Path(sys.executable).with_name("onrecord")


def run(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONRECORD_")}
    environment |= {"ONRECORD_STORE_URL": settings.store_url, "ONRECORD_HOME": settings.home, "COLUMNS": "160"}
    return subprocess.run(  # noqa: S603 - our own command
        [ONRECORD, *words], env=environment, text=True, capture_output=True, timeout=60, check=False
    )


async def test_a_ledger_and_a_key_made_at_a_terminal_are_served_by_what_runs(
    api: httpx2.AsyncClient, settings: Settings
) -> None:
    """The key is printed once and opens the new ledger in the running API; revoked, it opens nothing, and is listed."""
    name = f"test-{uuid4().hex[:12]}"
    assert run(settings, "ledgers", "create", name).returncode == 0
    lines = map(json.loads, run(settings, "ledgers", "list", "--json").stdout.splitlines())
    assert [each["position"] for each in lines if each["name"] == name] == [1]
    words = ("--ledger", name, "--name", "website", "--scope", "read", "--scope", "read:confidential")
    token = run(settings, "keys", "create", *words, "--expires", "90d").stdout.strip()
    headers = {"Authorization": f"Bearer {token}"}
    (here,) = (await api.get("/v1/ledgers", headers=headers)).json()["items"]
    assert here["name"] == name
    (key,) = map(json.loads, run(settings, "keys", "list", "--ledger", name, "--json").stdout.splitlines())
    assert (key["name"], key["scopes"], key["revoked"]) == ("website", ["read", "read:confidential"], None)
    assert run(settings, "keys", "revoke", key["id"]).returncode == 0
    async with asyncio.timeout(2):  # the API is in this process, and hears of it only now
        while (await api.get("/v1/ledgers", headers=headers)).status_code != 401:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    table = run(settings, "keys", "list", "--ledger", name).stdout
    assert "revoked" in table
    assert token.partition(".")[2] not in table


async def test_what_cannot_be_done_at_a_terminal_is_one_clear_line(settings: Settings, api: httpx2.AsyncClient) -> None:
    """A ledger that is there, a name that is none, an unknown ledger, scope, time and key."""
    make = ("keys", "create", "--name", "x", "--scope")
    for words, said in (
        (("ledgers", "create", settings.ledger), "already"),
        (("ledgers", "create", "Bad Name"), "no name for a ledger"),
        ((*make, "read", "--ledger", "nowhere"), "no ledger nowhere"),
        ((*make, "all", "--ledger", settings.ledger), "there are read, read:confidential"),
        ((*make, "read", "--ledger", settings.ledger, "--expires", "2020-01-01"), "is past"),
        ((*make, "read", "--ledger", settings.ledger, "--expires", "soon"), "is no time"),
        (("keys", "list", "--ledger", "nowhere"), "no ledger nowhere"),
        (("keys", "revoke", "key_nothing"), "no such key"),
    ):
        refused = run(settings, *words)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1), (words, refused.stderr)
        assert said in refused.stderr, words
