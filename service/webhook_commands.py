"""The commands about webhooks: ask the API for all that can be done with one, and listen to one."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Annotated, Any, TypeAlias
from urllib.parse import quote, urlencode

import msgspec
from cyclopts import App, Parameter, validators
from rich import box
from rich.console import Console
from rich.table import Table

from service.client import ApiFailure, Client
from service.listening import CannotListen, Heard, Listener
from service.settings import Settings
from service.webhooks import signing

Run: TypeAlias = Callable[[Callable[[Settings], Awaitable[None]]], None]
"""What runs a command on the settings, and ends the process with a clear line if it cannot be done."""

_console = Console(highlight=False)
_errors = Console(stderr=True, highlight=False)
_PAGE = 200
_NOT_ALLOWED = (
    "the API sends nothing to this machine: start it, and the worker, with ONRECORD_WEBHOOK_ALLOW=127.0.0.0/8,"
    " or give --secret and register where you listen elsewhere"
)
_Json = Annotated[bool, Parameter(help="As the API gives it, one thing a line.", negative=())]


def _check_headers(_: object, written: Sequence[str] | None) -> None:
    for each in written or ():
        if ":" not in each:
            raise ValueError(f"{each!r} is no header: write it as in 'Name: value'")


_Types = Annotated[list[str] | None, Parameter(help="Event types, as in `claim.state_changed` or `claim.*`.")]
_States = Annotated[list[str] | None, Parameter(help="States reached, as in `contested`.")]
_Headers = Annotated[
    list[str] | None, Parameter(help="Sent with every attempt, as in `Name: value`.", validator=_check_headers)
]
_Port = Annotated[
    int,
    Parameter(help="Where to listen on 127.0.0.1; 0 takes a free one.", validator=validators.Number(gte=0, lte=65_535)),
]


def add_to(app: App, run: Run) -> None:
    """Add the commands to the command line."""
    webhooks = App(name="webhooks", help="Webhooks: register one, see what became of deliveries, send again, listen.")
    app.command(webhooks)
    _add_registering(webhooks, run)
    _add_changing(webhooks, run)
    _add_deliveries(webhooks, run)
    _add_listening(webhooks, run)


def _asked(run: Run, method: str, path: str, content: object = None, **headers: str) -> Any:  # noqa: ANN401 - JSON
    """Ask the API, and return the decoded answer."""
    answer: Any = None

    async def ask(settings: Settings) -> None:
        nonlocal answer
        async with Client(settings) as client:
            answer = msgspec.json.decode(await client.ask(method, path, content, headers=headers))

    run(ask)
    return answer


def _path(webhook_id: str, *rest: str) -> str:
    return "/".join(("/webhooks", quote(webhook_id, safe=""), *rest))


def _print(answer: object) -> None:
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")


def _add_registering(webhooks: App, run: Run) -> None:
    @webhooks.command(name="create")
    def create(  # noqa: PLR0913 - what an endpoint can be told
        url: str,
        /,
        *,
        description: str | None = None,
        type_: Annotated[list[str] | None, Parameter(name="--type", help="Event types, as in `claim.*`.")] = None,
        story: list[str] | None = None,
        claim: list[str] | None = None,
        source: list[str] | None = None,
        state: _States = None,
        header: _Headers = None,
        format_: Annotated[str, Parameter(name="--format", help="cloudevents, slack or teams.")] = "cloudevents",
        ordered: Annotated[bool, Parameter(help="In order, claim by claim.", negative=())] = False,
        rate: Annotated[float | None, Parameter(help="Attempts a second, at most.")] = None,
        concurrency: Annotated[int, Parameter(help="Attempts at once, at most.")] = 5,
        trust: Annotated[bool, Parameter(help="Do not wait for an answered ping (scope admin).", negative=())] = False,
    ) -> None:
        """Register an endpoint, ping it, and show its secret, which is shown this once."""
        filters = {"types": type_, "stories": story, "claims": claim, "sources": source, "states": state}
        body: dict[str, Any] = {
            "url": url,
            "filters": {name: value for name, value in filters.items() if value},
            "format": format_,
            "concurrency": concurrency,
            "verify": not trust,
            "headers": dict(_header(each) for each in header or ()),
        }
        body |= {"description": description} if description else {}
        body |= {"ordered": "per_claim"} if ordered else {}
        body |= {"rate": rate} if rate else {}
        run(lambda settings: _create(settings, body))

    @webhooks.command(name="list")
    def list_(*, status: str | None = None, json: _Json = False) -> None:
        """List webhooks: which are told what, and how they do."""
        items: list[Any] = []
        query: dict[str, Any] = {"limit": _PAGE} | ({"status": status} if status else {})
        while True:
            page = _asked(run, "GET", f"/webhooks?{urlencode(query)}")
            items += page["items"]
            if page["next_after"] is None:
                break
            query["after"] = page["next_after"]
        if json:
            for item in items:
                _print(item)
        else:
            _console.print(_table(items))

    @webhooks.command(name="show")
    def show(webhook_id: str, /) -> None:
        """Show a webhook as the API has it."""
        _print(_asked(run, "GET", _path(webhook_id)))


async def _create(settings: Settings, body: object) -> None:
    """Register an endpoint, and say what its owner has to know now."""
    async with Client(settings) as client:
        made = msgspec.json.decode(await client.ask("POST", "/webhooks", body))
        _console.print(f"{made['id']}\nsecret: {made['secret']}", markup=False, soft_wrap=True)
        if msgspec.json.decode(await client.ask("GET", _path(made["id"])))["status"] == "pending":
            _errors.print(
                "It did not take a ping, and is told nothing before it does. What came of one says"
                f" `onrecord webhooks ping {made['id']}`.",
                soft_wrap=True,
            )


def _add_changing(webhooks: App, run: Run) -> None:
    @webhooks.command(name="update")
    def update(  # noqa: PLR0913 - what can be changed
        webhook_id: str,
        /,
        *,
        url: str | None = None,
        description: str | None = None,
        header: _Headers = None,
        rate: float | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Change a webhook. Another URL has to answer a ping before it is told anything."""
        given: dict[str, Any] = {"url": url, "description": description, "rate": rate, "concurrency": concurrency}
        body = {name: value for name, value in given.items() if value is not None}
        if header is not None:
            body["headers"] = dict(_header(each) for each in header)
        _print(_asked(run, "PATCH", _path(webhook_id), body, **{"If-Match": "*"}))

    @webhooks.command(name="delete")
    def delete(webhook_id: str, /) -> None:
        """Delete a webhook and all that is kept of it."""
        _print(_asked(run, "DELETE", _path(webhook_id)))

    @webhooks.command(name="enable")
    def enable(webhook_id: str, /) -> None:
        """Let a webhook be told again."""
        _print(_asked(run, "POST", _path(webhook_id, "enable")))

    @webhooks.command(name="disable")
    def disable(webhook_id: str, /, *, reason: str | None = None) -> None:
        """Tell a webhook nothing any more."""
        _print(_asked(run, "POST", _path(webhook_id, "disable"), {"reason": reason}))

    @webhooks.command(name="ping")
    def ping(webhook_id: str, /) -> None:
        """Send a signed ping, and say what came of it. Exits 1 if it was not taken."""
        pinged = _asked(run, "POST", _path(webhook_id, "ping"))
        _print(pinged)
        if not pinged.get("status") or pinged["status"] >= 300:  # noqa: PLR2004 - what is no success
            sys.exit(1)

    @webhooks.command(name="rotate-secret")
    def rotate_secret(webhook_id: str, /, *, overlap_hours: float = 24) -> None:
        """Give a webhook a new secret, and show it this once; the old one is valid for the overlap."""
        made = _asked(run, "POST", _path(webhook_id, "secret"), {"overlap_hours": overlap_hours})
        _console.print(f"secret: {made['secret']}", markup=False, soft_wrap=True)


def _add_deliveries(webhooks: App, run: Run) -> None:
    @webhooks.command(name="deliveries")
    def deliveries(webhook_id: str, /, *, status: str | None = None, limit: int = 50) -> None:
        """Show the newest attempts, one a line, or with --status what waits or is dead."""
        query = urlencode({"limit": limit} | ({"status": status} if status else {}))
        for item in _asked(run, "GET", _path(webhook_id, f"deliveries?{query}"))["items"]:
            _print(item)

    @webhooks.command(name="resend")
    def resend(webhook_id: str, position: int, /) -> None:
        """Send the event at a position again."""
        _print(_asked(run, "POST", _path(webhook_id, "deliveries", str(position), "resend")))

    @webhooks.command(name="recover")
    def recover(webhook_id: str, since: str, /) -> None:
        """Send again all that was given up since a moment (UTC), as in 2026-01-24T08:15Z."""
        _print(_asked(run, "POST", _path(webhook_id, "recover"), {"since": since}))

    @webhooks.command(name="replay")
    def replay(webhook_id: str, since: str, /, *, until: str | None = None, rate: float | None = None) -> None:
        """Tell a webhook events again, from a position, a cursor or a moment on."""
        body: dict[str, Any] = {"since": _place(since)}
        body |= {"until": _place(until)} if until else {}
        body |= {"rate": rate} if rate else {}
        _print(_asked(run, "POST", _path(webhook_id, "replay"), body))

    @webhooks.command(name="end-replay")
    def end_replay(webhook_id: str, /) -> None:
        """End a replay that is under way."""
        _asked(run, "DELETE", _path(webhook_id, "replay"))
        _console.print("The replay is ended; what it has queued is still sent.")


def _add_listening(webhooks: App, run: Run) -> None:
    @webhooks.command(name="listen")
    def listen(
        *,
        port: _Port = 0,
        type_: Annotated[list[str] | None, Parameter(name="--type", help="Event types, as in `claim.*`.")] = None,
        secret: Annotated[str | None, Parameter(help="Verify with this, and register nothing.")] = None,
        body: Annotated[bool, Parameter(help="Show the whole body.", negative=())] = False,
    ) -> None:
        """Receive, verify and show deliveries on this machine until Ctrl-C.

        Registers an endpoint for the time being, for which the API has to allow 127.0.0.0/8 in ONRECORD_WEBHOOK_ALLOW.
        """
        run(lambda settings: _listening(settings, port, type_ or ["*"], secret, whole=body))


async def _listening(settings: Settings, port: int, types: Sequence[str], secret: str | None, *, whole: bool) -> None:
    def heard(message: Heard) -> None:
        mark = "verified" if message.problem is None else f"NOT VERIFIED: {message.problem}"
        _console.print(
            f"{message.headers.get('webhook-id', '-')} {mark}: {message.summary}", markup=False, soft_wrap=True
        )
        if whole:
            sys.stdout.write(message.body.decode("utf-8", "replace") + "\n")

    listener = Listener(heard, port=port)
    async with _listens(listener):
        if secret is not None:
            try:
                listener.secret = signing.secret_bytes(secret)
            except signing.NoSecret as error:
                raise ApiFailure(str(error)) from error
            _console.print(f"listening on {listener.url}")
            await asyncio.Event().wait()
            return
        async with Client(settings) as client:
            listener.secret = signing.secret_bytes(given := signing.new_secret())
            body = {"url": listener.url, "secret": given, "filters": {"types": types}, "description": "listening"}
            try:
                made = msgspec.json.decode(await client.ask("POST", "/webhooks", body))
            except ApiFailure as failure:
                if " at /url: " in str(failure):
                    raise ApiFailure(_NOT_ALLOWED) from failure
                raise
            _console.print(f"listening on {listener.url} as {made['id']}", soft_wrap=True)
            try:
                await asyncio.Event().wait()
            finally:
                with contextlib.suppress(ApiFailure):  # somebody deleted it, or the API has ended
                    await client.ask("DELETE", _path(made["id"]))


@contextlib.asynccontextmanager
async def _listens(listener: Listener) -> AsyncIterator[None]:
    try:
        async with listener.listening():
            yield
    except CannotListen as error:
        raise ApiFailure(str(error)) from error


def _table(items: Sequence[Any]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1))
    for title in ("webhook", "status", "types", "format", "url"):
        table.add_column(title, overflow="fold", no_wrap=title == "webhook")
    for each in items:
        webhook = each["webhook"]
        types = ", ".join(webhook.get("filters", {}).get("types", ["*"]))
        table.add_row(each["id"], each["status"], types, webhook.get("format", "cloudevents"), each.get("url") or "")
    return table


def _header(written: str) -> tuple[str, str]:
    name, _, value = written.partition(":")
    return name.strip(), value.strip()


def _place(written: str) -> int | str:
    return int(written) if written.isdigit() else written
