"""Text in grids that a page draws, to tables: what stands between lines belongs together."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise, takewhile
from statistics import median

from rag_assets.text.formats.pdf.glyphs import Piece
from rag_assets.text.formats.pdf.lines import Item, Row, Table, rows
from rag_assets.text.formats.pdf.rulings import NEAR, Grid
from rag_assets.text.formats.pdf.stream_tables import FULL, corridors, directed, has_numbers_below, joined, wrapped

FULL_LINES = 4  # in one ruled row: they are records that no line parts
THREE = 3  # columns: of two, both may go on in the next line
LONG_CELL, LONG_SHARE = 1_500, 0.5  # characters, and of a grid's text: a page's layout, no table
LONG_OPEN_CELL = 600  # characters, where no upright lines say that it is a table
SPLIT_LINES = 3  # of a cell that are in several pieces: it holds a table, it is no cell
THIN = 7.0  # points: a column between a cell's frame and its text
CELL_LINES = 0.3  # of a line's height, at most between two lines of a cell
END_LINES = 3  # above or below a grid, that may be rows of it
LARGE = 1.15  # times the usual size of a table: a heading

Cells = dict[tuple[int, int], list[Piece]]  # by row and column


def ruled(grid: Grid, pieces: Sequence[Piece]) -> list[Item]:
    """A table and the lines that stand over it in its grid; empty for a frame, a drawing or the layout of a page."""
    if grid.size == (1, 1):
        return []
    if not grid.is_ruled:
        pieces, grid = _opened(pieces, grid)
    grid = _with_columns(grid, pieces)
    cells = _cells(grid, pieces)
    if not grid.is_ruled or any(map(_is_layout, cells.values())):
        return []
    bands = [{column: cells[at, column] for at, column in cells if at == row} for row in range(grid.size[0])]
    title = list(_title(bands, grid))
    least = FULL_LINES if grid.is_closed or grid.size[1] < THREE else 2
    found = [record for band in bands if band for record in _records(band, grid.size[1], least=least)]
    table = _dense(found, longest=LONG_CELL if grid.is_closed else LONG_OPEN_CELL)
    return [*title, table] if table else []


def _with_columns(grid: Grid, pieces: Sequence[Piece]) -> Grid:
    """The grid with its columns also in rows that no upright line parts, where the text keeps to them.

    Some styles of tables draw lines in every other row only. Text in one column alone may be a title of the table,
    unless it begins where other text of that column does.
    """
    width = grid.size[1]
    whole = {row for row in range(grid.size[0]) if all(grid.owner[row, at] == (row, 0) for at in range(width))}
    if not whole or len(whole) == grid.size[0]:
        return grid
    lines: dict[int, list[Piece]] = defaultdict(list)
    for piece in pieces:
        if cell := grid.cell(piece.middle_x, piece.middle):
            lines[cell[0]].append(piece)
    lefts = {(grid.column(p.middle_x), round(p.left)) for row in lines.keys() - whole for p in lines[row]}
    parted = [row for row in whole if _keeps_to_columns(lines[row], lefts, grid)]
    return replace(grid, owner=grid.owner | {(row, at): (row, at) for row in parted for at in range(width)})


def _keeps_to_columns(line: Sequence[Piece], lefts: Collection[tuple[int | None, int]], grid: Grid) -> bool:
    if any(piece.left < x < piece.right for piece in line for x in grid.xs[1:-1]):
        return False
    columns = {grid.column(piece.middle_x) for piece in line}
    return len(columns) > 1 or (0 not in columns and {(*columns, round(piece.left)) for piece in line} <= set(lefts))


def _cells(grid: Grid, pieces: Sequence[Piece]) -> Cells:
    """By the first column of a cell that is wide enough for text."""
    place: dict[tuple[int, int], int] = {}
    for (_, column), owner in sorted(grid.owner.items()):
        if owner not in place or _width(grid, place[owner]) < THIN <= _width(grid, column):
            place[owner] = column
    cells: Cells = defaultdict(list)
    for piece in pieces:
        cell = grid.cell(piece.middle_x, piece.middle)
        if cell:
            cells[cell[0], place[cell]].append(piece)
    return cells


def _width(grid: Grid, column: int) -> float:
    return grid.xs[column + 1] - grid.xs[column]


def _is_layout(cell: Sequence[Piece]) -> bool:
    return len(cell) > SPLIT_LINES and sum(len(row.pieces) > 1 for row in rows(cell)) >= SPLIT_LINES


def _title(bands: list[dict[int, list[Piece]]], grid: Grid) -> Iterator[Row]:
    """Lines of the first rows that are one cell; they are taken out of `bands`."""
    width = grid.size[1]
    for at, band in enumerate(bands):
        if any(grid.owner[at, column] != grid.owner[at, 0] for column in range(width)):
            return
        yield from rows([piece for cell in band.values() for piece in cell])
        band.clear()


def _records(cells: dict[int, list[Piece]], width: int, *, least: int) -> list[list[str]]:
    """Records between two level lines: one, unless `least` lines fill all cells, or numbers stand below each other."""
    columns = {id(piece): column for column, pieces in cells.items() for piece in pieces}
    lines = [_placed(line, columns, width) for line in rows([piece for found in cells.values() for piece in found])]
    full = [line for line in lines if sum(map(bool, line)) > FULL * len(cells)]
    whole = [line for line in full if sum(map(bool, line)) == len(cells)]
    if len(full) > 1 and len(cells) > 1 and (len(whole) >= least or has_numbers_below(full)):
        return wrapped(lines)
    return [[joined(row.text for row in rows(cells[at])) if at in cells else "" for at in range(width)]]


def _placed(line: Row, columns: dict[int, int], width: int) -> list[str]:
    cells = [""] * width
    for piece in line.pieces:
        at = columns[id(piece)]
        cells[at] = f"{cells[at]} {piece.text}".strip()
    return cells


def _dense(records: Sequence[list[str]], *, longest: int) -> Table | None:
    """Without the columns that have nothing in them; None when less than a table is left."""
    if not records:
        return None
    kept = [at for at in range(len(records[0])) if any(record[at] for record in records)]
    sizes = [len(cell) for record in records for cell in record]
    several = sum(sum(map(bool, record)) > 1 for record in records)
    if len(kept) < 2 or len(records) < 2 or 2 * several < len(records):
        return None
    if max(sizes) > longest and max(sizes) > LONG_SHARE * sum(sizes):
        return None
    return Table(directed([[record[at] for at in kept] for record in records]))


# ---- level lines only, bands of color


def completed(drawn: Grid, pieces: Sequence[Piece]) -> Iterator[Grid]:
    """What a drawing without upright lines leaves to the text: where a table begins, where another one does."""
    if drawn.is_banded:
        yield _with_ends(drawn, pieces)
    elif drawn.is_closed:
        yield drawn
    else:
        yield from (_with_head(grid, pieces) for grid in _parted(drawn, pieces))


def _parted(grid: Grid, pieces: Sequence[Piece]) -> Iterator[Grid]:
    """Two tables of the same width, if a heading stands between them."""
    left, right, bottom, top = grid.box
    inside = [piece for piece in pieces if left <= piece.middle_x <= right and bottom <= piece.middle <= top]
    usual = median(piece.size for piece in inside) if inside else 0.0
    places = [row.middle for row in rows(inside) if len(row.pieces) == 1 and row.height >= LARGE * usual]
    for above, below in pairwise([float("inf"), *places, float("-inf")]):
        ys = [y for y in grid.ys if below < y < above]
        if len(ys) > 1:
            yield replace(grid, ys=ys, owner={(row, 0): (row, 0) for row in range(len(ys) - 1)})


def _with_head(grid: Grid, pieces: Sequence[Piece]) -> Grid:
    """The grid with the names of its columns, where no line is drawn above them."""
    head = _reach(_above(grid, pieces))
    return _extended(grid, [grid.ys[0] + head, *grid.ys] if head else grid.ys)


def _with_ends(grid: Grid, pieces: Sequence[Piece]) -> Grid:
    """The grid with its first and last row, where these have no color as every other one has none."""
    head, foot = (
        _reach(takewhile(lambda line: _fits(line[0], grid), lines), apart=CELL_LINES)
        for lines in (_above(grid, pieces), _below(grid, pieces))
    )
    ys = [grid.ys[0] + head, *grid.ys] if head else grid.ys
    return _extended(grid, [*ys, grid.ys[-1] - foot] if foot else ys)


def _extended(grid: Grid, ys: list[float]) -> Grid:
    places = [(row, column) for row in range(len(ys) - 1) for column in range(grid.size[1])]
    return replace(grid, ys=ys, owner={place: place for place in places})


def _above(grid: Grid, pieces: Sequence[Piece]) -> list[tuple[Row, float, float]]:
    """Some lines over a grid, from the bottom up, each with the distances of its edges."""
    left, right, _, top = grid.box
    over = [piece for piece in pieces if piece.bottom > top - piece.height / 2 and left <= piece.middle_x <= right]
    lines = rows(over)[: -END_LINES - 1 : -1]
    return [(row, min(p.bottom for p in row.pieces) - top, max(p.top for p in row.pieces) - top) for row in lines]


def _below(grid: Grid, pieces: Sequence[Piece]) -> list[tuple[Row, float, float]]:
    left, right, bottom, _ = grid.box
    under = [piece for piece in pieces if piece.top < bottom + piece.height / 2 and left <= piece.middle_x <= right]
    lines = rows(under)[:END_LINES]
    return [(row, bottom - max(p.top for p in row.pieces), bottom - min(p.bottom for p in row.pieces)) for row in lines]


def _reach(lines: Iterable[tuple[Row, float, float]], *, apart: float = 1.0) -> float:
    """How far the lines go that follow each other closely from a grid's edge, up to the last with several pieces."""
    edge = found = 0.0
    for row, near, far in lines:
        if row.is_block or near - edge > row.height * (apart if edge else 1):
            break
        edge = far
        if len(row.pieces) > 1 or (found and apart < 1):  # so near to it is the rest of a cell
            found = edge
    return found


def _fits(row: Row, grid: Grid) -> bool:
    return not any(piece.left < x - NEAR and piece.right > x + NEAR for piece in row.pieces for x in grid.xs[1:-1])


def _opened(pieces: Sequence[Piece], grid: Grid) -> tuple[list[Piece], Grid]:
    """The grid with the columns that its text leaves free between them, and the pieces cut there."""
    edges = corridors(rows(pieces), lines=2)
    xs = [min(grid.xs[0], *(piece.left for piece in pieces)), *edges, max(grid.xs[-1], *(p.right for p in pieces))]
    places = [(row, column) for row in range(grid.size[0]) for column in range(len(xs) - 1)]
    cut = [part for piece in pieces for part in piece.cut(edges)]
    return cut, Grid(xs, grid.ys, {place: place for place in places}, is_closed=False)
