"""JSON and NDJSON: keys and values as lines that can be read, and searched, without the punctuation."""

import json
import re
from collections.abc import Iterator
from typing import Any

from rag_assets.model import ParsedText
from rag_assets.settings import Parsing
from rag_assets.text import encoding

COMMENTED_CHARACTERS = 100_000  # of JSON with comments, which people write by hand
INLINE_CHARACTERS = 100  # of a list of plain values: up to here on one line
BINARY_CHARACTERS = 500  # of a value without a space: longer ones are encoded bytes, not words

_ENCODED = re.compile(r"[A-Za-z0-9+/_=-]+")
_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/|,(?=\s*[}\]])', re.DOTALL)

Scalar = str | int | float | bool | None


def parse(data: bytes, *, name: str, limits: Parsing) -> ParsedText:
    """Records as lines of `key: value` pairs, anything else as an outline; broken JSON is kept as its text."""
    reading = encoding.read(data)
    value, records = _loaded(reading.text)
    if value is None and records is None:
        return _unreadable(reading)
    lines = ["; ".join(_pairs(record)) for record in records] if records else list(_lines(value))
    title = value.get("title") or value.get("name") if isinstance(value, dict) else None
    return ParsedText(
        text=encoding.clean("\n".join(lines)),  # escapes such as \u0000 are characters only now
        media_type="application/json",
        parser="structured",
        structure="plain",
        title=title if isinstance(title, str) else None,
        metadata={"encoding": reading.encoding, **({"records": len(records)} if records else {})},
        warnings=reading.warnings,
    )


def _loaded(text: str) -> tuple[Any, list[Any] | None]:
    """One value, or the records of NDJSON; both None when it is neither."""
    text = text.strip()
    try:
        return _load(text), None
    except ValueError:
        pass
    try:
        return None, [_load(line) for line in text.split("\n") if line.strip()]
    except ValueError:
        pass
    if len(text) > COMMENTED_CHARACTERS:
        return None, None
    try:
        return _load(_COMMENT.sub(lambda match: match.group(1) or "", text)), None  # JSON with comments
    except ValueError:
        return None, None


def _load(text: str) -> Any:
    # Numbers stay as they are written: no rounding, no limit on their digits.
    return json.loads(text, parse_float=str, parse_int=str, parse_constant=str)


def _unreadable(reading: encoding.Reading) -> ParsedText:
    return ParsedText(
        text=reading.text,
        media_type="application/json",
        parser="structured",
        structure="code",
        language="json",
        metadata={"encoding": reading.encoding},
        warnings=(*reading.warnings, "not valid JSON: kept as it is"),
    )


def _lines(value: Any) -> Iterator[str]:
    """`key: value` lines, indented by depth; a stack instead of recursion."""
    stack: list[tuple[int, str, Any]] = [(0, "", value)]
    while stack:
        depth, label, current = stack.pop()
        indent = "  " * min(depth, 20)
        short = _short(current)
        if short is not None:
            yield f"{indent}{label}{short}".rstrip()
            continue
        if label.strip():
            yield f"{indent}{label}".rstrip()
            depth += 1
        stack.extend((depth, key, inner) for key, inner in reversed(_children(current)))


def _children(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(f"{key}: ", inner) for key, inner in value.items()]
    return [("- " if _short(inner) is not None else "-", inner) for inner in value]


def _short(value: Any) -> str | None:
    """A value that fits on its key's line; None for what needs lines of its own."""
    if isinstance(value, dict):
        return None if value else "{}"
    if not isinstance(value, list):
        return _words(value)
    if any(isinstance(item, dict | list) for item in value):
        return None
    joined = ", ".join(map(_words, value))
    return joined if len(joined) <= INLINE_CHARACTERS else None


def _words(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    text = str(value)
    if len(text) > BINARY_CHARACTERS and _ENCODED.fullmatch(text):
        return f"({len(text)} characters of encoded data)"
    return text


def _pairs(record: Any) -> Iterator[str]:
    """`path.key: value` of one record, for a line of its own."""
    stack: list[tuple[str, Any]] = [("", record)]
    while stack:
        path, current = stack.pop()
        short = _short(current)
        if short is not None:
            yield f"{path}: {' '.join(short.split())}" if path else " ".join(short.split())
            continue
        inner = current.items() if isinstance(current, dict) else enumerate(current, start=1)
        stack.extend(reversed([(f"{path}.{key}" if path else str(key), each) for key, each in inner]))
