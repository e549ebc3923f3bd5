"""The house: each package says which of its modules does what, and each module has a suite that shows it."""

import importlib
import re
from pathlib import Path

import pytest

import rag_assets
from rag_assets_tests import house

ROOT = Path(rag_assets.__file__).parent
PACKAGES = sorted(file.parent for file in ROOT.rglob("__init__.py") if file.parent != ROOT)
MAP_LINES = 7


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_package_opens_with_a_map_of_its_modules(folder: Path) -> None:
    """Of a few lines, so that it is read; the rooms of the root are in docs/architecture.md."""
    package = importlib.import_module(".".join((ROOT.name, *folder.relative_to(ROOT).parts)))
    lines = [line for line in (package.__doc__ or "").splitlines() if line.strip()]
    assert len(lines) <= MAP_LINES
    modules = {file.stem for file in folder.glob("*.py")} | {file.parent.name for file in folder.glob("*/__init__.py")}
    assert modules - {"__init__"} <= {*re.findall(r"\w+", package.__doc__ or "")}


def test_rooms_of_the_root_are_in_the_architecture() -> None:
    """Its packages; and each module of the root is a command's, or named."""
    text = (ROOT.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert [each.name for each in PACKAGES if each.parent == ROOT and f"`{each.name}/`" not in text] == []


def test_each_module_is_shown_by_a_suite() -> None:
    """One of its name, or the one that SHOWN_BY names, which must be there."""
    assert house.figures(ROOT.parent)["which have none"] == "none"


def test_urllib3_comes_in_by_one_door() -> None:
    """Threads that import different parts of it first may get half a module, so that a search ended in an error."""
    brings = re.compile(r"^\s*(?:from|import) urllib3", re.MULTILINE)
    found = {file.name for file in ROOT.rglob("*.py") if brings.search(file.read_text(encoding="utf-8"))}
    assert found == {"connections.py", "waiting.py"}  # the latter on a connection that is open
