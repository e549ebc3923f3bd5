"""Pieces of a tagged page in the order and in the tables that its tags state, where these can be believed."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise, takewhile
from math import inf

from rag_assets.text.formats.pdf.glyphs import Piece
from rag_assets.text.formats.pdf.lines import Block, Item, Row, Table, block, is_right_to_left, rows
from rag_assets.text.formats.pdf.stream_tables import columns_of, directed, joined, place

COVERED = 0.9  # of a page's characters, for its tags to say its order
FAULTS, FAULTS_SHARE = 3, 0.1  # steps back up within a column: footnotes and figures; and of all steps to another line
BESIDE = 0.5  # of the narrower one's width: so much below each other are lines of one column
STEP = 0.5  # of a line's size: less far up are parts of a formula
LINES_SHARE = 0.15  # of the cells of several words begin within a sentence, at most
COLUMN_LINES = 3  # at least, for what is right of them all to be another column
EDGE = 2.0  # points that a cell may reach over its column
LONG_CELL, LONG_SHARE = 1_500, 0.5  # characters, and of a table's text: a page's layout, no table


def in_order(pieces: Sequence[Piece]) -> list[Piece] | None:
    """The pieces as the tags order them; None where these name too little of the page, or against its columns."""
    marked = [piece for piece in pieces if piece.mark]
    if not marked or _characters(marked) < COVERED * _characters(pieces):
        return None
    places = {id(piece): place for piece, place in _places(pieces, marked)}
    found = sorted(pieces, key=lambda piece: places[id(piece)])
    return found if _goes_down([piece for piece in found if piece.mark]) else None


def _characters(pieces: Sequence[Piece]) -> int:
    return sum(len(piece.text) for piece in pieces)


def _places(pieces: Sequence[Piece], marked: Sequence[Piece]) -> Iterator[tuple[Piece, float]]:
    """What has no tag goes with what is drawn before it; above and below all that has one, it is the first or last."""
    top, bottom = max(piece.top for piece in marked), min(piece.bottom for piece in marked)
    last = -1.0
    for piece in pieces:
        if piece.mark:
            last = piece.mark.place
            yield piece, last
        else:
            yield piece, -1.0 if piece.bottom >= top else inf if piece.top <= bottom else last


def _goes_down(pieces: Sequence[Piece]) -> bool:
    """Whether the order goes down within each column, but for a few steps back to where a note had its mark."""
    steps = faults = 0
    for one, other in pairwise(pieces):
        if other.bottom >= one.top or other.top <= one.bottom:
            steps += 1
            faults += other.bottom >= one.top and _are_one_column(one, other)
    return faults <= FAULTS + FAULTS_SHARE * steps


def _are_one_column(one: Piece, other: Piece) -> bool:
    shared = min(one.right, other.right) - max(one.left, other.left)
    return shared > BESIDE * min(one.right - one.left, other.right - other.left)


def columns(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Parted where the order of `pieces` goes back up, or to the other side: to a column, from a note to its text."""
    found: list[Piece] = []
    lines, right = 1, -inf
    for piece in pieces:
        is_beyond = lines >= COLUMN_LINES and piece.left - right > piece.size
        if found and (is_beyond or _goes_back(found[-1], piece)):
            yield found
            found, lines, right = [], 1, -inf
        lines += bool(found) and piece.top < found[-1].middle
        found.append(piece)
        right = max(right, piece.right)
    if found:
        yield found


def _goes_back(one: Piece, other: Piece) -> bool:
    """Whether the other piece is above one, or before it on the same line."""
    size = other.size or one.size
    if other.bottom - one.top > STEP * size:
        return True
    is_level = abs(other.middle - one.middle) < STEP * max(one.height, other.height)
    return is_level and one.left - other.right > size and not is_right_to_left(one.text + other.text)


def with_tables(pieces: Sequence[Piece]) -> list[Piece]:
    """Each tagged table as a block at the place of its first piece."""
    tables: dict[int, list[Piece]] = defaultdict(list)
    for piece in pieces:
        if piece.mark and piece.mark.cell:
            tables[piece.mark.cell[0]].append(piece)
    blocks = {number: _block(inside) for number, inside in tables.items()}
    found: list[Piece] = []
    for piece in pieces:
        number = piece.mark.cell[0] if piece.mark and piece.mark.cell else 0
        table = blocks.get(number)
        if table is None:
            found.append(piece)
        elif piece is tables[number][0]:
            found.append(table)
    return found


def _block(pieces: Sequence[Piece]) -> Block | None:
    items = _items(pieces)
    if not items:
        return None
    box = (
        min(p.left for p in pieces),
        max(p.right for p in pieces),
        min(p.bottom for p in pieces),
        max(p.top for p in pieces),
    )
    return block(items, box, place=pieces[0].place)


def _items(pieces: Sequence[Piece]) -> list[Item]:
    """The table, and before it the lines over its columns; nothing for what is none, or has each line as a row.

    What only arranges a page is no table: a few long texts, a single column.
    """
    cells: dict[int, dict[int, list[Piece]]] = defaultdict(lambda: defaultdict(list))
    for piece in pieces:
        if piece.mark and piece.mark.cell:
            _, row, column = piece.mark.cell
            cells[row][column].append(piece)
    lines = [Row([_cell(cell) for _, cell in sorted(line.items())]) for _, line in sorted(cells.items())]
    spans = columns_of(lines)
    titles = list(takewhile(lambda line: _is_title(line, spans), lines))
    lines = lines[len(titles) :]
    several = sum(len(line.pieces) > 1 for line in lines)
    if len(lines) < 2 or len(spans) < 2 or 2 * several < len(lines) or _is_layout(lines):
        return []
    records = [_record(line, spans) for line in lines]
    return [] if _are_lines(records) else [*titles, Table(directed(records))]


def _is_title(line: Row, spans: Sequence[tuple[float, float]]) -> bool:
    """Whether a row has a single cell that reaches over several columns, or stands between them."""
    (cell, *others) = line.pieces
    return not others and not any(left - EDGE < cell.left and cell.right < right + EDGE for left, right in spans)


def _is_layout(lines: Sequence[Row]) -> bool:
    sizes = [len(cell.text) for line in lines for cell in line.pieces]
    return max(sizes) > LONG_CELL and max(sizes) > LONG_SHARE * sum(sizes)


def _are_lines(records: Sequence[Sequence[str]]) -> bool:
    """Whether many cells go on with the one above: whoever tagged them saw lines, not rows."""
    cells = [(above[at], cell) for above, row in pairwise(records) for at, cell in enumerate(row) if " " in cell]
    going_on = sum(" " in above and (cell[0].islower() or cell[0] == "(") for above, cell in cells)
    return going_on > LINES_SHARE * len(cells)


def _cell(pieces: Sequence[Piece]) -> Piece:
    """All that is in a cell as one piece."""
    text = joined(line.text for line in rows(pieces))
    left, right = min(piece.left for piece in pieces), max(piece.right for piece in pieces)
    return Piece(text, left, right, pieces[-1].bottom, pieces[0].top, pieces[0].size)


def _record(line: Row, spans: Sequence[tuple[float, float]]) -> list[str]:
    record = [""] * len(spans)
    for cell in line.pieces:
        at = place(cell, spans)
        record[at] = f"{record[at]} {cell.text}".strip()
    return record
