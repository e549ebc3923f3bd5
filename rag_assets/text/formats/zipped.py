"""Zip containers of documents: a guarded reader of their entries, and a safe XML parser for what is in them."""

import io
import zipfile
import zlib
from typing import TYPE_CHECKING

from rag_assets.errors import DocumentError
from rag_assets.settings import Parsing

if TYPE_CHECKING:
    from lxml.etree import _Element

SMALL_ENTRY_BYTES = 2**20  # below this, a high ratio is no attack: repetitive XML packs 100:1
READ_BYTES = 2**18

_OPEN_DOCUMENT = {"text": "odt", "spreadsheet": "ods", "presentation": "odp"}
_OFFICE = (("word/", "docx"), ("ppt/", "pptx"), ("xl/", "xlsx"))


def kind(data: bytes) -> str | None:
    """What the container holds: docx, pptx, xlsx, odt, ods, odp, epub, or zip for any other; None: it is damaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if "mimetype" in names:
                return _by_media_type(archive.open("mimetype").read(200).decode("ascii", "replace").strip())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, zlib.error, RuntimeError, EOFError):
        return None
    if "[Content_Types].xml" in names:
        return next((known for folder, known in _OFFICE if any(n.startswith(folder) for n in names)), "zip")
    return "zip"


def _by_media_type(media_type: str) -> str:
    if media_type == "application/epub+zip":
        return "epub"
    stem = media_type.removeprefix("application/vnd.oasis.opendocument.").removesuffix("-template")
    return _OPEN_DOCUMENT.get(stem, "zip")


class Container:
    """Reads entries while counting what they really unpack to; raises DocumentError too_large, corrupt, encrypted."""

    def __init__(self, data: bytes, *, name: str, limits: Parsing) -> None:
        self._name = name
        self._limits = limits
        self._packed = max(1, len(data))
        self._unpacked = 0
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as exc:
            raise DocumentError("corrupt", f"{name}: a damaged or incomplete zip container: {exc}") from exc
        entries = self._archive.infolist()
        self._require(len(entries), limits.max_zip_entries, "entries", "max_zip_entries")
        self._require(sum(e.file_size for e in entries), limits.max_zip_bytes, "bytes unpacked", "max_zip_bytes")
        if any(entry.flag_bits & 1 for entry in entries):
            raise DocumentError("encrypted", f"{name} is protected by a password: save it without one")
        self.names = frozenset(entry.filename for entry in entries)

    def read(self, entry: str) -> bytes:
        """An entry's bytes; empty when there is none of this name."""
        if entry not in self.names:
            return b""
        parts: list[bytes] = []
        size = 0
        try:
            with self._archive.open(entry) as file:
                while part := file.read(READ_BYTES):
                    size += len(part)
                    self._unpacked += len(part)
                    self._require(self._unpacked, self._limits.max_zip_bytes, "bytes unpacked", "max_zip_bytes")
                    self._check_ratio(entry, size)
                    parts.append(part)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as exc:
            raise DocumentError("corrupt", f"{self._name}: the entry {entry} is damaged: {exc}") from exc
        return b"".join(parts)

    def xml(self, entry: str) -> "_Element | None":
        """An entry's XML; None when there is no such entry."""
        data = self.read(entry)
        return parse_xml(data, name=f"{self._name}: {entry}") if data else None

    def _check_ratio(self, entry: str, size: int) -> None:
        packed = max(1, self._archive.getinfo(entry).compress_size)
        if size > SMALL_ENTRY_BYTES:
            self._require(size // packed, self._limits.max_zip_ratio, f"times {entry}'s size unpacked", "max_zip_ratio")

    def _require(self, value: int, limit: int, what: str, setting: str) -> None:
        if value > limit:
            raise DocumentError(
                "too_large", f"{self._name}: {value:,} {what}; the limit (parsing.{setting}) is {limit:,}"
            )


def parse_xml(data: bytes, *, name: str) -> "_Element":
    """The root element; entities are not expanded, nothing is fetched. Raises DocumentError corrupt."""
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as exc:
        raise DocumentError("corrupt", f"{name}: XML: {exc}"[:500]) from exc
    if root is None:
        raise DocumentError("corrupt", f"{name}: XML without an element")
    if root.getroottree().docinfo.internalDTD is not None and any(
        True for _ in root.getroottree().docinfo.internalDTD.iterentities()
    ):
        raise DocumentError("corrupt", f"{name}: XML that defines entities is refused: they can expand without end")
    return root
