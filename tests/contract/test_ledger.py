"""What a ledger promises to whoever appends to it and reads it."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from itertools import count, groupby

import pytest

import events.store
from events import catalog, keys, moments, records
from events.envelope import LARGEST_EVENT, REFERENCE, Entry, Provenance
from events.errors import (
    BadCursor,
    ClockSkew,
    CommandConflict,
    CursorPassed,
    EventTooLarge,
    LedgerDamaged,
    UnknownLedger,
    VersionConflict,
)
from events.group_commit import LARGEST_GROUP, Appended
from events.identifiers import new_id
from events.ledger import Command, Ledger
from events.store import Store
from service.verification.policy import STRICT_TWO_SOURCE

_NUMBERS = count()
HASH, OTHER_HASH = "ab" * 32, "cd" * 32


def opened(title: str = "A story") -> catalog.StoryOpened:
    """Return an event that opens a new story."""
    return catalog.StoryOpened(story_id=new_id("story"), story=records.Story(title=title))


def command(
    *events_: catalog.Event,
    conditions: dict[str, int] | None = None,
    command_id: str | None = None,
    command_hash: str = HASH,
) -> Command:
    """Return a command, by default one that was never given before."""
    command_id = command_id or f"test-{next(_NUMBERS)}"
    return Command(events_, conditions or {}, Provenance("system", command_id, command_hash))


async def everything(ledger: Ledger) -> list[Entry]:
    """Return the whole log."""
    found: list[Entry] = []
    while batch := await ledger.read(found[-1].position if found else 0, 100):
        found += batch
    return found


async def test_position_1_is_ledger_created_with_the_first_policy(ledger: Ledger) -> None:
    """Every ledger begins by saying its name, its epoch and its policy."""
    (first,) = await ledger.read()
    assert first.position == 1
    assert catalog.LedgerCreated(ledger=ledger.name, epoch=ledger.epoch, policy=STRICT_TWO_SOURCE) == first.event
    assert await ledger.policy() == STRICT_TWO_SOURCE


async def test_a_ledger_is_created_once_however_many_open_it(store: Store, ledger_name: str) -> None:
    """Processes that start together agree on one epoch."""
    opening = [Ledger.open(store, ledger_name, create=STRICT_TWO_SOURCE) for _ in range(8)]
    ledgers = await asyncio.gather(*opening)
    assert len({ledger.epoch for ledger in ledgers}) == 1
    assert (await ledgers[0].head()).position == 1
    assert ledger_name.encode() in await store.smembers(keys.LEDGERS)


async def test_a_ledger_that_is_not_there_is_not_made_by_reading(store: Store, ledger_name: str) -> None:
    """Opening without a policy creates nothing."""
    with pytest.raises(UnknownLedger):
        await Ledger.open(store, ledger_name)
    assert not await store.exists(keys.LedgerKeys(ledger_name).head)


async def test_positions_are_gapless_and_in_commit_order_under_sixteen_writers(store_url: str, ledger: Ledger) -> None:
    """Sixteen writers in four processes' worth of clients leave no gap, no repeat and no reordering."""
    clients = [events.store.connect(store_url) for _ in range(4)]
    ledgers = [await Ledger.open(client, ledger.name) for client in clients]

    async def write(writer: int) -> list[int]:
        firsts = []
        for n in range(20):
            appended = await ledgers[writer % 4].append(command(*(opened(f"{writer}/{n}") for _ in range(1 + n % 3))))
            firsts.append(appended.first)
        return firsts

    firsts = await asyncio.gather(*map(write, range(16)))
    for client in clients:
        await client.aclose()
    log = await everything(ledger)
    assert list(range(1, len(log) + 1)) == [entry.position for entry in log]
    assert [entry.position for entry in log] == [entry.envelope.position for entry in log]
    assert all(sorted(own) == own for own in firsts)
    assert 1 + 16 * sum(1 + n % 3 for n in range(20)) == len(log)


async def test_two_writers_never_interleave_inside_one_append(store_url: str, ledger: Ledger) -> None:
    """The events of one command are one contiguous run."""
    other_client = events.store.connect(store_url)
    other = await Ledger.open(other_client, ledger.name)
    appends = [(ledger, other)[n % 2].append(command(*(opened() for _ in range(5)))) for n in range(60)]
    await asyncio.gather(*appends)
    await other_client.aclose()
    runs = [len(list(run)) for _, run in groupby(await everything(ledger), key=lambda entry: entry.envelope.commandid)]
    assert [1, *([5] * 60)] == runs


async def test_recorded_time_never_goes_back(ledger: Ledger) -> None:
    """Recorded times are monotone in the order of positions, and no two commands have the same, in one group either."""
    await asyncio.gather(*(ledger.append(command(opened())) for _ in range(100)))
    times = [entry.envelope.recordedtime for entry in await everything(ledger)]
    assert sorted(set(times)) == times


async def test_a_store_clock_that_steps_back_a_little_is_bridged(store: Store, ledger: Ledger) -> None:
    """While the clock is behind the last event by up to five seconds, new events follow the last by a microsecond."""
    ahead = (await ledger.head()).recordedtime + 3_000_000
    await store.hset(ledger.keys.head, "time", ahead)
    first, second = await ledger.append(command(opened())), await ledger.append(command(opened()))
    assert first.recordedtime < second.recordedtime
    assert ahead + 2 == (await ledger.head()).recordedtime


async def test_a_store_clock_that_steps_back_far_is_refused(store: Store, ledger: Ledger) -> None:
    """Beyond five seconds nothing is recorded until the clock is mended."""
    head = await ledger.head()
    await store.hset(ledger.keys.head, "time", head.recordedtime + 60_000_000)
    with pytest.raises(ClockSkew):
        await ledger.append(command(opened()))
    assert head.position == (await ledger.head()).position


async def test_a_repeated_command_records_nothing_and_answers_as_before(ledger: Ledger) -> None:
    """A retry gets the positions of the first time, also after later writes."""
    given = command(opened(), opened(), command_id="retry-me")
    first = await ledger.append(given)
    await ledger.append(command(opened()))
    again = await ledger.append(given)
    assert (first.first, first.count, False) == (first.first, 2, first.repeated)
    assert (first.first, 2, True) == (again.first, again.count, again.repeated)
    assert (await ledger.head()).position == 4


async def test_a_repeated_command_succeeds_though_its_streams_have_moved(ledger: Ledger) -> None:
    """The command id is looked at before the versions, so that a retry of a success succeeds."""
    story = opened()
    given = command(story, conditions={story.story_id: 0})
    assert not (await ledger.append(given)).repeated
    assert (await ledger.append(given)).repeated


async def test_two_at_once_with_one_command_id_record_once(store_url: str, ledger: Ledger) -> None:
    """Whether in one group or from two processes, one command is recorded once and both are told where."""
    client = events.store.connect(store_url)
    other = await Ledger.open(client, ledger.name)
    given = command(opened(), command_id="at-once")
    answers = await asyncio.gather(*((ledger, other)[n % 2].append(given) for n in range(10)))
    await client.aclose()
    assert {2} == {answer.first for answer in answers}
    assert Counter({True: 9, False: 1}) == Counter(answer.repeated for answer in answers)


async def test_one_command_id_for_two_commands_is_refused(ledger: Ledger) -> None:
    """Another payload under a used id is a conflict, never a silent success."""
    await ledger.append(command(opened(), command_id="taken"))
    with pytest.raises(CommandConflict):
        await ledger.append(command(opened(), command_id="taken", command_hash=OTHER_HASH))
    with pytest.raises(CommandConflict):
        await ledger.recall("taken", OTHER_HASH)
    assert (await ledger.head()).position == 2


async def test_a_command_without_events_keeps_its_id(ledger: Ledger) -> None:
    """A command that changed nothing is remembered, and changes nothing again."""
    nothing = command(command_id="nothing")
    assert not (await ledger.append(nothing)).repeated
    again = await ledger.append(nothing)
    assert (again.repeated, again.count) == (True, 0)
    assert (await ledger.head()).position == 1


async def test_recall_knows_what_a_command_recorded(ledger: Ledger) -> None:
    """A command's outcome can be asked for by its id."""
    appended = await ledger.append(command(opened(), opened(), command_id="known"))
    recalled = await ledger.recall("known", HASH)
    assert recalled is not None
    assert (appended.first, 2, True) == (recalled.first, recalled.count, recalled.repeated)
    assert await ledger.recall("unknown", HASH) is None


async def test_every_stream_that_a_decision_read_must_be_as_it_was(ledger: Ledger) -> None:
    """One stream that has moved refuses the command, and the error names it and its version."""
    first, second = opened(), opened()
    await ledger.append(command(first))
    conditions = {second.story_id: 0, REFERENCE: 0, first.story_id: 0}
    with pytest.raises(VersionConflict) as refused:
        await ledger.append(command(second, conditions=conditions))
    assert (first.story_id, 0, 1) == (refused.value.stream, refused.value.expected, refused.value.actual)
    assert await ledger.version(second.story_id) == 0


async def test_a_refused_command_leaves_the_others_of_its_group_alone(ledger: Ledger) -> None:
    """Of many commands that go out together, exactly those fail that must."""
    taken = opened()
    await ledger.append(command(taken))
    given = [command(opened(), conditions={taken.story_id: n % 2}) for n in range(LARGEST_GROUP)]
    outcomes = await asyncio.gather(*map(ledger.append, given), return_exceptions=True)
    assert [n % 2 == 0 for n in range(LARGEST_GROUP)] == [isinstance(it, VersionConflict) for it in outcomes]
    assert (await ledger.head()).position == 2 + LARGEST_GROUP // 2


async def test_in_one_group_a_command_sees_those_before_it(ledger: Ledger) -> None:
    """Two commands that expect the same version cannot both pass, even in one call of the script."""
    story = opened()
    outcomes = await asyncio.gather(
        *(ledger.append(command(story, conditions={story.story_id: 0})) for _ in range(2)), return_exceptions=True
    )
    assert sorted(isinstance(it, VersionConflict) for it in outcomes) == [False, True]


async def test_a_caller_that_is_cancelled_hangs_nobody_and_can_ask_again(ledger: Ledger) -> None:
    """Cancelling one of many waiting callers leaves the others their outcome, and its own to a retry."""
    given = [command(opened(), command_id=f"cancel-{n}") for n in range(20)]
    tasks = [asyncio.create_task(ledger.append(each)) for each in given]
    await asyncio.sleep(0)
    tasks[7].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [n == 7 for n in range(20)] == [isinstance(it, asyncio.CancelledError) for it in outcomes]
    await ledger.append(given[7])
    log = Counter(entry.envelope.commandid for entry in await everything(ledger))
    assert all(log[each.provenance.command_id] == 1 for each in given)


async def test_an_event_that_is_too_large_is_refused_before_anything_is_written(ledger: Ledger) -> None:
    """An entry holds at most 60 KiB; the error says how much it was."""
    story_id = new_id("story")
    allies = {f"party-{n}": tuple(f"ally-{m}-{'x' * 40}" for m in range(10)) for n in range(120)}
    large = catalog.StoryOpened(story_id=story_id, story=records.Story(title="Large", allies=allies))
    with pytest.raises(EventTooLarge) as refused:
        await ledger.append(command(opened(), large))
    assert LARGEST_EVENT == refused.value.limit < refused.value.size
    assert (await ledger.head()).position == 1


async def test_histories_and_versions_count_the_events_of_a_stream(ledger: Ledger) -> None:
    """A stream's history is its events in order, in pages; its version is how many there are."""
    claim_id = new_id("claim")
    note = catalog.EvidenceAbsenceNoted(claim_id=claim_id, absence=records.Absence())
    for _ in range(5):
        await ledger.append(command(note, opened()))
    history = await ledger.history(claim_id)
    assert [entry.position for entry in history] == [2, 4, 6, 8, 10]
    assert await ledger.version(claim_id) == 5
    assert [entry.position for entry in await ledger.history(claim_id, after=2, limit=2)] == [6, 8]
    assert [await ledger.version_at(claim_id, position) for position in (1, 2, 3, 4, 99)] == [0, 1, 1, 2, 5]


@pytest.mark.parametrize("missing", [lambda ledger: ledger.keys.events, lambda ledger: ledger.keys.head])
async def test_a_ledger_whose_head_and_log_disagree_is_not_opened(
    store: Store, ledger: Ledger, missing: Callable[[Ledger], str]
) -> None:
    """A lost log or a lost head is found at start, not written over."""
    await ledger.append(command(opened()))
    await store.delete(missing(ledger))
    with pytest.raises((LedgerDamaged, UnknownLedger)):
        await Ledger.open(store, ledger.name)


async def test_a_log_that_is_ahead_of_its_head_takes_no_event(store: Store, ledger: Ledger) -> None:
    """An entry that the script did not write stops appends, and nothing is half-written."""
    await store.xadd(ledger.keys.events, {"e": "{}"}, id="2-0")
    story = opened()
    with pytest.raises(LedgerDamaged):
        await ledger.append(command(story))
    assert ((await ledger.head()).position, await ledger.version(story.story_id)) == (1, 0)


async def test_a_store_that_was_emptied_under_a_running_service_takes_no_event(store: Store, ledger: Ledger) -> None:
    """A ledger that is gone is not silently begun anew."""
    await store.delete(ledger.keys.head, ledger.keys.events)
    with pytest.raises(UnknownLedger):
        await ledger.append(command(opened()))
    assert not await store.exists(ledger.keys.events)


async def test_appends_go_on_after_the_server_forgot_the_script(store: Store, ledger: Ledger) -> None:
    """A restarted server does not know the script yet; it is told."""
    await store.script_flush()
    assert (await ledger.append(command(opened()))).first == 2


async def test_a_moment_has_the_last_position_recorded_by_it(ledger: Ledger) -> None:
    """Every recorded time finds the last event of that time; before the first there is none."""
    for n in range(1, 6):
        await ledger.append(command(*(opened() for _ in range(n))))
    log = await everything(ledger)
    times = [moments.microseconds(entry.envelope.recordedtime) for entry in log]
    for moment in times:
        expected = max(entry.position for entry, at in zip(log, times, strict=True) if at <= moment)
        assert expected == await ledger.position_at(moment)
    assert (0, len(log)) == (await ledger.position_at(times[0] - 1), await ledger.position_at(times[-1] + 10**9))


async def test_a_moment_is_found_in_few_reads(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of a thousand times as many events takes ten reads more."""
    await ledger.append_many([command(opened()) for _ in range(1_000)])
    last = (await ledger.read(900, 1))[0]
    read, positions = Ledger.read, []

    async def counted(self: Ledger, after: int = 0, limit: int = 1000) -> list[Entry]:
        positions.append(after)
        return await read(self, after, limit)

    monkeypatch.setattr(Ledger, "read", counted)
    assert last.position == await ledger.position_at(moments.microseconds(last.envelope.recordedtime))
    assert len(positions) <= 11


async def test_an_import_records_hundreds_of_commands_in_order_and_is_safe_to_repeat(ledger: Ledger) -> None:
    """Of many commands in one call each passes or fails alone; giving them again records what is missing, once."""
    taken = opened()
    await ledger.append(command(taken))
    given = [command(opened(), opened(), conditions={taken.story_id: int(n != 250)}) for n in range(500)]
    outcomes = await ledger.append_many(given)
    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, VersionConflict)] == [250]
    firsts = [outcome.first for outcome in outcomes if isinstance(outcome, Appended)]
    assert list(range(3, 2 * 499 + 3, 2)) == firsts
    again = await ledger.append_many(given)
    assert firsts == [outcome.first for outcome in again if isinstance(outcome, Appended) and outcome.repeated]
    assert (await ledger.head()).position == 2 + 2 * 499


async def test_the_tail_has_every_event_once_while_others_write(store_url: str, ledger: Ledger) -> None:
    """A follower that starts in the middle sees everything after its place, without a gap or a repeat."""
    client = events.store.connect(store_url)
    follower = await Ledger.open(client, ledger.name)
    await ledger.append(command(opened(), opened()))
    seen: list[int] = []

    async def follow() -> None:
        async for entries in follower.tail(2):
            seen.extend(entry.position for entry in entries)
            if seen and seen[-1] >= 103:
                return

    following = asyncio.create_task(follow())
    await asyncio.gather(*(ledger.append(command(opened(), opened())) for _ in range(50)))
    await asyncio.wait_for(following, 10)
    await client.aclose()
    assert list(range(3, 104)) == seen


async def test_a_cursor_of_another_ledger_or_none_is_refused(ledger: Ledger) -> None:
    """A cursor is only good in the epoch that gave it."""
    assert ledger.position_of(str(ledger.cursor(7))) == 7
    for bad in ("", "7", "abc", f"{ledger.epoch}.", f"{ledger.epoch}.-1", "0000000000000.7", f"{ledger.epoch}.1x"):
        with pytest.raises(BadCursor):
            ledger.position_of(bad)


async def test_a_cursor_beyond_the_end_is_refused(ledger: Ledger) -> None:
    """A cursor is good as soon as the ledger has its position, also if another process recorded it, and no earlier."""
    head = (await ledger.head()).position
    assert head == await ledger.reached(str(ledger.cursor(head)))
    with pytest.raises(BadCursor):
        await ledger.reached(str(ledger.cursor(head + 1)))
    other = await Ledger.open(ledger._store, ledger.name)
    await other.append(command(opened()))
    assert head + 1 == await ledger.reached(str(ledger.cursor(head + 1)))


@pytest.mark.parametrize(
    ("given", "resumed"),
    [("a.3", 3), ("a.10", 10), ("a.11", 10), ("a.20", 10), ("b.12", 12), ("b.15", 14), ("b.14", 14)],
)
async def test_a_cursor_from_before_a_restore_says_where_to_go_on(ledger: Ledger, given: str, resumed: int) -> None:
    """What two epochs have in common need not be read again; what comes after that may be something else now."""
    await ledger._store.hset(ledger.keys.head, "epochs", "a:1,b:11,c:15")
    restored = await Ledger.open(ledger._store, ledger.name)
    assert restored.epoch == "c"
    with pytest.raises(CursorPassed) as passed:
        restored.position_of(given)
    assert f"c.{resumed}" == passed.value.resume_after
    assert restored.position_of("c.3") == 3
    with pytest.raises(BadCursor) as unknown:
        restored.position_of("d.3")
    assert not isinstance(unknown.value, CursorPassed)


async def test_who_came_from_the_first_of_many_epochs_misses_nothing(ledger: Ledger) -> None:
    """If a later restore went back further than an earlier one, it counts."""
    await ledger._store.hset(ledger.keys.head, "epochs", "a:1,b:30,c:15")
    restored = await Ledger.open(ledger._store, ledger.name)
    with pytest.raises(CursorPassed) as passed:
        restored.position_of("a.25")
    assert passed.value.resume_after == "c.14"


async def test_a_ledger_opens_while_others_write_to_it(store_url: str, ledger: Ledger) -> None:
    """Whoever opens it sees its end as of one moment: what is recorded meanwhile is no damage."""

    async def write_on() -> None:
        while True:
            await ledger.append(command(opened()))

    writing = [asyncio.create_task(write_on()) for _ in range(8)]
    async with contextlib.aclosing(events.store.connect(store_url)) as client:
        for _ in range(100):
            await asyncio.gather(*(Ledger.open(client, ledger.name) for _ in range(4)))
    for task in writing:
        task.cancel()
    await asyncio.wait(writing)
