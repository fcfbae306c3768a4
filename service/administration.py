"""Administering a store from the command line: its ledgers and their keys. Whoever has the store may do all of it."""

import re
import time
from collections.abc import Iterable

import msgspec

from events import moments
from events.errors import UnknownLedger
from events.identifiers import LedgerName
from events.ledger import Ledger, ledger_names
from events.store import Store
from events.words import Moment
from service.api.ledgers import LedgerStatus, status
from service.auth.kept_keys import MOST_KEYS, KeptKey, KeptKeys, NewKey, TooManyKeys
from service.auth.scopes import Scope
from service.run import checked_store, with_store
from service.settings import Settings
from service.verification.policy import STRICT_TWO_SOURCE


class NotDone(Exception):
    """What was asked for cannot be done; nothing was changed."""


async def make_ledger(settings: Settings, name: str) -> None:
    """Make a ledger. Raises ``NotDone`` if there is one of that name or it is no name for one."""
    try:
        msgspec.convert(name, LedgerName)
    except msgspec.ValidationError as error:
        raise NotDone(
            f"{name!r} is no name for a ledger: it has at most 60 of a-z, 0-9 and single hyphens between them"
        ) from error
    async with checked_store(with_store(settings)) as store:
        try:
            await Ledger.open(store, name)
        except UnknownLedger:
            await Ledger.open(store, name, create=STRICT_TWO_SOURCE)
        else:
            raise NotDone(f"there is a ledger {name} already")


async def make_key(settings: Settings, new: NewKey) -> str:
    """Make a key and return it; it cannot be read again. Raises ``NotDone`` if there is no such ledger, or no room."""
    async with checked_store(with_store(settings)) as store:
        await _check_ledger(store, new.ledger)
        try:
            return await KeptKeys(store).create(new)
        except TooManyKeys as many:
            raise NotDone(str(many)) from many


async def all_keys(settings: Settings, ledger: str) -> list[KeptKey]:
    """Return the keys of a ledger, those too that were revoked or have expired. Raises ``NotDone``."""
    async with checked_store(with_store(settings)) as store:
        await _check_ledger(store, ledger)
        return await KeptKeys(store).listed(ledger, limit=MOST_KEYS)


async def revoke_key(settings: Settings, key_id: str) -> KeptKey:
    """Revoke a key, whatever its ledger, and return it as it was. Raises ``NotDone`` if there is none."""
    async with checked_store(with_store(settings)) as store:
        kept = KeptKeys(store)
        found = await kept.read(key_id) if key_id.startswith("key_") else None
        if found is None:
            raise NotDone("there is no such key: give its identifier, as in key_…, and never the key itself")
        await kept.revoke(found.id, found.ledger, by="system", spare_last=False)
        return found


async def _check_ledger(store: Store, name: str) -> None:
    if name not in await ledger_names(store):
        raise NotDone(f"the store has no ledger {name}: make it with `onrecord ledgers create {name}`")


def scopes_of(words: Iterable[str]) -> frozenset[Scope]:
    """Return scopes from their names. Raises ``NotDone`` for what is none."""
    try:
        return frozenset(Scope(word) for word in words)
    except ValueError as error:
        raise NotDone(f"{error}: there are {', '.join(Scope)}") from error


def expiry(text: str) -> int:
    """Return when a key ends, in microseconds since 1970: after so many days or hours, with a date, or at a time.

    Raises ``NotDone`` for anything else, and for what is past.
    """
    now = time.time_ns() // 1000
    if found := re.fullmatch(r"([1-9][0-9]{0,4})([dh])", text):
        return now + int(found[1]) * {"d": 86_400, "h": 3600}[found[2]] * 1_000_000
    try:
        when = moments.interval(msgspec.convert(text, Moment))
    except (msgspec.ValidationError, ValueError) as error:
        raise NotDone(f"{text!r} is no time: give as in 90d, 12h, 2027-06-30 or 2027-06-30T12:00Z") from error
    at = when.lo if "T" in text else when.hi
    if at <= now:
        raise NotDone(f"{text} is past")
    return at


async def all_ledgers(settings: Settings) -> list[LedgerStatus]:
    """Return what is so of every ledger in the store."""
    async with checked_store(with_store(settings)) as store:
        return [await status(await Ledger.open(store, name)) for name in await ledger_names(store)]
