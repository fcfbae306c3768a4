"""Webhooks on the command line, as a developer tries them: listen in one terminal, look and send again in another."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from msgspec import structs

from service.app import egress_of, outbound_of
from service.settings import Settings
from service.webhooks.destination import Refused
from service.webhooks.egress import Egress
from tests.e2e.conftest import Newsroom
from tests.e2e.receiving import Receiver

_PATIENCE = 60


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings under which endpoints on this machine can be sent to."""
    return structs.replace(settings, webhook_allow="127.0.0.0/8")


class Terminal:
    """Runs commands against the API of a newsroom."""

    def __init__(self, room: Newsroom) -> None:
        key = room.api.headers["authorization"].removeprefix("Bearer ")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ONRECORD_")}
        self._environment = kept | {"ONRECORD_URL": str(room.api.base_url), "ONRECORD_KEY": key, "COLUMNS": "200"}

    @asynccontextmanager
    async def running(self, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run ``onrecord webhooks`` with some words."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "service.cli", "webhooks", *words, stdout=PIPE, stderr=PIPE, env=self._environment
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await process.communicate()

    async def run(self, *words: str, code: int = 0) -> str:
        """Run a command to its end, and return what it printed."""
        async with asyncio.timeout(_PATIENCE), self.running(*words) as process:
            out, err = await process.communicate()
        assert code == process.returncode, err.decode()
        return (out + err).decode()

    async def said(self, *words: str) -> Any:
        """Run a command that prints JSON, and return that."""
        return msgspec.json.decode(await self.run(*words))


@pytest.mark.timeout(300)  # some dozen processes, each of which takes a second to begin
async def test_a_webhook_is_made_looked_at_and_told_again(room: Newsroom, receiver: Receiver) -> None:
    """Every command does what its name says, and what is wrong is one clear line."""
    terminal = Terminal(room)
    made = await terminal.run("create", receiver.url(), "--type", "claim.*", "--header", "X-Desk: night")
    webhook_id, secret = made.split("\nsecret: ")
    assert secret.startswith("whsec_")
    assert receiver.received[0].headers["x-desk"] == "night"
    await room.latest()
    await room.get(f"/v1/webhooks/{webhook_id}")
    assert receiver.url() in await terminal.run("list")
    assert (await terminal.said("show", webhook_id))["header_names"] == ["X-Desk"]
    assert (await terminal.said("ping", webhook_id))["status"] == 204
    await terminal.run("resend", webhook_id, "1")
    assert [
        msgspec.json.decode(line)["position"]
        for line in (await terminal.run("deliveries", webhook_id, "--status", "waiting")).splitlines()
    ] == [1]
    assert (await terminal.said("replay", webhook_id, "0", "--rate", "5"))["after"] == 0
    await terminal.run("end-replay", webhook_id)
    await terminal.run("disable", webhook_id, "--reason", "night")
    assert "is disabled" in await terminal.run("resend", webhook_id, "1", code=1)
    await terminal.run("delete", webhook_id)
    assert "(404)" in await terminal.run("show", webhook_id, code=1)
    assert "the scheme is https" in await terminal.run("create", "ftp://example.org/", code=1)


async def test_a_developer_listens_on_their_own_machine(room: Newsroom, settings: Settings) -> None:
    """What is recorded is shown as it comes, verified; afterwards the endpoint is registered no more."""
    store = room.store
    egress = egress_of(settings)
    delivering = asyncio.create_task(outbound_of(store, egress, settings).deliver(room.ledger, room.recorder))
    async with asyncio.timeout(_PATIENCE), Terminal(room).running("listen", "--type", "claim.registered") as process:
        assert process.stdout
        ping = (await process.stdout.readline()).decode()
        assert "webhook.ping" in ping
        assert "listening on http://127.0.0.1:" in (await process.stdout.readline()).decode()
        claim = await room.claim()
        line = (await process.stdout.readline()).decode()
        assert f"verified: claim.registered {claim}" in line
        process.terminate()
        await process.communicate()
    delivering.cancel()
    await asyncio.wait([delivering])
    await egress.aclose()


@pytest.mark.timeout(300)
async def test_mistakes_are_told_in_one_line_that_helps(room: Newsroom, receiver: Receiver) -> None:
    """A port that is taken, a header without a colon, a type that there is not, an endpoint that does not answer."""
    terminal = Terminal(room)
    taken = await terminal.run("listen", "--port", str(receiver.port), code=1)
    assert taken == f"onrecord: cannot listen on 127.0.0.1:{receiver.port}: Address already in use\n"
    assert "65535" in await terminal.run("listen", "--port", "65536", code=2)
    assert "as in 'Name: value'" in await terminal.run("create", receiver.url(), "--header", "X-Desk", code=2)
    unknown = await terminal.run("create", receiver.url(), "--type", "claim.*", "--type", "claimed.*", code=1)
    assert "at /filters/types/1: 'claimed.*' is no type of event; there are " in unknown
    assert "whsec_" in await terminal.run("listen", "--secret", "abc", code=1)
    assert receiver.received == []
    receiver.status = 500
    made = await terminal.run("create", receiver.url())
    webhook_id = made.partition("\n")[0]
    assert f"`onrecord webhooks ping {webhook_id}`" in made
    assert '"status":500' in await terminal.run("ping", webhook_id, code=1)


async def test_an_api_that_sends_nothing_here_says_what_to_do(room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever listens without having allowed it learns which setting does."""
    monkeypatch.setattr(Egress, "check", refuse)
    assert "ONRECORD_WEBHOOK_ALLOW=127.0.0.0/8" in await Terminal(room).run("listen", code=1)


async def refuse(*_: object) -> None:
    """Refuse whatever is asked, as an API without the setting does."""
    raise Refused("the scheme is https; http is for networks that are allowed")
