"""Administering a store from the command line: the ledgers in it. Whoever has the store may do all of it."""

import msgspec

from events.errors import UnknownLedger
from events.identifiers import LedgerName
from events.ledger import Ledger, ledger_names
from service.api.ledgers import LedgerStatus, status
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


async def all_ledgers(settings: Settings) -> list[LedgerStatus]:
    """Return what is so of every ledger in the store."""
    async with checked_store(with_store(settings)) as store:
        return [await status(await Ledger.open(store, name)) for name in await ledger_names(store)]
