"""How much memory there is for a new process: what the machine and its control groups leave.

A service's limit, as MemoryMax= of systemd, is that of the control group it runs in, or of one of those around it.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

import psutil

from rag_assets.errors import NotEnoughMemory

CGROUPS, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
FILES = {  # by what /proc/self/cgroup calls the hierarchy: its folder, and the names of limit and use
    "": ("", "memory.max", "memory.current"),  # version 2
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),  # version 1
}


def require(needed_bytes: int) -> None:
    """Raise NotEnoughMemory, naming both numbers, unless so much is available."""
    available = available_bytes()
    if available < needed_bytes:
        raise NotEnoughMemory(available_bytes=available, needed_bytes=needed_bytes)


def available_bytes(*, cgroups: Path | None = None, own: Path | None = None) -> int:
    """What a new process could take without swapping or meeting a control group's limit.

    `own` is the file that says in which groups this process is, and `cgroups` the folder where groups are; the system's
    where none is given.
    """
    return min([int(psutil.virtual_memory().available), *_left_in_cgroups(cgroups or CGROUPS, own or OWN)])


def _left_in_cgroups(root: Path, own: Path) -> Iterator[int]:
    """What the limit of each group leaves in which this process is; page cache that can be dropped counts as free."""
    for controllers, group in _groups(own):
        for controller in FILES.keys() & set(controllers.split(",")):
            folder, limit, used = FILES[controller]
            for each in _with_parents(root / folder, group):
                with suppress(OSError, ValueError):  # "max" is no number: no limit
                    most = int((each / limit).read_text())
                    yield max(0, most - int((each / used).read_text()) + _droppable(each))


def _groups(own: Path) -> list[tuple[str, str]]:
    """The controllers of each hierarchy and our group in it; the roots where nothing says that."""
    with suppress(OSError, ValueError):
        rows = [line.split(":", 2) for line in own.read_text().splitlines()]
        return [(controllers, group) for _, controllers, group in rows]
    return [(controller, "/") for controller in FILES]


def _with_parents(root: Path, group: str) -> Iterator[Path]:
    """The folder of the group and those around it, to the root, where a container has its own however it is named."""
    parts = [part for part in PurePosixPath(group).parts if part not in ("/", "..")]
    for count in range(len(parts), -1, -1):
        yield root.joinpath(*parts[:count])


def _droppable(folder: Path) -> int:
    """Page cache in bytes: version 1 counts that of the groups below as total_inactive_file, version 2 at once."""
    with suppress(OSError, ValueError):
        rows = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return int(rows.get("total_inactive_file") or rows.get("inactive_file") or 0)
    return 0
