"""An archive in an object store, through ``obstore`` (the extra ``s3``): S3 and what speaks like it.

Credentials, region and endpoint are taken from the environment, as in ``AWS_ACCESS_KEY_ID`` and ``AWS_ENDPOINT``. The
store has to support conditional writes (``If-Match``, ``If-None-Match``), by which two sealers cannot both win.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from events.errors import ArchiveUnavailable

try:
    import obstore
    from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError, PreconditionError
except ImportError as error:
    raise ArchiveUnavailable("an archive in a store of objects needs the extra s3: onrecord[s3]") from error

_AT_ONCE = 16
_DEBUG = "\n\nDebug source"
"""What comes after the words of an error is for those who write obstore."""
_PATIENCE = timedelta(seconds=20)
_RETRYING = timedelta(seconds=30)


class Objects:
    """A prefix of a bucket."""

    def __init__(self, url: str) -> None:
        self._url = url
        with _answering():
            self._store: Any = obstore.store.from_url(
                url,
                client_options={"timeout": _PATIENCE, "allow_http": True},
                retry_config={"max_retries": 3, "retry_timeout": _RETRYING},
            )
        self._permits = asyncio.Semaphore(_AT_ONCE)

    @property
    def place(self) -> str:
        """Where it is, for people to read."""
        return self._url

    async def read(self, path: str) -> bytes | None:
        """Return an object, or None if there is none."""
        found = await self._read(path)
        return found[0] if found else None

    async def write(self, files: Mapping[str, bytes]) -> None:
        """Write objects; the store has each of them when this returns."""
        await asyncio.gather(*(self._write(path, content) for path, content in files.items()))

    async def swap(self, path: str, content: bytes, expected: bytes | None) -> bool:
        """Write an object if it is as expected (None: not there), and return whether it was."""
        found = await self._read(path)
        if (found[0] if found else None) != expected:
            return False
        with _answering():
            try:
                await obstore.put_async(self._store, path, content, mode=found[1] if found else "create")
            except (PreconditionError, AlreadyExistsError):
                return False
        return True

    async def paths(self, under: str = "") -> AsyncIterator[str]:
        """Yield the path of every object, or only of those under a path."""
        with _answering():
            async for listed in obstore.list(self._store, under.rstrip("/") or None):
                for each in listed:
                    yield each["path"]

    async def remove(self, paths: Sequence[str]) -> None:
        """Remove objects that may be there."""
        if paths:
            with _answering():
                await obstore.delete_async(self._store, list(paths))

    async def _read(self, path: str) -> tuple[bytes, Any] | None:
        with _answering():
            try:
                async with self._permits:
                    found = await obstore.get_async(self._store, path)
                    content = bytes(await found.bytes_async())
            except (NotFoundError, FileNotFoundError):
                return None
        version = {name: found.meta[name] for name in ("e_tag", "version")}
        return content, {name: value for name, value in version.items() if value is not None}

    async def _write(self, path: str, content: bytes) -> None:
        with _answering():
            async with self._permits:
                await obstore.put_async(self._store, path, content)


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        raise ArchiveUnavailable(f"the archive cannot be used: {str(error).partition(_DEBUG)[0][:500]}") from error
