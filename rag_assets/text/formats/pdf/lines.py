"""Runs of text are grouped into lines; these, tables, listings and insets with a place of their own make up a page."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from rag_assets.text.formats.pdf.glyphs import TextRun
from rag_assets.text.formats.pdf.rulings import Box

# The blocks of Unicode in which letters that run to the left stand; others stand there, too.
_MAY_RUN_LEFT = re.compile("[\u0590-\u08ff\u200f\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff]")
SAME_LEVEL_POINTS = 6.0  # points: insets whose upper edges differ by less stand beside each other


@dataclass(slots=True)
class TextLine:
    """Runs on one line, in reading order."""

    runs: list[TextRun]
    new_region: bool = False  # the first line of a column or band

    @property
    def is_inset(self) -> bool:
        """Whether it stands for an Inset, such as a table, and not for text."""
        return isinstance(self.runs[0], Inset)

    @property
    def text(self) -> str:
        """Its runs with spaces between them."""
        return " ".join(run.text for run in self.runs)

    @property
    def length(self) -> int:
        """The length of its text, in characters."""
        return sum(len(run.text) for run in self.runs) + len(self.runs) - 1

    @property
    def longest(self) -> TextRun:
        """The run with most characters, whose place and size count for those of the line."""
        return self.runs[0] if len(self.runs) == 1 else max(self.runs, key=_length)

    @property
    def height(self) -> float:
        """The font's size of its longest run, in points."""
        return self.longest.size

    @property
    def left(self) -> float:
        """Its left edge, in points."""
        return self.runs[0].left if len(self.runs) == 1 else min(run.left for run in self.runs)

    @property
    def right(self) -> float:
        """Its right edge, in points."""
        return self.runs[0].right if len(self.runs) == 1 else max(run.right for run in self.runs)

    @property
    def top(self) -> float:
        """The upper edge of an inset, the middle of a line of text, in points from the bottom of the page."""
        return self.runs[0].top if self.is_inset else self.middle

    @property
    def middle(self) -> float:
        """The middle of its longest run, in points from the bottom of the page."""
        return self.longest.middle

    @property
    def fixed(self) -> bool:
        """Whether all of it is in a font whose letters have one width."""
        return all(run.fixed for run in self.runs)

    @property
    def bold(self) -> bool:
        """Whether all runs with letters or digits are bold."""
        return all(run.bold for run in self.runs if any(map(str.isalnum, run.text)))


@dataclass(slots=True)
class Table:
    """Rows of cells; the first one is the header."""

    rows: list[list[str]] = field(default_factory=list)
    new_region: bool = True


@dataclass(slots=True)
class Listing:
    """Lines of code, with their indentation."""

    lines: list[str]
    new_region: bool = True


Item = TextLine | Table | Listing


@dataclass(slots=True)
class Inset(TextRun):
    """Something with a place of its own on the page: a table, or all that stands in a frame."""

    items: list[Item] = field(default_factory=list)


def inset(items: list[Item], box: Box, *, place: int) -> Inset:
    """What was read within a box, as one run that stands for all of it among the runs beside it."""
    return Inset("", *box, size=0.0, place=place, items=items)


def group_lines(runs: Sequence[TextRun]) -> list[TextLine]:
    """Runs on the same line together, from the top down; an inset stands before what begins beside or below it."""
    insets = [run for run in runs if isinstance(run, Inset)]
    free = [run for run in runs if not isinstance(run, Inset)] if insets else runs
    found: list[list[TextRun]] = []
    first, height = 0.0, 0.0  # the middle and the height of the line's first run
    for run in sorted(free, key=_middle, reverse=True):
        middle, mine = (run.top + run.bottom) / 2, run.top - run.bottom
        if found and abs(first - middle) < 0.5 * max(height, mine):
            found[-1].append(run)
        else:
            found.append([run])
            first, height = middle, mine
    lines = [TextLine(along(line)) for line in found]
    for item in sorted(insets, key=lambda one: (round(one.top / SAME_LEVEL_POINTS), -one.left)):  # the last one first
        below = next((n for n, row in enumerate(lines) if row.top <= item.top), len(lines))
        lines.insert(below, TextLine([item], new_region=True))
    return lines


def along(line: list[TextRun]) -> list[TextRun]:
    """The runs of a line as they are read, from the left or from the right."""
    if len(line) == 1:
        return line
    is_plain = all(run.text.isascii() for run in line)
    reverse = not is_plain and is_right_to_left("".join(run.text for run in line))
    return sorted(line, key=_left, reverse=reverse)


def is_right_to_left(text: str) -> bool:
    """Whether more than a third of it is in letters that run to the left."""
    if text.isascii() or not _MAY_RUN_LEFT.search(text):
        return False
    return 3 * sum(unicodedata.bidirectional(letter) in ("R", "AL") for letter in text) > len(text)


def _length(run: TextRun) -> int:
    return len(run.text)


def _middle(run: TextRun) -> float:
    return run.top + run.bottom


_left = attrgetter("left")
