"""RTF: text in any code page, and nothing of the machinery around it."""

import pytest

from rag_assets.errors import DocumentError
from rag_assets.settings import Parsing
from rag_assets.text.formats.office import rtf


def text_of(body: str) -> str:
    return rtf.parse(
        b"{\\rtf1\\ansi\\ansicpg1252 " + body.encode("latin-1") + b"}", name="a.rtf", limits=Parsing()
    ).text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (r"caf\'e9", "café"),
        (r"\u8364?5", "€5"),
        (r"\uc2\u8364\'80\'80x", "€x"),
        (r"\uc0\u8364 x", "€x"),
        (r"\u-10179?\u-8704?", "😀"),
        (r"{\fonttbl{\f1\fcharset204 Arial;}}\f1\'cf\'f0\'e8", "При"),
        (r"{\fonttbl{\f1\fcharset128 Mincho;}}{\f1\'93\'fa\'96\'7b}", "日本"),
        (r"{\upr{\'3f}{\*\ud{\u8364?}}}", "€"),
        (r"a\~b\_c\-d\emdash e \{\}", "a b-cd—e {}"),
    ],
)
def test_characters_are_read_in_every_form(body: str, text: str) -> None:
    """Code pages of fonts, Unicode with the characters that stand for it."""
    assert text_of(body) == text + "\n"


def test_code_is_fenced_with_its_indentation() -> None:
    """Paragraphs of a style for code together, with the empty ones among them."""
    styles = r"{\stylesheet{\s0 Normal;}{\s3\sbasedon0 Preformatted Text;}}"
    code = r"\pard\s3 if a:\par\pard\s3     b()\par\pard\s3\par\pard\s3 c()\par"
    fenced = "```\nif a:\n    b()\n\nc()\n```"
    assert text_of(styles + r"\pard\s0 x\par" + code + r"\pard\plain\s0 y\par") == f"x\n\n{fenced}\n\ny\n"


def test_headings_are_found_by_level_and_style() -> None:
    """Outline levels and the styles that Word calls headings."""
    styles = r"{\stylesheet{\s0 Normal;}{\s2 heading 2;}}"
    assert text_of(styles + r"\pard\s2 A\par\pard\outlinelevel0 B\par\pard c\par") == "## A\n\n# B\n\nc\n"


def test_tables_have_one_row_per_line() -> None:
    """Nested ones stay on the line of their row."""
    nested = r"\itap2 n1\nestcell n2\nestcell{\*\nesttableprops\nestrow}{\nonesttables\par}\pard\intbl\itap1 "
    body = rf"\trowd\pard\intbl a\cell b|c\cell\row\trowd\pard\intbl {nested}d\cell e\par f\cell\row\pard end\par"
    assert text_of(body) == "| a | b\\|c |\n| --- | --- |\n| n1 \\| n2 d | e f |\n\nend\n"


def test_lists_and_notes_are_kept() -> None:
    """Labels as shown, a bullet of a symbol font as a dash, notes below."""
    item = r"{{\listtext\f3\'b7\tab}}{}\par"
    body = item.format("one").replace("{{", "{").replace("}}", "}") + r"{\listtext 2)\tab}two{\footnote\pard note}\par"
    assert text_of(body) == "- one\n2) two[^1]\n\n[^1]: note\n"


def test_machinery_and_deletions_are_left_out() -> None:
    """Pictures, binary parts, unknown groups, deleted text, instructions of fields."""
    body = (
        r"{\colortbl;\red0;}{\*\unknown hidden}{\pict 89504e47}{\*\blipuid 0}a{\deleted b}\bin4 }}{{c"
        r"{\field{\*\fldinst HYPERLINK x}{\fldrslt link}}{\header Head\par}\par{\info{\title T}}"
    )
    assert text_of(body) == "aclink\n\nHead\n"


def test_title_and_box_are_read() -> None:
    """Text boxes stand after their paragraph."""
    data = (
        rb"{\rtf1{\info{\title T}{\author A}}a{\shp{\*\shpinst{\sp{\sn x}{\sv y}}{\shptxt box\par}}{\shprslt box}}\par}"
    )
    parsed = rtf.parse(data, name="a.rtf", limits=Parsing())
    assert (parsed.text, parsed.title, parsed.metadata) == ("a\n\nbox\n", "T", {"author": "A"})


def test_document_that_is_cut_off_is_read_with_a_warning() -> None:
    """What is there is there."""
    parsed = rtf.parse(rb"{\rtf1 text {\b bold", name="a.rtf", limits=Parsing())
    assert parsed.text == "text bold\n"
    assert parsed.warnings


@pytest.mark.parametrize(
    ("data", "kind"),
    [(rb"{\rtf1 " + b"{" * 100_000, "corrupt"), (rb"{\rtf1 }", "no_text"), (b"plain", "corrupt")],
)
def test_refusal_has_its_kind(data: bytes, kind: str) -> None:
    """Too many groups, no words, no RTF."""
    with pytest.raises(DocumentError) as caught:
        rtf.parse(data, name="a.rtf", limits=Parsing())
    assert caught.value.kind == kind


FONTS = (
    r"\deff0{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset134 SimSun;}{\f2\fcharset129 Batang;}{\f3\fcharset204 Cyr;}"
    r"{\f4\fcharset128 Mincho;}{\f5\fcharset222 Thai;}}"
)


def escaped(text: str, codec: str) -> str:
    return "".join(f"\\'{byte:02x}" for byte in text.encode(codec))


@pytest.mark.parametrize(
    ("font", "codec", "text"),
    [
        (1, "gbk", "全"), (1, "gbk", "平"), (1, "gbk", "时实"), (1, "gbk", "新的计划"), (2, "cp949", "혼"),
        (2, "cp949", "툴"), (3, "cp1251", "Да"), (3, "cp1251", "ВЇ"), (4, "cp932", "ソ表"), (5, "cp874", "ยก"),
        (1, "utf-8", "新的计划书"),
        (0, "utf-8", "é"), (3, "utf-8", "Кошка"),
    ],
)  # fmt: skip
def test_runs_of_few_letters_are_read_in_the_code_page_of_their_font(font: int, codec: str, text: str) -> None:
    """Two bytes of another script can be UTF-8 by chance; UTF-8 that a writer put there is still read."""
    body = rf"{FONTS}\f0 one \f{font} {escaped(text, codec)}\f0  two"
    assert text_of(body).strip() == f"one {text} two"


def test_second_byte_of_a_character_may_be_an_escaped_one() -> None:
    """A backslash or a brace is half of a character in Shift-JIS."""
    assert text_of(FONTS + r"\f4 \'83\\ \'95\\ \f0 a\\b").strip() == "ソ 表 a\\b"


@pytest.mark.parametrize(
    "body",
    [
        r"\deff3{fonts}\plain {cat}",
        r"\deff3{fonts}{cat}",
        r"\deff3{fonts}\f0 \plain\fs20 {cat}",
        r"\deff3{fonts}{\f1 a\plain\b}\pard\plain {cat}",
        r"\deff0{fonts}\f3\pard {cat}",
        r"\deff0{fonts}{\plain\f3\b {cat}}",
        r"\ansicpg1251\deff0{fonts}\plain {cat}",
        r"\ansicpg1251\deff9{fonts}{\info{\title {cat}}}{cat}",
    ],
)
def test_plain_text_is_in_the_code_page_of_the_default_font(body: str) -> None:
    """\\plain goes back to \\deff with its character set, as all text begins; a paragraph's end changes nothing."""
    fonts = FONTS.removeprefix(r"\deff0")
    text = text_of(body.replace("{fonts}", fonts).replace("{cat}", escaped("Кошка", "cp1251")))
    assert text.strip().removeprefix("a") == "Кошка"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (r"a {\b0\*\cs7\f0 words} b", "a words b"),
        (r"a {\b\*\unknown words} b", "a words b"),
        (r"a \*\unknown words b", "a words b"),
        (r"a {\*\cs7 words} b", "a words b"),
        (r"a {\*\unknown words} b", "a b"),
        ("a {\n\\*\\unknown words} b", "a b"),
        (r"{\stylesheet{\s0 N;}{\*\cs7 HTML Code;}}\s0 a words b", "a words b"),
        (r"a {\upr{\*\ftnsep old}{\*\ud{new}}} b", "a new b"),
        (r"a {\upr{old}{\*\ud{n\uc1\u233?w}}} b", "a néw b"),
        (r"a {\field{\*\fldinst{\upr{X}{\*\ud{HYPERLINK}}}}{\fldrslt words}} b", "a words b"),
        (r"a {\*\unknown{\upr{old}{\*\ud{new}}}} b", "a b"),
        (r"a \uc2\u20840\'c8\'ab b", "a 全 b"),
        (r"a {\uc0\u20840 b} \u233?c", "a 全b éc"),
    ],
)
def test_only_groups_that_begin_so_are_optional(body: str, text: str) -> None:
    """What stands in the middle of a group cannot hide it; of two versions the one in Unicode is read."""
    assert " ".join(text_of(FONTS + body).split()) == text
