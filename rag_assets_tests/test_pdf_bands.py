"""PDF: a page is cut into bands where its columns begin and end."""

from rag_assets_tests.pdf_pages import column, in_order, pdf, prose, read, show, table


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


def test_columns_are_found_when_little_space_parts_them() -> None:
    """Nine points, as papers have them."""
    left, right = prose(12, seed=1), prose(12, seed=2)
    wide = max(len(line) for line in left)
    lines = [line.ljust(wide, "m")[:wide] for line in left]
    text = read(pdf(column(40, 700, lines) + table(320, 700, 4) + column(320, 640, right))).text
    assert in_order(text, [lines[0], lines[11], "| 1990 |", right[0], right[11]])
