"""Lists that are paged while others write: nothing that was there is skipped or told twice."""

import asyncio
from itertools import cycle, islice
from typing import Any

import pytest

from tests.e2e.conftest import PERSON, Newsroom

STEADY, MOVING, ROUNDS = 24, 8, 24
LISTS: tuple[dict[str, str], ...] = ({}, {"tag": "front"}, {"text": "bridge"}, {"state": "unverified"})


async def walked(room: Newsroom, after: str = "", **query: Any) -> list[dict[str, Any]]:
    """Return the items of a list as they are by now, or at least ``after`` a write, paged by its cursors."""
    found: list[dict[str, Any]] = []
    headers = {"Onrecord-After": after} if after else {}
    while True:
        answer = await room.api.get("/v1/claims", params={"limit": 5} | query, headers=headers)
        page = answer.raise_for_status().json()
        found += page["items"]
        if page["next_after"] is None:
            return found
        query["after"] = page["next_after"]


class Writers:
    """Register claims, and move those that are there in and out of every list."""

    def __init__(self, room: Newsroom, moving: list[str]) -> None:
        self.room, self.moving = room, moving
        self.changed: set[str] = set()

    async def write(self) -> None:
        """Write each kind side by side, so many times."""
        await asyncio.gather(self.register(), self.judge(), self.reword())

    async def register(self) -> None:
        """Register claims that belong in every list."""
        for _ in range(ROUNDS):
            self.changed.add(await self.room.claim("The bridge fell once more.", tags=["front"]))

    async def judge(self) -> None:
        """Assess claims, which takes them out of their state, and revoke that, which puts them back."""
        for claim in islice(cycle(self.moving), ROUNDS):
            self.changed.add(claim)
            made = await self.room.assess(claim)
            await self.room.post(f"/v1/assessments/{made}/revocation", {"reason": "Too soon.", "by": PERSON})

    async def reword(self) -> None:
        """Take the tag and the word off claims, and put them on again."""
        for claim in islice(cycle(reversed(self.moving)), ROUNDS):
            self.changed.add(claim)
            await self.room.patch(f"/v1/claims/{claim}", {"text": "It stands.", "tags": []})
            await self.room.patch(f"/v1/claims/{claim}", {"text": "The bridge fell.", "tags": ["front"]})


@pytest.fixture
async def steady(room: Newsroom) -> list[str]:
    """Claims that nobody touches, in every list."""
    return [await room.claim("The bridge fell, it is said.", tags=["front"]) for _ in range(STEADY)]


@pytest.fixture
async def writers(room: Newsroom, steady: list[str]) -> Writers:
    """Writers of claims of which half were registered before the last of the steady ones."""
    moving = [await room.claim("The bridge fell.", tags=["front"]) for _ in range(MOVING)]
    steady += [await room.claim("The bridge fell, they say.", tags=["front"]) for _ in range(STEADY)]
    await walked(room, room.after)
    return Writers(room, moving)


@pytest.mark.timeout(90)
async def test_pages_skip_and_repeat_nothing_while_claims_move(
    room: Newsroom, steady: list[str], writers: Writers
) -> None:
    """Each list, walked again and again while claims come and move, has all that stay in it, once and in order."""
    there = {*steady, *writers.moving}
    writing = asyncio.create_task(writers.write())
    while not writing.done():
        for query in LISTS:
            items = await walked(room, **query)
            ids, positions = [each["id"] for each in items], [each["position"] for each in items]
            assert len(ids) == len({*ids}), query
            assert sorted(positions) == positions, query
            assert ({*steady} if query else there) <= {*ids}, query
    await writing
    for query in LISTS:
        assert there | writers.changed == {each["id"] for each in await walked(room, room.after, **query)}


@pytest.mark.timeout(90)
async def test_changed_since_sees_every_change(room: Newsroom, steady: list[str], writers: Writers) -> None:
    """Who asks again and again what changed since it last asked has, in the end, the newest version of each claim."""
    since, seen = room.after, dict[str, int]()

    async def look() -> str:
        now = str(room.ledger.cursor((await room.ledger.head()).position))
        for each in await walked(room, now, changed_since=since):
            seen[each["id"]] = max(each["version"], seen.get(each["id"], 0))
        return now

    writing = asyncio.create_task(writers.write())
    while not writing.done():
        since = await look()
    await writing
    await look()
    now = {each["id"]: each["version"] for each in await walked(room, room.after)}
    assert {key: now[key] for key in writers.changed} == seen
