"""PDF: prose beside something else stays whole."""

import pytest

from rag_assets_tests.pdf_pages import STORY, column, in_order, pdf, prose, read, show, table


@pytest.mark.parametrize("leading", [12, 13.7])
def test_prose_is_whole_when_a_table_stands_beside_it(leading: float) -> None:
    """Also where the lines of both stand on the same baselines; the table stays one."""
    caption = show("Table 1: Water by year and reservoir.", 320, 700 - 6 * leading)
    text = read(pdf(column(40, 700, STORY) + table(320, 700, 5, leading=leading) + caption)).text
    assert in_order(text, ["for ninety years. Each spring", "distribution of the trees", "burned down.", "| 1990 |"])
    assert "| 1994 | 29.4 | 30.4 | 31.4 |" in text
    assert not any("|" in line for line in text.splitlines() if "the" in line)


def test_prose_is_whole_when_the_page_is_drawn_from_the_top_down() -> None:
    """Lines on unlike levels are no rows of one table, in whatever order the file has them."""
    left = [(700 - 12 * n, show(line, 40, 700 - 12 * n)) for n, line in enumerate(STORY)]
    right = [(705 - 13 * n, table(320, 705 - 13 * n, 1)) for n in range(6)]
    drawn = "".join(line for _, line in sorted([*left, *right], reverse=True))
    text = read(pdf(drawn)).text
    assert in_order(text, ["for ninety years. Each spring", "distribution of the trees", "burned down.", "| 1990 |"])


def test_prose_is_whole_when_both_columns_have_tables_in_them() -> None:
    """Neither column is prose for the most part; the page is drawn from the top down, on one set of baselines."""
    right = prose(10, seed=9)
    upper = [show(line, 40, 700 - 12 * n) + table(320, 700 - 12 * n, 1, columns=3) for n, line in enumerate(STORY)]
    lower = [table(40, 568 - 12 * n, 1, columns=3) + show(line, 320, 568 - 12 * n) for n, line in enumerate(right)]
    text = read(pdf("".join([*upper, *lower]))).text
    assert in_order(text, ["for ninety years. Each spring", "burned down.", "| 1990 |", *right])


def test_prose_is_whole_when_a_table_stands_before_it_in_the_left_column() -> None:
    """Whichever side the table is on."""
    text = read(pdf(table(40, 700, 6, columns=3) + column(40, 600, prose(5, seed=3)) + column(320, 700, STORY))).text
    assert in_order(text, ["| 1990 |", prose(5, seed=3)[4], "for ninety years. Each", "burned down."])


def test_prose_is_whole_when_the_labels_of_a_figure_stand_beside_it() -> None:
    """A drawing's words are in no order, and on no lines."""
    labels = [("pump", 330, 695), ("gate", 420, 690), ("12.5", 350, 661), ("river", 470, 640), ("0", 330, 617)]
    drawn = "".join(show(label, x, y, size=7) for label, x, y in labels)
    text = read(pdf(column(40, 700, STORY) + drawn + column(320, 580, prose(6, seed=4)))).text
    assert in_order(text, ["for ninety years. Each", "distribution of the trees", "burned down.", "pump"])
    assert in_order(text, ["river", *prose(6, seed=4)])


def test_prose_is_whole_when_a_formula_stands_beside_it() -> None:
    """A formula and its number in the margin of the column."""
    formula = show("a = b + c", 350, 664) + show("(1)", 520, 664) + show("d = e", 350, 640) + show("(2)", 520, 640)
    right = column(320, 700, prose(2, seed=5)) + formula + column(320, 616, prose(5, seed=6))
    text = read(pdf(column(40, 700, STORY) + right)).text
    assert in_order(text, ["for ninety years. Each", "burned down.", prose(2, seed=5)[1], "a = b + c", "(1)", "(2)"])
