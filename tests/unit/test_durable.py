"""Files that are whole and on disk, or not there at all."""

import os
from pathlib import Path

import pytest

from service import durable


def test_many_files_are_written_and_replaced(tmp_path: Path) -> None:
    """More of them than wait for the disk at once, in folders that are made for them, with no draft left over."""
    files = {tmp_path / "a" / str(n % 3) / str(n): b"%d" % n for n in range(50)}
    durable.replace(files)
    durable.replace(dict.fromkeys(list(files)[:10], b"new"))
    expected = files | dict.fromkeys(list(files)[:10], b"new")
    assert expected == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    durable.replace({})


def test_of_files_that_cannot_all_be_written_none_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk fails for one of many, none is put in its place, and no draft is left beside them."""
    durable.replace({tmp_path / "0": b"before"})
    sync, left = os.fsync, [None] * 7

    def failing(descriptor: int) -> None:
        if not left:
            raise OSError(28, "No space left on device")
        left.pop()
        sync(descriptor)

    monkeypatch.setattr("service.durable.os.fsync", failing)
    with pytest.raises(OSError, match="No space left"):
        durable.replace({tmp_path / str(n): b"after" for n in range(20)})
    assert {tmp_path / "0": b"before"} == {path: path.read_bytes() for path in tmp_path.iterdir()}
