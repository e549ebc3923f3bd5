"""Tells a column of prose from a column of a table, and so whether a gap parts two columns of running text."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from math import inf
from operator import attrgetter
from statistics import median

from rag_assets.text.formats.pdf.glyphs import TextRun
from rag_assets.text.formats.pdf.lines import Inset, TextLine, group_lines
from rag_assets.text.formats.pdf.wrapped_rows import rows_of_lines

GUTTER_OVERHANG_POINTS = 2.0  # points that a column may reach into its gutter
PROSE_CHARACTERS = 14  # in the middle line of a column of prose
PROSE_SHARE = 0.7  # of its characters in runs that are so long
LONG_SHARE = 0.55  # of its runs are so long: code with remarks beside it is no prose
PROSE_WIDTH = 0.6  # of a wide line, that the middle one has: lines of prose are alike, cells are not
FULL_WIDTH = 0.85  # of a wide line: as wide are those that most characters of a column of prose are on
COLUMN_LINES = 4
LINE_CHARACTERS = 20  # at least, in a line that says that there is prose
FAR_APART = 2.0  # times the size or height of a run: no line of prose has such a gap
WHOLE_GAP = 0.9  # times a font's size: further apart are columns
TEXT_SHARE = 0.6  # of a column's characters are on long lines, where lists and formulas leave little prose
MOST_LEADING = 2.2  # times a font's size, at most from one line of a paragraph to the next
SAME_LEVEL = 0.15  # of a font's size, by which lines on one level may differ
SAME_LEVEL_SHARE = 0.5  # of the lines beside others
MOST_CHANGES, CHANGES_SHARE = 3, 0.1  # from one side of a gutter to the other, and of the runs of the smaller side
LINES_OF_RUNS = 10  # at least, of a column whose lines are in several runs each


def has_long_lines(runs: Sequence[TextRun]) -> bool:
    """Whether there may be a column of prose at all: a few lines, or parts of lines, that are long enough for it."""
    found = 0
    for line in group_lines(runs):
        length, right = 0, inf
        for run in sorted(line.runs, key=_left):
            is_near = run.left - right < FAR_APART * max(run.size, run.height)
            length = length + len(run.text) if is_near else len(run.text)
            if length >= PROSE_CHARACTERS:
                found, length = found + 1, 0
            right = max(run.right, right) if right < inf else run.right
        if found >= COLUMN_LINES:
            return True
    return False


_left = attrgetter("left")


def is_gutter(runs: Sequence[TextRun], x: float) -> bool:
    """Whether there is prose on both sides; or on one of them, and the other is no part of its lines.

    The other one is none where the page has one side after the other, as most programs write columns, or where lines of
    both stand on unlike levels. With both signs, lists and formulas on both sides will do.
    """
    before = [run for run in runs if run.right <= x + GUTTER_OVERHANG_POINTS]
    after = [run for run in runs if run.left >= x - GUTTER_OVERHANG_POINTS]
    if not before or not after or not _are_parallel(before, after):
        return False
    sides = _Side(before), _Side(after)
    return _are_columns(sides) and not rows_of_lines(group_lines([*before, *after]), [(-inf, x), (x, inf)])


def _are_columns(sides: "tuple[_Side, _Side]") -> bool:
    before, after = (side.runs for side in sides)
    if all(side.is_prose for side in sides):
        return True
    found = [side.has_prose or (side.is_prose and side.is_text) for side in sides]
    if all(found):
        return True
    if any(found):
        return _are_drawn_apart(before, after) or _are_uneven(*sides)
    return all(side.is_text for side in sides) and _are_drawn_apart(before, after) and _are_uneven(*sides)


class _Side:
    """What is on one side of a gutter; its lines are found when they are asked for, and once."""

    def __init__(self, runs: Sequence[TextRun]) -> None:
        self.runs = runs

    @cached_property
    def lines(self) -> list[TextLine]:
        return group_lines(self.runs)

    @cached_property
    def is_prose(self) -> bool:
        return _is_prose(self)

    @cached_property
    def has_prose(self) -> bool:
        return _has_prose(self.lines)

    @cached_property
    def is_text(self) -> bool:
        return _is_text(self.lines)


def _is_text(rows: Sequence[TextLine]) -> bool:
    """Whether most of it is long enough for running text, as lists between formulas are; labels and numbers are not."""
    long = sum(line.length for line in rows if line.length >= LINE_CHARACTERS and _is_whole(line))
    return long > TEXT_SHARE * sum(line.length for line in rows)


def _are_drawn_apart(one: Sequence[TextRun], other: Sequence[TextRun]) -> bool:
    """Whether the page has all of one side before the other, but for a few runs, and not line by line."""
    places = sorted([(run.place, 0) for run in one] + [(run.place, 1) for run in other])
    changes = sum(before != after for (_, before), (_, after) in pairwise(places))
    return changes <= MOST_CHANGES + CHANGES_SHARE * min(len(one), len(other))


def _are_uneven(one: _Side, other: _Side) -> bool:
    """Whether the lines of both sides follow each other closely, and few are on one level as those of a table are."""
    sides = one.lines, other.lines
    if min(map(len, sides)) < COLUMN_LINES or not all(map(_are_close, sides)):
        return False
    places = sorted(line.middle for line in max(sides, key=len))
    lines = min(sides, key=len)
    level = sum(
        bisect_left(places, line.middle - SAME_LEVEL * line.height)
        < bisect_right(places, line.middle + SAME_LEVEL * line.height)
        for line in lines
    )
    return level < SAME_LEVEL_SHARE * len(lines)


def _are_close(lines: Sequence[TextLine]) -> bool:
    gaps = [above.middle - line.middle for above, line in pairwise(lines)]
    return median(gaps) < MOST_LEADING * median(line.height for line in lines)


def _has_prose(rows: Sequence[TextLine]) -> bool:
    """Whether several lines below each other run from one margin of the column to the other."""
    lines = [line for line in rows if not line.is_inset]
    if sum(line.length >= LINE_CHARACTERS for line in lines) < COLUMN_LINES:
        return False
    left, right = min(line.left for line in lines), max(line.right for line in lines)
    least, count = FULL_WIDTH * (right - left), 0
    for above, line in pairwise([lines[0], *lines]):
        if line.length < LINE_CHARACTERS or line.right - line.left < least or not _is_whole(line):
            count = 0
            continue
        count = count + 1 if above.middle - line.middle < MOST_LEADING * line.height else 1
        if count >= COLUMN_LINES:
            return True
    return False


def is_prose(column: Sequence[TextRun]) -> bool:
    """Whether most of it is in long runs, on lines that are alike; headings, equations and code may be among them."""
    return _is_prose(_Side(column))


def _is_prose(side: _Side) -> bool:
    column = [run for run in side.runs if not isinstance(run, Inset)]
    lengths = [len(run.text) for run in column]
    long = [length for length in lengths if length >= PROSE_CHARACTERS]
    if len(column) < COLUMN_LINES or sum(long) < PROSE_SHARE * sum(lengths) or len(long) < LONG_SHARE * len(lengths):
        return False
    # Runs are the lines of several columns, where these end at different heights.
    runs = [(run.right - run.left, len(run.text)) for run in column]
    if _are_alike(runs):
        return True
    lines = [
        (line.right - line.left, sum(len(run.text) for run in line.runs)) for line in side.lines if not line.is_inset
    ]
    return len(lines) >= LINES_OF_RUNS and _are_alike(lines)


def _are_alike(lines: list[tuple[float, int]]) -> bool:
    """Whether lines, each with its width and length, are those of running text."""
    lines.sort()
    wide = lines[int(len(lines) * 0.9)][0]
    if len(lines) < COLUMN_LINES or median(length for _, length in lines) < PROSE_CHARACTERS:
        return False
    full = sum(length for width, length in lines if width >= FULL_WIDTH * wide)
    return 2 * full > sum(length for _, length in lines) or median(width for width, _ in lines) >= PROSE_WIDTH * wide


def _is_whole(line: TextLine) -> bool:
    """Whether no gap parts it: its runs are words that something else stands between."""
    if len(line.runs) == 1:
        return True
    runs, most = sorted(line.runs, key=_left), WHOLE_GAP * line.height
    return all(other.left - one.right < most for one, other in pairwise(runs))


def _are_parallel(one: Sequence[TextRun], other: Sequence[TextRun]) -> bool:
    """Beside each other over a few lines at least."""
    top = min(max(run.top for run in one), max(run.top for run in other))
    bottom = max(min(run.bottom for run in one), min(run.bottom for run in other))
    return top - bottom > 3 * median(run.height for run in one)
