"""Everything that a ledger keeps beside its log can be made again from the bytes of the log alone."""

import asyncio
import hashlib
import json
import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest

from events import catalog, records, words
from events.envelope import Entry, Provenance, streams_of
from events.errors import CommandConflict, EventTooLarge, VersionConflict
from events.identifiers import derived_id, new_id
from events.ledger import Command, Ledger
from events.store import Store
from service.projections.catalog import PROJECTIONS
from service.verification.commands import Recorder

HASH, OTHER_HASH = "ab" * 32, "cd" * 32
WEEK = timedelta(weeks=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WITHOUT_EVENTS = ("nothing", "nothing-either")
"""Commands of ``varied`` that changed nothing: their ids are kept, though no bytes tell of them."""
ORDER = (
    "specversion", "id", "source", "type", "subject", "dataschema", "time", "actor", "storyid", "commandid",
    "commandhash", "correlationid", "causationid", "data", "sequence", "recordedtime",
)  # fmt: skip
OPTIONAL = {"time", "storyid", "correlationid", "causationid"}


class Kept(NamedTuple):
    """What a ledger keeps beside its log."""

    head: dict[bytes, bytes]
    positions: dict[str, list[bytes]]
    commands: dict[str, dict[bytes, bytes]]


def _opened(title: str, story_id: str | None = None) -> catalog.StoryOpened:
    return catalog.StoryOpened(story_id=story_id or new_id("story"), story=records.Story(title=title))


@pytest.fixture
async def varied(loaded: Recorder, ledger: Ledger) -> Ledger:
    """A ledger with the Il-76 story, and commands that were repeated, refused, empty, large and made at once."""

    def command(
        *events_: catalog.Event, id_: str, hash_: str = HASH, conditions: dict[str, int] | None = None, **context: str
    ) -> Command:
        return Command(events_, conditions or {}, Provenance("system", id_, hash_, **context))

    story_id, claim_id = derived_id("story", "varied"), derived_id("claim", "varied")
    absence = catalog.EvidenceAbsenceNoted(claim_id=claim_id, absence=records.Absence(quote='"}]\n\t\u2028 ü 😀 \x7f'))
    several = command(_opened("ü", story_id), absence, absence, id_="several", conditions={story_id: 0, claim_id: 0})
    await ledger.append(several)
    assert (await ledger.append(several)).repeated
    said = records.Statement(speaker_id=new_id("source"), stance=words.Stance.DENIES, said_at="2024-01-24T08:15Z")
    timed = catalog.StatementRecorded(claim_id=claim_id, statement_id=new_id("statement"), statement=said)
    told = command(timed, id_="told", story_id=story_id, correlation_id="correlated", causation_id="caused")
    await ledger.append(told)
    for id_ in WITHOUT_EVENTS:
        await ledger.append(command(id_=id_))
    with pytest.raises(CommandConflict):
        await ledger.append(command(absence, id_="several", hash_=OTHER_HASH))
    with pytest.raises(CommandConflict):
        await ledger.append(command(absence, id_=WITHOUT_EVENTS[0], hash_=OTHER_HASH))
    with pytest.raises(VersionConflict):
        await ledger.append(command(absence, _opened("refused"), id_="refused", conditions={claim_id: 99}))
    large = records.Story(title="Large", allies={f"party-{n}": ("x" * 60,) * 10 for n in range(120)})
    with pytest.raises(EventTooLarge):
        await ledger.append(command(catalog.StoryOpened(story_id=new_id("story"), story=large), id_="large"))
    race = [command(absence, absence, id_=f"race-{n}", conditions={claim_id: 3 + n % 2}) for n in range(20)]
    outcomes = await asyncio.gather(*map(ledger.append, race), return_exceptions=True)
    assert [n > 0 for n in range(20)] == [isinstance(outcome, VersionConflict) for outcome in outcomes]
    return ledger


async def _log(store: Store, ledger: Ledger) -> list[Entry]:
    """Return the log as the store holds it: entry ids count from 1, and each has one field."""
    found = await store.xrange(ledger.keys.events)
    assert [f"{position}-0".encode() for position in range(1, len(found) + 1)] == [entry_id for entry_id, _ in found]
    assert {(b"e",)} == {tuple(fields) for _, fields in found}
    return [Entry(position, fields[b"e"]) for position, (_, fields) in enumerate(found, 1)]


def _rebuilt(ledger: Ledger, log: list[Entry]) -> Kept:
    """Derive everything from the bytes."""
    positions: dict[str, list[bytes]] = defaultdict(list)
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    epochs = []
    for entry in log:
        event = json.loads(entry.raw)
        for stream in streams_of(entry.event):
            positions[ledger.keys.positions(stream)].append(str(entry.position).encode())
        runs[event["commandid"]].append(event)
        if event["type"] in {"ledger.created", "ledger.restored"}:
            epochs.append(f"{event['data']['epoch']}:{entry.position}")
    commands: dict[str, dict[bytes, bytes]] = defaultdict(dict)
    for command_id, run in runs.items():
        name = hashlib.sha256(command_id.encode()).digest()[:16]
        (hash_,) = {event["commandhash"] for event in run}
        first = int(run[0]["sequence"])
        assert list(range(first, first + len(run))) == [int(event["sequence"]) for event in run]
        value = bytes.fromhex(hash_)[:8] + first.to_bytes(8, "big") + len(run).to_bytes(4, "big")
        commands[ledger.keys.commands(_since_1970(run[0]) // WEEK)][name] = value
    last = _since_1970(json.loads(log[-1].raw)) // timedelta(microseconds=1)
    head = {"position": str(len(log)), "time": str(last), "epochs": ",".join(epochs)}
    return Kept({name.encode(): value.encode() for name, value in head.items()}, dict(positions), dict(commands))


def _since_1970(event: dict[str, Any]) -> timedelta:
    return datetime.fromisoformat(event["recordedtime"]) - EPOCH


async def _keys(store: Store, ledger: Ledger) -> set[str]:
    """Return every key under the ledger's hash tag."""
    pattern = f"{ledger.keys.head.removesuffix('head')}*"
    return {key.decode() async for key in store.scan_iter(match=pattern, count=1000)}


async def test_head_streams_and_commands_are_rebuilt_from_the_bytes_alone(store: Store, varied: Ledger) -> None:
    """Head, positions and command ids hold nothing that the log does not say."""
    rebuilt = _rebuilt(varied, await _log(store, varied))
    assert rebuilt.head == await store.hgetall(varied.keys.head)
    assert rebuilt.positions == {key: await store.lrange(key, 0, -1) for key in rebuilt.positions}
    buckets = {key for key in await _keys(store, varied) if key.startswith(_bucket_prefix(varied))}
    kept = {key: await store.hgetall(key) for key in buckets}
    with_events = {key: {id_: its for id_, its in of.items() if its[16:] != bytes(4)} for key, of in kept.items()}
    assert rebuilt.commands == {key: of for key, of in with_events.items() if of}
    without = {id_: its[:8] for of in kept.values() for id_, its in of.items() if its[16:] == bytes(4)}
    names = [hashlib.sha256(command_id.encode()).digest()[:16] for command_id in WITHOUT_EVENTS]
    assert dict.fromkeys(names, bytes.fromhex(HASH)[:8]) == without


async def test_a_ledger_has_no_key_that_its_bytes_do_not_explain(store: Store, varied: Ledger) -> None:
    """Beside what is rebuilt there are the log, snapshots and projections, and nothing else."""
    rebuilt = _rebuilt(varied, await _log(store, varied))
    keys = varied.keys
    explained = {keys.events, keys.head, *rebuilt.positions, *rebuilt.commands}
    made_again = [keys.facts(varied.epoch, "")]
    for projection in PROJECTIONS:
        made_again += [keys.projection(projection.name), keys.head.removesuffix("head") + projection.name + ":"]
    found = {key for key in await _keys(store, varied) if not key.startswith(tuple(made_again))}
    assert explained == found


def _bucket_prefix(ledger: Ledger) -> str:
    return ledger.keys.commands(0).removesuffix("0")


async def test_every_entry_is_a_cloudevent_with_its_members_in_order(store: Store, varied: Ledger) -> None:
    """Each entry's bytes are CloudEvents 1.0 JSON, their members in the order that is fixed for ever, none twice."""
    log = await _log(store, varied)
    seen: set[str] = set()
    for entry in log:
        members: list[tuple[str, Any]] = _members(entry.raw)
        event = dict(members)
        assert [name for name in ORDER if name in event or name not in OPTIONAL] == [name for name, _ in members]
        assert all(isinstance(value, str) and value for name, value in members if name != "data")
        assert all(re.fullmatch("[a-z0-9]{1,20}", name) for name, _ in members)
        assert ("1.0", f"/ledgers/{varied.name}") == (event["specversion"], event["source"])
        assert UUID(event["id"]).version == 7
        assert f"urn:onrecord:schema:{event['type']}:{catalog.CATALOG[event['type']].VERSION}" == event["dataschema"]
        assert f"{entry.position:016d}" == event["sequence"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["recordedtime"])
        assert datetime.fromisoformat(event["recordedtime"]).utcoffset() == timedelta(0)
        assert datetime.fromisoformat(event.get("time", event["recordedtime"])).utcoffset() == timedelta(0)
        seen.update(event)
    assert set(ORDER) == seen, "the ledger is varied enough to show every member"
    assert len(log) == len({json.loads(entry.raw)["id"] for entry in log})


def _members(raw: bytes) -> list[tuple[str, Any]]:
    """Return the members of a JSON object in their order, duplicates included, without our own decoder."""
    pairs: list[tuple[str, Any]] = []

    def keep(members: list[tuple[str, Any]]) -> dict[str, Any]:
        pairs[:] = members  # the outermost object ends last
        return dict(members)

    json.loads(raw.decode("utf-8"), object_pairs_hook=keep)
    return pairs


async def test_every_events_data_is_its_struct_in_the_catalogue(store: Store, varied: Ledger) -> None:
    """Data decodes against the Struct of its type and, encoded again, says the same."""
    types = set()
    for entry in await _log(store, varied):
        envelope = json.loads(entry.raw)
        struct = catalog.CATALOG[envelope["type"]]
        event = msgspec.json.decode(json.dumps(envelope["data"]), type=struct)
        assert event == entry.event
        assert envelope["data"] == json.loads(msgspec.json.encode(event))
        types.add(envelope["type"])
    assert {"ledger.created", "story.opened", "source.registered", "claim.registered", "statement.recorded"} <= types
