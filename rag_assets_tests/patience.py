"""Waiting for what another thread, process or server does: it ends when that has happened, not when time is over."""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 120.0  # far above what a busy machine needs: only what never happens takes so long


def until(condition: Callable[[], object], *, what: str = "it") -> None:
    """Returns as soon as the condition holds; AssertionError when it still does not after PATIENCE_SECONDS."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {PATIENCE_SECONDS:.0f} s"
        time.sleep(0.02)
