"""A disk that is full, and one that is nearly so: a real small file system under the embedded store.

It takes root to mount one. ``ONRECORD_TEST_REQUIRE_DOCKER=1`` makes it a failure if that is not permitted.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

import events.store
from events import catalog
from events.envelope import Provenance
from events.errors import OutcomeUnknown, StoreFull, StoreUnavailable
from events.group_commit import Appended
from events.identifiers import new_id
from events.ledger import Command, Ledger
from service import embedded
from service.verification.policy import STRICT_TWO_SOURCE
from tests.failure.conftest import PATIENCE, ServiceProcess, assert_streams, assert_whole, everything

_AT_ONCE, _STORIES = 16, 20
_FULL = (StoreUnavailable, OutcomeUnknown, StoreFull)


def mount(*words: str) -> None:
    """Mount, or skip the test."""
    done = subprocess.run(["mount", *words], text=True, capture_output=True, check=False)  # noqa: S603, S607 - the system's
    if done.returncode:
        assert os.environ.get("ONRECORD_TEST_REQUIRE_DOCKER") != "1", done.stderr
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes a disk of so many MiB, and, asked again, makes it larger."""
    disk = tmp_path / "disk"

    def sized(mebibytes: int) -> Path:
        remounted = "remount," if disk.exists() else ""
        disk.mkdir(exist_ok=True)
        mount("-t", "tmpfs", "-o", f"{remounted}size={mebibytes}m", "tmpfs", str(disk))
        return disk

    yield sized
    if disk.is_mount():
        subprocess.run(["umount", "--lazy", disk], check=True)  # noqa: S603, S607 - the system's


def opening(name: str) -> Command:
    """Return a command that opens many stories, some 50 kB in all; ``name`` is its id."""
    story = catalog.Story(title="x" * 2000)
    stories = [catalog.StoryOpened(story_id=new_id("story"), story=story) for _ in range(_STORIES)]
    return Command(stories, {}, Provenance("system", name, "ab" * 32))


async def outcome(ledger: Ledger, command: Command) -> Appended | StoreUnavailable | OutcomeUnknown | StoreFull:
    """Return what became of an append: done, or one of the errors that a full disk may be."""
    try:
        return await asyncio.wait_for(ledger.append(command), PATIENCE)
    except _FULL as error:
        return error


async def stopped(serve: ServiceProcess) -> None:
    """Stop it in order, its store too; it must end well."""
    assert serve.process is not None
    serve.process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(serve.process.wait(), PATIENCE) == 0
    await serve.end()


@pytest.mark.timeout(120)
async def test_a_full_disk_costs_nothing_that_was_acknowledged(small_disk: Callable[[int], Path]) -> None:
    """The store ends when its disk is full, callers are told so, and with room it goes on by itself, whole."""
    home = small_disk(24)
    acknowledged: dict[str, Appended] = {}
    async with (
        embedded.supervised(home, smallest_free=0) as store,
        contextlib.aclosing(events.store.connect(store.url)) as client,
    ):
        ledger = await Ledger.open(client, "main", create=STRICT_TWO_SOURCE)
        commands: dict[str, Command] = {}
        failed: list[str] = []
        while not failed:
            group = {f"fill-{n}": opening(f"fill-{n}") for n in range(len(commands), len(commands) + _AT_ONCE)}
            commands |= group
            came = await asyncio.gather(*(outcome(ledger, command) for command in group.values()))
            acknowledged |= {name: each for name, each in zip(group, came, strict=True) if isinstance(each, Appended)}
            failed = [name for name, each in zip(group, came, strict=True) if not isinstance(each, Appended)]
        assert len(acknowledged) > 100
        small_disk(96)
        async with asyncio.timeout(PATIENCE):
            for name in failed:
                while not isinstance(each := await outcome(ledger, commands[name]), Appended):
                    pass
                acknowledged[name] = each
        for name, command in commands.items():
            again = await ledger.append(command)
            assert (acknowledged[name].first, _STORIES, True) == (again.first, again.count, again.repeated)
        entries = await everything(ledger)
        assert commands.keys() == {entry.envelope.commandid for entry in entries[1:]}
        assert len(commands) * _STORIES + 1 == len(entries)
        assert_whole(entries)
        await assert_streams(client, ledger, entries)
    async with (
        embedded.supervised(home, smallest_free=0) as store,
        contextlib.aclosing(events.store.connect(store.url)) as client,
    ):
        kept = await everything(await Ledger.open(client, "main"))
        assert [entry.raw for entry in entries] == [entry.raw for entry in kept]


@pytest.mark.timeout(90)
async def test_a_disk_that_is_nearly_full_is_read_and_not_written(small_disk: Callable[[int], Path]) -> None:
    """Below 256 MiB free every write is 503 store-full and reads go on, also after a start; with room, all goes on."""
    home = small_disk(320)
    serve = ServiceProcess("serve", home, "", "Ctrl-C stops")
    await serve.start()
    ballast = home / "ballast"

    async def posted(title: str, until: int) -> httpx2.Response:
        async with asyncio.timeout(PATIENCE):
            while True:
                answer = await desk.post("/v1/stories", json={"title": title})
                if answer.status_code == until:
                    return answer
                await asyncio.sleep(0.05)

    async def read(receipt: httpx2.Response) -> httpx2.Response:
        after = {"Onrecord-After": receipt.headers["Onrecord-After"]}
        return await desk.get(f"/v1/stories/{receipt.json()['id']}", headers=after)

    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{serve.port}", timeout=PATIENCE) as desk:
        desk.headers["Authorization"] = f"Bearer {(home / 'bootstrap.key').read_text().strip()}"
        before = await posted("Before", 201)
        assert (await read(before)).status_code == 200
        ballast.write_bytes(bytes(100 << 20))
        refused = await posted("During", 503)
        assert refused.json()["type"] == "/problems/store-full"
        assert refused.headers["Retry-After"]
        assert (await read(before)).status_code == 200
        for path in ("/v1/stories", "/v1/events", "/readyz"):
            assert (await desk.get(path)).status_code == 200
        await stopped(serve)
        await serve.start()
        assert (await read(before)).status_code == 200
        assert (await desk.post("/v1/stories", json={"title": "During"})).status_code == 503
        ballast.unlink()
        after = await posted("After", 201)
        assert (await read(after)).status_code == 200
    await stopped(serve)
    said = "".join(serve.printed)
    assert "disk nearly full, writes are refused" in said
    assert "disk has room, writes go on" in said
