"""What a verification found: which checks were made over how much, and every place where something is amiss."""

from msgspec import Struct

MOST_FINDINGS = 1000
"""Findings that are told one by one; what is beyond them is counted."""


class Finding(Struct, frozen=True):
    """Something that is not as it should be: by which check, where, and what."""

    check: str
    where: str
    what: str


class Check(Struct):
    """One kind of check: what it shows, over how many things it was made, and how many of them were amiss."""

    name: str
    shows: str
    of: str
    made: int = 0
    amiss: int = 0
    seconds: float = 0.0
    without: str = ""
    """Over what it could not be made, because that cannot be read or does not follow."""

    @property
    def units(self) -> str:
        """What is counted, one or many of it."""
        return self.of[:-1] if self.made == 1 else self.of


class Report(Struct):
    """The outcome of verifying one archive. ``first`` and ``last`` are when its first and last events were recorded."""

    archive: str
    verified_at: str
    version: str
    origin: str = ""
    ledger: str = ""
    size: int = 0
    root: str = ""
    signed_by: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()
    """Who else signed the checkpoint, by keys that were not given."""
    older: str = ""
    """The older checkpoint that it was compared with: its size and root."""
    first: str = ""
    last: str = ""
    events: dict[str, int] = {}
    """How many events there are of each type."""
    checks: list[Check] = []
    findings: list[Finding] = []
    untold: int = 0
    cause: str = ""
    """What of the archive was altered, where that can be told."""
    complete: bool = False
    """Whether every check came to its end."""

    @property
    def ok(self) -> bool:
        """Whether every check was made, and nothing is amiss."""
        return self.complete and not self.findings

    def find(self, check: Check, where: str, what: str) -> None:
        """Note that something is amiss."""
        check.amiss += 1
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(check.name, where, what))
        else:
            self.untold += 1


def verdict(report: Report) -> str:
    """Return what it comes to, in a sentence."""
    if report.ok:
        return (
            f"Nothing was altered, removed or added: the {report.size} events of this archive are those that the log "
            "signed."
        )
    many = len(report.findings) + report.untold
    things = "thing is" if many == 1 else "things are"
    if report.complete and {each.check for each in report.findings} == {"kept"}:
        return (
            f"The {report.size} events of this archive are those that the log signed, but it was not compared with an "
            "older checkpoint: what was given is none."
        )
    if not report.complete:
        return f"The archive could not be verified: {many} {things} amiss."
    cause = f" {report.cause}" if report.cause else ""
    return f"This archive is not what the log signed, or contradicts itself: {many} {things} amiss.{cause}"


def as_text(report: Report) -> str:
    """Return the report as lines of text."""
    lines = [f"Archive      {report.archive}"]
    if report.origin:
        lines += [
            f"Log          {report.origin}",
            f"Checkpoint   {report.size} events, root {report.root}",
            f"Signed by    {', '.join(report.signed_by)}",
        ]
    if report.strangers:
        lines.append(f"Also signed  {', '.join(report.strangers)} (keys that were not given)")
    if report.older:
        lines.append(f"Goes on from {report.older}")
    if report.first:
        lines.append(f"Recorded     {report.first} to {report.last}")
    lines.append("")
    for check in report.checks:
        mark = "amiss" if check.amiss else "part " if check.without else "  ok "
        without = f"; without {check.without}" if check.without else ""
        lines.append(f"[{mark}] {check.shows} ({check.made} {check.units}, {check.seconds:.2f} s{without})")
    lines += ["", *(f"{each.where}: {each.what}" for each in report.findings)]
    if report.untold:
        lines.append(f"… and {report.untold} more")
    if report.findings:
        lines.append("")
    return "\n".join([*lines, verdict(report), ""])
