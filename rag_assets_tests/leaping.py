"""A clock as a process sees it that was stopped for an hour."""

import time
from collections.abc import Callable

HOUR = 3_600.0


class Leaping:
    """In place of time.monotonic: an hour further from one look on, `after` so many."""

    def __init__(self, *, after: int, on_leap: Callable[[], object] = lambda: None) -> None:
        self._real = time.monotonic
        self._left = after
        self._on_leap = on_leap

    @property
    def leapt(self) -> bool:
        return self._left < 0

    def __call__(self) -> float:
        self._left -= 1
        if self._left == -1:
            self._on_leap()
        return self._real() + HOUR * self.leapt
