"""Lines that are lent: the connections over which one client of the store writes, to each server a bounded number."""

import asyncio
from typing import Any, Final

from events.errors import StoreUnavailable
from events.line import Line
from events.store import Store, kept, let_go, patience, server_of

MOST: Final = 16
"""Lines to one server: as many scripts run at once, whatever number of ledgers is written to."""


class Lines:
    """The lines of a client, made when they are needed. Who is lent one gives it back."""

    def __init__(self, store: Store) -> None:
        self._store, self._patience = store, patience(store)
        self._to: dict[str, _ToServer] = {}

    async def lend(self, key: str) -> Line:
        """Return a line to the server that has a key, nobody else's until it is given back.

        Raises ``StoreUnavailable`` when none is free in time, and what redis-py raises when one cannot be made.
        """
        its = self._to.setdefault(await server_of(self._store, key), _ToServer())
        await self._wait(its)
        try:
            while its.free:
                line = its.free.pop()
                if line.is_open:
                    its.lent.add(line)
                    return line
                await self._close(its, line)
            return await self._made(its, key)
        except BaseException:
            its.may.release()
            raise

    async def give_back(self, line: Line) -> None:
        """Take a line back. One that is closed is not lent again."""
        its = next(each for each in self._to.values() if line in each.lent)
        its.lent.remove(line)
        its.may.release()
        if line.is_open:
            its.free.append(line)
        else:
            await self._close(its, line)

    def distrust(self) -> None:
        """Close the lines that nobody has: one broke, and others may be broken unseen."""
        for its in self._to.values():
            for line in its.free:
                line.close()

    async def _wait(self, its: "_ToServer") -> None:
        if its.may.locked():
            try:
                async with asyncio.timeout(self._patience):
                    await its.may.acquire()
            except TimeoutError as error:
                raise StoreUnavailable(f"{MOST} scripts run in the store, and none of them ends") from error
        else:
            await its.may.acquire()

    async def _made(self, its: "_ToServer", key: str) -> Line:
        connection = await kept(self._store, key)
        try:
            async with asyncio.timeout(self._patience):
                await connection.connect()
            line = Line(connection, self._patience)
        except BaseException:
            await let_go(self._store, connection)
            raise
        its.connections[line] = connection
        its.lent.add(line)
        return line

    async def _close(self, its: "_ToServer", line: Line) -> None:
        await let_go(self._store, its.connections.pop(line))


class _ToServer:
    """The lines to one server: those that are free, those that are lent, and redis-py's connection of each."""

    def __init__(self) -> None:
        self.may = asyncio.Semaphore(MOST)
        self.free: list[Line] = []
        self.lent: set[Line] = set()
        self.connections: dict[Line, Any] = {}
