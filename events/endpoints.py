"""What is on record of a webhook: whom it concerns, in which form and how fast it is sent; never where to.

Its URL, its headers and its secrets are kept in the vault, and are in no event.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from events.identifiers import ClaimId, SourceId, StoryId
from events.words import LongText, Part, State

TypePattern = Annotated[
    str,
    Meta(
        pattern=r"^(\*|[a-z]+(_[a-z]+)*\.(\*|[a-z]+(_[a-z]+)*))$(?!\n)",
        max_length=80,
        description="An event type, or what it begins with and a star: `claim.state_changed`, `claim.*`, `*`.",
    ),
]
KeptId = Annotated[str, Meta(pattern=r"^[0-9a-z]{26}$(?!\n)", description="Names what the vault keeps.")]
Format = Literal["cloudevents", "slack", "teams"]
"""Bodies: the ledger's bytes, or a message for a chat."""
Ordered = Literal["per_claim"]
Rate = Annotated[float, Meta(gt=0, le=1_000, description="Attempts a second, at most.")]
Concurrency = Annotated[int, Meta(ge=1, le=50, description="Attempts at once, at most.")]
_Most = Meta(max_length=100)


class Filters(Part, frozen=True):
    """Which events a webhook concerns: those that satisfy every member that is given.

    ``sources`` lets through what names one of these sources, in whatever role; ``states`` lets through
    ``claim.state_changed`` into one of these states, and nothing else.
    """

    types: Annotated[tuple[TypePattern, ...], Meta(min_length=1, max_length=100)] = ("*",)
    stories: Annotated[tuple[StoryId, ...], _Most] = ()
    claims: Annotated[tuple[ClaimId, ...], _Most] = ()
    sources: Annotated[tuple[SourceId, ...], _Most] = ()
    states: Annotated[tuple[State, ...], _Most] = ()


class Webhook(Part, frozen=True):
    """An endpoint that is told what happens, and how."""

    description: LongText | None = None
    filters: Filters = Filters()
    format: Format = "cloudevents"
    ordered: Ordered | None = None
    rate: Rate | None = None
    concurrency: Concurrency = 5


class WebhookChanges(Part, frozen=True):
    """What changes in a webhook."""

    description: LongText | UnsetType | None = UNSET
    filters: Filters | UnsetType = UNSET
    format: Format | UnsetType = UNSET
    ordered: Ordered | UnsetType | None = UNSET
    rate: Rate | UnsetType | None = UNSET
    concurrency: Concurrency | UnsetType = UNSET
