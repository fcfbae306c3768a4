"""Sending a script to the store, over a line kept for that, so that it is known what can have reached the store.

redis-py tries a command again by itself, and does not say which attempt got how far. Here a connection that cannot be
made has carried nothing; one that breaks after something was sent leaves a question, and the same bytes are sent again:
whoever runs a script here makes sure that running it twice is running it once.
"""

import asyncio
import time
from collections.abc import Sequence

from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    MovedError,
    NoScriptError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from events.errors import OutcomeUnknown, StoreUnavailable
from events.line import Answer, Line
from events.lines import Lines
from events.store import UNREACHABLE, Script, Store, required_replicas, shared

_ATTEMPTS = 3
_ELSEWHERE = (MovedError, AskError, TryAgainError)
_PAUSES = ExponentialWithJitterBackoff(cap=1.0, base=0.05)
_REPLICAS_SECONDS = 2.0
"""How long replicas have to write to disk what they were sent; less than the time to wait for an answer."""


class Sender:
    """Runs scripts over lines that all who write through one client of the store share."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.replicas: int = required_replicas(store)
        """How many replicas have to have a write on disk before it counts."""

    async def run(  # noqa: C901 - every way in which a call can end
        self, script: Script, keys: Sequence[str], args: Sequence[bytes | int | str]
    ) -> Answer:
        """Run a script, and wait until as many replicas as the client was made for have its effects on disk.

        Raises ``StoreUnavailable`` if nothing was written, ``OutcomeUnknown`` if it may have been, whether the answer
        was lost or too few replicas answered, and the store's own ``ResponseError`` if it refused.
        """
        lines = shared(self._store, Lines)
        lost: Exception | None = None
        refusal: Exception | None = None
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(_PAUSES.compute(attempt))
            try:
                line = await lines.lend(keys[0])
            except (*UNREACHABLE, RedisError, StoreUnavailable) as error:
                if lost is None:
                    raise StoreUnavailable(f"the store cannot be reached: {error}") from error
                raise OutcomeUnknown(f"the store's answer was lost, and then the store: {error}") from error
            try:
                return await self._run(line, script, keys, args)
            except BusyLoadingError as error:  # an answer, though redis-py counts it among broken connections
                refusal = error
            except _ELSEWHERE as error:  # another server of the cluster has the ledger now; nothing was written
                refusal = error
                line.close()
                await self._store.nodes_manager.initialize()
            except UNREACHABLE as error:
                lost = error
                line.close()
                lines.distrust()
            except ResponseError as error:
                if lost is None:
                    raise
                raise OutcomeUnknown(f"the store's answer was lost, and now it says: {error}") from error
            finally:
                await lines.give_back(line)
        if lost is None:
            raise StoreUnavailable(f"the store takes no writes yet: {refusal}")
        raise OutcomeUnknown(f"the store's answer was lost: {lost}") from lost

    async def _run(self, line: Line, script: Script, keys: Sequence[str], args: Sequence[bytes | int | str]) -> Answer:
        """Run a script, telling the server what it is if need be; wait for replicas if there must be any."""
        answer = await line.ask("EVALSHA", script.sha, len(keys), *keys, *args)
        if isinstance(answer, NoScriptError):
            answer = await line.ask("EVAL", script.source, len(keys), *keys, *args)
        if isinstance(answer, Exception):
            raise answer
        if self.replicas:
            await self._wait_for_replicas(line)
        return answer

    async def _wait_for_replicas(self, line: Line) -> None:
        """Return when enough replicas have on disk what this connection wrote.

        A replica says how far it is when it is asked, and once a second. Asked in one breath with the write, it says
        what it had before: an append would take a second. So it is asked after the answer, and now and then again.
        """
        end, pause = time.monotonic() + _REPLICAS_SECONDS, 0.01
        while True:
            counts = await line.ask("WAITAOF", 1, self.replicas, int(1000 * pause))
            if isinstance(counts, Exception):
                raise OutcomeUnknown(f"the store does not wait for its replicas: {counts}") from counts
            if counts[0] and counts[1] >= self.replicas:
                return
            left = end - time.monotonic()
            if left <= 0:
                raise OutcomeUnknown(f"{counts[1]} of {self.replicas} replicas have it on disk")
            pause = min(2 * pause, max(left, 0.01))
