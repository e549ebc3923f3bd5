"""Notes in the margin beside running text: apart from the text, which they would make a table of."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from rag_assets.text.formats.pdf.glyphs import BROKEN, Piece

LEAST = 3  # lines of a note
EDGE = 3.0  # points: lines of a note begin at places that differ by less
LEADING = 1.8  # times its size, at most from one line of a note to the next
GOING_ON = 0.5  # of the lines after the first one go on with a sentence: labels in a table begin one
NARROW = 0.5  # of the width of the text beside it, at most
TEXT_CHARACTERS = 20  # in the middle line of the text beside it
FREE = 0.25  # of the lines of that text have nothing in the margin, at least: a column of a table is filled
FOREIGN, FOREIGN_SHARE = 2, 0.1  # other pieces in the margin: running heads; and of the lines of the notes


def part(pieces: Sequence[Piece]) -> tuple[list[Piece], list[list[Piece]]]:
    """The pieces that are no notes, and the lines of each note, from the top down."""
    found = [note for margin in _margins(pieces) for note in _notes(margin, pieces)]
    taken = {id(piece) for note in found for piece in note}
    return [piece for piece in pieces if id(piece) not in taken], found


def _margins(pieces: Sequence[Piece]) -> list[list[list[Piece]]]:
    """What may be notes, together where they begin at the same place."""
    columns: list[list[Piece]] = []
    for piece in sorted((one for one in pieces if one.upright and one.size > 0), key=lambda one: one.left):
        if not columns or piece.left - columns[-1][0].left > EDGE:
            columns.append([])
        columns[-1].append(piece)
    margins = ([group for group in _close(column) if _goes_on(group)] for column in columns if len(column) >= LEAST)
    return [margin for margin in margins if margin]


def _close(column: list[Piece]) -> list[list[Piece]]:
    """Lines that follow each other closely, from the top down."""
    groups: list[list[Piece]] = []
    for piece in sorted(column, key=lambda one: -one.middle):
        if not groups or groups[-1][-1].middle - piece.middle > LEADING * piece.size:
            groups.append([])
        groups[-1].append(piece)
    return groups


def _goes_on(lines: Sequence[Piece]) -> bool:
    """Whether these are sentences, parted where the lines end; types and units in a table are words by themselves."""
    if len(lines) < LEAST or sum(len(line.text.split()) for line in lines) <= len(lines):
        return False
    found = sum(above.text.endswith(BROKEN) or line.text[:1].islower() for above, line in pairwise(lines))
    return found >= GOING_ON * (len(lines) - 1)


def _notes(margin: list[list[Piece]], pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Those of them that have wider text beside them, if next to nothing else is in their margin."""
    left, right = min(one[0].left for one in margin), max(line.right for note in margin for line in note)
    mine = {id(line) for note in margin for line in note}
    others = [piece for piece in pieces if id(piece) not in mine and piece.upright]
    foreign = sum(piece.left < right and left < piece.right for piece in others)
    if foreign > FOREIGN + FOREIGN_SHARE * len(mine):
        return []
    sides = [piece for piece in others if piece.right <= left], [piece for piece in others if piece.left >= right]
    return [note for note in margin if any(_is_beside(note, margin, side) for side in sides)]


def _is_beside(note: Sequence[Piece], margin: Sequence[Sequence[Piece]], side: Sequence[Piece]) -> bool:
    """Whether a note stands beside running text, most of which has a free margin."""
    level = [piece for piece in side if note[-1].bottom < piece.middle < note[0].top]
    if len(level) < LEAST:
        return False
    wide = max(piece.right - piece.left for piece in level)
    if max(line.right for line in note) - note[0].left > NARROW * wide:
        return False
    text = _column(level, side)
    beside = sum(any(one[-1].bottom < piece.middle < one[0].top for one in margin) for piece in text)
    is_text = _goes_on(text) and median(len(piece.text) for piece in text) >= TEXT_CHARACTERS
    return is_text and len(text) - beside >= FREE * len(text)


def _column(level: Sequence[Piece], side: Sequence[Piece]) -> list[Piece]:
    """All lines that are as far to the left as the widest one beside a note, or begin a paragraph."""
    widest = max(level, key=lambda piece: piece.right - piece.left)
    found = [piece for piece in side if abs(piece.left - widest.left) < EDGE + 2 * widest.size]
    return sorted(found, key=lambda piece: -piece.middle)
