"""PDF: pages in reading order with headings, tables and whole words, by pdfium, with pypdf as second opinion."""

import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText, counted, them
from rag_assets.settings import Parsing
from rag_assets.text import encoding
from rag_assets.text.formats.pdf import fonts, headers_footers, markdown, tags
from rag_assets.text.formats.pdf.glyphs import Page, TextRun
from rag_assets.text.formats.pdf.markdown import PAGE_BREAK
from rag_assets.text.formats.pdf.objects import Objects
from rag_assets.text.formats.pdf.reading_order import arrange
from rag_assets.text.formats.pdf.rulings import Grid

FEW_CHARACTERS = 40  # on a page: if images fill it, they are a stamp on a scan
SCANNED_SHARE = 0.6  # of a page that images cover
MOST_WARNINGS = 20  # of single pages

_LOCKED = "password"  # in pdfium's message; it says so of some damaged files, too


@dataclass(slots=True)
class _Sheet:
    """What was read from one page."""

    runs: list[TextRun] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # values of form fields, comments, pypdf's second opinion
    is_picture: bool = False

    @property
    def characters(self) -> int:
        return sum(len(run.text) for run in self.runs) + sum(map(len, self.notes))


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    """The text of all pages; raises DocumentError encrypted, corrupt, no_text, too_large."""
    objects = Objects(data)
    source = fonts.mended(data, objects.parts)
    parsed = _by_pdfium(source, data, objects, name=name, limits=limits)
    if source is data and fonts.is_damaged(parsed.text):
        source = fonts.mended_by_names(data)
        parsed = parsed if source is data else _by_pdfium(source, data, objects, name=name, limits=limits)
    return parsed


def _by_pdfium(source: bytes, data: bytes, objects: Objects, *, name: str, limits: Parsing) -> ParsedText:
    """What pdfium reads of `source`, or pypdf of `data`, from which it was made; `objects` are in it."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(source)
    except pypdfium2.PdfiumError as exc:
        return _second_opinion(data, name=name, limits=limits, reason=str(exc))
    try:
        if len(document) == 0:
            return _second_opinion(data, name=name, limits=limits, reason="no pages")
        return _parsed(document, data, objects, name=name, limits=limits)
    finally:
        document.close()


def _parsed(document: Any, data: bytes, objects: Objects, *, name: str, limits: Parsing) -> ParsedText:
    count = len(document)
    _require_pages(count, name=name, limits=limits)
    sheets, warnings = _read(document, data, objects, name=name, limits=limits)
    # A single page with a picture and a few words may be just that; many of them are a scan with stamps.
    if all((sheet.is_picture and count > 1) or not sheet.characters for sheet in sheets):
        characters = sum(sheet.characters for sheet in sheets)
        raise DocumentError(
            "no_text",
            f"{name}: {counted(count, 'page')}, {counted(characters, 'character')} of text: run OCR on it first",
        )
    pages = _render(sheets, titles=_outline(document))
    return ParsedText(
        text=PAGE_BREAK.join(pages),
        media_type="application/pdf",
        parser="pdfium",
        structure="markdown",
        page_offsets=_offsets(pages),
        title=encoding.clean(document.get_metadata_value("Title")).strip() or None,
        warnings=(*warnings, *_pictures(sheets)),
    )


def _require_pages(count: int, *, name: str, limits: Parsing) -> None:
    if count > limits.max_pages:
        raise DocumentError(
            "too_large", f"{name}: {count:,} pages; the limit (parsing.max_pages) is {limits.max_pages:,}"
        )
    if count == 0:
        raise DocumentError("corrupt", f"{name}: a PDF without pages")


def _require_characters(count: int, *, pages: int, name: str, limits: Parsing) -> None:
    if count > limits.max_characters:
        raise DocumentError(
            "too_large",
            f"{name}: over {limits.max_characters:,} characters in {counted(pages, 'page')} (the limit is "
            "parsing.max_characters)",
        )


def _read(
    document: Any, data: bytes, objects: Objects, *, name: str, limits: Parsing
) -> tuple[list[_Sheet], list[str]]:
    """The sheets, and what went wrong on single pages."""
    import pypdfium2

    marks = tags.read(document, objects)
    form = _form(document)
    sheets: list[_Sheet] = []
    warnings: list[str] = []
    again = _PypdfFallback(data, count=len(document))
    characters = 0
    for number in range(len(document)):
        try:
            sheet = _sheet(document[number], form, marks[number] if marks else None)
        except pypdfium2.PdfiumError as exc:
            sheet = _Sheet(notes=again.page(number))
            found = "pypdf read it" if sheet.notes else "it is left out"
            warnings.append(f"page {number + 1}: {exc}; {found}")
        sheets.append(sheet)
        characters += sheet.characters
        _require_characters(characters, pages=number + 1, name=name, limits=limits)
    return sheets, warnings[:MOST_WARNINGS]


def _sheet(opened: Any, form: Any, marks: tags.Marks | None) -> _Sheet:
    page = Page(opened, marks)
    try:
        sheet = _Sheet(page.runs(), page.grids, page.notes(form))
        sheet.is_picture = sheet.characters < FEW_CHARACTERS and page.image_share() >= SCANNED_SHARE
    finally:
        page.close()
    return sheet


def _form(document: Any) -> Any:
    if not document.get_formtype():
        return None
    document.init_forms()
    return document.formenv


def _render(sheets: Sequence[_Sheet], *, titles: dict[str, int]) -> list[str]:
    parted = headers_footers.part([sheet.runs for sheet in sheets], [sheet.grids for sheet in sheets])
    found = [
        ([*page.above, *arrange(page.runs, sheet.grids), *page.below], sheet.notes)
        for page, sheet in zip(parted, sheets, strict=True)
    ]
    return markdown.pages(found, [run for sheet in sheets for run in sheet.runs], titles=titles)


def _offsets(pages: Sequence[str]) -> tuple[int, ...]:
    offsets, length = [], 0
    for page in pages:
        offsets.append(length)
        length += len(page) + len(PAGE_BREAK)
    return tuple(offsets)


def _pictures(sheets: Sequence[_Sheet]) -> Iterator[str]:
    numbers = [str(at) for at, sheet in enumerate(sheets, start=1) if sheet.is_picture]
    if numbers:
        shown = ", ".join(numbers[:MOST_WARNINGS]) + (" ..." if len(numbers) > MOST_WARNINGS else "")
        count = len(numbers)
        pictures = "is a picture" if count == 1 else "are pictures"
        yield f"{counted(count, 'page')} {pictures}: run OCR on {them(count)} first ({shown})"


def _outline(document: Any) -> dict[str, int]:
    """The level of each title of the document's outline, by its plain text."""
    titles: dict[str, int] = {}
    for entry in document.get_toc(max_depth=6):
        title = markdown.plain(entry.get_title())
        if title:
            titles.setdefault(title, entry.level + 1)
    return titles


# ---- second opinion


def _reader(data: bytes) -> Any:
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # a line for each of a hundred thousand damaged objects
    return pypdf.PdfReader(io.BytesIO(data), strict=False)


class _PypdfFallback:
    """The same document by pypdf, opened when a page asks for it."""

    def __init__(self, data: bytes, *, count: int) -> None:
        self._data = data
        self._count = count

    @cached_property
    def _reader(self) -> Any:
        return _reader(self._data)

    def page(self, number: int) -> list[str]:
        """Its text, if pypdf finds some, and counts the pages as pdfium does: else it would be another page's."""
        try:
            reader = self._reader
            return list(filter(None, [_text(reader, number)])) if len(reader.pages) == self._count else []
        except Exception:  # noqa: BLE001 - pypdf raises whatever a damaged file makes of it
            return []


def _text(reader: Any, number: int) -> str | None:
    """Of one page; None when it cannot be read."""
    try:
        return encoding.clean(reader.pages[number].extract_text()).strip()
    except Exception:  # noqa: BLE001 - pypdf raises whatever a damaged page makes of it; the page counts as lost
        return None


def _second_opinion(data: bytes, *, name: str, limits: Parsing, reason: str) -> ParsedText:
    """What pypdf makes of a file that pdfium refuses: a reason, or its text."""
    import pypdf.errors

    try:
        reader = _reader(data)
        if reader.is_encrypted and (_LOCKED in reason.lower() or not reader.decrypt("")):
            raise DocumentError("encrypted", f"{name} needs a password: save it without one")
        _require_pages(len(reader.pages), name=name, limits=limits)
        pages, lost = _pages_by_pypdf(reader, name=name, limits=limits)
    except DocumentError:
        raise
    except (pypdf.errors.DependencyError, pypdf.errors.FileNotDecryptedError) as exc:  # a cipher that needs a key
        raise DocumentError("encrypted", f"{name} needs a password: save it without one") from exc
    except Exception as exc:  # pypdf raises whatever a damaged file makes of it
        raise DocumentError("corrupt", f"{name}: no readable PDF (pdfium: {reason}; pypdf: {exc})") from exc
    if not any(pages):
        raise DocumentError("corrupt", f"{name}: no readable PDF ({reason}), nor is there text in what is left of it")
    return ParsedText(
        text=PAGE_BREAK.join(pages),
        media_type="application/pdf",
        parser="pypdf",
        structure="plain",
        page_offsets=_offsets(pages),
        warnings=(f"pdfium: {reason}", *lost[:MOST_WARNINGS]),
    )


def _pages_by_pypdf(reader: Any, *, name: str, limits: Parsing) -> tuple[list[str], list[str]]:
    """The text of each page, and which ones are lost."""
    pages: list[str] = []
    lost: list[str] = []
    characters = 0
    for number in range(len(reader.pages)):
        text = _text(reader, number)
        if text is None:
            lost.append(f"page {number + 1}: pypdf cannot read it, either")
        pages.append(text or "")
        characters += len(pages[-1])
        _require_characters(characters, pages=number + 1, name=name, limits=limits)
    return pages, lost
