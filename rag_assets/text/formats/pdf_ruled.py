"""Text in grids that a page draws, to tables: what stands between lines belongs together."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rag_assets.text.formats.pdf_glyphs import Piece
from rag_assets.text.formats.pdf_lines import Item, Row, Table, rows
from rag_assets.text.formats.pdf_rules import Grid
from rag_assets.text.formats.pdf_tables import FULL, corridors, directed, has_numbers_below, joined, wrapped

FULL_LINES = 4  # in one ruled row: they are records that no line parts
THREE = 3  # columns: of two, both may go on in the next line
LONG_CELL, LONG_SHARE = 1_500, 0.5  # characters, and of a grid's text: a page's layout, no table
LONG_OPEN_CELL = 600  # characters, where no upright lines say that it is a table
SPLIT_LINES = 3  # of a cell that are in several pieces: it holds a table, it is no cell
THIN = 7.0  # points: a column between a cell's frame and its text
HEAD_LINES = 3

Cells = dict[tuple[int, int], list[Piece]]  # by row and column


def ruled(grid: Grid, pieces: Sequence[Piece]) -> list[Item]:
    """A table and the lines that stand over it in its grid; empty for a frame, a drawing or the layout of a page."""
    if grid.size == (1, 1):
        return []
    if not grid.is_ruled:
        pieces, grid = _opened(pieces, grid)
    cells = _cells(grid, pieces)
    if not grid.is_ruled or any(map(_is_layout, cells.values())):
        return []
    bands = [{column: cells[at, column] for at, column in cells if at == row} for row in range(grid.size[0])]
    title = list(_title(bands, grid))
    least = FULL_LINES if grid.is_closed or grid.size[1] < THREE else 2
    found = [record for band in bands if band for record in _records(band, grid.size[1], least=least)]
    table = _dense(found, longest=LONG_CELL if grid.is_closed else LONG_OPEN_CELL)
    return [*title, table] if table else []


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


# ---- level lines only


def with_head(grid: Grid, pieces: Sequence[Piece]) -> Grid:
    """The grid with the names of its columns, where no line is drawn above them."""
    left, right, _, top = grid.box
    above = [piece for piece in pieces if piece.bottom > top - piece.height / 2 and left <= piece.middle_x <= right]
    edge, found = top, None
    for row in rows(above)[: -HEAD_LINES - 1 : -1]:
        bottom = min(piece.bottom for piece in row.pieces)
        if row.is_block or bottom - edge > row.height:
            break
        edge = max(piece.top for piece in row.pieces)
        if len(row.pieces) > 1:
            found = edge
    if found is None:
        return grid
    ys = [found, *grid.ys]
    return replace(grid, ys=ys, owner={(row, 0): (row, 0) for row in range(len(ys) - 1)})


def _opened(pieces: Sequence[Piece], grid: Grid) -> tuple[list[Piece], Grid]:
    """The grid with the columns that its text leaves free between them, and the pieces cut there."""
    edges = corridors(rows(pieces), lines=2)
    xs = [min(grid.xs[0], *(piece.left for piece in pieces)), *edges, max(grid.xs[-1], *(p.right for p in pieces))]
    places = [(row, column) for row in range(grid.size[0]) for column in range(len(xs) - 1)]
    cut = [part for piece in pieces for part in piece.cut(edges)]
    return cut, Grid(xs, grid.ys, {place: place for place in places}, is_closed=False)
