"""What a benchmark reports: one figure, what it is compared with, their ratio, and the machine it was seen on."""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil

STARTED = time.monotonic()


@dataclass(frozen=True, kw_only=True)
class Figure:
    """`ratio` is value / peer_value, unless the median of each round's ratio is given; `met`: the aim was reached."""

    benchmark: str
    figure: str  # what `value` is, with its unit
    value: float
    peer: str  # what `peer_value` is: a ceiling, a peer or the aim
    peer_value: float
    aim: str
    met: bool
    ratio: float | None = None
    rounds: Sequence[Any] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "benchmark": self.benchmark,
            "figure": self.figure,
            "value": rounded(self.value),
            "peer": self.peer,
            "peer_value": rounded(self.peer_value),
            "ratio": rounded(self.value / self.peer_value if self.ratio is None else self.ratio),
            "aim": self.aim,
            "met": self.met,
            "rounds": rounded(self.rounds),
            "details": rounded(self.details),
            "machine": machine(),
        }

    def as_text(self) -> str:
        line = self.as_json()
        verdict = "met" if self.met else "NOT met"
        details = "\n".join(f"    {key}: {json.dumps(value)}" for key, value in line["details"].items())
        return (
            f"{self.benchmark}: {line['value']} {self.figure}; {self.peer}: {line['peer_value']}; "
            f"ratio {line['ratio']} (aim: {self.aim}, {verdict})\n    rounds: {json.dumps(line['rounds'])}\n{details}"
        )


def rounded(value: Any) -> Any:
    """Numbers to four significant digits, or to whole ones, all the way down."""
    if isinstance(value, float):
        return round(value) if abs(value) >= 1000 else float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return value


def machine() -> dict[str, Any]:
    """Where a figure was seen, and how busy that was; the load is of one, five and fifteen minutes."""
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": [round(load, 2) for load in psutil.getloadavg()],
    }


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that is not below `share` of all: no interpolation between a few."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def say(message: str) -> None:
    """One line of progress."""
    print(f"[{time.monotonic() - STARTED:6.1f} s] {message}", file=sys.stderr, flush=True)
