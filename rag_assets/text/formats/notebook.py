"""Notebooks: Markdown cells as they are, code cells and their outputs as fences."""

import json
import re
from collections.abc import Iterator
from typing import Any

from rag_assets.errors import DocumentError
from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding
from rag_assets.text.formats import html, markup

OUTPUT_CHARACTERS = 10_000  # of one output: a training log says no more after that

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\].*?(?:\x07|\x1b\\)")
_EMBEDDED = re.compile(r"!\[([^\]]*)\]\((?:data:|attachment:)[^)]*\)")
_TITLE = re.compile(r"^# +(.+)$", re.MULTILINE)


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    """The cells in their order, code and outputs in fences; raises DocumentError corrupt where it has no cells."""
    reading = encoding.read(data)
    book = json.loads(reading.text)
    cells = book.get("cells") or [cell for sheet in book.get("worksheets", []) for cell in sheet.get("cells", [])]
    if not isinstance(cells, list):
        raise DocumentError("corrupt", f"A notebook without cells: {name}")
    language = _language(book.get("metadata") or {})
    text = encoding.clean("\n\n".join(block for cell in cells for block in _blocks(cell, language)))
    title = _TITLE.search(text)
    return ParsedText(
        text=text,
        media_type="application/x-ipynb+json",
        parser="notebook",
        title=title.group(1).strip() if title else None,
        metadata={"encoding": reading.encoding, "cells": len(cells), "language": language},
        warnings=reading.warnings,
    )


def _language(metadata: dict[str, Any]) -> str:
    info, kernel = metadata.get("language_info") or {}, metadata.get("kernelspec") or {}
    return str(info.get("name") or kernel.get("language") or "python").lower()


def _blocks(cell: dict[str, Any], language: str) -> Iterator[str]:
    source = _joined(cell.get("source") or cell.get("input")).strip("\n")
    kind = cell.get("cell_type")
    if kind == "heading":
        yield f"{markup.heading_mark(int(cell.get('level', 1)))} {source}"
    elif kind == "code":
        if source.strip():
            yield _fenced(source, language)
        yield from (shown for output in cell.get("outputs") or [] for shown in _output(output))
    elif source.strip():
        yield _EMBEDDED.sub(r"\1", source)


def _output(output: dict[str, Any]) -> Iterator[str]:
    data = output.get("data") or output
    if output.get("output_type") in ("error", "pyerr"):
        yield _fenced(f"{output.get('ename', '')}: {output.get('evalue', '')}", "")
    elif data.get("text/markdown"):
        yield _joined(data["text/markdown"])
    elif "<table" in _joined(data.get("text/html")):
        yield html.to_markdown(_joined(data["text/html"]))
    else:
        text = _ANSI.sub("", _joined(data.get("text/plain") or output.get("text"))).strip("\n")
        if text.strip():
            yield _fenced(text[:OUTPUT_CHARACTERS], "")


def _fenced(text: str, language: str) -> str:
    fence = markup.fence(text)
    return f"{fence}{language}\n{text}\n{fence}"


def _joined(source: Any) -> str:
    return "".join(map(str, source)) if isinstance(source, list) else str(source or "")
