"""A private folder for as long as it is open; those of owners that were killed are removed by later ones."""

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO

OWNER_FILE = "owner"  # a file that its owner keeps locked; on Windows, open: there it cannot be removed then


@contextmanager
def workplace(prefix: str, *, below: Path | None = None) -> Iterator[Path]:
    """A new folder that only our account may enter, `below` a folder of ours or that for temporary files.

    Its name begins with `prefix`, by which a later owner finds what a kill has left.
    """
    if below is not None:
        below.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = Path(tempfile.gettempdir()) if below is None else below
    _remove_abandoned(place, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    try:
        with _owned(folder):
            yield folder
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    """Delete it with all that is in it, as far as that can be done."""
    with suppress(RecursionError):  # folders in folders, a thousand deep
        shutil.rmtree(folder, ignore_errors=True)  # Windows: a scanner may hold a file a moment longer


@cache
def _remove_abandoned(place: Path, prefix: str) -> None:
    """Once per process. In a folder that all may write to, names say nothing: only what is ours is touched."""
    with suppress(OSError), os.scandir(place) as entries:
        for entry in [entry for entry in entries if entry.name.startswith(prefix)]:
            with suppress(OSError):  # it has an owner, maybe in another container, or is just going
                if is_ours(Path(entry.path)):
                    _require_abandoned(Path(entry.path))
                    remove(Path(entry.path))


def is_ours(folder: Path) -> bool:
    """Whether it is a folder, no link to one, of our account, and nobody else may enter it; OSError."""
    if sys.platform == "win32":  # folders for temporary files belong to one account there
        return folder.is_dir()
    facts = folder.lstat()
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid() and not facts.st_mode & 0o077


if sys.platform == "win32":

    def _owned(folder: Path) -> IO[bytes]:
        return (folder / OWNER_FILE).open("wb")

    def _require_abandoned(folder: Path) -> None:
        os.unlink(folder / OWNER_FILE)

else:
    import fcntl

    def _owned(folder: Path) -> IO[bytes]:
        held = (folder / "new").open("wb")
        fcntl.flock(held, fcntl.LOCK_EX)
        (folder / "new").rename(folder / OWNER_FILE)  # only now it says something
        return held

    def _require_abandoned(folder: Path) -> None:
        held = os.open(folder / OWNER_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # nothing is waited for
        try:
            if not stat.S_ISREG(os.fstat(held).st_mode):
                raise FileExistsError(f"{folder / OWNER_FILE} is no file of ours")
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(held)
