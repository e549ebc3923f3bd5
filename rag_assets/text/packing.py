"""Which cuts are made: pieces come in, groups of neighbours that fit go out.

Cuts are made in order of strength, and among equals of a hash of what stands there, never by a count from the top:
an edit changes the group it falls into and seldom more than that group's neighbours.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, pairwise

from rag_assets.text.pieces import Piece

STRETCH = 3  # groups that are weighed against each other at once
MOST_PIECES = 128  # in one group; bounds the time spent on confetti

Group = tuple[int, int]  # indices of the first piece and of the one after the last


def pack(pieces: Sequence[Piece], *, size: int, fullness: float = 1.0) -> list[Group]:
    """Groups of at most `size` tokens; a larger piece is a group by itself.

    `fullness` weighs full groups against cheap cuts.
    """
    sums = [0, *accumulate(piece.tokens for piece in pieces)]
    anchors = _anchors(pieces, sums, size=size)
    groups: list[Group] = []
    for first, last in pairwise(anchors):
        groups.extend(_best(pieces, sums, stretch=(first, last), size=size, fullness=fullness))
    return groups


def _anchors(pieces: Sequence[Piece], sums: Sequence[int], *, size: int) -> list[int]:
    """Cuts in order of strength and hash until every stretch is short enough to be weighed as a whole."""
    cuts = [0, len(pieces)]
    for at in sorted(range(1, len(pieces)), key=lambda at: (-pieces[at].strength, pieces[at].hash)):
        place = bisect_left(cuts, at)
        left, right = sums[at] - sums[cuts[place - 1]], sums[cuts[place]] - sums[at]
        if left + right > STRETCH * size and min(left, right) >= size:
            cuts.insert(place, at)
    return cuts


def _best(pieces: Sequence[Piece], sums: Sequence[int], *, stretch: Group, size: int, fullness: float) -> list[Group]:
    """The cheapest grouping of one stretch: full groups, cut at strong places."""
    first, last = stretch
    cost = [0.0]
    origin = [first]
    for end in range(first + 1, last + 1):
        best, chosen = float("inf"), end - 1
        for at in range(end - 1, max(first, end - MOST_PIECES) - 1, -1):
            used = sums[end] - sums[at] + pieces[at].room
            if used > size and at < end - 1:
                if sums[end] - sums[at] > size:
                    break
                continue
            price = cost[at - first] + fullness * max(0.0, 1 - used / size) ** 2
            if price < best:
                best, chosen = price, at
        cost.append(best + (pieces[end].price if end < last else 0.0))
        origin.append(chosen)
    return _walk_back(origin, stretch)


def _walk_back(origin: Sequence[int], stretch: Group) -> list[Group]:
    first, last = stretch
    groups: list[Group] = []
    while last > first:
        groups.append((origin[last - first], last))
        last = origin[last - first]
    return groups[::-1]
