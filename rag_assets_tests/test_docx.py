"""DOCX: what a reader sees is in the text once, what is deleted is not."""

import io
from collections.abc import Mapping

import docx as python_docx
import pytest

from rag_assets.errors import DocumentError
from rag_assets.settings import Parsing
from rag_assets.text.formats.office import docx
from rag_assets_tests import samples
from rag_assets_tests.samples import PACKAGE, RELATIONS, XML, W, paragraph

SPACES = (
    f'{W} xmlns:r="{RELATIONS}" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
    'xmlns:v="urn:schemas-microsoft-com:vml" xmlns:wps="urn:wps"'
)


def document(body: str, *, parts: Mapping[str, str] | None = None, links: Mapping[str, str] | None = None) -> bytes:
    """A document whose main part refers to `parts` (by kind) and to `links` (by relation id)."""
    relations = [
        f'<Relationship Id="part{kind}" Type="{RELATIONS}/{kind}" Target="{kind}.xml"/>' for kind in parts or {}
    ] + [
        f'<Relationship Id="{name}" Type="{RELATIONS}/hyperlink" Target="{target}" TargetMode="External"/>'
        for name, target in (links or {}).items()
    ]
    entries = samples.docx_entries("")
    entries["word/document.xml"] = f"{XML}<w:document {SPACES}><w:body>{body}</w:body></w:document>"
    entries["word/_rels/document.xml.rels"] = (
        f'{XML}<Relationships xmlns="{PACKAGE}/relationships">{"".join(relations)}</Relationships>'
    )
    return samples.zipped(entries | {f"word/{kind}.xml": f"{XML}{part}" for kind, part in (parts or {}).items()})


def text_of(data: bytes) -> str:
    return docx.parse(data, name="a.docx", limits=Parsing()).text


def styled(style: str, text: str) -> str:
    return f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>'


def numbered(text: str, *, level: int = 0, number: int = 1) -> str:
    properties = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def cell(inner: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{inner}</w:tc>"


def row(*cells: str) -> str:
    return f"<w:tr>{''.join(cells)}</w:tr>"


def test_document_of_a_library_is_read_as_markdown() -> None:
    """Headings, a table with its header, lists, the title."""
    made = python_docx.Document()
    made.core_properties.title = "Guide"
    made.core_properties.author = "Ann"
    made.add_heading("Pumps", level=2)
    made.add_paragraph("first", style="List Bullet")
    made.add_paragraph("second", style="List Bullet")
    table = made.add_table(rows=2, cols=2)
    for at, text in enumerate(("Part", "Price", "Seal", "4")):
        table.cell(at // 2, at % 2).text = text
    made.save(out := io.BytesIO())
    parsed = docx.parse(out.getvalue(), name="a.docx", limits=Parsing())
    assert "## Pumps\n\n- first\n- second\n\n| Part | Price |\n| --- | --- |\n| Seal | 4 |" in parsed.text
    assert (parsed.title, parsed.metadata["author"], parsed.structure) == ("Guide", "Ann", "markdown")


def test_heading_is_found_through_based_on_and_localised_ids() -> None:
    """An outline level counts wherever it comes from; a custom style is told by its name."""
    styles = (
        f'<w:styles {W}><w:style w:type="paragraph" w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="Own"><w:name w:val="Own"/><w:basedOn w:val="berschrift1"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="HeadB"><w:name w:val="HeadB"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="Loop"><w:name w:val="Loop"/><w:basedOn w:val="Loop"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="Titel"><w:name w:val="Title"/></w:style></w:styles>'
    )
    direct = '<w:p><w:pPr><w:outlineLvl w:val="3"/></w:pPr><w:r><w:t>direct</w:t></w:r></w:p>'
    names = ("berschrift1", "Own", "HeadB", "Loop", "Titel")
    body = "".join(styled(name, name.lower()) for name in names) + direct
    text = text_of(document(body, parts={"styles": styles}))
    assert text == "# berschrift1\n\n# own\n\n### headb\n\nloop\n\n# titel\n\n#### direct\n"


def test_bold_paragraphs_are_headings_where_no_style_makes_any() -> None:
    """Short ones that are no sentence, as far as most of the text is not bold."""

    def bold(text: str) -> str:
        return f"<w:p><w:r><w:rPr><w:b/></w:rPr><w:t>{text}</w:t></w:r></w:p>"

    body = (
        bold("First part") + samples.paragraph(samples.SENTENCE) + bold("Mind this.") + samples.paragraph("more " * 20)
    )
    assert text_of(document(body)).startswith("## First part\n\n")
    assert "\n\nMind this.\n\n" in text_of(document(body))
    styled_too = styled("Heading1", "A") + styled("Heading1", "B")
    assert "\n\nFirst part\n\n" in text_of(document(styled_too + body))
    assert text_of(document(bold("First part") + bold("Second part"))) == "First part\n\nSecond part\n"


def test_charts_and_diagrams_are_read_from_their_own_parts() -> None:
    """Below the paragraph that they stand in; a chart with its figures."""
    drawing = "http://schemas.openxmlformats.org/drawingml/2006"
    spaces = f'xmlns:c="{drawing}/chart" xmlns:a="{drawing}/main"'

    def points(name: str, *values: str) -> str:
        inner = "".join(f'<c:pt idx="{n}"><c:v>{value}</c:v></c:pt>' for n, value in enumerate(values))
        return f"<c:{name}>{inner}</c:{name}>"

    series = (
        f"<c:ser><c:tx>{points('strCache', 'Q1')}</c:tx><c:cat>{points('strCache', 'East', 'West')}</c:cat>"
        f"<c:val>{points('numCache', '1.50', '0.30000000000000004')}</c:val></c:ser>"
    )
    title = "<c:title><a:p><a:r><a:t>Growth</a:t></a:r></a:p></c:title>"
    diagram = f'<d:dataModel xmlns:d="{drawing}/diagram" {spaces}><a:p><a:r><a:t>Plan</a:t></a:r></a:p></d:dataModel>'
    body = (
        f'<w:p><w:r><w:t>See</w:t><w:drawing><c:chart {spaces} r:id="partchart"/></w:drawing></w:r></w:p>'
        f'<w:p><w:r><d:relIds xmlns:d="{drawing}/diagram" r:dm="partdiagramData"/></w:r></w:p>'
    )
    parts = {"chart": f"<c:chartSpace {spaces}>{title}{series}</c:chartSpace>", "diagramData": diagram}
    table = "|  | Q1 |\n| --- | --- |\n| East | 1.5 |\n| West | 0.3 |"
    assert text_of(document(body, parts=parts)) == f"See\n\nGrowth\n\n{table}\n\nPlan\n"


def test_list_numbers_are_those_that_word_shows() -> None:
    """Formats, levels within levels, restart by a list of its own."""
    level = '<w:lvl w:ilvl="{}"><w:start w:val="{}"/><w:numFmt w:val="{}"/><w:lvlText w:val="{}"/></w:lvl>'
    numbering = (
        f'<w:numbering {W}><w:abstractNum w:abstractNumId="7">{level.format(0, 1, "decimal", "%1.")}'
        f'{level.format(1, 1, "lowerLetter", "%1.%2)")}</w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="7"/>'
        '</w:num><w:num w:numId="2"><w:abstractNumId w:val="7"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="9"/>'
        "</w:lvlOverride></w:num></w:numbering>"
    )
    body = numbered("a") + numbered("b", level=1) + numbered("c", level=1) + numbered("d") + numbered("e", level=1)
    text = text_of(document(body + numbered("f", number=2), parts={"numbering": numbering}))
    assert text == "1. a\n  1.a) b\n  1.b) c\n2. d\n  2.a) e\n9. f\n"


def test_insertion_is_in_and_deletion_is_out() -> None:
    """As if all changes were accepted; paragraphs whose mark is deleted are one."""
    body = (
        "<w:p><w:pPr><w:rPr><w:del/></w:rPr></w:pPr><w:r><w:t>keep </w:t></w:r><w:ins><w:r><w:t>new</w:t></w:r></w:ins>"
        "<w:del><w:r><w:delText>old</w:delText></w:r></w:del><w:moveFrom><w:r><w:t>away</w:t></w:r></w:moveFrom></w:p>"
    )
    assert text_of(document(body + paragraph(" end"))) == "keep new end\n"


def test_text_box_is_read_once() -> None:
    """The fall-back for older readers says the same."""
    box = f"<w:txbxContent>{paragraph('inside')}</w:txbxContent>"
    choice = f'<mc:Choice Requires="wps"><wps:txbx>{box}</wps:txbx></mc:Choice>'
    fallback = f"<mc:Fallback><w:pict><v:textbox>{box}</v:textbox></w:pict></mc:Fallback>"
    both = f"<mc:AlternateContent>{choice}{fallback}</mc:AlternateContent>"
    assert text_of(document(f"<w:p><w:r><w:t>before</w:t>{both}</w:r></w:p>")) == "before\n\ninside\n"


def test_notes_and_comments_stand_below_their_paragraph() -> None:
    """With the number, or the author, that a reader sees."""
    body = (
        '<w:p><w:r><w:t>Claim</w:t><w:footnoteReference w:id="2"/><w:endnoteReference w:id="3"/>'
        '<w:commentReference w:id="4"/></w:r></w:p>'
    )
    parts = {
        "footnotes": f'<w:footnotes {W}><w:footnote w:id="2">{paragraph("foot")}</w:footnote></w:footnotes>',
        "endnotes": f'<w:endnotes {W}><w:endnote w:id="3">{paragraph("end")}</w:endnote></w:endnotes>',
        "comments": f'<w:comments {W}><w:comment w:id="4" w:author="Ann">{paragraph("why")}</w:comment></w:comments>',
    }
    expected = "Claim[^1][^e1]\n\n[^1]: foot\n\n[^e1]: end\n\n> Comment by Ann: why\n"
    assert text_of(document(body, parts=parts)) == expected


def test_merged_and_nested_cells_are_kept() -> None:
    """A merged cell's text stands once; a table in a cell stays on the line of its row."""
    inner = f"<w:tbl>{row(cell(paragraph('n1')), cell(paragraph('n2')))}{row(cell(paragraph('n3')))}</w:tbl>"
    body = (
        "<w:tbl>"
        + row(cell(paragraph("wide"), '<w:gridSpan w:val="2"/>'), cell(paragraph("c")))
        + row(cell(paragraph("tall"), '<w:vMerge w:val="restart"/>'), cell(paragraph("x|y")), cell(inner))
        + row(cell(paragraph(""), "<w:vMerge/>"), cell(paragraph("z")), cell(paragraph("end")))
        + "</w:tbl>"
    )
    lines = text_of(document(body)).split("\n")
    assert lines[0] == "| wide |  | c |"
    assert lines[2] == "| tall | x\\|y | n1 \\| n2<br>n3 \\| |"
    assert lines[3] == "|  | z | end |"


def test_controls_links_fields_and_boxes_are_read() -> None:
    """Content controls, links with their address, results of fields, check boxes."""
    field = '<w:r><w:fldChar w:fldCharType="{}"/></w:r>'
    body = (
        f"<w:sdt><w:sdtContent>{paragraph('control')}</w:sdtContent></w:sdt>"
        '<w:p><w:hyperlink r:id="go"><w:r><w:t>here</w:t></w:r></w:hyperlink></w:p>'
        f"<w:p>{field.format('begin')}<w:r><w:instrText>REF a</w:instrText><w:t>hid</w:t></w:r>"
        f"{field.format('separate')}<w:r><w:t>shown</w:t></w:r>{field.format('end')}</w:p>"
        '<w:p><w:r><w:fldChar w:fldCharType="begin"><w:ffData><w:checkBox><w:checked/></w:checkBox></w:ffData>'
        '</w:fldChar></w:r><w:r><w:t> yes</w:t><w:sym w:font="Wingdings" w:char="F0FC"/></w:r></w:p>'
    )
    text = text_of(document(body, links={"go": "https://example.org/a b"}))
    assert text == "control\n\n[here](https://example.org/a%20b)\n\nshown\n\n☒ yes✓\n"


def test_equation_is_text() -> None:
    """Fractions and powers as one writes them in a line."""
    run = "<m:r><m:t>{}</m:t></m:r>"
    power = f"<m:sSup><m:e>{run.format('x')}</m:e><m:sup>{run.format('2')}</m:sup></m:sSup>"
    fraction = f"<m:f><m:num>{run.format('a+b')}</m:num><m:den>{run.format('2')}</m:den></m:f>"
    assert text_of(document(f"<w:p><m:oMath>{power}{run.format('=')}{fraction}</m:oMath></w:p>")) == "x^2=(a+b)/2\n"


def test_headers_and_footers_come_once_at_the_end() -> None:
    """Page numbers alone are no text."""
    header = f"<w:hdr {W}>{paragraph('Company')}{paragraph('12')}</w:hdr>"
    section = '<w:sectPr><w:headerReference r:id="partheader"/></w:sectPr>'
    body = f"<w:p><w:pPr>{section}</w:pPr><w:r><w:t>body</w:t></w:r></w:p>{section}"
    assert text_of(document(body, parts={"header": header})) == "body\n\nCompany\n"


def test_strict_form_and_code_are_read() -> None:
    """ISO 29500 strict has other names for the same; lines of code share a fence."""
    styles = (
        f'<w:styles {W}><w:style w:styleId="C" w:type="paragraph"><w:name w:val="Source Code"/></w:style></w:styles>'
    )
    made = document(styled("C", "if x:") + styled("C", "    y") + paragraph("end"), parts={"styles": styles})
    strict = {
        name: data.replace(b"http://schemas.openxmlformats.org/wordprocessingml/2006/main",
                           b"http://purl.oclc.org/ooxml/wordprocessingml/main")
        for name, data in samples.unzipped(made).items()
    }  # fmt: skip
    assert text_of(samples.zipped(strict)) == "```\nif x:\n    y\n```\n\nend\n"


def typed(text: str, font: str = "Courier New") -> str:
    run = f'<w:rPr><w:rFonts w:ascii="{font}"/></w:rPr><w:t xml:space="preserve">{text}</w:t>'
    return f"<w:p><w:r>{run}</w:r></w:p>"


def test_paragraphs_in_letters_of_one_width_are_code() -> None:
    """Unless most of a document is: then it is typewritten."""
    code = typed("if x:") + typed("    y", "DejaVu Sans Mono")
    assert text_of(document(paragraph("What to run: ") + code)) == "What to run:\n\n```\nif x:\n    y\n```\n"
    assert text_of(document(code + paragraph("end"))) == "if x:\n\ny\n\nend\n"
    equation = "<w:p><m:oMath><m:r><m:t>x</m:t></m:r></m:oMath></w:p>"
    assert text_of(document(paragraph("An equation: ") + equation)) == "An equation:\n\nx\n"
    assert text_of(document(f"<w:tbl>{row(cell(typed('ls  -l')), cell(paragraph('lists')))}</w:tbl>")) == (
        "| ls -l | lists |\n| --- | --- |\n"
    )


MHT = 'MIME-Version: 1.0\nContent-Type: multipart/related; boundary="b"\n\n--b\nContent-Type: text/html\n\n{}\n--b--\n'
INNER = document(paragraph("Within") + '<w:altChunk r:id="partaFChunk"/>', parts={"aFChunk": ""})


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"<html><body><h2>Within</h2></body></html>", "## Within"),
        (MHT.format("<html><body><h2>Within</h2></body></html>").encode(), "## Within"),
        (b"{\\rtf1 Within}", "Within"),
        (INNER, "Within"),
        (b"Within", "Within"),
        (("Subject: a\n" + MHT.format("<h2>Within</h2>")).encode(), "## Within"),
        (b"Content-Location: a\nX-Made-By: b\n" + MHT.format("<h2>Within</h2>").encode(), "## Within"),
        (MHT.format("<h2>Within</h2>").encode("utf-16"), "## Within"),
        (b"Content-Type: text/html\nMIME-Version: 1.0\n\n<h2>Within</h2>", "## Within"),
        ("<html><body><h2>Within é</h2></body></html>".encode("utf-16"), "## Within é"),
        ('<meta charset="windows-1251"><h2>Кошка</h2>'.encode("cp1251"), "## Кошка"),
        (b"<table><tr><td>a</td><td>b</td></tr></table>", "| a | b |\n| --- | --- |"),
    ],
)
def test_included_documents_are_read(data: bytes, text: str) -> None:
    """What Word would take in when it opens the document; programs that merge documents leave it so."""
    made = document(paragraph("Before") + '<w:altChunk r:id="partaFChunk"/>', parts={"aFChunk": ""})
    entries = samples.unzipped(made) | {"word/aFChunk.xml": data}
    assert text_of(samples.zipped(entries)) == f"Before\n\n{text}\n"


def test_documents_within_included_documents_are_told() -> None:
    """One may include itself."""
    inner = samples.unzipped(INNER) | {"word/aFChunk.xml": INNER}
    outer = samples.zipped(samples.unzipped(INNER) | {"word/aFChunk.xml": samples.zipped(inner)})
    parsed = docx.parse(outer, name="a.docx", limits=Parsing())
    assert parsed.text == "Within\n\nWithin\n"
    assert parsed.warnings == ("a document within an included document is not read",)


@pytest.mark.parametrize("text", ["# 5 items", "```", "----"])
def test_plain_text_does_not_become_markup(text: str) -> None:
    """A paragraph that begins like a heading is none."""
    assert text_of(document(paragraph(text))).startswith("\\")


def nested_tables(depth: int) -> bytes:
    start, end = "<w:tbl><w:tr><w:tc>", "</w:tc></w:tr></w:tbl>"
    return document(samples.nested(start, end, depth=depth, inner=paragraph("deep")).decode())


@pytest.mark.parametrize("depth", [2, 60, 83])
def test_nested_tables_are_read_when_xml_allows_them(depth: int) -> None:
    """256 elements within one another, and no recursion that fails before."""
    assert "deep" in text_of(nested_tables(depth))


def test_nested_tables_are_corrupt_when_they_are_too_deep() -> None:
    """Refused by the XML parser."""
    with pytest.raises(DocumentError) as caught:
        text_of(nested_tables(5_000))
    assert caught.value.kind == "corrupt"


def test_document_without_text_is_told() -> None:
    """No text is an error of its own."""
    with pytest.raises(DocumentError) as caught:
        text_of(document("<w:p/>"))
    assert caught.value.kind == "no_text"
