"""An archive in a local folder."""

import asyncio
import contextlib
import fcntl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from events.errors import ArchiveUnavailable
from service import durable

_LOCK = ".lock"
_T = TypeVar("_T")


class Folder:
    """A folder, made with the first file. Writers of one machine see each other, by a lock on a file in it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def place(self) -> str:
        """Where it is, for people to read."""
        return str(self._root)

    async def read(self, path: str) -> bytes | None:
        """Return a file, or None if there is none."""
        return await _in_thread(lambda: _content(self._at(path)))

    async def write(self, files: Mapping[str, bytes]) -> None:
        """Write files that are whole and on disk when this returns."""
        await _in_thread(lambda: durable.replace({self._at(path): content for path, content in files.items()}))

    async def swap(self, path: str, content: bytes, expected: bytes | None) -> bool:
        """Write a file if it is as expected (None: not there), and return whether it was."""
        return await _in_thread(lambda: self._swap(self._at(path), content, expected))

    async def paths(self, under: str = "") -> AsyncIterator[str]:
        """Yield the path of every file, or only of those under a path, in order."""
        for path in await _in_thread(lambda: sorted(self._files(under.rstrip("/")))):
            yield path

    async def remove(self, paths: Sequence[str]) -> None:
        """Remove files that may be there."""
        await _in_thread(lambda: self._remove(paths))

    def _at(self, path: str) -> Path:
        if any(not part or part.startswith(".") for part in path.split("/")):
            raise ArchiveUnavailable(f"{path[:100]!r} is no path of an archive")
        return self._root / path

    def _swap(self, path: Path, content: bytes, expected: bytes | None) -> bool:
        durable.make_folder(self._root)
        with (self._root / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _content(path) != expected:
                return False
            durable.replace({path: content})
        return True

    def _remove(self, paths: Sequence[str]) -> None:
        for path in paths:
            self._at(path).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # there is more in it
                self._at(path).parent.rmdir()

    def _files(self, under: str) -> Iterator[str]:
        for path in (self._at(under) if under else self._root).rglob("*"):
            if path.is_file() and not path.name.startswith("."):
                yield path.relative_to(self._root).as_posix()


def _content(path: Path) -> bytes | None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return path.read_bytes()
    return None


async def _in_thread(work: Callable[[], _T]) -> _T:
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise ArchiveUnavailable(f"the archive cannot be used: {error}") from error
