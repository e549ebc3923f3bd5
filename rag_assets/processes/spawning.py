"""Child processes that cannot outlive this one."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rag_assets.processes import windows_job

# Runs between fork and exec of the real program, in a fresh interpreter without imports of its own (15 ms), because
# code of ours between fork and exec of a threaded process could deadlock. The kernel keeps the signal over exec.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
parent, command = int(sys.argv[1]), sys.argv[2:]
ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
if os.getppid() != parent:
    sys.exit("the parent ended before its child could start")
os.execvpe(command[0], command, os.environ)
"""

_NEW_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
_CREATION_FLAGS = _NEW_GROUP | windows_job.CREATE_SUSPENDED if os.name == "nt" else 0
_waited_for: "set[subprocess.Popen[str]]" = set()  # programs that threads of ours wait for


def spawn(command: Sequence[str], *, environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a program with its output appended to `log`; it is killed when the calling thread's process dies.

    On Linux the kernel sends the signal when the calling *thread* ends: call this from a thread that lives as
    long as the child. On Windows a kill-on-close job does the same: its handle is ours until we end.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            _guarded(command),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=os.name != "nt",  # Ctrl-C in the terminal is for the owner, who then stops us
            creationflags=_CREATION_FLAGS,
        )
    windows_job.enclose(process)
    return process


def run_to_end(command: Sequence[str], *, seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a program and wait for its end, with what it says; it is ended with this process, and by `end_all`.

    Raises subprocess.TimeoutExpired after so many seconds.
    """
    process = subprocess.Popen(
        _guarded(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=os.name != "nt",
        creationflags=_CREATION_FLAGS,
    )
    windows_job.enclose(process)
    _waited_for.add(process)
    with process:
        try:
            said, errors = process.communicate(timeout=seconds)
        except BaseException:
            process.kill()
            raise
        finally:
            _waited_for.discard(process)
    return subprocess.CompletedProcess(process.args, process.returncode, said, errors)


def end_all() -> None:
    """End the programs that other threads wait for by `run_to_end`, so that these threads end, too."""
    for process in list(_waited_for):
        process.kill()


def _guarded(command: Sequence[str]) -> list[str]:
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
