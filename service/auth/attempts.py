"""Failed attempts to come in: so many from one address, and then it has to wait. Kept in this process alone.

A token bucket for each address, IPv6 ones by their /64 (which one host may have). Only what was refused takes from it.
"""

import ipaddress
import time
from collections import OrderedDict

BURST = 20
"""Failed attempts that an address has at once."""
SECONDS_EACH = 3.0
"""Seconds after which it has one more."""
_MOST_ADDRESSES = 10_000
_PREFIX = 64


class Attempts:
    """The addresses from which somebody failed of late, at most so many; for one more the oldest is forgotten."""

    def __init__(self) -> None:
        self._full_at: OrderedDict[str, float] = OrderedDict()
        """For each address, when its bucket will be full again."""

    def wait(self, address: str) -> float:
        """Return in how many seconds an address has another attempt; 0 if it has one now."""
        full_at = self._full_at.get(_network(address), 0.0)
        return max(0.0, full_at - time.monotonic() - (BURST - 1) * SECONDS_EACH)

    def failed(self, address: str) -> bool:
        """Take an attempt from an address, and return whether that was its last for now."""
        network, now = _network(address), time.monotonic()
        self._full_at[network] = max(self._full_at.get(network, 0.0), now) + SECONDS_EACH
        self._full_at.move_to_end(network)
        if len(self._full_at) > _MOST_ADDRESSES:
            self._full_at.popitem(last=False)
        return self.wait(address) > 0


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # a socket in a folder has none
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, _PREFIX), strict=False))
    return str(parsed)
