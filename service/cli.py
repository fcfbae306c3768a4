"""The command line: ``onrecord``, with a subcommand for each thing that one does with it."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import msgspec
import uvloop
from cyclopts import App, Parameter
from rich.console import Console

from events.errors import LedgerError
from service import audit_commands, logs, webhook_commands
from service import settings as environment
from service.administration import NotDone, all_keys, all_ledgers, expiry, make_key, make_ledger, revoke_key, scopes_of
from service.api.description import files as contract
from service.api.desk import Desk
from service.api.explanations import Explanation
from service.app import ABOUT, TITLE, VERSION, create_app
from service.auth.kept_keys import NewKey
from service.auth.scopes import Scope
from service.client import ApiFailure, Client
from service.desk.importing import Adapter
from service.desk.rows import BadImport
from service.exchange import export_record, import_file
from service.load import BadFile
from service.projections.queries import NotThereYet
from service.projections.rebuild import RebuildRefused
from service.run import check_ready, load_story, rebuild_projection, run_api, run_service, run_worker, traced
from service.settings import BadSettings, Settings
from service.show import claims_table, desk_page, explanation_page, keys_table, ledgers_table, projections_table

app = App(
    name="onrecord",
    help="On Record keeps the record of a contested story: who claimed what, who denied it, where each claim stands.",
    version=VERSION,
    default_parameter=Parameter(negative_iterable=()),
)
sources = App(name="sources", help="Sources: erase one.")
persons = App(name="persons", help="Persons at the desk: erase one.")
app.command(sources)
app.command(persons)
ledgers = App(name="ledgers", help="Ledgers: make one, list them. On the store itself.")
app.command(ledgers)
keys = App(name="keys", help="API keys: make one, list them, revoke one. On the store itself.")
app.command(keys)
_errors = Console(stderr=True, highlight=False)


@app.command
def serve(*, sample: Annotated[Path | None, Parameter(help="A story to load if the ledger is empty.")] = None) -> None:
    """Run everything on this machine: embedded store, API and worker. Ctrl-C stops them in order."""
    _run(lambda settings: run_service(settings, sample), stays=True)


@app.command
def api() -> None:
    """Run the API on the store that ONRECORD_STORE_URL names."""
    _run(run_api, stays=True)


@app.command
def worker() -> None:
    """Run the worker, which keeps the projections up with the ledger."""
    _run(run_worker, stays=True)


@app.command
def ready(*, ledger: Annotated[str | None, Parameter(help="Only this ledger; else every one.")] = None) -> None:
    """Exit 0 if the store answers and every projection reaches what is on record now within eight seconds."""
    _run(lambda settings: check_ready(settings, ledger))


@app.command
def load(file: Path, /) -> None:
    """Load a story file into the ledger. Loading it again records nothing twice."""
    _run(lambda settings: load_story(settings, file))


@app.command(name="import")
def import_(
    file: Path,
    /,
    *,
    adapter: Annotated[Adapter | None, Parameter(help="A known kind of file.")] = None,
    mapping: Annotated[Path | None, Parameter(help="Which column becomes what (TOML or JSON).")] = None,
) -> None:
    """Import a file: of a known kind, of any kind with a mapping, or an export. Again, it records nothing twice.

    Exits 1 if a part of the file was refused; the rest is on record.
    """
    taken = True

    async def take(settings: Settings) -> None:
        nonlocal taken
        taken = await import_file(settings, file, adapter=adapter, mapping=mapping)

    _run(take)
    if not taken:
        sys.exit(1)


@app.command
def export() -> None:
    """Print what was put on record, one event a line (NDJSON), for `onrecord import` into another ledger."""
    _run(export_record)


@app.command
def claims(
    *,
    story: Annotated[str | None, Parameter(help="Only claims of this story.")] = None,
    state: Annotated[str | None, Parameter(help="Only claims in this state, as in `contested`.")] = None,
    flag: Annotated[list[str] | None, Parameter(help="Only claims with this flag; may be given several times.")] = None,
    source: Annotated[str | None, Parameter(help="Only claims on which this source has spoken.")] = None,
    json: Annotated[bool, Parameter(help="One document a line, as the API gives them.", negative=())] = False,
) -> None:
    """List claims with their state and flags, as the running API has them."""
    filters = {"story": story, "state": state, "flag": flag, "source": source}

    async def show(settings: Settings) -> None:
        async with Client(settings) as client:
            documents = [item async for item in client.claims(filters)]
        if json:
            for item in documents:
                sys.stdout.buffer.write(item.raw + b"\n")
        else:
            Console().print(claims_table([item.document for item in documents]))

    _run(show)


@app.command
def desk(
    *,
    story: Annotated[str | None, Parameter(help="Only what concerns this story.")] = None,
    json: Annotated[bool, Parameter(help="As the API gives it.", negative=())] = False,
) -> None:
    """Show what somebody should look at: what is single-sourced, rests on one government, is overdue or to correct."""

    async def show(settings: Settings) -> None:
        async with Client(settings) as client:
            raw = await client.desk(story)
        if json:
            sys.stdout.buffer.write(raw + b"\n")
        else:
            Console(highlight=False).print(desk_page(msgspec.json.decode(raw, type=Desk)), soft_wrap=True)

    _run(show)


@app.command
def explain(
    claim: str,
    /,
    *,
    policy: Annotated[str | None, Parameter(help="What another policy would say, as in `admiralty`.")] = None,
    json: Annotated[bool, Parameter(help="As the API gives it.", negative=())] = False,
) -> None:
    """Say why a claim stands where it does, what is left out, and what would change it."""

    async def show(settings: Settings) -> None:
        async with Client(settings) as client:
            raw = await client.explanation(claim, policy)
        if json:
            sys.stdout.buffer.write(raw + b"\n")
        else:
            Console(highlight=False).print(explanation_page(msgspec.json.decode(raw, type=Explanation)), soft_wrap=True)

    _run(show)


@app.command
def events(  # noqa: PLR0913 - one argument a filter
    *,
    after: Annotated[str | None, Parameter(help="Only events after this cursor.")] = None,
    type_: Annotated[
        list[str] | None,
        Parameter(name="--type", help="Only this type, as in `claim.merged` or `claim.*`; may be given several times."),
    ] = None,
    story: Annotated[str | None, Parameter(help="Only what was recorded in this story.")] = None,
    claim: Annotated[str | None, Parameter(help="Only the history of this claim.")] = None,
    source: Annotated[str | None, Parameter(help="Only what names this source.")] = None,
    follow: Annotated[
        bool,
        Parameter(name=["--follow", "-f"], help="What is recorded from now on, or --after.", negative=()),
    ] = False,
) -> None:
    """Print the log, one event a line (NDJSON), exactly as it was recorded."""
    query = {"after": after, "type": type_, "story": story, "claim": claim, "source": source}

    async def show(settings: Settings) -> None:
        async with Client(settings) as client:
            if follow:
                async for event in client.follow(query):
                    sys.stdout.buffer.write(event.data + b"\n")
                    sys.stdout.buffer.flush()
            else:
                async for chunk in client.events(query):
                    sys.stdout.buffer.write(chunk)

    _run(show)


@app.command
def projections() -> None:
    """Show how far each projection is, whether it is being rebuilt, and at which event it stopped, if it did."""

    async def show(settings: Settings) -> None:
        async with Client(settings) as client:
            Console().print(projections_table(await client.projections()))

    _run(show)


@app.command
def rebuild(name: str, /) -> None:
    """Rebuild a projection, on the store itself, while it serves. Ctrl-C calls it off and leaves nothing behind."""
    _run(lambda settings: rebuild_projection(settings, name))


@sources.command(name="erase")
def erase_source(
    source_id: str,
    /,
    *,
    reason: Annotated[str | None, Parameter(help="Why; it stays on record, in clear: name nobody in it.")] = None,
) -> None:
    """Erase a source: who it is, and the notes on what it said, can never be read again. It cannot be undone."""
    _erase("sources", source_id, reason)


@ledgers.command(name="create")
def create_ledger(name: str, /) -> None:
    """Make a ledger. API and workers that run already serve it within seconds; it opens for keys made for it."""

    async def make(settings: Settings) -> None:
        await make_ledger(settings, name)
        Console().print(f"Ledger {name} is there. Make keys for it: onrecord keys create --ledger {name} …")

    _run(make)


@ledgers.command(name="list")
def list_ledgers(*, json: Annotated[bool, Parameter(help="One ledger a line.", negative=())] = False) -> None:
    """List the ledgers of the store: where each ends, its epoch, and the policy in force."""

    async def show(settings: Settings) -> None:
        found = await all_ledgers(settings)
        if json:
            sys.stdout.buffer.writelines(msgspec.json.encode(each) + b"\n" for each in found)
        else:
            Console().print(ledgers_table(found))

    _run(show)


@keys.command(name="create")
def create_key(
    *,
    name: Annotated[str, Parameter(help="What it is for, as in `website`.")],
    scope: Annotated[list[str], Parameter(help=f"What it may do, of {', '.join(Scope)}; may be given several times.")],
    ledger: Annotated[str | None, Parameter(help="The ledger that it opens; else ONRECORD_LEDGER.")] = None,
    expires: Annotated[str | None, Parameter(help="When it ends: `90d`, `12h`, `2027-06-30`, or a UTC time.")] = None,
    json: Annotated[bool, Parameter(help="As JSON.", negative=())] = False,
) -> None:
    """Make an API key and print it. Keep it: nobody can read it again."""

    async def make(settings: Settings) -> None:
        until = None if expires is None else expiry(expires)
        new = NewKey(ledger=ledger or settings.ledger, scopes=scopes_of(scope), name=name, expires=until)
        key = await make_key(settings, new)
        sys.stdout.write(f"{msgspec.json.encode({'key': key}).decode()}\n" if json else f"{key}\n")

    _run(make)


@keys.command(name="list")
def list_keys(
    *,
    ledger: Annotated[str | None, Parameter(help="The ledger; else ONRECORD_LEDGER.")] = None,
    json: Annotated[bool, Parameter(help="One key a line.", negative=())] = False,
) -> None:
    """List the keys of a ledger: what each may do, when it was last used, until when it opens. Never the keys."""

    async def show(settings: Settings) -> None:
        found = await all_keys(settings, ledger or settings.ledger)
        if json:
            sys.stdout.buffer.writelines(msgspec.json.encode(each) + b"\n" for each in found)
        else:
            Console().print(keys_table(found))

    _run(show)


@keys.command(name="revoke")
def revoke(key_id: str, /) -> None:
    """Revoke a key by its identifier (`key_…`): it opens nothing any more, at once, in every process."""

    async def end(settings: Settings) -> None:
        key = await revoke_key(settings, key_id)
        said = f"{key.id} ({key.name}) of ledger {key.ledger} opens nothing any more."
        Console().print(said, soft_wrap=True, markup=False, highlight=False)

    _run(end)


@persons.command(name="erase")
def erase_person(
    person_id: str,
    /,
    *,
    reason: Annotated[str | None, Parameter(help="Why; it stays on record, in clear: name nobody in it.")] = None,
) -> None:
    """Erase somebody at the desk: their name and the notes on their judgements. It cannot be undone."""
    _erase("persons", person_id, reason)


def _erase(kind: str, subject: str, reason: str | None) -> None:
    async def erase(settings: Settings) -> None:
        async with Client(settings) as client:
            erased = await client.erase(kind, subject, reason)
        Console().print(f"{subject} is erased." if erased else f"{subject} was erased before.", soft_wrap=True)

    _run(erase)


@app.command
def skip(
    name: str, position: int, /, *, why: Annotated[str, Parameter(help="Why the projection can do without it.")]
) -> None:
    """Let a projection that stopped at an event go on past it. This is recorded in the ledger."""

    async def ask(settings: Settings) -> None:
        async with Client(settings) as client:
            await client.skip(name, position, why)
        Console().print(f"It is on record that {name} skips event {position}; a worker takes it on from there.")

    _run(ask)


@app.command
def openapi(folder: Annotated[Path | None, Parameter(help="Write the whole contract here.")] = None, /) -> None:
    """Print the OpenAPI description of the API, or write it with AsyncAPI's and the JSON Schemas into a folder."""
    described = create_app(Settings()).state.openapi
    if folder is None:
        sys.stdout.buffer.write(described)
    else:
        contract.write(contract.contract(described, TITLE, VERSION, ABOUT), folder)


def main() -> None:
    """Run the command line."""
    audit_commands.add_to(app, keys, _run)
    webhook_commands.add_to(app, _run)
    app()


def _run(command: Callable[[Settings], Coroutine[Any, Any, None] | Awaitable[None]], *, stays: bool = False) -> None:
    """Run a command on the settings; whatever it cannot do is one clear line and exit code 1 (2 for a bad setting).

    What one that ``stays`` does is traced, if OpenTelemetry's variables ask for that.
    """
    try:
        settings = environment.read(os.environ)
    except BadSettings as error:
        _errors.print(f"onrecord: {error}", markup=False, soft_wrap=True)
        sys.exit(2)

    logs.configure(settings.log_level)

    async def awaited() -> None:
        logs.watch(asyncio.get_running_loop())
        await command(settings)

    try:
        with traced(os.environ) if stays else contextlib.nullcontext():
            uvloop.run(awaited())
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stdout = None
    except OSError as error:
        if error.filename is None:
            raise
        _errors.print(f"onrecord: {error.filename}: {error.strerror}", markup=False, soft_wrap=True)
        sys.exit(1)
    except (LedgerError, BadFile, BadImport, ApiFailure, NotDone, NotThereYet, RebuildRefused) as error:
        _errors.print(f"onrecord: {error}", markup=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
