"""What can go wrong with a ledger. Every error carries what its caller needs to act."""


class LedgerError(Exception):
    """The root of this package's errors."""


class Refused(LedgerError):
    """The store answered, and nothing was written."""


class VersionConflict(Refused):
    """A stream that the decision read has moved on; read it again and decide anew."""

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        super().__init__(f"{stream} is at version {actual}, not {expected}")
        self.stream, self.expected, self.actual = stream, expected, actual


class CommandConflict(Refused):
    """The command id was used before, for another command."""

    def __init__(self, command_id: str) -> None:
        super().__init__(f"command {command_id} was recorded with other content")
        self.command_id = command_id


class OutOfTurn(Refused):
    """The command before it in its run was not recorded, and it was decided on what that one would have made."""


class EventTooLarge(Refused):
    """An event's bytes exceed what an entry may hold."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"the event has {size} bytes; an entry holds at most {limit}")
        self.size, self.limit = size, limit


class ClockSkew(Refused):
    """The store's clock is behind the last recorded time by more than the ledger accepts, or a week off ours."""


class LedgerDamaged(Refused):
    """Head and log of the ledger disagree: something other than the append script wrote to them."""


class LedgerDiverged(Refused):
    """The store lacks events that the last checkpoint covers, or has others: no writes until it is restored."""


class StoreFull(Refused):
    """The store is at its memory limit and takes no more writes."""


class UnknownLedger(Refused):
    """The store holds no ledger of that name, or an append went to one that was never created."""


class StoreUnusable(LedgerError):
    """The store must not be started on."""


class StoreNotDurable(StoreUnusable):
    """The store could lose acknowledged events. ``reasons`` says by which settings."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("the store could lose acknowledged events: " + "; ".join(reasons))
        self.reasons = reasons


class StoreTooOld(StoreUnusable):
    """The server is older than the oldest one that On Record is tested on."""


class ClocksApart(StoreUnusable):
    """The store's clock and ours differ by so much that times recorded by one are wrong by the other."""


class StoreUnavailable(LedgerError):
    """The store cannot be reached, or its queue is full; nothing was written. Try again later."""


class ArchiveUnavailable(LedgerError):
    """The archive cannot be read or written. Try again later."""


class ArchiveDamaged(LedgerError):
    """The archive is not what its checkpoint says: something is missing from it, or is not as it was written."""


class FollowerTooSlow(StoreUnavailable):
    """A follower of the log took its entries too slowly, and was dropped. Follow again from ``position``."""

    def __init__(self, position: int) -> None:
        super().__init__(f"too many entries were waiting; follow again from position {position}")
        self.position = position


class OutcomeUnknown(LedgerError):
    """A write may have happened: its answer was lost, or too few replicas have it. A retry with its id settles it."""


class UnreadableEvent(LedgerError):
    """An event of a type or version that this release does not know. Reading must not go past it in silence."""

    def __init__(self, position: int, dataschema: str, why: str) -> None:
        super().__init__(f"event {position} ({dataschema}) cannot be read: {why}")
        self.position, self.dataschema, self.why = position, dataschema, why


class BadCursor(LedgerError):
    """A cursor that is no ``epoch.position`` of this ledger."""


class CursorPassed(BadCursor):
    """A cursor of an epoch before a restore. ``resume_after`` is the one of the present epoch to go on from."""

    def __init__(self, cursor: str, resume_after: str) -> None:
        super().__init__(f"the ledger was restored since {cursor!r}; go on from {resume_after!r}")
        self.resume_after = resume_after
