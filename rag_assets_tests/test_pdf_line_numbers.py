"""PDF: numbers of lines in the margin are left out, those of a table stay."""

import pytest

from rag_assets_tests.pdf_pages import STORY, in_order, pdf, read, show


@pytest.mark.parametrize("first", [1, 96])
@pytest.mark.parametrize("x", [15, 400], ids=["left", "right"])
def test_lines_are_prose_when_they_are_numbered_in_the_margin(x: int, first: int) -> None:
    """The numbers are of the sheet, not of the text: words that a line's end divides are whole."""
    drawn = "".join(
        show(str(first + n), x, 699 - 18 * n, size=8) + show(line, 60, 700 - 18 * n) for n, line in enumerate(STORY)
    )
    text = read(pdf(drawn)).text
    assert in_order(text, ["for ninety years. Each", "distribution of the trees", "burned down."])
    assert "|" not in text
    assert str(first + 5) not in text


def test_lines_are_prose_when_each_fifth_is_numbered() -> None:
    """As in editions of plays, and manuscripts."""
    lines = [*STORY, *STORY]
    drawn = "".join(
        (show(str(n + 1), 30, 700 - 18 * n, size=8) if n % 5 == 4 else "") + show(line, 60, 700 - 18 * n)
        for n, line in enumerate(lines)
    )
    text = read(pdf(drawn)).text
    assert "holds, and they write the level on a board" in text.replace("\n", " ")
    assert "|" not in text
    assert "15" not in text


def test_numbers_stay_when_they_count_the_entries_of_a_table() -> None:
    """Each entry begins anew."""
    names = [
        "Office of the harbour master",
        "Water tower at the gate",
        "School of the lower valley",
        "Library and archive",
    ]
    drawn = "".join(show(str(n + 1), 40, 700 - 14 * n) + show(names[n % 4], 80, 700 - 14 * n) for n in range(8))
    text = read(pdf(drawn)).text
    assert all(f"| {n + 1} | {names[n % 4]} |" in text for n in range(8))
