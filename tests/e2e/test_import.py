"""Imports and exports on a real store: what is taken, there already or refused, and what the record shows then."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import structs

from events import catalog
from events.identifiers import derived_id
from events.ledger import Ledger
from events.store import Store
from service.desk import recording
from service.desk.exporting import exported
from service.desk.importing import Adapter, Reading
from service.desk.rows import BadImport, Done
from service.load import StoryFile, load, read_story
from service.settings import Settings
from service.verification.commands import Recorder
from service.verification.policy import STRICT_TWO_SOURCE

ROOT = Path(__file__).parent.parent.parent
LOSSES = ROOT / "samples" / "losses"
SHARED = ROOT.parent / "shared" / "data"
NAME = "russian-losses"

Standing = tuple[str, tuple[str, ...], int]


async def take(
    ledger: Ledger, file: Path, adapter: Adapter | None = None, mapping: Path | None = None, *, upto: int | None = None
) -> list[Done]:
    """Import a file as a process of its own would, and return what became of its parts, or of ``upto`` of them."""
    begun = await Reading(file, adapter=adapter, mapping_file=mapping).begin(ledger, Recorder(ledger))
    done: list[Done] = []
    answers = begun.record()
    async for each in answers:
        done.append(each)
        if len(done) == upto:
            await answers.aclose()  # type: ignore[attr-defined]  # as a process that is ended
            break
    return done


def outcomes(done: list[Done]) -> dict[str, int]:
    """Count what became of the parts of a file."""
    return dict(Counter(each.outcome for each in done))


async def standings(ledger: Ledger) -> dict[str, Standing | str]:
    """Return where every claim stands, as recorded last: state, flags and digit, or what it is merged into."""
    recorder = Recorder(ledger)
    found: dict[str, Standing | str] = {}
    at = 0
    while entries := await ledger.read(at):
        at = entries[-1].position
        for event in (entry.event for entry in entries):
            if isinstance(event, catalog.ClaimRegistered):
                world, _ = await recorder.reader.world(event.claim_id)
                facts = world.facts[event.claim_id]
                if facts.merged_into or facts.last is None:
                    found[event.claim_id] = f"merged into {facts.merged_into}"
                    continue
                verdict = world.verdict(event.claim_id)
                last = facts.last
                assert (verdict.state, verdict.flags, verdict.credibility) == (last.state, last.flags, last.credibility)
                found[event.claim_id] = last.state, tuple(map(str, last.flags)), last.credibility
    return found


def named(found: Mapping[str, Standing | str], *keys: str) -> dict[str, Standing | str]:
    """Return where claims of the imports of losses stand, by their keys."""
    return {key: found[derived_id("claim", NAME, key)] for key in keys}


async def another(store: Store, ledger: Ledger) -> Ledger:
    """Return an empty ledger beside one."""
    return await Ledger.open(store, f"{ledger.name}-other", create=STRICT_TWO_SOURCE)


async def export_to(path: Path, ledger: Ledger) -> Path:
    """Write the export of a ledger."""
    path.write_bytes(b"".join([line async for line in exported(ledger)]))
    return path


# ----------------------------------------------------------------------------------------- losses


async def test_the_excerpts_are_taken_once(ledger: Ledger) -> None:
    """All of them fit; a second time all of them are there and nothing is recorded."""
    files: list[tuple[str, Adapter]] = [
        ("estimates.csv", "estimates"),
        ("personnel.json", "general-staff"),
        ("equipment.json", "general-staff"),
        ("corrections.json", "general-staff-corrections"),
    ]
    for file, adapter in files:
        assert set(outcomes(await take(ledger, LOSSES / file, adapter))) == {"taken"}, file
    head = await ledger.head()
    for file, adapter in files:
        assert set(outcomes(await take(ledger, LOSSES / file, adapter))) == {"there"}, file
    assert head == await ledger.head()


async def test_one_partys_daily_figures_are_one_origin_and_independent_estimates_are_many(ledger: Ledger) -> None:
    """However often a party repeats itself it stays one interested origin; those who counted for themselves are not."""
    await take(ledger, LOSSES / "estimates.csv", "estimates")
    await take(ledger, LOSSES / "personnel.json", "general-staff")
    assert named(await standings(ledger), "deaths", "deaths-200000", "casualties", "personnel") == {
        "deaths": ("corroborated", ("unnamed_source",), 1),
        "deaths-200000": ("corroborated", ("unnamed_source",), 1),
        "casualties": ("corroborated", ("origin_unknown", "unnamed_source"), 1),
        "personnel": ("unverified", ("interested_parties_only", "single_origin"), 6),
    }


async def test_a_correction_puts_the_last_uncorrected_figure_right(ledger: Ledger) -> None:
    """On 13 October 2022 the running total fell: the day's own figure has the correction, so that of the day before."""
    await take(ledger, LOSSES / "equipment.json", "general-staff")
    corrections = LOSSES / "corrections.json"
    done = await take(ledger, corrections, "general-staff-corrections")
    refused = [each for each in done if each.outcome == "refused"]
    assert [(each.where, each.reason) for each in refused] == [
        ("line 56, personnel", "no figure of 2025-02-27 is on record to correct: import the daily figures first")
    ]
    made = {
        entry.event.statement_id: entry.event.correction
        for claim in ("apc", "tank")
        for entry in await ledger.history(derived_id("claim", NAME, claim))
        if isinstance(entry.event, catalog.StatementCorrected)
    }

    def figures(key: str) -> tuple[object, object, object]:
        correction = made[derived_id("statement", NAME, f"general-staff/{key}")]
        return correction.before.quantities[0].value, correction.after.quantities[0].value, correction.at  # type: ignore[index, union-attr]

    assert figures("apc/2022-10-12") == (5181, 5156, "2022-10-13")
    assert figures("tank/2023-05-27") == (3799, 3794, "2023-05-27"), "the day's own figure did not have it yet"
    standing = named(await standings(ledger), "apc")["apc"]
    assert standing == ("unverified", ("corrected", "interested_parties_only", "single_origin"), 6)


@pytest.mark.parametrize("upto", [1, 60])
async def test_what_was_cut_off_is_gone_on_with(ledger: Ledger, store: Store, upto: int) -> None:
    """A second run records what is missing, nothing twice, and claims stand as after one run."""
    await take(ledger, LOSSES / "equipment.json", "general-staff", upto=upto)
    done = await take(ledger, LOSSES / "equipment.json", "general-staff")
    assert set(outcomes(done)) <= {"taken", "there"}
    said = [entry.event for entry in await ledger.read(0, 5000)]
    ids = [event.statement_id for event in said if isinstance(event, catalog.StatementRecorded)]
    assert len(done) == len(ids) == len(set(ids))
    whole = await another(store, ledger)
    await take(whole, LOSSES / "equipment.json", "general-staff")
    assert await standings(whole) == await standings(ledger)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the whole files are not in {SHARED}")
@pytest.mark.timeout(300)
async def test_the_whole_files(ledger: Ledger) -> None:
    """634 lines of estimates, 3,252 days of figures and 28 of corrections: all taken, and standing as they should."""
    assert outcomes(await take(ledger, SHARED / "raw_estimates.csv", "estimates")) == {"taken": 469}
    assert outcomes(await take(ledger, SHARED / "russia_losses_personnel.json", "general-staff")) == {"taken": 1688}
    assert outcomes(await take(ledger, SHARED / "russia_losses_equipment.json", "general-staff")) == {"taken": 20687}
    corrections = SHARED / "russia_losses_equipment_correction.json"
    assert outcomes(await take(ledger, corrections, "general-staff-corrections")) == {"taken": 86}
    one_side = ("interested_parties_only", "single_origin")
    assert {
        "deaths": ("corroborated", ("unnamed_source",), 1),
        "deaths-100000": ("corroborated", ("unnamed_source",), 1),
        "casualties": ("corroborated", ("origin_unknown", "unnamed_source"), 1),
        "personnel": ("unverified", ("corrected", *one_side), 6),
        "prisoners": ("unverified", one_side, 6),
        "tank": ("unverified", ("corrected", *one_side), 6),
    } == named(await standings(ledger), "deaths", "deaths-100000", "casualties", "personnel", "prisoners", "tank")


@pytest.mark.parametrize("together", [1, 7])
async def test_how_rows_are_put_together_makes_no_difference(
    ledger: Ledger, store: Store, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    """Claims stand the same whether a command has one row, a few or a hundred."""
    await take(ledger, LOSSES / "estimates.csv", "estimates")
    await take(ledger, LOSSES / "personnel.json", "general-staff")
    monkeypatch.setattr(recording, "_TOGETHER", together)
    other = await another(store, ledger)
    await take(other, LOSSES / "estimates.csv", "estimates")
    await take(other, LOSSES / "personnel.json", "general-staff")
    assert await standings(ledger) == await standings(other)


# --------------------------------------------------------------------------------------- mapped files


async def test_a_mapped_file_is_taken_once(ledger: Ledger) -> None:
    """The rows of a desk's own sheet become statements, under the same identifiers each time."""
    file, mapping = ROOT / "samples" / "reports.csv", ROOT / "samples" / "reports.toml"
    assert outcomes(await take(ledger, file, mapping=mapping)) == {"taken": 5}
    assert outcomes(await take(ledger, file, mapping=mapping)) == {"there": 5}
    found = await standings(ledger)
    by_key = {key: found[derived_id("claim", "karst-reports", key)] for key in (
        "The depot at Karst burned.", "Soldiers were killed at the depot.", "Blue struck the depot.",
    )}  # fmt: skip
    assert [standing[0] for standing in by_key.values()] == ["corroborated", "corroborated", "denied"]


async def test_a_row_that_is_refused_leaves_nothing_behind(ledger: Ledger, tmp_path: Path) -> None:
    """Its claim and its source are not there either, and the rows around it are."""
    file = tmp_path / "rows.csv"
    file.write_text(
        "day,who,kind,for,through,what,stance,lowest,highest,link\n"
        "2024-05-01,A,person,,,One.,says so,,,\n"
        "2999-01-01,B,person,,,Two.,says so,,,\n"
        "2024-05-01,C,person,,,Three.,swears,,,\n"
        "2024-05-01,D,person,,,Four.,says so,,,\n"
    )
    done = await take(ledger, file, mapping=ROOT / "samples" / "reports.toml")
    assert sorted((each.where, each.reason) for each in done if each.outcome == "refused") == [
        ("line 3", "2999-01-01 lies ahead of our clock by more than five minutes"),
        ("line 4", "column `stance`: 'swears' is not in the mapping"),
    ]
    events = [entry.event for entry in await ledger.read(0, 100)]
    assert {event.source.name for event in events if isinstance(event, catalog.SourceRegistered)} == {"A", "D"}
    assert {event.claim.text for event in events if isinstance(event, catalog.ClaimRegistered)} == {"One.", "Four."}


async def test_what_is_on_record_with_other_content_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    """A row that was changed under its identifier, and a source that is described otherwise, are told."""
    mapping = tmp_path / "mapping.toml"
    text = 'id = { column = "no" }\n' + (ROOT / "samples" / "reports.toml").read_text()
    mapping.write_text(text)
    header = "no,day,who,kind,for,through,what,stance,lowest,highest,link\n"
    file = tmp_path / "rows.csv"
    file.write_text(header + "1,2024-05-01,A,person,,,One.,says so,,,\n")
    assert outcomes(await take(ledger, file, mapping=mapping)) == {"taken": 1}
    file.write_text(header + "1,2024-05-02,A,person,,,One.,says so,,,\n2,2024-05-02,A,research,,,One.,says so,,,\n")
    done = await take(ledger, file, mapping=mapping)
    assert outcomes(done) == {"refused": 2}
    assert all(each.reason.endswith("with other content") for each in done)


async def test_rows_without_a_date_keep_their_order(ledger: Ledger, tmp_path: Path) -> None:
    """The later row of a speaker is its last word, however the rows are put together."""
    file = tmp_path / "rows.csv"
    rows = [f",A,person,,,One.,{'says so' if n % 2 else 'denies it'},,,\n" for n in range(40)]
    file.write_text("day,who,kind,for,through,what,stance,lowest,highest,link\n" + "".join(rows))
    await take(ledger, file, mapping=ROOT / "samples" / "reports.toml")
    standing = next(iter((await standings(ledger)).values()))
    assert standing[0] == "unverified", "the last row says so"


# ------------------------------------------------------------------------------------------- exports


async def test_an_export_imports_back_to_the_same_states(
    ledger: Ledger, recorder: Recorder, il76: StoryFile, store: Store, tmp_path: Path
) -> None:
    """Two stories, with corrections, withdrawals, merges, splits and voids, stand in an empty ledger as they did."""
    for story in (il76, read_story(Path(__file__).parent / "every-kind.json")):
        async for part in load(story, recorder):
            assert part.new
    before = await standings(ledger)
    assert {"corroborated", "unverified", "verified"} <= {standing[0] for standing in before.values()}
    path = await export_to(tmp_path / "record.ndjson", ledger)
    other = await another(store, ledger)
    assert set(outcomes(await take(other, path))) == {"taken"}
    assert before == await standings(other)
    assert set(outcomes(await take(other, path))) == {"there"}
    again = await export_to(tmp_path / "again.ndjson", other)
    assert _said(path) == _said(again)


def _said(path: Path) -> list[object]:
    """Return what an export says, without what a ledger gives of its own, in an order that does not depend on it."""
    lines = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    for line in lines:
        line["data"].pop("position", None)
    return sorted(json.dumps([line["type"], line["subject"], line["data"]], sort_keys=True) for line in lines)


async def test_an_import_that_was_cut_off_is_gone_on_with(
    ledger: Ledger, loaded: Recorder, store: Store, tmp_path: Path
) -> None:
    """Also one of an export."""
    path = await export_to(tmp_path / "record.ndjson", ledger)
    other = await another(store, ledger)
    await take(other, path, upto=50)
    assert set(outcomes(await take(other, path))) <= {"taken", "there"}
    assert await standings(ledger) == await standings(other)


async def test_a_record_under_another_policy_brings_it_along(ledger: Ledger, store: Store, tmp_path: Path) -> None:
    """Claims stand as they stood, and not as the receiving ledger's first policy would have it."""
    own = structs.replace(STRICT_TWO_SOURCE, name="one-is-enough", min_origins=1)
    lenient = await Ledger.open(store, f"{ledger.name}-lenient", create=own)
    await take(lenient, ROOT / "samples" / "reports.csv", mapping=ROOT / "samples" / "reports.toml")
    path = await export_to(tmp_path / "record.ndjson", lenient)
    assert set(outcomes(await take(ledger, path))) == {"taken"}
    assert await standings(lenient) == await standings(ledger)
    assert set(outcomes(await take(ledger, path))) == {"there"}


async def test_what_would_lose_its_place_for_want_of_a_date_stops_the_import(
    ledger: Ledger, store: Store, tmp_path: Path
) -> None:
    """Nothing is dated that nobody dated, and nothing is recorded that would make a claim stand otherwise."""
    file = tmp_path / "rows.csv"
    file.write_text(
        "day,who,kind,for,through,what,stance,lowest,highest,link\n"
        ",A,person,,,One.,denies it,,,\n"
        f"{_today()},A,person,,,One.,says so,,,\n"
    )
    await take(ledger, file, mapping=ROOT / "samples" / "reports.toml")
    path = await export_to(tmp_path / "record.ndjson", ledger)
    other = await another(store, ledger)
    with pytest.raises(BadImport, match="line 5: without a date of its own"):
        await take(other, path)
    assert (await other.head()).position == 1
    dated = path.read_text().replace('"stance":"denies"', '"stance":"denies","said_at":"2024"')
    path.write_text(dated)
    assert set(outcomes(await take(other, path))) == {"taken"}


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


async def test_lines_that_are_none_of_an_export_are_refused(
    ledger: Ledger, loaded: Recorder, tmp_path: Path, store: Store
) -> None:
    """Each with its line; the others are taken."""
    path = await export_to(tmp_path / "record.ndjson", ledger)
    lines = path.read_text().splitlines()
    unknown = lines[1].replace(":story.opened:1", ":story.opened:99")
    path.write_text("\n".join([*lines[:3], "{", unknown, '{"a": 1}', *lines[3:]]))
    done = await take(await another(store, ledger), path)
    assert [each.where for each in done if each.outcome == "refused"] == ["line 4", "line 5", "line 6"]
    assert len(lines) - 1 == outcomes(done)["taken"]


# -------------------------------------------------------------------------------------- the command line


def command(*args: str) -> list[str]:
    """Return a command of the command line."""
    return [sys.executable, "-m", "service.cli", *args]


def environment(settings: Settings, ledger: str | None = None) -> dict[str, str]:
    """Return the environment in which it finds the test's store."""
    return os.environ | {
        "ONRECORD_HOME": settings.home,
        "ONRECORD_STORE_URL": settings.store_url,
        "ONRECORD_LEDGER": ledger or settings.ledger,
    }


async def run(settings: Settings, *args: str, ledger: str | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a command of the command line to its end."""
    return await asyncio.to_thread(
        subprocess.run,
        command(*args),
        env=environment(settings, ledger),
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )


async def test_the_commands_say_what_became_of_a_file(ledger: Ledger, settings: Settings, tmp_path: Path) -> None:
    """Exit 0 if all was taken, 1 if something was refused, which is named by its line on standard error."""
    done = await run(settings, "import", "samples/losses/estimates.csv", "--adapter", "estimates")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().splitlines()[-1] == "60 taken, 0 on record already, 0 refused."
    broken = tmp_path / "broken.csv"
    broken.write_text((LOSSES / "estimates.csv").read_text().replace("US DoD", "Somebody"))
    done = await run(settings, "import", str(broken), "--adapter", "estimates")
    assert done.returncode == 1
    assert "broken.csv, lines 36, 37: source: 'Somebody' is not in the table" in done.stderr.decode()
    out = await run(settings, "export")
    assert out.returncode == 0
    path = tmp_path / "record.ndjson"
    path.write_bytes(out.stdout)
    done = await run(settings, "import", str(path), ledger=f"{ledger.name}-other")
    assert done.returncode == 0, done.stderr
    done = await run(settings, "import", "gone.ndjson")
    assert (done.returncode, done.stderr) == (1, b"onrecord: gone.ndjson: No such file or directory\n")


def test_what_a_file_means_is_said_once() -> None:
    """A file that is no export needs an adapter or a mapping, and not both."""
    with pytest.raises(BadImport, match="name the adapter or the mapping"):
        Reading(LOSSES / "estimates.csv")
    with pytest.raises(BadImport, match="name one"):
        Reading(LOSSES / "estimates.csv", adapter="estimates", mapping_file=ROOT / "samples" / "reports.toml")


async def test_a_killed_import_is_gone_on_with(ledger: Ledger, settings: Settings, tmp_path: Path) -> None:
    """A process that is killed in the middle leaves whole rows only, and a second one records the rest once."""
    file = tmp_path / "rows.csv"
    rows = [f"2024-05-01,A{n % 300},person,,,Claim {n % 30}.,says so,,{n},\n" for n in range(4000)]
    file.write_text("day,who,kind,for,through,what,stance,lowest,highest,link\n" + "".join(rows))
    args = ("import", str(file), "--mapping", "samples/reports.toml")
    process = await asyncio.create_subprocess_exec(
        *command(*args), env=environment(settings), cwd=ROOT, stdout=subprocess.DEVNULL
    )
    while (await ledger.head()).position < 1500:  # in the middle of it
        assert process.returncode is None
    process.kill()
    await process.wait()
    done = await run(settings, *args)
    assert done.returncode == 0, done.stderr
    events = []
    while entries := await ledger.read(len(events)):
        events += [entry.event for entry in entries]
    ids = [event.statement_id for event in events if isinstance(event, catalog.StatementRecorded)]
    assert len(ids) == len(set(ids)) == len(rows)
    assert len([event for event in events if isinstance(event, catalog.SourceRegistered)]) == 300
