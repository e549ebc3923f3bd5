"""What others wrote, as it may be shown: no character that moves the cursor, begins a line, or hides what stands there.

Everything that goes to a terminal or into a log comes through here; paths and messages may hold anything. So do
addresses of servers, whose logins are not shown.
"""

import json
import re

# Control characters, marks that change the direction of text, other ends of lines, bytes that are no UTF-8, and
# characters that nobody sees and programs read: tags, annotations, format characters that are not used any more.
_HIDING = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff\ufff9-\ufffb"
    "\U000e0000-\U000e007f"
)
# A letter or sign has one variation selector at most; several in a row can spell a hidden text.
_SELECTORS = "[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}"
_OF_LINES = re.compile(f"[{_HIDING}]|{_SELECTORS}")
_OF_A_LINE = re.compile(f"[{_HIDING}\t\n]|{_SELECTORS}")

# What stands before the last @ of each address; of several with commas between them, each begins with its scheme, but
# for the first, which may be wrong for want of one.
_LOGIN = re.compile(r"(\w://)(?:(?!,\s*\w+://).)*@|^(?:(?!://).)*@", re.DOTALL)


def line(text: str) -> str:
    r"""A text on one line: what cannot be seen is written as in Python, \x1b or \n."""
    return _OF_A_LINE.sub(_written, text)


def lines(text: str) -> str:
    """The same of a text that may have several lines, and tabs."""
    return _OF_LINES.sub(_written, text)


def json_line(text: str) -> str:
    """The same of an object in JSON, which stays the same object."""
    return _OF_LINES.sub(lambda found: json.dumps(found[0])[1:-1], text)


def address(text: str) -> str:
    """A text with one or several URLs, as http://user:password@host, without what they log in with: http://***@host."""
    return _LOGIN.sub(r"\1***@", text)


def _written(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
