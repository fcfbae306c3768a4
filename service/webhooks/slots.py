"""Slots: how many attempts are under way at once, so that those that are slow hold up none that are quick."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """A number of quick slots, and a number of others to which an attempt moves that takes longer than a second."""

    def __init__(self, quick: int = 128, slow: int = 2048, *, seconds: float = 1.0) -> None:
        self._quick, self._slow, self._seconds = asyncio.Semaphore(quick), slow, seconds

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for a quick slot, and have it until the end of the block or until it is no longer quick."""
        await self._quick.acquire()
        is_quick = True

        def move() -> None:
            nonlocal is_quick
            if self._slow > 0:
                self._slow -= 1
                is_quick = False
                self._quick.release()

        moving = asyncio.get_running_loop().call_later(self._seconds, move)
        try:
            yield
        finally:
            moving.cancel()
            if is_quick:
                self._quick.release()
            else:
                self._slow += 1
