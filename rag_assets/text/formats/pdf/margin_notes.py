"""Parts notes in the margin from the running text beside them, which they would make a table of."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from rag_assets.text.formats.pdf.glyphs import BROKEN, TextRun

LEAST_LINES = 3  # lines of a note
EDGE_POINTS = 3.0  # points: lines of a note begin at places that differ by less
MOST_LEADING = 1.8  # times its size, at most from one line of a note to the next
CONTINUED_SHARE = 0.5  # of the lines after the first one go on with a sentence: labels in a table begin one
MOST_WIDTH_SHARE = 0.5  # of the width of the text beside it, at most
TEXT_CHARACTERS = 20  # in the middle line of the text beside it
FREE_LINES_SHARE = 0.25  # of the lines of that text have nothing in the margin, at least: a column of a table is filled
FOREIGN_RUNS, FOREIGN_SHARE = 2, 0.1  # other runs in the margin: running heads; and of the lines of the notes


def part(runs: Sequence[TextRun]) -> tuple[list[TextRun], list[list[TextRun]]]:
    """The runs that are no notes, and the lines of each note, from the top down."""
    found = [note for margin in _margins(runs) for note in _notes(margin, runs)]
    taken = {id(run) for note in found for run in note}
    return [run for run in runs if id(run) not in taken], found


def _margins(runs: Sequence[TextRun]) -> list[list[list[TextRun]]]:
    """What may be notes, together where they begin at the same place."""
    columns: list[list[TextRun]] = []
    for run in sorted((one for one in runs if one.upright and one.size > 0), key=lambda one: one.left):
        if not columns or run.left - columns[-1][0].left > EDGE_POINTS:
            columns.append([])
        columns[-1].append(run)
    margins = (
        [group for group in _close(column) if _goes_on(group)] for column in columns if len(column) >= LEAST_LINES
    )
    return [margin for margin in margins if margin]


def _close(column: list[TextRun]) -> list[list[TextRun]]:
    """Lines that follow each other closely, from the top down."""
    groups: list[list[TextRun]] = []
    for run in sorted(column, key=lambda one: -one.middle):
        if not groups or groups[-1][-1].middle - run.middle > MOST_LEADING * run.size:
            groups.append([])
        groups[-1].append(run)
    return groups


def _goes_on(lines: Sequence[TextRun]) -> bool:
    """Whether these are sentences, parted where the lines end; types and units in a table are words by themselves."""
    if len(lines) < LEAST_LINES or sum(len(line.text.split()) for line in lines) <= len(lines):
        return False
    found = sum(above.text.endswith(BROKEN) or line.text[:1].islower() for above, line in pairwise(lines))
    return found >= CONTINUED_SHARE * (len(lines) - 1)


def _notes(margin: list[list[TextRun]], runs: Sequence[TextRun]) -> list[list[TextRun]]:
    """Those of them that have wider text beside them, if next to nothing else is in their margin."""
    left, right = min(one[0].left for one in margin), max(line.right for note in margin for line in note)
    mine = {id(line) for note in margin for line in note}
    others = [run for run in runs if id(run) not in mine and run.upright]
    foreign = sum(run.left < right and left < run.right for run in others)
    if foreign > FOREIGN_RUNS + FOREIGN_SHARE * len(mine):
        return []
    sides = [run for run in others if run.right <= left], [run for run in others if run.left >= right]
    return [note for note in margin if any(_is_beside(note, margin, side) for side in sides)]


def _is_beside(note: Sequence[TextRun], margin: Sequence[Sequence[TextRun]], side: Sequence[TextRun]) -> bool:
    """Whether a note stands beside running text, most of which has a free margin."""
    level = [run for run in side if note[-1].bottom < run.middle < note[0].top]
    if len(level) < LEAST_LINES:
        return False
    wide = max(run.right - run.left for run in level)
    if max(line.right for line in note) - note[0].left > MOST_WIDTH_SHARE * wide:
        return False
    text = _column(level, side)
    beside = sum(any(one[-1].bottom < run.middle < one[0].top for one in margin) for run in text)
    is_text = _goes_on(text) and median(len(run.text) for run in text) >= TEXT_CHARACTERS
    return is_text and len(text) - beside >= FREE_LINES_SHARE * len(text)


def _column(level: Sequence[TextRun], side: Sequence[TextRun]) -> list[TextRun]:
    """All lines that are as far to the left as the widest one beside a note, or begin a paragraph."""
    widest = max(level, key=lambda run: run.right - run.left)
    found = [run for run in side if abs(run.left - widest.left) < EDGE_POINTS + 2 * widest.size]
    return sorted(found, key=lambda run: -run.middle)
