"""The log's keys: what signs the checkpoints of a ledger. Kept in the home, outside store and archive, mode 0600.

The name of a key is the log's *origin*, for ever. To change the key, a new one is added beside the old one: both sign
every checkpoint until the old one is dropped, so that whoever knows only the old one learns to trust the new one.
"""

from pathlib import Path

from msgspec import Struct

from events.errors import StoreUnusable
from events.transparency.errors import BadNote
from events.transparency.note import SigningKey, VerifierKey
from service import durable


class LogKeyUnusable(StoreUnusable):
    """The keys of a ledger's log cannot be read, or are not those that signed its last checkpoint."""


class LogKeys(Struct, frozen=True):
    """The keys that sign the checkpoints of one ledger, the oldest first."""

    signing: tuple[SigningKey, ...]

    @property
    def verifiers(self) -> tuple[VerifierKey, ...]:
        """What verifies their signatures."""
        return tuple(key.verifier for key in self.signing)

    @property
    def origin(self) -> str:
        """Who the log is."""
        return self.signing[0].verifier.name


def path_of(home: Path, ledger: str) -> Path:
    """Return where the keys of a ledger's log are."""
    return home / "log" / f"{ledger}.key"


def read(path: Path) -> LogKeys | None:
    """Return the keys in a file, or None if there is none. Raises ``LogKeyUnusable``; no message has what was read."""
    try:
        lines = path.read_text().split()
        keys = LogKeys(tuple(map(SigningKey.parse, lines)))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, BadNote) as error:
        raise LogKeyUnusable(f"the keys of the log in {path} cannot be read: {error}") from error
    if len({key.verifier.name for key in keys.signing}) != 1:
        raise LogKeyUnusable(f"the keys of the log in {path} are of one name, and at least one")
    return keys


def opened(path: Path, origin: str) -> LogKeys:
    """Return the keys of a log, and make the first one, under the name ``origin``, if there is none."""
    keys = read(path)
    if keys is None:
        durable.create(path, _written([SigningKey.generate(origin)]))
        keys = read(path)
    if keys is None:
        raise LogKeyUnusable(f"the keys of the log in {path} are gone again")
    return keys


def rotated(path: Path) -> LogKeys:
    """Add a new key, which signs beside those that are there. Raises ``LogKeyUnusable`` if there are none."""
    keys = _there(path)
    durable.replace({path: _written([*keys.signing, SigningKey.generate(keys.origin)])})
    return _there(path)


def retired(path: Path, key_id: str) -> LogKeys:
    """Drop a key, which signs no more. Raises ``LogKeyUnusable`` if it is not there, or the only one."""
    keys = _there(path)
    left = [key for key in keys.signing if key.verifier.key_id.hex() != key_id]
    if len(left) == len(keys.signing):
        raise LogKeyUnusable(f"no key of the log has the id {key_id[:20]!r}")
    if not left:
        raise LogKeyUnusable("a log has at least one key: add another one first")
    durable.replace({path: _written(left)})
    return _there(path)


def _there(path: Path) -> LogKeys:
    keys = read(path)
    if keys is None:
        raise LogKeyUnusable(f"there are no keys of a log in {path}: the first worker of the ledger makes them")
    return keys


def _written(keys: list[SigningKey]) -> bytes:
    return "".join(f"{key.written()}\n" for key in keys).encode()
