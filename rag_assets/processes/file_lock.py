"""Lock files: held by one process at a time, freed by the system when their holder dies. Standard library only."""

import errno
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_SECONDS = 120.0  # longer than the start that somebody else may be at


def make_lock(path: Path) -> None:
    """Have a lock file there that other accounts cannot open: whoever can, can hold it for ever."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(_opened(path, os.O_CREAT))


@contextmanager
def locked(path: Path, *, patience: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the lock file `path`, waiting `patience` seconds; the system frees it when its holder dies."""
    handle = _opened(path)
    try:
        deadline = time.monotonic() + patience
        while not _lock_exclusively(handle):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} is still locked by another process after {patience:.0f} s")
            time.sleep(0.02)
        yield
    finally:
        os.close(handle)


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock file `path`."""
    try:
        handle = _opened(path)
    except FileNotFoundError:
        return False
    try:
        return not _lock_shared(handle)
    finally:
        os.close(handle)


def _opened(path: Path, flags: int = 0) -> int:
    """A descriptor of a lock file; OSError at once where something else is in its place."""
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOINHERIT"):
        flags |= getattr(os, name, 0)
    handle = os.open(path, flags | os.O_RDWR, 0o600)
    facts = os.fstat(handle)
    if not stat.S_ISREG(facts.st_mode):
        os.close(handle)
        raise FileExistsError(errno.EEXIST, "it is no file, and a lock is to be there", str(path))
    if os.name != "nt" and facts.st_mode & 0o077 and facts.st_uid == os.geteuid():
        os.fchmod(handle, 0o600)
    return handle


if sys.platform == "win32":
    import msvcrt

    def _lock_exclusively(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    _lock_shared = _lock_exclusively  # Windows has no other kind here; two who ask at once see each other
else:
    import fcntl

    def _lock_exclusively(handle: int) -> bool:
        return _flock(handle, fcntl.LOCK_EX)

    def _lock_shared(handle: int) -> bool:
        return _flock(handle, fcntl.LOCK_SH)

    def _flock(handle: int, kind: int) -> bool:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
