"""Memory for a new process: the machine's, and no more than the control groups leave."""

from pathlib import Path

import psutil
import pytest

from rag_assets.embedding import memory
from rag_assets.errors import NotEnoughMemory

VERSION_2 = {"memory.max": "1000", "memory.current": "700", "memory.stat": "anon 500\ninactive_file 150\n"}
VERSION_1 = {
    "memory/memory.limit_in_bytes": "1000",
    "memory/memory.usage_in_bytes": "700",
    "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 149\n",
}


def groups(root: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(content)
    monkeypatch.setattr(memory, "CGROUPS", root)


@pytest.mark.parametrize("files", [VERSION_2, VERSION_1], ids=["version 2", "version 1"])
def test_a_group_leaves_its_limit_less_use_but_for_cache(
    tmp_path: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of files that can be dropped count as free."""
    groups(tmp_path, files, monkeypatch)
    assert memory.available_bytes() == 450


@pytest.mark.parametrize("files", [{}, VERSION_2 | {"memory.max": "max"}], ids=["no groups", "no limit"])
def test_the_machine_decides_when_no_group_limits(
    tmp_path: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    groups(tmp_path, files, monkeypatch)
    assert 450 < memory.available_bytes() <= psutil.virtual_memory().total


def test_both_numbers_are_named_when_memory_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there is enough for as much, and for not a byte more."""
    groups(tmp_path, VERSION_2, monkeypatch)
    memory.require(450)
    with pytest.raises(NotEnoughMemory) as info:
        memory.require(451)
    assert (info.value.available_bytes, info.value.needed_bytes) == (450, 451)
