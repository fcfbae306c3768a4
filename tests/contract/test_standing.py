"""Where claims stood at every moment: one by one, and all of a page together, as a walk over the whole log has it."""

from events import catalog, records
from events.envelope import Provenance
from events.identifiers import new_id
from events.ledger import Command, Ledger
from events.words import Stance
from service.audit.standing import Stood, all_stood, stood
from service.verification.commands import Recorder


async def append(ledger: Ledger, *proposed: catalog.Event) -> None:
    """Record events as they are."""
    for event in proposed:
        await ledger.append(Command([event], {}, Provenance("system", new_id("key"), "ab" * 32)))


def said(claim_id: str) -> catalog.Event:
    """Return a statement on a claim."""
    statement = records.Statement(speaker_id=new_id("source"), stance=Stance.ASSERTS)
    return catalog.StatementRecorded(claim_id=claim_id, statement_id=new_id("statement"), statement=statement)


async def walked(ledger: Ledger, claim_id: str, position: int) -> tuple[object, object] | None:
    """Return the state of a claim, or what it was merged into, by a walk over the log; None before it was there."""
    found: tuple[object, object] | None = None
    for entry in await ledger.read(0, position):
        match entry.event:
            case catalog.ClaimRegistered(claim_id=key) | catalog.ClaimUnmerged(claim_id=key) if key == claim_id:
                found = (None, None)
            case catalog.ClaimStateChanged(claim_id=key, to=to) if key == claim_id:
                found = (to, None)
            case catalog.ClaimMerged(claim_id=key, merge=merge) if key == claim_id:
                found = (None, merge.into)
    return found


def told(it: Stood | None) -> tuple[object, object] | None:
    """Return the same of what is told."""
    if it is None:
        return None
    return it.standing and it.standing.state, it.merged_into and it.merged_into.claim_id


async def test_where_claims_stood_is_what_the_log_says(loaded: Recorder) -> None:
    """For claims of a few events and of hundreds, merged and unmerged, before they were there and ever since."""
    ledger = loaded.ledger
    entries = await ledger.read(0, 1000)
    claims = [each.event.claim_id for each in entries if isinstance(each.event, catalog.ClaimRegistered)]
    longest, merged, unmerged = claims[0], claims[1], claims[2]
    await append(ledger, *(said(longest) for _ in range(200)))
    await append(ledger, *(said(merged) for _ in range(9)))
    for each in (merged, unmerged):
        await append(ledger, catalog.ClaimMerged(claim_id=each, merge=records.Merge(into=claims[3], reason="One.")))
    undo = records.Unmerge(reason="Two.")
    await append(ledger, catalog.ClaimUnmerged(claim_id=unmerged, out_of=claims[3], unmerge=undo), said(unmerged))
    head = (await ledger.head()).position
    for position in (0, 1, 30, 60, 100, 140, len(entries), len(entries) + 130, head - 3, head - 2, head):
        together = await all_stood(ledger, claims, position)
        assert together == [await stood(ledger, each, position) for each in claims]
        assert [await walked(ledger, each, position) for each in claims] == list(map(told, together)), position
    assert await all_stood(ledger, [], head) == []
    assert await all_stood(ledger, [new_id("claim")], head) == [None]
