"""The commands of those who audit a ledger, or bring one back."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import App, Parameter

from service.settings import Settings
from service.verify import verify as verify_archive

Run: TypeAlias = Callable[[Callable[[Settings], Awaitable[None]]], None]
"""What runs a command on the settings, and ends the process with a clear line if it cannot be done."""

_Where = Annotated[str | None, Parameter(help="A directory, a URL as in https://host/v1, or s3://bucket/path.")]
_Older = Annotated[Path | None, Parameter(help="A checkpoint that you kept: the log has to go on from it.")]


def add_to(app: App, run: Run) -> None:
    """Add the commands to the command line."""

    @app.command
    def verify(  # noqa: PLR0913 - the options
        where: _Where = None,
        *,
        key: Annotated[list[str] | None, Parameter(help="The log's verifier key; several while it is changed.")] = None,
        checkpoint: _Older = None,
        json: Annotated[bool, Parameter(help="The report as JSON.", negative=())] = False,
        html: Annotated[Path | None, Parameter(help="Write the report as a page to this file.")] = None,
        hashes_only: Annotated[bool, Parameter(help="Leave out schemas and states.", negative=())] = False,
    ) -> None:
        """Verify an archive: every signature, hash and event, and every state by the events before it.

        Without WHERE it is the archive of this home; with the log's key it needs nothing else of On Record's. Exits 1
        if anything is amiss.
        """
        in_order = True

        async def examine(settings: Settings) -> None:
            nonlocal in_order
            in_order = await verify_archive(
                settings, where, key or (), older=checkpoint, json=json, page=html, states=not hashes_only
            )

        run(examine)
        if not in_order:
            sys.exit(1)
