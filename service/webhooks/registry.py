"""The register of webhooks: what a command about one comes to, decided on its stream.

What an endpoint's owner entrusts to us goes to the vault first, under a new name, and the event says that name; so an
append that is refused leaves nothing in force, and two changes at once cannot mix.
"""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Final

from msgspec import UNSET, Struct, UnsetType, structs

from events import catalog
from events.catalog import Event
from events.endpoints import Filters, Webhook, WebhookChanges
from events.identifiers import derived_id
from events.selection import NoSuchType, beginning
from service.auth.vault import Vault
from service.projections import folding
from service.projections.documents import WebhookDocument
from service.verification.commands import Caller, Outcome, Recorder
from service.verification.fold import Happened, changed
from service.verification.refusals import AlreadyRecorded, NotOnRecord, RuleBroken
from service.webhooks import destination, kept, messages, signing
from service.webhooks.destination import Refused
from service.webhooks.egress import Answered, Egress, Unanswered
from service.webhooks.kept import BadHeader, Kept, Secret

OVERLAP_HOURS: Final = 24
"""For how long a secret is valid after the next one was made, unless the caller says otherwise."""
_MOST_SECRETS = 5


class Endpoint(Struct, frozen=True):
    """Where a webhook is sent; only the vault keeps it. A ``secret`` that is not given is made."""

    url: str
    headers: dict[str, str]
    secret: str | None = None


class Pinged(Struct, frozen=True, omit_defaults=True):
    """What an endpoint said to a ping: a status and how long it took, or why there was no answer."""

    verified: bool
    status: int | None = None
    seconds: float | None = None
    failure: str | None = None


class Registry:
    """The webhooks of one ledger."""

    def __init__(self, recorder: Recorder, vault: Vault, egress: Egress) -> None:
        self._recorder, self._vault, self._egress = recorder, vault, egress

    async def register(self, webhook: Webhook, endpoint: Endpoint, caller: Caller, *, verified: bool) -> Outcome:
        """Register a webhook, pending unless it counts as ``verified``.

        Raises ``RuleBroken`` for an endpoint that nothing is sent to, and for filters that let nothing through.
        """
        webhook_id = derived_id("webhook", caller.actor, caller.command_id)

        async def decided(its: Sequence[Happened]) -> Sequence[Event]:
            if its:
                raise AlreadyRecorded(f"{webhook_id} is on record")
            _check_types(webhook.filters)
            await self._check(endpoint)
            secrets = (Secret(endpoint.secret or signing.new_secret()),)
            name = await kept.keep(self._vault, Kept(endpoint.url, endpoint.headers, secrets))
            return [
                catalog.WebhookRegistered(webhook_id=webhook_id, webhook=webhook, kept=name, verified=verified),
            ]

        return await self._recorder.on_stream(webhook_id, caller, decided)

    async def change(
        self,
        webhook_id: str,
        changes: WebhookChanges,
        caller: Caller,
        *,
        url: str | UnsetType = UNSET,
        headers: dict[str, str] | UnsetType = UNSET,
    ) -> Outcome:
        """Change a webhook. Another URL has to answer a ping before anything is sent to it.

        Raises ``RuleBroken`` for an endpoint that nothing is sent to, and for filters that let nothing through;
        ``AlreadyRecorded`` if nothing changes.
        """

        async def decided(document: WebhookDocument) -> Sequence[Event]:
            if isinstance(changes.filters, Filters):
                _check_types(changes.filters)
            name = None
            now = await self.kept(document)
            new = structs.replace(
                now, url=now.url if url is UNSET else url, headers=now.headers if headers is UNSET else headers
            )
            moved = new.url != now.url
            if (new.url, new.headers) != (now.url, now.headers):
                await self._check(Endpoint(new.url, new.headers))
                name = await kept.keep(self._vault, new)
            elif structs.replace(document.webhook, **changed(changes)) == document.webhook:
                raise AlreadyRecorded("the webhook is so already")
            return [catalog.WebhookUpdated(webhook_id=webhook_id, changes=changes, kept=name, verified=not moved)]

        return await self._on(webhook_id, caller, decided)

    async def rotate_secret(
        self, webhook_id: str, caller: Caller, *, secret: str | None = None, overlap: timedelta | None = None
    ) -> Outcome:
        """Give a webhook a new secret; those it has stay valid for the overlap. Raises ``RuleBroken`` for a bad one."""
        until = datetime.now(UTC) + (timedelta(hours=OVERLAP_HOURS) if overlap is None else overlap)
        written = until.isoformat(timespec="microseconds").replace("+00:00", "Z")

        async def decided(document: WebhookDocument) -> Sequence[Event]:
            _check_secret(secret)
            now = await self.kept(document)
            old = tuple(each if each.until else structs.replace(each, until=written) for each in now.secrets)
            secrets = (Secret(secret or signing.new_secret()), *old[: _MOST_SECRETS - 1])
            name = await kept.keep(self._vault, structs.replace(now, secrets=secrets))
            return [catalog.WebhookSecretRotated(webhook_id=webhook_id, kept=name, until=written)]

        return await self._on(webhook_id, caller, decided)

    async def enable(self, webhook_id: str, caller: Caller, *, trusted: bool) -> Outcome:
        """Let a disabled webhook be told again; a pending one only if it is ``trusted`` without an answered ping.

        Raises ``AlreadyRecorded`` if it is active, ``RuleBroken`` if it is pending.
        """

        async def decided(document: WebhookDocument) -> Sequence[Event]:
            if document.status == "active":
                raise AlreadyRecorded("the webhook is active")
            if document.status == "pending" and not trusted:
                raise RuleBroken("the webhook has to answer a ping first")
            return [catalog.WebhookEnabled(webhook_id=webhook_id)]

        return await self._on(webhook_id, caller, decided)

    async def disable(self, webhook_id: str, caller: Caller, reason: str | None) -> Outcome:
        """Tell a webhook nothing any more, by request. Raises ``AlreadyRecorded`` if it is disabled."""

        async def decided(document: WebhookDocument) -> Sequence[Event]:
            if document.status == "disabled":
                raise AlreadyRecorded("the webhook is disabled")
            return [catalog.WebhookDisabled(webhook_id=webhook_id, why="by_request", reason=reason)]

        return await self._on(webhook_id, caller, decided)

    async def delete(self, webhook_id: str, caller: Caller) -> Outcome:
        """Delete a webhook, and all that the vault keeps of it."""

        async def decided(_: WebhookDocument) -> Sequence[Event]:
            return [catalog.WebhookDeleted(webhook_id=webhook_id)]

        outcome = await self._on(webhook_id, caller, decided)
        await self._vault.discard([name for it in await self._stream(webhook_id) if (name := kept_in(it.event))])
        return outcome

    async def ping(self, webhook_id: str, caller: Caller) -> Pinged:
        """Send a signed ping to an endpoint, which verifies a pending webhook if it is answered with 2xx."""
        document = folded(await self._stream(webhook_id), webhook_id)
        entrusted = await self.kept(document)
        message = messages.ping(self._recorder.ledger.name, webhook_id, document.webhook.format)
        try:
            answered = await self._egress.post(
                destination.read(entrusted.url), message.body, messages.headers(message, entrusted, self._vault.signing)
            )
        except (Refused, Unanswered) as failure:
            return Pinged(verified=document.status == "active", failure=str(failure))
        verified = document.status == "active"
        if document.status == "pending" and is_success(answered):
            with contextlib.suppress(AlreadyRecorded):
                await self._verify(document, caller)
            verified = True
        return Pinged(verified=verified, status=answered.status, seconds=round(answered.seconds, 3))

    async def secret_of(self, event: Event) -> str:
        """Return the secret that an event brought. Raises ``NotOnRecord`` if the webhook was deleted since."""
        name = kept_in(event)
        found = await kept.kept(self._vault, [name] if name else [])
        for each in found.values():
            return each.secrets[0].secret
        raise NotOnRecord("the webhook was deleted, and its secrets with it")

    async def kept(self, document: WebhookDocument) -> Kept:
        """Return what the vault has of a webhook. Raises ``NotOnRecord`` if it has nothing any more."""
        found = await kept.kept(self._vault, [document.kept])
        if document.kept not in found:
            raise NotOnRecord(f"the vault has nothing of {document.id}: it was deleted, or kept under another key")
        return found[document.kept]

    async def _verify(self, document: WebhookDocument, caller: Caller) -> None:
        """Record that an endpoint answered, unless its webhook was changed meanwhile."""

        async def decided(now: WebhookDocument) -> Sequence[Event]:
            if (now.status, now.kept) != ("pending", document.kept):
                raise AlreadyRecorded("the webhook is not pending any more")
            return [catalog.WebhookVerified(webhook_id=document.id)]

        command_id = f"sys:verify:{document.id}:{document.kept}"
        await self._on(document.id, Caller(caller.actor, command_id, caller.command_hash), decided)

    async def _on(
        self, webhook_id: str, caller: Caller, decided: Callable[[WebhookDocument], Awaitable[Sequence[Event]]]
    ) -> Outcome:
        async def on_stream(its: Sequence[Happened]) -> Sequence[Event]:
            return await decided(folded(its, webhook_id))

        if earlier := await self._recorder.recall(caller):  # before anything is put into the vault again
            return earlier
        return await self._recorder.on_stream(webhook_id, caller, on_stream)

    async def _stream(self, webhook_id: str) -> list[Happened]:
        return await self._recorder.stream(webhook_id)

    async def _check(self, endpoint: Endpoint) -> None:
        """Raise ``RuleBroken`` for an endpoint that nothing is sent to."""
        try:
            await self._egress.check(destination.read(endpoint.url))
        except Refused as refused:
            raise RuleBroken(str(refused), "/url") from refused
        if len(endpoint.headers) > kept.MOST_HEADERS:
            raise RuleBroken(f"a webhook has at most {kept.MOST_HEADERS} headers", "/headers")
        try:
            kept.check_headers(endpoint.headers)
        except BadHeader as bad:
            raise RuleBroken(str(bad), f"/headers/{bad.name.replace('~', '~0').replace('/', '~1')}") from bad
        _check_secret(endpoint.secret)


def folded(its: Sequence[Happened], webhook_id: str) -> WebhookDocument:
    """Return a webhook as its stream has it. Raises ``NotOnRecord`` if there is none, or it was deleted."""
    document: WebhookDocument | None = reduce(folding.webhook, its, None) if its else None
    if document is None or document.status == "deleted":
        raise NotOnRecord(f"there is no webhook {webhook_id[:80]}")
    return document


def kept_in(event: Event) -> str | None:
    """Return under which name the vault keeps what an event is about, if that is so."""
    match event:
        case catalog.WebhookRegistered() | catalog.WebhookUpdated() | catalog.WebhookSecretRotated():
            return event.kept
        case _:
            return None


def is_success(answered: Answered) -> bool:
    """Whether an endpoint took what it was sent: any 2xx (RFC 9110), and nothing else."""
    return 200 <= answered.status < 300  # noqa: PLR2004 - the class of statuses


def _check_types(filters: Filters) -> None:
    """Raise ``RuleBroken`` for a type that there is not: whoever misspells it would wait for ever."""
    for n, pattern in enumerate(filters.types):
        try:
            if pattern != "*":
                beginning(pattern)
        except NoSuchType as error:
            raise RuleBroken(str(error), f"/filters/types/{n}") from error


def _check_secret(secret: str | None) -> None:
    if secret is not None:
        try:
            signing.secret_bytes(secret)
        except signing.NoSecret as error:
            raise RuleBroken(str(error), "/secret") from error
