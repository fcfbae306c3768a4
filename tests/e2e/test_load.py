"""Story files: every kind of entry that there is, each recorded as what it is, with the keys of the file."""

import json
from pathlib import Path
from typing import Any

import pytest

from events import catalog
from events.identifiers import derived_id
from events.ledger import Ledger
from service.desk.known import derived
from service.load import BadFile, load, read_story
from service.verification.commands import Recorder

EVERY_KIND = Path(__file__).parent / "every-kind.json"
_NO_ENTRY = {
    catalog.LedgerCreated,
    catalog.LedgerRestored,
    catalog.LedgerArchiveLost,
    catalog.InquiryExpired,
    catalog.SubjectErased,
    catalog.ProjectionEventSkipped,
    catalog.ClaimStateChanged,
}
"""What no story file says: it follows from the rest or from the clock, or concerns one ledger only."""


def written(tmp_path: Path, *entries: dict[str, Any]) -> Path:
    """Return a story file with one source, one claim, one statement and these entries."""
    said = {"speaker_id": "a", "stance": "asserts"}
    story = {
        "story": {"key": "s", "title": "A story", "parties": ["red"]},
        "sources": [{"key": "a", "name": "A", "kind": "person"}],
        "claims": [{"key": "c", "text": "So.", "serves": [], "harms": []}],
        "entries": [{"key": "e", "claim": "c", "statement": said}, *entries],
    }
    path = tmp_path / "story.json"
    path.write_text(json.dumps(story))
    return path


async def test_every_kind_of_entry_is_recorded_once(ledger: Ledger, recorder: Recorder) -> None:
    """A file with all of them loads, brings every type of event that can be proposed, and loads again as nothing."""
    story = read_story(EVERY_KIND)
    assert {True} == {part.new async for part in load(story, recorder)}
    head = await ledger.head()
    types = {type(entry.event) for entry in await ledger.read(0, 1000)}
    on_stories = {each for each in catalog.CATALOG.values() if not each.TYPE.startswith("webhook.")}
    assert on_stories - types <= _NO_ENTRY
    assert {False} == {part.new async for part in load(story, Recorder(ledger))}
    assert head == await ledger.head()


async def test_a_second_load_does_not_lean_on_command_ids(ledger: Ledger, recorder: Recorder, tmp_path: Path) -> None:
    """What has no identifier of its own, as a grade, is found on record for as long as the record is kept."""
    grades = [
        {"key": f"g{n}", "grade": {"source": "a", "reliability": letter, "rationale": "So.", "by": "anna"}}
        for n, letter in enumerate("ABA")
    ]
    path = written(tmp_path, *grades)
    assert {True} == {part.new async for part in load(read_story(path), recorder)}
    renamed = [{**grade, "key": f"{grade['key']}-again"} for grade in grades]
    parts = [part async for part in load(read_story(written(tmp_path, *renamed)), recorder)]
    assert {False} == {part.new for part in parts}
    history = await ledger.history(derived_id("source", "s", "a"))
    assert [entry.event.grade.reliability for entry in history[1:]] == ["A", "B", "A"]  # type: ignore[attr-defined]


async def test_a_void_says_where_what_it_voids_was_recorded(ledger: Ledger, recorder: Recorder, tmp_path: Path) -> None:
    """The file cannot know the position; the record does."""
    path = written(tmp_path, {"key": "v", "claim": "c", "void": {"voided": "e", "reason": "Wrong."}})
    async for part in load(read_story(path), recorder):
        assert part.new
    own = [entry for entry in await ledger.history(derived_id("claim", "s", "c")) if not derived(entry.event)]
    assert own[-1].event.position == own[-2].position  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (
            {"key": "x", "claim": "c", "rumour": {}},
            "entries/x: 'rumour' is none of source, claim, statement",
        ),
        ({"key": "x", "statement": {"speaker_id": "a", "stance": "asserts"}}, "entries/x: a statement is on a claim"),
        ({"key": "x", "claim": "c", "closing": {}}, "entries/x: a closing is not on a claim"),
        ({"key": "x", "claim": "c", "correction": {"by": "speaker", "after": {}}}, "entries/x: 'statement'"),
        ({"key": "x", "claim": "c", "statement": {"speaker_id": "a", "stance": "sings"}}, "Invalid enum value 'sings'"),
        ({"key": "x", "claim": "c", "withdrawal": {"statement": "e", "by": "anna"}}, "Invalid enum value 'anna'"),
    ],
)
def test_what_is_no_entry_is_refused_by_name(tmp_path: Path, entry: dict[str, Any], why: str) -> None:
    """The message says which entry it is, and what is wrong with it."""
    with pytest.raises(BadFile, match=why):
        read_story(written(tmp_path, entry))
