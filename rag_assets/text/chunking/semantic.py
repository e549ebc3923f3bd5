"""Where the topic changes: pieces and an embedder come in, pieces priced by what a cut would part go out."""

import math
from collections.abc import Callable, Sequence
from operator import mul

from rag_assets.text.chunking.pieces import Piece
from rag_assets.text.chunking.structure import BLOCK, LINE

Embed = Callable[[Sequence[str]], Sequence[Sequence[float]]]

BATCH_TEXTS = 512  # texts of one call
BLANK_TEXT = "."  # instead of a piece of white space: servers refuse empty texts
NEIGHBOUR_PIECES = 2  # pieces on either side whose mean vectors are compared
SURROUNDING_CUTS = 12  # cuts on either side that a similarity is judged against
STRONGEST_PRICE = 1.0  # of parting what is most alike


def with_cut_prices(text: str, pieces: Sequence[Piece], *, embed: Embed) -> list[Piece]:
    """The same pieces; cuts inside a section cost more the more alike the text on both sides is.

    Alike is judged against the cuts around, not against the whole document or a fixed number: it holds for any
    model, and an edit far away changes nothing.
    """
    texts = [text[piece.start : piece.end].strip() or BLANK_TEXT for piece in pieces]
    vectors = [vector for at in range(0, len(texts), BATCH_TEXTS) for vector in embed(texts[at : at + BATCH_TEXTS])]
    similarities = _similarities(vectors)
    return [
        piece._replace(price=piece.price + STRONGEST_PRICE * _standing(similarities, at))
        if LINE <= piece.strength <= BLOCK
        else piece
        for at, piece in enumerate(pieces)
    ]


def _similarities(vectors: Sequence[Sequence[float]]) -> list[float]:
    """Cosine of the summed vectors before and after each piece's start; the first has nothing before it."""
    return [0.0] + [
        _cosine(_sum(vectors[max(0, at - NEIGHBOUR_PIECES) : at]), _sum(vectors[at : at + NEIGHBOUR_PIECES]))
        for at in range(1, len(vectors))
    ]


def _sum(vectors: Sequence[Sequence[float]]) -> list[float]:
    return [sum(column) for column in zip(*vectors, strict=True)]


def _cosine(first: Sequence[float], second: Sequence[float]) -> float:
    lengths = math.hypot(*first) * math.hypot(*second)
    return sum(map(mul, first, second)) / lengths if lengths else 0.0


def _standing(similarities: Sequence[float], at: int) -> float:
    """Share of the cuts around that part what is less alike: 0 is the deepest change of topic, 1 the least."""
    around = similarities[max(1, at - SURROUNDING_CUTS) : at + SURROUNDING_CUTS + 1]
    below = sum(similarity < similarities[at] for similarity in around)
    return below / max(1, len(around) - 1)
