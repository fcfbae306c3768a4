"""Ledgers: the one that the caller's key opens. Others are made and listed on the store, by ``onrecord ledgers``."""

import msgspec
from litestar import get
from litestar.params import FromPath

from events import moments
from events.ledger import Ledger
from events.words import PolicyName
from service.api.http.answer import Answer
from service.api.http.documents import unversioned
from service.api.http.served import ApiRequest, served
from service.auth.scopes import Scope
from service.verification.policy import name_of
from service.verification.reference import Edition
from service.verification.refusals import NotOnRecord

_WHERE = "/v1/ledgers"


class LedgerStatus(msgspec.Struct, frozen=True):
    """A ledger: its last position and when that was recorded, its epoch, and the policy in force."""

    name: str
    epoch: str
    position: int
    recordedtime: str
    policy: PolicyName


async def status(ledger: Ledger) -> LedgerStatus:
    """Return what is so of a ledger now."""
    head = await ledger.head()
    policies = (await Edition.begun(ledger)).policies
    at = moments.timestamp(head.recordedtime)
    return LedgerStatus(ledger.name, ledger.epoch, head.position, at, name_of(policies[-1].policy))


@get(
    _WHERE,
    operation_id="listLedgers",
    summary="List ledgers",
    opt={"items": LedgerStatus, "whole": True, "scope": Scope.READ},
)
async def list_ledgers(request: ApiRequest) -> Answer:
    """List the ledgers that your key opens, which is one: where it ends, its epoch, and the policy in force."""
    here = await status(served(request).ledger)
    return await unversioned(request, msgspec.json.encode({"items": [here], "next_after": None}))


@get(
    f"{_WHERE}/{{name:str}}",
    operation_id="getLedger",
    summary="Read a ledger",
    opt={"answer": LedgerStatus, "whole": True, "scope": Scope.READ},
)
async def get_ledger(request: ApiRequest, name: FromPath[str]) -> Answer:
    """Read where the ledger that your key opens ends, its epoch, and the policy in force. Of others nothing is said."""
    ledger = served(request).ledger
    if name != ledger.name:
        raise NotOnRecord(f"there is no ledger {name[:80]}")
    return await unversioned(request, msgspec.json.encode(await status(ledger)))


ROUTES = (list_ledgers, get_ledger)
