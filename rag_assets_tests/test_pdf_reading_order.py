"""PDF: columns, headings over them, frames and notes are read in the order of a reader."""

import re

import pytest

from rag_assets_tests.pdf_pages import STORY, column, in_order, pdf, prose, read, show, table


def test_columns_are_read_one_after_the_other() -> None:
    """Also when the file draws them line by line, and below a heading that runs across."""
    left, right = prose(12, seed=1), prose(12, seed=2)
    lines = [
        show(a, 40, 700 - 12 * n) + show(b, 320, 700 - 12 * n) for n, (a, b) in enumerate(zip(left, right, strict=True))
    ]
    text = read(pdf(show("All about pumps and how they are kept", 40, 750, size=24) + "".join(lines))).text
    assert text == f"# All about pumps and how they are kept\n\n{chr(10).join(left)}\n\n{chr(10).join(right)}"


def test_columns_are_found_when_only_a_part_of_the_page_has_them() -> None:
    """A magazine's page: three columns, then the whole width, then two columns elsewhere."""
    one, two, three, wide, four, five = (prose(6, seed=seed) for seed in range(6))
    narrow = [column(x, 700, [line[:28] for line in lines]) for x, lines in ((40, one), (230, two), (420, three))]
    title = show("Notes of the valley", 250, 750, size=22)
    below = show("Accounts", 40, 608, size=14) + column(40, 590, [f"{line} {line} {line}"[:110] for line in wide])
    pair = column(40, 500, four) + column(320, 500, five)
    text = read(pdf("".join(narrow) + title + below + pair)).text
    expected = [
        "Notes of the valley",
        one[0][:28],
        two[0][:28],
        three[5][:28],
        "## Accounts",
        wide[0],
        four[5],
        five[0],
    ]
    places = [text.index(words) for words in expected]
    assert places == sorted(places)
    assert "|" not in text


def test_columns_are_found_on_the_first_page_of_a_paper() -> None:
    """Below a title of several lines, and although half of the lines in one of them are code and headings."""
    left, right = ([f"{line} {line}"[:48].strip() for line in prose(count, seed=count)] for count in (20, 10))
    code = [f"x{n} = read({n})" for n in range(10)]
    title = column(
        210, 760, ["How the pumps of the valley", "were repaired in one winter", "by Ann and Ben"], leading=16
    )
    drawn = title + column(40, 680, left) + column(292, 680, code) + column(292, 560, right)
    text = read(pdf(drawn)).text
    assert text.index(left[0]) < text.index(left[19]) < text.index(code[0]) < text.index(code[9])
    assert all(f"{line}\n" in text for line in [*left, *code])


def test_a_stamp_across_a_page_comes_last_and_is_no_heading() -> None:
    lines = prose(20, seed=5)
    stamp = show("DRAFT", 100, 500, size=90, turn="0.86 0.5 -0.5 0.86")
    text = read(pdf(stamp + show("The pump", 40, 740, size=16) + column(40, 700, lines))).text
    assert text == f"# The pump\n\n{chr(10).join(lines)}\n\nDRAFT"


def test_columns_are_found_below_a_list_that_has_room_beside_it() -> None:
    """Where the right column begins higher than the left one, beside the list."""
    short, left, right = ["1. Boil it", "2. Mash it", "for a while"], prose(9, seed=11), prose(13, seed=12)
    drawn = column(40, 740, short) + show("History", 40, 690, size=14) + column(40, 668, left) + column(300, 716, right)
    text = read(pdf(drawn)).text
    assert "History\n\n" + "\n".join(left) + "\n\n" + "\n".join(right) in text


def test_columns_end_at_a_heading_above_lines_as_wide_as_the_page() -> None:
    """It stands below the left column, and heads what is below both."""
    left, right = prose(9, seed=31), prose(9, seed=32)
    below = [f"{one} {other}" for one, other in zip(prose(3, seed=33), prose(3, seed=34), strict=True)]
    drawn = column(40, 700, left) + column(300, 700, right) + show("Imprint", 40, 570, size=13) + column(40, 554, below)
    text = read(pdf(drawn)).text
    assert text == "\n\n".join(["\n".join(left), "\n".join(right), "# Imprint", "\n".join(below)])


def test_columns_end_at_a_heading_above_something_else() -> None:
    """Entries with numbers at the right are no second column, although nothing crosses the gutter."""
    left, right = prose(6, seed=21), prose(6, seed=22)
    entries = [("Introduction", "1"), ("The main part", "12"), ("The end", "120")]
    drawn = column(40, 700, left) + column(300, 700, right) + show("Contents", 40, 600, size=14)
    drawn += "".join(show(a, 40, 580 - 12 * n) + show(b, 450, 580 - 12 * n) for n, (a, b) in enumerate(entries))
    text = read(pdf(drawn)).text
    assert text.startswith("\n".join(left) + "\n\n" + "\n".join(right) + "\n\n# Contents")
    assert text.endswith("| The main part | 12 |\n| The end | 120 |")


def test_frame_is_read_by_itself_when_text_stands_beside_it() -> None:
    """A box in the margin does not mix with the lines to its left."""
    left, right = prose(10, seed=11), ["Key facts", "are told", "in a box"]
    box = "400 610 180 100 re S\n" + column(410, 690, right)
    text = read(pdf(box + column(40, 695, left))).text
    assert "\n".join(right) in text
    assert "\n".join(left) in text


def test_frames_beside_each_other_are_read_from_the_left() -> None:
    """Each as a whole."""
    drawn = "".join(
        f"{x} 640 120 70 re S\n" + column(x + 5, 695, [f"Card {n}", "has two", "more lines"])
        for n, x in enumerate((40, 180, 320), start=1)
    )
    text = read(pdf(drawn + column(40, 600, prose(3, seed=13)))).text
    assert re.findall(r"Card (\d)\nhas two\nmore lines", text) == ["1", "2", "3"]


def test_lists_beside_each_other_are_read_one_after_the_other() -> None:
    """As slides have them, however short."""
    left, right = ["Hire in Rome", "Open in Berlin"], ["Train all", "Move the canteen", "Buy bikes"]
    drawn = "".join(
        show("\x95", x, 600 - 30 * n, size=18) + show(item, x + 20, 600 - 30 * n, size=18)
        for x, items in ((40, left), (340, right))
        for n, item in enumerate(items)
    )
    data = pdf(drawn + column(40, 400, prose(5, seed=3)))
    data = data.replace(b"/BaseFont/Helvetica>>", b"/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>")
    found = [line.lstrip("# ") for line in read(data).text.splitlines() if "•" in line]
    assert found == [f"• {item}" for item in (*left, *right)]


def test_initial_belongs_to_its_word() -> None:
    """Also when it is as high as three lines."""
    lines = ["he pump shows an error", "when no water comes", "through its valve"]
    text = read(pdf(show("T", 40, 676, size=40) + column(68, 700, lines) + column(40, 664, prose(4, seed=10)))).text
    assert text.startswith("The pump shows an error\nwhen no water")


def test_letters_printed_twice_are_read_once() -> None:
    """Some printers make bold letters so."""
    assert read(pdf(show("Total", 40, 700) + show("Total", 40.4, 700))).text == "Total"


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
