"""The signals by which a user or a service manager ends a program, so that the clean-up after the first is whole."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Windows: Ctrl-C, and what `tree.terminate` sends.
INTERRUPTS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]


@contextmanager
def interrupted_once() -> Iterator[None]:
    """SIGINT and SIGTERM have the effect that they have now, but once: the clean-up after it is not broken off, too.

    Whoever stops us may ask twice, as people do with Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in INTERRUPTS}

    def handle(number: int, frame: FrameType | None) -> None:
        ignore_interrupts()
        handler = before[number]
        if callable(handler):
            handler(number, frame)
        elif handler == signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_interrupts() -> None:
    """From now on, this process hears of none of them: it ends already, and is not to be disturbed by a second one."""
    for number in INTERRUPTS:
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which children would have from us
