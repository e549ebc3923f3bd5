"""PDF: cells that go on in the next line are one."""

from collections.abc import Sequence

import pytest

from rag_assets_tests.pdf_pages import column, pdf, prose, read, show


def test_cells_that_go_on_beside_each_other_are_one_record() -> None:
    """Where lines stand as close within records as between them."""
    lines = [
        ("Kind", "Description", "Limits", "Cost"),
        ("Point", "Observers stay for one", "Trees are in the way of", "40"),
        ("", "hour and count all birds", "those who count", ""),
        ("Line", "Observers walk along a", "None that are known", "65"),
        ("", "route", "", ""),
        ("Group", "herons", "few", "12"),
        ("", "swans", "many", "31"),
    ]
    drawn = "".join(
        show(cell, x, 700 - 12 * n)
        for n, line in enumerate(lines)
        for cell, x in zip(line, (40, 100, 260, 420), strict=True)
        if cell
    )
    rows = read(pdf(drawn)).text.splitlines()[2:]
    assert rows == [
        "| Point | Observers stay for one hour and count all birds | Trees are in the way of those who count | 40 |",
        "| Line | Observers walk along a route | None that are known | 65 |",
        "| Group | herons | few | 12 |",
        "|  | swans | many | 31 |",
    ]


@pytest.mark.parametrize("xs", [(40, 160, 380), (40, 300)])
def test_wrapped_cells_are_whole_when_white_space_parts_the_rows(xs: Sequence[int]) -> None:
    """Cells as long as prose, of unlike numbers of lines; the paragraphs above and below are none of them."""
    words, y = prose(40, seed=8), 700
    drawn, shown = [show("All that the board of the town has found out about pumps and their valves:", 40, 740)], []
    for row in range(5):
        lengths = [1 + (row + at) % 3 for at in range(len(xs))]
        texts = [
            [f"{words[5 * row + at][:20].strip()} {end}" for end in "abc"[:length]] for at, length in enumerate(lengths)
        ]
        drawn += [column(x, y, lines) for x, lines in zip(xs, texts, strict=True)]
        shown.append("| " + " | ".join(map(" ".join, texts)) + " |")
        y -= 12 * max(lengths) + 5
    drawn += [show("After the table there is a line of text that goes on over all its columns.", 40, y - 20)]
    lines = read(pdf("".join(drawn))).text.splitlines()
    assert [line for line in lines if line.startswith("|") and "---" not in line] == shown
    assert lines[0].startswith("All that")
    assert lines[-1].startswith("After the table")
