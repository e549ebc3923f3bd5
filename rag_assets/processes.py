"""Child processes that cannot outlive this one."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import psutil

from rag_assets import job

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

# Windows: Ctrl-C, and what `ask` sends.
INTERRUPTS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]
POLL_SECONDS = 0.02  # between looks at whether processes have ended
_NEW_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
_CREATION_FLAGS = _NEW_GROUP | job.CREATE_SUSPENDED if os.name == "nt" else 0


def free_port(host: str, *, wanted: int = 0) -> int:
    """The wanted port, or any other that is free now; OSError when the host is no address of this machine."""
    with socket.socket() as probe:
        if sys.platform != "win32":  # there it would allow to share a port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError:
            if not wanted:
                raise
            return free_port(host)
        return int(probe.getsockname()[1])


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
    job.enclose(process)
    return process


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
        for name in before:
            signal.signal(name, lambda *_: None)  # not SIG_IGN, which children would have from us
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


def stop_tree(pid: int, *, seconds: float) -> None:
    """Ask a process to end, wait, then kill it and every descendant that is left."""
    stop_trees([pid], seconds=seconds)


def stop_trees(pids: Sequence[int], *, seconds: float) -> None:
    """The same for several at once."""
    family: dict[int, psutil.Process] = {}
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            family |= {process.pid: process for process in (root, *root.children(recursive=True))}
    ask(pids)
    for process in _alive_after(list(family.values()), seconds=seconds):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    _alive_after(list(family.values()), seconds=seconds)


def _alive_after(family: Sequence[psutil.Process], *, seconds: float) -> list[psutil.Process]:
    """Wait for the end of all, at most so long; which are alive then.

    Not psutil.wait_procs: it waits for those, too, that have ended and that their parent has not asked about.
    """
    deadline = time.monotonic() + seconds
    while (alive := [process for process in family if _is_alive(process)]) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return alive


def _is_alive(process: psutil.Process) -> bool:
    try:
        process.wait(timeout=0)  # which also buries a child of ours
    except psutil.TimeoutExpired:
        with suppress(psutil.NoSuchProcess):
            return process.status() != psutil.STATUS_ZOMBIE
    return False


def children(pid: int | None) -> list[int]:
    """The processes that it started itself; none when it is gone."""
    with suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(pid).children()] if pid is not None else []
    return []


def owns_port(pid: int | None, port: int) -> bool:
    """Whether it is this process, or one that it started, that takes connections at a TCP port of this machine."""
    with suppress(psutil.Error):
        if pid is not None:
            root = psutil.Process(pid)
            family = (root, *root.children(recursive=True))  # on Windows, a virtual environment's Python starts another
            return any(_listens(process, port) for process in family)
    return False


def _listens(process: psutil.Process, port: int) -> bool:
    connections = process.net_connections("tcp")
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in connections)


def ask(pids: Iterable[int]) -> None:
    """Tell processes to end, and do not wait for them."""
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            if os.name == "nt":
                psutil.Process(pid).send_signal(signal.CTRL_BREAK_EVENT)  # type: ignore[attr-defined, unused-ignore]
            else:
                psutil.Process(pid).terminate()


def _guarded(command: Sequence[str]) -> list[str]:
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
