"""DOCX: what a reader sees is in the text once, what is deleted is not."""

import io

import docx as python_docx
import pytest

from rag_assets.errors import DocumentError
from rag_assets.settings import Parsing
from rag_assets.text.formats.office import docx
from rag_assets_tests import samples
from rag_assets_tests.docx_pages import document, text_of
from rag_assets_tests.samples import W, paragraph


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


def test_headers_and_footers_come_once_at_the_end() -> None:
    """Page numbers alone are no text."""
    header = f"<w:hdr {W}>{paragraph('Company')}{paragraph('12')}</w:hdr>"
    section = '<w:sectPr><w:headerReference r:id="partheader"/></w:sectPr>'
    body = f"<w:p><w:pPr>{section}</w:pPr><w:r><w:t>body</w:t></w:r></w:p>{section}"
    assert text_of(document(body, parts={"header": header})) == "body\n\nCompany\n"


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
