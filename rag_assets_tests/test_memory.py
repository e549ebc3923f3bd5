"""Memory for a new process: the machine's, and no more than the control groups leave."""

from pathlib import Path

import psutil
import pytest

from rag_assets.errors import NotEnoughMemory
from rag_assets.processes import memory

MB = 1_000_000
VERSION_2 = {"memory.max": "1000", "memory.current": "700", "memory.stat": "anon 500\ninactive_file 150\n"}
VERSION_1 = {
    "memory/memory.limit_in_bytes": "1000",
    "memory/memory.usage_in_bytes": "700",
    "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 150\n",
}


def groups(root: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(content)
    monkeypatch.setattr(memory, "CGROUPS", root)
    monkeypatch.setattr(memory, "OWN", root / "none")


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


def group(folder: Path, limit: object, used: int, *, cache: int = 0) -> None:
    """A control group of version 2."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cache}\n")


def own(place: Path, text: str) -> Path:
    file = place / "own"
    file.write_text(text)
    return file


@pytest.mark.parametrize(("service", "slice_limit", "left"), [(60, 900, 20), (900, 60, 30), ("max", 60, 30)])
def test_limit_of_a_service_is_kept_when_it_is_below_the_machines(
    tmp_path: Path, service: object, slice_limit: int, left: int
) -> None:
    """As systemd's MemoryMax: of the unit itself, or of the slice around it, whichever leaves less."""
    limit = service * MB if isinstance(service, int) else service
    group(tmp_path / "system.slice", slice_limit * MB, 30 * MB)
    group(tmp_path / "system.slice" / "rag-assets.service", limit, 45 * MB, cache=5 * MB)
    file = own(tmp_path, "0::/system.slice/rag-assets.service\n")
    assert memory.available_bytes(cgroups=tmp_path, own=file) == left * MB


def test_limit_of_version_1_is_kept(tmp_path: Path) -> None:
    """Its groups are below a folder for memory; what the page cache of all groups below takes is free."""
    folder = tmp_path / "memory" / "outer" / "inner"
    folder.mkdir(parents=True)
    (folder.parent / "memory.limit_in_bytes").write_text(str(50 * MB))
    (folder.parent / "memory.usage_in_bytes").write_text(str(20 * MB))
    (folder.parent / "memory.stat").write_text(f"inactive_file 1\ntotal_inactive_file {3 * MB}\n")
    file = own(tmp_path, "5:devices:/\n4:cpu,memory:/outer/inner\n0::/\n")
    assert memory.available_bytes(cgroups=tmp_path, own=file) == 33 * MB


@pytest.mark.parametrize("named", ["0::/\n", "0::/../../elsewhere\n", "0::/not/in/this/container\n", None])
def test_limit_of_a_container_is_kept(tmp_path: Path, named: str | None) -> None:
    """Its group is the root of what is seen in it, however it is named."""
    group(tmp_path, 40 * MB, 10 * MB)
    file = own(tmp_path, named) if named else tmp_path / "none"
    assert memory.available_bytes(cgroups=tmp_path, own=file) == 30 * MB


def test_nothing_is_left_when_a_group_is_over_its_limit(tmp_path: Path) -> None:
    """No negative number is shown to anybody."""
    group(tmp_path, 40 * MB, 50 * MB)
    assert memory.available_bytes(cgroups=tmp_path, own=own(tmp_path, "0::/\n")) == 0
