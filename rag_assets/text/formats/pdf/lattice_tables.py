"""Makes tables of the text in grids that a page draws: what stands between drawn lines belongs together.

What Tabula and Camelot call "lattice"; cells follow from the crossings of lines as in Nurminen, "Algorithmic Extraction
of Data in Tables in PDF Documents" (2013).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise, takewhile
from statistics import median

from rag_assets.text.formats.pdf.glyphs import TextRun
from rag_assets.text.formats.pdf.lines import Item, Table, TextLine, group_lines
from rag_assets.text.formats.pdf.rulings import NEAR_POINTS, Grid
from rag_assets.text.formats.pdf.stream_tables import (
    FULL_ROW_SHARE,
    column_gaps,
    directed,
    has_numbers_below,
    joined,
    with_continuations,
)

FULL_LINES = 4  # in one ruled row: they are rows that no line parts
LEAST_COLUMNS = 3  # columns: of two, both may go on in the next line
LONG_CELL, LONG_SHARE = 1_500, 0.5  # characters, and of a grid's text: a page's layout, no table
LONG_OPEN_CELL = 600  # characters, where no upright lines say that it is a table
SPLIT_LINES = 3  # of a cell that are in several runs: it holds a table, it is no cell
THIN_COLUMN_POINTS = 7.0  # points: a column between a cell's frame and its text
CELL_LINES = 0.3  # of a line's height, at most between two lines of a cell
END_LINES = 3  # above or below a grid, that may be rows of it
HEADING_SIZE = 1.15  # times the usual size of a table: a heading

Cells = dict[tuple[int, int], list[TextRun]]  # by row and column


def ruled(grid: Grid, runs: Sequence[TextRun]) -> list[Item]:
    """A table and the lines that stand over it in its grid; empty for a frame, a drawing or the layout of a page."""
    if grid.size == (1, 1):
        return []
    if not grid.has_columns:
        runs, grid = _opened(runs, grid)
    grid = _with_columns(grid, runs)
    cells = _cells(grid, runs)
    if not grid.has_columns or any(map(_holds_a_table, cells.values())):
        return []
    bands = [{column: cells[at, column] for at, column in cells if at == row} for row in range(grid.size[0])]
    title = list(_title(bands, grid))
    least = FULL_LINES if grid.is_closed or grid.size[1] < LEAST_COLUMNS else 2
    found = [row for band in bands if band for row in _rows_between(band, grid.size[1], least=least)]
    table = _dense(found, longest=LONG_CELL if grid.is_closed else LONG_OPEN_CELL)
    return [*title, table] if table else []


def _with_columns(grid: Grid, runs: Sequence[TextRun]) -> Grid:
    """The grid with its columns also in rows that no upright line parts, where the text keeps to them.

    Some styles of tables draw lines in every other row only. Text in one column alone may be a title of the table,
    unless it begins where other text of that column does.
    """
    width = grid.size[1]
    whole = {row for row in range(grid.size[0]) if all(grid.owner[row, at] == (row, 0) for at in range(width))}
    if not whole or len(whole) == grid.size[0]:
        return grid
    lines: dict[int, list[TextRun]] = defaultdict(list)
    for run in runs:
        if cell := grid.cell(run.middle_x, run.middle):
            lines[cell[0]].append(run)
    lefts = {(grid.column(p.middle_x), round(p.left)) for row in lines.keys() - whole for p in lines[row]}
    parted = [row for row in whole if _keeps_to_columns(lines[row], lefts, grid)]
    return replace(grid, owner=grid.owner | {(row, at): (row, at) for row in parted for at in range(width)})


def _keeps_to_columns(line: Sequence[TextRun], lefts: Collection[tuple[int | None, int]], grid: Grid) -> bool:
    if any(run.left < x < run.right for run in line for x in grid.xs[1:-1]):
        return False
    columns = {grid.column(run.middle_x) for run in line}
    return len(columns) > 1 or (0 not in columns and {(*columns, round(run.left)) for run in line} <= set(lefts))


def _cells(grid: Grid, runs: Sequence[TextRun]) -> Cells:
    """By the first column of a cell that is wide enough for text."""
    place: dict[tuple[int, int], int] = {}
    for (_, column), owner in sorted(grid.owner.items()):
        if owner not in place or _width(grid, place[owner]) < THIN_COLUMN_POINTS <= _width(grid, column):
            place[owner] = column
    cells: Cells = defaultdict(list)
    for run in runs:
        cell = grid.cell(run.middle_x, run.middle)
        if cell:
            cells[cell[0], place[cell]].append(run)
    return cells


def _width(grid: Grid, column: int) -> float:
    return grid.xs[column + 1] - grid.xs[column]


def _holds_a_table(cell: Sequence[TextRun]) -> bool:
    return len(cell) > SPLIT_LINES and sum(len(row.runs) > 1 for row in group_lines(cell)) >= SPLIT_LINES


def _title(bands: list[dict[int, list[TextRun]]], grid: Grid) -> Iterator[TextLine]:
    """Lines of the first rows that are one cell; they are taken out of `bands`."""
    width = grid.size[1]
    for at, band in enumerate(bands):
        if any(grid.owner[at, column] != grid.owner[at, 0] for column in range(width)):
            return
        yield from group_lines([run for cell in band.values() for run in cell])
        band.clear()


def _rows_between(cells: dict[int, list[TextRun]], width: int, *, least: int) -> list[list[str]]:
    """Rows between two level lines: one, unless `least` lines fill all cells, or numbers stand below each other."""
    columns = {id(run): column for column, runs in cells.items() for run in runs}
    lines = [_placed(line, columns, width) for line in group_lines([run for found in cells.values() for run in found])]
    full = [line for line in lines if sum(map(bool, line)) > FULL_ROW_SHARE * len(cells)]
    whole = [line for line in full if sum(map(bool, line)) == len(cells)]
    if len(full) > 1 and len(cells) > 1 and (len(whole) >= least or has_numbers_below(full)):
        return with_continuations(lines)
    return [[joined(row.text for row in group_lines(cells[at])) if at in cells else "" for at in range(width)]]


def _placed(line: TextLine, columns: dict[int, int], width: int) -> list[str]:
    cells = [""] * width
    for run in line.runs:
        at = columns[id(run)]
        cells[at] = f"{cells[at]} {run.text}".strip()
    return cells


def _dense(rows: Sequence[list[str]], *, longest: int) -> Table | None:
    """Without the columns that have nothing in them; None when less than a table is left."""
    if not rows:
        return None
    kept = [at for at in range(len(rows[0])) if any(row[at] for row in rows)]
    sizes = [len(cell) for row in rows for cell in row]
    several = sum(sum(map(bool, row)) > 1 for row in rows)
    if len(kept) < 2 or len(rows) < 2 or 2 * several < len(rows):
        return None
    if max(sizes) > longest and max(sizes) > LONG_SHARE * sum(sizes):
        return None
    return Table(directed([[row[at] for at in kept] for row in rows]))


# ---- level lines only, bands of color


def completed(drawn: Grid, runs: Sequence[TextRun]) -> Iterator[Grid]:
    """What a drawing without upright lines leaves to the text: where a table begins, where another one does."""
    if drawn.is_banded:
        yield _with_ends(drawn, runs)
    elif drawn.is_closed:
        yield drawn
    else:
        yield from (_with_head(grid, runs) for grid in _parted(drawn, runs))


def _parted(grid: Grid, runs: Sequence[TextRun]) -> Iterator[Grid]:
    """Two tables of the same width, if a heading stands between them."""
    left, right, bottom, top = grid.box
    inside = [run for run in runs if left <= run.middle_x <= right and bottom <= run.middle <= top]
    usual = median(run.size for run in inside) if inside else 0.0
    places = [row.middle for row in group_lines(inside) if len(row.runs) == 1 and row.height >= HEADING_SIZE * usual]
    for above, below in pairwise([float("inf"), *places, float("-inf")]):
        ys = [y for y in grid.ys if below < y < above]
        if len(ys) > 1:
            yield replace(grid, ys=ys, owner={(row, 0): (row, 0) for row in range(len(ys) - 1)})


def _with_head(grid: Grid, runs: Sequence[TextRun]) -> Grid:
    """The grid with the names of its columns, where no line is drawn above them."""
    head = _reach(_above(grid, runs))
    return _extended(grid, [grid.ys[0] + head, *grid.ys] if head else grid.ys)


def _with_ends(grid: Grid, runs: Sequence[TextRun]) -> Grid:
    """The grid with its first and last row, where these have no color as every other one has none."""
    head, foot = (
        _reach(takewhile(lambda line: _fits(line[0], grid), lines), apart=CELL_LINES)
        for lines in (_above(grid, runs), _below(grid, runs))
    )
    ys = [grid.ys[0] + head, *grid.ys] if head else grid.ys
    return _extended(grid, [*ys, grid.ys[-1] - foot] if foot else ys)


def _extended(grid: Grid, ys: list[float]) -> Grid:
    places = [(row, column) for row in range(len(ys) - 1) for column in range(grid.size[1])]
    return replace(grid, ys=ys, owner={place: place for place in places})


def _above(grid: Grid, runs: Sequence[TextRun]) -> list[tuple[TextLine, float, float]]:
    """Some lines over a grid, from the bottom up, each with the distances of its edges."""
    left, right, _, top = grid.box
    over = [run for run in runs if run.bottom > top - run.height / 2 and left <= run.middle_x <= right]
    lines = group_lines(over)[: -END_LINES - 1 : -1]
    return [(row, min(p.bottom for p in row.runs) - top, max(p.top for p in row.runs) - top) for row in lines]


def _below(grid: Grid, runs: Sequence[TextRun]) -> list[tuple[TextLine, float, float]]:
    left, right, bottom, _ = grid.box
    under = [run for run in runs if run.top < bottom + run.height / 2 and left <= run.middle_x <= right]
    lines = group_lines(under)[:END_LINES]
    return [(row, bottom - max(p.top for p in row.runs), bottom - min(p.bottom for p in row.runs)) for row in lines]


def _reach(lines: Iterable[tuple[TextLine, float, float]], *, apart: float = 1.0) -> float:
    """How far the lines go that follow each other closely from a grid's edge, up to the last with several runs."""
    edge = found = 0.0
    for row, near, far in lines:
        if row.is_inset or near - edge > row.height * (apart if edge else 1):
            break
        edge = far
        if len(row.runs) > 1 or (found and apart < 1):  # so near to it is the rest of a cell
            found = edge
    return found


def _fits(row: TextLine, grid: Grid) -> bool:
    return not any(
        run.left < x - NEAR_POINTS and run.right > x + NEAR_POINTS for run in row.runs for x in grid.xs[1:-1]
    )


def _opened(runs: Sequence[TextRun], grid: Grid) -> tuple[list[TextRun], Grid]:
    """The grid with the columns that its text leaves free between them, and the runs cut there."""
    edges = column_gaps(group_lines(runs), lines=2)
    xs = [min(grid.xs[0], *(run.left for run in runs)), *edges, max(grid.xs[-1], *(p.right for p in runs))]
    places = [(row, column) for row in range(grid.size[0]) for column in range(len(xs) - 1)]
    cut = [part for run in runs for part in run.cut(edges)]
    return cut, Grid(xs, grid.ys, {place: place for place in places}, is_closed=False)
