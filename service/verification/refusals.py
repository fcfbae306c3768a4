"""Why a command is refused: what it names is not on record, is there already, or breaks a rule."""


class Refusal(Exception):
    """A command that records nothing.

    ``pointer`` (RFC 6901) says which part of what was proposed it is about; ``proposal`` which of several it was.
    """

    proposal = 0

    def __init__(self, detail: str, pointer: str = "") -> None:
        super().__init__(detail)
        self.detail, self.pointer = detail, pointer


class NotOnRecord(Refusal):
    """The command is about something that the ledger does not hold."""


class UnknownReference(Refusal):
    """The command names something, beside what it is about, that the ledger does not hold."""


class AlreadyRecorded(Refusal):
    """What the command would record is on record already."""


class RuleBroken(Refusal):
    """The command contradicts a rule of the domain."""


class VersionMismatch(Refusal):
    """The claim is not at the version that the caller decided on."""

    def __init__(self, expected: frozenset[int], actual: int) -> None:
        named = " or ".join(map(str, sorted(expected))) or "one of another epoch"
        super().__init__(f"it is at version {actual}, not {named}")
        self.expected, self.actual = expected, actual
