"""Where an archive is kept: files by their paths, in a folder or in an object store.

Paths are as C2SP tlog-tiles has them. All but the checkpoint are written once and never changed.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from events.errors import ArchiveUnavailable


class Storage(Protocol):
    """What an archive asks of the place where it is kept. Every method raises ``ArchiveUnavailable``."""

    @property
    def place(self) -> str:
        """Where it is, for people to read."""

    async def read(self, path: str) -> bytes | None:
        """Return a file, or None if there is none."""

    async def write(self, files: Mapping[str, bytes]) -> None:
        """Write files that are whole and durable when this returns. Of several, some may be there when it fails."""

    async def swap(self, path: str, content: bytes, expected: bytes | None) -> bool:
        """Write a file if it is as expected (None: not there) and return whether it was; durable when this returns."""

    def paths(self, under: str = "") -> AsyncIterator[str]:
        """Yield the path of every file, or only of those whose paths begin with ``under``, which ends in a slash."""

    async def remove(self, paths: Sequence[str]) -> None:
        """Remove files that may be there."""


def at(where: str, ledger: str = "") -> Storage:
    """Return the storage of an archive: a folder, or a prefix of a store of objects, as in ``s3://bucket/prefix``.

    With ``ledger`` it is that of a ledger under it. Nothing is asked of it yet. Raises ``ArchiveUnavailable`` for a URL
    that nothing here can read.
    """
    if "://" not in where:
        from service.audit.folder import Folder  # noqa: PLC0415 - each place knows only itself

        return Folder(Path(where).expanduser().absolute() / ledger)
    from service.audit.objects import Objects  # noqa: PLC0415 - it needs an extra

    if not urlsplit(where).netloc:
        raise ArchiveUnavailable(f"{where!r} names no store of objects, as in s3://bucket/prefix")
    return Objects(f"{where.rstrip('/')}/{ledger}".rstrip("/"))
