"""OpenDocument text, spreadsheets and presentations: headings, lists, tables, notes and insertions as Markdown."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding
from rag_assets.text.formats import markup, mathml, zipped
from rag_assets.text.formats.office import number_formats, numbering, sheet_tables

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_REPEATED = 100  # copies of one cell, or of one row, that are written out
MAX_SPACES = 100
SAME_HEIGHT = 0.8  # centimeters: shapes whose tops differ by less stand side by side
_UNITS = {"cm": 1.0, "mm": 0.1, "in": 2.54, "pt": 2.54 / 72}
FENCE = "```\n"

_OASIS = "urn:oasis:names:tc:opendocument:xmlns:"
OFFICE, TEXT, TABLE = f"{{{_OASIS}office:1.0}}", f"{{{_OASIS}text:1.0}}", f"{{{_OASIS}table:1.0}}"
DRAW, STYLE = f"{{{_OASIS}drawing:1.0}}", f"{{{_OASIS}style:1.0}}"
PRESENTATION, CHART = f"{{{_OASIS}presentation:1.0}}", f"{{{_OASIS}chart:1.0}}"
MATH = "{http://www.w3.org/1998/Math/MathML}"
XLINK, DC, SVG = (
    "{http://www.w3.org/1999/xlink}",
    "{http://purl.org/dc/elements/1.1/}",
    f"{{{_OASIS}svg-compatible:1.0}}",
)

_T = TypeVar("_T", dict[int, str], list[str])  # a row
_DURATION = re.compile(r"PT(\d+)H(\d+)M(\d+)(?:[.,]\d+)?S")
_KINDS = ("text", "spreadsheet", "presentation")
_FORMS = {"1": "decimal", "a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_META = {f"{DC}title": "title", f"{DC}creator": "author", f"{DC}subject": "subject", f"{DC}description": "description",
         f"{DC}date": "modified"}  # fmt: skip


class _Level(NamedTuple):
    """How one level of a list is labelled."""

    form: str = ""  # of style:num-format; "" shows no number
    before: str = ""
    after: str = ""
    start: int = 1
    levels: int = 1  # numbers shown, those of the levels above first
    bullet: bool = False


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    """The document's body, notes, headers and footers; raises DocumentError corrupt, encrypted, too_large, no_text."""
    container = zipped.Container(data, name=name, limits=limits)
    if b"encryption-data" in container.read("META-INF/manifest.xml"):
        raise DocumentError("encrypted", f"{name} is protected by a password: save it without one")
    root = container.xml("content.xml")
    body = root.find(f"{OFFICE}body") if root is not None else None
    if root is None or body is None or not len(body):
        raise DocumentError("corrupt", f"{name}: its content.xml is missing or has no body")
    kind = next((kind for kind in _KINDS if body[-1].tag == OFFICE + kind), "text")
    reader = _Reader(_Styles(root, container.xml("styles.xml")), container)
    pages = [encoding.clean("".join(block + "\n\n" for block in page)) for page in _READERS[kind](reader, body[-1])]
    if not any(map(str.strip, pages)):
        raise DocumentError("no_text", f"{name}: an OpenDocument {kind} without any text")
    if kind != "text" and len(pages) > limits.max_pages:
        raise DocumentError(
            "too_large", f"{name}: {len(pages):,} pages; the limit (parsing.max_pages) is {limits.max_pages:,}"
        )
    meta = _meta(container.minor_xml("meta.xml"))
    return ParsedText(
        text="".join(pages).rstrip("\n") + "\n",
        media_type=f"application/vnd.oasis.opendocument.{kind}",
        parser="odt",
        page_offsets=tuple(sum(map(len, pages[:at])) for at in range(len(pages))) if kind != "text" else (),
        title=meta.pop("title", None) or reader.title,
        metadata=meta | {key: count for key, count in reader.counts.items() if count},
    )


def _meta(root: "_Element | None") -> dict[str, Any]:
    found = {}
    for element in root.iter(*_META) if root is not None else ():
        if element.text and element.text.strip():
            found[_META[element.tag]] = " ".join(element.text.split())
    return found


class _Styles:
    """What styles say of paragraphs and lists."""

    def __init__(self, *roots: "_Element | None") -> None:
        self._parents: dict[str, str] = {}
        self._levels: dict[str, str] = {}
        self.lists: dict[str, dict[int, _Level]] = {}
        self.outline: dict[int, _Level] = {}
        self.margins: list[_Element] = []
        for root in roots:
            if root is not None:
                self._add(root)

    def outline_level(self, name: str) -> str:
        return next((self._levels[style] for style in self._chain(name) if style in self._levels), "")

    def is_a(self, name: str, *ancestors: str) -> bool:
        return any(style in ancestors for style in self._chain(name))

    def _chain(self, name: str) -> list[str]:
        chain: list[str] = []
        while name and name not in chain:
            chain.append(name)
            name = self._parents.get(name, "")
        return chain

    def _add(self, root: "_Element") -> None:
        for style in root.iter(f"{STYLE}style"):
            name = style.get(f"{STYLE}name", "")
            self._parents[name] = style.get(f"{STYLE}parent-style-name", "")
            if level := style.get(f"{STYLE}default-outline-level"):
                self._levels[name] = level
        for style in root.iter(f"{TEXT}list-style"):
            self.lists[style.get(f"{STYLE}name", "")] = _levels(style)
        for style in root.iter(f"{TEXT}outline-style"):
            self.outline = _levels(style)
        self.margins += root.iter(f"{STYLE}header", f"{STYLE}footer")


def _levels(style: "_Element") -> dict[int, _Level]:
    return {
        _int(level.get(f"{TEXT}level"), 1): _Level(
            form=level.get(f"{STYLE}num-format", ""),
            before=level.get(f"{STYLE}num-prefix", ""),
            after=level.get(f"{STYLE}num-suffix", ""),
            start=_int(level.get(f"{TEXT}start-value"), 1),
            levels=_int(level.get(f"{TEXT}display-levels"), 1),
            bullet=level.tag in (f"{TEXT}list-level-style-bullet", f"{TEXT}list-level-style-image"),
        )
        for level in style
    }


def _label(levels: dict[int, _Level], counters: dict[int, int], depth: int) -> str:
    """The number that a reader sees, or a bullet; "" when neither is shown."""
    level = levels.get(depth, _Level(bullet=True))
    if level.bullet:
        return numbering.BULLET
    if not level.form:
        return ""
    shown = range(max(1, depth - level.levels + 1), depth + 1)
    numbers = [(levels.get(at, level), counters.get(at, levels.get(at, level).start)) for at in shown]
    return level.before + ".".join(_written(number, above.form) for above, number in numbers) + level.after


def _written(number: int, form: str) -> str:
    return numbering.written(number, _FORMS.get(form, "decimal"))


class _Reader:
    """Reads elements into blocks; notes and boxes come after the block that holds them."""

    def __init__(self, styles: _Styles, container: zipped.Container) -> None:
        self.styles = styles
        self._container = container
        self._parts: set[str] = set()  # charts that were read
        self._is_sheet = False  # the figures of a chart are those of the sheet, then
        self.title: str | None = None
        self.counts = Counter[str]()
        self._headings: dict[int, int] = {}
        self._lists: dict[str, dict[int, int]] = {}  # where the lists of a style stopped counting
        self._after: list[list[str]] = []

    def blocks(self, container: "Iterable[_Element]") -> Iterator[str]:
        """The blocks of a body, a section, a cell or a box; a listing of several paragraphs is one."""
        lines: list[str] = []
        for block in self._blocks(container):
            if block.startswith(FENCE):
                lines.append(block.removeprefix(FENCE).removesuffix(FENCE.strip()))
                continue
            yield from _listing(lines)
            lines = []
            yield block
        yield from _listing(lines)

    def _blocks(self, container: "Iterable[_Element]") -> Iterator[str]:
        for element in container:
            if element.tag in (f"{TEXT}p", f"{TEXT}h"):
                yield from self._paragraph(element)
            elif element.tag == f"{TEXT}list":
                yield from self._list(element)
            elif element.tag == f"{TABLE}table":
                yield from self._table(element)
            elif element.tag == f"{DRAW}object":
                text, blocks = self._embedded(element)
                yield from ([markup.prose(text)] if text else blocks)
            elif element.tag not in _SKIPPED:
                yield from self._blocks(element)

    def margins(self, known: set[str]) -> Iterator[str]:
        """Headers and footers, each text once."""
        for margin in self.styles.margins:
            for block in self.blocks(margin):
                if block not in known and any(map(str.isalpha, block)):
                    known.add(block)
                    yield block

    def _paragraph(self, element: "_Element") -> Iterator[str]:
        self._after.append([])
        text = self._inline(element)
        after = self._after.pop()
        if text.strip():
            self.counts["paragraphs"] += 1
            yield self._shaped(element, text)
        elif self._is_code(element):
            yield f"{FENCE}\n{FENCE.strip()}"
        yield from after

    def _shaped(self, element: "_Element", text: str) -> str:
        style = element.get(f"{TEXT}style-name", "")
        level = element.get(f"{TEXT}outline-level") or self.styles.outline_level(style)
        if element.tag == f"{TEXT}h" or level:
            return markup.heading(self._heading_label(_int(level, 1), element) + text, _int(level, 1))
        if self.styles.is_a(style, "Title"):
            self.title = self.title or " ".join(text.split())
            return markup.heading(text, 1)
        if self._is_code(element):
            return FENCE + markup.without_fences(text) + f"\n{FENCE.strip()}"
        return markup.prose(text)

    def _is_code(self, element: "_Element") -> bool:
        style = element.get(f"{TEXT}style-name", "")
        return self.styles.is_a(style, "Preformatted_20_Text", "Source_20_Code", "Source_20_Text")

    def _heading_label(self, depth: int, element: "_Element") -> str:
        if depth not in self.styles.outline or element.get(f"{TEXT}is-list-header") == "true":
            return ""
        _count(self._headings, depth, self.styles.outline[depth].start)
        label = _label(self.styles.outline, self._headings, depth)
        return f"{label} " if label and label != numbering.BULLET else ""

    def _inline(self, element: "_Element") -> str:
        parts = [element.text or ""]
        for child in element:
            handler = _INLINE.get(child.tag, _Reader._inline)
            if handler is not None:
                parts.append(handler(self, child))
            parts.append(child.tail or "")
        return "".join(parts)

    def _spaces(self, element: "_Element") -> str:
        return " " * min(_int(element.get(f"{TEXT}c"), 1), MAX_SPACES)

    def _link(self, element: "_Element") -> str:
        return markup.link(self._inline(element), element.get(f"{XLINK}href", ""))

    def _note(self, element: "_Element") -> str:
        kind = "endnotes" if element.get(f"{TEXT}note-class") == "endnote" else "footnotes"
        body = element.find(f"{TEXT}note-body")
        text = self._flat(body) if body is not None else ""
        if not text:
            return ""
        self.counts[kind] += 1
        label = f"[^{'e' if kind == 'endnotes' else ''}{self.counts[kind]}]"
        self._later(f"{label}: {text}")
        return label

    def _annotation(self, element: "_Element") -> str:
        author = " ".join((element.findtext(f"{DC}creator") or "").split())
        text = self._flat(element.iterchildren(f"{TEXT}p", f"{TEXT}list"))
        if text:
            self.counts["comments"] += 1
            self._later(f"> Comment{' by ' + author if author else ''}: {text}")
        return ""

    def _box(self, element: "_Element") -> str:
        for block in list(self.blocks(element)):
            self._later(block)
        return ""

    def _description(self, element: "_Element") -> str:
        text = " ".join("".join(element.itertext()).split())
        return f"![{text}]()" if text and "[" not in text and "]" not in text else ""

    def _ruby(self, element: "_Element") -> str:
        base = element.find(f"{TEXT}ruby-base")
        return self._inline(base) if base is not None else ""

    def _object(self, element: "_Element") -> str:
        text, blocks = self._embedded(element)
        for block in blocks:
            self._later(block)
        return text

    def _embedded(self, element: "_Element") -> tuple[str, list[str]]:
        """An equation, or a chart's title and figures: documents of their own within this one."""
        part = element.get(f"{XLINK}href", "").removeprefix("./").rstrip("/")
        inner = self._container.xml(f"{part}/content.xml") if part else next(element.iterchildren(f"{MATH}math"), None)
        if inner is None or part in self._parts:
            return "", []
        if inner.tag == f"{MATH}math":
            return mathml.linear(inner), []
        self._parts.add(part)
        words = inner.iter(f"{CHART}title", f"{CHART}subtitle") if self._is_sheet else inner.iter(f"{OFFICE}chart")
        return "", list(self.blocks(words))

    def _later(self, block: str) -> None:
        if self._after:
            self._after[-1].append(block)

    def _flat(self, container: "Iterable[_Element]") -> str:
        return " ".join(" ".join(block.lstrip("#") for block in self.blocks(container)).split())

    def _list(self, element: "_Element") -> Iterator[str]:
        items = [item for item in self._items(element, style="", depth=1, counters=None) if item]
        if items:
            yield "\n".join(items)

    def _items(self, element: "_Element", *, style: str, depth: int, counters: dict[int, int] | None) -> Iterator[str]:
        """One line per item, those of lists within it below it."""
        style = element.get(f"{TEXT}style-name", style)
        goes_on = element.get(f"{TEXT}continue-numbering") == "true" or element.get(f"{TEXT}continue-list")
        if counters is None:
            counters = self._lists.setdefault(style, {}) if goes_on else {}
            self._lists[style] = counters
        elif not goes_on:
            counters.pop(depth, None)
        levels = self.styles.lists.get(style, {})
        for item in element.iterchildren(f"{TEXT}list-item", f"{TEXT}list-header"):
            yield from self._item(item, style, levels, depth=depth, counters=counters)

    def _item(
        self, item: "_Element", style: str, levels: dict[int, _Level], *, depth: int, counters: dict[int, int]
    ) -> Iterator[str]:
        indent, label = "  " * (depth - 1), ""
        if item.tag == f"{TEXT}list-item" and not _only_list(item):
            start = item.get(f"{TEXT}start-value")
            _count(counters, depth, levels.get(depth, _Level()).start)
            counters[depth] = _int(start, counters[depth])
            label = _label(levels, counters, depth)
        for child in item:
            if child.tag == f"{TEXT}list":
                yield from self._items(child, style=style, depth=depth + 1, counters=counters)
                continue
            for block in self.blocks((child,)):
                if block.startswith(("#", "|", "```")):
                    yield ("\n" if block[0] == "|" else "") + _numbered_heading(block, label)
                else:
                    yield indent + f"{label} {block}".strip().replace("\n", " ")
                label = ""

    def _table(self, element: "_Element") -> Iterator[str]:
        rows = [row for _, row in self._numbered(_rows(element), self._row)]
        cells = [cell for row in _rows(element) for cell in row.iterchildren(f"{TABLE}table-cell")]
        if len(cells) == 1:  # a frame around text
            yield from self.blocks(cells[0])
            return
        self.counts["tables"] += 1
        table = markup.table(rows)
        if table:
            yield table

    def _numbered(self, rows: "Iterable[_Element]", read: "Callable[[_Element], _T]") -> "Iterator[tuple[int, _T]]":
        """Each row with its number, as often as it stands there; refused when all of them are more than a document."""
        number, left = 0, self._container.limits.max_characters
        for element in rows:
            row, times = read(element), max(1, _int(element.get(f"{TABLE}number-rows-repeated"), 1))
            copies = min(times, MAX_REPEATED)
            left -= copies * sum(map(len, row.values() if isinstance(row, dict) else row))
            if left < 0:
                rule = f"the limit (parsing.max_characters) is {self._container.limits.max_characters:,}"
                raise DocumentError("too_large", f"{self._container.name}: a table with more text; {rule}")
            yield from ((number + copy, row) for copy in range(copies))
            number += times

    def _row(self, row: "_Element") -> list[str]:
        out: list[str] = []
        for cell in row.iterchildren(f"{TABLE}table-cell", f"{TABLE}covered-table-cell"):
            text = self._cell(cell) if cell.tag == f"{TABLE}table-cell" else ""
            times = _int(cell.get(f"{TABLE}number-columns-repeated"), 1)
            out += [text] * max(1, min(times, MAX_REPEATED))
        return out

    def _sheet_row(self, row: "_Element") -> dict[int, str]:
        """Its cells that have text; comments on them are kept for below."""
        for annotation in row.iterfind(f"{TABLE}table-cell/{OFFICE}annotation"):
            self._annotation(annotation)
        return {at: text for at, text in enumerate(self._row(row)) if text.strip()}

    def _cell(self, cell: "_Element") -> str:
        """Its blocks in one line; rows of a table within it are told apart by <br>. Its value where it has no text."""
        text = " ".join(_in_line(block) for block in self.blocks(cell))
        return text or (_value(cell) if cell.find(f"{TEXT}p") is None else "")

    def text(self, body: "_Element") -> Iterator[list[str]]:
        """All of a text as one page."""
        blocks = list(self.blocks(body))
        yield blocks + list(self.margins(set(blocks)))

    def spreadsheet(self, body: "_Element") -> Iterator[list[str]]:
        """One page per sheet."""
        self._is_sheet = True
        for table in body.iterchildren(f"{TABLE}table"):
            self.counts["sheets"] += 1
            title = markup.heading(table.get(f"{TABLE}name", ""), 1)
            self._after.append([])
            blocks = list(sheet_tables.to_markdown(self._numbered(_rows(table), self._sheet_row)))
            blocks += self.blocks(shape for shapes in table.iterchildren(f"{TABLE}shapes") for shape in shapes)
            comments = self._after.pop()
            if blocks or comments:
                yield [title, *blocks, *comments]

    def presentation(self, body: "_Element") -> Iterator[list[str]]:
        """One page per slide: its title, its text, its notes."""
        for page in body.iterchildren(f"{DRAW}page"):
            self.counts["slides"] += 1
            shapes = sorted((shape for shape in page if shape.tag != f"{PRESENTATION}notes"), key=_rank)
            titles = [shape for shape in shapes if shape.get(f"{PRESENTATION}class") == "title"]
            title = self._flat(titles)
            blocks = [markup.heading(title, 1)] if title else []
            blocks += self.blocks([shape for shape in shapes if shape not in titles])
            notes = list(self.blocks(page.iterchildren(f"{PRESENTATION}notes")))
            yield blocks + (["Notes:", *notes] if notes else [])


_READERS: dict[str, Callable[[_Reader, Any], Iterator[list[str]]]] = {
    "text": _Reader.text,
    "spreadsheet": _Reader.spreadsheet,
    "presentation": _Reader.presentation,
}
_SKIPPED = frozenset(
    (
        f"{TEXT}tracked-changes", f"{TEXT}sequence-decls", f"{TEXT}variable-decls", f"{TEXT}user-field-decls",
        f"{OFFICE}forms", f"{OFFICE}annotation", f"{TABLE}calculation-settings", f"{DRAW}object", f"{DRAW}image",
        f"{TABLE}shapes", f"{TEXT}index-title-template", f"{SVG}title", f"{SVG}desc",
    )
)  # fmt: skip
_INLINE: dict[Any, Callable[[_Reader, Any], str] | None] = {
    f"{TEXT}s": _Reader._spaces,
    f"{TEXT}tab": lambda reader, element: "\t",
    f"{TEXT}line-break": lambda reader, element: "\n",
    f"{TEXT}a": _Reader._link,
    f"{TEXT}note": _Reader._note,
    f"{TEXT}ruby": _Reader._ruby,
    f"{OFFICE}annotation": _Reader._annotation,
    f"{DRAW}text-box": _Reader._box,
    f"{DRAW}custom-shape": _Reader._box,
    f"{DRAW}rect": _Reader._box,
    f"{DRAW}object": _Reader._object,
    f"{SVG}desc": _Reader._description,
    f"{SVG}title": None,
    f"{TEXT}page-number": None,
    f"{TEXT}page-count": None,
    f"{OFFICE}annotation-end": None,
    f"{OFFICE}binary-data": None,
}  # fmt: skip


def _rank(shape: "_Element") -> tuple[int, float]:
    """From the top down, and from the left on the same height; a group is where its first shape is."""
    placed = next((one for one in shape.iter() if one.get(f"{SVG}y")), shape)
    top, left = (_centimeters(placed.get(f"{SVG}{side}", "")) for side in ("y", "x"))
    return int(top / SAME_HEIGHT), left


def _centimeters(length: str) -> float:
    match = re.fullmatch(r"(-?\d*\.?\d+)(cm|mm|in|pt)", length)
    return float(match.group(1)) * _UNITS[match.group(2)] if match else 0.0


def _listing(lines: list[str]) -> Iterator[str]:
    code = "".join(lines).strip("\n")
    if code.strip():
        yield f"{FENCE}{code}\n{FENCE.strip()}"


def _value(cell: "_Element") -> str:
    """What a cell holds that a program wrote without the text that it shows."""
    kind = cell.get(f"{OFFICE}value-type", "")
    if kind in ("date", "time", "boolean"):
        value = str(cell.get(f"{OFFICE}{kind}-value", ""))
        duration = _DURATION.fullmatch(value)
        return ":".join(duration.groups()) if duration else value.removesuffix("T00:00:00").upper()
    if kind == "string":
        return str(cell.get(f"{OFFICE}string-value", ""))
    try:
        value = number_formats.general(float(cell.get(f"{OFFICE}value", "")) * (100 if kind == "percentage" else 1))
    except ValueError:
        return ""
    currency = f" {cell.get(f'{OFFICE}currency')}" if cell.get(f"{OFFICE}currency") else ""
    return value + ("%" if kind == "percentage" else currency)


def _rows(table: "_Element") -> "Iterator[_Element]":
    for element in table:
        if element.tag == f"{TABLE}table-row":
            yield element
        elif element.tag in (f"{TABLE}table-header-rows", f"{TABLE}table-rows", f"{TABLE}table-row-group"):
            yield from _rows(element)


def _only_list(item: "_Element") -> bool:
    """An item that only holds a deeper list shows no number of its own."""
    return all(child.tag == f"{TEXT}list" for child in item)


def _numbered_heading(block: str, label: str) -> str:
    if not label or label == numbering.BULLET or not block.startswith("#"):
        return block
    marks, _, text = block.partition(" ")
    return f"{marks} {label} {text}"


def _in_line(block: str) -> str:
    if not block.startswith("| "):
        return block.lstrip("#").strip() if block.startswith("#") else block
    first, _, *others = block.split("\n")
    return "<br>".join(line.removeprefix("| ").removesuffix(" |") for line in (first, *others))


def _count(counters: dict[int, int], depth: int, start: int) -> None:
    counters[depth] = counters[depth] + 1 if depth in counters else start
    for deeper in [at for at in counters if at > depth]:
        del counters[deeper]


def _int(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else default
