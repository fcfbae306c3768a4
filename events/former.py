"""What older versions of events look like. Nothing here is ever written again: :mod:`events.upcasting` reads it.

A version stands here from the day on which a newer one replaces it in :mod:`events.catalog`.
"""

from typing import Annotated

from msgspec import Meta

from events.catalog import ClaimStateChanged, Event
from events.identifiers import ClaimId
from events.words import Flag, Mentions, PolicyName, State


class ClaimStateChangedBeforeBecause(Event, frozen=True, rename={"from_": "from"}):
    """A verdict with its counts and reasons beside it: `origins`, `disinterested` and `opposed` are n, nd and od."""

    claim_id: ClaimId
    from_: State | None
    to: State
    flags: tuple[Flag, ...]
    credibility: Annotated[int, Meta(ge=1, le=6)]
    rule: str
    origins: int
    disinterested: int
    opposed: int
    reasons: dict[str, Mentions]
    excluded: dict[str, Mentions]
    policy: PolicyName
    engine: int
    changed: tuple[str, ...]


FORMER: dict[tuple[str, int], tuple[type[Event], ...]] = {
    # releases of one day wrote version 2 and called it version 1
    ("claim.state_changed", 1): (ClaimStateChangedBeforeBecause, ClaimStateChanged),
}
"""Event type and older version → the Structs that its data can be."""
