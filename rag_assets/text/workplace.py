"""A child process's own folder, below the system's for temporary files; those of owners that were killed go first."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO

PREFIX = "rag-assets-text-"
OWNER = "owner"  # a file that its owner keeps locked; on Windows, open: there it cannot be removed then


@contextmanager
def workplace() -> Iterator[Path]:
    """An empty folder, for as long as this is open; what is left of it by a kill, a later owner removes."""
    _remove_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        with _owned(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # Windows: a scanner may hold a file a moment longer


if sys.platform == "win32":

    def _owned(folder: Path) -> IO[bytes]:
        return (folder / OWNER).open("wb")

    def _require_abandoned(folder: Path) -> None:
        os.unlink(folder / OWNER)

else:
    import fcntl

    def _owned(folder: Path) -> IO[bytes]:
        held = (folder / "new").open("wb")
        fcntl.flock(held, fcntl.LOCK_EX)
        (folder / "new").rename(folder / OWNER)  # only now it says something
        return held

    def _require_abandoned(folder: Path) -> None:
        with (folder / OWNER).open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)


@cache
def _remove_abandoned() -> None:
    """Once per process. Of others' folders there is nothing to see."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # it has an owner, maybe in another container, or is just going
            _require_abandoned(folder)
            shutil.rmtree(folder, ignore_errors=True)
