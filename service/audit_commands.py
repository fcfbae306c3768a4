"""The commands of those who audit a ledger, or bring one back."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import App, Parameter, validators

from events import moments
from service.audit import log_key
from service.audit.log_key import LogKeyUnusable
from service.restore import archive as archive_ledger
from service.restore import begin_archive_again
from service.restore import replay as replay_ledger
from service.restore import restore as restore_ledger
from service.settings import Settings
from service.verify import older_checkpoint
from service.verify import verify as verify_archive

_AT_LEAST_0 = validators.Number(gte=0)


def _moment(_: object, value: str | None) -> None:
    """Refuse what is no moment, as cyclopts wants it."""
    if value is not None:
        try:
            moments.interval(value)
        except ValueError as error:
            raise ValueError(f"{value!r} is no moment, as in 2024-01-24T08:15Z or 2024-01") from error


Run: TypeAlias = Callable[[Callable[[Settings], Awaitable[None]]], None]
"""What runs a command on the settings, and ends the process with a clear line if it cannot be done."""

_Where = Annotated[str | None, Parameter(help="A directory, a URL as in https://host/v1, or s3://bucket/path.")]
_Older = Annotated[Path | None, Parameter(help="A checkpoint that you kept: the log has to go on from it.")]


def _keys_of(settings: Settings) -> Path:
    return log_key.path_of(settings.home_path, settings.ledger)


async def _print_keys(settings: Settings) -> None:
    keys = log_key.read(_keys_of(settings))
    if keys is None:
        raise LogKeyUnusable(f"there are no keys in {_keys_of(settings)}: the first worker of the ledger makes them")
    for each in keys.verifiers:
        sys.stdout.write(f"{each}\n")


def add_to(app: App, keys: App, run: Run) -> None:
    """Add the commands to the command line, and to that about keys."""
    _add_keys(app, keys, run)
    _add_moves(app, run)
    _add_verify(app, run)


def _add_keys(app: App, keys: App, run: Run) -> None:
    @keys.command(name="log")
    def of_log() -> None:
        """Print the verifier keys of the transparency log, as `onrecord log key` does."""
        run(_print_keys)

    log = App(name="log", help="The transparency log: its keys.")
    app.command(log)

    @log.command
    def key() -> None:
        """Print the verifier keys of the log. Publish them: with them anybody can verify the archive."""
        run(_print_keys)

    @log.command
    def rotate() -> None:
        """Add a key: it signs beside the others from the worker's next start on."""

        async def add(settings: Settings) -> None:
            log_key.rotated(_keys_of(settings))
            await _print_keys(settings)

        run(add)

    @log.command
    def retire(key_id: Annotated[str, Parameter(help="Its id, the second part of the verifier key.")], /) -> None:
        """Drop a key: it signs no more from the worker's next start on."""

        async def drop(settings: Settings) -> None:
            log_key.retired(_keys_of(settings), key_id)
            await _print_keys(settings)

        run(drop)

    @log.command
    def begin_again(
        *,
        because: Annotated[str, Parameter(help="Why the archive is lost: it goes on record.")],
        checkpoint: _Older = None,
    ) -> None:
        """Go on without an archive that is lost: it is made again from the store, and that goes on record.

        Refused while nothing is lost, while a worker runs, and if the store lacks an event that only the archive had.
        With a checkpoint that somebody kept, the store has to lead to it.
        """
        run(
            lambda settings: begin_archive_again(
                settings, because=because, kept=older_checkpoint(checkpoint) if checkpoint else None
            )
        )


def _add_moves(app: App, run: Run) -> None:
    @app.command
    def replay(
        *,
        after: Annotated[int, Parameter(help="Only events after this position.", validator=_AT_LEAST_0)] = 0,
        archived: Annotated[bool, Parameter(help="From the archive alone.", negative=())] = False,
        into: Annotated[str | None, Parameter(help="The URL of another store, which gets the whole ledger.")] = None,
    ) -> None:
        """Print a ledger's events as they were recorded, a line each; or rebuild it in another store."""
        run(lambda settings: replay_ledger(settings, after=0 if into else after, archived=archived, into=into))

    @app.command
    def restore(
        *,
        replace: Annotated[bool, Parameter(help="In the place of what the store has.", negative=())] = False,
        reason: Annotated[str | None, Parameter(help="Why: it goes on record.")] = None,
    ) -> None:
        """Bring a ledger back from its archive. It goes on in a new epoch; what was not sealed is lost."""
        run(lambda settings: restore_ledger(settings, replace=replace, reason=reason))

    @app.command
    def archive(
        *,
        keep: Annotated[
            int, Parameter(help="How many of the last events stay in the store.", validator=_AT_LEAST_0)
        ] = 100_000,
        before: Annotated[
            str | None, Parameter(help="Only events recorded before this moment.", validator=_moment)
        ] = None,
    ) -> None:
        """Let old events leave the store. They are in the archive, and are read from there."""
        run(lambda settings: archive_ledger(settings, keep=keep, before=before))


def _add_verify(app: App, run: Run) -> None:
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
