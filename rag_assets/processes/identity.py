"""Names for processes that are never used again, as process ids are. Standard library only on Linux."""

import os
import platform
import sys
from pathlib import Path


def host() -> str:
    """Name this machine and, on Linux, the container in it: where `identify` knows a process that was named by it.

    Containers of one machine may have one name, and each counts its processes from 1.
    """
    try:
        numbering = os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux
        return platform.node()
    return f"{platform.node()}/{''.join(filter(str.isdigit, numbering))}"


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
