"""A file is replaced whole, or stays as it was."""

import os
from pathlib import Path

import pytest

from rag_assets.processes import whole_file


def test_file_is_replaced_when_all_is_written(tmp_path: Path) -> None:
    """Until then, readers find the former one; nothing is left beside it."""
    target = tmp_path / "a.json"
    target.write_text("old")
    with whole_file.replacing(target) as draft:
        draft.write_text("new")
        assert target.read_text() == "old"
    assert (target.read_text(), os.listdir(tmp_path)) == ("new", ["a.json"])


@pytest.mark.parametrize("before", [None, "old"])
def test_file_stays_as_it_was_when_its_writer_fails(tmp_path: Path, before: str | None) -> None:
    """Half of it is removed."""
    target = tmp_path / "a.json"
    if before is not None:
        target.write_text(before)
    with pytest.raises(KeyboardInterrupt):
        _write_half(target)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == ([("a.json", before)] if before else [])


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
def test_file_is_private_from_the_beginning_when_its_mode_says_so(tmp_path: Path) -> None:
    """Not only once it is complete."""
    with whole_file.replacing(tmp_path / "key", mode=0o600) as draft:
        assert draft.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def _write_half(target: Path) -> None:
    with whole_file.replacing(target) as draft:
        draft.write_text("half")
        raise KeyboardInterrupt
