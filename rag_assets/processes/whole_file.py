"""Files that are there whole or not at all, whenever their writer is killed. Standard library only."""

import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCANNED_SECONDS = 10.0  # how long a virus scanner on Windows may hold what was just written


@contextmanager
def replacing(target: Path, *, mode: int = 0o666) -> Iterator[Path]:
    """A new, empty file beside `target` to write to; it takes the place of `target` when the block ends well.

    Otherwise it is removed, and `target` is as it was. `mode` holds what the umask leaves of it. Before the file takes
    its place, what was written is on the disk. Raises OSError where the folder takes no file.
    """
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.draft")
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    try:
        yield draft
        with draft.open("rb+") as written:
            os.fsync(written.fileno())
        rename(draft, target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def rename(source: Path, target: Path) -> None:
    """Give a file or folder the place of `target`; on Windows again for a while where somebody has it open. OSError."""
    deadline = time.monotonic() + (SCANNED_SECONDS if sys.platform == "win32" else 0)
    while True:
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.1)
