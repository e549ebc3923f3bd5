"""Puts the runs of a tagged page in the order, and into the tables, that its tags state, if these can be believed."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise, takewhile
from math import inf

from rag_assets.text.formats.pdf.glyphs import TextRun
from rag_assets.text.formats.pdf.lines import Inset, Item, Table, TextLine, group_lines, inset, is_right_to_left
from rag_assets.text.formats.pdf.stream_tables import cells_of, column_spans, directed, joined

COVERED_SHARE = 0.9  # of a page's characters, for its tags to say its order
FAULTS, FAULTS_SHARE = 3, 0.1  # steps back up within a column: footnotes and figures; and of all steps to another line
OVERLAP_SHARE = 0.5  # of the narrower one's width: so much below each other are lines of one column
LINE_STEP = 0.5  # of a line's size: less far up are parts of a formula
LINES_SHARE = 0.15  # of the cells of several words begin within a sentence, at most
COLUMN_LINES = 3  # at least, for what is right of them all to be another column
CELL_OVERHANG_POINTS = 2.0  # points that a cell may reach over its column
LONG_CELL, LONG_SHARE = 1_500, 0.5  # characters, and of a table's text: a page's layout, no table


def in_order(runs: Sequence[TextRun]) -> list[TextRun] | None:
    """The runs as the tags order them; None where these name too little of the page, or against its columns."""
    marked = [run for run in runs if run.mark]
    if not marked or _characters(marked) < COVERED_SHARE * _characters(runs):
        return None
    places = {id(run): place for run, place in _places(runs, marked)}
    found = sorted(runs, key=lambda run: places[id(run)])
    return found if _goes_down([run for run in found if run.mark]) else None


def _characters(runs: Sequence[TextRun]) -> int:
    return sum(len(run.text) for run in runs)


def _places(runs: Sequence[TextRun], marked: Sequence[TextRun]) -> Iterator[tuple[TextRun, float]]:
    """What has no tag goes with what is drawn before it; above and below all that has one, it is the first or last."""
    top, bottom = max(run.top for run in marked), min(run.bottom for run in marked)
    last = -1.0
    for run in runs:
        if run.mark:
            last = run.mark.place
            yield run, last
        else:
            yield run, -1.0 if run.bottom >= top else inf if run.top <= bottom else last


def _goes_down(runs: Sequence[TextRun]) -> bool:
    """Whether the order goes down within each column, but for a few steps back to where a note had its mark."""
    steps = faults = 0
    for one, other in pairwise(runs):
        if other.bottom >= one.top or other.top <= one.bottom:
            steps += 1
            faults += other.bottom >= one.top and _are_one_column(one, other)
    return faults <= FAULTS + FAULTS_SHARE * steps


def _are_one_column(one: TextRun, other: TextRun) -> bool:
    shared = min(one.right, other.right) - max(one.left, other.left)
    return shared > OVERLAP_SHARE * min(one.right - one.left, other.right - other.left)


def columns(runs: Sequence[TextRun]) -> Iterator[list[TextRun]]:
    """Parted where the order of `runs` goes back up, or to the other side: to a column, from a note to its text."""
    found: list[TextRun] = []
    lines, right = 1, -inf
    for run in runs:
        is_beyond = lines >= COLUMN_LINES and run.left - right > min(run.size, found[-1].size)
        if found and (is_beyond or _goes_back(found[-1], run)):
            yield found
            found, lines, right = [], 1, -inf
        lines += bool(found) and run.top < found[-1].middle
        found.append(run)
        right = max(right, run.right)
    if found:
        yield found


def _goes_back(one: TextRun, other: TextRun) -> bool:
    """Whether the other run is above one, or before it on the same line."""
    size = other.size or one.size
    if other.bottom - one.top > LINE_STEP * size:
        return True
    is_level = abs(other.middle - one.middle) < LINE_STEP * max(one.height, other.height)
    return is_level and one.left - other.right > size and not is_right_to_left(one.text + other.text)


def with_tables(runs: Sequence[TextRun]) -> list[TextRun]:
    """Each tagged table as an inset at the place of its first run."""
    tables: dict[int, list[TextRun]] = defaultdict(list)
    for run in runs:
        if run.mark and run.mark.cell:
            tables[run.mark.cell[0]].append(run)
    insets = {number: _inset(inside) for number, inside in tables.items()}
    found: list[TextRun] = []
    for run in runs:
        number = run.mark.cell[0] if run.mark and run.mark.cell else 0
        table = insets.get(number)
        if table is None:
            found.append(run)
        elif run is tables[number][0]:
            found.append(table)
    return found


def _inset(runs: Sequence[TextRun]) -> Inset | None:
    items = _items(runs)
    if not items:
        return None
    box = (
        min(p.left for p in runs),
        max(p.right for p in runs),
        min(p.bottom for p in runs),
        max(p.top for p in runs),
    )
    return inset(items, box, place=runs[0].place)


def _items(runs: Sequence[TextRun]) -> list[Item]:
    """The table, and before it the lines over its columns; nothing for what is none, or has each line as a row.

    What only arranges a page is no table: a few long texts, a single column.
    """
    cells: dict[int, dict[int, list[TextRun]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        if run.mark and run.mark.cell:
            _, row, column = run.mark.cell
            cells[row][column].append(run)
    lines = [TextLine([_cell(cell) for _, cell in sorted(line.items())]) for _, line in sorted(cells.items())]
    spans = column_spans(lines)
    titles = list(takewhile(lambda line: _is_title(line, spans), lines))
    lines = lines[len(titles) :]
    several = sum(len(line.runs) > 1 for line in lines)
    if len(lines) < 2 or len(spans) < 2 or 2 * several < len(lines) or _has_one_long_cell(lines):
        return []
    rows = [cells_of(line, spans) for line in lines]
    return [] if _are_lines(rows) else [*titles, Table(directed(rows))]


def _is_title(line: TextLine, spans: Sequence[tuple[float, float]]) -> bool:
    """Whether a row has a single cell that reaches over several columns, or stands between them."""
    (cell, *others) = line.runs
    return not others and not any(
        left - CELL_OVERHANG_POINTS < cell.left and cell.right < right + CELL_OVERHANG_POINTS for left, right in spans
    )


def _has_one_long_cell(lines: Sequence[TextLine]) -> bool:
    sizes = [len(cell.text) for line in lines for cell in line.runs]
    return max(sizes) > LONG_CELL and max(sizes) > LONG_SHARE * sum(sizes)


def _are_lines(rows: Sequence[Sequence[str]]) -> bool:
    """Whether many cells go on with the one above: whoever tagged them saw lines, not rows."""
    cells = [(above[at], cell) for above, row in pairwise(rows) for at, cell in enumerate(row) if " " in cell]
    going_on = sum(" " in above and (cell[0].islower() or cell[0] == "(") for above, cell in cells)
    return going_on > LINES_SHARE * len(cells)


def _cell(runs: Sequence[TextRun]) -> TextRun:
    """All that is in a cell as one run."""
    text = joined(line.text for line in group_lines(runs))
    left, right = min(run.left for run in runs), max(run.right for run in runs)
    return TextRun(text, left, right, runs[-1].bottom, runs[0].top, runs[0].size)
