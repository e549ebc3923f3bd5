"""Which private names of Dagster are used: each in one file, each with its reason, each there in this release."""

import ast
import importlib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import rag_assets
from rag_assets.defs import dagster_internals

PACKAGE = Path(rag_assets.__file__).parent


def private_names(file: Path) -> set[str]:
    """The names that a file imports from `dagster._*`, also inside functions."""
    found = [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)]
    return {f"{node.module}.{each.name}" for node in found for each in node.names if _is_private(node.module)}


def _is_private(module: str | None) -> bool:
    name, *parts = (module or "").split(".")
    return name.startswith("dagster") and any(part.startswith("_") for part in parts)


def test_private_names_of_dagster_are_listed_with_their_reasons() -> None:
    """Whoever raises Dagster's version has one list to look at, and it is the list of what is used."""
    assert private_names(Path(dagster_internals.__file__)) == set(dagster_internals.REASONS)
    assert all(dagster_internals.REASONS.values())


def test_private_names_of_dagster_are_in_one_file() -> None:
    """No other module reaches into Dagster."""
    others = [file for file in PACKAGE.rglob("*.py") if file != Path(dagster_internals.__file__)]
    assert {file.name: names for file in others if (names := private_names(file))} == {}


def test_dagster_that_these_tests_look_at_is_one_that_may_be_installed() -> None:
    """In an environment that is made anew, as .ci/run makes one, it is the newest release of the allowed range.

    For pip takes the newest one that pyproject.toml allows: so each release that users may get is looked at as soon as
    it is there, without a second installation. The range ends before the next minor version, which may take any
    private name away.
    """
    stated = [Requirement(each) for each in metadata.requires("rag-assets") or [] if each.startswith("dagster")]
    installed = {each.name: metadata.version(each.name) for each in stated if each.marker is None}
    assert {*installed} == {"dagster", "dagster-webserver", "dagster-postgres"}
    for each in stated:
        if each.name in installed:
            assert each.specifier.contains(installed[each.name])
            assert {one.operator for one in each.specifier} == {">=", "<"}


@pytest.mark.parametrize("name", dagster_internals.REASONS)
def test_private_name_of_dagster_is_there(name: str) -> None:
    """The release that is installed still has it, and has no public name for it."""
    module, _, attribute = name.rpartition(".")
    assert hasattr(importlib.import_module(module), attribute)
    assert not hasattr(importlib.import_module("dagster"), attribute), "use the public name"
