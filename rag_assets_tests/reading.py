"""A document of a name, as its format reads it, with the limits that are set at first."""

from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import parsing


def read(content: str | bytes, name: str) -> ParsedText:
    """What `parsing.parse` makes of it; the name chooses the format where the content does not."""
    data = content.encode() if isinstance(content, str) else content
    return parsing.parse(data, name=name, limits=Parsing())
