"""Documents made to harm their reader: each ends in time with the right kind, and those beside it are read."""

import hashlib
import io
import os
import re
import struct
import sys
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rag_assets.errors import DocumentError
from rag_assets.model import ReadDocument
from rag_assets.settings import Chunking, Parsing
from rag_assets.text.sandbox import worker
from rag_assets.text.sandbox.worker import TextWorker
from rag_assets_tests import misbehaving, samples
from rag_assets_tests.cutting import WordModel
from rag_assets_tests.samples import SENTENCE, nested, pdf_objects, pdf_of, stream

MIB = 2**20
LIMITS = Parsing(
    max_seconds=300,  # far above what a busy machine needs
    max_memory_mb=512,
    max_pages=2_000,
    max_characters=3_000_000,
    max_zip_entries=1_000,
    max_zip_bytes=64 * MIB,
)
SECRET = "the secret beside the documents"
READ = "read"  # instead of an error kind: there is text, and nothing is wrong with it


def zip_bomb() -> bytes:
    """A DOCX of 100 KB that unpacks to 100 MB."""
    body = samples.paragraph("a" * 100 * MIB)
    return samples.docx(body)


CONTAINERS = {
    "a.docx": "word/document.xml",
    "a.xlsx": "xl/worksheets/sheet1.xml",
    "a.pptx": "ppt/slides/slide1.xml",
    "a.odt": "content.xml",
    "a.epub": "c.xhtml",
}


def with_part(name: str, change: Callable[[bytes], bytes]) -> bytes:
    """The sample of that name with its main part changed."""
    entries = samples.unzipped(samples.SAMPLES[name])
    return samples.zipped(entries | {CONTAINERS[name]: change(entries[CONTAINERS[name]])})


def laughing(part: bytes) -> bytes:
    """A billion laughs where the fox was."""
    root = re.findall(rb"<([a-z:-]+)", part)[0].decode()
    doctype, reference = entity_bomb(root=root)
    start = part.index(b"<" + root.encode())
    return part[:start] + doctype.encode() + part[start:].replace(b"fox", reference.encode())


def lying_zip_bomb() -> bytes:
    """Its directory says that the bomb unpacks to 100 bytes."""
    data = bytearray(zip_bomb())
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
        size = struct.pack("<I", archive.getinfo("word/document.xml").file_size)
    while (at := data.find(size)) >= 0:
        data[at : at + 4] = struct.pack("<I", 100)
    return bytes(data)


def crowded_zip() -> bytes:
    entries = samples.docx_entries(samples.paragraph("a"))
    return samples.zipped(entries | {f"word/{number}.xml": "" for number in range(2_000)})


def entity_bomb(*, root: str) -> tuple[str, str]:
    """A DOCTYPE of 10^9 laughs, and a reference to them."""
    lines = ['<!ENTITY a0 "ha">']
    lines += [f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)]
    return f"<!DOCTYPE {root} [{''.join(lines)}]>", "&a9;"


def external_entity(*, root: str, file: Path) -> tuple[str, str]:
    return f'<!DOCTYPE {root} [<!ENTITY a SYSTEM "{file.as_uri()}">]>', "&a;"


def xml_with(doctype: str, reference: str) -> bytes:
    return f"{samples.XML}{doctype}<root><p>{SENTENCE}</p><p>{reference}</p></root>".encode()


def docx_with(doctype: str, reference: str) -> bytes:
    return samples.docx(samples.paragraph(SENTENCE + reference), before=doctype)


def pdf_with(objects: dict[int, bytes], *, trailer: bytes = b"/Root 1 0 R") -> bytes:
    return pdf_of(pdf_objects() | objects, trailer=trailer)


def pdf_page_tree_loop() -> bytes:
    return pdf_with({2: b"<</Type/Pages/Count 3/Kids[10 0 R 11 0 R]>>", 11: b"<</Type/Pages/Count 2/Kids[2 0 R]>>"})


def pdf_doubling_page_tree() -> bytes:
    """Thirty levels of two times the same child: 2^30 pages in 3 KB."""
    level = b"<</Type/Pages/Count %d/Parent %d 0 R/Kids[%d 0 R %d 0 R]>>"
    tree = {20 + n: level % (2 ** (30 - n), 19 + n, 21 + n, 21 + n) for n in range(30)}
    return pdf_with(tree | {1: b"<</Type/Catalog/Pages 20 0 R>>", 50: samples.pdf_page(49, 3)})


def pdf_form_loop() -> bytes:
    """A form that draws itself twice."""
    resources = b"/Resources<</XObject<</X 5 0 R>>>>"
    form = stream(b"/X Do /X Do", facts=b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]" + resources)
    page = samples.pdf_page(2, 6, resources=b"/Font<</F 4 0 R>>/XObject<</X 5 0 R>>")
    return pdf_with({5: form, 6: stream(b"/X Do"), 10: page})


def pdf_outline_loop() -> bytes:
    """Outline entries that follow and contain one another."""
    entry = b"<</Title(a)/Parent 5 0 R/Next 6 0 R/First 6 0 R/Dest[10 0 R/Fit]>>"
    catalogue = b"<</Type/Catalog/Pages 2 0 R/Outlines 5 0 R>>"
    return pdf_with({1: catalogue, 5: b"<</First 6 0 R/Last 6 0 R/Count 9>>", 6: entry})


def pdf_table_loop() -> bytes:
    """The table of places says that the one before it is itself."""
    data = samples.pdf()
    start = data.rindex(b"startxref\n") + len(b"startxref\n")
    place = data[start : data.index(b"\n", start)]
    return pdf_of(pdf_objects(), trailer=b"/Root 1 0 R/Prev " + place)


def pdf_stream_bomb() -> bytes:
    """A page whose content unpacks to 200 MB of text operators, packed twice."""
    content = b"BT /F 11 Tf " + b"(abc) Tj " * (200 * MIB // 9) + b"ET"
    packed = zlib.compress(zlib.compress(content))
    return pdf_with({3: stream(packed, facts=b"/Filter[/FlateDecode/FlateDecode]")})


def pdf_scattered_words(count: int = 3_000) -> bytes:
    """Words all over a page, no two of them in a line."""
    places = ((number * 7_919 % 590, number * 104_729 % 780) for number in range(count))
    return pdf_with({3: stream(b"".join(b"BT /F 7 Tf 1 0 0 1 %d %d Tm (word) Tj ET " % place for place in places))})


def pdf_with_bad_font(program: bytes, *, kind: bytes) -> bytes:
    """Text in a font whose program is not what it says."""
    font = b"<</Type/Font/Subtype/TrueType/BaseFont/AAAAAA+X/FirstChar 0/LastChar 255/Widths[%b]/FontDescriptor 6 0 R>>"
    descriptor = b"<</Type/FontDescriptor/FontName/AAAAAA+X/Flags 4/FontBBox[0 0 1 1]/%b 7 0 R>>" % kind
    return pdf_with({4: font % (b"500 " * 256), 6: descriptor, 7: stream(program, facts=b"/Length1 99999999")})


def pdf_font_loop() -> bytes:
    """A glyph of the font is drawn in the font itself, and its table of characters uses itself."""
    glyphs = b"/CharProcs<</a 7 0 R>>/Encoding<</Differences[97/a]>>/Resources<</Font<</F 4 0 R>>>>/ToUnicode 8 0 R"
    size = b"/FontBBox[0 0 9 9]/FontMatrix[1 0 0 1 0 0]/FirstChar 97/LastChar 97/Widths[9]"
    font = b"<</Type/Font/Subtype/Type3" + size + b"%b>>"
    table = stream(b"/X usecmap 1 begincodespacerange <00> <ff> endcodespacerange", facts=b"/UseCMap 8 0 R")
    return pdf_with({4: font % glyphs, 7: stream(b"9 0 d0 BT /F 9 Tf (aaa) Tj ET"), 8: table})


def pdf_wide_character_map() -> bytes:
    """Four thousand million characters in one line of a font's table."""
    table = b"1 begincodespacerange <00000000> <ffffffff> endcodespacerange 1 beginbfrange "
    table += b"<00000000> <ffffffff> <0041> endbfrange 1 begincidrange <00000000> <ffffffff> 0 endcidrange"
    font = b"<</Type/Font/Subtype/Type0/BaseFont/X/Encoding 8 0 R/ToUnicode 8 0 R/DescendantFonts[7 0 R]>>"
    inner = b"<</Type/Font/Subtype/CIDFontType2/BaseFont/X/CIDSystemInfo<</Registry(A)/Ordering(B)/Supplement 0>>>>"
    return pdf_with({4: font, 7: inner, 8: stream(table, facts=b"/Type/CMap/CMapName/X")})


def pdf_with_image(coding: bytes, content: bytes, *, size: int = 60_000) -> bytes:
    """A picture that says to be of 60,000 by 60,000 points."""
    facts = b"/Type/XObject/Subtype/Image/Width %d/Height %d/BitsPerComponent 1/ColorSpace/DeviceGray/Filter/%b"
    page = samples.pdf_page(2, 6, resources=b"/Font<</F 4 0 R>>/XObject<</X 5 0 R>>")
    drawing = stream(b"/X Do BT /F 11 Tf 40 700 Td (%b) Tj ET" % SENTENCE.encode())
    return pdf_with({5: stream(content, facts=facts % (size, size, coding)), 6: drawing, 10: page})


def jbig2() -> bytes:
    """A page as large as can be, and a table of symbols that says to have four thousand million of them."""
    page = struct.pack(">IBBI", 0, 48, 1, 19) + struct.pack(">IIIIBH", 2**32 - 1, 2**32 - 1, 0, 0, 0, 0)
    symbols = struct.pack(">HbbbbbbbbII", 0, 3, -1, -3, -1, 2, -2, -2, -2, 2**32 - 1, 2**32 - 1) + bytes(64)
    return page + struct.pack(">IBBI", 1, 0, 1, len(symbols)) + symbols


def pdf_with_xfa() -> bytes:
    """A form in XML whose entities multiply, and whose script never ends."""
    doctype, reference = entity_bomb(root="template")
    script = "<script contentType='application/x-javascript'>while (true) {}</script>"
    event = f"<event activity='ready'>{script}</event>"
    form = f"<xdp:xdp xmlns:xdp='http://ns.adobe.com/xdp/'>{doctype}<template>{event}{reference}</template></xdp:xdp>"
    action = b"/OpenAction<</S/JavaScript/JS(while(1){})>>"
    catalogue = b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[]/XFA 5 0 R>>" + action + b">>"
    return pdf_with({1: catalogue, 5: stream(form.encode())})


def overlapping_zip(count: int = 250) -> bytes:
    """Names that all mean the same packed bytes: 10 KB that unpack to 250 times 4 MB."""
    entries = samples.docx_entries(samples.paragraph(SENTENCE))
    data = samples.zipped(entries | {"word/bomb.xml": "<a>" + " " * 4 * MIB + "</a>"})
    end = data.rindex(b"PK\5\6")
    directory_start = struct.unpack("<I", data[end + 16 : end + 20])[0]
    directory = data[directory_start:end]
    bomb = directory.rindex(b"PK\1\2")
    copies = [directory[bomb:].replace(b"bomb.xml", b"%08d" % number) for number in range(count)]
    directory += b"".join(copies)
    total = len(entries) + 1 + count
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, total, total, len(directory), directory_start, 0)
    return data[:directory_start] + directory + tail


def zip_of_itself() -> bytes:
    """A document in a document in a document, fifty deep, each of them also in its own container's place for text."""
    inner = samples.docx()
    for _ in range(50):
        inner = samples.zipped(samples.docx_entries(samples.paragraph(SENTENCE)) | {"word/embeddings/a.docx": inner})
    return inner


def shared_parts() -> bytes:
    """A book whose reading order names the same chapter of 200 KB ten thousand times."""
    entries = samples.unzipped(samples.SAMPLES["a.epub"])
    package = next(name for name in entries if name.endswith(".opf"))
    chapter = entries["c.xhtml"].replace(b"fox", b"fox " * 50_000, 1)
    spine = re.sub(rb"<itemref[^>]*/>", lambda found: found[0] * 10_000, entries[package])
    return samples.zipped(entries | {package: spine, "c.xhtml": chapter})


def pdf_deep_objects() -> bytes:
    return pdf_with({5: b"[" * 200_000 + b"]" * 200_000, 1: b"<</Type/Catalog/Pages 2 0 R/Names 5 0 R>>"})


def nested_tables() -> bytes:
    start, end = "<w:tbl><w:tr><w:tc>", "</w:tc></w:tr></w:tbl>"
    return samples.docx(nested(start, end, depth=5_000, inner=samples.paragraph(SENTENCE)).decode())


def nested_mail() -> bytes:
    """Messages in messages, 2,000 deep."""
    heads = [f'Content-Type: multipart/mixed; boundary="{n}"\n\n--{n}\n' for n in range(2_000)]
    return ("From: a@example.org\nSubject: x\nMIME-Version: 1.0\n" + "".join(heads) + f"\n{SENTENCE}").encode()


def long_field() -> bytes:
    """Half a megabyte in a field that the standard library takes apart."""
    return samples.eml().replace(b'boundary="x"', b'boundary="x"; a=' + b"<!DOCTYPE x [" * 40_000)


def wide_spreadsheet() -> bytes:
    """Two cells, in opposite corners of the largest sheet there can be."""
    entries = samples.unzipped(samples.xlsx())
    sheet = entries["xl/worksheets/sheet1.xml"]
    far = b'<row r="1048576"><c r="XFD1048576"><v>7</v></c></row></sheetData>'
    return samples.zipped(entries | {"xl/worksheets/sheet1.xml": sheet.replace(b"</sheetData>", far)})


def spanning_table() -> bytes:
    cell = f"<table><tr><td colspan=100000000 rowspan=100000000>{SENTENCE}</td><td>b</td></tr></table>"
    return samples.html(cell)


def many_attributes() -> bytes:
    return b"<a " + b" ".join(b'a%d="b"' % number for number in range(10_000)) + b">text</a>"


def image() -> bytes:
    return b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20


REFUSED = ("corrupt", "too_large")
EITHER = (READ, *REFUSED)
ENDS = (*EITHER, "no_text")
BINARY = (READ, "corrupt", "unsupported")

# Name, bytes, and how it may end: several where reading and refusing are both right.

HOSTILE: list[tuple[str, Callable[[], bytes], tuple[str, ...]]] = [
    ("bomb.docx", zip_bomb, ("too_large",)),
    ("lying.docx", lying_zip_bomb, REFUSED),
    ("crowded.docx", crowded_zip, ("too_large",)),
    ("laughs.xml", lambda: xml_with(*entity_bomb(root="root")), EITHER),
    ("laughs.docx", lambda: docx_with(*entity_bomb(root="w:document")), EITHER),
    ("laughs.html", lambda: "".join(entity_bomb(root="html")).encode(), (*EITHER, "no_text")),
    ("pagetree.pdf", pdf_page_tree_loop, (*EITHER, "no_text")),
    ("doubling.pdf", pdf_doubling_page_tree, (*REFUSED, "no_text")),
    ("form.pdf", pdf_form_loop, (*REFUSED, "no_text")),
    ("outline.pdf", pdf_outline_loop, EITHER),
    ("table.pdf", pdf_table_loop, EITHER),
    ("stream.pdf", pdf_stream_bomb, (*EITHER, "timed_out")),
    ("deep.pdf", pdf_deep_objects, EITHER),
    ("scattered.pdf", pdf_scattered_words, (*EITHER, "timed_out")),
    ("truetype.pdf", lambda: pdf_with_bad_font(b"\0\1\0\0\xff\xff" + bytes(range(256)) * 9, kind=b"FontFile2"), ENDS),
    ("cff.pdf", lambda: pdf_with_bad_font(b"\1\0\4\4\xff\xff\4" + b"\xff" * 5_000, kind=b"FontFile3"), ENDS),
    ("type1.pdf", lambda: pdf_with_bad_font(b"%!PS-AdobeFont " + b"dup " * 50_000, kind=b"FontFile"), ENDS),
    ("fontloop.pdf", pdf_font_loop, ENDS),
    ("charmap.pdf", pdf_wide_character_map, ENDS),
    ("jbig2.pdf", lambda: pdf_with_image(b"JBIG2Decode", jbig2()), ENDS),
    ("jpx.pdf", lambda: pdf_with_image(b"JPXDecode", b"\xff\x4f\xff\x51" + b"\xff" * 9_000), ENDS),
    ("fax.pdf", lambda: pdf_with_image(b"CCITTFaxDecode", b"\0" * 100_000), ENDS),
    ("xfa.pdf", pdf_with_xfa, ENDS),
    ("overlapping.docx", overlapping_zip, EITHER),
    ("itself.docx", zip_of_itself, EITHER),
    ("shared.epub", shared_parts, EITHER),
    ("chunks.txt", lambda: b"a b c d.\n\n" * 900_000, (*EITHER, "timed_out")),
    ("pages.pdf", lambda: pdf_of(pdf_objects(10_000)), ("too_large",)),
    ("line.txt", lambda: b"word " * 10 * MIB, ("too_large",)),
    ("word.txt", lambda: b"x" * 2 * MIB, (READ,)),
    ("line.md", lambda: b"*a* [b](c) `d` " * 150_000, (READ,)),
    ("line.json", lambda: b'"' + b"x" * 2 * MIB + b'"', (READ,)),
    ("line.html", lambda: samples.html("<p>" + "word " * 400_000), (READ,)),
    ("deep.html", lambda: samples.html(nested("<div>", "</div>", depth=100_000).decode()), EITHER),
    ("lists.html", lambda: samples.html(nested("<ul><li>", "", depth=20_000).decode()), EITHER),
    ("tables.html", lambda: samples.html(nested("<table><tr><td>", "", depth=5_000).decode()), EITHER),
    ("inline.html", lambda: samples.html(nested("<b><i>", "", depth=20_000).decode()), EITHER),
    ("unclosed.html", lambda: samples.html("<p>text" + "<" * 500_000), EITHER),
    ("comments.html", lambda: samples.html(SENTENCE + "<!--" * 300_000), EITHER),
    ("span.html", spanning_table, EITHER),
    ("deep.json", lambda: nested("[", "]", depth=1_000_000, inner='"a"'), EITHER),
    ("objects.json", lambda: nested('{"a":', "}", depth=200_000, inner='"a"'), EITHER),
    ("number.json", lambda: b'{"a": ' + b"9" * 500_000 + b"}", EITHER),
    ("deep.xml", lambda: nested("<a>", "</a>", depth=500_000), EITHER),
    ("attributes.xml", many_attributes, EITHER),
    ("quotes.md", lambda: nested(">", "", depth=500_000), EITHER),
    ("brackets.md", lambda: nested("[", "", depth=500_000), EITHER),
    ("stars.md", lambda: nested("*a **b ", "", depth=100_000), EITHER),
    ("fences.md", lambda: b"```\n" * 100_001, (*EITHER, "no_text")),
    ("headings.md", lambda: b"# a\n" * 100_000, EITHER),
    ("columns.md", lambda: b"|\n".join(cell * 50_000 for cell in (b"|a", b"|-", b"|1")), EITHER),
    ("front.md", lambda: b"---\na: " + b"[" * 100_000 + b"\n---\n" + SENTENCE.encode(), EITHER),
    ("comments.md", lambda: b"<!-- -->" * 50_000 + b"text", EITHER),
    ("instructions.txt", lambda: b"<?x?>" * 50_000 + b"text", EITHER),
    ("foreign.txt", lambda: b"\xe9" + b"x" * MIB, EITHER),
    ("spaces.txt", lambda: b" " * 2 * MIB + b"a" + b"\n" * 2 * MIB, EITHER),
    ("columns.csv", lambda: b"a," * 200_000 + b"\n" + b"1," * 200_000, EITHER),
    ("quote.csv", lambda: b'a,b\n"' + b"x,y\n" * 200_000, EITHER),
    ("deep.rtf", lambda: rb"{\rtf1 " + nested("{", "}", depth=500_000) + b"}", EITHER),
    ("deep.docx", nested_tables, EITHER),
    ("header.eml", long_field, EITHER),
    ("deep.eml", nested_mail, (*EITHER, "no_text")),
    ("deep.py", lambda: nested("(", ")", depth=200_000, inner="1"), EITHER),
    ("wide.xlsx", wide_spreadsheet, EITHER),
    ("pdf.txt", samples.pdf, (READ,)),
    ("docx.pdf", samples.docx, (READ,)),
    ("html.docx", samples.html, (READ,)),
    ("png.txt", image, ("unsupported",)),
    ("program.md", lambda: b"MZ" + bytes(range(256)) * 40, ("unsupported", "corrupt")),
    ("nul.txt", lambda: SENTENCE.replace("fox", "f\0x").encode(), BINARY),
    ("nuls.txt", lambda: b"\0" * 10_000, ("corrupt", "unsupported", "empty", "no_text")),
    ("nul.html", lambda: samples.html(f"<p>{SENTENCE}\0&#0;</p>"), BINARY),
    ("surrogate.json", lambda: b'{"a": "x\\ud800y \\u0000 text"}', (READ,)),
    ("cut.pdf", lambda: samples.pdf()[:300], ("corrupt", "no_text", READ)),
    ("cut.docx", lambda: samples.docx()[:600], ("corrupt",)),
    ("nothing.pdf", lambda: b"", ("empty",)),
]  # fmt: skip


@pytest.fixture(scope="module")
def reader() -> Iterator[TextWorker]:
    """One worker for the whole set, as in a batch."""
    with TextWorker(parsing=LIMITS, chunking=Chunking(), model=None, asked=WordModel()) as reader:
        yield reader


@pytest.fixture(scope="module")
def hurried() -> Iterator[TextWorker]:
    """The same with a time limit, for what may take longer than anybody wants to wait."""
    hurried = LIMITS.model_copy(update={"max_seconds": 20.0})
    with TextWorker(parsing=hurried, chunking=Chunking(), model=None, asked=WordModel()) as reader:
        yield reader


def ends(reader: TextWorker, file: Path) -> tuple[str, ReadDocument | DocumentError]:
    try:
        return READ, reader.read(file, name=file.name)
    except DocumentError as exc:
        return exc.kind, exc


@pytest.mark.parametrize(("name", "make", "allowed"), [pytest.param(*case, id=case[0]) for case in HOSTILE])
def test_hostile_document_ends_as_it_should(
    request: pytest.FixtureRequest, tmp_path: Path, name: str, make: Callable[[], bytes], allowed: tuple[str, ...]
) -> None:
    """Its kind is right, its text can be stored, the child stays below its memory, and a sibling is read after it."""
    reader: TextWorker = request.getfixturevalue("hurried" if "timed_out" in allowed else "reader")
    file = tmp_path.resolve() / name
    file.write_bytes(make())
    end, result = ends(reader, file)
    assert end in allowed, result
    if isinstance(result, ReadDocument):
        assert "\0" not in result.parsed.text
        assert len(result.parsed.text) <= LIMITS.max_characters
    (sibling := tmp_path.resolve() / "sibling.md").write_bytes(samples.MARKDOWN.encode())
    assert "fox" in reader.read(sibling, name="sibling.md").parsed.text
    if sys.platform == "linux":
        assert 0 < reader.peak_memory <= LIMITS.max_memory_mb * MIB


@pytest.mark.parametrize("name", CONTAINERS)
def test_container_that_unpacks_to_much_is_too_large(reader: TextWorker, tmp_path: Path, name: str) -> None:
    """Whatever kind of document it says it is: 100 MB of spaces in 100 KB."""
    file = tmp_path.resolve() / name
    file.write_bytes(with_part(name, lambda part: part.replace(b"</", b" " * 100 * MIB + b"</", 1)))
    end, result = ends(reader, file)
    assert end == "too_large", result


@pytest.mark.parametrize("name", CONTAINERS)
def test_entities_of_a_container_are_not_multiplied(reader: TextWorker, tmp_path: Path, name: str) -> None:
    """Refused, or read without them."""
    file = tmp_path.resolve() / name
    file.write_bytes(with_part(name, laughing))
    end, result = ends(reader, file)
    assert end in (*EITHER, "no_text"), result
    if isinstance(result, ReadDocument):
        assert len(result.parsed.text) < 10_000


@pytest.mark.parametrize(("suffix", "make"), [("xml", xml_with), ("docx", docx_with)])
def test_external_entity_brings_nothing_in(
    reader: TextWorker, tmp_path: Path, suffix: str, make: Callable[[str, str], bytes]
) -> None:
    """Neither the text nor the error holds what the entity points to."""
    (secret := tmp_path.resolve() / "secret.txt").write_text(SECRET)
    file = tmp_path.resolve() / f"external.{suffix}"
    file.write_bytes(make(*external_entity(root="w:document" if suffix == "docx" else "root", file=secret)))
    end, result = ends(reader, file)
    assert end in EITHER
    assert SECRET not in str(result)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs")
def test_pipe_is_not_waited_for(reader: TextWorker, tmp_path: Path) -> None:
    """A FIFO in place of the file ends at once."""
    os.mkfifo(tmp_path / "fifo.pdf")
    assert ends(reader, tmp_path.resolve() / "fifo.pdf")[0] == "unsupported"


def test_sparse_file_is_too_large_before_it_is_read(reader: TextWorker, tmp_path: Path) -> None:
    """A terabyte that takes no room on the disk."""
    with (tmp_path / "sparse.pdf").open("wb") as file:
        file.truncate(2**40)
    assert ends(reader, tmp_path.resolve() / "sparse.pdf")[0] == "too_large"


def test_text_and_hash_are_of_one_version_while_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is replaced, rewritten in place or truncated."""
    monkeypatch.setattr(worker, "command", misbehaving.command)
    file = tmp_path.resolve() / "a.txt"
    file.write_text("0" * MIB)
    stop = threading.Event()

    def change() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            target = file if number % 3 else file.with_suffix(".new")
            target.write_text(str(number % 10) * (MIB + number % 7))
            if target != file:
                target.replace(file)

    thread = threading.Thread(target=change)
    seen = set()
    with TextWorker(parsing=LIMITS, chunking=Chunking(), model=None) as reader:
        thread.start()
        try:
            for _ in range(100):
                seen.add(version(reader, file))
        finally:
            stop.set()
            thread.join()
    assert len(seen) > 1


def version(reader: TextWorker, file: Path) -> str:
    try:
        read = reader.parse(file, name="a.txt")
    except DocumentError as exc:
        if exc.kind != "timed_out":
            raise
        return exc.kind
    assert hashlib.sha256(read.parsed.text.encode()).hexdigest() == read.facts.sha256
    return read.parsed.text[:1]
