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
from service.projections.catalog import DUE, INQUIRIES
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
        """Record open inquiries whose deadline has passed as expired, the oldest two hundred; return how many."""
        due = await self._queries.until(INQUIRIES, DUE, time.time_ns() // 1000 - 1, limit=_PAGE)
        return sum([await self._expire(inquiry) for inquiry in map(_decode, due)])

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
