"""XLSX: each sheet as a page, its rows as lines of tables with numbers and dates as a reader sees them."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText, counted
from rag_assets.settings import Parsing
from rag_assets.text import encoding
from rag_assets.text.formats import markup, zipped
from rag_assets.text.formats.office import number_formats, ooxml, sheet_tables

if TYPE_CHECKING:
    from lxml.etree import _Element

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_CELL, _VALUE, _FORMULA, _INLINE = f"{S}c", f"{S}v", f"{S}f", f"{S}is"
_COLUMN = re.compile(r"[A-Z]{1,3}")
_DIGITS = "0123456789"
_1904_DAYS = 1_462  # between the two epochs that a workbook may count days from

_Row = dict[int, str]


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    """All sheets, hidden ones too; raises DocumentError corrupt, encrypted, too_large, no_text, unsupported."""
    package = ooxml.Package(zipped.Container(data, name=name, limits=limits))
    workbook = _Workbook(package)
    pages = Pages(name=name, limits=limits)
    for title, part in workbook.sheets:
        pages.add(f"{markup.heading(title, 1)}\n\n" if workbook.named else "", _sheet(workbook, part, pages))
    if not pages.any_text:
        raise DocumentError("no_text", f"{name}: {counted(len(workbook.sheets), 'sheet')} without any text")
    properties = package.properties()
    return ParsedText(
        text=pages.text(),
        media_type=MEDIA_TYPE,
        parser="xlsx",
        page_offsets=tuple(pages.offsets),
        title=properties.pop("title", None),
        metadata=properties | {"sheets": len(workbook.sheets), "rows": pages.rows},
        warnings=tuple(f"the hidden sheet {title} is included" for title in workbook.hidden),
    )


class Pages:
    """The text as it grows, and where each sheet starts in it."""

    def __init__(self, *, name: str, limits: Parsing) -> None:
        self.offsets: list[int] = []
        self.rows = 0
        self.any_text = False
        self._name = name
        self.limit = limits.max_characters
        self._parts: list[str] = []
        self._length = 0

    def add(self, heading: str, blocks: Iterator[str]) -> None:
        """Begin a page with its heading, and take its blocks one by one; DocumentError once they are too large."""
        self.offsets.append(self._length)
        self._append(encoding.clean(heading))
        for block in blocks:
            self.any_text = True
            self._append(encoding.clean(block) + "\n\n")

    def count_cells(self, count: int) -> None:
        """Before they become text: what is too much is refused while it is small."""
        self._require(self._length + count)

    def text(self) -> str:
        """All pages, one after the other."""
        return "".join(self._parts).rstrip("\n") + "\n"

    def _append(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)
        self._require(self._length)

    def _require(self, length: int) -> None:
        if length > self.limit:
            raise DocumentError(
                "too_large",
                f"{self._name}: over {self.limit:,} characters of text, the limit (parsing.max_characters)",
            )


class _Workbook:
    """What all sheets share: strings, formats, the date that days count from."""

    def __init__(self, package: ooxml.Package) -> None:
        main = package.main()
        if main.endswith(".bin"):
            raise DocumentError("unsupported", f"{package.container.name} is a binary workbook: convert to .xlsx")
        root = package.xml(main)
        relations = package.relations(main)
        kinds = {relation.kind: relation.target for relation in relations.values()}
        self.package = package
        self.hidden: list[str] = []
        self.sheets: list[tuple[str, str]] = []
        for element in root.iter(f"{S}sheet") if root is not None else ():
            relation = relations.get(element.get(f"{ooxml.RELATION_ID}id", ""))
            if relation is not None and relation.kind in ("worksheet", "chartsheet"):
                self._add(
                    " ".join(ooxml.unescaped(element.get("name", "")).split()),
                    relation.target,
                    element.get("state", ""),
                )
        self.named = any(title for title, _ in self.sheets)
        properties = root.find(f"{S}workbookPr") if root is not None else None
        shift = _1904_DAYS if properties is not None and properties.get("date1904") in ("1", "true") else 0
        self.strings = _strings(package.xml(kinds.get("sharedStrings", "")))
        self.formats = _formats(package.xml(kinds.get("styles", "")), shift=shift)

    def _add(self, title: str, part: str, state: str) -> None:
        self.sheets.append((title, part))
        if state in ("hidden", "veryHidden"):
            self.hidden.append(title)


def _strings(root: "_Element | None") -> list[str]:
    return [_rich(element) for element in root.iterchildren(f"{S}si")] if root is not None else []


def _rich(element: "_Element") -> str:
    """Text in one or several runs, without its phonetic reading."""
    if len(element) == 1 and element[0].tag == f"{S}t":
        return ooxml.unescaped(element[0].text or "")
    return ooxml.unescaped("".join(t.text or "" for t in element.iter(f"{S}t") if t.getparent().tag != f"{S}rPh"))


def _formats(root: "_Element | None", *, shift: int) -> list[Callable[[float], str]]:
    """For each style of cells: how it writes numbers; `shift` is the calendar's, in days."""
    if root is None:
        return []
    codes = dict(number_formats.BUILT_IN)
    for element in root.iter(f"{S}numFmt"):
        codes[_int(element.get("numFmtId"))] = element.get("formatCode", "")
    styles = root.find(f"{S}cellXfs")
    found = (codes.get(_int(style.get("numFmtId")), "General") for style in (styles if styles is not None else ()))
    return [number_formats.formatter(code, shift=shift) for code in found]


def _sheet(workbook: _Workbook, part: str, pages: Pages) -> Iterator[str]:
    """Its tables, and what stands around them."""
    yield from sheet_tables.to_markdown(_counted(_rows(workbook, part), pages), limit=pages.limit)
    yield from _around(workbook.package, part)


def _counted(rows: "Iterator[tuple[int, _Row]]", pages: Pages) -> "Iterator[tuple[int, _Row]]":
    """The same rows, refused when all of them are more than a document may have."""
    cells = last = 0
    for number, row in rows:
        cells = len(row) + (cells if number == last + 1 else 0)
        last = number
        pages.rows += 1
        pages.count_cells(cells)
        yield number, row


def _rows(workbook: _Workbook, part: str) -> "Iterator[tuple[int, _Row]]":
    """Rows that have text, with their number; read one by one, a sheet may be large."""
    number = 0
    for element in workbook.package.stream(part, f"{S}row"):
        number = _int(element.get("r")) or number + 1
        row: _Row = {}
        column = 0
        for cell in element.iterchildren(_CELL):
            column = _column(cell.get("r", "").rstrip(_DIGITS)) or column + 1
            text = _cell(workbook, cell)
            if text and not text.isspace():
                row[column] = text
        if row:
            yield number, row


def _cell(workbook: _Workbook, cell: "_Element") -> str:
    kind = cell.get("t", "n")
    value = formula = None
    for child in cell:
        if child.tag == _VALUE:
            value = child.text
        elif child.tag == _FORMULA:
            formula = child.text
        elif child.tag == _INLINE and kind == "inlineStr":
            return _rich(child)
    if not value:  # written by a program that does not calculate, unless the result is an empty text
        return f"={formula}" if formula and kind != "str" else ""
    if kind == "s":
        at = _int(value)
        return workbook.strings[at] if 0 <= at < len(workbook.strings) else ""
    if kind == "b":
        return "TRUE" if value.strip() in ("1", "true") else "FALSE"
    return _number(workbook, cell, value) if kind == "n" else ooxml.unescaped(value)


def _number(workbook: _Workbook, cell: "_Element", value: str) -> str:
    try:
        number = float(value)
    except ValueError:
        return value
    style = _int(cell.get("s"))
    if not 0 <= style < len(workbook.formats):
        return number_formats.general(number)
    return workbook.formats[style](number)


def _around(package: ooxml.Package, part: str) -> Iterator[str]:
    """Comments on cells, and words in drawings."""
    for target in package.of_kind(part, "comments"):
        root = package.xml(target)
        for comment in root.iter(f"{S}comment") if root is not None else ():
            text = " ".join(_rich(comment).split())
            if text:
                yield f"> Comment at {comment.get('ref', '')}: {text}"
    for target in package.of_kind(part, "drawing"):
        yield from package.drawn(target)


@lru_cache(maxsize=1_000)
def _column(letters: str) -> int:
    """The column's number, from 1, of letters such as AB; 0 when there are none."""
    number = 0
    for letter in letters if _COLUMN.fullmatch(letters) else "":
        number = number * 26 + ord(letter) - 64
    return number


def _int(text: str | None) -> int:
    try:
        return int(text or 0)
    except ValueError:
        return 0
