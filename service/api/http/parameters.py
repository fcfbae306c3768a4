"""Query parameters: those that are identifiers and the like, checked; and a refusal of those that there are not.

A filter that is misspelt would otherwise list everything, and look as if it had been heeded.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec
from litestar.middleware import ASGIMiddleware
from litestar.params import QueryParameter
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Struct

from events.identifiers import BASE32, ClaimId, SourceId, StoryId
from events.words import Party, Tag
from service.api.http.problems import ApiError


def _checked(type_: Any, description: str) -> QueryParameter:  # noqa: ANN401 - a type with a pattern
    schema = msgspec.json.schema(type_)
    return QueryParameter(pattern=schema["pattern"], max_length=schema.get("maxLength", 64), description=description)


StoryQuery = Annotated[str | None, _checked(StoryId, "A story's identifier.")]
ClaimQuery = Annotated[str | None, _checked(ClaimId, "A claim's identifier.")]
SourceQuery = Annotated[str | None, _checked(SourceId, "A source's identifier.")]
PartyQuery = Annotated[str | None, _checked(Party, "A party whose interest the claim touches.")]
TagQuery = Annotated[str | None, _checked(Tag, "A tag of the claim.")]
KeyQuery = Annotated[
    str | None,
    QueryParameter(
        pattern=rf"^key_{BASE32}$(?!\n)",
        max_length=30,
        description="The key after which to go on, as the page before gave it.",
    ),
]
AttemptQuery = Annotated[
    str | None,
    QueryParameter(
        pattern=r"^[0-9]{1,16}-[0-9]{1,16}$(?!\n)",
        max_length=33,
        description="The place after which to go on, as the page before gave it.",
    ),
]
TextQuery = Annotated[str | None, QueryParameter(max_length=200, description="Words that the claim has.")]


_PLACES = {"after", "before"}
"""Parameters that are looked at by who knows what a place is there."""


class Query(Struct, frozen=True):
    """A query parameter: whether it may be given several times, and its values if they are few."""

    repeated: bool
    values: tuple[str, ...] = ()


class KnownParameters(ASGIMiddleware):
    """Refuses a request with a query parameter that its operation does not have, has once, or has not with that value.

    Litestar reads ``null`` as a parameter that was left out, and would list everything.
    """

    def __init__(self) -> None:
        self.of_operation: Mapping[str, Mapping[str, Query]] = {}
        """The query parameters of each operation, by its identifier."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let a request pass, or raise ``bad-request`` (400) naming what there is not."""
        if given := scope["query_string"]:
            known = self.of_operation.get(getattr(scope["route_handler"], "operation_id", ""))
            if known is not None:
                _check(parse_qsl(given.decode("latin-1"), keep_blank_values=True), known)
        await next_app(scope, receive, send)


def _check(given: Iterable[tuple[str, str]], known: Mapping[str, Query]) -> None:
    seen = set()
    for name, value in given:
        if name not in known:
            there = f"there is {', '.join(sorted(known))}" if known else "none is taken"
            raise ApiError("bad-request", f"there is no parameter {name[:80]!r} here; {there}")
        if name in seen and not known[name].repeated:
            raise ApiError("bad-request", f"{name}: it is given once")
        seen.add(name)
        if value == "null" or (not value and name not in _PLACES):
            raise ApiError("bad-request", f"{name}: leave it out, or give it a value")
        if (values := known[name].values) and value not in values:
            raise ApiError("bad-request", f"{name}: {value[:80]!r} is none of {', '.join(values)}")
