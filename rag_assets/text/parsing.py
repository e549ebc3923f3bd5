"""Bytes of any document to text: what it is, by content first and name second, and which format module reads it."""

import importlib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol, cast

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text.formats import zipped

PARSER_VERSION = "1"  # to be raised when any format's text changes: documents are then read again
HEAD_BYTES = 4_096


class FormatModule(Protocol):
    """What a module of rag_assets.text.formats offers."""

    def parse(self, data: bytes, *, name: str, limits: Parsing) -> ParsedText: ...


@dataclass(frozen=True, kw_only=True)
class Format:
    """A kind of document that is read; `keeps` is what the README says of it."""

    module: str
    media_type: str
    suffixes: tuple[str, ...]
    keeps: str


_OFFICE = "application/vnd.openxmlformats-officedocument"
_OPEN = "application/vnd.oasis.opendocument"

FORMATS: dict[str, Format] = {
    "pdf": Format(
        module="pdf",
        media_type="application/pdf",
        suffixes=(".pdf",),
        keeps="pages, reading order, headings by size, tables, joined hyphenation, form values, OCR layers",
    ),
    "docx": Format(
        module="docx",
        media_type=f"{_OFFICE}.wordprocessingml.document",
        suffixes=(".docx", ".docm"),
        keeps="headings, list numbers, tables, insertions (no deletions), text boxes, notes, comments, links",
    ),
    "pptx": Format(
        module="pptx",
        media_type=f"{_OFFICE}.presentationml.presentation",
        suffixes=(".pptx", ".pptm"),
        keeps="slides as pages, titles, tables, groups, speaker notes",
    ),
    "xlsx": Format(
        module="xlsx",
        media_type=f"{_OFFICE}.spreadsheetml.sheet",
        suffixes=(".xlsx", ".xlsm"),
        keeps="sheets as pages, rows with numbers and dates as they are shown",
    ),
    "odt": Format(
        module="opendocument",
        media_type=f"{_OPEN}.text",
        suffixes=(".odt",),
        keeps="headings, lists, tables, notes, insertions (no deletions)",
    ),
    "ods": Format(
        module="opendocument", media_type=f"{_OPEN}.spreadsheet", suffixes=(".ods",), keeps="sheets and rows"
    ),
    "odp": Format(
        module="opendocument", media_type=f"{_OPEN}.presentation", suffixes=(".odp",), keeps="slides and notes"
    ),
    "epub": Format(
        module="epub",
        media_type="application/epub+zip",
        suffixes=(".epub",),
        keeps="chapters in reading order, as HTML",
    ),
    "html": Format(
        module="html",
        media_type="text/html",
        suffixes=(".html", ".htm", ".xhtml"),
        keeps="main content: headings, lists, tables, code, links; no navigation, scripts or hidden parts",
    ),
    "markdown": Format(
        module="markdown",
        media_type="text/markdown",
        suffixes=(".md", ".markdown", ".mdx", ".mkd"),
        keeps="everything; front matter as metadata",
    ),
    "rst": Format(
        module="rst",
        media_type="text/x-rst",
        suffixes=(".rst", ".rest"),
        keeps="titles as headings, directives' text, code blocks, tables",
    ),
    "csv": Format(
        module="delimited",
        media_type="text/csv",
        suffixes=(".csv", ".tsv", ".tab"),
        keeps="one row per line, header known",
    ),
    "json": Format(
        module="structured",
        media_type="application/json",
        suffixes=(".json", ".ndjson", ".jsonl", ".geojson"),
        keeps="keys and values as lines; NDJSON one record per line",
    ),
    "notebook": Format(
        module="notebook",
        media_type="application/x-ipynb+json",
        suffixes=(".ipynb",),
        keeps="Markdown cells, code cells, text outputs",
    ),
    "xml": Format(
        module="xml",
        media_type="application/xml",
        suffixes=(".xml", ".rss", ".atom"),
        keeps="text of elements in order, titles as headings",
    ),
    "email": Format(
        module="email_message",
        media_type="message/rfc822",
        suffixes=(".eml",),
        keeps="subject, people, date, best body, names of attachments, text attachments",
    ),
    "rtf": Format(module="rtf", media_type="application/rtf", suffixes=(".rtf",), keeps="text, tables"),
    "code": Format(
        module="code",
        media_type="text/x-source",
        suffixes=(),  # see formats.code.LANGUAGES
        keeps="every character; cut at definitions",
    ),
    "text": Format(module="plain", media_type="text/plain", suffixes=(".txt", ".text", ".log"), keeps="everything"),
}

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"GIF8", "an image"),
    (b"BM", "an image"),
    (b"II*\x00", "an image"),
    (b"MM\x00*", "an image"),
    (b"\x00\x00\x01\x00", "an image"),
    (b"\x1f\x8b", "an archive"),
    (b"BZh", "an archive"),
    (b"\xfd7zXZ", "an archive"),
    (b"7z\xbc\xaf", "an archive"),
    (b"Rar!", "an archive"),
    (b"(\xb5/\xfd", "an archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"\x00asm", "a program"),
    (b"ID3", "a recording"),
    (b"OggS", "a recording"),
    (b"fLaC", "a recording"),
    (b"RIFF", "a recording or an image"),
    (b"SQLite format 3", "a database"),
)
_ADVICE = {
    "an image": "there is no text in it; run OCR on it and register the result",
    "an archive": "unpack it and register the files in it",
}
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_LEGACY = (
    ("WordDocument", "a Word document of before 2007", ".docx"),
    ("Workbook", "an Excel workbook of before 2007", ".xlsx"),
    ("Book", "an Excel workbook of before 2007", ".xlsx"),
    ("PowerPoint Document", "a PowerPoint presentation of before 2007", ".pptx"),
    ("__properties_version1.0", "an Outlook message", ".eml"),
)
_HTML = re.compile(rb"^\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S)
_XML = re.compile(rb"^\s*<(?:\?xml|!DOCTYPE|[A-Za-z_][\w.-]*(?::[\w.-]+)?[\s>/])")
_MAIL = re.compile(rb"^(?:From |(?:Received|Return-Path|Delivered-To|Message-ID|MIME-Version|X-[\w-]+):)", re.I)
_HEADER = re.compile(rb"^[A-Za-z][\w-]*:[ \t]?.*(?:\r?\n[ \t].*)*\r?\n", re.M)
_MARKUP = re.compile(rb"<(p|div|table|span|h[1-6]|ul|article|section|meta|title|script)\b", re.I)


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    """The text of a document. Raises DocumentError, and nothing else, with a kind of errors.ERROR_KINDS."""
    if len(data) > limits.max_bytes:
        raise DocumentError(
            "too_large", f"{name}: {len(data):,} bytes; the limit (parsing.max_bytes) is {limits.max_bytes:,}"
        )
    if not data.strip(b" \t\r\n\x00\xef\xbb\xbf\xff\xfe"):
        raise DocumentError("empty", f"{name}: the file has {len(data)} bytes and nothing in them")
    parsed = _read(sniff(data, name), data, name=name, limits=limits)
    if not parsed.text.strip():
        raise DocumentError("no_text", f"{name}: no text found in {len(data):,} bytes of {parsed.media_type}")
    if len(parsed.text) > limits.max_characters:
        raise DocumentError(
            "too_large",
            f"{name}: {len(parsed.text):,} characters; the limit (parsing.max_characters) is "
            f"{limits.max_characters:,}",
        )
    return parsed


def sniff(data: bytes, name: str) -> str:
    """Which of FORMATS this is; DocumentError unsupported or encrypted, with what to do, when it is none."""
    return _binary_kind(data, name) or _text_kind(data, name)


def _read(kind: str, data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    module = importlib.import_module(f"rag_assets.text.formats.{FORMATS[kind].module}")
    try:
        return cast(FormatModule, module).parse(data, name=name, limits=limits)
    except (DocumentError, MemoryError):
        raise
    except Exception as exc:  # noqa: BLE001 - whatever a library says of hostile bytes is said of the document
        raise DocumentError("corrupt", f"{name}: {kind} cannot be read: {type(exc).__name__}: {exc}"[:500]) from exc


def _binary_kind(data: bytes, name: str) -> str | None:
    head = data[:HEAD_BYTES]
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith(b"PK\x03\x04") or head.startswith(b"PK\x05\x06"):
        return _container(data, name)
    if head.startswith(_OLE):
        raise _legacy(data, name)
    if head.lstrip().startswith(b"{\\rtf"):
        return "rtf"
    for signature, what in _SIGNATURES:
        if head.startswith(signature) and (len(signature) > 2 or b"\x00" in head):
            advice = _ADVICE.get(what, "only documents are read")
            raise DocumentError("unsupported", f"{name} is {what}: {advice}")
    return None


def _container(data: bytes, name: str) -> str:
    kind = zipped.kind(data)
    if kind in FORMATS:
        return kind
    if kind is None:
        raise DocumentError("corrupt", f"{name}: a damaged or incomplete zip container")
    raise DocumentError("unsupported", f"{name} is an archive: {_ADVICE['an archive']}")


def _legacy(data: bytes, name: str) -> DocumentError:
    def has(stream: str) -> bool:
        return stream.encode("utf-16-le") in data

    if has("EncryptedPackage"):
        return DocumentError("encrypted", f"{name} is protected by a password: save it without one")
    for stream, what, suffix in _LEGACY:
        if has(stream):
            return DocumentError("unsupported", f"{name} is {what}: save it as {suffix}")
    return DocumentError("unsupported", f"{name} is an OLE container: save it in a current format")


def _text_kind(data: bytes, name: str) -> str:
    head = data[:HEAD_BYTES]
    if _is_binary(data):
        raise DocumentError("unsupported", f"{name}: binary data that is no known kind of document")
    plain = _plain_head(head)
    by_content = _kind_by_content(plain, data)
    by_name = _kind_by_name(name)
    if by_name in (None, "text", "markdown", "rst") and by_content:
        return by_content
    if by_content in ("html", "email") and by_name in ("xml", "json", "csv", "code"):
        return by_name if by_name == "code" else by_content
    if by_name == "json" and not plain.lstrip()[:1] in (b"{", b"[", b'"') and not plain.lstrip()[:1].isdigit():
        return by_content or "text"
    if by_name == "html" and by_content == "email":
        return by_content
    return by_name or "text"


def _kind_by_content(head: bytes, data: bytes) -> str | None:
    if _HTML.match(head) or (head.lstrip().startswith(b"<") and len(set(_MARKUP.findall(head))) >= 3):
        return "html"
    if head.lstrip().startswith(b"<?xml"):
        return "html" if b"http://www.w3.org/1999/xhtml" in head else "xml"
    if _MAIL.match(head) and len(_HEADER.findall(head)) >= 3:
        return "email"
    if head.lstrip().startswith((b"{", b"[{")) and data.rstrip().endswith((b"}", b"]")):
        return "notebook" if b'"nbformat"' in data and b'"cells"' in data else "json"
    return None


def _kind_by_name(name: str) -> str | None:
    from rag_assets.text.formats import code

    path = PurePosixPath(name.replace("\\", "/"))
    suffix = path.suffix.lower()
    if path.name.lower().endswith(".rst.txt"):
        return "rst"
    for kind, known in FORMATS.items():
        if suffix in known.suffixes:
            return kind if kind not in _CONTAINERS else None  # its content says that it is none
    return "code" if code.language(path.name) else None


_CONTAINERS = frozenset({"pdf", "docx", "pptx", "xlsx", "odt", "ods", "odp", "epub", "rtf"})


def _plain_head(head: bytes) -> bytes:
    """The beginning as ASCII-compatible bytes, so that signatures match UTF-16 too."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or head.count(0) > len(head) // 5:
        return head.replace(b"\x00", b"").lstrip(b"\xff\xfe")
    return head.removeprefix(b"\xef\xbb\xbf")


def _is_binary(data: bytes) -> bool:
    """NUL bytes without the regularity of UTF-16 or UTF-32, or mostly control characters."""
    head = data[: 8 * HEAD_BYTES]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return False
    nuls = head.count(0)
    if nuls:
        even, odd = head[::2].count(0), head[1::2].count(0)
        wide = nuls > len(head) // 5 and max(even, odd) > 4 * min(even, odd)
        return not wide and nuls > len(head) // 1000 + 2
    controls = sum(head.count(byte) for byte in (*range(1, 9), 11, *range(14, 27), *range(28, 32)))
    return controls > len(head) // 20
