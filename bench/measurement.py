"""What a measurement is: ours, a peer's in the same run, their ratio, and the floor that the ratio has."""

import statistics
from collections.abc import Awaitable, Callable

from msgspec import Struct

ROUNDS = 5


class Measurement(Struct, frozen=True):
    """One line of ``bench/latest.json``. ``ours`` and ``peer`` are medians; ``ratio`` is the median of the rounds'.

    ``at_least`` is the floor of the ratio; without a peer, that of ours.
    """

    name: str
    ours: float
    peer: float | None = None
    peer_name: str | None = None
    ratio: float | None = None
    at_least: float | None = None

    @property
    def missed(self) -> bool:
        """Whether it is below its floor."""
        measured = self.ours if self.peer is None else self.ratio
        return self.at_least is not None and (measured is None or measured < self.at_least)


async def against(  # noqa: PLR0913 - what a measurement is
    name: str,
    ours: Callable[[], Awaitable[float]],
    peer: Callable[[], Awaitable[float]],
    peer_name: str,
    at_least: float | None = None,
    digits: int = 1,
) -> Measurement:
    """Measure ours and the peer's in turn, a round uncounted first, and return the medians."""
    pairs = []
    for round_ in range(ROUNDS + 1):
        pair = (await ours(), await peer()) if round_ % 2 else tuple(reversed((await peer(), await ours())))
        if round_:
            pairs.append(pair)
    return Measurement(
        name,
        round(statistics.median(own for own, _ in pairs), digits),
        round(statistics.median(other for _, other in pairs), digits),
        peer_name,
        round(statistics.median(own / other for own, other in pairs), 3),
        at_least,
    )
