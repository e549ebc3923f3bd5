"""How much memory there is for a new process: what the machine and its control groups leave."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from rag_assets.errors import NotEnoughMemory

CGROUPS = Path("/sys/fs/cgroup")


def require(needed_bytes: int) -> None:
    """Raise NotEnoughMemory, naming both numbers, unless so much is available."""
    available = available_bytes()
    if available < needed_bytes:
        raise NotEnoughMemory(available_bytes=available, needed_bytes=needed_bytes)


def available_bytes() -> int:
    """What a new process could take without swapping or meeting a control group's limit."""
    return min([int(psutil.virtual_memory().available), *_left_in_cgroups(CGROUPS)])


def _left_in_cgroups(root: Path) -> Iterator[int]:
    """Limit less use; page cache that can be dropped counts as free. Version 2 first, then version 1."""
    for folder, limit, used in (
        (root, "memory.max", "memory.current"),
        (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        with suppress(OSError, ValueError):  # "max" is no number: no limit
            most = int((folder / limit).read_text())
            yield most - int((folder / used).read_text()) + _droppable(folder)


def _droppable(folder: Path) -> int:
    with suppress(OSError):
        rows = [line.split() for line in (folder / "memory.stat").read_text().splitlines()]
        return sum(int(value) for name, value in rows if name in ("inactive_file", "total_inactive_file"))
    return 0
