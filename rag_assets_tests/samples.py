"""Small real files of each kind, written by hand so that every part of them can be bent."""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
SENTENCE = "The quick brown fox jumps over the lazy dog near the river bank. "


def zipped(entries: Mapping[str, str | bytes]) -> bytes:
    """A ZIP file of these entries in this order; `mimetype` is stored as it is."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            stored = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=stored)
    return out.getvalue()


def office(main: str, kind: str, parts: Mapping[str, str | bytes]) -> dict[str, str | bytes]:
    """Entries of an Office file whose main part is `main`, of content type `kind`."""
    types = f'<Override PartName="/{main}" ContentType="application/vnd.openxmlformats-officedocument.{kind}+xml"/>'
    relation = f'<Relationship Id="rId1" Type="{RELATIONS}/officeDocument" Target="{main}"/>'
    return {
        "[Content_Types].xml": f'{XML}<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" '
        f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{types}</Types>',
        "_rels/.rels": f'{XML}<Relationships xmlns="{PACKAGE}/relationships">{relation}</Relationships>',
        **parts,
    }


def paragraph(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def docx_entries(body: str, *, before: str = "") -> dict[str, str | bytes]:
    """`before` stands between the XML declaration and the document: a DOCTYPE."""
    document = f"{XML}{before}<w:document {W}><w:body>{body}</w:body></w:document>"
    return office("word/document.xml", "wordprocessingml.document.main", {"word/document.xml": document})


def docx(body: str = "", *, before: str = "") -> bytes:
    table = f"<w:tbl><w:tr><w:tc>{paragraph('a')}</w:tc><w:tc>{paragraph('b')}</w:tc></w:tr></w:tbl>"
    heading = '<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Title</w:t></w:r></w:p>'
    return zipped(docx_entries(body or heading + paragraph(SENTENCE * 3) + table, before=before))


def xlsx() -> bytes:
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    cells = '<row r="1"><c r="A1" t="inlineStr"><is><t>name</t></is></c><c r="B1"><v>2</v></c></row>' * 3
    parts: dict[str, str | bytes] = {
        "xl/workbook.xml": f'{XML}<workbook xmlns="{main}" xmlns:r="{RELATIONS}"><sheets>'
        '<sheet name="One" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'{XML}<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" '
        f'Type="{RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'{XML}<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>',
    }
    return zipped(office("xl/workbook.xml", "spreadsheetml.sheet.main", parts))


def pptx() -> bytes:
    drawing = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
    slides = 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
    text = f"<a:p><a:r><a:t>{SENTENCE}</a:t></a:r></a:p>"
    shape = f"<p:sp><p:nvSpPr/><p:spPr/><p:txBody><a:bodyPr/>{text}</p:txBody></p:sp>"
    slide = f"<p:cSld><p:spTree>{shape}</p:spTree></p:cSld>"
    parts: dict[str, str | bytes] = {
        "ppt/presentation.xml": f'{XML}<p:presentation {slides} xmlns:r="{RELATIONS}"><p:sldIdLst>'
        '<p:sldId id="256" r:id="rId1"/></p:sldIdLst></p:presentation>',
        "ppt/_rels/presentation.xml.rels": f'{XML}<Relationships xmlns="{PACKAGE}/relationships"><Relationship '
        f'Id="rId1" Type="{RELATIONS}/slide" Target="slides/slide1.xml"/></Relationships>',
        "ppt/slides/slide1.xml": f"{XML}<p:sld {slides} {drawing}>{slide}</p:sld>",
    }
    return zipped(office("ppt/presentation.xml", "presentationml.presentation.main", parts))


def odt() -> bytes:
    spaces = (
        'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
        'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
    )
    text = f'<text:h text:outline-level="1">Title</text:h><text:p>{SENTENCE}<text:s text:c="3"/></text:p>'
    body = f"<office:body><office:text>{text}</office:text></office:body>"
    return zipped(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml": f"{XML}<office:document-content {spaces}>{body}</office:document-content>",
            "META-INF/manifest.xml": f'{XML}<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:'
            'xmlns:manifest:1.0"/>',
        }
    )


def epub() -> bytes:
    container = (
        f'{XML}<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="a.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    package = (
        f'{XML}<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata/><manifest><item id="c" '
        'href="c.xhtml" media-type="application/xhtml+xml"/></manifest><spine><itemref idref="c"/></spine></package>'
    )
    chapter = f'<html xmlns="http://www.w3.org/1999/xhtml"><body><h1>One</h1><p>{SENTENCE}</p></body></html>'
    entries = {"mimetype": "application/epub+zip", "META-INF/container.xml": container, "a.opf": package}
    return zipped(entries | {"c.xhtml": chapter})


def pdf_of(objects: Mapping[int, bytes], *, trailer: bytes = b"/Root 1 0 R") -> bytes:
    """A PDF file of numbered objects, with a table of where they are."""
    out = bytearray(b"%PDF-1.7\n")
    places = {}
    for number, content in objects.items():
        places[number] = len(out)
        out += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    start, size = len(out), max(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n" % size
    for number in range(1, size):
        out += b"%010d 00000 %b \n" % (places.get(number, 0), b"n" if number in places else b"f")
    out += b"trailer\n<</Size %d %b>>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, start)
    return bytes(out)


def stream(content: bytes, *, facts: bytes = b"") -> bytes:
    return b"<</Length %d %b>>\nstream\n%b\nendstream" % (len(content), facts, content)


def pdf_page(parent: int, contents: int, *, resources: bytes = b"/Font<</F 4 0 R>>") -> bytes:
    page = b"<</Type/Page/Parent %d 0 R/MediaBox[0 0 612 792]/Resources<<%b>>/Contents %d 0 R>>"
    return page % (parent, resources, contents)


def pdf_objects(pages: int = 1) -> dict[int, bytes]:
    """Catalogue 1, page tree 2, the pages' content 3, font 4, pages from 10 on."""
    lines = b"".join(b"(%b) Tj T* " % SENTENCE.encode() for _ in range(3))
    kids = b" ".join(b"%d 0 R" % (10 + page) for page in range(pages))
    return {
        1: b"<</Type/Catalog/Pages 2 0 R>>",
        2: b"<</Type/Pages/Count %d/Kids[%b]>>" % (pages, kids),
        3: stream(b"BT /F 11 Tf 14 TL 40 700 Td %bET" % lines),
        4: b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    } | {10 + page: pdf_page(2, 3) for page in range(pages)}


def pdf() -> bytes:
    return pdf_of(pdf_objects())


def eml() -> bytes:
    head = "From: a@example.org\nTo: b@example.org\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nMIME-Version: 1.0\n"
    parts = (
        f"--x\nContent-Type: text/plain; charset=utf-8\n\n{SENTENCE}\n"
        f"--x\nContent-Type: text/html; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n"
        f"<p>{SENTENCE}=E9</p>\n--x--\n"
    )
    return f'{head}Content-Type: multipart/alternative; boundary="x"\n\n{parts}'.encode()


def html(body: str = "") -> bytes:
    content = body or f"<h1>Title</h1><p>{SENTENCE}</p><ul><li>a<li>b</ul><table><tr><th>x<td>y</table><pre>z</pre>"
    return (
        f"<!DOCTYPE html><html><head><meta charset=utf-8><title>T</title></head><body>{content}</body></html>".encode()
    )


def ipynb() -> bytes:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Title\n", SENTENCE]},
        {"cell_type": "code", "metadata": {}, "source": "print(1)", "outputs": [], "execution_count": 1},
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}).encode()


MARKDOWN = (
    f"---\ntitle: T\n---\n# Title\n\n{SENTENCE}\n\n```py\nx = 1\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> - [x](y)\n"
)
RTF = r"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}\f0\b " + SENTENCE + r"\b0\par\u8364? \'e9{\*\x hidden}\cell\row}"

SAMPLES: Mapping[str, bytes] = {
    "a.docx": docx(),
    "a.xlsx": xlsx(),
    "a.pptx": pptx(),
    "a.odt": odt(),
    "a.epub": epub(),
    "a.pdf": pdf(),
    "a.eml": eml(),
    "a.html": html(),
    "a.ipynb": ipynb(),
    "a.md": MARKDOWN.encode(),
    "a.rst": f"Title\n=====\n\n{SENTENCE}\n\n.. note:: x\n\n==  ==\na   b\n==  ==\n1   2\n==  ==\n".encode(),
    "a.rtf": RTF.encode(),
    "a.txt": ("Füße über Straßen. " + SENTENCE).encode("latin-1"),
    "a.csv": b'name;value\n"a;b";1\nc;2\n' * 5,
    "a.json": json.dumps({"title": "T", "list": [{"a": 1, "b": SENTENCE}] * 3}).encode(),
    "a.xml": f'{XML}<root><item id="1">{SENTENCE}</item><item/></root>'.encode(),
    "a.py": b'"""Module."""\n\n\ndef f(x):\n    return [x, "text"]\n',
}


def unzipped(data: bytes) -> dict[str, bytes]:
    """Entries of a ZIP file, {} of anything else."""
    if not data.startswith(b"PK"):
        return {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def nested(opening: str, closing: str, *, depth: int, inner: str = SENTENCE) -> bytes:
    return (opening * depth + inner + closing * depth).encode()


def interesting() -> Sequence[bytes]:
    """What tends to upset parsers, to be put anywhere."""
    numbers = (b"-1", b"0", b"4294967296", b"99999999999999999999", b"1e999", b"NaN")
    marks = (
        b"\0",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"<",
        b"]]>",
        b"&#0;",
        b"&#x110000;",
        b"<!--",
        b"%PDF",
    )
    names = (b"endobj", b"stream\n", b"1 0 R", b"<<", b"[", b"{\\", b"\\u-32768?", b"--x", b"```", b"|", b'"', b"\r")
    words = (
        b'<w:tbl><w:tr><w:tc w:gridSpan="99999999">',
        b"<table colspan=999999999>",
        b"<!DOCTYPE x [",
        b"\\bin99999 ",
    )
    return (*numbers, *marks, *names, *words)
