"""Cells to Markdown: a row is a line, and no text is markup by accident."""

import pytest

from rag_assets.text.formats import markup


def test_rows_are_filled_up_and_empty_ones_left_out_when_they_are_uneven() -> None:
    """As wide as the widest row that says something."""
    rows = [["a", "b|c", ""], ["", ""], ["1"]]
    assert markup.table(rows) == "| a | b\\|c |\n| --- | --- |\n| 1 |  |"


def test_table_is_empty_when_no_cell_has_text() -> None:
    """Not a header of nothing."""
    assert markup.table([["", " "], []]) == ""


@pytest.mark.parametrize("line", ["# one", "```", "~~~~", "===", "---"])
def test_prose_is_no_markup_when_it_begins_like_some(line: str) -> None:
    """A backslash before it says so."""
    assert markup.prose(f"words\n{line}") == f"words\n\\{line}"


@pytest.mark.parametrize(
    ("text", "target", "shown"),
    [
        ("the page", "https://example.org/a b", "[the page](https://example.org/a%20b)"),
        ("the page", "other.html", "the page"),
        ("https://example.org", "https://example.org/", "https://example.org"),
        ("a@b.example", "mailto:a@b.example", "a@b.example"),
        ("a [1]", "https://example.org/", "a [1]"),
    ],
)
def test_link_is_written_when_it_leads_out_and_is_not_its_own_words(text: str, target: str, shown: str) -> None:
    """What leads nowhere outside of the document is its words alone."""
    assert markup.link(text, target) == shown


@pytest.mark.parametrize(("code", "fence"), [("x = 1", "```"), ("a ``` b", "````"), ("`````\n", "``````")])
def test_fence_is_longer_than_what_is_in_the_listing(code: str, fence: str) -> None:
    """A listing of Markdown does not end at the first fence of its own."""
    assert markup.fence(code) == fence


@pytest.mark.parametrize(("level", "mark"), [(-1, "#"), (1, "#"), (6, "######"), (9, "######")])
def test_heading_has_one_of_six_levels(level: int, mark: str) -> None:
    """Markdown knows no others."""
    assert markup.heading("a\n b", level) == f"{mark} a b"
