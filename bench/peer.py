"""The peers of the HTTP measurements: bare Litestar handlers, one that does an XADD and one that does nothing.

Run as ``peer.py STORE_URL PORT``.
"""

import sys

import uvicorn
from litestar import Litestar, Request, Response, get, post

import events.store


def main(store_url: str, port: int) -> None:
    """Serve it, with the same server and the same store client as ours."""
    store = events.store.connect(store_url)

    @post("/")
    async def add(request: Request) -> Response[bytes]:  # type: ignore[type-arg]  # Litestar's three variables
        await store.xadd("bare", {"e": await request.body()})
        return Response(b'{"ok":true}', media_type="application/json")

    @get("/")
    async def hello() -> Response[bytes]:  # type: ignore[type-arg]  # likewise
        return Response(b'{"hello":"world"}', media_type="application/json")

    uvicorn.run(
        Litestar([add, hello], logging_config=None), port=port, log_config=None, access_log=False, server_header=False
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
