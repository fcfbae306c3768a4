"""Older versions of events: bytes that earlier releases of this repository wrote are read as if written today."""

import json
from pathlib import Path

import msgspec
import pytest

from events import catalog
from events.catalog import CATALOG
from events.envelope import Entry
from events.errors import UnreadableEvent
from events.upcasting import UPCASTERS

_FIXTURES = Path(__file__).parent / "fixtures"
"""Entries of one story (samples/il76.json), as loaded by the releases before and at the commits that changed them.

``claim.state_changed.1`` is of 49b6182, before ``because``; ``1-with-because`` of d4d7c0f, which had it and still said
version 1; ``2`` of the first release that says version 2.
"""


def entries(name: str) -> list[Entry]:
    """Return the entries of a fixture."""
    lines = (_FIXTURES / f"{name}.ndjson").read_bytes().splitlines()
    return [Entry(int(json.loads(line)["sequence"]), line) for line in lines]


@pytest.mark.parametrize("older", ["claim.state_changed.1", "claim.state_changed.1-with-because"])
def test_a_verdict_of_an_older_release_is_read_as_todays(older: str) -> None:
    """Five verdicts on the same claims, recorded by three releases, are the same events; their bytes stay apart."""
    then, now = entries(older), entries("claim.state_changed.2")
    assert [entry.event for entry in now] == [entry.event for entry in then]
    assert {"urn:onrecord:schema:claim.state_changed:1"} == {entry.envelope.dataschema for entry in then}
    assert (_FIXTURES / f"{older}.ndjson").read_bytes() == b"".join(entry.raw + b"\n" for entry in then)


def test_counts_and_reasons_of_a_first_version_stand_in_because() -> None:
    """What stood beside the verdict, and what ``changed`` calls it, has today's names."""
    event = entries("claim.state_changed.1")[1].event
    assert isinstance(event, catalog.ClaimStateChanged)
    reasons = event.because.reasons.pop("full_support")
    assert catalog.Because(rule="corroborated", n=2, nd=1, od=0, reasons={}, excluded={}) == event.because
    assert reasons.total == len(reasons.ids) == 2
    assert event.changed == ("state", "flags", "credibility", "n", "nd")


def test_every_older_version_has_a_step_to_the_next() -> None:
    """No version between the first and the newest of a type is left behind, and none leads beyond the newest."""
    expected = {(type_, version) for type_, event in CATALOG.items() for version in range(1, event.VERSION)}
    assert expected == {*UPCASTERS}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"[]", "Expected `object`, got `array`"),
        (b'{"rule":"denied"}', "missing required field `origins`"),
        (b'{"because":{},"song":1}', "missing required field"),
    ],
)
def test_data_that_is_not_of_its_version_is_unreadable(data: bytes, why: str) -> None:
    """An older event whose data is not as its version has it is refused like any other."""
    stored = entries("claim.state_changed.1")[0].envelope
    entry = Entry(23, msgspec.json.encode(msgspec.structs.replace(stored, data=msgspec.Raw(data))))
    with pytest.raises(UnreadableEvent, match=why) as raised:
        _ = entry.event
    assert raised.value.position == 23


@pytest.mark.parametrize("schema", ["claim.state_changed:3", "claim.state_changed:0", "story.opened:0"])
def test_a_version_that_this_release_does_not_know_is_unreadable(schema: str) -> None:
    """A version to come, or one that never was, is not guessed at."""
    raw = entries("claim.state_changed.2")[0].raw.replace(b"claim.state_changed:2", schema.encode())
    with pytest.raises(UnreadableEvent, match="does not know it"):
        _ = Entry(23, raw).event
