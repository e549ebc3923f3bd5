"""EPUB: its chapters in reading order, each as its HTML reads, without the table of contents."""

import posixpath
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding
from rag_assets.text.formats import html, markup, zipped

if TYPE_CHECKING:
    from lxml.etree import _Element

MEDIA_TYPE = "application/epub+zip"
PROPERTY_CHARACTERS = 1_000
HEAD_CHARACTERS = 4_000  # of a file, in which a page says that it is one

_CHAPTERS = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document")
_NO_CHAPTERS = ("image/png", "image/jpeg", "image/gif", "image/webp", "audio/", "video/", "font/", "text/css",
                "application/x-dtbncx", "application/javascript", "text/javascript")  # fmt: skip
_PAGE = re.compile(r"<(?:\w+:)?(?:html|body|dtbook|svg)\b", re.IGNORECASE)  # whatever a book calls its type
_OBFUSCATION = (b"http://www.idpf.org/2008/embedding", b"http://ns.adobe.com/pdf/enc#RC")  # of fonts: text stays open
_PROPERTIES = {"title": "title", "creator": "author", "language": "language", "publisher": "publisher",
               "description": "description", "date": "date"}  # fmt: skip
_HEADING = re.compile(r"^#{1,6} \S", re.MULTILINE)
_DECLARED = re.compile(rb"<\?xml[^>]*encoding\s*=\s*[\"']([\w.:-]+)")
# On the web these lead elsewhere; in a book they are notes and mottoes, and a chapter has one article or many.
_BOOK_PARTS = re.compile(r"<(/?)(?:aside|footer|header|main|article)\b", re.IGNORECASE)


class _Item(NamedTuple):
    path: str
    media_type: str
    is_nav: bool


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    """All chapters; raises DocumentError corrupt, encrypted, too_large, no_text."""
    container = zipped.Container(data, name=name, limits=limits)
    path, package = _package(container)
    _refuse_encrypted(container)
    items = _items(package, posixpath.dirname(path))
    titles = _titles(container, items)
    contents = _contents(package, posixpath.dirname(path))
    spine = [items[key] for key in _spine(package) if key in items]
    texts, missing = [], [item.path for item in spine if not container.has(item.path)]
    for item in spine:
        source = _source(container, item)
        if source and not ((item.is_nav or item.path in contents) and html.is_navigation(source)):
            texts.append(_chapter(source, titles.get(item.path, "")))
    texts = list(filter(None, texts))
    if not texts:
        raise DocumentError("no_text", f"{name}: {len(spine)} chapters without any text")
    properties = _properties(package)
    return ParsedText(
        text=encoding.clean("\n\n".join(texts) + "\n"),
        media_type=MEDIA_TYPE,
        parser="epub",
        title=properties.pop("title", None),
        metadata=properties | {"chapters": len(texts)},
        warnings=tuple(f"the chapter {path} is missing" for path in missing),
    )


def _package(container: zipped.Container) -> "tuple[str, _Element]":
    root = container.xml("META-INF/container.xml")
    found = [element.get("full-path", "") for element in root.iter("{*}rootfile")] if root is not None else []
    found += sorted(name for name in container.names if name.endswith(".opf"))
    for path in found:
        package = container.xml(path)
        if package is not None:
            return path, package
    raise DocumentError("corrupt", f"{container.name}: an EPUB without a package document")


def _refuse_encrypted(container: zipped.Container) -> None:
    root = container.xml("META-INF/encryption.xml")
    for method in root.iter("{*}EncryptionMethod") if root is not None else ():
        if method.get("Algorithm", "").encode() not in _OBFUSCATION:
            raise DocumentError("encrypted", f"{container.name} is protected (DRM): register a copy without protection")


def _items(package: "_Element", folder: str) -> dict[str, _Item]:
    """The files of the book by their id."""
    return {
        element.get("id", ""): _Item(
            path=_resolved(element.get("href", ""), folder),
            media_type=element.get("media-type", ""),
            is_nav="nav" in element.get("properties", "").split(),
        )
        for element in package.iterfind("{*}manifest/{*}item")
    }


def _spine(package: "_Element") -> list[str]:
    return list(dict.fromkeys(element.get("idref", "") for element in package.iterfind("{*}spine/{*}itemref")))


def _contents(package: "_Element", folder: str) -> set[str]:
    """Files with tables of contents, as older books declare them; a chapter may begin with one."""
    references = package.iterfind("{*}guide/{*}reference")
    return {_resolved(element.get("href", ""), folder) for element in references if element.get("type") == "toc"}


def _source(container: zipped.Container, item: _Item) -> str:
    """A chapter's HTML; empty when the file is something else, whatever the book calls it."""
    if item.media_type.startswith(_NO_CHAPTERS):
        return ""
    data = container.read(item.path)
    declared = _DECLARED.search(data[:200])
    source, _ = encoding.decode(data, declared=declared.group(1).decode() if declared else None)
    return source if item.media_type in _CHAPTERS or _PAGE.search(source[:HEAD_CHARACTERS]) else ""


def _chapter(source: str, title: str) -> str:
    """Its text, under the title that the table of contents gives it where it has no heading of its own."""
    try:
        text = html.to_markdown(_BOOK_PARTS.sub(r"<\1div", source)).strip()
    except DocumentError as exc:
        if exc.kind not in ("no_text", "empty"):
            raise
        return ""  # a cover, or a picture
    if text and title and not _HEADING.search(text):
        first, _, rest = text.partition("\n")
        return f"{markup.heading(title, 1)}\n\n{rest.lstrip() if first.strip() == title else text}"
    return text


def _titles(container: zipped.Container, items: dict[str, _Item]) -> dict[str, str]:
    """What the table of contents calls each file."""
    titles: dict[str, str] = {}
    for item in items.values():
        if item.is_nav or item.media_type == "application/x-dtbncx+xml":
            for href, title in _entries(container, item):
                titles.setdefault(_resolved(href, posixpath.dirname(item.path)), title)
    return titles


def _entries(container: zipped.Container, item: _Item) -> Iterator[tuple[str, str]]:
    try:
        root = container.xml(item.path)
    except DocumentError as exc:
        if exc.kind != "corrupt":
            raise
        return  # chapters without a heading of their own then have none
    for link in root.iter("{*}a") if root is not None else ():
        yield link.get("href", ""), " ".join("".join(link.itertext()).split())
    for point in root.iter("{*}navPoint") if root is not None else ():
        content, label = point.find("{*}content"), point.find("{*}navLabel")
        if content is not None and label is not None:
            yield content.get("src", ""), " ".join("".join(label.itertext()).split())


def _properties(package: "_Element") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for element in package.iterfind("{*}metadata//{*}*"):
        key = _PROPERTIES.get(element.tag.rpartition("}")[2])
        if key and element.text and element.text.strip():
            found.setdefault(key, " ".join(element.text.split())[:PROPERTY_CHARACTERS])
    return found


def _resolved(href: str, folder: str) -> str:
    path = unquote(href.partition("#")[0])
    return posixpath.normpath(posixpath.join(folder, path)) if path else ""
