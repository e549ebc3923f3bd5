"""Letters of PDF files that a table or a name stands for, and values of form fields."""

from collections.abc import Iterator, Sequence

from rag_assets_tests import samples
from rag_assets_tests.siblings.pdf_files import FIRST_OBJECT, pdf, show, unicode_table, utf16
from rag_assets_tests.siblings.sibling import Sibling, sibling

LINE = "BT /F1 12 Tf 40 700 Td ({}) Tj /X 12 Tf <{}> Tj /F1 12 Tf ({}) Tj ET\n"


def _single(before: str, characters: Sequence[str], after: str) -> bytes:
    """Characters of a font with codes of one byte, from 41 on, between words in another font."""
    codes = {f"{0x41 + at:02X}": utf16(text) for at, text in enumerate(characters)}
    font = f"/Subtype/Type1/BaseFont/Helvetica/ToUnicode {FIRST_OBJECT} 0 R"
    return pdf(LINE.format(before, "".join(codes), after), fonts={"X": font}, objects=[unicode_table(codes)])


def _double(before: str, codes: str, after: str, table: bytes) -> bytes:
    """Characters of a font with codes of two bytes."""
    below = f"{FIRST_OBJECT + 1} 0 R"
    font = f"/Subtype/Type0/BaseFont/A/Encoding/Identity-H/DescendantFonts[{below}]/ToUnicode {FIRST_OBJECT} 0 R"
    system = "/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>"
    descriptor = f"/FontDescriptor {FIRST_OBJECT + 2} 0 R"
    cid = f"<</Type/Font/Subtype/CIDFontType2/BaseFont/A{system}{descriptor}/DW 600>>".encode()
    facts = (
        b"<</Type/FontDescriptor/FontName/A/Flags 4/FontBBox[0 -200 1000 800]/ItalicAngle 0/Ascent 800"
        b"/Descent -200/CapHeight 700/StemV 80>>"
    )
    return pdf(LINE.format(before, codes, after), fonts={"X": font}, objects=[table, cid, facts])


def beyond_bmp() -> Iterator[Sibling]:
    """Characters that UTF-16 writes as two units."""
    ok = ("and that is all",)
    table = unicode_table({"0001": utf16("𝑥"), "0002": utf16("𝜎"), "0003": utf16("𝐀")})
    yield sibling(
        "formula_two_bytes.pdf",
        _double("Let ", "000100020003", " and that is all", table),
        "xσA",
        *ok,
        absent=["\ufffd"],
    )
    yield sibling("flag.pdf", _single("Made in ", ["🇩🇪"], " and that is all"), "🇩🇪", *ok, absent=["\ufffd"])
    yield sibling(
        "gothic.pdf", _single("Word ", ["𐌰", "𐍄", "𐍄", "𐌰"], " and that is all"), "𐌰𐍄𐍄𐌰", *ok, absent=["\ufffd"]
    )
    ranged = unicode_table({"0010> <0012": utf16("𠀀")}).replace(b"<00000> <FFFFF>", b"<0000> <FFFF>")
    ranged = ranged.replace(b"beginbfchar", b"beginbfrange").replace(b"endbfchar", b"endbfrange")
    ranged = _codespace(ranged)
    yield sibling(
        "rare_chinese_range.pdf",
        _double("Sign ", "00100011", " and that is all", ranged),
        "𠀀𠀁",
        *ok,
        absent=["\ufffd"],
        spaced=True,
    )
    yield sibling(
        "thumbs.pdf", _single("Rated ", ["👍🏽", "🌷"], " and that is all"), "👍🏽", "🌷", *ok, absent=["\ufffd"]
    )
    yield sibling("music.pdf", _single("Clef ", ["𝄞"], " and that is all"), "𝄞", *ok, absent=["\ufffd"])


def _codespace(table: bytes) -> bytes:
    start, end = table.index(b"begincodespacerange\n"), table.index(b"\nendcodespacerange")
    data = table[:start] + b"begincodespacerange\n<0000> <FFFF>" + table[end:]
    body = data[data.index(b"stream\n") + 7 : data.index(b"\nendstream")]
    return samples.stream(body)


def _leftward(visual: str) -> bytes:
    """A line whose letters are drawn from left to right as they are seen."""
    letters = list(dict.fromkeys(visual))
    codes = {f"{0x21 + at:02X}": utf16(text) for at, text in enumerate(letters)}
    drawn = "".join(f"{0x21 + letters.index(letter):02X}" for letter in visual)
    font = f"/Subtype/Type1/BaseFont/Courier/ToUnicode {FIRST_OBJECT} 0 R"
    return pdf(f"BT /X 12 Tf 40 700 Td <{drawn}> Tj ET\n", fonts={"X": font}, objects=[unicode_table(codes)])


def digits_among_rtl() -> Iterator[Sibling]:
    """Numbers within lines of Hebrew, Arabic and Persian stand as they are counted."""
    hebrew, arabic = "בשנת", "في عام"
    yield sibling("hebrew_year.pdf", _leftward("1948 " + hebrew[::-1]), "1948", hebrew, absent=["8491"])
    yield sibling("arabic_year.pdf", _leftward("2024 " + arabic[::-1]), "2024", arabic, absent=["4202"])
    persian = "سال"
    yield sibling("persian_digits.pdf", _leftward("۱۳۷۵ " + persian[::-1]), "۱۳۷۵", persian, absent=["۵۷۳۱"])
    price = "המחיר"
    yield sibling("hebrew_price.pdf", _leftward("123.45 " + price[::-1]), "123.45", price, absent=["54.321"])
    two = "הגן נפתח"[::-1]
    yield sibling("number_between.pdf", _leftward("תועשב 18:30 " + two), "18:30", "הגן נפתח", absent=["03:81"])
    yield sibling("arabic_percent.pdf", _leftward("٣٧٫٥ " + "نسبة"[::-1]), "٣٧٫٥", "نسبة", absent=["٥٫٧٣"])
    yield sibling("word_of_latin.pdf", _leftward("PDF 417 " + "קובץ"[::-1]), "PDF 417", "קובץ", absent=["714", "FDP"])


def _named(names: Sequence[str], before: str, after: str) -> bytes:
    """Glyphs that a font names, and no table."""
    differences = f"/Encoding<</Type/Encoding/Differences[1 {' '.join(f'/{name}' for name in names)}]>>"
    widths = f"/FirstChar 1/LastChar {len(names)}/Widths[{' '.join(['600'] * len(names))}]"
    codes = "".join(f"{at:02X}" for at in range(1, len(names) + 1))
    font = f"/Subtype/Type1/BaseFont/Helvetica{widths}{differences}"
    return pdf(LINE.format(before, codes, after), fonts={"X": font})


def ligature_names() -> Iterator[Sibling]:
    """Ligatures and variants by their names alone (Adobe Glyph List Specification)."""
    yield sibling("f_f_l.pdf", _named(["f_f_l"], "the ba", "e of the pump"), "the baffle of the pump")
    yield sibling("t_t.pdf", _named(["t_t"], "the bu", "on of the pump"), "the button of the pump")
    yield sibling("f_i_variant.pdf", _named(["f_i.liga"], "the ", "rst pump"), "the first pump")
    yield sibling("uni_parts.pdf", _named(["uni00660069"], "the ", "lter of the pump"), "the filter of the pump")
    yield sibling("small_capital.pdf", _named(["P.sc", "u.sc"], "the ", "mp in the cellar"), "the pump in the cellar")
    yield sibling("T_h.pdf", _named(["T_h"], "", "e pump in the cellar"), "The pump in the cellar")
    yield sibling("u_five.pdf", _named(["u1D465"], "the value ", " of it"), "the value 𝑥 of it")


def _type3(names: Sequence[str], codes: str, *, before: str = "", after: str = "") -> bytes:
    """A Type 3 font whose glyphs are drawn as boxes."""
    procedures = "".join(f"/{name} {FIRST_OBJECT} 0 R" for name in dict.fromkeys(names))
    encoding = f"/Encoding<</Type/Encoding/Differences[1 {' '.join(f'/{name}' for name in names)}]>>"
    widths = f"/FirstChar 1/LastChar {len(names)}/Widths[{' '.join(['600'] * len(names))}]"
    font = (
        f"/Subtype/Type3/FontBBox[0 0 600 700]/FontMatrix[.001 0 0 .001 0 "
        f"0]/CharProcs<<{procedures}>>{encoding}{widths}"
    )
    glyph = samples.stream(b"600 0 0 0 500 700 d1 0 0 500 700 re f")
    return pdf(LINE.format(before, codes, after), fonts={"X": font}, objects=[glyph])


def _codes(names: Sequence[str], text: Sequence[str]) -> str:
    return "".join(f"{names.index(name) + 1:02X}" for name in text)


def type3_names() -> Iterator[Sibling]:
    """Fonts of drawings whose glyphs have names."""
    names = ["V", "a", "l", "v", "e", "space", "r", "o", "m"]
    yield sibling("alone.pdf", _type3(names, _codes(names, [*"Valve", "space", *"room"])), "Valve room")
    greek = ["uni0391", "uni03BD", "uni03C4", "uni03BB", "uni03AF", "uni03B1"]
    yield sibling("greek.pdf", _type3(greek, "010203040506"), "Αντλία")
    accents = ["P", "udieresis", "m", "p", "e", "eacute"]
    yield sibling("accents.pdf", _type3(accents, _codes(accents, ["P", "udieresis", "m", "p", "eacute"])), "Pümpé")
    russian = ["afii10033", "afii10065", "afii10083", "afii10080"]
    yield sibling("russian.pdf", _type3(russian, "01020302"), "Паса")
    ligature = ["o", "ffi", "c", "e", "s"]
    yield sibling("ligature.pdf", _type3(ligature, "0102030405", before="Two ", after=" remain"), "Two offices remain")
    digits = ["one", "nine", "four", "eight", "hyphen", "period"]
    yield sibling("digits.pdf", _type3(digits, "0102030405010206", before="Years ", after=" end"), "Years 1948-19. end")


def _tabled(names: Sequence[str], table: bytes, before: str = "", after: str = "") -> bytes:
    """Glyphs that have names, and a table that is wrong; codes from 41 on."""
    encoding = f"/Encoding<</Type/Encoding/Differences[65 {' '.join(f'/{name}' for name in names)}]>>"
    codes = "".join(f"{0x41 + at:02X}" for at in range(len(names)))
    font = f"/Subtype/Type1/BaseFont/Helvetica{encoding}/ToUnicode {FIRST_OBJECT} 0 R"
    return pdf(LINE.format(before, codes, after), fonts={"X": font}, objects=[table])


def damaged_tables() -> Iterator[Sibling]:
    """ToUnicode that is UTF-8, cut, or empty, where the names of the glyphs are right."""

    def utf8(text: str) -> bytes:
        return unicode_table({f"{0x41 + at:02X}": letter.encode().hex().upper() for at, letter in enumerate(text)})

    greek = ["Alpha", "nu", "tau", "lambda", "iotatonos", "alpha"]
    yield sibling("utf8_greek.pdf", _tabled(greek, utf8("Αντλία")), "Αντλία")
    czech = ["Ccaron", "e", "r", "p", "a", "dcaron", "zcaron"]
    yield sibling("utf8_czech.pdf", _tabled(czech, utf8("Čerpaďž")), "Čerpaďž")
    nothing = unicode_table({f"{0x41 + at:02X}": "0000" for at in range(4)})
    yield sibling("all_nul.pdf", _tabled(["P", "u", "m", "p"], nothing, "the ", " room"), "the Pump room")
    unknown = unicode_table({f"{0x41 + at:02X}": "FFFD" for at in range(4)})
    yield sibling("all_unknown.pdf", _tabled(["P", "u", "m", "p"], unknown, "the ", " room"), "the Pump room")
    private = unicode_table({f"{0x41 + at:02X}": f"F0{0x41 + at:02X}" for at in range(5)})
    yield sibling("private_use.pdf", _tabled(["V", "a", "l", "v", "e"], private, "the ", " room"), "the Valve room")
    cut = samples.stream(unicode_table({"41": utf16("P"), "42": utf16("u")}).split(b"<42>")[0].split(b"stream\n")[1])
    yield sibling("cut_off.pdf", _tabled(["P", "u", "m", "p"], cut, "the ", " room"), "the Pump room")
    russian = ["afii10049", "afii10066", "afii10067"]
    yield sibling("utf8_capitals.pdf", _tabled(russian, utf8("Ябв")), "Ябв")


def _widgets(*widgets: str, more: Sequence[bytes] = ()) -> bytes:
    places = " ".join(f"{FIRST_OBJECT + at} 0 R" for at in range(len(widgets)))
    objects = [f"<</Type/Annot/Subtype/Widget/F 4{body}>>".encode("latin-1") for body in widgets]
    return pdf(show("Name of agency:", 40, 700), objects=[*objects, *more], page=f"/Annots[{places}]")


def widgets() -> Iterator[Sibling]:
    """Values of fields of a page that was taken out of its form."""
    place = "/Rect[140 695 340 715]"
    yield sibling("no_appearance.pdf", _widgets(f"/FT/Tx/T(a)/V(Office of Parks){place}"), "Office of Parks")
    wide = ("\ufeff" + "Büro für Gärten").encode("utf-16-be").hex()
    yield sibling("utf16.pdf", _widgets(f"/FT/Tx/T(a)/V<{wide}>{place}"), "Büro für Gärten")
    yield sibling("choice.pdf", _widgets(f"/FT/Ch/T(a)/Opt[(North)(South)]/V(South){place}"), "South")
    parent = b"<</FT/Tx/T(a)/V(Bureau of Ponds)/Kids[20 0 R]>>"
    yield sibling("value_of_parent.pdf", _widgets(f"/Parent 21 0 R{place}", more=[parent]), "Bureau of Ponds")
    lines = "/FT/Tx/Ff 4096/T(a)/V(First line\\rSecond line)/Rect[140 655 340 715]"
    yield sibling("two_lines.pdf", _widgets(lines), "First line", "Second line")
    two = (f"/FT/Tx/T(a)/V(Office of Parks){place}", "/FT/Tx/T(b)/V(Room 17)/Rect[140 655 340 675]")
    yield sibling("two_fields.pdf", _widgets(*two), "Office of Parks", "Room 17")
    font = b"/Resources<</Font<</H<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>>>>>"
    content = rb"BT /H 12 Tf 2 4 Td (B\374ro \(R\)) Tj ET"
    picture = samples.stream(content, facts=b"/Type/XObject/Subtype/Form/BBox[0 0 200 20]" + font)
    yield sibling("appearance_alone.pdf", _widgets(f"/FT/Tx/T(a){place}/AP<</N 21 0 R>>", more=[picture]), "Büro (R)")
