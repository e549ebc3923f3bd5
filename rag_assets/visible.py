"""What others wrote, as it may be shown: no character that moves the cursor, begins a line, or hides what stands there.

Everything that goes to a terminal or into a log comes through here; paths and messages may hold anything.
"""

import re

# Control characters, marks that change the direction of text, other ends of lines, and bytes that are no UTF-8.
_HIDING = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_OF_LINES = re.compile(f"[{_HIDING}]")
_OF_A_LINE = re.compile(f"[{_HIDING}\t\n]")


def line(text: str) -> str:
    r"""A text on one line: what cannot be seen is written as in Python, \x1b or \n."""
    return _OF_A_LINE.sub(_written, text)


def lines(text: str) -> str:
    """The same of a text that may have several lines, and tabs."""
    return _OF_LINES.sub(_written, text)


def json_line(text: str) -> str:
    """The same of an object in JSON, which stays the same object."""
    return _OF_LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _written(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
