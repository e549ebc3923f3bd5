"""Lines of any width: nothing is lost, nothing is wider than the terminal."""

import pytest

from rag_assets import wrapping

TEXT = "    label  A few words, averylongwordthatfitsinnonarrowline, 日本語の文字列, and cafe\u0301 at the end"


@pytest.mark.parametrize("columns", [1, 2, 12, 13, 20, 39, 40, 80, 1_000])
def test_wrapped_lines_fit_and_lose_nothing_when_the_terminal_is_of_any_width(columns: int) -> None:
    """Whatever the width; signs that take two columns are counted as two, where two are there."""
    lines = wrapping.wrapped(TEXT, indent=11, columns=columns).splitlines()
    assert "".join("".join(lines).split()) == "".join(TEXT.split())
    assert all(wrapping.cells(line) <= max(columns, 2) for line in lines)


def test_wrapped_lines_begin_below_the_text_of_the_first() -> None:
    """Labels stand alone in their column."""
    first, *others = wrapping.wrapped(TEXT, indent=11, columns=40).splitlines()
    assert first == "    label  A few words,"
    assert len(others) > 1
    assert all(line.startswith(" " * 11) and line[11] != " " for line in others)


def test_lines_stay_whole_when_they_go_to_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program reads them line by line."""
    monkeypatch.delenv("COLUMNS", raising=False)
    assert wrapping.width() is None
    assert wrapping.wrapped(TEXT, indent=11, columns=None) == TEXT
