"""A process and all that it started: asked to end, waited for, and killed when they do not."""

import os
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

import psutil

MARK_VARIABLE = "RAG_ASSETS_OWNER"  # in the environment of all that one owner started, and that is to end with it
POLL_SECONDS = 0.02  # between looks at whether processes have ended


def stop_tree(pid: int, *, seconds: float) -> None:
    """Ask a process to end, wait, then kill it and every descendant that is left."""
    stop_trees([pid], seconds=seconds)


def stop_trees(pids: Sequence[int], *, seconds: float) -> None:
    """End several processes, each with all that it started, at once instead of one after the other."""
    family: dict[int, psutil.Process] = {}
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            family |= {process.pid: process for process in (root, *root.children(recursive=True))}
    terminate(pids)
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


def marked(mark: str) -> set[int]:
    """The living processes with this value of MARK_VARIABLE, also those whose parents have ended."""
    return {process.pid for process in psutil.process_iter() if _mark(process) == mark}


def _mark(process: psutil.Process) -> str | None:
    with suppress(psutil.Error):  # another account's, or it has just ended
        return None if process.status() == psutil.STATUS_ZOMBIE else process.environ().get(MARK_VARIABLE)
    return None


def terminate(pids: Iterable[int]) -> None:
    """Tell processes to end, and do not wait for them. On Windows, those that share no console with us are killed."""
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            if os.name == "nt":
                _break_off(psutil.Process(pid))
            else:
                psutil.Process(pid).terminate()


def _break_off(process: psutil.Process) -> None:
    try:
        process.send_signal(signal.CTRL_BREAK_EVENT)  # type: ignore[attr-defined, unused-ignore]
    except (OSError, SystemError):  # Python's own mistake: a service has no console, and it should say OSError
        process.kill()
