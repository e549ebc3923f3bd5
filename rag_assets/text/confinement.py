"""What a parser's process may not do: grow, spawn, reach a network, outlive its parent."""

import ctypes
import os
import sys
from typing import Any

from rag_assets.text import seccomp

SHARED_BYTES = 64 * 2**20  # code of libraries: in the resident size, but not in what RLIMIT_DATA counts
ADDRESS_SPACE = 2**30  # beyond the memory limit, for what is mapped and never touched
OPEN_FILES = 64
FILE_BYTES = 16 * 2**20  # the largest file that can be written, the log included

EXIT_OUT_OF_MEMORY = 71  # status of a process that could not even say so

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_REFUSED = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "pty.")


def confine(*, memory: int) -> None:
    """Limit the calling process for good; to be called before its first thread, and before any document.

    On Linux the kernel enforces the limits, ends the process with its parent, and refuses sockets and new
    processes (on x86-64 and ARM64); where it lets us make namespaces, the process has no network interface and,
    unless it is root's, cannot look into its parent. Everywhere, an audit hook refuses sockets and processes to
    Python code: that guards against libraries that follow a link in a document, not against machine code.
    Files can be read as the account may; only the environment and the pipes are without secrets.
    """
    if sys.platform == "linux":
        _leave_network()
        _die_with_parent()
    if os.name != "nt":
        _limit(memory)
    seccomp.install()
    sys.addaudithook(_refuse)


def memory() -> dict[str, int]:
    """Bytes that this process has in memory, and the most it has had; 0 where the system does not say."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            facts = dict(line.split(":", 1) for line in status)
        return {"memory": _kibibytes(facts["VmRSS"]), "peak": _kibibytes(facts["VmHWM"])}
    except (OSError, KeyError, ValueError):
        return {"memory": 0, "peak": 0}


def _kibibytes(line: str) -> int:
    return int(line.split()[0]) * 1024


def _refuse(event: str, _arguments: tuple[Any, ...]) -> None:
    if event.startswith(_REFUSED):
        raise PermissionError(f"{event} is refused to the text worker")


def _limit(memory: int) -> None:
    import resource

    for name, value in (
        ("RLIMIT_DATA", memory - SHARED_BYTES),
        ("RLIMIT_AS", memory + ADDRESS_SPACE),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_NOFILE", OPEN_FILES),
        ("RLIMIT_FSIZE", FILE_BYTES),
    ):
        _, hard = resource.getrlimit(getattr(resource, name))
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(getattr(resource, name), (allowed, allowed))


def _leave_network() -> None:
    """Into a network namespace without any interface; needs root, or user namespaces that anybody may make.

    Root does not enter one of those: there it could read its own files only.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0 and os.geteuid() != 0:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)


def _die_with_parent() -> None:
    """Where it died before this call, the end of the request pipe tells."""
    import signal

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
