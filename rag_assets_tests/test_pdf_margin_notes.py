"""PDF: notes in the margin are read by themselves."""

import pytest

from rag_assets_tests.pdf_pages import STORY, column, in_order, pdf, read, show

NOTE = ["Marginal", "notes are", "usually", "placed in", "the outer", "margin."]


@pytest.mark.parametrize("x", [30, 400])
def test_note_is_whole_when_it_stands_in_the_margin(x: int) -> None:
    """So is the prose that it stands beside, where the page is drawn line by line."""
    pairs = enumerate(zip(NOTE, STORY, strict=False))
    beside = "".join(show(note, x, 568 - 12 * n) + show(line, 100, 568 - 12 * n) for n, (note, line) in pairs)
    text = read(pdf(column(100, 700, STORY) + beside + column(100, 496, STORY[6:]))).text
    assert "|" not in text
    assert " ".join(NOTE) in " ".join(text.split())
    assert " ".join(text.split()).count("canal for ninety years. Each spring the gardeners") == 2


def test_labels_stay_beside_what_they_label_when_the_margin_is_full_of_them() -> None:
    """Labels of one line among longer ones are no notes: each stands before its own text."""
    labels = [["Water that", "is stored in", "the ground"], ["Canal"], ["Trees"], ["Gate"], ["Board"]]
    drawn = "".join(
        column(40, 700 - 50 * n, label) + column(140, 700 - 50 * n, STORY[n : n + 3]) for n, label in enumerate(labels)
    )
    text = read(pdf(drawn)).text
    assert in_order(text, ["Canal", "Trees", "Gate", "Board"])
    assert text.index("Canal") < text.index(STORY[3][:20]) < text.index("Board")
