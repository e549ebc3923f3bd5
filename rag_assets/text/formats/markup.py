"""Markdown as it is written: tables, headings, links, and text of a document that says nothing by accident."""

import re
from collections.abc import Iterable, Sequence

MAX_HEADING_LEVEL = 6  # that Markdown knows
MAX_COLUMNS = 1_000  # that empty cells and merged cells may make; what has text is never dropped

ADDRESS_ENDS = r"()<>\"\\"  # characters that would end a link's address, or be taken for others
_ACCIDENT = re.compile(r"(#{1,6}(?=\s|$)|`{3,}|~{3,}|[=-]+$)")
_FENCES = re.compile(r"`{3,}")
_SCHEMES = ("http://", "https://", "mailto:", "ftp://")


def table(rows: Iterable[Sequence[str]]) -> str:
    """A pipe table; the first row is its header. Empty when no cell has text."""
    cleaned = [[_cell(cell) for cell in row] for row in rows]
    cleaned = [_trimmed(row) for row in cleaned if any(row)]
    if not cleaned:
        return ""
    width = max(map(len, cleaned))
    lines = [row_line(_padded(row, width)) for row in cleaned]
    return "\n".join([lines[0], rule(width), *lines[1:]])


def row_line(cells: Iterable[str]) -> str:
    """A row of a pipe table, of cells in which bars are escaped already."""
    return f"| {' | '.join(cells)} |"


def rule(width: int) -> str:
    """The line below the header of a pipe table with so many columns."""
    return "|" + " --- |" * width


def with_bars_escaped(text: str) -> str:
    """The text as a cell may hold it: its bars divide no cells."""
    return text.replace("|", "\\|")


def flat(rows: Iterable[Sequence[str]]) -> str:
    """A table within a cell: one line, cells and rows told apart."""
    return "<br>".join(" | ".join(filter(None, map(str.strip, row))) for row in rows if any(map(str.strip, row)))


def prose(text: str) -> str:
    """A paragraph whose lines are no heading, fence or underline although they begin like one.

    White space within a line becomes one space; empty lines are left out.
    """
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join("\\" + line if _ACCIDENT.match(line) else line for line in lines if line)


def heading(text: str, level: int) -> str:
    """A heading on one line, whatever white space is in its text; `level` counts from 1."""
    return f"{heading_mark(level)} {' '.join(text.split())}"


def heading_mark(level: int) -> str:
    """What begins a heading; `level` counts from 1, and below six all are the same, because Markdown knows six."""
    return "#" * max(1, min(level, MAX_HEADING_LEVEL))


def fence(code: str) -> str:
    """Backticks to put before and after a listing: at least three, and more than follow each other within it."""
    fences: list[str] = _FENCES.findall(code)
    return max([*fences, "``"], key=len) + "`"


def without_fences(code: str) -> str:
    """The listing with other quotes for each three backticks, for readers that put it between three of them."""
    return code.replace("```", "'''")


def link(text: str, target: str) -> str:
    """A link where it leads out of the document and its words are not its address; else the words."""
    shown = text.strip()
    if not shown or not target.lower().startswith(_SCHEMES) or "[" in shown or "]" in shown or "\n" in shown:
        return text
    if shown.rstrip("/") == target.removeprefix("mailto:").rstrip("/"):
        return text
    return text.replace(shown, f"[{shown}]({percent_encoded(target.strip(), ADDRESS_ENDS)})", 1)


def percent_encoded(address: str, characters: str) -> str:
    """An address without the white space and `characters` (as in a class of a regular expression) that would end it."""
    return re.sub(rf"[\s{characters}]", lambda match: f"%{ord(match.group()):02X}", address)


def _cell(text: str) -> str:
    """On one line; in a cell nothing is a heading or an underline by accident."""
    text = " ".join(text.split())
    plain = text[1:] if text[:1] == "\\" and _ACCIDENT.match(text[1:]) else text
    return with_bars_escaped(plain)


def _trimmed(row: list[str]) -> list[str]:
    """Without the empty cells at the end, which a row is filled up with again as far as others reach."""
    end = len(row)
    while end and not row[end - 1]:
        end -= 1
    return row[:end]


def _padded(row: list[str], width: int) -> list[str]:
    return row + [""] * (min(width, MAX_COLUMNS) - len(row))
