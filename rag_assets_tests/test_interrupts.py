"""An interrupt has its effect once, and clean-up is not broken off."""

import signal
import sys

import pytest

from rag_assets.processes import interrupts
from rag_assets_tests.conftest import heed_signals


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself SIGTERM there")
def test_clean_up_is_not_broken_off_by_a_second_interrupt() -> None:
    """The first one has its effect; afterwards, all is as it was before."""
    seen: list[str] = []

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in interrupts.INTERRUPTS}
    try:
        with interrupts.interrupted_once():
            try:
                signal.raise_signal(signal.SIGTERM)
            except KeyboardInterrupt:
                signal.raise_signal(signal.SIGTERM)
                signal.raise_signal(signal.SIGINT)
                seen.append("cleaned up")
        assert seen == ["cleaned up"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself SIGTERM there")
def test_a_process_that_ends_already_hears_of_no_interrupt() -> None:
    """What it closes then is closed; a child of it would hear of them."""
    before = {number: signal.getsignal(number) for number in interrupts.INTERRUPTS}
    try:
        interrupts.ignore_interrupts()
        for number in before:
            signal.raise_signal(number)
            assert signal.getsignal(number) != signal.SIG_IGN
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_signals_are_heeded_when_a_shell_had_them_ignored(name: str) -> None:
    """The processes of the suite inherit what the shell has: one that ignores them would never be ended by a test."""
    number = signal.Signals[name]
    before = signal.signal(number, signal.SIG_IGN)
    try:
        heed_signals()
        assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)
    finally:
        signal.signal(number, before)
