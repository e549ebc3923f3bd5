"""Names for processes that are never used again, as process ids are. Standard library only on Linux."""

import sys
from pathlib import Path


def identify(pid: int) -> str | None:
    """Name a living process for ever: a process id alone is used again. None for the dead and for zombies."""
    try:
        state, start = _linux_process(pid) if sys.platform == "linux" else _other_process(pid)
    except (OSError, LookupError):
        return None
    return None if state in "ZX" else f"{pid}.{start}"


def _linux_process(pid: int) -> tuple[str, str]:
    # ticks since boot, not a time of day: clocks are adjusted, and a living user must not look dead then
    fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    return fields[0], f"{fields[19]}.{boot}"


def _other_process(pid: int) -> tuple[str, str]:
    import psutil

    try:
        return "R", str(int(psutil.Process(pid).create_time() * 1000))
    except psutil.Error as exc:
        raise LookupError(pid) from exc
