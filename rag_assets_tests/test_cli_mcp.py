"""The command rag-assets mcp."""

import pytest

from rag_assets import cli


def test_command_says_what_to_install_when_the_extra_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of a traceback."""
    from click.testing import CliRunner

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    answer = CliRunner().invoke(cli.main, ["mcp"])
    assert answer.exit_code == 1
    assert "rag-assets[mcp]" in answer.output
