"""Log files that are kept from filling the disk while other programs append to them. Standard library only."""

import os
from contextlib import suppress
from pathlib import Path

LOG_BYTES = 8 * 2**20  # of the log file and of its predecessor, each


def bound(log: Path, *, most_bytes: int = LOG_BYTES) -> None:
    """Keep the newest part of a log; its writer appends through its own handle, so the file is emptied in place."""
    with suppress(OSError):
        if log.stat().st_size > most_bytes:
            import shutil

            shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)
