"""Markdown as it is written: tables, headings, links, and text of a document that says nothing by accident."""

import re
from collections.abc import Iterable, Sequence

MAX_COLUMNS = 1_000  # that empty cells and merged cells may make; what has text is never dropped

_ACCIDENT = re.compile(r"(#{1,6}(?=\s|$)|`{3,}|~{3,}|[=-]+$)")
_SCHEMES = ("http://", "https://", "mailto:", "ftp://")


def table(rows: Iterable[Sequence[str]]) -> str:
    """A pipe table; the first row is its header. Empty when no cell has text."""
    cleaned = [[_cell(cell) for cell in row] for row in rows]
    cleaned = [_trimmed(row) for row in cleaned if any(row)]
    if not cleaned:
        return ""
    width = max(map(len, cleaned))
    lines = ["| " + " | ".join(_padded(row, width)) + " |" for row in cleaned]
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])


def flat(rows: Iterable[Sequence[str]]) -> str:
    """A table within a cell: one line, cells and rows told apart."""
    return "<br>".join(" | ".join(filter(None, map(str.strip, row))) for row in rows if any(map(str.strip, row)))


def prose(text: str) -> str:
    """A paragraph whose lines are no heading, fence or underline although they begin like one."""
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join("\\" + line if _ACCIDENT.match(line) else line for line in lines if line)


def heading(text: str, level: int) -> str:
    """`level` counts from 1; Markdown knows six."""
    return "#" * max(1, min(level, 6)) + " " + " ".join(text.split())


def link(text: str, target: str) -> str:
    """A link where it leads out of the document and its words are not its address; else the words."""
    shown = text.strip()
    if not shown or not target.lower().startswith(_SCHEMES) or "[" in shown or "]" in shown or "\n" in shown:
        return text
    if shown.rstrip("/") == target.removeprefix("mailto:").rstrip("/"):
        return text
    address = re.sub(r"[\s()<>\"\\]", lambda match: f"%{ord(match.group()):02X}", target.strip())
    return text.replace(shown, f"[{shown}]({address})", 1)


def _cell(text: str) -> str:
    """On one line; in a cell nothing is a heading or an underline by accident."""
    text = " ".join(text.split())
    plain = text[1:] if text[:1] == "\\" and _ACCIDENT.match(text[1:]) else text
    return plain.replace("|", "\\|")


def _trimmed(row: list[str]) -> list[str]:
    """Without the empty cells at the end, which a row is filled up with again as far as others reach."""
    end = len(row)
    while end and not row[end - 1]:
        end -= 1
    return row[:end]


def _padded(row: list[str], width: int) -> list[str]:
    return row + [""] * (min(width, MAX_COLUMNS) - len(row))
