"""Markdown: front matter becomes facts of the document, and the rest stays as it is written."""

import pytest

from rag_assets_tests.reading import read


def test_markdown_front_matter_and_comments() -> None:
    """Front matter becomes metadata, comments go, fences stay."""
    header = "---\ntitle: 'A: b'\ntags: [x, y]\nlist:\n  - one\n  - two\n---\n\n"
    source = f"{header}<!-- gone\n-->\nText\n\n```html\n<!-- kept -->\n```\n"
    parsed = read(source, "a.md")
    assert parsed.title == "A: b"
    assert parsed.metadata == {"title": "A: b", "tags": ["x", "y"], "list": ["one", "two"], "encoding": "utf-8"}
    assert parsed.text == "# A: b\n\nText\n\n```html\n<!-- kept -->\n```\n"


@pytest.mark.parametrize("heading", ["# Guide", "Guide\n====="])
def test_markdown_title_is_there_once(heading: str) -> None:
    """Also where it does not stand at the very top."""
    text = f"[TOC]\n\n{heading}\n\nText"
    assert read(f"---\ntitle: Guide\n---\n{text}", "a.md").text == text


def test_markdown_rule_is_no_front_matter() -> None:
    """A rule at the top is text."""
    assert read("---\n\nSome words\n\n---\n\nMore", "a.md").text.startswith("---\n\nSome words")
