"""Any document's bytes to text: which format it is, which module reads it, and what is wrong with it otherwise."""

import importlib
from dataclasses import dataclass
from typing import Protocol, cast

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text.formats import sniffing

PARSER_VERSION = "5"  # raised when the text that any format yields changes: documents are then read again
REASON_CHARACTERS = 300  # of a library's own words that an error quotes


class FormatModule(Protocol):
    """What each module of rag_assets.text.formats offers."""

    def parse(self, data: bytes, *, name: str, limits: Parsing) -> ParsedText:
        """The document's text with its facts; messages call it `name`. DocumentError for what cannot be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """One kind of document; `keeps` is what docs/formats.md says of it."""

    name: str
    module: str  # of rag_assets.text.formats; loaded when the first such document comes
    media_type: str
    suffixes: str
    keeps: str


_OFFICE = "application/vnd.openxmlformats-officedocument"
_OPEN = "application/vnd.oasis.opendocument"

FORMATS: tuple[Format, ...] = (
    Format(
        name="pdf",
        module="pdf.reader",
        media_type="application/pdf",
        suffixes=".pdf",
        keeps="pages, reading order across columns, headings, tables, code, whole words, form values, OCR layers; "
        "not the numbers of lines in a margin",
    ),
    Format(
        name="docx",
        module="office.docx",
        media_type=f"{_OFFICE}.wordprocessingml.document",
        suffixes=".docx .docm",
        keeps="headings, list numbers, tables, insertions (no deletions), text boxes, notes, comments, links",
    ),
    Format(
        name="pptx",
        module="office.pptx",
        media_type=f"{_OFFICE}.presentationml.presentation",
        suffixes=".pptx .pptm",
        keeps="slides as pages, titles as headings, tables, charts, groups, speaker notes",
    ),
    Format(
        name="xlsx",
        module="office.xlsx",
        media_type=f"{_OFFICE}.spreadsheetml.sheet",
        suffixes=".xlsx .xlsm",
        keeps="sheets as pages, rows with numbers and dates as they are shown",
    ),
    Format(
        name="xls",
        module="office.xls",
        media_type="application/vnd.ms-excel",
        suffixes=".xls",
        keeps="sheets as pages, rows with dates as they are shown, other numbers as they are stored",
    ),
    Format(
        name="odt",
        module="office.odt",
        media_type=f"{_OPEN}.text",
        suffixes=".odt",
        keeps="headings, lists, tables, notes, insertions (no deletions)",
    ),
    Format(
        name="ods",
        module="office.odt",
        media_type=f"{_OPEN}.spreadsheet",
        suffixes=".ods",
        keeps="sheets as pages, rows as they are shown",
    ),
    Format(
        name="odp",
        module="office.odt",
        media_type=f"{_OPEN}.presentation",
        suffixes=".odp",
        keeps="slides as pages, titles as headings",
    ),
    Format(
        name="epub",
        module="epub",
        media_type="application/epub+zip",
        suffixes=".epub",
        keeps="chapters in reading order, each as HTML is",
    ),
    Format(
        name="rtf",
        module="office.rtf",
        media_type="application/rtf",
        suffixes=".rtf",
        keeps="text, tables, headings",
    ),
    Format(
        name="html",
        module="html",
        media_type="text/html",
        suffixes=".html .htm .xhtml",
        keeps="main content: headings, lists, tables, code, links, what opens on a click; no scripts, navigation or "
        "other hidden parts",
    ),
    Format(
        name="markdown",
        module="markdown",
        media_type="text/markdown",
        suffixes=".md .markdown .mdx",
        keeps="everything but comments; front matter as metadata, field by field",
    ),
    Format(
        name="rst",
        module="rst",
        media_type="text/x-rst",
        suffixes=".rst .rest",
        keeps="titles as headings, code blocks as fences, tables as rows, directives with their text",
    ),
    Format(
        name="delimited",
        module="delimited",
        media_type="text/csv",
        suffixes=".csv .tsv .tab",
        keeps="one row per line under its header; any delimiter and quoting",
    ),
    Format(
        name="json",
        module="structured",
        media_type="application/json",
        suffixes=".json .ndjson .jsonl",
        keeps="keys and values, one per line; NDJSON one record per line",
    ),
    Format(
        name="notebook",
        module="notebook",
        media_type="application/x-ipynb+json",
        suffixes=".ipynb",
        keeps="Markdown cells, code cells as fences, outputs as text",
    ),
    Format(
        name="xml",
        module="xml",
        media_type="application/xml",
        suffixes=".xml .rss .atom .svg",
        keeps="text of elements in their order, titles as headings, telling attributes",
    ),
    Format(
        name="mail",
        module="mail",
        media_type="message/rfc822",
        suffixes=".eml .mbox .mhtml",
        keeps="subject, people, date, best body, names of attachments, text attachments",
    ),
    Format(
        name="code",
        module="code",
        media_type="text/x-source",
        suffixes=".py .js .java .c .go .rs .sql .yaml ...",
        keeps="every character; cut at definitions",
    ),
    Format(
        name="plain",
        module="plain",
        media_type="text/plain",
        suffixes=".txt .log",
        keeps="everything, in any encoding",
    ),
)
_BINARY = frozenset({"pdf", "docx", "pptx", "xlsx", "xls", "odt", "ods", "odp", "epub", "rtf"})
_BY_NAME = {known.name: known for known in FORMATS}
_BY_MEDIA_TYPE = {known.media_type: known for known in FORMATS}


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    """The text of a document; raises DocumentError, and nothing else."""
    _require_bytes(data, name=name, limit=limits.max_bytes)
    form = _BY_MEDIA_TYPE[sniff(data, name)]
    source = data if form.name in _BINARY else sniffing.without_nul_blocks(data)
    parsed = _read(form, source, name=name, limits=limits)
    if not any(map(str.isalnum, parsed.text)):
        raise DocumentError("no_text", f"No text in {len(data):,} bytes of {form.media_type}: {name}")
    if len(parsed.text) > limits.max_characters:
        rule = f"the limit (parsing.max_characters) is {limits.max_characters:,}"
        raise DocumentError("too_large", f"{len(parsed.text):,} characters of text, {rule}: {name}")
    return parsed


def sniff(data: bytes, name: str) -> str:
    """The media type, one of FORMATS; DocumentError `unsupported`, `encrypted` or `corrupt` when it is none."""
    kind = sniffing.sniff(data, name)
    form = _BY_NAME.get(kind) or _BY_MEDIA_TYPE.get(kind)
    if form is None:
        raise DocumentError("unsupported", f"{name} is {kind}, which is not read: convert it to .docx or PDF")
    return form.media_type


def table() -> str:
    """What is kept of each format, as the Markdown table of docs/formats.md."""
    rows = [f"| {known.name} | {known.suffixes} | {known.keeps} |" for known in FORMATS]
    return "\n".join(["| format | usual suffixes | what is kept |", "| --- | --- | --- |", *rows])


def _require_bytes(data: bytes, *, name: str, limit: int) -> None:
    if len(data) > limit:
        raise DocumentError("too_large", f"{len(data):,} bytes, the limit (parsing.max_bytes) is {limit:,}: {name}")
    if not data[:4096].strip(b" \t\r\n\f\0\xef\xbb\xbf\xff\xfe") and not data.strip(b" \t\r\n\f\0\xef\xbb\xbf\xff\xfe"):
        raise DocumentError("empty", f"Nothing but white space in {len(data):,} bytes: {name}")


def _read(form: Format, data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    try:
        module = importlib.import_module(f"rag_assets.text.formats.{form.module}")
        return cast(FormatModule, module).parse(data, name=name, limits=limits)
    except DocumentError:
        raise
    except MemoryError as exc:
        raise DocumentError("too_large", f"Not enough memory for {len(data):,} bytes of {form.name}: {name}") from exc
    except RecursionError as exc:
        raise DocumentError("corrupt", f"Nested too deeply to be read as {form.name}: {name}") from exc
    # Whatever a library says of hostile bytes is said of the document: the one edge where all of it is translated.
    except Exception as exc:
        reason = f"{type(exc).__name__}: {exc}"[:REASON_CHARACTERS]
        raise DocumentError("corrupt", f"Cannot be read as {form.name} ({reason}): {name}") from exc
