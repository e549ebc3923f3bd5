"""OpenDocument: what a reader sees, with the numbers of its lists."""

import pytest

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import parsing
from rag_assets_tests import samples

OASIS = "urn:oasis:names:tc:opendocument:xmlns"
SPACES = (
    " ".join(f'xmlns:{name}="{OASIS}:{name}:1.0"' for name in ("office", "text", "table", "style", "presentation"))
    + f' xmlns:draw="{OASIS}:drawing:1.0" xmlns:svg="{OASIS}:svg-compatible:1.0"'
    + ' xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:dc="http://purl.org/dc/elements/1.1/"'
)


def document(body: str, *, kind: str = "text", styles: str = "", manifest: str = "") -> bytes:
    content = (
        f"<office:document-content {SPACES}><office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>"
    )
    return samples.zipped(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "content.xml": samples.XML + content,
            "META-INF/manifest.xml": f"<manifest>{manifest}</manifest>",
        }
    )


def read(data: bytes) -> ParsedText:
    return parsing.parse(data, name="a.odt", limits=Parsing())


def p(text: str) -> str:
    return f"<text:p>{text}</text:p>"


def test_headings_links_and_spaces_are_read() -> None:
    """Levels, addresses, tabs and repeated spaces."""
    body = (
        '<text:h text:outline-level="2">Head</text:h>'
        + p('see <text:a xlink:href="https://example.org">here</text:a><text:s text:c="3"/>now<text:line-break/>then')
    )  # fmt: skip
    assert read(document(body)).text == "## Head\n\nsee [here](https://example.org) now\nthen\n"


def test_listing_of_several_paragraphs_is_one_fence() -> None:
    """With its empty lines and its indentation."""
    styles = '<style:style style:name="P1" style:parent-style-name="Preformatted_20_Text"/>'
    lines = ("def f():", '<text:s text:c="4"/>return 1', "", "f()", "")
    code = "".join(f'<text:p text:style-name="P1">{line}</text:p>' for line in lines)
    text = read(document(p("before") + code + p("after") + code, styles=styles)).text
    fence = "```\ndef f():\n    return 1\n\nf()\n```\n"
    assert text == f"before\n\n{fence}\nafter\n\n{fence}"


def test_equations_are_read_in_their_place() -> None:
    """Whether they are written within the document or as one of their own."""
    root = '<math xmlns="http://www.w3.org/1998/Math/MathML">{}</math>'
    power = "<msup><mi>x</mi><mn>2</mn></msup>"
    fraction = f"<mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow>{power}</mfrac><annotation>left out?</annotation>"
    entries = samples.unzipped(
        document(
            p(f"Let <draw:frame><draw:object>{root.format(power)}</draw:object></draw:frame> be")
            + p('<draw:frame><draw:object xlink:href="./Object 1"/></draw:frame> too')
        )
    )
    entries["Object 1/content.xml"] = root.format(fraction.replace("left out?", "{a + b} over x^2")).encode()
    assert read(samples.zipped(entries)).text == "Let x^2 be\n\n{a + b} over x^2 too\n"


def test_deletions_are_out_and_notes_stand_below() -> None:
    """Changes are as if accepted; notes and comments follow their paragraph."""
    note = (
        '<text:note text:note-class="footnote"><text:note-citation>1</text:note-citation>'
        f"<text:note-body>{p('foot')}</text:note-body></text:note>"
    )
    comment = f"<office:annotation><dc:creator>Ann</dc:creator>{p('why')}</office:annotation>"
    changes = f"<text:tracked-changes><text:deletion>{p('gone')}</text:deletion></text:tracked-changes>"
    text = read(document(changes + p(f"Claim{note}{comment}."))).text
    assert text == "Claim[^1].\n\n[^1]: foot\n\n> Comment by Ann: why\n"


def test_list_numbers_are_those_of_the_style() -> None:
    """Formats per level, levels shown together, a value set by hand, bullets."""
    level = (
        '<text:list-level-style-number text:level="{}" style:num-format="{}" style:num-suffix="{}" '
        'text:display-levels="{}"/>'
    )
    levels = level.format(1, "1", ".", 1) + level.format(2, "a", ")", 2)
    styles = f'<text:list-style style:name="L">{levels}</text:list-style>'
    inner = f"<text:list><text:list-item>{p('b')}</text:list-item><text:list-item>{p('c')}</text:list-item></text:list>"
    body = (
        f'<text:list text:style-name="L"><text:list-item>{p("a")}{inner}</text:list-item>'
        f'<text:list-item text:start-value="7">{p("d")}</text:list-item></text:list>'
        f"<text:list><text:list-item>{p('e')}</text:list-item></text:list>"
    )
    assert read(document(body, styles=styles)).text == "1. a\n  1.a) b\n  1.b) c\n7. d\n\n- e\n"


def test_table_keeps_merged_and_nested_cells() -> None:
    """One row per line; header rows are rows."""
    cell = "<table:table-cell>{}</table:table-cell>"
    nested = (
        f"<table:table><table:table-row>{cell.format(p('n1'))}{cell.format(p('n2'))}</table:table-row></table:table>"
    )
    body = (
        "<table:table><table:table-header-rows><table:table-row>"
        f'<table:table-cell table:number-columns-spanned="2">{p("wide")}</table:table-cell><table:covered-table-cell/>'
        "</table:table-row></table:table-header-rows><table:table-row>"
        f"{cell.format(p('a'))}{cell.format(nested)}</table:table-row></table:table>"
    )
    assert read(document(body)).text == "| wide |  |\n| --- | --- |\n| a | n1 \\| n2 |\n"


def test_text_box_is_read_after_its_paragraph() -> None:
    """And once."""
    box = f"<draw:frame><draw:text-box>{p('inside')}</draw:text-box></draw:frame>"
    assert read(document(p(f"before{box}"))).text == "before\n\ninside\n"


def test_sheets_and_slides_are_pages() -> None:
    """Spreadsheets and presentations are read by the same module."""
    row = (
        f"<table:table-row><table:table-cell>{p('1,5 %')}</table:table-cell>"
        '<table:table-cell table:number-columns-repeated="1000000"/></table:table-row>'
    )
    sheets = read(
        document("".join(f'<table:table table:name="S{n}">{row}</table:table>' for n in (1, 2)), kind="spreadsheet")
    )
    assert sheets.text == "# S1\n\n1,5 %\n\n# S2\n\n1,5 %\n"
    assert [sheets.text[at : at + 4] for at in sheets.page_offsets] == ["# S1", "# S2"]
    frame = "<draw:frame {}><draw:text-box>{}</draw:text-box></draw:frame>"
    slide = frame.format("", p("text")) + frame.format('presentation:class="title"', p("Title"))
    slides = read(document(f"<draw:page>{slide}</draw:page>", kind="presentation"))
    assert slides.text == "# Title\n\ntext\n"


def test_sheet_has_titles_several_tables_and_comments() -> None:
    """As in Excel's sheets: an empty row parts tables, a cell alone above one is its title."""

    def row(*cells: str) -> str:
        inner = "".join(f"<table:table-cell>{cell}</table:table-cell>" for cell in cells)
        return f"<table:table-row>{inner}</table:table-row>"

    comment = f"<office:annotation><dc:creator>Ann</dc:creator>{p('why')}</office:annotation>"
    rows = (
        row(p("Report"), "") + row(p("a"), p("b")) + row(comment + p("-"), p("2")) + row("", "") + row(p("c"), p("d"))
    )
    text = read(document(f'<table:table table:name="S">{rows}</table:table>', kind="spreadsheet")).text
    tables = "| a | b |\n| --- | --- |\n| - | 2 |\n\n| c | d |\n| --- | --- |"
    assert text == f"# S\n\nReport\n\n{tables}\n\n> Comment by Ann: why\n"


def test_slides_are_read_from_the_top_down_with_the_figures_of_charts() -> None:
    """Wherever in the file a shape stands; a group is where its first shape is."""

    def box(text: str, x: int, y: int) -> str:
        return f'<draw:frame svg:x="{x}cm" svg:y="{y}cm"><draw:text-box>{p(text)}</draw:text-box></draw:frame>'

    chart = '<draw:frame svg:x="1cm" svg:y="9cm"><draw:object xlink:href="./Object 1"/></draw:frame>'
    slide = chart + box("right", 9, 2) + f"<draw:g>{box('below', 1, 4)}</draw:g>" + box("left", 1, 2)
    entries = samples.unzipped(document(f"<draw:page>{slide}</draw:page>", kind="presentation"))
    cells = "".join(f"<table:table-cell>{p(text)}</table:table-cell>" for text in ("East", "1.5"))
    title = f"<chart:title>{p('Growth')}</chart:title>"
    figures = f"<table:table><table:table-row>{cells}</table:table-row></table:table>"
    entries["Object 1/content.xml"] = (
        f'<office:document-content {SPACES} xmlns:chart="{OASIS}:chart:1.0"><office:body><office:chart>'
        f"{title}{figures}</office:chart></office:body></office:document-content>"
    ).encode()
    text = read(samples.zipped(entries)).text
    assert text == "left\n\nright\n\nbelow\n\nGrowth\n\n| East | 1.5 |\n| --- | --- |\n"


@pytest.mark.parametrize(
    ("body", "manifest", "kind"), [(p("a"), "<encryption-data/>", "encrypted"), (p(""), "", "no_text")]
)
def test_refusal_has_its_kind(body: str, manifest: str, kind: str) -> None:
    """A password, no words."""
    with pytest.raises(DocumentError) as caught:
        read(document(body, manifest=manifest))
    assert caught.value.kind == kind


@pytest.mark.parametrize("depth", [2, 50, 120])
def test_nested_lists_are_read_as_deep_as_xml_allows(depth: int) -> None:
    """No recursion fails before the XML parser does."""
    start, end = "<text:list><text:list-item>", "</text:list-item></text:list>"
    assert "deep" in read(document(start * depth + p("deep") + end * depth)).text


CELL = '<table:table-cell office:value-type="string">{}</table:table-cell>'


def sheet(rows: str) -> str:
    return read(document(f'<table:table table:name="S">{rows}</table:table>', kind="spreadsheet")).text


def row(*texts: str, repeated: int = 1) -> str:
    cells = "".join(CELL.format(p(text)) for text in texts)
    return f'<table:table-row table:number-rows-repeated="{repeated}">{cells}</table:table-row>'


def test_rows_are_read_as_often_as_they_stand_there_when_they_are_repeated() -> None:
    """Up to a limit, and empty ones part tables however many they are."""
    assert sheet(row("a", "b") + row("c", "d", repeated=3)).count("| c | d |") == 3
    assert sheet(row("a", "b") + row("c", "d", repeated=1_000_000)).count("| c | d |") == 100
    empty = '<table:table-row table:number-rows-repeated="1048000"><table:table-cell/></table:table-row>'
    assert sheet(row("a", "b") + empty + row("c", "d")).count("| --- | --- |") == 2


def test_sheet_is_refused_when_its_repeated_rows_are_too_much_text() -> None:
    """Before they become text."""
    body = f'<table:table table:name="S">{row("a" * 1000, repeated=90) * 3}</table:table>'
    with pytest.raises(DocumentError, match="max_characters") as caught:
        parsing.parse(document(body, kind="spreadsheet"), name="a.ods", limits=Parsing(max_characters=200_000))
    assert caught.value.kind == "too_large"


def test_shapes_of_a_sheet_are_read_when_they_hold_text() -> None:
    """Text boxes, other shapes and groups of them, beside the rows or bound to a cell."""
    box = "<draw:frame><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame>"
    shape = f"<draw:custom-shape>{p('Arrow')}</draw:custom-shape><draw:g>{box.format('Grouped')}</draw:g>"
    cell = f"<table:table-row>{CELL.format(p('a') + box.format('Bound'))}{CELL.format(p('b'))}</table:table-row>"
    text = sheet(f"<table:shapes>{box.format('Free')}{shape}</table:shapes>{cell}")
    for words in ("Free", "Arrow", "Grouped", "Bound"):
        assert text.count(words) == 1


@pytest.mark.parametrize(
    ("attributes", "shown"),
    [
        ('office:value-type="float" office:value="4711"', "4711"),
        ('office:value-type="percentage" office:value="0.25"', "25%"),
        ('office:value-type="currency" office:currency="EUR" office:value="9.5"', "9.5 EUR"),
        ('office:value-type="date" office:date-value="2025-01-06"', "2025-01-06"),
        ('office:value-type="date" office:date-value="2025-01-06T00:00:00"', "2025-01-06"),
        ('office:value-type="time" office:time-value="PT36H30M00S"', "36:30:00"),
        ('office:value-type="boolean" office:boolean-value="true"', "TRUE"),
        ('office:value-type="string" office:string-value="words"', "words"),
        ('office:value-type="float" office:value="odd"', ""),
        ("", ""),
    ],
)
def test_value_is_read_when_a_program_wrote_no_text(attributes: str, shown: str) -> None:
    """A cell has a value, and the text that it shows; some programs leave the text to the reader."""
    cells = f"{CELL.format(p('a'))}<table:table-cell {attributes}/>{CELL.format(p('z'))}"
    text = sheet(row("x", "y", "w") + f"<table:table-row>{cells}</table:table-row>")
    assert f"| a | {shown} | z |".replace("|  |", "|  |") in text


def test_value_is_not_read_when_the_cell_shows_nothing() -> None:
    """A format can hide a number: the text is then there, and empty."""
    hidden = '<table:table-cell office:value-type="float" office:value="4711"><text:p/></table:table-cell>'
    assert "4711" not in sheet(f"<table:table-row>{CELL.format(p('a'))}{hidden}</table:table-row>")
