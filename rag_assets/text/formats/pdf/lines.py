"""Pieces of text to lines; what a page is made of: lines, tables, listings, blocks with a place of their own."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

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
    for item in sorted(blocks, key=lambda one: (round(one.top / LEVEL), -one.left)):  # the last one first
        below = next((n for n, row in enumerate(lines) if row.top <= item.top), len(lines))
        lines.insert(below, Row([item], new_region=True))
    return lines


def along(line: list[Piece]) -> list[Piece]:
    reverse = is_right_to_left("".join(piece.text for piece in line))
    return sorted(line, key=lambda piece: piece.left, reverse=reverse)


def is_right_to_left(text: str) -> bool:
    return not text.isascii() and 3 * sum(unicodedata.bidirectional(letter) in ("R", "AL") for letter in text) > len(
        text
    )
