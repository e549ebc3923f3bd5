"""DOCX that includes other files as they are (altChunk)."""

import base64
from collections.abc import Iterator

from rag_assets_tests import samples
from rag_assets_tests.samples import PACKAGE, RELATIONS, XML, W
from rag_assets_tests.siblings.sibling import Sibling, sibling

HTML = "<html><body><p>The well in the yard is covered with planks.</p></body></html>"
SAID = ("The well in the yard is covered with planks", "End of it")
UNWANTED = ["Content-Type", "quoted-printable", "--zz", "MIME-Version"]


def _document(included: str | bytes, *, name: str = "chunk.mht") -> bytes:
    body = f'{samples.paragraph("Begin of it.")}<w:altChunk r:id="rId5"/>{samples.paragraph("End of it.")}'
    document = f'{XML}<w:document {W} xmlns:r="{RELATIONS}"><w:body>{body}</w:body></w:document>'
    relation = f'<Relationship Id="rId5" Type="{RELATIONS}/aFChunk" Target="{name}"/>'
    parts: dict[str, str | bytes] = {
        "word/document.xml": document,
        "word/_rels/document.xml.rels": f'{XML}<Relationships xmlns="{PACKAGE}/relationships">'
        f"{relation}</Relationships>",
        f"word/{name}": included,
    }
    return samples.zipped(samples.office("word/document.xml", "wordprocessingml.document.main", parts))


def _archive(head: str, *, page: str = HTML, coding: str = "8bit", charset: str = "utf-8") -> str:
    part = (
        f"--zz\nContent-Type: text/html; charset={charset}\nContent-Transfer-Encoding: "
        f"{coding}\nContent-Location: a.htm\n\n{page}\n--zz--\n"
    )
    return f'{head}Content-Type: multipart/related; type="text/html"; boundary="zz"\n\n{part}'


def archives() -> Iterator[Sibling]:
    """Pages saved as one message, whatever line this begins with."""
    for name, head in (
        ("date", "Date: Tue, 7 Jan 2025 08:00:00 +0000\nMIME-Version: 1.0\n"),
        ("own_field", "X-MimeOLE: Produced By Somebody\nMIME-Version: 1.0\n"),
        ("type_first", ""),
        ("lower_case", "mime-version: 1.0\n"),
        ("blank_line", "\n\nMIME-Version: 1.0\n"),
        ("mark", "\ufeffMIME-Version: 1.0\n"),
        ("saved_by", "Snapshot-Content-Location: https://example.org/\nSubject: =?utf-8?Q?Well?=\nMIME-Version: 1.0\n"),
    ):
        yield sibling(f"{name}.docx", _document(_archive(head)), *SAID, absent=UNWANTED)
    coded = base64.encodebytes(HTML.encode()).decode()
    yield sibling(
        "base64.docx", _document(_archive("Subject: x\n", page=coded, coding="base64")), *SAID, absent=UNWANTED
    )
    single = f"Subject: x\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n\n{HTML}"
    yield sibling("one_part.docx", _document(single), *SAID, absent=UNWANTED)
    russian = _archive("Subject: x\nMIME-Version: 1.0\n", page="<p>Колодец закрыт досками.</p>", charset="windows-1251")
    yield sibling("windows_1251.docx", _document(russian.encode("cp1251")), "Колодец закрыт досками", absent=UNWANTED)
    yield sibling("other_name.docx", _document(_archive("Subject: x\n"), name="afchunk.dat"), *SAID, absent=UNWANTED)
