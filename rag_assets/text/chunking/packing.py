"""Which cuts are made: pieces come in, groups of neighbours that fit go out.

Cuts are made in order of strength, and among equals of a hash of what stands there, never by a count from the top:
an edit changes the group it falls into and seldom more than that group's neighbours.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, pairwise

from rag_assets.text.chunking.pieces import Piece

STRETCH_GROUPS = 3  # groups that are weighed against each other at once
MOST_CUTS = 128  # weighed in one stretch
SPREAD = 7  # of pieces that are all alike, every seventh begins a group first
MOST_PIECES = 128  # in one group; bounds the time spent on confetti

Group = tuple[int, int]  # indices of the first piece and of the one after the last


def pack(pieces: Sequence[Piece], *, size: int, fullness: float = 1.0) -> list[Group]:
    """Groups of at most `size` tokens; a larger piece is a group by itself.

    `fullness` weighs full groups against cheap cuts.
    """
    sums = [0, *accumulate(piece.tokens for piece in pieces)]
    anchors = _anchors(pieces, sums, size=size)
    emptiness = [fullness * max(0.0, 1 - used / size) ** 2 for used in range(size + 1)]
    groups: list[Group] = []
    for stretch in pairwise(anchors):
        groups.extend(_best(pieces, sums, stretch=stretch, emptiness=emptiness))
    return groups


def _anchors(pieces: Sequence[Piece], sums: Sequence[int], *, size: int) -> list[int]:
    """Cuts in order of strength and hash until every stretch is short enough to be weighed as a whole."""
    cuts = [0, len(pieces)]
    for at in sorted(range(1, len(pieces)), key=lambda at: (-pieces[at].strength, pieces[at].hash)):
        place = bisect_left(cuts, at)
        left, right = sums[at] - sums[cuts[place - 1]], sums[cuts[place]] - sums[at]
        if left + right > STRETCH_GROUPS * size and min(left, right) >= size:
            cuts.insert(place, at)
    return cuts


def _best(pieces: Sequence[Piece], sums: Sequence[int], *, stretch: Group, emptiness: Sequence[float]) -> list[Group]:
    """The cheapest grouping of one stretch: full groups, cut at strong places.

    `emptiness` is what a group of so many tokens costs for the room that it leaves.
    """
    size = len(emptiness) - 1
    cuts = _worth_weighing(pieces, stretch)
    ends = [sums[at] for at in cuts]
    starts = [sums[at] - (pieces[at].reserved_tokens if at < stretch[1] else 0) for at in cuts]
    cost = [0.0]
    origin = [0]
    for end in range(1, len(cuts)):
        best, chosen, total = float("inf"), end - 1, ends[end]
        for at in range(end - 1, max(0, end - MOST_PIECES) - 1, -1):
            used = total - starts[at]
            if used > size and at < end - 1:
                if total - ends[at] > size:
                    break
                continue
            price = cost[at] + (emptiness[used] if used < size else 0.0)
            if price < best:
                best, chosen = price, at
        cost.append(best + (pieces[cuts[end]].price if cuts[end] < stretch[1] else 0.0))
        origin.append(chosen)
    return [(cuts[first], cuts[last]) for first, last in _walk_back(origin)]


def _worth_weighing(pieces: Sequence[Piece], stretch: Group) -> list[int]:
    """Where a stretch may be cut, its two ends included: of very many the strongest, of equal ones by hash."""
    inner = range(stretch[0] + 1, stretch[1])
    if len(inner) > MOST_CUTS:
        chosen = sorted(inner, key=lambda at: (-pieces[at].strength, pieces[at].hash, at % SPREAD, at))[:MOST_CUTS]
        return [stretch[0], *sorted(chosen), stretch[1]]
    return [*range(stretch[0], stretch[1] + 1)]


def _walk_back(origin: Sequence[int]) -> list[Group]:
    groups: list[Group] = []
    last = len(origin) - 1
    while last > 0:
        groups.append((origin[last], last))
        last = origin[last]
    return groups[::-1]
