"""PDF: reading order, headings, tables and whole words, and refusals that say why."""

import io
import random
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pypdf
import pytest

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import parsing
from rag_assets.text.formats.pdf import reader as pdf_format

CORPUS = Path(__file__).parents[2] / "shared" / "corpus" / "pdf"
WORDS = "the pump shows an error when no water comes through its valve and the filter holds sand".split()  # noqa: SIM905

UNLIKE = {"f": 278, "i": 222, "l": 222, "m": 833, "r": 333, "t": 278, "w": 722, " ": 278}
WIDTHS = dict.fromkeys("abdeghnopqu", 556) | dict.fromkeys("cksvxyz", 500) | UNLIKE  # of Helvetica


def show(text: str, x: float, y: float, *, size: float = 10, font: str = "F1", turn: str = "1 0 0 1") -> str:
    escaped = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return f"BT /{font} {size} Tf {turn} {x} {y} Tm ({escaped}) Tj ET\n"


def column(x: float, y: float, lines: Sequence[str], *, leading: float = 12) -> str:
    return "".join(show(line, x, y - leading * n) for n, line in enumerate(lines))


def pdf(*pages: str, page: str = "", extra: Sequence[str] = (), catalog: str = "") -> bytes:
    """A document of content streams; `page` adds to each page's dictionary, `extra` are objects from number 5 on."""
    fonts = [f"<</Type/Font/Subtype/Type1/BaseFont/{name}>>" for name in ("Helvetica", "Helvetica-Bold")]
    first = 5 + len(extra)
    kids = " ".join(f"{first + 2 * n} 0 R" for n in range(len(pages)))
    objects = [f"<</Type/Catalog/Pages 2 0 R {catalog}>>", f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>", *fonts]
    objects += extra
    for n, content in enumerate(pages):
        box = "/MediaBox[0 0 600 800]/Resources<</Font<</F1 3 0 R/F2 4 0 R>>>>"
        objects.append(f"<</Type/Page/Parent 2 0 R {box}/Contents {first + 2 * n + 1} 0 R {page}>>")
        objects.append(f"<</Length {len(content)}>>stream\n{content}endstream")
    data, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(data))
        data += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    trailer = f"trailer<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{len(data)}\n%%EOF"
    return data + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}".encode()


def read(data: bytes, **limits: int) -> ParsedText:
    return parsing.parse(data, name="a.pdf", limits=Parsing(**limits))


def outcome(data: bytes) -> str:
    """Its text, or the kind of its error."""
    try:
        return read(data).text
    except DocumentError as exc:
        return exc.kind


def prose(count: int, *, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=7)) for _ in range(count)]


def test_columns_are_read_one_after_the_other() -> None:
    """Also when the file draws them line by line, and below a heading that runs across."""
    left, right = prose(12, seed=1), prose(12, seed=2)
    lines = [
        show(a, 40, 700 - 12 * n) + show(b, 320, 700 - 12 * n) for n, (a, b) in enumerate(zip(left, right, strict=True))
    ]
    text = read(pdf(show("All about pumps and how they are kept", 40, 750, size=24) + "".join(lines))).text
    assert text == f"# All about pumps and how they are kept\n\n{chr(10).join(left)}\n\n{chr(10).join(right)}"


def stretched(lines: Sequence[str], x: float, y: float, *, width: float) -> str:
    """Lines of 10 points that reach both margins, as browsers set them: the spaces are as wide as that takes."""
    drawn = ""
    for n, line in enumerate(lines):
        letters = sum(WIDTHS[letter] for letter in line) / 100
        wide = (width - letters) / max(line.count(" "), 1)
        drawn += f"BT {wide:.4f} Tw /F1 10 Tf 1 0 0 1 {x} {y - 12 * n} Tm ({line}) Tj 0 Tw ET\n"
    return drawn


def test_lines_are_whole_when_their_spaces_are_as_wide_as_those_of_a_table() -> None:
    """Words without hyphens in a narrow column leave gaps; there is no table where they happen to meet."""
    left = ["the pump shows an error", "when no water comes", "through its", "valve and the sand"] * 3
    right = ["filter holds the sand", "and no error comes", "water through", "its pump and filter"] * 3
    drawn = stretched(left, 40, 700, width=130) + stretched(right, 200, 700, width=130)
    assert read(pdf(drawn)).text == f"{chr(10).join(left)}\n\n{chr(10).join(right)}"


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


def test_rows_without_color_are_rows_of_a_table_whose_every_other_row_has_one() -> None:
    """The first and the last one, too; the same columns further down are another table."""
    drawn = ""
    for title, top in (("Rivers", 700), ("Ports", 560)):
        drawn += show(title, 40, top + 20, size=16)
        for n in range(4):
            row, y = (f"{title} {n}", f"{n} km", f"place {n}"), top - 20 * n
            if n % 2:
                drawn += "".join(f"0.8 g {x} {y - 6} 150 20 re f 0 g\n" for x in (40, 190, 340))
            drawn += "".join(show(cell, x, y) for cell, x in zip(row, (45, 195, 345), strict=True))
    rows = [[f"| {title} {n} | {n} km | place {n} |" for n in range(4)] for title in ("Rivers", "Ports")]
    tables = ["\n".join([head, "| --- | --- | --- |", *others]) for head, *others in rows]
    assert read(pdf(drawn)).text == f"# Rivers\n\n{tables[0]}\n\n# Ports\n\n{tables[1]}"


def test_tables_between_level_lines_are_two_when_a_heading_parts_them() -> None:
    """Although their lines are equally long."""
    drawn = ""
    for title, top in (("Rain", 700), ("Sun", 600)):
        drawn += show(title, 40, top + 20, size=16)
        for n in range(4):
            drawn += show(f"{title} month {n}", 45, top - 15 * n) + show(f"{n * 17}", 300, top - 15 * n)
            drawn += f"40 {top - 15 * n - 4} m 500 {top - 15 * n - 4} l S\n"
    text = read(pdf(drawn)).text
    assert "# Sun\n\n| Sun month 0 | 0 |\n| --- | --- |\n| Sun month 1 | 17 |" in text


def test_a_stamp_across_a_page_comes_last_and_is_no_heading() -> None:
    lines = prose(20, seed=5)
    stamp = show("DRAFT", 100, 500, size=90, turn="0.86 0.5 -0.5 0.86")
    text = read(pdf(stamp + show("The pump", 40, 740, size=16) + column(40, 700, lines))).text
    assert text == f"# The pump\n\n{chr(10).join(lines)}\n\nDRAFT"


def test_words_that_run_to_the_left_are_read_so_when_the_file_draws_them_from_the_left_or_from_the_right() -> None:
    """Their letters may be stored in the form that they have within a word."""
    letters = zip(b"abcde", "\u0627\u0628\ufea3\u0631\u0645", strict=True)
    codes = "".join(f"<{code:02x}> <{ord(letter):04x}>\n" for code, letter in letters)
    table = f"1 begincodespacerange <00> <ff> endcodespacerange\n5 beginbfchar\n{codes}endbfchar"
    backwards = "BT /F1 10 Tf 300 700 Td [(e) 1112 (d) 1112 (c) 1112 (b) 1112 (a)] TJ ET\n"
    for drawn in (show("abcde", 300, 700), backwards):
        data = pdf(drawn, extra=[f"<</Length {len(table)}>>stream\n{table}\nendstream"])
        assert read(data.replace(b"/BaseFont/Helvetica>>", b"/BaseFont/Helvetica/ToUnicode 5 0 R>>")).text == "مرحبا"


def written_to_the_left(letters: dict[str, str], drawn: str) -> str:
    """The text of content in which the codes of `drawn` stand for other letters."""
    codes = "".join(f"<{ord(code):02x}> <{text.encode('utf-16-be').hex()}>\n" for code, text in letters.items())
    table = f"1 begincodespacerange <00> <ff> endcodespacerange\n{len(letters)} beginbfchar\n{codes}endbfchar"
    data = pdf(drawn, extra=[f"<</Length {len(table)}>>stream\n{table}\nendstream"])
    return read(data.replace(b"/BaseFont/Helvetica>>", b"/BaseFont/Helvetica/ToUnicode 5 0 R>>")).text


def test_brackets_and_ligatures_are_right_in_words_that_run_to_the_left() -> None:
    """A file may have the letter that a bracket stands for, and two letters for the glyph of lam and alef."""
    hebrew = {"a": "א", "b": "ב", "c": "ג", "d": "ד"}
    assert written_to_the_left(hebrew, show("dc )ba( ab", 300, 700)) == "בא (אב) גד"
    assert written_to_the_left(hebrew, show("dc (ba) ab", 300, 700)) == "בא (אב) גד"
    assert written_to_the_left({"a": "ا", "b": "لأ", "c": "و", "d": "ل"}, show("dcba", 300, 700)) == "الأول"


def test_number_in_a_line_that_runs_to_the_left_is_no_cell() -> None:
    """It runs to the right, so its far end comes next to the word before it."""
    hebrew = {"a": "א", "b": "ב", "c": "ג", "d": "ד"}
    lines = "".join(show(f"dcbadcba {n}1234567 dcbadcba", 300, 700 - 14 * n) for n in range(1, 4))
    assert written_to_the_left(hebrew, lines).split("\n") == [f"אבגדאבגד {n}1234567 אבגדאבגד" for n in range(1, 4)]


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


def test_titles_below_each_other_are_two_headings_when_the_second_one_is_numbered() -> None:
    drawn = show("Annual Report", 200, 740, size=18) + show("1. Overview", 40, 714, size=18)
    text = read(pdf(drawn + column(40, 690, prose(9, seed=3)))).text
    assert text.startswith("# Annual Report\n\n# 1. Overview\n\n")


def test_code_is_fenced_with_its_indentation() -> None:
    """Lines in letters of one width; a word or a line of them is none, nor is a document that is typewritten."""
    code = ["def f(x):", "    if x:", "        return 1", "", "    return 0"]
    drawn = "".join(
        show(line.strip(), 60 + 5.4 * (len(line) - len(line.lstrip())), 600 - 11 * n, size=9, font="F2")
        for n, line in enumerate(code)
        if line
    )
    text = column(40, 700, prose(7, seed=1)) + drawn + column(40, 520, prose(9, seed=2))
    text += show("run it", 40, 400, font="F2") + column(40, 380, prose(2, seed=3))
    found = read(pdf(text).replace(b"/BaseFont/Helvetica-Bold", b"/BaseFont/Courier")).text
    assert "\n\n```\n{}\n```\n\n".format("\n".join(code)) in found
    assert found.count("```") == 2
    typed = pdf(column(40, 700, prose(9, seed=4))).replace(b"/BaseFont/Helvetica>>", b"/BaseFont/Courier>>")
    assert "```" not in read(typed).text


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


def test_paragraphs_and_headings_when_a_page_has_two_sizes_of_text() -> None:
    """A letter that is set wide above terms in small print: each has its own distance of lines."""
    letter, terms = prose(12, seed=31), prose(20, seed=32)
    drawn = show("Statement", 40, 760, size=18, font="F2") + column(40, 720, letter, leading=17)
    drawn += "".join(show(line, 40, 490 - 10 * n, size=8) for n, line in enumerate(terms))
    assert read(pdf(drawn)).text == "# Statement\n\n" + "\n".join(letter) + "\n\n" + "\n".join(terms)


def test_a_paragraph_of_large_letters_is_no_heading() -> None:
    """An abstract, a motto: more lines than a heading has, close to each other."""
    abstract, text = prose(5, seed=41), prose(30, seed=42)
    drawn = "".join(show(line, 40, 740 - 15 * n, size=12) for n, line in enumerate(abstract))
    drawn += show("Pumps", 40, 640, size=16) + column(40, 610, text)
    expected = ["\n".join(abstract), "# Pumps", "\n".join(text)]
    assert read(pdf(drawn)).text.split("\n\n") == expected


def test_ligatures_are_letters_where_a_file_only_has_their_place_in_a_font_of_tex() -> None:
    """A font of bitmaps without names; in other fonts, the same places are other letters."""
    glyph = "6 0 d0 0 0 5 7 re f"
    names = [f"/a{code}" for code in range(256)]
    bitmaps = (
        f"<</Type/Font/Subtype/Type3/FontBBox[0 0 6 7]/FontMatrix[0.1 0 0 0.1 0 0]/FirstChar 0/LastChar 255"
        f"/Widths[{' 6' * 256}]/Encoding<</Differences[0{''.join(names)}]>>"
        f"/CharProcs<<{' '.join(f'{name} 5 0 R' for name in names)}>>>>"
    )
    drawn = show("E@cient o@ces #nd di@cult wa!es", 40, 700)
    drawn = drawn.replace("@", "\\036").replace("#", "\\034").replace("!", "\\037")
    data = pdf(drawn, extra=[f"<</Length {len(glyph)}>>stream\n{glyph}\nendstream"])
    named = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
    assert read(data.replace(named, bitmaps.encode())).text == "Efficient offices find difficult waffles"
    assert "Efficient" not in read(data).text


def test_marks_of_lists_are_read_where_a_file_only_has_their_place_in_a_font_of_tex() -> None:
    """In its fonts of symbols they are at a place where others have a control character."""
    font = b"/BaseFont/Helvetica/ToUnicode 5 0 R>>"
    codes = "/CIDInit/ProcSet findresource begin begincmap 1 beginbfchar <2a> <0088> endbfchar endcmap end"
    drawn = show("* a pump", 40, 700)
    data = pdf(drawn, extra=[f"<</Length {len(codes)}>>stream\n{codes}\nendstream"])
    assert read(data.replace(b"/BaseFont/Helvetica>>", font)).text == "• a pump"


def test_words_are_made_whole_when_lines_break_them() -> None:
    """Over lines, columns and pages; a compound that the document writes with a hyphen elsewhere keeps it."""
    first = column(40, 700, ["A well-known way to main-", "tain a pump is a well-", "known thing that saves elec-"])
    assert read(pdf(first, column(40, 700, ["tricity and money."]))).text == (
        "A well-known way to maintain\na pump is a well-known\nthing that saves electricity\n\nand money."
    )


def test_table_is_one_row_per_line() -> None:
    """Cells that stand below each other, right-aligned numbers and empty ones too."""
    rows = [("Item", "Price", "Stock"), ("Pump", "120.50", "7"), ("Valve", "", "112"), ("Filter", "3.20", "9")]
    drawn = "".join(
        show(cell, x + (0 if n == 0 else 60 - 5 * len(cell)), 700 - 14 * line)
        for line, row in enumerate(rows)
        for n, (cell, x) in enumerate(zip(row, (40, 200, 350), strict=True))
        if cell
    )
    assert read(pdf(drawn)).text.splitlines() == [
        "| Item | Price | Stock |",
        "| --- | --- | --- |",
        "| Pump | 120.50 | 7 |",
        "| Valve |  | 112 |",
        "| Filter | 3.20 | 9 |",
    ]


def ruled(xs: Sequence[float], ys: Sequence[float]) -> str:
    """A grid of lines."""
    level = "".join(f"{xs[0]} {y} m {xs[-1]} {y} l S\n" for y in ys)
    return level + "".join(f"{x} {ys[0]} m {x} {ys[-1]} l S\n" for x in xs)


CELLS = (
    column(42, 700, ["Part"]) + column(102, 700, ["What it is for"]) + column(202, 700, ["Price"])
    + column(42, 680, ["Pump", "housing"]) + column(102, 680, ["Keeps sand", "and stones out"])
    + column(202, 674, ["12"])
    + column(42, 650, ["Valve"]) + column(102, 650, ["Shuts"]) + column(202, 650, ["7"])
)  # fmt: skip
PARTS = [
    "| Part | What it is for | Price |",
    "| --- | --- | --- |",
    "| Pump housing | Keeps sand and stones out | 12 |",
    "| Valve | Shuts | 7 |",
]


def test_cell_is_one_when_its_lines_wrap_between_rules() -> None:
    """Drawn lines say what belongs together, also where columns stand close."""
    drawn = ruled((40, 100, 200, 240), (712, 692, 662, 642))
    assert read(pdf(drawn + CELLS)).text.splitlines() == PARTS


def test_cells_are_found_when_only_level_lines_are_drawn() -> None:
    """Columns are where no text is; the head may stand over the first line."""
    drawn = "".join(f"40 {y} m 240 {y} l S\n" for y in (692, 662, 642))
    assert read(pdf(drawn + CELLS)).text.splitlines() == PARTS


def test_rows_are_apart_when_no_line_parts_them() -> None:
    """Numbers below each other are no lines of one cell."""
    rows = [show(f"Item {n}", 42, 700 - 12 * n) + show(str(n * 7), 102, 700 - 12 * n) for n in range(5)]
    text = read(pdf(ruled((40, 100, 140), (712, 640)) + "".join(rows))).text
    assert text.splitlines()[2:] == [f"| Item {n} | {n * 7} |" for n in range(1, 5)]


def test_line_over_all_columns_is_the_title_of_a_table() -> None:
    """It is no row, and names no column."""
    grid = ruled((40, 100, 140), (700, 680, 660)) + "40 720 m 140 720 l S\n40 700 m 40 720 l S\n140 700 m 140 720 l S\n"
    cells = show("Stock", 42, 706) + show("Pump", 42, 686) + show("7", 102, 686)
    assert read(pdf(grid + cells + show("Valve", 42, 666) + show("9", 102, 666))).text == (
        "Stock\n\n| Pump | 7 |\n| --- | --- |\n| Valve | 9 |"
    )


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


def test_columns_go_on_in_rows_that_no_upright_line_parts() -> None:
    """Some styles draw lines in every other row only; the first row may be the rest of a cell of the page before."""
    xs, ys = (40, 100, 200, 260), (720, 700, 680, 660, 640)
    level = "".join(f"{xs[0]} {y} m {xs[-1]} {y} l S\n" for y in ys)
    upright = "".join(f"{x} {top} m {x} {top - 20} l S\n" for x in xs for top in (700, 660))
    sides = "".join(f"{x} {ys[0]} m {x} {ys[-1]} l S\n" for x in (xs[0], xs[-1]))
    rows = [("", "shuts again", ""), ("1", "Pump", "Ann"), ("2", "Valve", "Bob"), ("3", "Filter", "Eve")]
    cells = "".join(
        show(cell, x + 4, y - 14) for row, y in zip(rows, ys, strict=False) for cell, x in zip(row, xs, strict=False)
    )
    assert read(pdf(level + upright + sides + cells)).text.splitlines() == [
        "|  | shuts again |  |", "| --- | --- | --- |", "| 1 | Pump | Ann |", "| 2 | Valve | Bob |",
        "| 3 | Filter | Eve |",
    ]  # fmt: skip


def test_lines_are_apart_on_a_page_that_has_few_of_them() -> None:
    """Where pdfium sees no direction of lines, it takes what is below the end of one for its next words."""
    rows = [("1", "Pump", "Ann"), ("2", "Valve", "Bob"), ("3", "Filter", "Eve")]
    drawn = "".join(
        show(cell, x, 700 - 20 * n) for n, row in enumerate(rows) for cell, x in zip(row, (40, 104, 204), strict=True)
    )
    assert [line for line in read(pdf(drawn)).text.splitlines() if "-" not in line] == [
        f"| {' | '.join(row)} |" for row in rows
    ]


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


def test_bold_words_are_no_heading_when_the_next_line_goes_on_with_them() -> None:
    """They begin a sentence of the paragraph."""
    lines = show("This is important enough to be bold", 40, 700, font="F2") + show("for a line.", 40, 688, font="F2")
    assert "#" not in read(pdf(lines + show("The rest is not.", 110, 688) + column(40, 676, prose(8, seed=8)))).text


def test_entry_of_contents_is_no_heading() -> None:
    """However bold: the heading comes later."""
    text = read(pdf(show("1 Care of pumps ........ 12", 40, 700, font="F2") + column(40, 680, prose(8, seed=9)))).text
    assert "#" not in text


def test_initial_belongs_to_its_word() -> None:
    """Also when it is as high as three lines."""
    lines = ["he pump shows an error", "when no water comes", "through its valve"]
    text = read(pdf(show("T", 40, 676, size=40) + column(68, 700, lines) + column(40, 664, prose(4, seed=10)))).text
    assert text.startswith("The pump shows an error\nwhen no water")


def test_accents_stand_on_their_letters_when_drawn_apart() -> None:
    """As TeX draws them: the accent, back, the letter."""
    drawn = "BT /F1 10 Tf 40 700 Td [(C\\302) 333 (esar)] TJ ET\n"
    assert read(pdf(drawn)).text == "César"


def test_word_is_whole_when_its_letters_are_set_wide() -> None:
    """Spaces are where the gaps are wider than the others; letters with spaces between them stay apart."""
    wide = "BT /F1 10 Tf 6 Tc 12 Tw 40 700 Td (WATER PUMP) Tj ET\n"
    assert read(pdf(wide)).text == "WATER PUMP"
    assert read(pdf(show("a b c d e f", 40, 700))).text == "a b c d e f"


def test_hyphen_stays_when_a_name_follows() -> None:
    """It is part of the word."""
    assert read(pdf(column(40, 700, ["What is pre-", "Columbian is old."]))).text == "What is pre-Columbian\nis old."


def test_headings_have_levels_by_size_and_weight() -> None:
    """The largest is the first level; bold lines of the text's own size come after all larger ones."""
    text = read(
        pdf(
            show("Pumps", 40, 760, size=20)
            + show("Care", 40, 720, size=14)
            + column(40, 690, prose(8, seed=3))
            + show("Every month", 40, 570, font="F2")
            + column(40, 545, prose(8, seed=4))
        )
    ).text
    assert [line for line in text.splitlines() if line.startswith("#")] == ["# Pumps", "## Care", "### Every month"]


def test_outline_names_headings() -> None:
    """A line that is a title of the outline has its level, whatever it looks like."""
    items = [
        "<</First 6 0 R/Last 6 0 R/Count 1>>",
        "<</Title(1 Pumps)/Parent 5 0 R/First 7 0 R/Last 7 0 R/Count 1>>",
        "<</Title(1.1 Care)/Parent 6 0 R>>",
    ]
    data = pdf(column(40, 700, ["1 Pumps", "1.1 Care", *prose(9, seed=5)]), extra=items, catalog="/Outlines 5 0 R")
    assert read(data).text.startswith("# 1 Pumps\n\n## 1.1 Care\n\n")


def test_title_of_the_outline_is_found_over_two_lines_and_without_its_number() -> None:
    """As documents print them: numbered, and broken where the column ends."""
    items = [
        "<</First 6 0 R/Last 7 0 R/Count 2>>",
        "<</Title(Pumps and how to care for them)/Parent 5 0 R/Next 7 0 R>>",
        "<</Title(Valves)/Parent 5 0 R/Prev 6 0 R>>",
    ]
    lines = ["Pumps and how to", "care for them", *prose(9, seed=5), "2 Valves", *prose(3, seed=14)]
    data = pdf(column(40, 700, lines), extra=items, catalog="/Outlines 5 0 R")
    found = [line for line in read(data).text.splitlines() if line.startswith("#")]
    assert found == ["# Pumps and how to care for them", "# 2 Valves"]


def test_running_lines_stay_on_the_first_page_only() -> None:
    """Digits apart; what is not repeated stays wherever it stands."""
    pages = [
        show(f"Manual of pumps - {n}", 40, 780) + column(40, 700, prose(5, seed=n)) + show(f"Page {n} of 4", 250, 20)
        for n in (1, 2, 3, 4)
    ]
    text = read(pdf(*pages)).text
    assert (text.count("Manual of pumps"), text.count("of 4")) == (1, 1)
    assert "Note 7" in read(pdf(*pages[:3], pages[3] + show("Note 7", 40, 795))).text


def test_titles_of_chapters_stay_when_each_begins_a_page_and_their_numbers_count_pages() -> None:
    """Large letters over a page are no header, unless they are the same on all pages."""
    pages = [
        show("Manual", 40, 780) + show(f"Chapter {n}", 40, 740, size=18) + column(40, 700, prose(9, seed=n))
        for n in (1, 2, 3, 4)
    ]
    text = read(pdf(*pages)).text
    assert re.findall("^# .*$", text, re.M) == [f"# Chapter {n}" for n in (1, 2, 3, 4)]
    assert text.count("Manual") == 1


def test_running_line_below_pages_parts_no_sentence() -> None:
    """It is kept under the last page that has it."""
    pages = [column(40, 700, prose(5, seed=n)) + show("For internal use", 40, 20) for n in range(4)]
    text = read(pdf(*pages)).text
    assert text.count("For internal use") == 1
    assert text.endswith("For internal use")


def test_head_of_a_table_that_goes_on_is_no_header_of_the_page() -> None:
    """No line is drawn; what is over its columns on each page names them there."""
    head, xs = ("Part", "Place", "Count"), (40, 180, 320)
    pages = [
        "".join(
            show(cell, x, 780 - 15 * line)
            for line, row in enumerate(
                [head, *((f"Pump {n}{line}", f"hall {line}", f"{line}{n}") for line in range(6))]
            )
            for cell, x in zip(row, xs, strict=True)
        )
        for n in range(4)
    ]
    assert read(pdf(*pages)).text.count("| Part | Place | Count |\n| --- |") == 4


def test_running_line_is_kept_where_it_is_first_seen() -> None:
    """Not only on the first page of all."""
    pages = [column(40, 700, prose(4, seed=n)) for n in range(5)]
    text = read(pdf(pages[0], *(show("Manual of pumps", 40, 780) + page for page in pages[1:]))).text
    assert text.count("Manual of pumps") == 1


def test_repeated_line_stays_when_its_number_is_what_it_says() -> None:
    """Only a number that counts pages, or is always the same, runs."""
    pages = [
        show(f"Turn by {angle} degrees", 40, 700) + column(40, 600, prose(7, seed=angle)) for angle in (90, 7, 450)
    ]
    assert read(pdf(*pages)).text.count("Turn by") == 3


@pytest.mark.parametrize("turn", ["0 1 -1 0", "0 -1 1 0", "-1 0 0 -1"])
def test_turned_text_is_read_in_its_own_direction(turn: str) -> None:
    """Lines in their order, whichever way the whole page is turned."""
    steps = {"0 1 -1 0": (14, 0), "0 -1 1 0": (-14, 0), "-1 0 0 -1": (0, 14)}[turn]
    lines = prose(5, seed=6)
    drawn = "".join(show(line, 300 + n * steps[0], 300 + n * steps[1], turn=turn) for n, line in enumerate(lines))
    assert read(pdf(drawn)).text == "\n".join(lines)


TABLE = (
    "/CIDInit /ProcSet findresource begin 12 dict begin begincmap 1 begincodespacerange <00> <FF> endcodespacerange "
)


def in_font(codes: str, font: str, *objects: str, before: str = "", after: str = "") -> bytes:
    """One line whose middle is set in a font of its own, object 5; further objects are numbered from 6 on."""
    line = f"BT /F1 14 Tf 40 700 Td ({before}) Tj /F9 14 Tf <{codes}> Tj /F1 14 Tf ({after}) Tj ET\n"
    fonts = "/Resources<</Font<</F1 3 0 R/F2 4 0 R/F9 5 0 R>>>>"
    return pdf(line, extra=[f"<</Type/Font {font}>>", *objects], page=fonts).replace(
        b"/Resources<</Font<</F1 3 0 R/F2 4 0 R>>>>", b""
    )


def stream(content: str) -> str:
    return f"<</Length {len(content)}>>stream\n{content}\nendstream"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("f_f_i", "ffi"),
        ("f_f_i.alt", "ffi"),
        ("uni006600660069", "ffi"),
        ("f_l.liga", "fl"),
        ("T_h", "Th"),
        ("u00066_u00066", "ff"),
    ],
)
def test_ligatures_are_read_by_their_names(name: str, shown: str) -> None:
    """A font without a table of its letters has their names."""
    font = f"/Subtype/Type1/BaseFont/Helvetica/FirstChar 1/LastChar 1/Widths[778]/Encoding<</Differences[1/{name}]>>"
    assert read(in_font("01", font, before="wo", after="ce")).text == f"wo{shown}ce"


def test_ligatures_that_a_table_leaves_out_are_read_by_their_names() -> None:
    """A table that knows some letters of a font says nothing against the names of others."""
    table = stream(TABLE + "1 beginbfchar <02> <0073> endbfchar endcmap end end")
    names = "/Encoding<</Differences[1/f_i/s]>>/ToUnicode 6 0 R"
    font = f"/Subtype/Type1/BaseFont/Helvetica/FirstChar 1/LastChar 2/Widths[500 500]{names}"
    assert read(in_font("0102", font, table, before="of")).text == "offis"


def test_letters_of_a_type_3_font_are_read_by_their_names() -> None:
    """Their codes alone say nothing."""
    glyph = stream("600 0 0 0 500 700 d1 0 0 500 700 re f")
    names = "PumproFi"
    shapes = "".join(f"/{name} 6 0 R" for name in names)
    encoding = f"/Encoding<</Differences[1{''.join(f'/{name}' for name in names)}]>>"
    font = (
        "/Subtype/Type3/FontBBox[0 0 600 700]/FontMatrix[0.001 0 0 0.001 0 0]/FirstChar 1/LastChar 8"
        f"/CharProcs<<{shapes}>>{encoding}/Widths[{'600 ' * 8}]"
    )
    assert read(in_font("0102030401050602", font, glyph)).text == "PumpProu"


def test_a_table_that_holds_utf_8_is_read_as_such() -> None:
    """Where the names of the letters agree: otherwise the table is believed."""
    names = "/Encoding<</Differences[65/afii10029/afii10074/afii10083]>>/ToUnicode 6 0 R"
    font = f"/Subtype/Type1/BaseFont/Helvetica/FirstChar 65/LastChar 67/Widths[500 500 500]{names}"
    table = TABLE + "3 beginbfchar <41> <D09B> <42> <D0B8> <43> <D181> endbfchar endcmap end end"
    assert read(in_font("414243", font, stream(table))).text == "Лис"
    other = TABLE + "3 beginbfchar <41> <0058> <42> <0059> <43> <005A> endbfchar endcmap end end"
    assert read(in_font("414243", font, stream(other))).text == "XYZ"


@pytest.mark.parametrize("letter", ["𝑎", "😀", "𠮟"])
def test_letters_beyond_the_basic_plane_are_whole(letter: str) -> None:
    """pdfium counts each of them as two; the words after them stay where they are."""
    table = stream(TABLE + f"1 beginbfchar <41> <{letter.encode('utf-16-be').hex()}> endbfchar endcmap end end")
    font = "/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding/ToUnicode 6 0 R"
    assert read(in_font("41", font, table, before="area ", after=" times b")).text == f"area {letter} times b"


@pytest.mark.parametrize("digits", ["١٤٣٤", "۱۴۰۳"])
def test_digits_in_right_to_left_text_stay_in_order(digits: str) -> None:
    """They are read to the right within words that are read to the left."""
    shown = "".join(reversed("عام "))  # as it is drawn, from the left
    text = digits + shown
    lines = [f"<{code + 0x41:02x}> <{ord(letter):04x}>" for code, letter in enumerate(text)]
    table = stream(f"{TABLE}{len(lines)} beginbfchar {' '.join(lines)} endbfchar endcmap end end")
    font = "/Subtype/Type1/BaseFont/Courier/Encoding/WinAnsiEncoding/ToUnicode 6 0 R"
    codes = "".join(f"{code + 0x41:02x}" for code in range(len(text)))
    assert digits in read(in_font(codes, font, table)).text


def test_a_form_field_without_a_form_is_read() -> None:
    """Its value is in the annotation, as in a page that was taken out of its document."""
    field = "<</Type/Annot/Subtype/Widget/FT/Tx/T(Agency)/V(Department of Gardens)/Rect[140 245 340 265]>>"
    text = read(pdf(show("Name of agency:", 40, 250), extra=[field], page="/Annots[5 0 R]")).text
    assert "Agency: Department of Gardens" in text


def test_form_values_and_comments_are_read() -> None:
    """They are no part of the page's own text."""
    field = "<</Type/Annot/Subtype/Widget/FT/Tx/T(name)/V(Ada Lovelace)/Rect[100 600 300 620]/F 4>>"
    comment = "<</Type/Annot/Subtype/FreeText/Contents(Please check)/Rect[100 500 300 520]/DA(/F1 10 Tf)>>"
    data = pdf(
        show("Your name", 40, 700), page="/Annots[5 0 R 6 0 R]", extra=[field, comment],
        catalog="/AcroForm<</Fields[5 0 R]/DA(/F1 10 Tf)>>",
    )  # fmt: skip
    assert read(data).text == "Your name\n\nname: Ada Lovelace\n\nPlease check"


def test_comments_on_marked_text_are_read_unless_they_repeat_it() -> None:
    """Fields are named as the form names them to its reader."""
    mark = "<</Type/Annot/Subtype/Highlight/Contents({})/Rect[40 690 99 710]/QuadPoints[40 710 99 710 40 690 99 690]>>"
    field = "<</Type/Annot/Subtype/Widget/FT/Tx/T(f1_01[0])/TU(First name)/V(Ada)/Rect[100 600 300 620]/F 4>>"
    data = pdf(
        show("Ten percent", 40, 700), page="/Annots[5 0 R 6 0 R 7 0 R]",
        extra=[mark.format("Is this so?"), mark.format("Ten  percent"), field], catalog="/AcroForm<</Fields[7 0 R]>>",
    )  # fmt: skip
    assert read(data).text == "Ten percent\n\nIs this so?\n\nFirst name: Ada"


def test_pages_are_where_they_are_said_to_be() -> None:
    """Each page's text begins at its offset, empty pages too."""
    parsed = read(pdf(show("one", 40, 700), "", show("three", 40, 700)))
    assert parsed.text == "one\n\n\n\nthree"
    assert parsed.page_offsets == (0, 5, 7)


def test_letters_printed_twice_are_read_once() -> None:
    """Some printers make bold letters so."""
    assert read(pdf(show("Total", 40, 700) + show("Total", 40.4, 700))).text == "Total"


IMAGE = (
    "<</Type/XObject/Subtype/Image/Width 1/Height 1/ColorSpace/DeviceGray/BitsPerComponent 8/Length 1>>"
    "stream\nx\nendstream"
)


def scan(*stamps: str) -> bytes:
    """Pages that an image fills, with few words on them."""
    pages = ["q 600 0 0 800 0 0 cm /Im Do Q\n" + show(stamp, 40, 700) for stamp in stamps]
    data = pdf(*pages, extra=[IMAGE])
    return data.replace(b"/Resources<<", b"/Resources<</XObject<</Im 5 0 R>>")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (pdf(""), "no_text"),
        (scan("Seen", "Seen"), "no_text"),
        (scan("Received 2024-01-05", "2"), "no_text"),
        (b"%PDF-1.4\n" + b"1 0 obj\n<<>>\nendobj\n" * 3, "corrupt"),
        (pdf(show("one", 40, 700))[:200], "corrupt"),
    ],
)
def test_document_is_refused_when_there_is_nothing_to_read(data: bytes, kind: str) -> None:
    """With the kind that tells what to do, and the file's name."""
    with pytest.raises(DocumentError, match=r"a\.pdf") as caught:
        read(data)
    assert caught.value.kind == kind


def test_short_document_is_no_scan() -> None:
    """Few words, and no picture behind them."""
    assert read(pdf(show("Yes.", 40, 700), show("No.", 40, 700))).text == "Yes.\n\nNo."


def test_page_that_is_a_picture_is_named_when_others_have_text() -> None:
    """It is not lost in silence."""
    long = " ".join(prose(2, seed=12))
    parsed = read(scan(long, "Seen", long))
    assert parsed.warnings == ("1 pages are pictures: run OCR on them first (2)",)


def test_page_is_left_out_when_nobody_can_read_it() -> None:
    """The others are read, and a warning says which one is missing."""
    data = pdf(show("one", 40, 700), show("two", 40, 700), show("three", 40, 700))
    parsed = read(data.replace(b"/Kids[5 0 R 7 0 R", b"/Kids[5 0 R 99 0 R"))
    assert parsed.text == "one\n\n\n\nthree"
    assert parsed.warnings[0].startswith("page 2:")
    assert parsed.page_offsets == (0, 5, 7)


@pytest.mark.parametrize(("password", "ends"), [("", "Secret"), ("open sesame", "encrypted")])
def test_document_is_read_when_only_its_owner_has_a_password(password: str, ends: str) -> None:
    """One that needs a password to be opened is refused as such."""
    writer = pypdf.PdfWriter(io.BytesIO(pdf(show("Secret", 40, 700))))
    writer.encrypt(password, "owner", algorithm="RC4-128")
    data = io.BytesIO()
    writer.write(data)
    assert outcome(data.getvalue()) == ends


def test_text_is_read_wherever_it_stands() -> None:
    """Places that no page has, and sizes that no eye sees, stop nobody."""
    strange = show("far", 1e30, 1e30) + show("deep", -1e9, 5) + show("tiny", 1, 1, size=1e-9) + "nan nan m 1 nan l S\n"
    assert "near" in read(pdf(strange + "1e38 0 m 1e38 1e38 l S\n" + show("near", 40, 700))).text


def test_limits_are_named_when_a_document_is_too_large() -> None:
    """Pages and characters, with the number, the limit and its setting."""
    data = pdf(*[column(40, 700, prose(5, seed=n)) for n in range(4)])
    with pytest.raises(DocumentError, match=r"4 pages; the limit \(parsing\.max_pages\) is 3") as caught:
        read(data, max_pages=3)
    assert caught.value.kind == "too_large"
    with pytest.raises(DocumentError, match=r"over 100 characters in 1 pages \(the limit is parsing\.max_characters\)"):
        read(data, max_characters=100)


def bent(data: bytes, rng: random.Random) -> bytes:
    """A few wrong bytes, or a few wrong numbers."""
    changed = bytearray(data)
    for _ in range(20):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    if rng.random() < 0.5:
        return bytes(changed)
    numbers = [b"-1", b"0", b"99999999999", b"1e38", b"0.0000001"]
    return re.sub(rb"\d+", lambda found: rng.choice(numbers) if rng.random() < 0.01 else found[0], data)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="../shared/corpus is not there")
def test_bent_documents_are_read_or_refused() -> None:
    """Whatever a few wrong bytes make of real documents, nothing but text or a DocumentError comes out."""
    rng = random.Random(7)
    files = [file for file in sorted(CORPUS.glob("*.pdf")) if 0 < file.stat().st_size < 100_000]
    for file in files:
        with suppress(DocumentError):
            assert isinstance(pdf_format.parse(bent(file.read_bytes(), rng), name="a.pdf", limits=Parsing()).text, str)
