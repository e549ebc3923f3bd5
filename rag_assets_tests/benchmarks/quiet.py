"""Measuring side by side on a machine that others use too: a round that they disturbed is done again."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from rag_assets_tests.benchmarks import figures
from rag_assets_tests.benchmarks.figures import say

DISTURBED = 0.08  # share of all cores that went to others during a measurement
MORE_ROUNDS = 2  # times as many rounds are tried until enough were quiet


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """What each side gave per round, and how much of the machine others had meanwhile."""

    values: list[dict[str, float]]
    facts: dict[str, Any] = field(default_factory=dict)

    def median(self, name: str) -> float:
        return figures.median([one[name] for one in self.values])


def interleaved(ways: Mapping[str, Callable[[], float]], *, rounds: int, home: Path, unit: str) -> Rounds:
    """Let each way measure itself once per round, another one first each time.

    Rounds in which other processes took much of the machine count only when there were too few quiet ones.
    """
    seen: list[tuple[float, dict[str, float]]] = []
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    while len(seen) < rounds * MORE_ROUNDS and sum(others < DISTURBED for others, _ in seen) < rounds:
        values: dict[str, float] = {}
        most = 0.0
        for name in _turned(list(ways), len(seen)):
            with Others(home) as others:
                values[name] = ways[name]()
            most = max(most, others.share)
            cpu[name].append(others.our_seconds)
            say(f"Round {len(seen) + 1}: {name} {values[name]:.4g} {unit}, others had {others.share:.0%} of the cores")
        seen.append((most, values))
    kept = sorted(seen, key=lambda one: one[0])[:rounds]
    return Rounds(
        values=[values for _, values in kept],
        facts={
            "rounds_tried": len(seen),
            "cores_taken_by_others": [others for others, _ in kept],
            "our_cpu_seconds": {name: figures.median(seconds) for name, seconds in cpu.items()},
        },
    )


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class Others:
    """Which share of all cores went to processes that are neither ours nor the home's PostgreSQL; CPU time of ours.

    The latter hardly depends on what others do.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self.share = self.our_seconds = 0.0

    def __enter__(self) -> "Others":
        self._started, self._busy, self._ours = time.perf_counter(), _busy(), self._own()
        return self

    def __exit__(self, *exc: object) -> None:
        took = (time.perf_counter() - self._started) * (os.cpu_count() or 1)
        self.our_seconds = self._own() - self._ours
        self.share = max(0.0, _busy() - self._busy - self.our_seconds) / took

    def _own(self) -> float:
        """CPU seconds of this process tree, and of PostgreSQL's as far as its processes still live."""
        total = 0.0
        for process in family(self._home):
            with suppress(psutil.Error):
                total += sum(process.cpu_times()[:4])  # its own, and that of children that have ended
        return total


def family(home: Path) -> set[psutil.Process]:
    """This process, its descendants, and the home's PostgreSQL."""
    found = {psutil.Process(), *psutil.Process().children(recursive=True)}
    with suppress(OSError, ValueError, psutil.Error):
        first = (home / "postgres" / "data" / "postmaster.pid").read_text().split("\n", 1)[0]
        server = psutil.Process(int(first))
        found |= {server, *server.children(recursive=True)}
    return found


def _busy() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _turned(names: list[str], by: int) -> list[str]:
    """Another one goes first in each round, so that a slow drift of the machine favours none."""
    by %= len(names)
    return names[by:] + names[:by]
