"""The order in which a tagged PDF has its page read, and the cells of its tables, from the page's structure tree.

A tagged PDF (ISO 32000-1, 14.7 and 14.8) marks its content with ids and names these, in reading order, in a tree of
paragraphs, lists and tables. Trees come from strangers: a walk visits each element once, to a depth and a count.
"""

import ctypes
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple

from rag_assets.text.formats.pdf import direct
from rag_assets.text.formats.pdf.direct import HANDLE, INT, PageObject

MOST_ELEMENTS, DEEPEST = 50_000, 64  # of one page's tree that are looked at; children of one another at most
TYPE_BYTES = 64  # of the name of an element's type, in UTF-16
# Types of elements within one another, down to a cell, as pdfium writes them.
_CELL_KINDS = tuple(
    frozenset(kind.encode("utf-16-le") for kind in kinds) for kinds in (("Table",), ("TR",), ("TD", "TH"))
)

MOST_SHARED = 8  # elements that name one list as theirs; honest ones share none
_NAMED_KIDS = re.compile(rb"/K\s+(\d+)\s+\d+\s+R")

Cell = tuple[int, int, int]  # a table from 1, a row of it and a cell of that row, each counted as it is met


class Mark(NamedTuple):
    """Where marked content stands: its place in the order, and the cell of a table that it is in."""

    place: int
    cell: Cell | None


def are_sound(pdfium: Any, document: Any, parts: Sequence[bytes]) -> bool:
    """Whether a document says that it is tagged, and pdfium may open its tree; `parts` are its `fonts.dictionaries`.

    pdfium reads the list of each element's children anew: a thousand elements that share one long list cost a million.
    """
    if not pdfium.FPDFCatalog_IsTagged(document):
        return False
    counts: Counter[bytes] = Counter()
    for part in parts:
        counts.update(_NAMED_KIDS.findall(part))
    return max(counts.values(), default=0) <= MOST_SHARED


class Tags:
    """The marks of one page; false when the page has none."""

    def __init__(self, page: int, text: int, objects: Sequence[PageObject]) -> None:
        """`page` and `text` are the numbers of pdfium's handles, and stay open as long as this is used.

        `objects` are those that the page draws.
        """
        self._text = text
        self._object = direct.function("FPDFText_GetTextObject", HANDLE, HANDLE, INT)
        tree = direct.function("FPDF_StructTree_GetForPage", HANDLE, HANDLE)(page)
        try:
            self._marks = _Walk().marks(tree) if tree else {}
        finally:
            if tree:
                direct.function("FPDF_StructTree_Close", None, HANDLE)(tree)
        self._known = dict(_own_marks(objects, self._marks)) if self._marks else {}
        self.have_cells = any(mark.cell for mark in self._marks.values())

    def __bool__(self) -> bool:
        return bool(self._known)

    def marks(self, places: Sequence[int]) -> list[Mark | None]:
        """Of the page's characters at these places; None for one that pdfium put in, or that the tree does not name."""
        return list(map(self._known.get, map(self._object, repeat(self._text), places)))


def _own_marks(objects: Sequence[PageObject], marks: dict[int, Mark]) -> Iterator[tuple[int, Mark]]:
    """The mark of each text object of the page itself, by its address: a form within it counts ids of its own."""
    texts = [item for item, kind in objects if kind == direct.TEXT]
    contents = map(direct.function("FPDFPageObj_GetMarkedContentID", INT, HANDLE), texts)
    return ((item, marks[content]) for item, content in zip(texts, contents, strict=True) if content in marks)


class _Walk:
    """One walk through the tree of a page."""

    def __init__(self) -> None:
        self._type = ctypes.create_string_buffer(TYPE_BYTES)
        self._type_place = ctypes.addressof(self._type)
        self._get_type = direct.function("FPDF_StructElement_GetType", ctypes.c_ulong, HANDLE, HANDLE, ctypes.c_ulong)
        self._count = direct.function("FPDF_StructElement_CountChildren", INT, HANDLE)
        self._child = direct.function("FPDF_StructElement_GetChildAtIndex", HANDLE, HANDLE, INT)
        self._content = direct.function("FPDF_StructElement_GetChildMarkedContentID", INT, HANDLE, INT)
        self._only = direct.function("FPDF_StructElement_GetMarkedContentID", INT, HANDLE)
        self._seen: set[int] = set()
        self._marks: dict[int, Mark] = {}
        self._counts = [0, 0, 0]  # tables, rows and cells so far
        self._left = MOST_ELEMENTS  # children that may still be looked at

    def marks(self, tree: int) -> dict[int, Mark]:
        """By the id of the marked content."""
        child = direct.function("FPDF_StructTree_GetChildAtIndex", HANDLE, HANDLE, INT)
        count = direct.function("FPDF_StructTree_CountChildren", INT, HANDLE)(tree)
        for at in range(min(count, MOST_ELEMENTS)):
            self._visit(child(tree, at), (), 0)
        return self._marks

    def _visit(self, element: int | None, cell: tuple[int, ...], depth: int) -> None:
        if not element or depth > DEEPEST or element in self._seen:
            return
        self._seen.add(element)
        if self._left > 0 and self._only(element) >= 0:  # it holds one piece of content, as half of all elements do
            self._left -= 1
            self._mark((self._content(element, 0),), self._cell_of(element, cell))
            return
        count = max(0, min(self._count(element), self._left))
        self._left -= count
        children = list(map(self._child, repeat(element, count), range(count)))  # None in place of its content
        if not any(children):
            self._mark(map(self._content, repeat(element, count), range(count)), self._cell_of(element, cell))
            return
        cell = self._within(element, cell)
        for at, child in enumerate(children):
            if child:
                self._visit(child, cell, depth + 1)
            elif (content := self._content(element, at)) >= 0:  # else it is another page's
                self._mark((content,), _known(cell))

    def _mark(self, contents: Iterable[int], cell: Cell | None) -> None:
        """Places for ids of marked content, in this order; -1 is none, and an id that is met again has its place."""
        marks = self._marks
        for content in contents:
            if content >= 0 and content not in marks:
                marks[content] = Mark(len(marks), cell)

    def _cell_of(self, element: int, cell: tuple[int, ...]) -> Cell | None:
        """The cell of an element that holds text alone, and so is no table and no row."""
        return _known(self._within(element, cell) if len(cell) == len(_CELL_KINDS) - 1 else cell)

    def _within(self, element: int, cell: tuple[int, ...]) -> tuple[int, ...]:
        """The table, row and cell that an element's content is in; a table within a cell is part of that cell."""
        depth = len(cell)
        if depth < len(_CELL_KINDS) and self._kind(element) in _CELL_KINDS[depth]:
            self._counts[depth] += 1
            return (*cell, self._counts[depth])
        return cell

    def _kind(self, element: int) -> bytes:
        """The standard type of an element, as far as the document maps its own to one, in UTF-16."""
        size = self._get_type(element, self._type_place, TYPE_BYTES)
        return self._type.raw[: size - 2] if 2 < size <= TYPE_BYTES else b""


def _known(cell: tuple[int, ...]) -> Cell | None:
    return (cell[0], cell[1], cell[2]) if len(cell) == len(_CELL_KINDS) else None
