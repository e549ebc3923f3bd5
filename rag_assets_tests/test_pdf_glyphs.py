"""PDF: runs of text as they are seen: turned, to the left, with accents, ligatures and values of forms."""

from collections.abc import Sequence

import pytest

from rag_assets_tests.pdf_pages import TABLE, column, in_font, pdf, prose, read, show, stream, written_to_the_left

UNLIKE = {"f": 278, "i": 222, "l": 222, "m": 833, "r": 333, "t": 278, "w": 722, " ": 278}


WIDTHS = dict.fromkeys("abdeghnopqu", 556) | dict.fromkeys("cksvxyz", 500) | UNLIKE  # of Helvetica


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


def test_words_that_run_to_the_left_are_read_so_when_the_file_draws_them_from_the_left_or_from_the_right() -> None:
    """Their letters may be stored in the form that they have within a word."""
    letters = zip(b"abcde", "\u0627\u0628\ufea3\u0631\u0645", strict=True)
    codes = "".join(f"<{code:02x}> <{ord(letter):04x}>\n" for code, letter in letters)
    table = f"1 begincodespacerange <00> <ff> endcodespacerange\n5 beginbfchar\n{codes}endbfchar"
    backwards = "BT /F1 10 Tf 300 700 Td [(e) 1112 (d) 1112 (c) 1112 (b) 1112 (a)] TJ ET\n"
    for drawn in (show("abcde", 300, 700), backwards):
        data = pdf(drawn, extra=[f"<</Length {len(table)}>>stream\n{table}\nendstream"])
        assert read(data.replace(b"/BaseFont/Helvetica>>", b"/BaseFont/Helvetica/ToUnicode 5 0 R>>")).text == "مرحبا"


def test_brackets_and_ligatures_are_right_in_words_that_run_to_the_left() -> None:
    """A file may have the letter that a bracket stands for, and two letters for the glyph of lam and alef."""
    hebrew = {"a": "א", "b": "ב", "c": "ג", "d": "ד"}
    assert written_to_the_left(hebrew, show("dc )ba( ab", 300, 700)) == "בא (אב) גד"
    assert written_to_the_left(hebrew, show("dc (ba) ab", 300, 700)) == "בא (אב) גד"
    assert written_to_the_left({"a": "ا", "b": "لأ", "c": "و", "d": "ل"}, show("dcba", 300, 700)) == "الأول"


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


def test_lines_are_apart_on_a_page_that_has_few_of_them() -> None:
    """Where pdfium sees no direction of lines, it takes what is below the end of one for its next words."""
    rows = [("1", "Pump", "Ann"), ("2", "Valve", "Bob"), ("3", "Filter", "Eve")]
    drawn = "".join(
        show(cell, x, 700 - 20 * n) for n, row in enumerate(rows) for cell, x in zip(row, (40, 104, 204), strict=True)
    )
    assert [line for line in read(pdf(drawn)).text.splitlines() if "-" not in line] == [
        f"| {' | '.join(row)} |" for row in rows
    ]


def test_accents_stand_on_their_letters_when_drawn_apart() -> None:
    """As TeX draws them: the accent, back, the letter."""
    drawn = "BT /F1 10 Tf 40 700 Td [(C\\302) 333 (esar)] TJ ET\n"
    assert read(pdf(drawn)).text == "César"


def test_word_is_whole_when_its_letters_are_set_wide() -> None:
    """Spaces are where the gaps are wider than the others; letters with spaces between them stay apart."""
    wide = "BT /F1 10 Tf 6 Tc 12 Tw 40 700 Td (WATER PUMP) Tj ET\n"
    assert read(pdf(wide)).text == "WATER PUMP"
    assert read(pdf(show("a b c d e f", 40, 700))).text == "a b c d e f"


@pytest.mark.parametrize("turn", ["0 1 -1 0", "0 -1 1 0", "-1 0 0 -1"])
def test_turned_text_is_read_in_its_own_direction(turn: str) -> None:
    """Lines in their order, whichever way the whole page is turned."""
    steps = {"0 1 -1 0": (14, 0), "0 -1 1 0": (-14, 0), "-1 0 0 -1": (0, 14)}[turn]
    lines = prose(5, seed=6)
    drawn = "".join(show(line, 300 + n * steps[0], 300 + n * steps[1], turn=turn) for n, line in enumerate(lines))
    assert read(pdf(drawn)).text == "\n".join(lines)


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


def test_letters_of_a_font_with_a_long_name_do_not_look_like_those_before_them() -> None:
    """pdfium hands out no name that is longer than it was asked for."""
    drawn = show("How pumps work", 40, 700, font="F2") + column(40, 680, prose(8, seed=1))
    data = pdf(drawn).replace(b"/BaseFont/Helvetica>>", b"/BaseFont/" + b"Sans" * 20 + b">>")
    assert read(data).text.splitlines()[0] == "# How pumps work"
