"""PDF: letters whose fonts only have names for them."""

import pytest

from rag_assets_tests.pdf_pages import TABLE, in_font, read, stream


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


def test_all_that_a_table_states_is_kept_beside_a_name() -> None:
    """Letters one by one, in ranges, and ranges of a list; only the ligature is told by its name."""
    parts = (
        "1 beginbfchar <02> <0078> endbfchar 2 beginbfrange <03> <04> <0079> <05> <06> [<0051> <00410042>] endbfrange"
    )
    names = "/Encoding<</Differences[1/f_i/a/b/c/d/e]>>/ToUnicode 6 0 R"
    font = f"/Subtype/Type1/BaseFont/Helvetica/FirstChar 1/LastChar 6/Widths[500 500 500 500 500 500]{names}"
    assert read(in_font("010203040506", font, stream(f"{TABLE}{parts} endcmap end end"))).text == "fixyzQAB"


@pytest.mark.parametrize(
    ("stated", "shown"),
    [
        ("<01> <F020> <02> <F021> <03> <F022>", "née"),
        ("<01> <FFFD> <02> <FFFD> <03> <FFFD>", "née"),
        ("<01> <006E> <02> <C3A9> <03> <0065>", "née"),
        ("<01> <006E> <02> <00E8> <03> <0065>", "nèe"),
    ],
)
def test_letters_are_read_by_their_names_where_a_table_has_none(stated: str, shown: str) -> None:
    """Private characters, replacement characters and bytes of UTF-8 are no letters."""
    names = "/Encoding<</Differences[1/n/eacute/e]>>/ToUnicode 6 0 R"
    font = f"/Subtype/Type1/BaseFont/Helvetica/FirstChar 1/LastChar 3/Widths[500 500 500]{names}"
    table = stream(f"{TABLE}3 beginbfchar {stated} endbfchar endcmap end end")
    text = read(in_font("010203010203", font, table, before="to ", after=" so")).text
    assert text == f"to {shown}{shown} so"
