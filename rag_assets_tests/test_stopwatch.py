"""A stopwatch does not count the time for which its process stood still."""

from rag_assets.stopwatch import Stopwatch


def test_gap_counts_only_as_far_as_the_longest_when_the_process_stood_still() -> None:
    """A day between two looks is a machine that slept."""
    now = [100.0]
    watch = Stopwatch(longest_gap=5.0, clock=lambda: now[0])
    now[0] += 3.0
    assert watch.look() == 3.0
    now[0] += 86_400.0
    assert watch.look() == 8.0


def test_seconds_never_fall_when_the_clock_goes_back() -> None:
    """A limit that was reached stays reached, and what comes after counts again."""
    now = [100.0]
    watch = Stopwatch(clock=lambda: now[0])
    now[0] = 40.0
    assert watch.look() == 0.0
    now[0] += 2.0
    assert watch.look() == 2.0
