"""How long something took, without the time for which this process itself was stopped."""

import time
from collections.abc import Callable

LONGEST_GAP_SECONDS = 5.0  # between two looks, far above what a busy machine makes of less than a second


class Stopwatch:
    """Counts seconds from when it is made, for those who look at it again and again.

    A longer gap between two looks than LONGEST_GAP_SECONDS counts as that: the process was stopped, or the machine
    slept, and whatever is waited for was probably stopped with it. A limit that is measured in these seconds grants
    the rest of its time after a standstill; measured by a clock it would be over at once.
    """

    def __init__(
        self, *, longest_gap: float = LONGEST_GAP_SECONDS, clock: Callable[[], float] = lambda: time.monotonic()
    ) -> None:
        self._longest_gap = longest_gap
        self._clock = clock
        self._looked_at = clock()
        self._seconds = 0.0

    def look(self) -> float:
        """Seconds until now; to be asked at shorter intervals than the longest gap."""
        now = self._clock()
        self._seconds += min(max(0.0, now - self._looked_at), self._longest_gap)
        self._looked_at = now
        return self._seconds
