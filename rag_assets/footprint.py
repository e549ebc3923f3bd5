"""How much memory all processes of this project take together."""

import os
import threading
from contextlib import suppress
from pathlib import Path

import psutil

INTERVAL_SECONDS = 0.25


class Watch:
    """Samples the memory of this process, its descendants and the home's PostgreSQL while it is open.

    `peak_bytes` is the largest sum seen of proportional set sizes (shared pages are counted once), or of
    resident set sizes where the system knows no others.
    """

    def __init__(self, home: Path, *, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._home = home
        self._interval_seconds = interval_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="footprint", daemon=True)
        self.peak_bytes = 0

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(self._interval_seconds):
            self.peak_bytes = max(self.peak_bytes, total_bytes(os.getpid(), home=self._home))


def total_bytes(pid: int, *, home: Path) -> int:
    """The memory of this process tree and of the home's PostgreSQL, now."""
    processes: dict[int, psutil.Process] = {}
    for root in filter(None, (pid, _postgres_pid(home))):
        try:
            process = psutil.Process(root)
            processes |= {p.pid: p for p in (process, *process.children(recursive=True))}
        except psutil.NoSuchProcess:
            continue
    return sum(map(_bytes, processes.values()))


def _bytes(process: psutil.Process) -> int:
    try:
        memory = process.memory_full_info()
        return int(getattr(memory, "pss", memory.rss))
    except psutil.NoSuchProcess:
        return 0
    except (psutil.Error, OSError):  # of another account, or a system that knows no more
        with suppress(psutil.Error, OSError):
            return int(process.memory_info().rss)
        return 0


def _postgres_pid(home: Path) -> int | None:
    try:
        return int((home / "postgres" / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
