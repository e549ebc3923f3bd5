"""Finds rows of a table without drawn lines whose cells are wrapped: white space goes through all of its columns.

In running text beside other running text, paragraphs of both hardly ever begin and end on the same levels; in a table,
each row does, and its cells have unlike numbers of lines.
"""

from collections.abc import Sequence
from itertools import pairwise

from rag_assets.text.formats.pdf.lines import TextLine

MOST_CELL_LEADING = 1.5  # times a font's size, between lines of a cell
LEAST_ROW_LEADING = 1.15  # times the distance of a cell's lines, between rows
LEAST_ROWS, MOST_LINES = 3, 10  # of a table; of one of its rows
BEGUN_ROWS_SHARE = 0.8  # of the rows begin in several columns at once
WRAPPED_SHARE, UNEVEN_SHARE, LEAST_UNEVEN = 0.4, 0.3, 2  # of the rows have several lines; unlike numbers of lines

Span = tuple[float, float]


def rows_of_lines(lines: Sequence[TextLine], columns: Sequence[Span]) -> list[list[TextLine]]:
    """The lines of each row; empty where they are no rows of wrapped cells. `columns` stand side by side."""
    groups = _groups(lines)
    if len(groups) < LEAST_ROWS or max(map(len, groups)) > MOST_LINES:
        return []
    counts = [_lines_of_cells(group, columns) for group in groups]
    begun = sum(sum(_cells(group[0], columns)) > 1 for group in groups)
    several = sum(len(group) > 1 for group in groups)
    uneven = sum(len(set(filter(None, cells))) > 1 for cells in counts)
    is_table = begun >= BEGUN_ROWS_SHARE * len(groups) and several >= WRAPPED_SHARE * len(groups)
    return groups if is_table and uneven >= max(LEAST_UNEVEN, UNEVEN_SHARE * len(groups)) else []


def _groups(lines: Sequence[TextLine]) -> list[list[TextLine]]:
    """Lines that follow each other closely, where others stand further apart."""
    gaps = [one.middle - other.middle for one, other in pairwise(lines)]
    if not gaps or not 0 < min(gaps) <= MOST_CELL_LEADING * max(line.height for line in lines):
        return []
    groups = [[lines[0]]]
    for gap, line in zip(gaps, lines[1:], strict=True):
        if gap < LEAST_ROW_LEADING * min(gaps):
            groups[-1].append(line)
        else:
            groups.append([line])
    return groups


def _lines_of_cells(group: Sequence[TextLine], columns: Sequence[Span]) -> list[int]:
    return [sum(cells) for cells in zip(*(_cells(line, columns) for line in group), strict=True)]


def _cells(line: TextLine, columns: Sequence[Span]) -> list[bool]:
    """Whether each column has something on a line."""
    return [any(left <= run.middle_x < right for run in line.runs) for left, right in columns]


def leading_lines(lines: Sequence[TextLine]) -> tuple[int, list[Span]]:
    """How many lines from the first one on keep to the columns that its runs begin, and these columns."""
    columns = sorted((run.left, run.right) for run in lines[0].runs)
    for at, line in enumerate(lines):
        grown = list(columns)
        for run in line.runs:
            over = [n for n, (left, right) in enumerate(grown) if run.left < right and left < run.right]
            if len(over) != 1 or line.is_inset:
                return at, columns
            left, right = grown[over[0]]
            grown[over[0]] = min(left, run.left), max(right, run.right)
        if any(one[1] > other[0] for one, other in pairwise(grown)):
            return at, columns
        columns = grown
    return len(lines), columns
