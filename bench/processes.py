"""Processes of a measurement: each is started for it, on a free port of the loopback, and ended after it."""

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

UNLOGGED = {"ONRECORD_LOG_LEVEL": "warning"}
"""The environment of a service that, as its peers do, writes no line for each request."""


@contextlib.asynccontextmanager
async def running(*command: str, **environment: str) -> AsyncIterator[int]:
    """Run a command with some variables more in its environment, yield its process id, and terminate it at the end.

    What it logs goes to a file, as in production, and is shown if the caller fails.
    """
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            *command, env=os.environ | environment, stdout=asyncio.subprocess.DEVNULL, stderr=log
        )
        try:
            yield process.pid
        except Exception:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace")[-4000:])
            raise
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await asyncio.wait_for(process.wait(), 15)


async def answering(port: int) -> None:
    """Wait until something answers on a port. Raises ``RuntimeError`` after ten seconds."""
    for _ in range(200):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.05)
    raise RuntimeError(f"nothing answers on port {port}")


def free_port() -> int:
    """Return a port of the loopback that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def peak_mib(process_id: int) -> float:
    """Return the most memory that a process had resident so far, in MiB, as Linux tells it."""
    (line,) = [each for each in Path(f"/proc/{process_id}/status").read_text().splitlines() if "VmHWM" in each]
    return int(line.split()[1]) / 1024
