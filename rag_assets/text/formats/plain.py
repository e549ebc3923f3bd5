"""Plain text: all of it, with form feeds as page breaks."""

from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    """The text as it is; form feeds divide its pages."""
    reading = encoding.read(data)
    return ParsedText(
        text=reading.text.replace("\f", "\n"),
        media_type="text/plain",
        parser="plain",
        structure="plain",
        page_offsets=_pages(reading.text),
        metadata={"encoding": reading.encoding},
        warnings=reading.warnings,
    )


def _pages(text: str) -> tuple[int, ...]:
    ends = [at for at, char in enumerate(text) if char == "\f"] if "\f" in text.strip("\f") else []
    return (0, *(at + 1 for at in ends if at + 1 < len(text))) if ends else ()
