"""Small scripts that many tasks run, on many ledgers: those of a moment go to the store in one round trip.

A command of its own has a connection for as long as it takes, and costs most of what Python does for it. Who looks
after hundreds of ledgers renews thousands of leases a second.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, TypeAlias

from redis.exceptions import NoScriptError

from events.store import Script, Store, answering, beside, closed_with, is_cluster, server_of

_Asked: TypeAlias = "tuple[tuple[str | int, ...], asyncio.Future[Any]]"
_MOST = 256
"""Scripts in one round trip."""
_GATHERING = 0.01
"""Seconds in which they gather."""


class Together:
    """What waits at a client, for each server apart: one that is away holds up no other's.

    It has a connection of its own, so that a lease is renewed in time whoever else waits for one. In a cluster nobody
    waits for one.
    """

    def __init__(self, store: Store) -> None:
        self._store = store if is_cluster(store) else beside(store)
        closed_with(store, self)
        self._waiting: dict[str, deque[_Asked]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[str | int]) -> Any:  # noqa: ANN401 - what Lua returns
        """Run a script on keys of one ledger. Raises as a command of its own does."""
        with answering():
            server = await server_of(self._store, keys[0])
            try:
                return await self._ask(server, "EVALSHA", script.sha, len(keys), *keys, *args)
            except NoScriptError:
                return await self._ask(server, "EVAL", script.source, len(keys), *keys, *args)

    async def disconnect(self) -> None:
        """Do what waits no more, and close the connection."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not is_cluster(self._store):
            await self._store.aclose()

    async def _ask(self, server: str, *command: str | int) -> Any:  # noqa: ANN401 - what the store answers
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if server in self._waiting:
            self._waiting[server].append((command, answer))
        else:
            self._waiting[server] = deque([(command, answer)])
            self._tasks.add(task := asyncio.create_task(self._answer(server)))
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def _answer(self, server: str) -> None:
        waiting = self._waiting[server]
        try:
            while waiting:
                if len(waiting) < _MOST:
                    await asyncio.sleep(_GATHERING)
                await self._send([waiting.popleft() for _ in range(min(_MOST, len(waiting)))])
        finally:
            del self._waiting[server]
            for _, answer in waiting:
                answer.cancel()

    async def _send(self, asked: list[_Asked]) -> None:
        pipeline = self._store.pipeline(transaction=False)
        for command, _ in asked:
            pipeline.execute_command(*command)
        try:
            answers = await pipeline.execute(raise_on_error=False)
        except BaseException as error:
            for _, answer in asked:
                if answer.done():
                    continue
                if isinstance(error, Exception):
                    answer.set_exception(error)
                else:
                    answer.cancel()
            if not isinstance(error, Exception):
                raise
            return
        for (_, answer), said in zip(asked, answers, strict=True):
            if answer.done():
                continue
            if isinstance(said, Exception):
                answer.set_exception(said)
            else:
                answer.set_result(said)
