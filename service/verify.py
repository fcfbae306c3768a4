"""What ``onrecord verify`` does: verify an archive with a progress bar, and report."""

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import Progress

from events.errors import ArchiveUnavailable
from events.transparency.errors import BadNote
from events.transparency.note import VerifierKey
from service.app import VERSION
from service.audit import log_key, storage
from service.audit.log_key import LogKeyUnusable
from service.audit.remote import Remote
from service.audit.storage import Storage
from service.audit.verifying.examination import Examination
from service.audit.verifying.page import as_page
from service.audit.verifying.report import Report, as_text
from service.run import COLUMNS
from service.settings import Settings

_errors = Console(stderr=True, highlight=False)


async def verify(  # noqa: PLR0913 - the command's options
    settings: Settings,
    where: str | None,
    keys: Sequence[str],
    *,
    older: Path | None,
    json: bool,
    page: Path | None,
    states: bool,
) -> bool:
    """Verify an archive, print the report and return whether all is in order.

    Without ``where`` it is the archive of the settings' ledger, without ``keys`` its log has to be ours. Raises
    ``ArchiveUnavailable``, and ``LogKeyUnusable`` for what is no key.
    """
    examination = Examination(
        _storage(settings, where),
        _verifiers(settings, keys),
        version=VERSION,
        older=older_checkpoint(older) if older else None,
        states=states,
    )
    with Progress(*COLUMNS, console=_errors, transient=True, disable=not _errors.is_terminal) as bar:
        task = bar.add_task("Verifying", total=None)
        async for step in examination.steps():
            bar.update(task, completed=step.done, total=step.total)
    _tell(examination.report, json=json, page=page)
    return examination.report.ok


def _storage(settings: Settings, where: str | None) -> Storage:
    if where is None:
        return storage.at(settings.archive_place, settings.ledger)
    if where.startswith(("http://", "https://")):
        return Remote(where, settings.key)
    if "://" not in where and not Path(where).is_dir():
        raise ArchiveUnavailable(f"{where} is no directory")
    return storage.at(where)


def _verifiers(settings: Settings, keys: Sequence[str]) -> tuple[VerifierKey, ...]:
    if keys:
        try:
            return tuple(map(VerifierKey.parse, keys))
        except BadNote as error:
            raise LogKeyUnusable(str(error)) from error
    path = log_key.path_of(settings.home_path, settings.ledger)
    ours = log_key.read(path)
    if ours is None:
        raise LogKeyUnusable(f"there are no keys of a log in {path}: give the verifier key with --key")
    return ours.verifiers


def older_checkpoint(file: Path) -> bytes:
    """Return a checkpoint that somebody kept. Raises ``ArchiveUnavailable``."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise ArchiveUnavailable(f"the older checkpoint cannot be read: {error}") from error


def _tell(report: Report, *, json: bool, page: Path | None) -> None:
    if json:
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    else:
        sys.stdout.write(as_text(report))
    if page:
        try:
            page.write_text(as_page(report))
        except OSError as error:
            raise ArchiveUnavailable(f"the report cannot be written: {error}") from error
