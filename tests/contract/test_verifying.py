"""Verifying an archive with the log's public key alone: what is in order is found so, and what is not is told."""

import pytest

from events.transparency.note import VerifierKey
from events.transparency.tiles import Tile, bundle, packed
from service.audit.storage import Storage
from service.audit.verifying import states
from service.audit.verifying.examination import Examination
from service.audit.verifying.page import as_page
from service.audit.verifying.report import Report, as_text
from service.load import StoryFile, load
from service.verification import decide
from service.verification.commands import Recorder
from service.verification.policy import ENGINE, ENGINES, evaluate
from tests.sealing import Sealing, record


async def verified(
    storage: Storage, *keys: VerifierKey, older: bytes | None = None, with_states: bool = True
) -> Report:
    """Return what a verification finds."""
    examination = Examination(storage, keys, version="test", older=older, states=with_states)
    done = 0
    async for step in examination.steps():
        assert done < step.done <= step.total
        done = step.done
    return examination.report


async def test_a_real_story_is_verified_to_its_last_state(sealing: Sealing, loaded: Recorder) -> None:
    """Every event is valid, and every recorded change of a state follows from the events before it."""
    checkpoint = await sealing.all()
    report = await verified(sealing.archive.storage, *sealing.keys.verifiers)
    assert report.findings == []
    assert report.ok
    assert report.size == checkpoint.size == sum(report.events.values())
    made = {check.name: check.made for check in report.checks}
    assert made["schema"] == made["sequence"] == made["leaves"] == checkpoint.size
    assert made["states"] == report.events["claim.state_changed"] > 20
    assert "Nothing was altered" in as_text(report)
    assert "Nothing was altered" in as_page(report)


async def test_what_could_not_be_checked_is_not_called_in_order(sealing: Sealing, loaded: Recorder) -> None:
    """Of events that cannot be read, nothing is said but that, by every check that has to do with them."""
    await record(loaded.ledger, 300)
    await sealing.all()
    files = await sealing.files()
    await sealing.become({path: raw for path, raw in files.items() if path != "tile/entries/000"})
    report = await verified(sealing.archive.storage, *sealing.keys.verifiers)
    assert [(each.where, each.what) for each in report.findings] == [("tile/entries/000", "it is missing")]
    without = {check.name: check.without for check in report.checks if check.without}
    assert without == {
        "leaves": "tile/entries/000",
        "root": "tile/entries/000",
        "sequence": "event 1 and others",
        "schema": "event 1 and others",
        "states": "event 1 and all after it",
    }
    assert as_text(report).count("[part ]") == as_page(report).count("in part: without") == len(without)


async def test_an_archive_goes_on_from_every_older_checkpoint(sealing: Sealing) -> None:
    """What an auditor kept years ago is compared with what is there now."""
    kept = []
    for many in (3, 260, 500, 1):
        await record(sealing.ledger, many)
        await sealing.all()
        note = await sealing.archive.checkpoint()
        assert note
        kept.append(note)
    for note in kept:
        report = await verified(sealing.archive.storage, *sealing.keys.verifiers, older=note)
        assert report.ok, report.findings
        assert {"consistency": 1}.items() <= {check.name: check.made for check in report.checks}.items()


async def test_a_verdict_is_checked_by_the_engine_that_gave_it(
    sealing: Sealing, recorder: Recorder, il76: StoryFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older engine that is still there confirms what it recorded; without it, each verdict is told as unchecked."""
    older = ENGINE - 1
    with monkeypatch.context() as then:
        then.setattr(decide, "ENGINE", older)
        async for part in load(il76, recorder):
            assert part.new
    await sealing.all()
    report = await verified(sealing.archive.storage, *sealing.keys.verifiers)
    assert report.events["claim.state_changed"] == len(report.findings)
    assert all(f"engine {older}, which this release does not have" in each.what for each in report.findings)
    monkeypatch.setitem(ENGINES, older, evaluate)
    monkeypatch.delitem(ENGINES, ENGINE)
    assert (await verified(sealing.archive.storage, *sealing.keys.verifiers)).findings == []


@pytest.mark.parametrize("most", [1, 40])
async def test_a_record_of_any_length_is_verified_with_little_at_hand(
    sealing: Sealing, loaded: Recorder, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """With next to nothing held in memory the same is verified, and what does not follow is found."""
    await sealing.all()
    monkeypatch.setattr(states, "MOST_HELD", most)
    monkeypatch.setattr(states, "MOST_SOURCES", most)
    report = await verified(sealing.archive.storage, *sealing.keys.verifiers)
    assert report.ok, report.findings
    files = await sealing.files()
    entries = [entry.replace(b'"stance":"denies"', b'"stance":"confirms"', 1) for entry in await sealing.entries()]
    bundles = [entries[at : at + 256] for at in range(0, len(entries), 256)]
    altered = {Tile(-1, n, len(its)).path: packed(bundle(its)) for n, its in enumerate(bundles)}
    await sealing.become(files | altered)
    assert {"leaves", "states"} <= {
        each.check for each in (await verified(sealing.archive.storage, *sealing.keys.verifiers)).findings
    }
