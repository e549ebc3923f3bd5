"""What the tags of a PDF say of each page: where its text stands in the order, and in which cell of a table.

A tagged PDF (ISO 32000-1, 14.7 and 14.8) marks its content with ids and names these, in reading order, in a tree of
paragraphs, lists and tables. The tree is read as it is written in the file: pdfium builds it anew for each page, an
object for all that is in it. Trees come from strangers: a walk visits each element once, to a depth and a count.
"""

import io
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, NamedTuple

from rag_assets.text.formats.pdf import direct
from rag_assets.text.formats.pdf.direct import HANDLE, INT, PageObject
from rag_assets.text.formats.pdf.objects import Objects, reference, references

MOST_ELEMENTS, DEEPEST = 1_000_000, 64  # of one tree that are looked at; children of one another at most
# Types of elements within one another, down to a cell.
_CELL_KINDS = ((b"Table",), (b"TR",), (b"TD", b"TH"))

_NAME = rb"/([^\s/<>\[\]()]+)"
_KIND = re.compile(rb"/S\s*" + _NAME)
_ROLE = re.compile(_NAME + rb"\s*" + _NAME)
_ROLES = re.compile(rb"/RoleMap\s*<<([^<>]*)>>")
_KIDS = re.compile(rb"/K\s*(\[[^\[\]]*\]|<<[^<>]*>>|\d+(?:\s+\d+\s+R)?)")
# A child: an element, the dictionary of a mark, or the id of one.
_KID = re.compile(rb"(\d{1,9})\s+\d+\s+R\b|<<([^<>]*)>>|(\d{1,9})")
_PAGE = re.compile(rb"/Pg\s+(\d{1,9})\s+\d+\s+R\b")
_ID = re.compile(rb"/MCID\s+(\d{1,9})")
_PAGES = re.compile(rb"/Kids\s*(\[[^\[\]]*\]|\d+\s+\d+\s+R)")

Cell = tuple[int, int, int]  # a table from 1, a row of it and a cell of that row, each counted as it is met


class Mark(NamedTuple):
    """Where marked content stands: its place in the order, and the cell of a table that it is in."""

    place: int
    cell: Cell | None


Marks = Mapping[int, Mark]  # of one page, by the id of the marked content


def read(document: Any, objects: Objects) -> list[Marks]:
    """The marks of each page of a document that pypdfium2 has open; empty when it does not say that it is tagged.

    `objects` are those of its file.
    """
    import pypdfium2.raw as pdfium
    from pypdfium2 import PdfiumError

    if not pdfium.FPDFCatalog_IsTagged(document.raw):
        return []
    if pdfium.FPDF_GetSecurityHandlerRevision(document.raw) >= 0:
        copy = io.BytesIO()  # that can be read without a key
        try:
            document.save(copy, flags=pdfium.FPDF_REMOVE_SECURITY)
        except PdfiumError:  # it cannot be written anew: it is read without its tags
            return []
        objects = Objects(copy.getvalue())
    catalog = objects.value(objects.root)
    pages = _leaves(objects, reference(catalog, b"Pages"), len(document))
    if len(pages) != len(document):  # what is found are not the pages that pdfium sees
        return []
    marks = _Walk(objects).marks(reference(catalog, b"StructTreeRoot"))
    return [marks.get(page, {}) for page in pages]


def _leaves(objects: Objects, root: int, most: int) -> list[int]:
    """The numbers of the pages in the tree of them that begins there, in their order; not many more than `most`."""
    found, seen, left = list[int](), set[int](), [root]
    while left and len(found) <= most:
        number = left.pop()
        text = objects.value(number)
        kids = _PAGES.search(text)
        if not kids and not text.lstrip().startswith(b"["):  # neither a branch nor its list of children
            found.append(number)
        elif number not in seen:
            seen.add(number)
            left += reversed(references(kids[1] if kids else text))
    return found


class Tags:
    """The marks of the text of one page; false when it has none."""

    def __init__(self, text: int, objects: Sequence[PageObject], marks: Marks) -> None:
        """`text` is the number of pdfium's handle of the page's text, and stays open as long as this is used.

        `objects` are those that the page draws.
        """
        self._text = text
        self._object = direct.function("FPDFText_GetTextObject", HANDLE, HANDLE, INT)
        self._known = dict(_own_marks(objects, marks)) if marks else {}
        self.have_cells = any(mark.cell for mark in marks.values())

    def __bool__(self) -> bool:
        return bool(self._known)

    def marks(self, places: Sequence[int]) -> list[Mark | None]:
        """Of the page's characters at these places; None for one that pdfium put in, or that the tree does not name."""
        return list(map(self._known.get, map(self._object, repeat(self._text), places)))


def _own_marks(objects: Sequence[PageObject], marks: Marks) -> Iterator[tuple[int, Mark]]:
    """The mark of each text object of the page itself, by its address: a form within it counts ids of its own."""
    texts = [item for item, kind in objects if kind == direct.TEXT]
    contents = map(direct.function("FPDFPageObj_GetMarkedContentID", INT, HANDLE), texts)
    return ((item, marks[content]) for item, content in zip(texts, contents, strict=True) if content in marks)


def _page(text: bytes, default: int) -> int:
    """The number of the page that a dictionary names."""
    found = _PAGE.search(text)
    return int(found[1]) if found else default


class _Walk:
    """One walk through a document's tree."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._roles: dict[bytes, bytes] = {}  # standard types of elements, by the document's own
        self._seen: set[int] = set()
        self._marks: dict[int, dict[int, Mark]] = defaultdict(dict)
        self._counts = [0, 0, 0]  # tables, rows and cells so far
        self._left = MOST_ELEMENTS  # children that may still be looked at

    def marks(self, root: int) -> Mapping[int, Marks]:
        """By the number of the page's object."""
        text = self._objects.value(root)
        roles = _ROLES.search(text)
        self._roles = dict(_ROLE.findall(roles[1] if roles else self._objects.value(reference(text, b"RoleMap"))))
        self._visit(root, 0, (), 0)
        return self._marks

    def _visit(self, number: int, page: int, cell: tuple[int, ...], depth: int) -> None:
        """An element, or a list or mark that is an object of its own; `page` and `cell` are what it is in."""
        if depth > DEEPEST or number in self._seen:
            return
        self._seen.add(number)
        text = self._objects.value(number)
        found = _KIDS.search(text)
        if found:
            own = text[: found.start()] + text[found.end() :]  # without its marks, which may be of another page
            page, cell, text = _page(own, 0), self._within(own, cell), found[1]
        elif not text.lstrip().startswith(b"["):
            self._mark_in(text, page, cell)
            return
        for element, mark, content in _KID.findall(text):
            self._left -= 1
            if self._left < 0:
                return
            if element:
                self._visit(int(element), page, cell, depth + 1)
            elif content:
                self._mark(int(content), page, cell)
            else:
                self._mark_in(mark, page, cell)

    def _mark_in(self, text: bytes, page: int, cell: tuple[int, ...]) -> None:
        """The mark that a dictionary names, if it does, on the page that it names, or that of the element."""
        found = _ID.search(text)
        if found:
            self._mark(int(found[1]), _page(text, page), cell)

    def _mark(self, content: int, page: int, cell: tuple[int, ...]) -> None:
        """A place for the id of marked content; one that is met again has its place."""
        marks = self._marks[page]
        if content not in marks:
            marks[content] = Mark(len(marks), (cell[0], cell[1], cell[2]) if len(cell) == len(_CELL_KINDS) else None)

    def _within(self, element: bytes, cell: tuple[int, ...]) -> tuple[int, ...]:
        """The table, row and cell that an element's content is in; a table within a cell is part of that cell."""
        depth = len(cell)
        if depth < len(_CELL_KINDS) and self._kind(element) in _CELL_KINDS[depth]:
            self._counts[depth] += 1
            return (*cell, self._counts[depth])
        return cell

    def _kind(self, element: bytes) -> bytes:
        """The standard type of an element, as far as the document maps its own to one."""
        found = _KIND.search(element)
        return self._roles.get(found[1], found[1]) if found else b""
