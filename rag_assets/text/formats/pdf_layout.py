"""Pieces of text on a page to lines and tables in reading order: column by column, row by row."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from rag_assets.text.formats.pdf_glyphs import Piece

BIN = 2.0  # points: how finely gutters are looked for
SPANNING = 0.6  # of a region's width: wider pieces run across columns
CROSSING = 0.04  # of a region's pieces may lie across a gutter
PROSE_CHARACTERS = 14  # in the middle piece of a column of prose
PROSE_WIDTH = 0.6  # of a wide piece, that the middle one has: lines of prose are alike, cells are not
COLUMN_LINES = 4
MAX_DEPTH = 8
LABEL = re.compile(r"[•◦▪‣●○■□–\-*·]|\(?(?:\d{1,3}|[a-zA-Z]|[ivxlcIVXLC]{1,5})[.)]|\[\d{1,3}\]")


@dataclass(slots=True)
class Row:
    """Pieces on one line, in reading order."""

    pieces: list[Piece]
    new_region: bool = False  # the first line of a column or band

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
    def middle(self) -> float:
        return max(self.pieces, key=lambda piece: len(piece.text)).middle

    @property
    def bold(self) -> bool:
        return all(piece.bold for piece in self.pieces if any(map(str.isalnum, piece.text)))


@dataclass(slots=True)
class Table:
    """Rows whose cells stand below each other."""

    rows: list[list[str]] = field(default_factory=list)
    new_region: bool = True


def arrange(pieces: Sequence[Piece]) -> list[Row | Table]:
    """Everything on a page in reading order; text that is turned against the rest comes last."""
    upright = _once([piece for piece in pieces if piece.upright])
    turned = [Row([piece], new_region=True) for piece in pieces if not piece.upright]
    return [*_region(upright, depth=0), *turned]


def rows(pieces: Sequence[Piece]) -> list[Row]:
    """Pieces on the same line together, from the top down."""
    found: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda piece: -piece.middle):
        line = found[-1] if found else []
        if line and abs(line[0].middle - piece.middle) < 0.5 * max(line[0].height, piece.height):
            line.append(piece)
        else:
            found.append([piece])
    return [Row(_along(line)) for line in found]


def _once(pieces: Sequence[Piece]) -> list[Piece]:
    """Without what is printed twice at the same place, to look bold."""
    seen: set[tuple[str, int, int]] = set()
    kept = []
    for piece in pieces:
        key = (piece.text, round(piece.left / 3), round(piece.middle / 3))
        if key not in seen:
            seen.add(key)
            kept.append(piece)
    return kept


def _along(line: list[Piece]) -> list[Piece]:
    letters = "".join(piece.text for piece in line)
    right_to_left = sum(unicodedata.bidirectional(letter) in ("R", "AL") for letter in letters)
    return sorted(line, key=lambda piece: piece.left, reverse=right_to_left > len(letters) / 3)


# ---- columns


def _region(pieces: list[Piece], *, depth: int) -> Iterator[Row | Table]:
    gutter = _gutter(pieces) if depth < MAX_DEPTH else None
    if gutter is None:
        yield from _tables(rows(pieces))
        return
    crossing = [piece for piece in pieces if piece.left < gutter - BIN and piece.right > gutter + BIN]
    beside = [piece for piece in pieces if not (piece.left < gutter - BIN and piece.right > gutter + BIN)]
    bars = rows(crossing)
    for bar in bars:  # what stands beside a line that runs across is part of that line
        near = [piece for piece in beside if _is_level(piece, bar)]
        bar.pieces = _along([*bar.pieces, *near])
        beside = [piece for piece in beside if not _is_level(piece, bar)]
    edges = [bar.middle for bar in bars]
    above = float("inf")
    for at, edge in enumerate([*edges, float("-inf")]):
        band = [piece for piece in beside if edge < piece.middle <= above]
        for side in ([p for p in band if p.middle_x < gutter], [p for p in band if p.middle_x >= gutter]):
            if side:
                yield from _marked(_region(side, depth=depth + 1))
        if at < len(bars):
            bars[at].new_region = bool(band) or at == 0
            yield bars[at]
        above = edge


def _marked(items: Iterator[Row | Table]) -> Iterator[Row | Table]:
    first = next(items)
    first.new_region = True
    yield first
    yield from items


def _is_level(piece: Piece, bar: Row) -> bool:
    return abs(piece.middle - bar.middle) < 0.4 * min(piece.height, bar.height)


def _gutter(pieces: Sequence[Piece]) -> float | None:
    """Where a vertical gap divides the region into two columns of prose; None: nowhere."""
    if len(pieces) < 2 * COLUMN_LINES:
        return None
    left, right = min(piece.left for piece in pieces), max(piece.right for piece in pieces)
    narrow = [piece for piece in pieces if piece.right - piece.left < SPANNING * (right - left)]
    if len(narrow) < 2 * COLUMN_LINES:
        return None
    gaps = _gaps(narrow, left, right)
    for _, x in sorted(gaps, reverse=True):
        before = [piece for piece in narrow if piece.right <= x + BIN]
        after = [piece for piece in narrow if piece.left >= x - BIN]
        if _is_prose(before) and _is_prose(after) and _are_parallel(before, after):
            return x
    return None


def _gaps(pieces: Sequence[Piece], left: float, right: float) -> list[tuple[float, float]]:
    """(width, middle) of the vertical strips that next to nothing covers."""
    bins = int((right - left) / BIN) + 2
    if bins > 100_000:  # a place that no page has
        return []
    steps = [0] * (bins + 1)
    for piece in pieces:
        steps[int((piece.left - left) / BIN)] += 1
        steps[int((piece.right - left) / BIN) + 1] -= 1
    least = median(piece.height for piece in pieces) * 0.5
    found, covered, start = [], 0, None
    for at, step in enumerate(steps):
        covered += step
        if covered <= CROSSING * len(pieces):
            start = at if start is None else start
        elif start is not None:
            width = (at - start) * BIN
            if start > 0 and width >= least:
                found.append((width, left + (start + at) / 2 * BIN))
            start = None
    return found


def _is_prose(column: Sequence[Piece]) -> bool:
    if len(column) < COLUMN_LINES:
        return False
    widths = sorted(piece.right - piece.left for piece in column)
    return (
        median(len(piece.text) for piece in column) >= PROSE_CHARACTERS
        and median(widths) >= PROSE_WIDTH * widths[int(len(widths) * 0.9)]
    )


def _are_parallel(one: Sequence[Piece], other: Sequence[Piece]) -> bool:
    """Beside each other over a few lines at least."""
    top = min(max(piece.top for piece in one), max(piece.top for piece in other))
    bottom = max(min(piece.bottom for piece in one), min(piece.bottom for piece in other))
    return top - bottom > 3 * median(piece.height for piece in one)


# ---- tables


def _tables(lines: list[Row]) -> Iterator[Row | Table]:
    at = 0
    while at < len(lines):
        end = _end_of_run(lines, at) if len(lines[at].pieces) > 1 else at + 1
        table = _table(lines[at:end]) if end - at > 1 else None
        if table is None:
            yield lines[at]
            at += 1
        else:
            yield table
            at = end


def _end_of_run(lines: Sequence[Row], start: int) -> int:
    """After the last of the lines from here on that have several pieces, a single one between them allowed."""
    end = start
    for at in range(start, len(lines)):
        if at > start and lines[at - 1].middle - lines[at].middle > 4 * lines[at].height:
            break
        if len(lines[at].pieces) > 1:
            end = at + 1
        elif at - end >= 1:
            break
    return end


def _table(lines: Sequence[Row]) -> Table | None:
    several = [line for line in lines if len(line.pieces) > 1]
    if len(several) < 2 or (len(several) == 2 and len(several[0].pieces) < 3):
        return None
    columns = _columns(several)
    if len(columns) < 2 or (len(columns) == 2 and all(LABEL.fullmatch(line.pieces[0].text) for line in several)):
        return None
    placed = [_cells(line, columns) for line in lines]
    collisions = sum(len(line.pieces) - sum(map(bool, cells)) for line, cells in zip(lines, placed, strict=True))
    if collisions > 0.2 * sum(len(line.pieces) for line in lines):
        return None
    return Table(placed)


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
