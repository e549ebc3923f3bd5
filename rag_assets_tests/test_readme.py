"""The README is true: its settings are the defaults, its commands exist, its table is the parser's."""

import re
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest

from rag_assets import settings
from rag_assets.cli import main
from rag_assets.text import parsing

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_settings_shown_are_the_defaults() -> None:
    """Every setting of the block exists, and has the value that is used without it."""
    [block] = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    sections: dict[str, dict[str, Any]] = tomllib.loads(block)
    sections["source"]["path_map"] = {}
    for name, shown in sections.items():
        defaults = settings.Settings.model_fields[name].default.model_dump(mode="json")
        assert shown == {key: defaults[key] for key in shown}


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`rag-assets ([a-z-]+)[^`]*` \|", README))))
def test_command_shown_exists(command: str) -> None:
    """Each row of the table of commands is one."""
    assert isinstance(main.commands[command], click.Command)


def test_every_command_is_shown() -> None:
    """None is left out."""
    assert set(main.commands) == set(re.findall(r"`rag-assets ([a-z-]+)[^`]*` \|", README))


def test_formats_shown_are_those_that_are_read() -> None:
    """The table is the registry's own."""
    assert parsing.table() in README


def test_formats_are_all_described() -> None:
    """The page on formats has a part for each, and none for others."""
    page = (Path(__file__).parents[1] / "docs" / "formats.md").read_text(encoding="utf-8")
    named = [name for heading in re.findall(r"^## (.+)$", page, re.MULTILINE) for name in heading.split(", ")]
    assert sorted(named) == sorted(known.name for known in parsing.FORMATS)
