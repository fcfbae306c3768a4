"""Two API processes on one ledger: whichever is asked, they keep to one quota, and answer a repeated request alike."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from events.store import Store
from tests.failure.conftest import PATIENCE, ServiceProcess, StoreProcess

QUOTA = 200
"""Requests of each kind that a key has in a minute here."""


@pytest.fixture
async def both(server: StoreProcess, tmp_path: Path) -> AsyncIterator[list[httpx2.AsyncClient]]:
    """Clients of two API processes, with the same key, which has a small quota."""
    limits = {"ONRECORD_READS_PER_MINUTE": str(QUOTA), "ONRECORD_WRITES_PER_MINUTE": str(QUOTA)}
    processes = [ServiceProcess("api", tmp_path, server.url, "On Record answers at", **limits) for _ in range(2)]
    clients = []
    for process in processes:
        await process.start()
        headers = {"Authorization": f"Bearer {(tmp_path / 'bootstrap.key').read_text().strip()}"}
        where = f"http://127.0.0.1:{process.port}"
        clients.append(httpx2.AsyncClient(base_url=where, headers=headers, timeout=PATIENCE))
    yield clients
    for client in clients:
        await client.aclose()
    for process in processes:
        await process.end()


async def enough_of_a_minute(client: Store) -> None:
    """Wait until a minute of the store's clock does not end soon."""
    while (await client.time())[0] % 60 > 45:  # noqa: ASYNC110 - nobody tells what the store's clock says
        await asyncio.sleep(0.2)


async def test_two_processes_keep_to_one_quota(both: list[httpx2.AsyncClient], client: Store) -> None:
    """Together they let a key make no more requests than its quota, and not fewer by more than a block each."""
    await enough_of_a_minute(client)
    begun = time.monotonic()
    statuses: Counter[int] = Counter()
    last: list[httpx2.Response] = []
    while time.monotonic() - begun < 15 and (not last or any(answer.status_code == 200 for answer in last)):
        last = await asyncio.gather(*(each.get("/v1/projections") for each in both for _ in range(5)))
        statuses.update(answer.status_code for answer in last)
        for answer in last:
            assert answer.headers["ratelimit-policy"] == f'"reads";q={QUOTA};w=60'
            name, left, seconds = answer.headers["ratelimit"].split(";")
            assert name == '"reads"'
            assert 0 <= int(left.removeprefix("r=")) < QUOTA
            assert 0 < int(seconds.removeprefix("t=")) <= 60
    assert {200, 429} == set(statuses)
    assert QUOTA - 2 * QUOTA // 20 <= statuses[200] <= QUOTA
    refused = last[0]
    assert (refused.json()["type"], refused.headers["content-type"]) == (
        "/problems/rate-limited",
        "application/problem+json",
    )
    assert refused.headers["ratelimit"].startswith('"reads";r=0;t=')
    assert 0 < int(refused.headers["retry-after"]) <= 60
    written = await both[0].post("/v1/stories", json={"title": "Of another quota"})
    assert (201, f'"writes";q={QUOTA};w=60') == (written.status_code, written.headers["ratelimit-policy"])


async def test_requests_are_answered_while_they_cannot_be_counted_together(
    both: list[httpx2.AsyncClient], server: StoreProcess
) -> None:
    """A store that is away is a 503 of what was asked of it, and never a 429: whoever cannot be counted is let in."""
    await both[0].get("/v1/projections")
    await server.kill()
    try:
        answers = [await both[0].get("/v1/projections") for _ in range(QUOTA // 10)]
        assert {503} == {answer.status_code for answer in answers}
        assert all(answer.headers["retry-after"] for answer in answers)
    finally:
        await server.start()


def answered(answer: httpx2.Response) -> tuple[object, ...]:
    """Return all of an answer that a client relies on."""
    headers = (answer.headers.get(name) for name in ("etag", "location", "onrecord-after", "content-type"))
    return answer.status_code, answer.content, *headers


async def test_all_who_ask_two_processes_the_same_get_the_first_ones_answer(both: list[httpx2.AsyncClient]) -> None:
    """However many send one request with one key at once, and wherever, it is carried out once and answered alike."""
    story = (await both[0].post("/v1/stories", json={"title": "A crash"})).json()["id"]
    source = (await both[0].post("/v1/sources", json={"name": "Tass", "kind": "news_agency"})).json()["id"]
    claim = (await both[0].post("/v1/claims", json={"story_id": story, "text": "It fell."})).json()["id"]
    said = {"speaker_id": source, "stance": "asserts"}
    for n, (method, path, body) in enumerate(
        [
            ("POST", "/v1/stories", {"title": "Another"}),
            ("POST", "/v1/sources", {"name": "The leak", "kind": "anonymous", "confidential": {"identity": "Ann"}}),
            ("POST", "/v1/claims", {"story_id": story, "text": "It landed.", "first_statement": said}),
            ("POST", f"/v1/claims/{claim}/statements", said),
            ("PATCH", f"/v1/claims/{claim}", {"text": "It crashed."}),
            ("PATCH", f"/v1/sources/{source}", {"name": "TASS"}),
            ("POST", f"/v1/sources/{source}/erasure", {}),
            ("POST", "/v1/policies", {"name": "admiralty"}),
        ]
    ):
        headers = {"Idempotency-Key": f"once-{n}", "If-Match": "*"}
        answers = await asyncio.gather(
            *(each.request(method, path, json=body, headers=headers) for _ in range(4) for each in both)
        )
        assert len(set(map(answered, answers))) == 1, [answer.text for answer in answers]
        assert answers[0].status_code == (200 if method == "PATCH" else 201), answers[0].text
        await both[n % 2].post("/v1/stories", json={"title": f"Later {n}"})
        late = await both[1 - n % 2].request(method, path, json=body, headers=headers)
        assert answered(answers[0]) == answered(late)
