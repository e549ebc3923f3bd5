"""A page that has columns in some strips of its height only, or others in each: to those strips, from the top down."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from operator import itemgetter
from statistics import median

from rag_assets.text.formats.pdf.glyphs import Piece
from rag_assets.text.formats.pdf.lines import Block
from rag_assets.text.formats.pdf.prose import is_gutter, is_prose

GUTTER = 0.7  # of the usual height of a line: narrower than that no space between columns is
MOST_BESIDE = 12  # pieces on one line, that are looked for
LEAST = 8  # pieces of a strip that has a gutter
MOVED_LINES = 3  # of a heading under columns, that heads what is below them
FAR = 1.5  # times the usual size is what stands over columns away from them
HEAD_SPACE = 0.4  # times its size, above a heading that ends all columns
LARGE = 1.15  # times the usual size: a title over columns

Span = tuple[float, float]


@dataclass(slots=True)
class Strip:
    """Pieces below each other, and the upright gaps that none of them reaches into."""

    gaps: Sequence[Span]
    pieces: list[Piece] = field(default_factory=list)
    gutters: list[float] = field(default_factory=list)  # the gaps that part columns of prose
    is_apart: bool = False  # what is below columns, and in none


def strips(pieces: Sequence[Piece]) -> list[Strip]:
    """Strips with columns, and what is between them; a single one where there is nothing to part."""
    found = _by_gaps(pieces)
    for strip in found:
        strip.gutters = [x for x in ((left + right) / 2 for left, right in strip.gaps) if is_gutter(strip.pieces, x)]
    grown = _grown(_grown(found, _upper)[::-1], _lower)[::-1]
    found = [Strip([]), *_merged([part for strip in grown for part in _cut(strip)])]
    for above, below in pairwise(found):
        if above.gutters:
            _move_down(above, below)
            below.is_apart |= not below.gutters and _is_heading(max(below.pieces, key=lambda one: one.top), above)
        elif below.gutters:
            _move_up(above, below)
    return [strip for strip in found if strip.pieces]


def _grown(found: Sequence[Strip], near: Callable[[Sequence[Piece], list[Piece]], list[Piece]]) -> list[Strip]:
    """What keeps clear of the gutters of the strip before it, up to the first line that does not, belongs to it.

    So do the columns of a smaller strip: there, a few lines stand beside each other by chance.
    """
    grown: list[Strip] = []
    for strip in found:
        last = grown[-1] if grown else Strip([])
        if last.gutters and (not strip.gutters or len(strip.pieces) < len(last.pieces)):
            crossing = [piece for piece in strip.pieces if any(piece.left < x < piece.right for x in last.gutters)]
            mine = near(strip.pieces, crossing)
            taken = set(map(id, mine))
            last.pieces += mine
            strip.pieces = [piece for piece in strip.pieces if id(piece) not in taken]
            strip.gutters = [] if mine else strip.gutters
        if strip.pieces:
            grown.append(strip)
    return grown


def _upper(pieces: Sequence[Piece], crossing: list[Piece]) -> list[Piece]:
    edge = max((piece.top for piece in crossing), default=-inf)
    return [piece for piece in pieces if piece.middle > edge]


def _lower(pieces: Sequence[Piece], crossing: list[Piece]) -> list[Piece]:
    edge = min((piece.bottom for piece in crossing), default=inf)
    return [piece for piece in pieces if piece.middle < edge]


def _cut(strip: Strip) -> list[Strip]:
    """Parted at a heading with nothing beside it, where what is below it is on both sides but in no columns."""
    if not strip.gutters:
        return [strip]
    x = strip.gutters[0]
    usual = median(piece.size for piece in strip.pieces)
    heads = [piece for piece in strip.pieces if piece.size > LARGE * usual and piece.right < x]
    for head in sorted(heads, key=lambda piece: -piece.top):
        above = [piece for piece in strip.pieces if piece.bottom >= head.top + HEAD_SPACE * head.size]
        below = [piece for piece in strip.pieces if piece.middle < head.bottom]
        if len(above) + len(below) + 1 < len(strip.pieces):
            continue
        left, right = (
            [piece for piece in below if piece.middle_x < x],
            [piece for piece in below if piece.middle_x >= x],
        )
        if (
            left
            and right
            and not is_prose(left)
            and not is_prose(right)
            and all(is_gutter(above, x) for x in strip.gutters)
        ):
            return [Strip(strip.gaps, above, strip.gutters), Strip([], [head, *below], is_apart=True)]
    return [strip]


def _merged(found: Sequence[Strip]) -> list[Strip]:
    """Those that follow each other with the same columns, or without any, as one."""
    merged: list[Strip] = []
    for strip in found:
        last = merged[-1] if merged else Strip([])
        shared = _shared(last, strip)
        if merged and len(last.gutters) == len(strip.gutters) == len(shared):
            last.pieces += strip.pieces
            last.is_apart |= strip.is_apart
            last.gaps, last.gutters = shared, [(left + right) / 2 for left, right in shared]
        else:
            merged.append(strip)
    return merged


def _shared(above: Strip, below: Strip) -> list[Span]:
    """What of the gutters of one strip is a gutter in the other one, too."""
    parts = [
        (max(one[0], other[0]), min(one[1], other[1]))
        for one in above.gaps if any(one[0] < x < one[1] for x in above.gutters)
        for other in below.gaps if any(other[0] < x < other[1] for x in below.gutters)
    ]  # fmt: skip
    return [(left, right) for left, right in parts if left < right]


def _by_gaps(pieces: Sequence[Piece]) -> list[Strip]:
    """As high as a gap goes through with pieces on both sides of it, and all gutters do; else of one line."""
    least = GUTTER * median(piece.height for piece in pieces)
    page = min(piece.left for piece in pieces), max(piece.right for piece in pieces)
    found = [Strip([page])]
    parted, box = False, (inf, -inf, inf)  # whether it has such a gap; its left, right and lower edge
    for piece in sorted(pieces, key=lambda piece: -piece.top):
        strip, (left, right, bottom) = found[-1], box
        gaps, gone = _without(strip.gaps, piece, least)
        left, right, bottom = min(left, piece.left), max(right, piece.right), min(bottom, piece.bottom)
        between = _has_between(gaps, left, right)
        ends = not between and (parted or piece.top <= box[2])
        if strip.pieces and (ends or _close_gutter(strip, gone)):
            line = [*_beside(piece, strip), piece]
            strip, gaps = Strip([]), [page]
            for one in line:
                gaps, _ = _without(gaps, one, least)
            left, right = min(one.left for one in line), max(one.right for one in line)
            bottom, between = min(one.bottom for one in line), False
            strip.pieces = line[:-1]
            found.append(strip)
        strip.gaps, parted, box = gaps, between, (left, right, bottom)
        strip.pieces.append(piece)
    return [strip for strip in found if strip.pieces]


def _has_between(gaps: Sequence[Span], left: float, right: float) -> bool:
    """Whether a gap lies within a span; they stand side by side, so that the first one that may decides."""
    first = bisect_right(gaps, left, key=_start)
    return first < len(gaps) and gaps[first][1] < right


def _beside(piece: Piece, strip: Strip) -> list[Piece]:
    """What was taken for the end of a strip, but stands on the line that begins another one."""
    beside = [one for one in strip.pieces[-MOST_BESIDE:] if abs(one.middle - piece.middle) < piece.height / 2]
    taken = set(map(id, beside))
    strip.pieces = [one for one in strip.pieces if id(one) not in taken]
    return beside


def _close_gutter(strip: Strip, gone: Sequence[Span]) -> bool:
    """Whether one of a strip's gaps that is gone is a gutter."""
    if len(strip.pieces) < LEAST:
        return False
    return any(is_gutter(strip.pieces, (left + right) / 2) for left, right in gone)


def _without(gaps: Sequence[Span], piece: Piece, least: float) -> tuple[Sequence[Span], list[Span]]:
    """What a piece leaves of gaps that stand side by side from the left, and those of which nothing is left."""
    first = bisect_right(gaps, piece.left, key=_end)
    end = bisect_left(gaps, piece.right, key=_start)
    if first >= end:
        return gaps, []
    kept, gone = list[Span](), list[Span]()
    for left, right in gaps[first:end]:
        parts = [(left, min(right, piece.left)), (max(left, piece.right), right)]
        wide = [part for part in parts if part[1] - part[0] > least]
        kept += wide
        gone += [] if wide else [(left, right)]
    return [*gaps[:first], *kept, *gaps[end:]], gone


_start, _end = itemgetter(0), itemgetter(1)


def _move_down(above: Strip, below: Strip) -> None:
    """A heading that stands under all columns, nearer to what is below them than to its own."""
    for _ in range(MOVED_LINES):
        last = min(above.pieces, key=lambda piece: piece.bottom)
        over = [piece for piece in above.pieces if piece is not last]
        column = [piece for piece in over if piece.left < last.right and last.left < piece.right]
        if not column or any(piece.bottom < last.top for piece in over) or isinstance(last, Block):
            return
        if min(piece.bottom for piece in column) - last.top <= last.bottom - max(piece.top for piece in below.pieces):
            return
        above.pieces.remove(last)
        below.pieces.insert(0, last)
        below.is_apart = True


def _is_heading(piece: Piece, above: Strip) -> bool:
    """Whether a strip below columns begins with a title that stands beside their gutters."""
    usual = median(one.size for one in above.pieces)
    return piece.size > LARGE * usual and not any(piece.left < x < piece.right for x in above.gutters)


def _move_up(above: Strip, below: Strip) -> None:
    """A title over all columns, or lines that are far from them."""
    usual = median(piece.size for piece in below.pieces)
    for _ in range(MOVED_LINES):
        first = max(below.pieces, key=lambda piece: piece.top)
        others = [piece for piece in below.pieces if piece.middle < first.bottom]
        line = [piece for piece in below.pieces if piece.middle >= first.bottom]
        distance = min(piece.bottom for piece in line) - max((piece.top for piece in others), default=first.top)
        is_title = first.size > LARGE * usual and len(line) == 1 and distance >= 0
        if not others or not (is_title or distance > FAR * usual):
            return
        above.pieces += line
        below.pieces = others
