"""What every place in which an archive can be kept promises: a local folder, and an object store that speaks S3."""

import asyncio
from pathlib import Path

import pytest

from events.errors import ArchiveUnavailable
from service.audit import storage
from service.audit.storage import Storage


@pytest.fixture
def kept(place: str) -> Storage:
    """The archive of one ledger."""
    return storage.at(place, "main")


async def test_what_was_written_is_read(kept: Storage, place: str) -> None:
    """Files come back as they are, are listed by their paths, and are not those of another ledger."""
    files = {"tile/0/x001/002": b"\0\1", "tile/entries/000.p/7": b"", "tile/1/000": b"x" * 100_000}
    assert await kept.read("tile/0/x001/002") is None
    await kept.write(files)
    assert files == {path: await kept.read(path) for path in files}
    assert sorted(files) == sorted([path async for path in kept.paths()])
    other = storage.at(place, "other")
    assert [path async for path in other.paths()] == []
    assert await other.read("tile/1/000") is None
    await kept.write({"tile/1/000": b"y"})
    assert await kept.read("tile/1/000") == b"y"
    await kept.remove(["tile/1/000", "tile/1/001"])
    assert await kept.read("tile/1/000") is None


async def test_a_file_is_swapped_only_if_it_is_as_expected(kept: Storage) -> None:
    """Who thinks that it is another one changes nothing."""
    assert not await kept.swap("checkpoint", b"2", b"1")
    assert await kept.swap("checkpoint", b"1", None)
    assert not await kept.swap("checkpoint", b"2", None)
    assert not await kept.swap("checkpoint", b"2", b"0")
    assert await kept.read("checkpoint") == b"1"
    assert await kept.swap("checkpoint", b"2", b"1")
    assert await kept.read("checkpoint") == b"2"


async def test_of_many_who_swap_at_once_one_wins(kept: Storage, place: str) -> None:
    """Ten writers, each by itself, expect the same file: it is one's."""
    assert await kept.swap("checkpoint", b"begin", None)
    writers = [storage.at(place, "main") for _ in range(10)]
    won = await asyncio.gather(*(each.swap("checkpoint", b"%d" % n, b"begin") for n, each in enumerate(writers)))
    assert [each for each in won if each] == [True]
    assert b"%d" % won.index(True) == await kept.read("checkpoint")


async def test_a_place_that_cannot_be_used_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is a file, a store that does not answer, a URL of nothing: each is a clear error."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveUnavailable):
        await storage.at(str(tmp_path / "file"), "main").write({"tile/0/000": b""})
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(ArchiveUnavailable):
        await storage.at("s3://archives/x", "main").read("checkpoint")
    for url in ("s3://", "gopher://x/y"):
        with pytest.raises(ArchiveUnavailable):
            storage.at(url, "main")


@pytest.mark.parametrize("path", ["", "../x", "a/../../x", "/etc/passwd", ".lock", "a//b", "tile/.x"])
async def test_no_path_leads_out_of_a_folder(path: str, tmp_path: Path) -> None:
    """Whatever is asked for, nothing beside the archive is read or written."""
    kept = storage.at(str(tmp_path), "main")
    with pytest.raises(ArchiveUnavailable):
        await kept.read(path)
    with pytest.raises(ArchiveUnavailable):
        await kept.write({path: b"x"})


async def test_files_of_a_folder_are_their_owners_alone(tmp_path: Path) -> None:
    """Nobody else reads an archive from the disk, and no draft is left beside what was written."""
    kept = storage.at(str(tmp_path / "a"), "main")
    await kept.write({"tile/entries/000": b"x"})
    assert await kept.swap("checkpoint", b"1", None)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "a").rglob("*") if path.name != ".lock"}
    assert modes == {"main": 0o700, "tile": 0o700, "entries": 0o700, "000": 0o600, "checkpoint": 0o600}
