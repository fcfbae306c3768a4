"""Values by their keys: those used last in memory, the others in a temporary file, so that there can be any number."""

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import msgspec

from events.errors import ArchiveUnavailable

_LEFT = 0.75
"""The part that stays in memory when there is too much."""
_CACHE = "PRAGMA cache_size = -4096"
_encode = msgspec.json.Encoder().encode
_T = TypeVar("_T")


class Aside(Generic[_T]):
    """Values of one type that msgspec encodes. ``most`` is what those in memory weigh at most, as ``weigh`` has it.

    Every method raises ``ArchiveUnavailable`` if the temporary file cannot be used, as on a disk that is full.
    """

    def __init__(self, type_: Any, weigh: Callable[[_T], int], most: int) -> None:  # noqa: ANN401 - what msgspec takes
        self._decode = msgspec.json.Decoder(type_).decode
        self._weigh, self._most, self._weight = weigh, most, 0
        self.held: OrderedDict[str, _T] = OrderedDict()
        self._file: sqlite3.Connection | None = None

    def __getitem__(self, key: str) -> _T:
        """Return a value. Raises ``KeyError``."""
        if (value := self.get(key)) is None:
            raise KeyError(key)
        return value

    def get(self, key: str) -> _T | None:
        """Return a value, or None if there is none."""
        if key in self.held:
            self.held.move_to_end(key)
            return self.held[key]
        if self._file is None:
            return None
        with _usable():
            row = self._file.execute("SELECT value FROM kept WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        value: _T = self._decode(row[0])
        self._hold(key, value)
        return value

    def __setitem__(self, key: str, value: _T) -> None:
        if key in self.held:
            self._weight -= self._weigh(self.held.pop(key))
        self._hold(key, value)

    def _hold(self, key: str, value: _T) -> None:
        self.held[key] = value
        self._weight += self._weigh(value)
        if self._weight > self._most:
            self._put_aside()

    def _put_aside(self) -> None:
        """Write what was not used for longest into the file; the last one used stays, whatever it weighs."""
        rows = []
        while self._weight > _LEFT * self._most and len(self.held) > 1:
            key, value = self.held.popitem(last=False)
            self._weight -= self._weigh(value)
            rows.append((key, _encode(value)))
        with _usable():
            if self._file is None:
                self._file = sqlite3.connect("", isolation_level=None)  # a file without a name, gone when it is closed
                for said in (_CACHE, "PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF"):
                    self._file.execute(said)
                self._file.execute("CREATE TABLE kept (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")
            self._file.execute("BEGIN")
            self._file.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?)", rows)
            self._file.execute("COMMIT")


@contextmanager
def _usable() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise ArchiveUnavailable(f"what is verified cannot be put aside in a temporary file: {error}") from error
