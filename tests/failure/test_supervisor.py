"""The embedded store is kept going: killed, cut short and damaged under ``onrecord serve``."""

import asyncio
import contextlib
import json
import os
import re
import signal
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

import events.store
from events.ledger import Ledger
from events.store import Store
from service import embedded
from tests.failure.conftest import PATIENCE, ServiceProcess, assert_streams, assert_whole, everything
from tests.failure.test_kills import Load, assert_projected, assert_recorded_once

_KILLS = 3


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[ServiceProcess]:
    """Everything in one process, with an embedded store that it keeps going."""
    serve = ServiceProcess("serve", tmp_path, "", "Ctrl-C stops")
    serve.printed = deque()
    await serve.start()
    assert serve.process is not None
    yield serve
    if serve.process.returncode is None:
        serve.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(serve.process.wait(), PATIENCE)
    await serve.end()


@pytest.fixture
async def beside(serve: ServiceProcess, tmp_path: Path) -> AsyncIterator[Store]:
    """A client of that store."""
    async with contextlib.aclosing(events.store.connect(embedded.url_of(tmp_path))) as client:
        yield client


@pytest.fixture
async def newsroom(serve: ServiceProcess, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody who records over HTTP."""
    headers = {"Authorization": f"Bearer {(tmp_path / 'bootstrap.key').read_text().strip()}"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{serve.port}", headers=headers, timeout=PATIENCE) as desk:
        yield desk


async def pid_of(store: Store) -> int:
    """Return the process of a store."""
    return int((await store.info("server"))["process_id"])


async def back(store: Store, killed: int) -> None:
    """Return when another server answers in place of the one that was killed."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(*events.store.UNREACHABLE):
                if await pid_of(store) != killed:
                    return
            await asyncio.sleep(0.02)


def log_of_commands(home: Path) -> Path:
    """Return the file to which the store appends what it does."""
    (file,) = (home / "store" / "appendonlydir").glob("*.incr.aof")
    return file


@pytest.mark.timeout(120)
async def test_a_killed_embedded_store_comes_back_with_everything_acknowledged(
    serve: ServiceProcess, beside: Store, newsroom: httpx2.AsyncClient, tmp_path: Path
) -> None:
    """It is killed again and again under load: it is started anew after growing pauses, and API and worker go on."""
    ledger = await Ledger.open(beside, "main")
    load = Load(newsroom, serve)
    await load.prepare()
    running = asyncio.create_task(load.run(seed=1))
    for _ in range(_KILLS):
        await load.acknowledged(20)
        pid = await pid_of(beside)
        os.kill(pid, signal.SIGKILL)
        await back(beside, pid)
    await load.acknowledged(20)
    load.stopping.set()
    await running
    entries = await everything(ledger)
    assert_whole(entries)
    await assert_streams(beside, ledger, entries)
    assert_recorded_once(entries, load.receipts)
    await assert_projected(beside, ledger, embedded.url_of(tmp_path))
    assert (await newsroom.get("/readyz")).status_code == 200
    said = [json.loads(line) for line in serve.printed if '"store is away"' in line]
    pauses = [each["restart_in"] for each in said]
    assert len(pauses) == _KILLS
    assert pauses[0] <= 0.3
    assert pauses[-1] >= 0.4
    assert "ended by itself, with -9" in said[0]["why"]


@pytest.mark.timeout(60)
async def test_a_log_that_was_cut_short_is_loaded_without_its_tail(
    serve: ServiceProcess, beside: Store, newsroom: httpx2.AsyncClient, tmp_path: Path
) -> None:
    """The store of a crash in the middle of a write comes back with all that was acknowledged."""
    told = await newsroom.post("/v1/stories", json={"title": "Before"})
    assert told.status_code == 201
    pid = await pid_of(beside)
    os.kill(pid, signal.SIGSTOP)
    with log_of_commands(tmp_path).open("ab") as log:
        log.write(b"*3\r\n$3\r\nSET\r\n$5\r\nhal")
    os.kill(pid, signal.SIGKILL)
    await back(beside, pid)
    assert told.json()["position"] == len(await everything(await Ledger.open(beside, "main")))
    assert (await newsroom.post("/v1/stories", json={"title": "After"})).status_code == 201
    async with asyncio.timeout(PATIENCE):
        while not any("the end of the store's log was cut" in line for line in serve.printed):  # noqa: ASYNC110 - it comes through a pipe
            await asyncio.sleep(0.02)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("harm", ["overwritten", "gone"])
async def test_a_store_that_cannot_be_read_ends_the_service_and_says_so(
    serve: ServiceProcess, beside: Store, newsroom: httpx2.AsyncClient, tmp_path: Path, harm: str
) -> None:
    """What starting again does not mend is not tried for ever, and no empty store takes the place of a lost one."""
    for number in range(20):
        await newsroom.post("/v1/stories", json={"title": f"Story {number}"})
    pid = await pid_of(beside)
    file = log_of_commands(tmp_path)
    if harm == "gone":
        file.parent.rename(tmp_path / "elsewhere")
    else:
        written = file.read_bytes()
        record = re.compile(rb"\r\n\*\d+\r\n\$").search(written, len(written) // 2)
        assert record
        with file.open("r+b") as log:  # where a command begins: within a value the store would not notice
            log.seek(record.start() + 2)
            log.write(b"\0")
    os.kill(pid, signal.SIGKILL)
    assert serve.process is not None
    assert await asyncio.wait_for(serve.process.wait(), PATIENCE) == 1
    await serve.end()
    assert serve.printed[-1].startswith("onrecord: the ")
    assert ("Bad file format" if harm == "overwritten" else "are gone from") in serve.printed[-1]
    assert "Traceback" not in "".join(serve.printed)
