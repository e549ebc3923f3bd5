"""Pieces of text to lines; what a page is made of: lines, tables, listings, blocks with a place of their own."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from rag_assets.text.formats.pdf.glyphs import Piece
from rag_assets.text.formats.pdf.rulings import Box

LEVEL = 6.0  # points: blocks whose upper edges differ by less stand beside each other


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
    def length(self) -> int:
        """Of its text, in characters."""
        return sum(len(piece.text) for piece in self.pieces) + len(self.pieces) - 1

    @property
    def longest(self) -> Piece:
        """The piece with most characters, whose place and size count for those of the line."""
        return self.pieces[0] if len(self.pieces) == 1 else max(self.pieces, key=_length)

    @property
    def height(self) -> float:
        return self.longest.size

    @property
    def left(self) -> float:
        return self.pieces[0].left if len(self.pieces) == 1 else min(piece.left for piece in self.pieces)

    @property
    def right(self) -> float:
        return self.pieces[0].right if len(self.pieces) == 1 else max(piece.right for piece in self.pieces)

    @property
    def top(self) -> float:
        return self.pieces[0].top if self.is_block else self.middle

    @property
    def middle(self) -> float:
        return self.longest.middle

    @property
    def fixed(self) -> bool:
        return all(piece.fixed for piece in self.pieces)

    @property
    def bold(self) -> bool:
        return all(piece.bold for piece in self.pieces if any(map(str.isalnum, piece.text)))


@dataclass(slots=True)
class Table:
    """Records of cells; the first one is the header."""

    rows: list[list[str]] = field(default_factory=list)
    new_region: bool = True


@dataclass(slots=True)
class Listing:
    """Lines of code, with their indentation."""

    lines: list[str]
    new_region: bool = True


Item = Row | Table | Listing


@dataclass(slots=True)
class Block(Piece):
    """Something with a place of its own on the page: a table, or all that stands in a frame."""

    items: list[Item] = field(default_factory=list)


def block(items: list[Item], box: Box, *, place: int) -> Block:
    return Block("", *box, size=0.0, place=place, items=items)


def rows(pieces: Sequence[Piece]) -> list[Row]:
    """Pieces on the same line together, from the top down; a block stands before what begins beside or below it."""
    blocks = [piece for piece in pieces if isinstance(piece, Block)]
    free = [piece for piece in pieces if not isinstance(piece, Block)] if blocks else pieces
    found: list[list[Piece]] = []
    first, height = 0.0, 0.0  # the middle and the height of the line's first piece
    for piece in sorted(free, key=_middle, reverse=True):
        middle, mine = (piece.top + piece.bottom) / 2, piece.top - piece.bottom
        if found and abs(first - middle) < 0.5 * max(height, mine):
            found[-1].append(piece)
        else:
            found.append([piece])
            first, height = middle, mine
    lines = [Row(along(line)) for line in found]
    for item in sorted(blocks, key=lambda one: (round(one.top / LEVEL), -one.left)):  # the last one first
        below = next((n for n, row in enumerate(lines) if row.top <= item.top), len(lines))
        lines.insert(below, Row([item], new_region=True))
    return lines


def along(line: list[Piece]) -> list[Piece]:
    """The pieces of a line as they are read, from the left or from the right."""
    if len(line) == 1:
        return line
    is_plain = all(piece.text.isascii() for piece in line)
    reverse = not is_plain and is_right_to_left("".join(piece.text for piece in line))
    return sorted(line, key=_left, reverse=reverse)


def is_right_to_left(text: str) -> bool:
    """Whether more than a third of it is in letters that run to the left."""
    if text.isascii():
        return False
    return 3 * sum(unicodedata.bidirectional(letter) in ("R", "AL") for letter in text) > len(text)


def _length(piece: Piece) -> int:
    return len(piece.text)


def _middle(piece: Piece) -> float:
    return piece.top + piece.bottom


_left = attrgetter("left")
