"""What may be kept of an answer (RFC 9111): one table, by what a route is. Where it is said otherwise, that holds."""

from collections.abc import Collection, Mapping
from typing import Any

OURS = "private, no-cache"
"""A document or list of a ledger: its reader may keep it, and asks each time whether it is still so."""
NEVER = "no-store"
"""What is true at this moment only, or nobody else's business: writes, problems, states of the service."""
PAGE = "public, max-age=300"
"""What is the same for everybody until the next release."""


def cache_control(methods: Collection[str], opt: Mapping[str, Any]) -> str:
    """Return the ``Cache-Control`` of a route by its methods and its ``opt``, which may say ``cache`` itself."""
    if "cache" in opt:
        return str(opt["cache"])
    return OURS if "GET" in methods else NEVER
