"""PDF: tables without drawn lines are found, and what only looks like one is not."""

from rag_assets_tests.pdf_pages import STORY, column, in_order, pdf, prose, read, show, written_to_the_left


def test_a_line_over_a_table_is_its_head_when_it_names_the_columns() -> None:
    """Although its words are too near to each other to be cells; cells may go on over several lines."""
    rows = [("Full", "20", "112", "free entry to all"), ("Half", "10", "48", "students"), ("Two", "35", "23", "adults")]
    drawn = show("lectures of the winter", 170, 648) + show("and of the spring", 170, 636)
    for n, row in enumerate(rows):
        drawn += "".join(show(cell, x, 660 - 40 * n) for cell, x in zip(row, (40, 80, 120, 170), strict=True))
    table = read(pdf(show("Kind Price Members Remarks", 50, 676, font="F2") + drawn)).text
    assert table.startswith("| Kind | Price | Members | Remarks |\n")
    assert "| Full | 20 | 112 | free entry to all lectures of the winter and of the spring |" in table
    unclear = read(pdf(show("Kind and Price Members Remarks", 40, 676, font="F2") + drawn)).text
    assert "Kind and Price Members Remarks\n\n| Full |" in unclear


def test_number_in_a_line_that_runs_to_the_left_is_no_cell() -> None:
    """It runs to the right, so its far end comes next to the word before it."""
    hebrew = {"a": "א", "b": "ב", "c": "ג", "d": "ד"}
    lines = "".join(show(f"dcbadcba {n}1234567 dcbadcba", 300, 700 - 14 * n) for n in range(1, 4))
    assert written_to_the_left(hebrew, lines).split("\n") == [f"אבגדאבגד {n}1234567 אבגדאבגד" for n in range(1, 4)]


def test_dots_that_lead_to_a_page_number_are_no_cells() -> None:
    """However far they are from each other."""
    entries = [("1 Welcome", 2), ("2 How to begin with it", 12), ("3 The end", 120)]
    drawn = ""
    for n, (title, number) in enumerate(entries):
        drawn += show(title, 40, 700 - 14 * n) + show(str(number), 400, 700 - 14 * n)
        drawn += "".join(show(".", x, 700 - 14 * n) for x in range(200, 390, 15))
    assert read(pdf(drawn)).text == "\n".join(f"{title} ... {number}" for title, number in entries)


def test_a_row_is_one_of_its_table_when_its_cells_are_nearly_full() -> None:
    """Numbers grow until the space between them is no wider than one between words may be."""
    near, full = (40, 90, 140), (40, 82, 128)
    rows = [
        ("Region", "1,998", "998"),
        ("Region", "2,107", "107"),
        ("Region", "114,107", "107"),
        ("Region", "115,208", "9"),
    ]
    drawn = "".join(
        show(cell, x, 700 - 15 * n)
        for n, (row, places) in enumerate(zip(rows, (near, near, full, full), strict=True))
        for cell, x in zip(row, places, strict=True)
    )
    assert read(pdf(drawn)).text.splitlines()[2:] == [f"| {' | '.join(row)} |" for row in rows[1:]]


def test_numbers_near_each_other_are_two_cells_when_three_lines_say_so() -> None:
    """A strip that no line's text crosses parts columns, however narrow."""
    rows = [("Sales", "1,234 2,345"), ("Costs", "1,200 2,300"), ("Income", "1,034 2,045")]
    drawn = "".join(
        show(name, 40, 700 - 14 * n) + f"BT /F1 10 Tf 6 Tw 160 {700 - 14 * n} Td ({numbers}) Tj ET\n"
        for n, (name, numbers) in enumerate(rows)
    )
    assert "| Income | 1,034 | 2,045 |" in read(pdf(drawn)).text.splitlines()


def test_a_list_right_below_a_table_is_none_of_its_rows() -> None:
    """The space after its mark happens to be in the gap between the table's columns."""
    rows = "".join(show(f"Key {n}", 40, 700 - 15 * n) + show(f"Value {n}", 190, 700 - 15 * n) for n in range(4))
    items = "".join(show("\x95", 72, 640 - 12 * n) + show(f"Item {n} of all", 84, 640 - 12 * n) for n in range(3))
    font = b"/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"
    text = read(pdf(rows + items + column(40, 560, prose(5, seed=3))).replace(b"/BaseFont/Helvetica>>", font)).text
    assert "\n\n" + "\n".join(f"• Item {n} of all" for n in range(3)) in text
    assert text.count("|") == 5 * 3


def test_rest_of_a_long_cell_ends_a_table() -> None:
    """The cells beside it ended before, some of them in the line above."""
    rows = [
        ("Req.", "What it says", "Whose it is", "State"), ("1", "The pump starts", "Ann", "open"),
        ("2", "The valve shuts when", "Bob of the", "done"), ("", "no water comes and", "workshop", ""),
        ("", "the filter is full", "", ""),
    ]  # fmt: skip
    drawn = "".join(
        show(cell, x, y)
        for row, y in zip(rows, (700, 680, 660, 649, 638), strict=True)
        for cell, x in zip(row, (40, 80, 240, 340), strict=True)
        if cell
    )
    assert read(pdf(drawn + column(40, 600, prose(4, seed=5)))).text.split("\n\n")[0].split("\n")[-1] == (
        "| 2 | The valve shuts when no water comes and the filter is full | Bob of the workshop | done |"
    )


def test_cells_are_apart_when_the_gaps_of_a_row_happen_to_be_alike() -> None:
    """Words with equal spaces are a line that was stretched, but not beside rows whose gaps are unlike."""
    rows = [("of", "1", "2"), ("name", "a", "b"), ("bad", "4", "5")]
    drawn = "".join(
        show(cell, x, 700 - 14 * line)
        for line, row in enumerate(rows)
        for cell, x in zip(row, (40, 79.01, 98.57), strict=True)
    )
    text = read(pdf(drawn + column(40, 600, prose(5, seed=3)))).text
    assert text.startswith("| of | 1 | 2 |\n| --- | --- | --- |\n| name | a | b |\n| bad | 4 | 5 |\n\n")


def test_entry_of_contents_is_a_line_with_a_short_leader() -> None:
    """Dots are worth no tokens; what they lead to stays."""
    entries = [
        show(f"{n} Care of pumps " + "." * 60, 40, 700 - 14 * n) + show(f"{n}7", 500, 700 - 14 * n) for n in (1, 2)
    ]
    assert read(pdf("".join(entries))).text == "1 Care of pumps ... 17\n2 Care of pumps ... 27"


def test_formulas_without_numbers_are_no_table() -> None:
    """Nor is the heading below them a row: a number and a title in bold letters."""
    rows = [("a", "=", "b + c"), ("d", "=", "e f"), ("g", "=", "h - k")]
    formulas = "".join(
        show(part, 60 + 60 * at, 700 - 16 * n) for n, row in enumerate(rows) for at, part in enumerate(row)
    )
    heading = show("2", 40, 640, font="F2") + show("Care of Pumps", 60, 640, font="F2")
    page = column(40, 740, prose(2, seed=1)) + formulas + heading + column(40, 620, prose(4, seed=2))
    text = read(pdf(page)).text
    assert "|" not in text
    assert "# 2 Care of Pumps" in text


def test_a_table_of_signs_and_numbers_is_one() -> None:
    """Short names, probabilities and settings have no words, either."""
    rows = [("BMI", "p", "t"), ("age", "= .031", "2.5"), ("sex", "= .120", "1.7"), ("IQ", "= .450", "0.2")]
    cells = "".join(show(cell, 40 + 70 * at, 700 - 14 * n) for n, row in enumerate(rows) for at, cell in enumerate(row))
    assert "| age | = .031 | 2.5 |" in read(pdf(cells)).text


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
