"""What one call of the append script does with a whole group: it decides all of it first, then writes all of it."""

import asyncio
import time
from collections import Counter
from itertools import count
from typing import Any

import pytest

from events import catalog
from events.envelope import Provenance
from events.errors import CommandConflict, LedgerDamaged, StoreUnavailable, VersionConflict
from events.group_commit import LARGEST_GROUP, LARGEST_GROUP_BYTES, Appended, GroupCommit
from events.identifiers import new_id
from events.ledger import Command, Ledger
from events.store import Store

_FRESH = count()
HASH, OTHER_HASH = "ab" * 32, "cd" * 32


def noting(claim_id: str, times: int = 1, *, at: int | None = None, name: str = "", hash_: str = HASH) -> Command:
    """Return a command of so many events on one claim, decided ``at`` a version of it."""
    note = catalog.EvidenceAbsenceNoted(claim_id=claim_id, absence=catalog.Absence())
    conditions = {} if at is None else {claim_id: at}
    return Command([note] * times, conditions, Provenance("system", name or f"append-{next(_FRESH)}", hash_))


async def together(ledger: Ledger, *commands: Command) -> list[Appended | BaseException]:
    """Append commands in one group."""
    return await asyncio.gather(*map(ledger.append, commands), return_exceptions=True)


async def written(store: Store, ledger: Ledger) -> dict[bytes, bytes]:
    """Return every key of the ledger with what it holds."""
    prefix = ledger.keys.events.removesuffix("events")
    return {key: await store.dump(key) async for key in store.scan_iter(f"{prefix}*", count=1000)}


async def test_in_one_group_each_command_sees_those_before_it(ledger: Ledger) -> None:
    """Versions, repeats, conflicts and commands without events come out as if they had been given one by one."""
    first, second = new_id("claim"), new_id("claim")
    outcomes = await together(
        ledger,
        noting(first, 2, at=0, name="a"),
        noting(first, 1, at=1, name="stale"),
        noting(first, 2, at=0, name="a"),
        noting(first, 1, at=2, name="a", hash_=OTHER_HASH),
        noting(second, 0, at=0, name="nothing"),
        noting(second, 1, at=0, name="b"),
        noting(second, 0, at=0, name="nothing"),
        noting(first, 1, at=2, name="stale"),
    )
    a, stale, again, other, nothing, b, nothing_again, c = outcomes
    assert isinstance(stale, VersionConflict)
    assert (first, 1, 2) == (stale.stream, stale.expected, stale.actual)
    assert isinstance(other, CommandConflict)
    found = [
        (it.first, it.count, it.repeated) for it in (a, again, nothing, b, nothing_again, c) if isinstance(it, Appended)
    ]
    assert found == [(2, 2, False), (2, 2, True), (4, 0, False), (4, 1, False), (4, 0, True), (5, 1, False)]
    assert [entry.position for entry in await ledger.history(first)] == [2, 3, 5]
    assert [entry.position for entry in await ledger.history(second)] == [4]


async def test_a_command_of_thousands_of_events_on_one_stream_is_whole(ledger: Ledger) -> None:
    """More positions than Lua can unpack at once are all listed, in order."""
    claim_id = new_id("claim")
    events = 8_500
    appended = await ledger.append(noting(claim_id, events, at=0))
    assert (2, events) == (appended.first, appended.count)
    listed = [entry.position for entry in await ledger.history(claim_id, 0, events + 1)]
    assert list(range(2, events + 2)) == listed


async def test_a_log_that_is_ahead_refuses_the_whole_group_and_nothing_is_written(store: Store, ledger: Ledger) -> None:
    """Not a version, not a command id, not a position of any command of the group is left."""
    await store.xadd(ledger.keys.events, {"e": "{}"}, id="9-0")
    before = await written(store, ledger)
    outcomes = await together(ledger, *(noting(new_id("claim"), 3, at=0) for _ in range(20)))
    assert all(isinstance(outcome, LedgerDamaged) for outcome in outcomes)
    assert before == await written(store, ledger)


@pytest.mark.parametrize("damaged", ["stream", "bucket"])
async def test_a_key_of_another_type_refuses_the_group_and_nothing_is_written(
    store: Store, ledger: Ledger, damaged: str
) -> None:
    """A key that something else wrote over is found before the first write, also where no condition names it."""
    claim_id = new_id("claim")
    key = ledger.keys.positions(claim_id) if damaged == "stream" else ledger.keys.commands(_week())
    await store.set(key, "not ours")
    before = await written(store, ledger)
    outcomes = await together(ledger, noting(new_id("claim")), noting(claim_id), noting(new_id("claim")))
    assert all(isinstance(outcome, LedgerDamaged) for outcome in outcomes)
    assert before == await written(store, ledger)


async def test_the_ids_of_commands_are_kept_for_15_days_after_their_week(store: Store, ledger: Ledger) -> None:
    """The bucket of a week is given its end when it begins, and later groups leave that alone."""
    await together(ledger, *(noting(new_id("claim")) for _ in range(5)))
    until = (_week() + 1) * 7 * 86_400 + 15 * 86_400
    assert until == await store.expiretime(ledger.keys.commands(_week()))
    await store.persist(ledger.keys.commands(_week()))
    await ledger.append(noting(new_id("claim")))
    assert await store.ttl(ledger.keys.commands(_week())) == -1


async def test_more_commands_than_a_group_holds_on_one_stream_keep_their_order(ledger: Ledger) -> None:
    """A thousand commands on one claim, each decided on the version that the one before it made, all pass."""
    claim_id = new_id("claim")
    outcomes = await together(ledger, *(noting(claim_id, at=n) for n in range(1_000)))
    assert Counter({Appended: 1_000}) == Counter(map(type, outcomes))
    assert await ledger.version(claim_id) == 1_000


async def test_a_group_has_at_most_64_commands_or_a_mebibyte(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait, no call of the script is so large that others wait long for it; the order stays."""
    groups: list[tuple[int, int]] = []
    send = GroupCommit._send

    async def watched(self: GroupCommit, runs: list[Any]) -> None:
        commands = [command for run in runs for command, _ in run]
        groups.append((len(commands), sum(command.size for command in commands)))
        await send(self, runs)

    monkeypatch.setattr(GroupCommit, "_send", watched)
    claim_id = new_id("claim")
    story = catalog.Story(title="A story", summary="long " * 1_900)
    large = [catalog.StoryOpened(story_id=new_id("story"), story=story)] * 5
    few = [noting(claim_id, at=n) for n in range(100)]
    many = [Command(large, {}, Provenance("system", f"large-{n}", HASH)) for n in range(40)]
    outcomes = await together(ledger, *few, *many)
    assert Counter({Appended: 140}) == Counter(map(type, outcomes))
    assert groups[0][0] == LARGEST_GROUP
    assert sum(count for count, _ in groups) == 140
    assert max(count for count, _ in groups) == LARGEST_GROUP
    assert LARGEST_GROUP_BYTES * 0.9 < max(size for _, size in groups) <= LARGEST_GROUP_BYTES


async def test_more_than_may_wait_are_turned_away_and_may_come_again(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue has an end: who is over it learns at once that nothing was written, and an import waits by itself."""
    monkeypatch.setattr("events.group_commit.LONGEST_QUEUE", 10)
    monkeypatch.setattr("events.ledger.LONGEST_QUEUE", 10)
    commands = [noting(new_id("claim")) for _ in range(30)]
    outcomes = await together(ledger, *commands)
    assert Counter({Appended: 10, StoreUnavailable: 20}) == Counter(map(type, outcomes))
    again = await ledger.append_many(commands)
    assert [isinstance(outcome, Appended) for outcome in outcomes] == [
        isinstance(it, Appended) and it.repeated for it in again
    ]
    assert (await ledger.head()).position == 31


def _week() -> int:
    return int(time.time()) // (7 * 86_400)
