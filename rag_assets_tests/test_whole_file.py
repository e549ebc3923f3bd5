"""A file is replaced whole, or stays as it was."""

import os
import sys
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


def test_file_that_a_scanner_holds_is_renamed_when_it_lets_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where nobody renames what somebody has open; elsewhere, a refusal is one for good."""
    refusals, replace = [PermissionError(), PermissionError()], os.replace

    def held(source: Path, target: Path) -> None:
        if refusals:
            raise refusals.pop()
        replace(source, target)

    (tmp_path / "new").write_text("whole")
    monkeypatch.setattr(os, "replace", held)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(PermissionError):
        whole_file.rename(tmp_path / "new", tmp_path / "a")
    monkeypatch.setattr(sys, "platform", "win32")
    whole_file.rename(tmp_path / "new", tmp_path / "a")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("a", "whole")]


def _write_half(target: Path) -> None:
    with whole_file.replacing(target) as draft:
        draft.write_text("half")
        raise KeyboardInterrupt
