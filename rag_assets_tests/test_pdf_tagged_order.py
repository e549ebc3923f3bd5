"""PDF: a tagged page is read in the order of its tags, where these can be believed."""

from collections.abc import Sequence

import pytest

from rag_assets_tests.pdf_pages import (
    ARTICLES,
    GRID,
    Node,
    column,
    marked,
    prose,
    read,
    show,
    tagged,
)


def paragraphs(*order: int) -> list[Node]:
    return [("Document", [("P", [at]) for at in order])]


def places(text: str, parts: Sequence[str]) -> list[int]:
    flat = " ".join(text.split())
    return [flat.index(" ".join(part.split())) for part in parts]


def test_articles_in_a_grid_are_read_in_the_order_of_their_tags() -> None:
    """Row by row, where the page alone looks like two columns; and column by column, where the tags say so."""
    firsts = [lines[0] for lines in ARTICLES]
    for order in ((0, 1, 2, 3), (0, 2, 1, 3)):
        text = read(tagged(marked(GRID), paragraphs(*order), count=4)).text
        assert places(text, [firsts[at] for at in order]) == sorted(places(text, firsts))


def test_a_note_stands_where_its_tag_has_it() -> None:
    """The text goes on after it, as whole as before."""
    parts = [column(40, 700, prose(3, seed=1)), column(40, 100, ["1 This is a note."]), column(40, 600, ["Then more."])]
    text = read(tagged(marked(parts), paragraphs(0, 1, 2), count=3)).text
    assert places(text, ["1 This is a note.", "Then more."]) == sorted(places(text, ["1 This", "Then more."]))


def test_a_side_note_and_the_heading_beside_its_last_line_are_two_lines() -> None:
    """What stands right of a whole note is no part of it."""
    parts = [
        column(200, 700, prose(5, seed=1)),
        column(40, 680, ["Some small", "words of", "a note", "end here."]),
        show("Next chapter", 200, 642, font="F2"),
        column(200, 620, prose(5, seed=2)),
    ]
    text = read(tagged(marked(parts), paragraphs(0, 1, 2, 3), count=4)).text
    assert "end here.\n" in text
    assert "# Next chapter" in text


@pytest.mark.parametrize("order", [(3, 1, 2, 0, 7, 5, 6, 4), (7, 6, 5, 4, 3, 2, 1, 0)])
def test_tags_against_the_columns_are_not_believed(order: Sequence[int]) -> None:
    """An order that goes up within columns was made by nobody who read the page."""
    lines = prose(8, seed=6)
    parts = [show(line, 40, 700 - 12 * at) for at, line in enumerate(lines)]
    text = read(tagged(marked(parts), paragraphs(*order), count=8)).text
    assert text == "\n".join(lines)


def test_tags_that_go_across_columns_do_not_join_these() -> None:
    """Programs that tag line by line say less than the page itself."""
    left, right = prose(12, seed=1), prose(12, seed=2)
    both = zip(left, right, strict=True)
    parts = [
        show(line, x, 700 - 12 * n) for n, pair in enumerate(both) for x, line in zip((40, 320), pair, strict=True)
    ]
    text = read(tagged(marked(parts), paragraphs(*range(24)), count=24)).text
    assert text == f"{chr(10).join(left)}\n\n{chr(10).join(right)}"


def test_tags_of_a_small_part_are_not_believed() -> None:
    """Where most of a page has none, its layout tells the order."""
    left, right = prose(12, seed=1), prose(12, seed=2)
    tags = marked([show("A word", 40, 720), show("Another one", 320, 720)])
    text = read(tagged(tags + column(320, 700, right) + column(40, 700, left), paragraphs(1, 0), count=2)).text
    assert places(text, [left[0], right[0]]) == sorted(places(text, [left[0], right[0]]))


def test_untagged_text_is_kept() -> None:
    """An artifact is as much a part of the page as the program wants it; only what runs through pages is left out."""
    content = marked([column(40, 700, prose(9, seed=1))]) + show("Draft", 40, 750) + show("Page 3", 300, 40)
    text = read(tagged(content, paragraphs(0), count=1)).text
    assert text.startswith("Draft")
    assert text.endswith("Page 3")
