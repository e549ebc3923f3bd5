"""Which cuts are made: pieces with tokens and strengths come in, groups of neighbours that fit go out.

The order of cutting is the order of strength, and among equals a hash of what stands there, never a count from the
top: an edit changes the group it falls into and seldom more than its neighbours.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple
from zlib import crc32

from rag_assets.model import ChunkKind
from rag_assets.text.structure import AFTER_HEADING, BLOCK, DEFINITION, ITEM, LINE, SECTION, SENTENCE, WORD
from rag_assets.text.tokens import Span

STRETCH = 4  # groups that are weighed against each other at once
MOST_PIECES = 128  # in one group; bounds the time spent on confetti
CUT_PRICE = {
    AFTER_HEADING: 2.0,
    WORD: 1.5,
    LINE: 0.8,
    SENTENCE: 0.5,
    ITEM: 0.35,
    BLOCK: 0.1,
    DEFINITION: 0.05,
}
HASHED_CHARACTERS = 64


class Piece(NamedTuple):
    """What is never cut again: `room` is what a group that starts here must leave free, in tokens."""

    start: int
    end: int
    tokens: int
    strength: int  # of the cut before it
    kind: ChunkKind
    path: tuple[str, ...]
    header: Span | None
    room: int = 0


def pack(text: str, pieces: Sequence[Piece], *, size: int) -> list[tuple[int, int]]:
    """Groups of at most `size` tokens, as index ranges; a larger piece is a group by itself."""
    sums = [0, *accumulate(piece.tokens for piece in pieces)]
    anchors = _anchors(text, pieces, sums, size=size)
    groups: list[tuple[int, int]] = []
    for first, last in zip(anchors, anchors[1:], strict=False):
        groups.extend(_best(pieces, sums, first=first, last=last, size=size))
    return groups


def _anchors(text: str, pieces: Sequence[Piece], sums: Sequence[int], *, size: int) -> list[int]:
    """Cuts in order of strength and hash until every stretch is small enough to be weighed as a whole."""
    cuts = [0, len(pieces)]
    for at in sorted(range(1, len(pieces)), key=lambda at: _rank(text, pieces[at])):
        place = bisect_left(cuts, at)
        before, after = cuts[place - 1], cuts[place]
        left, right = sums[at] - sums[before], sums[after] - sums[at]
        if left + right > STRETCH * size and min(left, right) >= size:
            cuts.insert(place, at)
    return cuts


def _rank(text: str, piece: Piece) -> tuple[int, int]:
    here = text[piece.start : min(piece.end, piece.start + HASHED_CHARACTERS)]
    return -piece.strength, crc32(here.encode("utf-8", "replace"))


def _best(
    pieces: Sequence[Piece], sums: Sequence[int], *, first: int, last: int, size: int
) -> list[tuple[int, int]]:
    """The cheapest way to group one stretch: full groups, cut at strong places."""
    price = {first: 0.0}
    origin: dict[int, int] = {}
    for end in range(first + 1, last + 1):
        closing = _cut_price(pieces[end].strength) if end < last else 0.0
        options = [
            (price[at] + _waste(used, size=size) + closing, at)
            for at in range(end - 1, max(first, end - MOST_PIECES) - 1, -1)
            if (used := sums[end] - sums[at] + pieces[at].room) <= size or at == end - 1
        ]
        price[end], origin[end] = min(options)
    return _walk_back(origin, first=first, last=last)


def _walk_back(origin: dict[int, int], *, first: int, last: int) -> list[tuple[int, int]]:
    groups = []
    while last > first:
        groups.append((origin[last], last))
        last = origin[last]
    return groups[::-1]


def _waste(used: int, *, size: int) -> float:
    return max(0.0, 1 - used / size) ** 2


def _cut_price(strength: int) -> float:
    return 0.0 if strength >= SECTION else CUT_PRICE[strength]
