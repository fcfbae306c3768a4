"""Snapshots: the folded facts of long claims, so that a process that has never seen one need not replay it all.

A snapshot is a cache. Whoever decides on a claim writes one now and then; whoever reads one folds what came after it,
and ignores it if another version of the code folded it. The ledger alone says what is true.
"""

import msgspec
from redis.exceptions import RedisError

from events.errors import StoreUnavailable
from events.ledger import Ledger
from events.store import Store, answering
from service.verification.facts import FOLD, Facts

SHORTEST = 64
"""Events that a claim has before it gets a snapshot; replaying fewer costs about a millisecond."""
_GROWTH = 1.25
_KEPT_SECONDS = 30 * 86_400
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Facts).decode


class Snapshots:
    """The snapshots of one ledger. Written each time that a claim has grown by a quarter."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store, self._ledger = store, ledger

    async def read(self, claim_id: str) -> Facts | None:
        """Return the facts of a claim at some version of it, if there is a snapshot that this code can use."""
        with answering():
            raw = await self._store.get(self._key(claim_id))
        if raw is None:
            return None
        try:
            facts = _decode(raw)
        except msgspec.MsgspecError:
            return None
        return facts if facts.fold == FOLD else None

    async def write_if_due(self, facts: Facts, since: int) -> bool:
        """Write a snapshot if the claim has grown enough since version ``since``, and return whether it was written.

        A store that is away or full is no reason to fail: what was to be recorded is recorded.
        """
        if facts.version < max(SHORTEST, since * _GROWTH):
            return False
        try:
            with answering():
                await self._store.set(self._key(facts.claim_id), _encode(facts), ex=_KEPT_SECONDS)
        except (StoreUnavailable, RedisError):
            return False
        return True

    def _key(self, claim_id: str) -> str:
        return self._ledger.keys.facts(self._ledger.epoch, claim_id)
