"""Files that are whole and on disk when a write returns, whatever happens to process or machine meanwhile."""

import contextlib
import os
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_TOGETHER = 8
"""Files of one write that wait for the disk at once."""


def create(path: Path, content: bytes) -> bool:
    """Make a file that only its owner may read, unless there is one already; return whether it was made."""
    make_folder(path.parent)
    draft = _draft(path.parent, path.name, content)
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
        _sync(path.parent)
    return True


def replace(files: Mapping[Path, bytes]) -> None:
    """Write files, each in the place of what was there. Of several, some may be written when this fails.

    Several wait for the disk together: a file system makes them durable in one go.
    """
    folders = {path.parent for path in files}
    for folder in folders:
        make_folder(folder)
    with ThreadPoolExecutor(min(_TOGETHER, max(len(files), 1))) as threads:
        drafting = {path: threads.submit(_draft, path.parent, path.name, content) for path, content in files.items()}
    try:
        drafts = {path: draft.result() for path, draft in drafting.items()}
        for path, draft in drafts.items():
            draft.replace(path)
    finally:
        for each in drafting.values():
            if each.exception() is None:
                each.result().unlink(missing_ok=True)
    for folder in folders:
        _sync(folder)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, that only their owner may enter; it may be there."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    _sync(folder.parent)


def _draft(folder: Path, name: str, content: bytes) -> Path:
    """Return a new file beside the one that it is to be; a name that begins with a dot is never taken for one."""
    draft = folder / f".{name}.{secrets.token_hex(8)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        draft.unlink()
        raise
    return draft


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
