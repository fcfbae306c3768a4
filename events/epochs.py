"""Epochs: what a ledger was before it was restored, and what a cursor of then is worth now.

A restore begins a new epoch at the position where it goes on, which is that of ``ledger.restored``. What an older epoch
has from there on may never have been written to what the ledger was restored from.
"""

from events.envelope import Cursor
from events.errors import BadCursor, CursorPassed


class Epochs:
    """The epochs of a ledger, oldest first, as its head keeps them: ``epoch:first position``, separated by commas."""

    def __init__(self, written: str) -> None:
        parts = (each.partition(":") for each in written.split(",") if each)
        self._all = [(epoch, int(first or 1)) for epoch, _, first in parts]

    @property
    def first(self) -> str:
        """The epoch that the ledger was created in; nothing for a ledger that is not created."""
        return self._all[0][0] if self._all else ""

    @property
    def latest(self) -> str:
        """The present epoch; nothing for a ledger that is not created."""
        return self._all[-1][0] if self._all else ""

    @property
    def begins(self) -> int:
        """The position at which the present epoch began: of ``ledger.created``, or of the last ``ledger.restored``."""
        return self._all[-1][1] if self._all else 1

    def position_of(self, cursor: Cursor) -> int:
        """Return the position that a cursor of the present epoch names.

        Raises ``CursorPassed`` for one of an older epoch, with the cursor to go on from: after it comes all that its
        bearer has not seen. Raises ``BadCursor`` for one of another ledger.
        """
        if cursor.epoch == self.latest:
            return cursor.position
        for n, (epoch, _) in enumerate(self._all):
            if epoch == cursor.epoch:
                agreed = min(first - 1 for _, first in self._all[n + 1 :])
                raise CursorPassed(str(cursor), str(Cursor(self.latest, min(cursor.position, agreed))))
        raise BadCursor(f"{str(cursor)[:80]!r} is of no epoch of this ledger; the present one is {self.latest}")
