"""Two API processes on one store: whichever answers, a read after a write sees it, also while claims are rebuilt."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests.failure.conftest import PATIENCE, ServiceProcess, StoreProcess

_CLAIMS, _WRITERS, _EACH = 6, 4, 40


@pytest.fixture
async def second(server: StoreProcess, desk: httpx2.AsyncClient, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody who asks another process of the same service."""
    api = ServiceProcess("api", tmp_path, server.url, "On Record answers at")
    await api.start()
    address = f"http://127.0.0.1:{api.port}"
    async with httpx2.AsyncClient(base_url=address, headers=dict(desk.headers), timeout=PATIENCE) as second:
        yield second
    await api.end()


async def test_whichever_process_answers_a_write_is_seen(
    desk: httpx2.AsyncClient, second: httpx2.AsyncClient, worker: ServiceProcess
) -> None:
    """Documents that a process keeps are as good as read anew: after every write, from each of them, with one ETag."""
    story = (await desk.post("/v1/stories", json={"title": "A crash"})).json()["id"]
    claims = [
        (await desk.post("/v1/claims", json={"story_id": story, "text": "It fell."})).json()["id"]
        for _ in range(_CLAIMS)
    ]
    source = (await desk.post("/v1/sources", json={"name": "A witness", "kind": "person"})).json()["id"]

    async def write_and_read(seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - a test's chance
        for _ in range(_EACH):
            claim, writer = chance.choice(claims), chance.choice((desk, second))
            said = {"speaker_id": source, "stance": "asserts", "quote": f"It fell, {chance.random()}."}
            written = await writer.post(f"/v1/claims/{claim}/statements", json=said)
            after = {"Onrecord-After": written.headers["onrecord-after"]}
            for reader in (desk, second):
                while (read := await reader.get(f"/v1/claims/{claim}", headers=after)).status_code == 503:
                    pass  # the worker is slow today
                assert written.json()["id"] in {each["id"] for each in read.json()["statements"]}
                again = await reader.get(f"/v1/claims/{claim}", headers=after | {"If-None-Match": read.headers["etag"]})
                assert again.status_code in {200, 304}  # another writer may have been there in between

    rebuilding = asyncio.create_task(_rebuild_on_and_on(desk))
    await asyncio.gather(*(write_and_read(seed) for seed in range(_WRITERS)))
    rebuilding.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await rebuilding
    for claim in claims:
        async with asyncio.timeout(PATIENCE):
            while (one := await desk.get(f"/v1/claims/{claim}")).headers["etag"] != (
                other := await second.get(f"/v1/claims/{claim}")
            ).headers["etag"]:
                pass
        assert one.content == other.content


async def _rebuild_on_and_on(desk: httpx2.AsyncClient) -> None:
    while True:
        generation = await _generation(desk)
        assert (await desk.post("/v1/projections/claims/rebuild")).is_success
        while generation == await _generation(desk):  # noqa: ASYNC110 - the API has no event for it
            await asyncio.sleep(0.05)


async def _generation(desk: httpx2.AsyncClient) -> int:
    statuses = (await desk.get("/v1/projections")).json()["items"]
    return int(next(each["generation"] for each in statuses if each["name"] == "claims"))
