"""Lines for a terminal of any width: what is longer goes on below, under where it began."""

import os
import shutil
import sys
import unicodedata
from collections.abc import Iterator

LEAST_COLUMNS = 12  # columns for the text itself, however narrow the terminal is


def width() -> int | None:
    """Columns of the terminal behind standard output; None where lines go elsewhere and stay whole.

    The variable COLUMNS says another number.
    """
    if not (sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()):
        return None
    return shutil.get_terminal_size().columns


def wrapped(text: str, *, indent: int, columns: int | None) -> str:
    """The text in lines of so many columns, those after the first one indented; words stay whole where they fit."""
    if columns is None or cells(text) <= columns:
        return text
    return ("\n" + " " * min(indent, max(0, columns - LEAST_COLUMNS))).join(
        _lines(text, indent=indent, columns=columns)
    )


def cells(text: str) -> int:
    """How many columns a text takes in a terminal: two for a sign of Chinese, Japanese or Korean, none for accents."""
    return sum(map(_cells, text))


def _cells(sign: str) -> int:
    if unicodedata.combining(sign):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def _lines(text: str, *, indent: int, columns: int) -> Iterator[str]:
    room, rest = columns, text
    while cells(rest) > room:
        end = _end(rest, room)
        yield rest[:end].rstrip()
        rest = rest[end:].lstrip()
        room = max(columns - indent, min(LEAST_COLUMNS, columns))
    if rest:
        yield rest


def _end(text: str, room: int) -> int:
    """Where the first line ends: after its last word that fits, or within a word that fits in no line."""
    end, used = 0, 0
    for end, sign in enumerate(text):  # noqa: B007 - the sign that is too many
        used += _cells(sign)
        if used > room:
            break
    end = max(end, 1)
    last = text.rfind(" ", 0, end + 1)
    return last + 1 if last > 0 and text[:last].strip() else end
