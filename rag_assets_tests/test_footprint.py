"""How much memory all processes take together: each page once, no process left out."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from rag_assets import footprint

SIZE = 64 * 2**20
CHILD = f"import sys; held = bytearray(b'x') * {SIZE}; print('up', flush=True); sys.stdin.read()"


@contextmanager
def child() -> Iterator[int]:
    """A process that holds SIZE bytes of its own."""
    command = [sys.executable, "-c", CHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid


def test_children_are_counted(tmp_path: Path) -> None:
    """What a child holds is part of the sum while it lives, and only then."""
    before = footprint.total_bytes(os.getpid(), home=tmp_path)
    with child() as pid:
        alone = footprint.total_bytes(pid, home=tmp_path)
        together = footprint.total_bytes(os.getpid(), home=tmp_path)
    assert SIZE < alone < 2 * SIZE
    assert together - before > SIZE * 0.9
    assert footprint.total_bytes(os.getpid(), home=tmp_path) < together - SIZE * 0.9


def test_the_database_of_the_home_is_counted(tmp_path: Path) -> None:
    """It is nobody's child, and found by the file that it keeps."""
    data = tmp_path / "postgres" / "data"
    data.mkdir(parents=True)
    with child() as pid:
        (data / "postmaster.pid").write_text(f"{pid}\n/somewhere\n")
        assert footprint.total_bytes(2**22 + 1, home=tmp_path) > SIZE, "and the other pid is nobody's"


@pytest.mark.parametrize("content", ["", "none\n", "4194305\n"])
def test_a_database_that_is_gone_takes_nothing(tmp_path: Path, content: str) -> None:
    """A file that was left behind, or is being written, is no error."""
    data = tmp_path / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "postmaster.pid").write_text(content)
    assert footprint.total_bytes(2**22 + 1, home=tmp_path) == 0


def test_process_whose_pages_the_system_does_not_tell_counts_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the system is none of ours: sampling goes on."""

    def refused(_process: psutil.Process) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(psutil.Process, "memory_full_info", refused)
    with child():
        assert footprint.total_bytes(os.getpid(), home=tmp_path) > SIZE


def test_peak_is_that_of_the_largest_moment(tmp_path: Path) -> None:
    """Also when it has passed at the end."""
    with footprint.Watch(tmp_path, interval_seconds=0.01) as watch:
        with child():
            deadline = time.monotonic() + 120
            while watch.peak_bytes < SIZE and time.monotonic() < deadline:
                time.sleep(0.01)
        peak = watch.peak_bytes
    assert watch.peak_bytes >= peak > SIZE
