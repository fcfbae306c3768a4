"""A line to the store: a connection that redis-py made, spoken over without its streams.

redis-py knows how to dial, encrypt, authenticate and choose a protocol. After that each command costs it tasks and
buffers; here one is a write and a callback.
"""

import asyncio
from typing import Any, TypeAlias, cast

import hiredis
from redis.asyncio.connection import DefaultParser
from redis.exceptions import ConnectionError, RedisError, TimeoutError  # noqa: A004 - redis-py's names

Answer: TypeAlias = Any
"""What a command answers; an error answer is redis-py's exception for it."""

_NOT_YET = object()


class Line(asyncio.Protocol):
    """A connection that is connected, taken over from redis-py. One command at a time, each with its answer."""

    def __init__(self, connection: Any, patience: float) -> None:  # noqa: ANN401 - one of redis-py's
        self._patience = patience
        self._parser = hiredis.Reader(
            protocolError=ConnectionError, replyError=DefaultParser.parse_error, notEnoughData=_NOT_YET
        )
        self._answer: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport = connection._writer.transport  # noqa: SLF001 - it has no public name
        self._before = self._transport.get_protocol()
        self._transport.set_protocol(self)

    @property
    def is_open(self) -> bool:
        """Whether a command can be sent."""
        return not self._transport.is_closing()

    async def ask(self, *words: bytes | int | str) -> Answer:
        """Send a command and return its answer.

        Raises redis-py's ``ConnectionError`` or ``TimeoutError`` if there is none; the line is closed then, as it is
        when the caller is cancelled: an answer that came later would be taken for that of the next command.
        """
        loop = asyncio.get_running_loop()
        self._answer = answer = loop.create_future()
        timer = loop.call_later(self._patience, self._fail, TimeoutError(f"no answer in {self._patience} s"))
        try:
            self._transport.write(hiredis.pack_command(cast("tuple[str]", words)))  # its stub knows one word
            return await answer
        except BaseException:
            self.close()
            raise
        finally:
            timer.cancel()
            self._answer = None

    def close(self) -> None:
        """Close the connection, for redis-py too."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Give the answer to who waits for it."""
        self._parser.feed(data)
        try:
            answer = self._parser.gets()
            while isinstance(answer, hiredis.PushNotification):  # what the server says unasked
                answer = self._parser.gets()
        except RedisError as error:
            self._fail(error)
            return
        if answer is _NOT_YET:
            return
        if self._answer is None or self._answer.done():
            self.close()
        else:
            self._answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits, and redis-py, whose connection it is."""
        self._fail(ConnectionError(f"the connection to the store was lost: {exc or 'the store closed it'}"))
        self._before.connection_lost(exc)

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
