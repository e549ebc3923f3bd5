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
