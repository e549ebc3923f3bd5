"""PDF: columns, headings over them, frames and notes are read in the order of a reader."""

import re

from rag_assets_tests.pdf_pages import column, pdf, prose, read, show


def test_columns_are_read_one_after_the_other() -> None:
    """Also when the file draws them line by line, and below a heading that runs across."""
    left, right = prose(12, seed=1), prose(12, seed=2)
    lines = [
        show(a, 40, 700 - 12 * n) + show(b, 320, 700 - 12 * n) for n, (a, b) in enumerate(zip(left, right, strict=True))
    ]
    text = read(pdf(show("All about pumps and how they are kept", 40, 750, size=24) + "".join(lines))).text
    assert text == f"# All about pumps and how they are kept\n\n{chr(10).join(left)}\n\n{chr(10).join(right)}"


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


def test_table_stays_one_when_its_first_column_is_as_long_as_prose() -> None:
    """It is drawn record by record."""
    names = [f"{line} {number}" for number, line in enumerate(prose(8, seed=7))]
    drawn = "".join(
        show(name, 40, 700 - 12 * n) + show(f"{n}.5", 320, 700 - 12 * n) + show("kg", 400, 700 - 12 * n)
        for n, name in enumerate(names)
    )
    text = read(pdf(drawn)).text
    assert all(f"| {name} | {n}.5 | kg |" in text for n, name in enumerate(names))
