"""DOCX: the document's body in its order, as Markdown."""

import io
import re

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding
from rag_assets.text.formats import zipped


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    import docx
    from docx.table import Table

    container = zipped.Container(data, name=name, limits=limits)
    for entry in container.names:
        container.read(entry)  # what it really unpacks to is checked before the library unpacks it
    document = docx.Document(io.BytesIO(data))
    blocks = []
    for block in document.iter_inner_content():
        if isinstance(block, Table):
            rows = ["| " + " | ".join(" ".join(cell.text.split()) for cell in row.cells) + " |" for row in block.rows]
            blocks.append("\n".join(rows))
        elif block.text.strip():
            match = re.fullmatch(r"Heading (\d)", block.style.name if block.style else "")
            blocks.append(("#" * int(match.group(1)) + " " if match else "") + block.text)
    return ParsedText(
        text=encoding.clean("\n\n".join(blocks)),
        media_type="application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        parser="docx",
        title=document.core_properties.title or None,
    )
