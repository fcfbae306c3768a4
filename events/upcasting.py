"""Upcasting: what an older release recorded, read as the newest version of its type.

The stored bytes never change. Reading takes an event's data one version further at a time, each step a pure function
of the data before it. A step for each older version of a type stands here; the newest is in :mod:`events.catalog`.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import msgspec

from events import catalog

Data: TypeAlias = dict[str, Any]
"""An event's data as JSON has it."""
Upcaster: TypeAlias = Callable[[Data], Data]
"""From the data of one version to that of the next. Raises ``LookupError`` for data that is not of its version."""

UPCASTERS: dict[tuple[str, int], Upcaster] = {}
"""Event type and older version → the step to the version after it."""

_decode = msgspec.json.Decoder(Data).decode


def upcasts(type_: str, version: int) -> Callable[[Upcaster], Upcaster]:
    """Enter the step from a version of an event type to the next."""

    def enter(step: Upcaster) -> Upcaster:
        UPCASTERS[type_, version] = step
        return step

    return enter


def readers() -> Iterator[tuple[str, Callable[[bytes], catalog.Event]]]:
    """Yield every ``dataschema`` that can be read, and what reads its data as an event of the newest version.

    What reads raises ``msgspec.ValidationError`` for data that is not as its schema says.
    """
    for type_, event in catalog.CATALOG.items():
        yield catalog.schema_urn(type_, event.VERSION), msgspec.json.Decoder(event).decode
    for type_, version in UPCASTERS:
        yield catalog.schema_urn(type_, version), _older(type_, version)


def _older(type_: str, version: int) -> Callable[[bytes], catalog.Event]:
    newest = catalog.CATALOG[type_]
    steps = [UPCASTERS[type_, each] for each in range(version, newest.VERSION)]

    def read(stored: bytes) -> catalog.Event:
        data = _decode(stored)
        for step in steps:
            try:
                data = step(data)
            except LookupError as error:
                raise msgspec.ValidationError(f"Object missing required field `{error.args[0]}`") from error
        return msgspec.convert(data, newest)

    return read


_NOW_IN_BECAUSE = {
    "rule": "rule",
    "origins": "n",
    "disinterested": "nd",
    "opposed": "od",
    "reasons": "reasons",
    "excluded": "excluded",
}


@upcasts("claim.state_changed", 1)
def _told_because_of_what(data: Data) -> Data:
    """Version 1 has counts and reasons beside the verdict, where version 2 has them in ``because``.

    Releases of one day wrote version 2 and called it version 1: what has a ``because`` is as it should be.
    """
    if "because" in data:
        return data
    because = {now: data[then] for then, now in _NOW_IN_BECAUSE.items()}
    others = {name: value for name, value in data.items() if name not in _NOW_IN_BECAUSE}
    changed = [_NOW_IN_BECAUSE.get(part, part) for part in data["changed"]]
    return others | {"because": because, "changed": changed}
