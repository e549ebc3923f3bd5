"""PDF: pages in reading order with headings, tables and whole words, by pdfium, with pypdf as second opinion."""

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding
from rag_assets.text.formats import tables
from rag_assets.text.formats.pdf_glyphs import BROKEN, Page, Piece
from rag_assets.text.formats.pdf_layout import arrange
from rag_assets.text.formats.pdf_rules import Grid
from rag_assets.text.formats.pdf_tables import Item, Row, Table, rows

PAGE_BREAK = "\n\n"
FEW_CHARACTERS = 20  # on a page: if an image fills it, they are a stamp on a scan
SCANNED_SHARE = 0.5  # of a page that an image covers
EDGE_LINES = 3  # at the top and the bottom of a page, that may be a running header or footer
RUNNING_SHARE = 0.4  # of the pages that a running line is on: left and right pages may have their own
RUNNING_PAGES = 3
LARGE = 1.15  # times the height of most text: a heading
HEADING_CHARACTERS, BOLD_HEADING_CHARACTERS = 200, 90
HEADING_LINES = 3
MOST_HEADINGS = 0.25  # of the text: above, large or bold letters are how all of it is set
NEW_PARAGRAPH = 1.35  # times the usual distance of two lines

_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "\xa0": " "})
_DIGITS = re.compile(r"\d+")
_BROKEN = re.compile(rf"([^\W\d_]+)[-\u2010{BROKEN}]$")
_LOCKED = "password"  # in pdfium's message; it says so of some damaged files, too
_COMPOUND = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)+")


@dataclass(slots=True)
class _Sheet:
    """What was read from one page."""

    items: list[Item] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # values of form fields, comments


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    """The text of all pages; raises DocumentError encrypted, corrupt, no_text, too_large."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as exc:
        return _second_opinion(data, name=name, limits=limits, reason=str(exc))
    try:
        return _parsed(document, name=name, limits=limits)
    finally:
        document.close()


def _parsed(document: Any, *, name: str, limits: Parsing) -> ParsedText:
    count = len(document)
    _require_pages(count, name=name, limits=limits)
    sheets, warnings, scanned = _read(document, name=name, limits=limits)
    characters = sum(len(item.text) for sheet in sheets for item in sheet.items if isinstance(item, Row))
    is_scan = scanned == count and count > 1  # a single page with a picture and few words may be just that
    if is_scan or not any(sheet.items or sheet.notes for sheet in sheets):
        raise DocumentError("no_text", f"{name}: {count} pages, {characters} characters of text: run OCR on it first")
    pages = _render(sheets, titles=_outline(document))
    offsets, length = [], 0
    for page in pages:
        offsets.append(length)
        length += len(page) + len(PAGE_BREAK)
    return ParsedText(
        text=PAGE_BREAK.join(pages),
        media_type="application/pdf",
        parser="pdfium",
        structure="markdown",
        page_offsets=tuple(offsets),
        title=encoding.clean(document.get_metadata_value("Title")).strip() or None,
        warnings=tuple(warnings),
    )


def _require_pages(count: int, *, name: str, limits: Parsing) -> None:
    if count > limits.max_pages:
        raise DocumentError(
            "too_large", f"{name}: {count:,} pages; the limit (parsing.max_pages) is {limits.max_pages:,}"
        )
    if count == 0:
        raise DocumentError("corrupt", f"{name}: a PDF without pages")


def _read(document: Any, *, name: str, limits: Parsing) -> tuple[list[_Sheet], list[str], int]:
    """The sheets, what went wrong on single pages, and how many pages are pictures of text."""
    import pypdfium2

    form = _form(document)
    sheets: list[_Sheet] = []
    warnings: list[str] = []
    pieces: list[list[Piece]] = []
    grids: list[list[Grid]] = []
    scanned = characters = 0
    for number in range(len(document)):
        sheet, found, drawn = _Sheet(), list[Piece](), list[Grid]()
        try:
            page = Page(document[number])
            try:
                found, drawn = page.pieces(), page.grids
                few = sum(len(piece.text) for piece in found) < FEW_CHARACTERS
                sheet.notes = page.notes(form)
                scanned += few and not sheet.notes and page.image_share() >= SCANNED_SHARE
            finally:
                page.close()
        except pypdfium2.PdfiumError as exc:
            warnings.append(f"page {number + 1}: {exc}")
        sheets.append(sheet)
        pieces.append(found)
        grids.append(drawn)
        characters += sum(len(piece.text) for piece in found)
        if characters > limits.max_characters:
            raise DocumentError(
                "too_large",
                f"{name}: over {limits.max_characters:,} characters in {number + 1} pages "
                "(the limit is parsing.max_characters)",
            )
    running = _running_lines(pieces)
    for at, found in enumerate(pieces):
        sheets[at].items = list(arrange(_without(found, running, seen=at), grids[at]))
    return sheets, warnings, scanned


def _form(document: Any) -> Any:
    if not document.get_formtype():
        return None
    document.init_forms()
    return document.formenv


# ---- running headers and footers


def _running_lines(pages: Sequence[Sequence[Piece]]) -> frozenset[str]:
    """Lines at the edges of pages that many pages have there, digits apart."""
    if len(pages) < RUNNING_PAGES:
        return frozenset()
    counts = Counter(key for page in pages for key in {_key(row) for row in _edges(rows(page))})
    least = max(RUNNING_PAGES, RUNNING_SHARE * len(pages))
    return frozenset(key for key, count in counts.items() if count >= least)


def _edges(lines: Sequence[Row]) -> Iterable[Row]:
    return lines if len(lines) <= 2 * EDGE_LINES else [*lines[:EDGE_LINES], *lines[-EDGE_LINES:]]


def _key(row: Row) -> str:
    return _DIGITS.sub("#", "".join(row.text.split()).casefold())


def _without(pieces: Sequence[Piece], running: frozenset[str], *, seen: int) -> Sequence[Piece]:
    """Without the outermost lines that run through the document; the first page keeps them, so that none is lost."""
    if not running or seen == 0:
        return pieces
    lines = rows(pieces)
    dropped: set[int] = set()
    for order in (lines[:EDGE_LINES], lines[: -EDGE_LINES - 1 : -1]):
        for row in order:
            if _key(row) not in running:
                break
            dropped |= {id(piece) for piece in row.pieces}
    return [piece for piece in pieces if id(piece) not in dropped]


# ---- Markdown


def _render(sheets: Sequence[_Sheet], *, titles: dict[str, int]) -> list[str]:
    lines = [item for sheet in sheets for item in sheet.items if isinstance(item, Row)]
    _mend_words(lines)
    heads = _Headings(lines, titles=titles)
    pages = []
    for sheet in sheets:
        blocks = [*_blocks(sheet.items, heads), *sheet.notes]
        text = PAGE_BREAK.join(block for block in blocks if block).translate(_LIGATURES)
        pages.append(encoding.clean(text).strip())
    return pages


def _mend_words(lines: Sequence[Row]) -> None:
    """Join words that a hyphen breaks at a line's end, also over columns and pages."""
    compounds = {word.casefold() for line in lines for word in _COMPOUND.findall(line.text)}
    for line, following in pairwise(lines):
        broken = _BROKEN.search(line.text)
        rest = following.text.split(maxsplit=1) if broken else []
        if not broken:
            continue
        if not rest or not rest[0][0].islower():
            _set_text(line, line.text.replace(BROKEN, "-"))
            continue
        head = line.text[: broken.end(1)]
        tail = re.match(r"[^\W\d_]*", rest[0])
        is_compound = f"{broken[1]}-{tail[0] if tail else ''}".casefold() in compounds
        _set_text(line, f"{head}{'-' if is_compound else ''}{rest[0]}")
        _set_text(following, rest[1] if len(rest) > 1 else "")


def _set_text(row: Row, text: str) -> None:
    """All of a row's text in one piece of its whole width."""
    first, last = row.pieces[0], row.pieces[-1]
    longest = max(row.pieces, key=lambda piece: len(piece.text))
    row.pieces = [
        Piece(text, first.left, last.right, longest.bottom, longest.top, longest.size, longest.bold, longest.upright)
    ]


def _blocks(items: Sequence[Item], heads: "_Headings") -> Iterator[str]:
    """Headings, paragraphs and tables; a line of a paragraph is a line of text."""
    usual = _usual_distance(items)
    lines: list[Row] = []  # of the block that is being read
    level = 0
    for item in items:
        if isinstance(item, Table):
            yield _block(lines, level)
            yield tables.table(item.rows)
            lines, level = [], 0
        elif item.text:
            here = heads.level(item)
            if lines and (here != level or _ends(lines, item, level=level, usual=usual)):
                yield _block(lines, level)
                lines = []
            lines.append(item)
            level = here
    yield _block(lines, level)


def _block(lines: Sequence[Row], level: int) -> str:
    if level:
        return tables.heading(" ".join(line.text for line in lines), level)
    return tables.prose("\n".join(line.text for line in lines))


def _ends(lines: Sequence[Row], item: Row, *, level: int, usual: float) -> bool:
    """Whether a block ends before this line of the same level."""
    distance = lines[-1].middle - item.middle
    if level:
        return len(lines) == HEADING_LINES or not 0 < distance < 2 * item.height
    return item.new_region or distance < 0 or distance > NEW_PARAGRAPH * max(usual, 0.8 * item.height)


def _usual_distance(items: Sequence[Item]) -> float:
    """Between two lines of a paragraph: the most frequent one, in points."""
    found: Counter[float] = Counter()
    for one, other in pairwise(items):
        if isinstance(one, Row) and isinstance(other, Row) and one.middle > other.middle and not other.new_region:
            found[round(one.middle - other.middle)] += 1
    return max(found.most_common(1)[0][0], 1) if found else 0.0


class _Headings:
    """Which lines are headings, and of which level: by the outline, by size, by weight."""

    def __init__(self, lines: Sequence[Row], *, titles: dict[str, int]) -> None:
        self._titles = titles
        heights: Counter[float] = Counter()
        for line in lines:
            heights[_rounded(line)] += len(line.text)
        self._body = heights.most_common(1)[0][0] if heights else 0.0
        total = sum(heights.values())
        sizes = Counter({_rounded(line): 0 for line in lines})
        for line in lines:
            if self._is_large(line):
                sizes[_rounded(line)] += len(line.text)
        large = sorted((size for size, count in sizes.items() if count), reverse=True)
        if sum(sizes.values()) > MOST_HEADINGS * total:
            large = []
        self._sizes = {size: min(level, 5) for level, group in enumerate(_groups(large), start=1) for size in group}
        bold = sum(len(line.text) for line in lines if self._is_bold(line))
        self._bold_level = min(max(self._sizes.values(), default=0) + 1, 6) if bold <= MOST_HEADINGS * total else 0

    def level(self, line: Row) -> int:
        """From 1; 0 for what is no heading."""
        if not line.text or not any(map(str.isalpha, line.text)) or len(line.text) > HEADING_CHARACTERS:
            return 0
        if self._titles and (known := self._titles.get(_plain(line.text))):
            return known
        if self._is_large(line):
            return self._sizes.get(_rounded(line), 0)
        return self._bold_level if self._is_bold(line) else 0

    def _is_large(self, line: Row) -> bool:
        return _rounded(line) >= LARGE * self._body and 1 < len(line.text) <= HEADING_CHARACTERS

    def _is_bold(self, line: Row) -> bool:
        return (
            line.bold
            and 0.9 * self._body <= line.height < LARGE * self._body
            and 2 < len(line.text) <= BOLD_HEADING_CHARACTERS
            and line.text[-1] not in ".,;"
            and line.text[0].isalnum()
        )


def _groups(sizes: Sequence[float]) -> list[list[float]]:
    """Sizes that differ by next to nothing are one."""
    groups: list[list[float]] = []
    for size in sizes:
        if groups and size > 0.95 * groups[-1][0]:
            groups[-1].append(size)
        else:
            groups.append([size])
    return groups


def _rounded(line: Row) -> float:
    return round(line.height * 2) / 2


def _outline(document: Any) -> dict[str, int]:
    """The level of each title of the document's outline, by its plain text."""
    titles: dict[str, int] = {}
    for entry in document.get_toc(max_depth=6):
        title = _plain(entry.get_title())
        if title:
            titles.setdefault(title, entry.level + 1)
    return titles


def _plain(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


# ---- second opinion


def _second_opinion(data: bytes, *, name: str, limits: Parsing, reason: str) -> ParsedText:
    """What pypdf makes of a file that pdfium refuses: a reason, or its text."""
    import pypdf.errors

    try:
        reader = pypdf.PdfReader(io.BytesIO(data), strict=False)
        if reader.is_encrypted and (_LOCKED in reason.lower() or not reader.decrypt("")):
            raise DocumentError("encrypted", f"{name} needs a password: save it without one")
        _require_pages(len(reader.pages), name=name, limits=limits)
        pages = [encoding.clean(page.extract_text()).strip() for page in reader.pages]
    except DocumentError:
        raise
    except (pypdf.errors.DependencyError, pypdf.errors.FileNotDecryptedError) as exc:  # a cipher that needs a key
        raise DocumentError("encrypted", f"{name} needs a password: save it without one") from exc
    except Exception as exc:  # pypdf raises whatever a damaged file makes of it
        raise DocumentError("corrupt", f"{name}: no readable PDF (pdfium: {reason}; pypdf: {exc})") from exc
    if not any(pages):
        raise DocumentError("corrupt", f"{name}: no readable PDF ({reason}), nor is there text in what is left of it")
    offsets = [sum(len(page) + len(PAGE_BREAK) for page in pages[:at]) for at in range(len(pages))]
    return ParsedText(
        text=PAGE_BREAK.join(pages),
        media_type="application/pdf",
        parser="pypdf",
        structure="plain",
        page_offsets=tuple(offsets),
        warnings=(f"pdfium: {reason}",),
    )
