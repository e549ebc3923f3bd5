"""Zip containers of documents: a guarded reader of their entries, and a safe XML parser for what is in them."""

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from rag_assets.errors import DocumentError
from rag_assets.settings import Parsing

if TYPE_CHECKING:
    from lxml.etree import _Element

SMALL_ENTRY_BYTES = 2**20  # below this, a high ratio is no attack: repetitive XML packs 100:1
READ_BYTES = 2**18
REASON_CHARACTERS = 300  # of a library's own words that an error quotes

_DAMAGE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError, RuntimeError)
_OPEN_DOCUMENT = {"text": "odt", "text-master": "odt", "spreadsheet": "ods", "presentation": "odp"}
_OFFICE = (("word/", "docx"), ("ppt/", "pptx"), ("xl/", "xlsx"))
_ROOT_TYPE = re.compile(
    rb"""<(?:\w+:)?file-entry\b(?=[^<>]*full-path\s*=\s*["']/["'])[^<>]*media-type\s*=\s*["']([^"'<>]+)"""
)
_BODY = re.compile(rb"<(?:\w+:)?body\b[^<>]*>\s*<(?:\w+:)?(text|spreadsheet|presentation)\b")
# Only the part that all hangs on has such a type; documents that are embedded in this one have others.
_MAIN_TYPE = re.compile(
    rb"(?:(wordprocessingml|ms-word)|(presentationml|ms-powerpoint)|(?:spreadsheetml|ms-excel))\.[\w.]+\.main\+xml"
)
_SNIFFED_BYTES = 2**20  # of the entry that says what a container holds


def kind(data: bytes) -> str | None:
    """What the container holds: docx, pptx, xlsx, odt, ods, odp, epub, or zip for any other; None: it is damaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = {_plain(name): name for name in archive.namelist()}
            return _by_entries(lambda name: _head(archive, names[name]) if name in names else b"", names) or "zip"
    except _DAMAGE:
        return None


def _by_entries(read: Callable[[str], bytes], names: Iterable[str]) -> str | None:
    """By what the container says of itself; where it says nothing, as some writers leave it, by what is in it."""
    known = _by_media_type(read("mimetype"))
    if known:
        return known
    if b"oebps-package" in read("meta-inf/container.xml"):
        return "epub"
    if types := read("[content_types].xml"):
        return _by_content_types(types, names)
    stated = _ROOT_TYPE.search(read("meta-inf/manifest.xml"))
    if stated and (known := _by_media_type(stated.group(1))):
        return known
    body = _BODY.search(read("content.xml"))
    if body:
        return _OPEN_DOCUMENT[body.group(1).decode()]
    return "epub" if any(name.endswith(".opf") for name in names) else None


def _head(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        return file.read(_SNIFFED_BYTES)


def _by_media_type(content: bytes) -> str | None:
    media_type = content[:200].decode("ascii", "replace").strip()
    if media_type == "application/epub+zip":
        return "epub"
    stem = media_type.removeprefix("application/vnd.oasis.opendocument.").removesuffix("-template")
    return _OPEN_DOCUMENT.get(stem)


def _by_content_types(content: bytes, names: Iterable[str]) -> str | None:
    main = _MAIN_TYPE.search(content)
    if main:
        return "docx" if main.group(1) else "pptx" if main.group(2) else "xlsx"
    return next((known for folder, known in _OFFICE if any(name.startswith(folder) for name in names)), None)


def _plain(entry: str) -> str:
    """The name that an entry goes by: some writers use backslashes, a leading slash or other letter case."""
    return entry.replace("\\", "/").lstrip("/").lower()


class Container:
    """Reads entries while counting what they really unpack to; raises DocumentError too_large, corrupt, encrypted."""

    def __init__(self, data: bytes, *, name: str, limits: Parsing) -> None:
        self.name = name
        self.limits = limits
        self._unpacked = 0
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
        except _DAMAGE as exc:
            raise DocumentError("corrupt", f"{name}: a damaged or incomplete zip container{_reason(exc)}") from exc
        entries = self._archive.infolist()
        self._require(len(entries), limits.max_zip_entries, "entries", "max_zip_entries")
        self._require(sum(e.file_size for e in entries), limits.max_zip_bytes, "bytes unpacked", "max_zip_bytes")
        if any(entry.flag_bits & 1 for entry in entries):
            raise DocumentError("encrypted", f"{name} is protected by a password: save it without one")
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in entries:
            self._add(entry)

    @property
    def names(self) -> frozenset[str]:
        """All entries, by the names that they carry."""
        return frozenset(entry.filename for entry in self._entries.values())

    def has(self, entry: str) -> bool:
        """Whether there is an entry of this name, whatever its slashes."""
        return _plain(entry) in self._entries

    def read(self, entry: str) -> bytes:
        """An entry's bytes; empty when there is none of this name."""
        info = self._entries.get(_plain(entry))
        if info is None:
            return b""
        parts: list[bytes] = []
        try:
            with self._archive.open(info) as file:
                while part := file.read(READ_BYTES):
                    parts.append(part)
                    self._count(info, len(part), sum(map(len, parts)))
        except _DAMAGE as exc:
            raise DocumentError("corrupt", f"{self.name}: the entry {entry} is damaged{_reason(exc)}") from exc
        return b"".join(parts)

    def xml(self, entry: str) -> "_Element | None":
        """An entry's XML; None when there is no such entry."""
        data = self.read(entry)
        return parse_xml(data, name=f"{self.name}: {entry}") if data else None

    def minor_xml(self, entry: str) -> "_Element | None":
        """The same of what is said about a document: damage there is no reason not to read the document itself."""
        try:
            return self.xml(entry)
        except DocumentError as exc:
            if exc.kind != "corrupt":
                raise
            return None

    def _add(self, entry: zipfile.ZipInfo) -> None:
        """Two entries of one name: what a reader sees would depend on the reader."""
        if self._entries.setdefault(_plain(entry.filename), entry) is not entry and not entry.is_dir():
            raise DocumentError("corrupt", f"{self.name}: two entries of the zip container are named {entry.filename}")

    def _count(self, entry: zipfile.ZipInfo, more: int, size: int) -> None:
        limits = self.limits
        self._unpacked += more
        self._require(self._unpacked, limits.max_zip_bytes, "bytes unpacked", "max_zip_bytes")
        if size > SMALL_ENTRY_BYTES:
            ratio = size // max(1, entry.compress_size)
            self._require(ratio, limits.max_zip_ratio, f"times {entry.filename}'s size unpacked", "max_zip_ratio")

    def _require(self, value: int, limit: int, what: str, setting: str) -> None:
        if value > limit:
            raise DocumentError(
                "too_large", f"{self.name}: {value:,} {what}; the limit (parsing.{setting}) is {limit:,}"
            )


def parse_xml(data: bytes, *, name: str) -> "_Element":
    """The root element, at most 256 levels deep; entities are not expanded, nothing is fetched.

    Raises DocumentError corrupt, for XML that defines entities too.
    """
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as exc:
        raise DocumentError("corrupt", f"{name}: XML{_reason(exc)}") from exc
    if root is None:
        raise DocumentError("corrupt", f"{name}: XML without an element")
    _refuse_entities(root, name=name)
    return root


def _refuse_entities(root: "_Element", *, name: str) -> None:
    declared = root.getroottree().docinfo.internalDTD
    if declared is not None and next(iter(declared.iterentities()), None) is not None:
        raise DocumentError("corrupt", f"{name}: XML that defines entities is refused: they can expand without end")


def _reason(exc: BaseException) -> str:
    return f": {exc}"[:REASON_CHARACTERS] if str(exc) else ""
