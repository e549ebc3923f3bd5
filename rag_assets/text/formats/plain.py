"""Plain text: all of it."""

from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    text, name_of_encoding = encoding.decode(data)
    return ParsedText(
        text=text,
        media_type="text/plain",
        parser="plain",
        structure="plain",
        metadata={"encoding": name_of_encoding},
    )
