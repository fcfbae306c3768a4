"""A receiver for a developer's machine: it takes webhooks, verifies them and shows what they say."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import uvicorn
from msgspec import Struct

from service.webhooks import signing
from service.webhooks.signing import NotVerified

_LARGEST = 1 << 20
_OWN = ("webhook-id", "webhook-timestamp", "webhook-signature", "content-type")


class CannotListen(Exception):
    """Somebody else has the port, or it is not ours to have."""


class Heard(Struct, frozen=True):
    """One message that came: ``problem`` says why its signature is not right, if it is not."""

    headers: dict[str, str]
    body: bytes
    problem: str | None

    @property
    def summary(self) -> str:
        """Return in a line what it says."""
        try:
            said: dict[str, Any] = msgspec.json.decode(self.body, type=dict[str, Any])
        except msgspec.MsgspecError:
            return f"{len(self.body)} bytes that are no JSON object"
        return " ".join(str(said[name]) for name in ("type", "subject", "sequence") if name in said) or str(said)[:200]


class Listener:
    """Listens on loopback and tells ``heard`` of each message. Without a secret it verifies nothing."""

    def __init__(self, heard: Callable[[Heard], None], *, port: int = 0, status: int = 204) -> None:
        self._heard, self._status, self._port = heard, status, port
        self.url = ""
        """Where it listens."""
        self.secret: bytes | None = None
        self._server = _Server(
            uvicorn.Config(
                self._answer,
                interface="asgi3",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
            )
        )

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen until the end of the block. Raises ``CannotListen``."""
        try:
            listening = socket.create_server(("127.0.0.1", self._port))
        except OSError as error:
            raise CannotListen(f"cannot listen on 127.0.0.1:{self._port}: {os.strerror(error.errno or 0)}") from error
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        serving = asyncio.create_task(self._server.serve([listening]))
        try:
            while not (self._server.started or serving.done()):  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
            if serving.done():
                serving.result()
            yield
        finally:
            self._server.should_exit = True
            await serving

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's three
        body = b""
        more = scope["type"] == "http"
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False) and len(body) < _LARGEST
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        problem = None
        if self.secret is not None:
            try:
                signing.verify(headers, body, self.secret)
            except NotVerified as error:
                problem = str(error)
        self._heard(Heard({name: headers[name] for name in _OWN if name in headers}, body, problem))
        status = self._status if problem is None else 401
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class _Server(uvicorn.Server):
    """A server that leaves signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:  # noqa: ANN401 - a generator of nothing
        """Capture none."""
        yield
