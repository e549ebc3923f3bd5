"""PDF: prose beside tables, formulas, figures and numbers in the margin is read as prose, column by column."""

from collections.abc import Sequence

import pytest

from rag_assets_tests.test_pdf import column, pdf, prose, read, show

STORY = [
    "The orchard lies north of the river and has",
    "been watered by the same canal for ninety ye-",
    "ars. Each spring the gardeners measure how much",
    "water the reservoir holds, and they write the le-",
    "vel on a board beside the gate. In dry years the",
    "board is read every morning, and small plots are",
    "given a fixed share. It depends upon the distri-",
    "bution of the trees, since old trees need less.",
    "Their diary is the only source for the months of",
    "the first year, because the office burned down.",
]


def table(x: float, y: float, rows: int, *, columns: int = 4, leading: float = 12) -> str:
    return "".join(
        show(f"{1990 + row}" if at == 0 else f"{7 * row + at}.{row % 10}", x + 60 * at, y - leading * row)
        for row in range(rows)
        for at in range(columns)
    )


def in_order(text: str, parts: Sequence[str]) -> bool:
    flat = " ".join(text.split())
    places = [flat.find(part) for part in parts]
    return -1 not in places and places == sorted(places)


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


def test_columns_are_found_when_little_space_parts_them() -> None:
    """Nine points, as papers have them."""
    left, right = prose(12, seed=1), prose(12, seed=2)
    wide = max(len(line) for line in left)
    lines = [line.ljust(wide, "m")[:wide] for line in left]
    text = read(pdf(column(40, 700, lines) + table(320, 700, 4) + column(320, 640, right))).text
    assert in_order(text, [lines[0], lines[11], "| 1990 |", right[0], right[11]])


def test_table_stays_one_when_its_first_column_is_as_long_as_prose() -> None:
    """It is drawn record by record."""
    names = [f"{line} {number}" for number, line in enumerate(prose(8, seed=7))]
    drawn = "".join(
        show(name, 40, 700 - 12 * n) + show(f"{n}.5", 320, 700 - 12 * n) + show("kg", 400, 700 - 12 * n)
        for n, name in enumerate(names)
    )
    text = read(pdf(drawn)).text
    assert all(f"| {name} | {n}.5 | kg |" in text for n, name in enumerate(names))


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


def test_formulas_are_no_table_when_they_stand_on_lines_of_their_own() -> None:
    """Their signs of equality are below each other, as are their numbers."""
    formulas = [("a", "=", "b + c", "(1)"), ("d", "=", "e f", "(2)"), ("g", "=", "h - k", "(3)")]
    drawn = "".join(
        show(part, x, 640 - 14 * n)
        for n, line in enumerate(formulas)
        for part, x in zip(line, (90, 110, 130, 260), strict=True)
    )
    text = read(pdf(column(40, 700, STORY[:4]) + drawn + column(40, 590, prose(5, seed=2)))).text
    assert "|" not in text
    assert in_order(text, ["they write the le", "a = b + c (1)", "d = e f (2)", "g = h - k (3)"])


def test_word_is_whole_when_a_footnote_stands_between_its_halves() -> None:
    """It goes on in the next column; the footnote is none of it."""
    left = [*STORY[:-1], "Each of these was written for the docu-"]
    note = show("1The diary is kept in the town hall, in", 40, 560, size=7) + show("a chest.", 40, 551, size=7)
    drawn = column(40, 700, left) + note + column(320, 700, ["ment that the council asked for in June", *STORY[:-1]])
    text = read(pdf(drawn)).text
    assert in_order(text, ["written for the document", "1The diary is kept", "that the council asked for in June"])


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
