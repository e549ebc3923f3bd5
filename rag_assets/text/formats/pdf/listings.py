"""Lines of a PDF that are set in letters of one width, to listings with the indentation that one sees."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from rag_assets.text.formats.pdf.glyphs import BROKEN, Piece
from rag_assets.text.formats.pdf.lines import Item, Listing, Row

MOST = 0.5  # of a document's characters: with more of them in such letters, it is typewritten, not code
LINES = 2  # at least, of a listing
EMPTY_LINE = 1.7  # times the usual distance: a line is left out there
MOST_EMPTY = 3  # lines, of those that a page leaves out at once
MOST_COLUMNS = 200  # of indentation


def is_typed(pieces: Sequence[Piece]) -> bool:
    """Whether most of a document is set in letters of one width."""
    fixed = sum(len(piece.text) for piece in pieces if piece.fixed)
    return fixed > MOST * sum(len(piece.text) for piece in pieces)


def with_listings(items: Sequence[Item]) -> list[Item]:
    """Neighbouring lines in such letters as one listing."""
    found: list[Item] = []
    rows: list[Row] = []
    for item in items:
        is_code = isinstance(item, Row) and not item.is_block and item.fixed and item.pieces[0].upright
        if is_code and isinstance(item, Row) and (not rows or rows[-1].middle > item.middle):
            rows.append(item)
            continue
        found += _listed(rows)
        rows = []
        if is_code and isinstance(item, Row):
            rows.append(item)
        else:
            found.append(item)
    return [*found, *_listed(rows)]


def _listed(rows: list[Row]) -> Sequence[Item]:
    if len(rows) < LINES:
        return rows
    return [Listing(list(_lines(rows)))]


def _lines(rows: Sequence[Row]) -> Iterator[str]:
    left = min(row.left for row in rows)
    widths = [(piece.right - piece.left) / len(piece.text) for row in rows for piece in row.pieces if piece.text]
    width = max(median(widths), 0.1)
    distances = [one.middle - other.middle for one, other in pairwise(rows)]
    usual = max(median(distances), 0.1)
    for row, distance in zip(rows, [usual, *distances], strict=True):
        if distance > EMPTY_LINE * usual:
            yield from [""] * min(round(distance / usual) - 1, MOST_EMPTY)
        yield _spaced(row, left, width)


def _spaced(row: Row, left: float, width: float) -> str:
    """Each piece at its column."""
    line = ""
    for piece in row.pieces:
        column = min(round((piece.left - left) / width), MOST_COLUMNS)
        line += " " * max(column - len(line), 1 if line else 0) + piece.text.replace(BROKEN, "-")
    return line
