"""PDF: the text of its pages, by pdfium, with pypdf as second opinion."""

import re

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding

PAGE_BREAK = "\n\n"
SCANNED = 20  # characters per page on average: below, the text is a stamp on a scan, not the document

_HYPHEN = re.compile(r"(\w)[\u00ad\u2010\ufffe-]\n(?=[a-zà-ÿ])")
_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "\u00ad": "", "\u00a0": " "})


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    pages, title, warnings = _by_pdfium(data, name=name, limits=limits)
    offsets, length = [], 0
    for page in pages:
        offsets.append(length)
        length += len(page) + len(PAGE_BREAK)
        if length > limits.max_characters:
            raise DocumentError(
                "too_large",
                f"{name}: over {limits.max_characters:,} characters in {len(offsets)} pages "
                "(the limit is parsing.max_characters)",
            )
    if sum(len("".join(page.split())) for page in pages) < SCANNED * max(1, len(pages)) and len(pages) > 1:
        raise DocumentError("no_text", f"{name}: {len(pages)} pages with next to no text: run OCR on it first")
    return ParsedText(
        text=PAGE_BREAK.join(pages),
        media_type="application/pdf",
        parser="pdfium",
        structure="markdown",
        page_offsets=tuple(offsets),
        title=title,
        warnings=tuple(warnings),
    )


def _by_pdfium(data: bytes, *, name: str, limits: Parsing) -> tuple[list[str], str | None, list[str]]:
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as exc:
        if "password" in str(exc).lower():
            raise DocumentError("encrypted", f"{name} needs a password: save it without one") from exc
        raise DocumentError("corrupt", f"{name}: pdfium: {exc}") from exc
    try:
        count = len(document)
        if count > limits.max_pages:
            raise DocumentError(
                "too_large", f"{name}: {count:,} pages; the limit (parsing.max_pages) is {limits.max_pages:,}"
            )
        warnings: list[str] = []
        pages = []
        for number in range(count):
            try:
                pages.append(_clean(document[number].get_textpage().get_text_bounded()))
            except pypdfium2.PdfiumError as exc:
                warnings.append(f"page {number + 1}: {exc}")
                pages.append("")
        title = document.get_metadata_value("Title").strip() or None
    finally:
        document.close()
    return pages, title, warnings


def _clean(text: str) -> str:
    return encoding.clean(_HYPHEN.sub(r"\1", text.replace("\r\n", "\n")).translate(_LIGATURES)).strip()
