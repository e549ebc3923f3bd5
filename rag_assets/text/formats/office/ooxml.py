"""Office Open XML packages: parts, what they refer to, and the document's properties."""

import io
import posixpath
import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from rag_assets.errors import DocumentError
from rag_assets.text.formats import markup, zipped
from rag_assets.text.formats.office import number_formats

if TYPE_CHECKING:
    from lxml.etree import _Element

RELATION_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
CHART = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
ALTERNATE = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"

# ISO 29500 strict names the same things differently.
_STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+/?\w*)")
_TRANSITIONAL = {
    b"officeDocument/relationships": b"officeDocument/2006/relationships",
    b"officeDocument/math": b"officeDocument/2006/math",
    b"wordprocessingml/main": b"wordprocessingml/2006/main",
    b"spreadsheetml/main": b"spreadsheetml/2006/main",
    b"presentationml/main": b"presentationml/2006/main",
    b"drawingml/main": b"drawingml/2006/main",
    b"drawingml/wordprocessingDrawing": b"drawingml/2006/wordprocessingDrawing",
    b"drawingml/chart": b"drawingml/2006/chart",
    b"drawingml/diagram": b"drawingml/2006/diagram",
}
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_PROPERTIES = {
    "title": "title", "creator": "author", "subject": "subject", "description": "description",
    "keywords": "keywords", "created": "created", "modified": "modified",
}  # fmt: skip
PROPERTY_CHARACTERS = 1_000
DRAWN = ("chart", "diagramData")  # kinds of parts with words in them
MOST_POINTS, MOST_SERIES = 500, 50  # of one chart


class Relation(NamedTuple):
    """`kind` is the last word of its type; `target` a part of the package, or an address when it is external."""

    kind: str
    target: str
    external: bool


class Package:
    """A package whose parts are read within the limits of its container."""

    def __init__(self, container: zipped.Container) -> None:
        self.container = container
        self._relations: dict[str, dict[str, Relation]] = {}

    def main(self) -> str:
        """The part that everything else hangs on; DocumentError corrupt when there is none."""
        targets = [relation.target for relation in self.relations("").values() if relation.kind == "officeDocument"]
        found = next((target for target in targets if self.container.has(target)), None)
        if found is None:
            raise DocumentError("corrupt", f"{self.container.name}: its main part is missing")
        return found

    def relations(self, part: str) -> dict[str, Relation]:
        """What a part refers to, by relation id; "" is the package itself."""
        if part not in self._relations:
            self._relations[part] = self._read_relations(part)
        return self._relations[part]

    def _read_relations(self, part: str) -> dict[str, Relation]:
        folder, name = posixpath.split(part)
        root = self.container.xml(posixpath.join(folder, "_rels", f"{name}.rels"))
        if root is None:
            return {}
        return {element.get("Id", ""): _relation(element, folder) for element in root if element.get("Target")}

    def of_kind(self, part: str, kind: str) -> list[str]:
        """The names of the parts of one kind, such as "footnotes", that a part refers to."""
        return [relation.target for relation in self.relations(part).values() if relation.kind == kind]

    def xml(self, part: str) -> "_Element | None":
        """A part's root element, strict names replaced by the usual ones; None when there is no such part."""
        data = self._read(part)
        return zipped.parse_xml(data, name=f"{self.container.name}: {part}") if data else None

    def stream(self, part: str, tag: str) -> "Iterator[_Element]":
        """A part's elements of one tag, one at a time: each is gone when the next one comes."""
        from lxml import etree

        data = self._read(part)
        if not data:
            return
        parsing = etree.iterparse(
            io.BytesIO(data), tag=tag, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
        )
        try:
            for _, element in parsing:
                yield element
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]
        except etree.XMLSyntaxError as exc:
            reason = f"{exc}"[: zipped.REASON_CHARACTERS]
            raise DocumentError("corrupt", f"{self.container.name}: {part}: XML: {reason}") from exc

    def drawn(self, part: str) -> list[str]:
        """The paragraphs of a drawing, and of the charts and diagrams in it."""
        charts = [relation.target for relation in self.relations(part).values() if relation.kind in DRAWN]
        roots = [self.xml(target) for target in (part, *charts)]
        return [markup.prose(text) for root in roots if root is not None for text in drawn_paragraphs(root)]

    def charted(self, part: str) -> list[str]:
        """The figures of a chart as a table: a row for each category, a column for each series."""
        root = self.xml(part)
        series = list(islice(root.iter(f"{CHART}ser"), MOST_SERIES)) if root is not None else []
        names = [" ".join(_points(one, "tx").values()) for one in series]
        figures = [_points(one, "val", "yVal") for one in series]
        labels = _points(series[0], "cat", "xVal") if series else {}
        places = sorted(set(labels).union(*figures))
        rows = [[labels.get(at, ""), *(column.get(at, "") for column in figures)] for at in places]
        return [markup.table([["", *names], *rows])] if rows else []

    def properties(self) -> dict[str, Any]:
        """Title, author, subject, dates: those that are filled in."""
        parts = self.of_kind("", "core-properties") or ["docProps/core.xml"]
        root = self.container.minor_xml(parts[0])
        found: dict[str, Any] = {}
        for element in root if root is not None else ():
            key = _PROPERTIES.get(element.tag.rpartition("}")[2])
            if key and element.text and element.text.strip():
                found[key] = " ".join(unescaped(element.text).split())[:PROPERTY_CHARACTERS]
        return found

    def _read(self, part: str) -> bytes:
        data = self.container.read(part)
        return _STRICT.sub(_transitional, data) if b"purl.oclc.org" in data else data


def chosen(element: "_Element") -> "_Element":
    """One of the alternatives for different readers: the first that has words, else the first."""
    alternatives = [child for child in element if child.tag.startswith(ALTERNATE)]
    for alternative in alternatives:
        if any((text.text or "").strip() for text in alternative.iter("{*}t")):
            return alternative
    return alternatives[0] if alternatives else element


def unescaped(text: str) -> str:
    """Characters that XML cannot hold, or might change, are written as _xHHHH_ (ECMA-376-1, 22.9.2.19)."""
    if "_x" not in text:
        return text
    text = _ESCAPED.sub(lambda match: chr(int(match.group(1), 16)), text)
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def drawn_paragraphs(root: "_Element") -> list[str]:
    """Paragraphs of DrawingML that have text, in the order of the file."""
    paragraphs = root.iter(f"{DRAWING}p")
    texts = (unescaped("".join(run.text or "" for run in one.iter(f"{DRAWING}t"))) for one in paragraphs)
    return [text for text in texts if text.strip()]


def _points(series: "_Element", *names: str) -> dict[int, str]:
    """What a chart remembers of the cells that it shows, by their place."""
    source = next((child for name in names for child in series.iterchildren(f"{CHART}{name}")), None)
    found: dict[int, str] = {}
    for value in islice(source.iter(f"{CHART}v"), MOST_POINTS) if source is not None else ():
        point, text = value.getparent(), value.text or ""
        at = (point.get("idx") or "") if point is not None else ""
        found[int(at) if at.isdecimal() else 0] = _figure(text) if _is_number(value) else unescaped(text)
    return found


def _is_number(value: "_Element") -> bool:
    return any(above.tag in (f"{CHART}numCache", f"{CHART}numLit") for above in value.iterancestors())


def _figure(text: str) -> str:
    try:
        return number_formats.general(float(text))
    except ValueError:
        return text


def _relation(element: "_Element", folder: str) -> Relation:
    target, external = element.get("Target", ""), element.get("TargetMode") == "External"
    if not external:
        path = unquote(target) if "%" in target else target
        target = posixpath.normpath(posixpath.join("/", folder, path)).lstrip("/")
    return Relation(element.get("Type", "").rpartition("/")[2], target, external)


def _transitional(match: re.Match[bytes]) -> bytes:
    return b"http://schemas.openxmlformats.org/" + _TRANSITIONAL.get(match.group(1), match.group(1))
