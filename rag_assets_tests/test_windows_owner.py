"""Whose a file of Windows is, and what leads elsewhere."""

import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from rag_assets.processes import windows_owner


@pytest.mark.skipif(sys.platform == "win32", reason="there, files have owners of its kind")
def test_there_is_no_owner_elsewhere(tmp_path: Path) -> None:
    """None is told from any identifier."""
    assert windows_owner.owner(tmp_path) is None


@pytest.mark.skipif(sys.platform != "win32", reason="Windows has its own owners")
def test_a_file_and_its_folder_are_ours(tmp_path: Path) -> None:
    """By an identifier of the system; of what is not there, none is told."""
    file = tmp_path / "ä file"
    file.touch()
    found = windows_owner.owner(file)
    assert found == windows_owner.owner(tmp_path)
    assert found is not None
    assert found.startswith("S-1-5-")
    with pytest.raises(OSError, match="none"):
        windows_owner.owner(tmp_path / "none")


def test_a_link_leads_elsewhere(tmp_path: Path) -> None:
    """A folder does not, nor does a file."""
    file = tmp_path / "file"
    file.touch()
    assert not windows_owner.leads_elsewhere(tmp_path)
    assert not windows_owner.leads_elsewhere(file)
    link = tmp_path / "link"
    with suppress(OSError):
        link.symlink_to(file)
    if not os.path.lexists(link):
        pytest.skip("no link is made here: this account may not, or Wine, which then says nothing")
    assert windows_owner.leads_elsewhere(link)
