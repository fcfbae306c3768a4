"""Answers at hand: what many ask for in the same words, answered without routing and reading parameters again.

An answer is kept by the target of the request that it was made for, and given for as long as it holds. Only plain
requests get one: whatever has to be looked up, waited for, weighed or refused goes the ordinary way.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeAlias

from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from service.api.http.answer import Answer

LARGEST = 32 << 20
"""Bytes of bodies and targets that are kept, for each ledger."""
_LARGEST_ANSWER = 1 << 20
_OVERHEAD = 1000
"""Bytes that an answer takes beside its own, some."""

Scope: TypeAlias = Any  # ASGI's mapping
Target: TypeAlias = tuple[bytes, bytes, bytes]
"""A host (which is checked on the ordinary way), a path and a query, as they were sent."""


class AtHand(Struct, frozen=True):
    """An answer, and the route that made it. ``holds`` says whether it is still what the route would answer."""

    answer: Answer
    holds: Callable[[], bool]
    handler: HTTPRouteHandler
    template: str


class AnswersAtHand:
    """What is at hand of one ledger; once it is too much, what was put here first goes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Target, AtHand] = OrderedDict()
        self._size = 0

    def find(self, target: Target) -> AtHand | None:
        """Return the answer to a target, if there is one that holds."""
        found = self._kept.get(target)
        if found is not None and not found.holds():
            self._drop(target)
            return None
        return found

    def keep(self, scope: Scope, answer: Answer, holds: Callable[[], bool]) -> None:
        """Keep the answer to a request, unless it is large. It has to be the same for whoever may ask for it."""
        target = target_of(scope)
        size = _size(target, answer)
        if size > _LARGEST_ANSWER:
            return
        self._drop(target)
        self._kept[target] = AtHand(answer, holds, scope["route_handler"], scope["path_template"])
        self._size += size
        while self._size > LARGEST:
            self._drop(next(iter(self._kept)))

    def _drop(self, target: Target) -> None:
        found = self._kept.pop(target, None)
        if found is not None:
            self._size -= _size(target, found.answer)


def target_of(scope: Scope) -> Target:
    """Return what a request asks for."""
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return host, scope["raw_path"], scope["query_string"]


def _size(target: Target, answer: Answer) -> int:
    return answer.size + sum(map(len, target)) + _OVERHEAD
