"""Log lines: readable by a person, or one JSON object for each, whatever they hold."""

import json
import logging
from collections.abc import Iterator

import pytest

from rag_assets import logs


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """Ours; levels and handlers are as they were before when the test is over."""
    logger, root = logging.getLogger("rag_assets"), logging.getLogger()
    handlers, level = root.handlers, logger.level
    yield logger
    root.handlers = handlers
    logger.setLevel(level)


def test_json_line_is_one_object(logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    """Also with line breaks and a traceback in it; standard output stays for results."""
    logs.configure("json")
    try:
        raise ValueError("a\nb")
    except ValueError:
        logging.getLogger("rag_assets.pipeline").warning("Grüße\n%d", 7, exc_info=True)
    shown = capsys.readouterr()
    [line] = shown.err.splitlines()
    entry = json.loads(line)
    assert (entry["level"], entry["logger"], entry["message"]) == ("WARNING", "rag_assets.pipeline", "Grüße\n7")
    assert "ValueError: a\nb" in entry["traceback"]
    assert entry["time"].endswith("+00:00")
    assert shown.out == ""


def test_lines_come_once_when_configured_twice(logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    """And below the level that was asked for, not at all."""
    logs.configure("pretty")
    logs.configure("pretty")
    logger.info("quiet")
    logger.warning("loud")
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith("WARNING rag_assets loud")


def test_lines_of_libraries_look_like_ours(logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    """Also those that are logged without a name, which would give the root a handler of its own."""
    logs.configure("json")
    logging.warning("Retrying failed database connection")
    [line] = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "Retrying failed database connection"
