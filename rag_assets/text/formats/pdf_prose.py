"""Pieces of text on a page: whether they are a column of prose, and what parts two of them."""

from collections.abc import Sequence
from statistics import median

from rag_assets.text.formats.pdf_glyphs import Piece
from rag_assets.text.formats.pdf_lines import Block, rows

EDGE = 2.0  # points that a column may reach into its gutter
PROSE_CHARACTERS = 14  # in the middle line of a column of prose
PROSE_SHARE = 0.7  # of its characters in pieces that are so long
LONG_SHARE = 0.55  # of its pieces are so long: code with remarks beside it is no prose
PROSE_WIDTH = 0.6  # of a wide line, that the middle one has: lines of prose are alike, cells are not
FULL_WIDTH = 0.85  # of a wide line: as wide are those that most characters of a column of prose are on
COLUMN_LINES = 4
LINES_OF_PIECES = 10  # at least, of a column whose lines are in several pieces each


def is_gutter(pieces: Sequence[Piece], x: float) -> bool:
    """Whether there is prose on both sides."""
    before = [piece for piece in pieces if piece.right <= x + EDGE]
    after = [piece for piece in pieces if piece.left >= x - EDGE]
    return is_prose(before) and is_prose(after) and _are_parallel(before, after)


def is_prose(column: Sequence[Piece]) -> bool:
    """Whether most of it is in long pieces, on lines that are alike; headings, equations and code may be among them."""
    column = [piece for piece in column if not isinstance(piece, Block)]
    lengths = [len(piece.text) for piece in column]
    long = [length for length in lengths if length >= PROSE_CHARACTERS]
    if len(column) < COLUMN_LINES or sum(long) < PROSE_SHARE * sum(lengths) or len(long) < LONG_SHARE * len(lengths):
        return False
    # Pieces are the lines of several columns, where these end at different heights.
    pieces = [(piece.right - piece.left, len(piece.text)) for piece in column]
    if _are_alike(pieces):
        return True
    lines = [(line.right - line.left, sum(len(piece.text) for piece in line.pieces)) for line in rows(column)]
    return len(lines) >= LINES_OF_PIECES and _are_alike(lines)


def _are_alike(lines: list[tuple[float, int]]) -> bool:
    """Whether lines, each with its width and length, are those of running text."""
    lines.sort()
    wide = lines[int(len(lines) * 0.9)][0]
    if len(lines) < COLUMN_LINES or median(length for _, length in lines) < PROSE_CHARACTERS:
        return False
    full = sum(length for width, length in lines if width >= FULL_WIDTH * wide)
    return 2 * full > sum(length for _, length in lines) or median(width for width, _ in lines) >= PROSE_WIDTH * wide


def _are_parallel(one: Sequence[Piece], other: Sequence[Piece]) -> bool:
    """Beside each other over a few lines at least."""
    top = min(max(piece.top for piece in one), max(piece.top for piece in other))
    bottom = max(min(piece.bottom for piece in one), min(piece.bottom for piece in other))
    return top - bottom > 3 * median(piece.height for piece in one)
