"""Where a claim stood at a moment, and what changed it between two: as it was recorded, and not worked out anew.

A claim's events are found by its stream and a moment in it by halving, so that a moment long past costs what the claim
is long, however long the ledger is, and nothing has to be kept for it.
"""

from collections.abc import Sequence

from msgspec import Struct

from events import catalog
from events.envelope import Entry
from events.ledger import Ledger
from service.projections.documents import Membership, Standing

_PAGE = 32
_LAST = 4
"""Events of a claim that are read first: of most claims one of them says where it stood."""
_REASSESSED = "sys:reassess:"
MOST_EVENTS = 50
"""Events that a difference names of one claim."""


class Stood(Struct, frozen=True):
    """Where a claim stood. One that was ``merged_into`` another had no state of its own."""

    id: str
    registered_as: str
    version: int
    position: int
    standing: Standing | None = None
    merged_into: Membership | None = None


class Named(Struct, frozen=True):
    """An event, by its place and type."""

    position: int
    type: str
    recordedtime: str


class StateChange(Struct, frozen=True, rename={"from_": "from"}):
    """A change of a claim's state, and the events that did it: of its command, or for which it was looked at again."""

    position: int
    recordedtime: str
    from_: str | None
    to: str
    flags: tuple[str, ...]
    rule: str
    policy: str
    changed: tuple[str, ...]
    because_of: tuple[Named, ...]


class Difference(Struct, frozen=True):
    """What became of a claim between two moments. ``before`` is null if it was not on record then."""

    id: str
    before: Stood | None
    after: Stood
    changes: tuple[StateChange, ...]
    events: tuple[Named, ...]
    total: int
    """How many events there were; the last of them are named."""


async def stood(ledger: Ledger, claim_id: str, position: int) -> Stood | None:
    """Return where a claim stood when the ledger had events up to a position; None if it was not on record."""
    version = await ledger.version_at(claim_id, position)
    if not version:
        return None
    (first,) = await ledger.history(claim_id, limit=1)
    end = version
    while end:
        begin = max(0, end - _PAGE)
        latest = await ledger.history(claim_id, after=begin, limit=end - begin)
        if found := _told(claim_id, first, version, latest):
            return found
        end = begin
    return _stood(claim_id, first, version)


async def all_stood(ledger: Ledger, claim_ids: Sequence[str], position: int) -> list[Stood | None]:
    """Return where some claims stood, as :func:`stood` does: all that have a short history in a few reads."""
    listed = await ledger.positions_up_to(claim_ids, position)
    wanted = {each for positions in listed if positions for each in (positions[0], *positions[-_LAST:])}
    read = {entry.position: entry for entry in await ledger.at(iter(sorted(wanted)))}
    found: list[Stood | None] = []
    for claim_id, positions in zip(claim_ids, listed, strict=True):
        if positions is None:
            found.append(await stood(ledger, claim_id, position))
        elif not positions:
            found.append(None)
        else:
            first, latest = read[positions[0]], [read[each] for each in positions[-_LAST:]]
            told = _told(claim_id, first, len(positions), latest)
            if told is None and len(positions) > _LAST:
                told = await stood(ledger, claim_id, position)
            found.append(told or _stood(claim_id, first, len(positions)))
    return found


def _told(claim_id: str, first: Entry, version: int, entries: Sequence[Entry]) -> Stood | None:
    """Return where a claim stood by the last of some entries that says so; None if none does."""
    for entry in reversed(entries):
        match entry.event:
            case catalog.ClaimStateChanged(claim_id=key) as change if key == claim_id:
                return _stood(claim_id, first, version, standing=_standing(entry, change))
            case catalog.ClaimMerged(claim_id=key, merge=merge) if key == claim_id:
                return _stood(claim_id, first, version, merged_into=Membership(merge.into, merge.inverted))
            case catalog.ClaimUnmerged(claim_id=key) if key == claim_id:
                return _stood(claim_id, first, version)
    return None


def _stood(
    claim_id: str,
    first: Entry,
    version: int,
    *,
    standing: Standing | None = None,
    merged_into: Membership | None = None,
) -> Stood:
    registered = first.event
    assert isinstance(registered, catalog.ClaimRegistered)  # noqa: S101 - every claim's stream begins so
    return Stood(claim_id, registered.claim.text, version, first.position, standing, merged_into)


async def difference(ledger: Ledger, claim_id: str, begin: int, end: int) -> Difference | None:
    """Return what became of a claim after the position ``begin`` and up to ``end``; None if nothing did."""
    first, last = await ledger.version_at(claim_id, begin), await ledger.version_at(claim_id, end)
    if first == last:
        return None
    after = await stood(ledger, claim_id, end)
    if after is None:
        return None
    entries = await ledger.history(claim_id, after=max(first, last - MOST_EVENTS), limit=MOST_EVENTS)
    entries = [entry for entry in entries if entry.position <= end]
    changes = []
    for entry in entries:
        change = entry.event
        if isinstance(change, catalog.ClaimStateChanged) and change.claim_id == claim_id:
            changes.append(_change(entry, change, await _causes(ledger, entry)))
    before = await stood(ledger, claim_id, begin) if first else None
    return Difference(claim_id, before, after, tuple(changes), tuple(map(_named, entries)), last - first)


async def _causes(ledger: Ledger, changed: Entry) -> Sequence[Entry]:
    """Return the events because of which a claim's state was worked out."""
    command_id = changed.envelope.commandid
    if command_id.startswith(_REASSESSED):
        trigger = command_id.removeprefix(_REASSESSED).partition(":")[0]
        return await ledger.at(iter([int(trigger)])) if trigger.isdigit() else ()
    begin = max(0, changed.position - 1 - _PAGE)
    earlier = await ledger.read(begin, changed.position - 1 - begin)
    causes: list[Entry] = []
    for entry in reversed(earlier):
        if entry.envelope.commandid != command_id:
            break
        if entry.envelope.type != catalog.ClaimStateChanged.TYPE:
            causes.append(entry)
    return causes[::-1]


def _named(entry: Entry) -> Named:
    return Named(entry.position, entry.envelope.type, entry.envelope.recordedtime)


def _change(entry: Entry, change: catalog.ClaimStateChanged, causes: Sequence[Entry]) -> StateChange:
    return StateChange(
        position=entry.position,
        recordedtime=entry.envelope.recordedtime,
        from_=change.from_.value if change.from_ else None,
        to=change.to.value,
        flags=tuple(flag.value for flag in change.flags),
        rule=change.because.rule,
        policy=f"{change.policy.name}:{change.policy.version}",
        changed=change.changed,
        because_of=tuple(map(_named, causes)),
    )


def _standing(entry: Entry, change: catalog.ClaimStateChanged) -> Standing:
    return Standing(
        state=change.to,
        flags=change.flags,
        credibility=change.credibility,
        because=change.because,
        policy=change.policy,
        engine=change.engine,
        position=entry.position,
        since=entry.envelope.recordedtime,
    )
