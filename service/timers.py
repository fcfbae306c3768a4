"""Timers: an inquiry whose deadline passes without a response becomes a ``no_response`` on its claim."""

import hashlib
import time

import msgspec

from events.catalog import InquiryExpired, StatementRecorded
from events.identifiers import derived_id
from events.ledger import Ledger
from events.records import Statement
from events.store import Store
from events.words import Stance
from service.projections.catalog import INQUIRIES
from service.projections.documents import InquiryDocument
from service.projections.queries import Queries
from service.verification.commands import Caller, Recorder
from service.verification.refusals import AlreadyRecorded

_PAGE = 200
_decode = msgspec.json.Decoder(InquiryDocument).decode


class Timers:
    """Watches the deadlines of one ledger."""

    def __init__(self, store: Store, ledger: Ledger, recorder: Recorder) -> None:
        self._recorder = recorder
        self._queries = Queries(store, ledger.keys)

    async def expire(self) -> int:
        """Record every open inquiry whose deadline has passed as expired, and return how many there were."""
        after: int | None = 0
        expired = 0
        while after is not None:
            page = await self._queries.page(INQUIRIES, [("status", "open")], after=after, limit=_PAGE)
            after = page.next_after
            for inquiry in map(_decode, page.items):
                if inquiry.deadline < time.time_ns() // 1000:
                    expired += await self._expire(inquiry)
        return expired

    async def _expire(self, inquiry: InquiryDocument) -> bool:
        said = Statement(
            speaker_id=inquiry.inquiry.source_id,
            stance=Stance.NO_RESPONSE,
            said_at=inquiry.inquiry.deadline,
            inquiry_id=inquiry.id,
        )
        statement_id = derived_id("statement", inquiry.id, "no_response")
        proposed = [
            InquiryExpired(claim_id=inquiry.claim_id, inquiry_id=inquiry.id),
            StatementRecorded(claim_id=inquiry.claim_id, statement_id=statement_id, statement=said),
        ]
        command_id = f"sys:expire:{inquiry.id}"
        caller = Caller("system", command_id, hashlib.sha256(command_id.encode()).hexdigest())
        try:
            outcome = await self._recorder.on_claim(proposed, caller)
        except AlreadyRecorded:  # it was answered a moment ago
            return False
        return not outcome.repeated
