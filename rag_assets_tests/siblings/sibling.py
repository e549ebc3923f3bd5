"""A file made from code, with what a person wants to find in its text; and what is wrong with a text that came out.

Both sides are compared in one form: NFKC, nothing invisible, the marks of Markdown a space, white space one space,
small letters. In texts without spaces between words, white space is left out.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_INVISIBLE = dict.fromkeys(
    [0xAD, *range(0x200B, 0x2010), 0x2060, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x640]
)
_QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "‐": "-", "‑": "-", "−": "-"})
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_BAR = re.compile(r"(?<!\\)\|")
_MARKS = re.compile(r"</?(?:sup|sub|u|b|i|em|strong|br|mark)\s*/?>|[*_`\\|#>~]", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Sibling:
    """`contain` are to be found, `absent` not to be found as they stand, `order` one behind the other.

    Each of `rows` holds what stands in different cells of one line, in this order.
    """

    name: str
    data: bytes
    contain: Sequence[str] = ()
    absent: Sequence[str] = ()
    order: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    spaced: bool = True


def sibling(
    name: str,
    data: str | bytes,
    *contain: str,
    absent: Sequence[str] = (),
    order: Sequence[str] = (),
    rows: Sequence[Sequence[str]] = (),
    spaced: bool = True,
) -> Sibling:
    """A file of this name; text is written as UTF-8."""
    data = data.encode() if isinstance(data, str) else data
    return Sibling(name=name, data=data, contain=contain, absent=absent, order=order, rows=rows, spaced=spaced)


def faults(wanted: Sibling, text: str) -> Iterator[str]:
    """What is wrong with the text that was read of a file."""
    whole = _plain(text, wanted.spaced)
    lines = [[_plain(cell, wanted.spaced) for cell in _BAR.split(line)] for line in text.split("\n")]
    for words in wanted.contain:
        if _plain(words, wanted.spaced) not in whole:
            yield f"missing: {words}"
    for words in wanted.absent:
        if words in text or words in " ".join(text.split()):
            yield f"unwanted: {words!r}"
    if not _stand_in_order(whole, [_plain(words, wanted.spaced) for words in wanted.order]):
        yield f"order: {' > '.join(wanted.order)}"
    for row in wanted.rows:
        cells = [_plain(cell, wanted.spaced) for cell in row]
        if not any(_has_cells(line, cells) for line in lines):
            yield f"row broken: {' | '.join(row)}"


def _plain(text: str, spaced: bool) -> str:
    text = unicodedata.normalize("NFKC", text).translate(_INVISIBLE).translate(_QUOTES)
    text = _MARKS.sub(" ", _LINK.sub(r"\1", text))
    return (" " if spaced else "").join(text.split()).casefold()


def _has_cells(line: Sequence[str], cells: Sequence[str]) -> bool:
    """Whether each is a part of a cell of its own."""
    left = iter(line)
    return all(any(cell in each for each in left) for cell in cells)


def _stand_in_order(text: str, parts: Sequence[str]) -> bool:
    at = 0
    for part in parts:
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True
