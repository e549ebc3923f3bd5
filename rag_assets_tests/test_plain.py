"""Plain text: pages of form feeds, and logs that move the pen of a terminal."""

from rag_assets_tests.reading import read


def test_log_in_colors_is_text() -> None:
    """What moves a terminal's pen is neither text nor a sign of a binary file."""
    assert read("\x1b[1;32mok\x1b[0m\n\x1b[31mno\x1b[0m\n", "a.log").text == "ok\nno\n"


def test_plain_form_feeds_are_pages() -> None:
    """Pages of an RFC are pages."""
    parsed = read("one\fa", "rfc.txt")
    assert (parsed.text, parsed.page_offsets) == ("one\na", (0, 4))
