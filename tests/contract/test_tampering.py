"""Tampering: whatever is done to an archive, both verifiers find it, and say what and where."""

import importlib.util
import random
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from events.envelope import Entry
from events.ledger import Ledger
from events.store import Store
from events.transparency.checkpoint import Checkpoint
from events.transparency.compact_range import CompactRange, joined
from events.transparency.hashing import leaf_hash
from events.transparency.note import SigningKey
from events.transparency.tiles import WIDTH, Tile, bundle, packed, tiles_of
from service.audit.verifying.examination import Examination
from service.audit.verifying.report import Report
from service.verification.commands import Recorder
from tests.conftest import ROOT
from tests.sealing import Sealing, record

Files = dict[str, bytes]
LOG = SigningKey("example.com/log", b"1" * 32)
MEANWHILE = 520
"""A size at which there was a checkpoint before."""


class Memory:
    """An archive in memory."""

    place = "memory"

    def __init__(self, files: Files) -> None:
        self.files = files

    async def read(self, path: str) -> bytes | None:
        """Return a file."""
        return self.files.get(path)

    async def write(self, files: Mapping[str, bytes]) -> None:
        """Write files."""
        self.files |= files

    async def swap(self, path: str, content: bytes, expected: bytes | None) -> bool:
        """Write a file if it is as expected."""
        if self.files.get(path) != expected:
            return False
        self.files[path] = content
        return True

    async def paths(self, under: str = "") -> AsyncIterator[str]:
        """Yield every path under another."""
        for path in self.files:
            if path.startswith(under):
                yield path

    async def remove(self, paths: Sequence[str]) -> None:
        """Remove files."""
        for path in paths:
            self.files.pop(path, None)


def archive_of(entries: Sequence[bytes], key: SigningKey = LOG, *sizes: int) -> Files:
    """Return an archive of some entries, with what is left in it of the checkpoints at smaller sizes."""
    files: Files = {}
    grown = CompactRange()
    for size in (*sizes, len(entries)):
        for tile, hashes in grown.extend(map(leaf_hash, entries[grown.size : size])):
            files[tile.path] = joined(hashes)
        files |= {tile.path: joined(hashes) for tile, hashes in grown.partial_tiles()}
        for begin in range(0, size, WIDTH):
            its = entries[begin : min(begin + WIDTH, size)]
            if len(its) == WIDTH or size in {*sizes, len(entries)}:
                files[Tile(-1, begin // WIDTH, len(its)).path] = packed(bundle(its))
    return files | {"checkpoint": Checkpoint(key.verifier.name, grown.size, grown.root()).signed([key])}


async def examined(files: Files, older: bytes | None = None) -> Report:
    """Return what our verifier finds, the states aside unless all else is in order."""
    for states in (False, True):
        examination = Examination(Memory(files), [LOG.verifier], version="test", older=older, states=states)
        async for _ in examination.steps():
            pass
        if not examination.report.ok:
            break
    return examination.report


@pytest.fixture(scope="module")
def alone() -> ModuleType:
    """The verifier that stands alone, as a module."""
    specification = importlib.util.spec_from_file_location("alone", ROOT / "docs" / "verifier.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class Alone:
    """The verifier that stands alone, on a folder that is changed from one archive to the next."""

    def __init__(self, module: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.module, self.folder, self._capsys = module, folder, capsys
        self._there: Files = {}

    def finds(self, files: Files, older: bytes | None = None, key: SigningKey = LOG) -> list[str]:
        """Return what it prints of an archive, and what it ends with."""
        for path in self._there.keys() - files.keys():
            (self.folder / path).unlink()
        for path, content in files.items():
            if self._there.get(path) != content:
                (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / path).write_bytes(content)
        self._there = dict(files)
        arguments = ["verifier.py", str(self.folder), str(key.verifier)]
        if older is not None:
            kept = self.folder.parent / "older"
            kept.write_bytes(older)
            arguments += ["--checkpoint", str(kept)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", arguments)
            with pytest.raises(SystemExit) as ended:
                self.module.main()
        *found, last = self._capsys.readouterr().out.splitlines()
        assert bool(ended.value.code) == bool(found), last
        return list(found)


@pytest.fixture
def standing(alone: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Alone:
    """The verifier that stands alone."""
    (tmp_path / "copy").mkdir()
    return Alone(alone, tmp_path / "copy", capsys)


@pytest.fixture
async def entries(loaded: Recorder) -> list[bytes]:
    """The entries of a ledger with a real story and many others."""
    await record(loaded.ledger, 450)
    return [entry.raw for entry in await loaded.ledger.read(0, 10_000)]


def renumbered(entry: bytes, position: int) -> bytes:
    """Return an event as if it had been recorded at another position."""
    return re.sub(rb'"sequence":"\d{16}"', b'"sequence":"%016d"' % position, entry)


def changed(entries: list[bytes], n: int) -> list[bytes]:
    """Change a digit of an event."""
    at = entries[n].rindex(b'"id":"') + 20
    return [*entries[:n], entries[n][:at] + b"0" + entries[n][at + 1 :], *entries[n + 1 :]]


def dropped(entries: list[bytes], n: int) -> list[bytes]:
    """Leave an event out."""
    return entries[:n] + entries[n + 1 :]


def inserted(entries: list[bytes], n: int) -> list[bytes]:
    """Put in an event that never was."""
    return [*entries[:n], renumbered(changed(entries, n)[n], n + 1), *entries[n:]]


def swapped(entries: list[bytes], n: int) -> list[bytes]:
    """Exchange two events."""
    m = (n + 17) % len(entries)
    found = list(entries)
    found[n], found[m] = entries[m], entries[n]
    return found


def duplicated(entries: list[bytes], n: int) -> list[bytes]:
    """Have an event twice."""
    return [*entries[: n + 1], *entries[n:]]


DEEDS: tuple[Callable[[list[bytes], int], list[bytes]], ...] = (changed, dropped, inserted, swapped, duplicated)


def with_bundles_of(files: Files, entries: Sequence[bytes]) -> Files:
    """Return an archive whose bundles have other entries, and whose tiles and checkpoint are as they were."""
    others = {path: raw for path, raw in archive_of(entries).items() if path.startswith("tile/entries/")}
    mine = {path for path in files if path.startswith("tile/entries/") and ".p/" not in path}
    return {path: raw for path, raw in files.items() if not path.startswith("tile/entries/")} | {
        path: raw for path, raw in others.items() if path in mine or ".p/" in path
    }


def mutations(entries: list[bytes], files: Files) -> Iterator[tuple[str, Files]]:
    """Yield archives that were tampered with, each with what was done."""
    some = random.Random(1912)  # noqa: S311 - any will do, the same each time
    needed = {"checkpoint", *(tile.path for tile in tiles_of(len(entries)))}
    positions = [0, 1, 254, 255, 256, 511, 512, len(entries) - 2]
    for path in sorted(files):
        for _ in range(240 // len(files) + 3):
            at, bit = some.randrange(len(files[path])), some.randrange(8)
            flipped = files[path][:at] + bytes([files[path][at] ^ (1 << bit)]) + files[path][at + 1 :]
            yield f"bit {bit} of byte {at} of {path} is flipped", files | {path: flipped}
        if path in needed:  # what is left of smaller trees may go
            yield f"{path} is gone", {name: raw for name, raw in files.items() if name != path}
        yield f"{path} is cut short", files | {path: files[path][:-1]}
        yield f"{path} is longer", files | {path: files[path] + b"\0"}
        yield f"{path} is empty", files | {path: b""}
        other = some.choice([name for name in sorted(files) if files[name] != files[path]])
        yield f"{path} has what {other} has", files | {path: files[other]}
    for deed in DEEDS:
        for n in [*positions, *some.sample(range(len(entries) - 20), 18)]:
            others = deed(entries, n)
            yield f"event {n + 1} is {deed.__name__}", with_bundles_of(files, others)
            rebuilt = archive_of(others)
            yield f"event {n + 1} is {deed.__name__}, and the tree anew", rebuilt | {"checkpoint": files["checkpoint"]}
    for n, name in enumerate(("tile/0/003", "tile/1/001", "tile/entries/000.p/300", "notes.txt", "tile/2/000.p/1")):
        yield f"{name} is put in", files | {name: bytes([n]) * 32}


async def test_every_mutation_is_found(entries: list[bytes], standing: Alone) -> None:
    """Of more than five hundred, not one is missed, and each is told with a place in the archive or the record."""
    files = archive_of(entries, LOG, 100, MEANWHILE)
    assert (await examined(files)).findings == []
    assert standing.finds(files) == []
    count = 0
    for what, tampered in mutations(entries, files):
        count += 1
        report = await examined(tampered)
        assert not report.ok, what
        told = [f"{each.where}: {each.what}" for each in report.findings]
        told_alone = standing.finds(tampered)
        assert told_alone, what
        for message in (*told[:5], *told_alone[:5]):
            assert re.match(r"(event \d+|checkpoint|tile/\S+|notes\.txt): .{10,}", message), (what, message)
        if path := re.search(r"(tile/\S+|checkpoint) (is|has)|of (tile/\S+|checkpoint) is flipped", what):
            assert any((path[1] or path[3]) in message for message in told), (what, told)
            assert any((path[1] or path[3]) in message for message in told_alone), (what, told_alone)
    assert count > 500


async def test_a_changed_event_is_named(entries: list[bytes], standing: Alone) -> None:
    """Which event was changed is told, and that it was the events and not the tiles that were altered."""
    files = archive_of(entries)
    report = await examined(with_bundles_of(files, changed(entries, 299)))
    assert {each.where for each in report.findings} == {"event 300", "checkpoint"}
    assert report.cause == "The tiles lead to the root that was signed: events were altered."
    assert any("event 300" in line for line in standing.finds(with_bundles_of(files, changed(entries, 299))))
    tile = files["tile/0/001"]
    report = await examined(files | {"tile/0/001": tile[:64] + leaf_hash(b"") + tile[96:]})
    assert report.findings[0].where == "event 259"
    assert report.cause == "The events lead to the root that was signed: tiles were altered."


async def test_a_log_that_another_key_signed_is_none_of_ours(entries: list[bytes], standing: Alone) -> None:
    """Whoever alters the record and signs it anew, in the same name, cannot sign as the log."""
    other = SigningKey(LOG.verifier.name, b"2" * 32)
    for deed in DEEDS:
        files = archive_of(deed(entries, 77), other)
        report = await examined(files)
        assert [each.where for each in report.findings] == ["checkpoint"]
        assert "signed by" in report.findings[0].what
        assert standing.finds(files) == ["checkpoint: it is not signed by the key"]


async def test_a_log_that_was_rolled_back_does_not_go_on_from_what_was_kept(
    entries: list[bytes], standing: Alone
) -> None:
    """An archive of fewer events is rightly signed, and shorter than the checkpoint that somebody kept."""
    kept = archive_of(entries)["checkpoint"]
    for size in (1, 255, 256, 300, 512, len(entries) - 1):
        files = archive_of(entries[:size])
        assert (await examined(files)).ok
        report = await examined(files, older=kept)
        assert [each.where for each in report.findings] == ["older checkpoint"]
        assert f"covers {len(entries)} events, and this archive only {size}" in report.findings[0].what
        assert standing.finds(files) == []
        assert standing.finds(files, kept) == ["old checkpoint: the archive does not go on from it"]


async def test_a_forked_log_does_not_go_on_from_what_was_kept(entries: list[bytes], standing: Alone) -> None:
    """The log's own key can sign another history, but not one that begins with what it signed before."""
    for size in (1, 200, 256, 257, MEANWHILE, len(entries)):
        kept = archive_of(entries[:size])["checkpoint"]
        for n in {0, size // 2, size - 1}:
            files = archive_of(changed(entries, n))
            assert standing.finds(files, kept) == ["old checkpoint: the archive does not go on from it"]
            report = await examined(files, older=kept)
            assert "older checkpoint" in {each.where for each in report.findings}, (size, n)
        whole = archive_of(entries)
        assert (await examined(whole, older=kept)).ok
        assert standing.finds(whole, kept) == []


async def test_nothing_is_shown_by_a_checkpoint_over_nothing(entries: list[bytes], standing: Alone) -> None:
    """It is refused and not taken for agreement; as is one that another key signed."""
    nothing = archive_of([])["checkpoint"]
    stranger = archive_of(entries, SigningKey(LOG.verifier.name, b"2" * 32))["checkpoint"]
    files = archive_of(entries)
    for kept in (nothing, stranger, b"", b"no checkpoint"):
        assert not (await examined(files, older=kept)).ok
        assert standing.finds(files, kept)


async def test_what_the_log_itself_signed_wrongly_is_found_in_the_record(entries: list[bytes]) -> None:
    """With its key it could seal gaps, times that go back, what is no event, and states that do not follow."""
    assert (await examined(archive_of(entries))).ok
    state = next(n for n, raw in enumerate(entries) if b'"to":"corroborated"' in raw)
    said = next(n for n, raw in enumerate(entries) if b'"stance":"denies"' in raw)
    late = re.sub(rb'"recordedtime":"2', b'"recordedtime":"1', entries[300])
    forged = {
        f"event {state + 1}": (state, entries[state].replace(b'"to":"corroborated"', b'"to":"contested"')),
        "event 301": (300, late),
        "event 302": (301, renumbered(entries[301], 303)),
        "event 303": (302, entries[302].replace(b'"title":', b'"titel":')),
        "event 304": (303, entries[303].replace(b'"specversion":"1.0"', b'"specversion" :"1.0"')),
        "event 305": (304, b"not even JSON"),
        "event 306": (305, entries[305].replace(b'"type":"story.opened"', b'"type":"story.closed"')),
        "event 307": (306, re.sub(rb'"source":"/ledgers/[^"]*"', b'"source":"/ledgers/other"', entries[306])),
        "event 1": (0, entries[1]),
    }
    for where, (n, raw) in forged.items():
        report = await examined(archive_of([*entries[:n], raw, *entries[n + 1 :]]))
        assert where in {each.where for each in report.findings}, (where, report.findings)
        assert {"root", "leaves", "tiles"}.isdisjoint({each.check for each in report.findings})
    dropped_ = await examined(archive_of(dropped(entries, 400)))
    assert "event 401" in {each.where for each in dropped_.findings}
    other = entries[said].replace(b'"stance":"denies"', b'"stance":"confirms"')
    report = await examined(archive_of([*entries[:said], other, *entries[said + 1 :]]))
    assert {each.check for each in report.findings} == {"states"}
    assert all(Entry(n, entries[n - 1]).envelope.type == "claim.state_changed" for n in told_of(report))


def told_of(report: Report) -> list[int]:
    """Return the events that a report finds something amiss with."""
    return [int(each.where.removeprefix("event ")) for each in report.findings]


async def test_what_the_sealer_writes_is_what_is_verified_here(
    store: Store, ledger: Ledger, loaded: Recorder, tmp_path: Path, standing: Alone
) -> None:
    """An archive by the sealer, with what its earlier checkpoints left, is in order for both verifiers."""
    sealing = Sealing(store, ledger, tmp_path)
    for many in (1, 150, 300):
        await record(loaded.ledger, many)
        await sealing.all()
    files = {path: await sealing.archive.storage.read(path) or b"" async for path in sealing.archive.storage.paths()}
    key = sealing.keys.verifiers[0]
    examination = Examination(Memory(files), [key], version="test")
    async for _ in examination.steps():
        pass
    assert examination.report.findings == []
    assert standing.finds(files, key=sealing.keys.signing[0]) == []
