"""The bootstrap key: the first key of a store, kept in a file, with every scope for the ledger of the settings."""

import os
from pathlib import Path

from events import keys
from events.store import Store, answering
from service.auth.kept_keys import KeptKeys, NewKey, split
from service.auth.scopes import EVERY


async def ensure_bootstrap_key(store: Store, ledger: str, path: Path, *, replace: bool) -> bool:
    """Make sure that there is a first key, in the file at ``path`` (mode 0600), and return whether one that opens is.

    A store that has a bootstrap key whose file is not here keeps it, unless ``replace``: then a new one takes its
    place, and the old one opens nothing any more. One that was revoked stays so.
    """
    kept = KeptKeys(store)
    if path.exists():
        token = path.read_text().strip()
        return await _keep(store, kept, token, ledger)
    if not replace and await store.get(keys.BOOTSTRAP):
        return False
    token = await kept.create(_new(ledger))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
    await _be_bootstrap(store, kept, token)
    return True


async def _keep(store: Store, kept: KeptKeys, token: str, ledger: str) -> bool:
    """Put the key of a file into a store that never had it, and return whether it opens something."""
    bare, _ = split(token)
    with answering():
        present = await store.get(keys.BOOTSTRAP)
    found = await kept.read(bare)
    if found is None and present == bare.encode():  # it was revoked, and that long ago
        return False
    if found is None:
        await kept.keep(token, _new(ledger))
    elif found.revoked:
        return False
    await _be_bootstrap(store, kept, token)
    return True


def _new(ledger: str) -> NewKey:
    return NewKey(ledger=ledger, scopes=EVERY, name="bootstrap")


async def _be_bootstrap(store: Store, kept: KeptKeys, token: str) -> None:
    """Let a key be the bootstrap key; the one before it opens nothing any more."""
    bare, _ = split(token)
    with answering():
        former = await store.set(keys.BOOTSTRAP, bare, get=True)
    if former and former.decode() != bare and (found := await kept.read(former.decode())):
        await kept.revoke(found.id, found.ledger, by="system", spare_last=False)
