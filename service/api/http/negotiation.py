"""What a caller accepts (RFC 9110, section 12): media types and content codings, by quality, exact types first."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

JSON = "application/json"
HTML = "text/html"
TEXT = "text/plain"
CODINGS = ("br", "gzip")
"""Content codings that answers can have, the best first."""
_KEPT = 1024
"""Headers whose meaning is kept; clients send the same few again and again."""


def offered(opt: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the media types of a route's answers, by its ``opt``; none if it does not say."""
    if "media" in opt:
        return tuple(opt["media"])
    if "text" in opt:
        return (TEXT,)
    if opt.keys() & {"answer", "items", "events"}:
        return (JSON, *opt.get("streams", ()))
    return ()


@lru_cache(_KEPT)
def acceptable(accept: str, offered: tuple[str, ...]) -> str | None:
    """Return which of the media types that are offered an ``Accept`` prefers; the first offered of equals, or None.

    A type that is ``;q=0`` is refused even if ``*/*`` is not. What cannot be read is left out, as if it were not there.
    """
    ranges = _qualities(accept)
    if not ranges:
        return offered[0]
    best, chosen = 0.0, None
    for each in offered:
        quality = next((ranges[name] for name in (each, f"{each.partition('/')[0]}/*", "*/*") if name in ranges), 0.0)
        if quality > best:
            best, chosen = quality, each
    return chosen


@lru_cache(_KEPT)
def coding(accept_encoding: bytes) -> str | None:
    """Return the content coding that an ``Accept-Encoding`` prefers among ours, or None for none."""
    ranges = _qualities(accept_encoding.decode("latin-1"))
    best, chosen = 0.0, None
    for each in CODINGS:
        quality = ranges.get(each, ranges.get("*", 0.0))
        if quality > best:
            best, chosen = quality, each
    return chosen if best >= ranges.get("identity", 0.0) else None


def _qualities(header: str) -> dict[str, float]:
    """Return the quality of each member of a list; parameters other than ``q`` are not looked at."""
    found: dict[str, float] = {}
    for member in header.split(","):
        name, *parameters = (part.strip().lower() for part in member.split(";"))
        if not name:
            continue
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = min(max(float(parameter[2:]), 0.0), 1.0)
                except ValueError:
                    quality = 0.0
        found[name] = max(quality, found.get(name, 0.0)) if name in found else quality
    return found
