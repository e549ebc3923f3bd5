"""What a file is: bytes and a name go in, the name of a format comes out, by content first and name second."""

import codecs
import re
from pathlib import PurePosixPath

from rag_assets.errors import DocumentError
from rag_assets.text import encoding
from rag_assets.text.formats import code, zipped

HEAD_BYTES = 16_384
PDF_HEAD_BYTES = 1_024  # before which a PDF may begin
CONTROL_SHARE = 0.05  # of the first bytes: with more control characters than that it is no text
NUL_SHARE = 0.02  # of the bytes: with more runs of NULs than that it is no text,
MOST_NULS = 0.1  # or than that where all else is plain: a NUL ends each line, or the file is short
TABLE_LINES = 5  # that must have the same number of delimiters before a nameless text is a table

_OCR = "there is no text in it; run OCR on it and register the result"
_UNPACK = "unpack it and register the files in it"
_TRANSCRIBE = "there is no text in it; register a transcript"
_NO_DOCUMENT = "only documents are read"

_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"\x89PNG\r\n", "a PNG image", _OCR),
    (b"\xff\xd8\xff", "a JPEG image", _OCR),
    (b"GIF87a", "a GIF image", _OCR),
    (b"GIF89a", "a GIF image", _OCR),
    (b"II*\0", "a TIFF image", _OCR),
    (b"MM\0*", "a TIFF image", _OCR),
    (b"\0\0\1\0", "an icon", _OCR),
    (b"8BPS", "a Photoshop image", _OCR),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image", _OCR),
    (b"AT&TFORM", "a DjVu document", "convert it to PDF"),
    (b"%!PS", "a PostScript document", "convert it to PDF"),
    (b"\x1f\x8b", "a gzip archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ\0", "an xz archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"(\xb5/\xfd", "a Zstandard archive", _UNPACK),
    (b"\x04\x22\x4d\x18", "an LZ4 archive", _UNPACK),
    (b"MSCF\0\0\0\0", "a cabinet archive", _UNPACK),
    (b"!<arch>\n", "an ar archive", _UNPACK),
    (b"ITSF\x03\0\0\0", "a compiled help file", "convert it to HTML"),
    (b"\x7fELF", "a program", _NO_DOCUMENT),
    (b"\xca\xfe\xba\xbe", "a program", _NO_DOCUMENT),
    (b"\xcf\xfa\xed\xfe", "a program", _NO_DOCUMENT),
    (b"\0asm", "a program", _NO_DOCUMENT),
    (b"ID3", "a recording", _TRANSCRIBE),
    (b"\xff\xfb", "a recording", _TRANSCRIBE),
    (b"OggS\0", "a recording", _TRANSCRIBE),
    (b"fLaC\0", "a recording", _TRANSCRIBE),
    (b"\x1aE\xdf\xa3", "a video", _TRANSCRIBE),
    (b"SQLite format 3\0", "a database", _NO_DOCUMENT),
    (b"PAR1", "a Parquet file", "export it as CSV"),
    (b"\x80\x02ctypes\n", "a pickle", _NO_DOCUMENT),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_LEGACY = (
    ("WordDocument", "a legacy Word document", "convert to .docx"),
    ("PowerPoint Document", "a legacy PowerPoint presentation", "convert to .pptx"),
    ("__properties_version1.0", "an Outlook message", "save it as .eml"),
    ("VisioDocument", "a legacy Visio drawing", "convert it to PDF"),
)
_BY_SUFFIX = {
    ".htm": "html", ".html": "html", ".xhtml": "html", ".xht": "html", ".shtml": "html",
    ".md": "markdown", ".markdown": "markdown", ".mdx": "markdown", ".mkd": "markdown", ".mdown": "markdown",
    ".qmd": "markdown", ".rmd": "markdown",
    ".rst": "rst", ".rest": "rst",
    ".csv": "delimited", ".tsv": "delimited", ".tab": "delimited",
    ".json": "json", ".ndjson": "json", ".jsonl": "json", ".geojson": "json", ".jsonld": "json", ".har": "json",
    ".webmanifest": "json", ".ipynb": "notebook",
    ".xml": "xml", ".rss": "xml", ".atom": "xml", ".svg": "xml", ".xsd": "xml", ".xsl": "xml", ".xslt": "xml",
    ".wsdl": "xml", ".dita": "xml", ".ditamap": "xml", ".docbook": "xml", ".dbk": "xml", ".opml": "xml",
    ".fb2": "xml", ".plist": "xml", ".resx": "xml", ".tmx": "xml", ".xlf": "xml", ".xliff": "xml", ".kml": "xml",
    ".gpx": "xml", ".tei": "xml", ".rdf": "xml", ".owl": "xml", ".pom": "xml", ".csproj": "xml",
    ".eml": "mail", ".mbox": "mail", ".mht": "mail", ".mhtml": "mail",
    ".txt": "plain", ".text": "plain", ".log": "plain",
}  # fmt: skip

# Atomic and possessive: what was once read as a comment is not read in any other way, however the rest fits.
_SPACE = r"(?:\s|<!--(?>.*?-->))*+"
_PAGE = re.compile(rf"{_SPACE}(?:<\?xml[^>]*>{_SPACE})?<(?:!doctype\s+html|html|head|body)\b", re.I | re.S)
_TAG = re.compile(
    r"<(?:p|div|table|tr|td|span|h[1-6]|ul|ol|li|br|article|section|meta|title|a|b|i|font|center)\b[^<>]*>", re.I
)
_ROOT = re.compile(
    rf"{_SPACE}(?:<\?(?>.*?\?>){_SPACE})*+(?:<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>{_SPACE})?<([A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)([^>]*)",
    re.S,
)
_HEADER = re.compile(r"(?:From [^\n]*\n)?((?:[!-9;-~]+:[^\n]*\n(?:[ \t][^\n]*\n)*)+)(?:\n|[^\n]*$)")
_FIELD = re.compile(
    r"^(from|to|subject|date|mime-version|message-id|received|return-path|delivered-to|content-type|reply-to|cc"
    r"|in-reply-to|x-mailer|sender)(?=:)", re.I | re.M
)  # fmt: skip
_PARTED = re.compile(r"^content-type:\s*multipart/[^\n]*(?:\n[ \t][^\n]*)*boundary=", re.I | re.M)
_ATX = re.compile(r"^#{1,6} \S", re.M)
_MARKS = re.compile(r"^(?:```|~~~|[-*] |\d+\. |> )|\]\(\S+\)|\*\*\S", re.M)
_UNDERLINED = re.compile(r"^(\S[^\n]*)\n([=\-~^\"'#*+])\2{2,}[ \t]*$", re.M)
_ROLE = re.compile(r"^\.\. [\w-]+::|:[a-z]+:`[^`\n]+`|``[^`\n]+``|`[^`\n<]+ <[^>\n]+>`_", re.M)
_NULS = re.compile(rb"\0+")
_NUL_BLOCK = re.compile(rb"\0{6,}")  # neighbours in UTF-32 have five at most
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
_COLORS = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")  # of a terminal, in logs of programs that write to one
_CONTROLS = bytes(sorted({*range(9), 11, *range(14, 27), *range(28, 32), 127}))


def sniff(data: bytes, name: str) -> str:
    """The name of a format; DocumentError `unsupported`, `encrypted` or `corrupt`, with what to do, when it is none."""
    return _container(data, name) or _text(without_nul_blocks(data), name)


def without_nul_blocks(data: bytes) -> bytes:
    """A text in which each block of NULs, as a crash or a full disk leaves it in logs, is an end of a line."""
    if b"\0\0\0\0\0\0" not in data or data.startswith(_WIDE_MARKS):
        return data
    parted = _NUL_BLOCK.sub(b"\n", data)
    return data if encoding.wide(parted) else parted


def _container(data: bytes, name: str) -> str | None:
    if _is_pdf(data):
        return "pdf"
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return _zipped(data, name)
    if data.startswith(_OLE):
        return _ole(data, name)
    if data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{\\rtf"):
        return "rtf"
    _refuse_signatures(data, name)
    return None


def _is_pdf(data: bytes) -> bool:
    at = data.find(b"%PDF-", 0, PDF_HEAD_BYTES)
    return at == 0 or (at > 0 and b" obj" in data and (b"endobj" in data or b"stream" in data))


def _zipped(data: bytes, name: str) -> str:
    kind = zipped.kind(data)
    if kind is None:
        raise DocumentError("corrupt", f"A damaged or incomplete zip container: {name}")
    if kind == "zip":
        raise DocumentError("unsupported", f"{name} is a zip archive: {_UNPACK}")
    return kind


def _ole(data: bytes, name: str) -> str:
    """The format of a file that Office wrote until 2003: workbooks are read; DocumentError for the others."""

    def has(stream: str) -> bool:
        return stream.encode("utf-16-le") in data

    if has("EncryptedPackage"):
        raise DocumentError("encrypted", f"{name} is protected by a password: save it without one")
    for stream, what, advice in _LEGACY:
        if has(stream):
            raise DocumentError("unsupported", f"{name} is {what}: {advice}")
    if has("Workbook") or has("Book"):
        return "xls"
    raise DocumentError("unsupported", f"{name} is an OLE container: convert to a current format, .docx for instance")


def _refuse_signatures(data: bytes, name: str) -> None:
    for signature, what, advice in _SIGNATURES:
        if data.startswith(signature):
            raise DocumentError("unsupported", f"{name} is {what}: {advice}")
    binary = b"\0" in data[:HEAD_BYTES]
    if binary and data[4:8] == b"ftyp":
        raise DocumentError("unsupported", f"{name} is a video, a recording or an image: {_TRANSCRIBE}")
    if binary and data.startswith((b"RIFF", b"BM", b"FORM", b"MZ")):
        what, advice = ("a program", _NO_DOCUMENT) if data.startswith(b"MZ") else ("an image or a recording", _OCR)
        raise DocumentError("unsupported", f"{name} is {what}: {advice}")
    if data[257:262] == b"ustar":
        raise DocumentError("unsupported", f"{name} is a tar archive: {_UNPACK}")


def _text(data: bytes, name: str) -> str:
    head = _head(data, name)
    by_name = _by_name(name, head)
    if by_name == "code":
        return "html" if _PAGE.match(head) and name.lower().endswith(("php", "vue", "t")) else "code"
    by_content = _marked(head, data, by_name=by_name)
    if by_content:
        return by_content
    if by_name in ("html", "xml", "json", "notebook", "mail"):
        return _named(by_name, head)
    return _loose(head) or "plain" if by_name is None else by_name


def _head(data: bytes, name: str) -> str:
    """The beginning as text; DocumentError when it is none."""
    wide = encoding.wide(data)
    if not wide and not data.startswith(_WIDE_MARKS):
        _refuse_binary(data, name)
    head = data[:HEAD_BYTES]
    if wide:
        text = head.decode(wide, errors="ignore")
    elif data.startswith(_WIDE_MARKS):
        text = encoding.exact(head)[0]
    else:
        text = head.replace(b"\0", b"").decode("utf-8", errors="replace")
    return encoding.with_line_feeds(text).lstrip("\ufeff \n\t")


def _refuse_binary(data: bytes, name: str) -> None:
    plain = _is_plain(data[:HEAD_BYTES])
    most = len(data) * (MOST_NULS if plain else NUL_SHARE)
    if data.count(0) > most and len(_NULS.findall(data)) > most:
        raise DocumentError("unsupported", f"{name} is binary (NUL bytes) and no known kind of document")
    head = _COLORS.sub(b"", data[:HEAD_BYTES])
    controls = len(head) - len(head.translate(None, _CONTROLS))
    if not plain and controls > len(head) * CONTROL_SHARE and not encoding.escaped(head):
        share = f"{controls} of the first {len(head)} bytes are control characters"
        raise DocumentError("unsupported", f"{name} is binary ({share}) and no known kind of document")


def _is_plain(head: bytes) -> bool:
    """Whether, without its NULs, this is UTF-8 without a control character."""
    rest = head.replace(b"\0", b"")
    if len(rest.translate(None, _CONTROLS)) < len(rest):
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(rest)
    except UnicodeDecodeError:
        return False
    return True


def _by_name(name: str, head: str) -> str | None:
    file = name.replace("\\", "/").rsplit("/", 1)[-1].lower()
    if file.endswith(".rst.txt"):
        return "rst"
    if code.language(file, head):
        return "code"
    return _BY_SUFFIX.get(PurePosixPath(file).suffix)


def _marked(head: str, data: bytes, *, by_name: str | None) -> str | None:
    """Formats that say what they are at their very beginning."""
    if head.startswith("<"):
        return _angled(head, by_name)
    if head.startswith(("{", "[")) and by_name not in ("delimited", "mail"):
        return _braced(head, data, by_name)
    if _is_mail(head, by_name):
        return "mail"
    return None


def _angled(head: str, by_name: str | None) -> str | None:
    if _PAGE.match(head):
        return "html"
    root = _ROOT.match(head)
    if head.startswith("<?xml") or (root and (by_name == "xml" or "xmlns" in root.group(3))):
        return "html" if root and root.group(2).lower() == "html" else "xml"
    if by_name in ("markdown", "rst"):
        return None  # Markdown may begin with a <div>
    if len(_TAG.findall(head)) >= 3 or by_name == "html":
        return "html"
    closed = root and f"</{root.group(1) or ''}{root.group(2)}>" in head
    return "xml" if closed else None


def _braced(head: str, data: bytes, by_name: str | None) -> str | None:
    if b'"nbformat"' in data and b'"cells"' in data:
        return "notebook"
    if by_name in ("json", "notebook"):
        return "json"
    if by_name not in (None, "plain"):
        return None
    starts = re.match(r'[\[{\s]*(?:"(?:[^"\\\n]|\\.)*"\s*[:,\]]|[-\d.]+\s*[,\]]|[\]}])', head)
    ends = data[-64:].rstrip(b" \t\r\n\0").endswith((b"}", b"]"))
    return "json" if starts and ends else None


def _is_mail(head: str, by_name: str | None) -> bool:
    header = _HEADER.match(head)
    if not header:
        return False
    fields = {field.lower() for field in _FIELD.findall(header.group(1))}
    if fields >= {"mime-version", "content-type"} or _PARTED.search(header.group(1)):
        return True
    if by_name == "mail" or head.startswith("From "):
        return len(fields) >= 2 or "content-type" in fields
    return "from" in fields and len(fields) >= 3 and bool(fields & {"message-id", "mime-version", "received", "date"})


def _named(by_name: str, head: str) -> str:
    """What a file is whose name promises marks that it does not begin with."""
    if by_name == "html":
        return "html" if _TAG.search(head) else _loose(head) or "plain"
    if by_name == "json":
        return "json" if re.match(r'["\d-]|true|false|null', head) else "plain"
    return "xml" if by_name == "xml" and "<" in head[:1000] else _loose(head) or "plain"


def _loose(head: str) -> str | None:
    """Formats without marks of their own, in a file whose name says nothing."""
    if len(_TAG.findall(head)) >= 10 and head.count("</") >= 5:
        return "html"
    if _UNDERLINED.search(head) and _ROLE.search(head) and not _ATX.search(head):
        return "rst"
    if _ATX.search(head) and len(_MARKS.findall(head)) >= 2:
        return "markdown"
    return "delimited" if _is_table(head) else None


def _is_table(head: str) -> bool:
    lines = head.split("\n")[: 4 * TABLE_LINES]
    lines = lines[:-1] if len(lines) > TABLE_LINES else lines
    counts = {delimiter: {line.count(delimiter) for line in lines if line} for delimiter in "\t;,|"}
    return len(lines) >= TABLE_LINES and any(len(found) == 1 and min(found) >= 2 for found in counts.values())
