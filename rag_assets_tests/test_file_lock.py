"""A lock file is held by one at a time, and by nobody once its holder is gone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rag_assets.processes import file_lock

HOLDER = """
import pathlib, sys, time
from rag_assets.processes import file_lock
with file_lock.locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_lock_is_refused_to_a_second_and_free_again_when_its_holder_is_killed(tmp_path: Path) -> None:
    """The system frees it: no clean-up of the holder is needed."""
    path = tmp_path / "folder" / "lock"
    file_lock.make_lock(path)
    assert not file_lock.is_locked(path)
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline().strip() == b"held"
            assert file_lock.is_locked(path)
            with pytest.raises(TimeoutError, match="still locked"), file_lock.locked(path, patience=0.0):
                pass
        finally:
            holder.kill()
    with file_lock.locked(path, patience=60.0):
        assert file_lock.is_locked(path)
    assert not file_lock.is_locked(path)


def test_lock_is_held_by_nobody_when_there_is_no_file(tmp_path: Path) -> None:
    """And none is made by asking."""
    assert not file_lock.is_locked(tmp_path / "lock")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="permissions and links of POSIX")
def test_lock_is_refused_when_a_link_lies_in_its_place(tmp_path: Path) -> None:
    """What it leads to is neither locked nor changed; a file that others could open is made private."""
    path, target = tmp_path / "lock", tmp_path / "target"
    target.touch(mode=0o644)
    path.symlink_to(target)
    with pytest.raises(OSError, match="lock"), file_lock.locked(path, patience=0.0):
        pass
    target.chmod(0o644)
    with file_lock.locked(target, patience=60.0):
        assert target.stat().st_mode & 0o777 == 0o600
