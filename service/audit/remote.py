"""An archive that a service serves over HTTP, as C2SP tlog-tiles has it. It can be read, and not listed."""

import contextlib
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence

import httpcore2
import msgspec
from msgspec import Struct

from events.errors import ArchiveUnavailable
from events.transparency.tiles import packed

_TIMEOUTS = {"connect": 5.0, "read": 30.0, "write": 30.0, "pool": 30.0}
_FOUND, _MISSING = 200, 404
_WITHOUT_RIGHTS = (401, 403)
_LARGEST = 32 << 20
_ENTRIES = "tile/entries/"


class _Problem(Struct):
    title: str
    detail: str


def _unpacked(content: bytes, url: str) -> bytes:
    try:
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(content, _LARGEST)
    except zlib.error as error:
        raise ArchiveUnavailable(f"{url} cannot be unpacked: {error}") from error


def _why(status: int, content: bytes) -> str:
    """Say why an answer is none: by its problem details, if it has some."""
    said = content[:300].decode(errors="replace")
    with contextlib.suppress(msgspec.MsgspecError):
        problem = msgspec.json.decode(content, type=_Problem)
        said = f"{problem.title}: {problem.detail}"
    hint = "; ONRECORD_KEY is the API key that is used" if status in _WITHOUT_RIGHTS else ""
    return f"{status} {said}{hint}"


class Remote:
    """The log under a URL, as in ``https://record.example.org/v1``; entries may need a key with the scope ``audit``."""

    def __init__(self, url: str, key: str = "") -> None:
        self._url = url.rstrip("/")
        self._headers = {"Accept-Encoding": "gzip", **({"Authorization": f"Bearer {key}"} if key else {})}
        self._pool = httpcore2.AsyncConnectionPool(max_connections=8)

    @property
    def place(self) -> str:
        """Where it is, for people to read."""
        return self._url

    async def read(self, path: str) -> bytes | None:
        """Return a file, or None if there is none."""
        url = f"{self._url}/{path}"
        try:
            async with self._pool.stream(
                "GET", url, headers=list(self._headers.items()), extensions={"timeout": _TIMEOUTS}
            ) as response:
                content = b""
                async for chunk in response.aiter_stream():
                    content += chunk
                    if len(content) > _LARGEST:
                        raise ArchiveUnavailable(f"{url} is larger than any file of an archive")
        except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError) as error:
            raise ArchiveUnavailable(f"{url} cannot be read: {error or type(error).__name__}") from error
        if response.status == _MISSING:
            return None
        if response.status != _FOUND:
            raise ArchiveUnavailable(f"{url} cannot be read: {_why(response.status, content)}")
        is_coded = any(name.lower() == b"content-encoding" and value == b"gzip" for name, value in response.headers)
        if path.startswith(_ENTRIES):  # which an archive has as they are sent
            return content if is_coded else packed(content)
        return _unpacked(content, url) if is_coded else content

    async def write(self, files: Mapping[str, bytes]) -> None:  # noqa: ARG002 - it cannot be written to
        """Raise ``ArchiveUnavailable``."""
        raise ArchiveUnavailable(f"{self._url} can only be read")

    async def swap(self, path: str, content: bytes, expected: bytes | None) -> bool:  # noqa: ARG002 - likewise
        """Raise ``ArchiveUnavailable``."""
        raise ArchiveUnavailable(f"{self._url} can only be read")

    def paths(self, under: str = "") -> AsyncIterator[str]:
        """Raise ``ArchiveUnavailable``."""
        raise ArchiveUnavailable(f"{self._url}/{under} cannot be listed")

    async def remove(self, paths: Sequence[str]) -> None:  # noqa: ARG002 - likewise
        """Raise ``ArchiveUnavailable``."""
        raise ArchiveUnavailable(f"{self._url} can only be read")

    async def aclose(self) -> None:
        """Give the connections back."""
        await self._pool.aclose()
