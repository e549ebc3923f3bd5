"""Pieces of text to lines, and lines to tables: by the lines drawn around cells, or by what stands below each other."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from rag_assets.text.formats.pdf_glyphs import BROKEN, Piece
from rag_assets.text.formats.pdf_rules import Box, Grid

LABEL = re.compile(
    r"[•◦▪‣●○■□–\-*·\uf0b7\uf0a7]|\(?(?:\d{1,3}|[a-zA-Z]|[ivxlcIVXLC]{1,5})[.)]|\[\d{1,3}\]|\d{1,2}(?:\.\d{1,2}){1,4}\.?"
)
NUMBER = re.compile(r"[-+(]?[$€£]?\s?\d[\d.,\s]*[%)]?|[-–—]|n/?a", re.I)
FULL = 0.5  # of a record's columns: a line that fills more begins a record of its own
FULL_LINES = 4  # in one ruled row: they are records that no line parts
LONG_CELL, LONG_SHARE = 1_500, 0.5  # characters, and of a grid's text: a page's layout, no table
TIGHT, WIDE = 1.5, 1.15  # times a font's size, between lines of a cell; times that, between records
WORD_GAP_LINES = 0.6  # of a table's lines have a wide space where a column ends


@dataclass(slots=True)
class Row:
    """Pieces on one line, in reading order."""

    pieces: list[Piece]
    new_region: bool = False  # the first line of a column or band

    @property
    def is_block(self) -> bool:
        return isinstance(self.pieces[0], Block)

    @property
    def text(self) -> str:
        return " ".join(piece.text for piece in self.pieces)

    @property
    def height(self) -> float:
        return max(self.pieces, key=lambda piece: len(piece.text)).size

    @property
    def left(self) -> float:
        return min(piece.left for piece in self.pieces)

    @property
    def right(self) -> float:
        return max(piece.right for piece in self.pieces)

    @property
    def top(self) -> float:
        return self.pieces[0].top if self.is_block else self.middle

    @property
    def middle(self) -> float:
        return max(self.pieces, key=lambda piece: len(piece.text)).middle

    @property
    def bold(self) -> bool:
        return all(piece.bold for piece in self.pieces if any(map(str.isalnum, piece.text)))


@dataclass(slots=True)
class Table:
    """Records of cells; the first one is the header."""

    rows: list[list[str]] = field(default_factory=list)
    new_region: bool = True


Item = Row | Table


@dataclass(slots=True)
class Block(Piece):
    """Something with a place of its own on the page: a table, or all that stands in a frame."""

    items: list[Item] = field(default_factory=list)


def block(items: list[Item], box: Box) -> Block:
    return Block("", *box, size=0.0, items=items)


def rows(pieces: Sequence[Piece]) -> list[Row]:
    """Pieces on the same line together, from the top down; a block stands before what begins beside or below it."""
    found: list[list[Piece]] = []
    blocks = [piece for piece in pieces if isinstance(piece, Block)]
    for piece in sorted(pieces, key=lambda piece: -piece.middle):
        if isinstance(piece, Block):
            continue
        line = found[-1] if found else []
        if line and abs(line[0].middle - piece.middle) < 0.5 * max(line[0].height, piece.height):
            line.append(piece)
        else:
            found.append([piece])
    lines = [Row(along(line)) for line in found]
    for item in blocks:
        below = next((n for n, row in enumerate(lines) if row.top <= item.top), len(lines))
        lines.insert(below, Row([item], new_region=True))
    return lines


def along(line: list[Piece]) -> list[Piece]:
    letters = "".join(piece.text for piece in line)
    right_to_left = sum(unicodedata.bidirectional(letter) in ("R", "AL") for letter in letters)
    return sorted(line, key=lambda piece: piece.left, reverse=right_to_left > len(letters) / 3)


# ---- by drawn lines


def ruled(grid: Grid, pieces: Sequence[Piece]) -> Table | None:
    """What stands in a grid, as a table; None when it is a frame, a drawing or the layout of a page."""
    if grid.is_ruled:
        column = _by_edges(grid.xs)
    else:
        pieces, columns = _cut_at_spaces(pieces)
        if len(columns) < 2:
            return None
        column = _by_overlap(columns)
    cells: dict[tuple[int, int], list[Piece]] = defaultdict(list)
    for piece in pieces:
        place = grid.cell(piece.middle_x, piece.middle)
        if place:
            cells[place[0], place[1] if grid.is_ruled else column(piece)].append(piece)
    width = grid.size[1] if grid.is_ruled else len(columns)
    found = [record for row in range(grid.size[0]) for record in _band(_of_row(cells, row), width)]
    return _dense(found)


def _by_edges(xs: Sequence[float]) -> Callable[[Piece], int]:
    return lambda piece: next((n for n in range(len(xs) - 2) if piece.middle_x <= xs[n + 1]), len(xs) - 2)


def _by_overlap(columns: Sequence[tuple[float, float]]) -> Callable[[Piece], int]:
    return lambda piece: min(range(len(columns)), key=lambda n: _distance(piece, columns[n]))


def _of_row(cells: dict[tuple[int, int], list[Piece]], row: int) -> dict[int, list[Piece]]:
    return {column: found for (at, column), found in cells.items() if at == row}


def _band(cells: dict[int, list[Piece]], width: int) -> list[list[str]]:
    """Records between two level lines: one, unless its lines look like several."""
    if not cells:
        return []
    columns = {id(piece): column for column, pieces in cells.items() for piece in pieces}
    lines = [_placed(line, columns, width) for line in rows([piece for found in cells.values() for piece in found])]
    full = [line for line in lines if sum(map(bool, line)) > FULL * len(cells)]
    if len(full) > 1 and (len(full) >= FULL_LINES or _has_numbers_below(full)):
        return _wrapped(lines)
    return [[joined(row.text for row in rows(cells[at])) if at in cells else "" for at in range(width)]]


def _placed(line: Row, columns: dict[int, int], width: int) -> list[str]:
    cells = [""] * width
    for piece in line.pieces:
        at = columns[id(piece)]
        cells[at] = f"{cells[at]} {piece.text}".strip()
    return cells


def _has_numbers_below(lines: Sequence[Sequence[str]]) -> bool:
    """Whether a column has a number in more than one line: no cell has two."""
    return any(sum(bool(NUMBER.fullmatch(cell)) for cell in column if cell) > 1 for column in zip(*lines, strict=True))


def _dense(records: Sequence[list[str]]) -> Table | None:
    """Without the columns that have nothing in them; None when less than a table is left."""
    if not records:
        return None
    kept = [at for at in range(len(records[0])) if any(record[at] for record in records)]
    sizes = [len(cell) for record in records for cell in record]
    if len(kept) < 2 or len(records) < 2 or max(sizes) > max(LONG_CELL, LONG_SHARE * sum(sizes)):
        return None
    return Table([[record[at] for at in kept] for record in records])


def joined(lines: Iterable[str]) -> str:
    """Lines of a cell as one, its broken words mended."""
    text = ""
    for line in lines:
        if text.endswith(BROKEN):
            text = text[:-1] + ("" if line[:1].islower() else "-") + line
        else:
            text = f"{text} {line}" if text else line
    return text.replace(BROKEN, "-")


def _cut_at_spaces(pieces: Sequence[Piece]) -> tuple[list[Piece], list[tuple[float, float]]]:
    """Pieces cut where most lines have a wide space or an end, and the columns that they stand in then."""
    lines = [line for line in rows(pieces) if len(line.pieces) > 1]
    columns = _columns(lines) if len(lines) > 1 else []
    return list(pieces), columns


# ---- by what stands below each other


def tables(lines: list[Row]) -> Iterator[Item]:
    at = 0
    while at < len(lines):
        end = _end_of_run(lines, at) if _is_split(lines[at]) else at + 1
        table = _table(lines[at:end]) if end - at > 1 else None
        if table is None:
            yield lines[at]
            at += 1
        else:
            yield table
            at = end


def _is_split(line: Row) -> bool:
    """Into cells; a mark of a list before its text is no cell."""
    return len(line.pieces) > 2 or (len(line.pieces) == 2 and not LABEL.fullmatch(line.pieces[0].text))


def _end_of_run(lines: Sequence[Row], start: int) -> int:
    """After the last of the lines from here on that have several pieces, a single one between them allowed."""
    end = start
    for at in range(start, len(lines)):
        if at > start and lines[at - 1].middle - lines[at].middle > 4 * lines[at].height:
            break
        if lines[at].is_block:
            break
        if _is_split(lines[at]):
            end = at + 1
        elif at - end >= 1:
            break
    return end


def _table(lines: Sequence[Row]) -> Table | None:
    several = [line for line in lines if _is_split(line)]
    if len(several) < 2 or (len(several) == 2 and len(several[0].pieces) < 3):
        return None
    columns = _columns(several)
    if len(columns) < 2:
        return None
    placed = [_cells(line, columns) for line in lines]
    collisions = sum(len(line.pieces) - sum(map(bool, cells)) for line, cells in zip(lines, placed, strict=True))
    if collisions > 0.2 * sum(len(line.pieces) for line in lines):
        return None
    return Table(_records(lines, placed))


def _records(lines: Sequence[Row], cells: list[list[str]]) -> list[list[str]]:
    """Lines that stand closer than others are one record, when that gives no cell two numbers."""
    gaps = [one.middle - other.middle for one, other in pairwise(lines)]
    least, most = min(gaps), max(gaps)
    size = max(line.height for line in lines)
    if least > TIGHT * size or most < WIDE * least:
        return _wrapped(cells)
    groups: list[list[list[str]]] = [[cells[0]]]
    for gap, line in zip(gaps, cells[1:], strict=True):
        if gap < (least + most) / 2 and gap < TIGHT * size:
            groups[-1].append(line)
        else:
            groups.append([line])
    if any(len(group) > 1 and not _is_record(group) for group in groups):
        return _wrapped(cells)
    return [[joined(filter(None, column)) for column in zip(*group, strict=True)] for group in groups]


def _is_record(group: Sequence[Sequence[str]]) -> bool:
    full = sum(sum(map(bool, line)) > FULL * len(line) for line in group)
    return full <= 1 and not _has_numbers_below(group)


def _wrapped(cells: Sequence[list[str]]) -> list[list[str]]:
    """A line with nothing but words below the words of a cell that is not the first one goes on with that cell."""
    found: list[list[str]] = []
    for line in cells:
        filled = [at for at, cell in enumerate(line) if cell]
        at = filled[0] if len(filled) == 1 else 0
        if found and at and found[-1][at] and not NUMBER.fullmatch(line[at]) and not NUMBER.fullmatch(found[-1][at]):
            found[-1][at] = joined([found[-1][at], line[at]])
        else:
            found.append(list(line))
    return [[cell.replace(BROKEN, "-") for cell in line] for line in found]


def _columns(lines: Sequence[Row]) -> list[tuple[float, float]]:
    """Left and right of each column: the places of the fullest lines' pieces, where they overlap taken together."""
    most = max(len(line.pieces) for line in lines)
    spans = sorted((p.left, p.right) for line in lines if len(line.pieces) >= 0.7 * most for p in line.pieces)
    found: list[tuple[float, float]] = []
    for left, right in spans:
        if found and left < found[-1][1]:
            found[-1] = (found[-1][0], max(right, found[-1][1]))
        else:
            found.append((left, right))
    return found


def _cells(line: Row, columns: Sequence[tuple[float, float]]) -> list[str]:
    cells = [""] * len(columns)
    for piece in line.pieces:
        at = min(range(len(columns)), key=lambda n: _distance(piece, columns[n]))
        cells[at] = f"{cells[at]} {piece.text}".strip()
    return cells


def _distance(piece: Piece, column: tuple[float, float]) -> float:
    overlap = min(piece.right, column[1]) - max(piece.left, column[0])
    return -overlap
