"""Where the topic changes: pieces and an embedder come in, pieces priced by what a cut would part go out."""

from collections.abc import Callable, Sequence

from rag_assets.text.pieces import Piece
from rag_assets.text.structure import BLOCK, LINE

Embed = Callable[[Sequence[str]], Sequence[Sequence[float]]]

BATCH = 512  # texts of one call
BLANK = "."  # instead of a piece of white space: servers refuse empty texts
NEIGHBOURS = 2  # pieces on either side whose mean vectors are compared
SURROUNDINGS = 12  # cuts on either side that a similarity is judged against
STRONGEST_PRICE = 1.0  # of parting what is most alike


def priced(text: str, pieces: Sequence[Piece], *, embed: Embed) -> list[Piece]:
    """The same pieces; cuts inside a section cost more the more alike the text on both sides is.

    Alike is judged against the cuts around, not against the whole document or a fixed number: it holds for any
    model, and an edit far away changes nothing.
    """
    texts = [text[piece.start : piece.end].strip() or BLANK for piece in pieces]
    vectors = [vector for at in range(0, len(texts), BATCH) for vector in embed(texts[at : at + BATCH])]
    similarities = _similarities(vectors)
    return [
        piece._replace(price=piece.price + STRONGEST_PRICE * _standing(similarities, at))
        if LINE <= piece.strength <= BLOCK
        else piece
        for at, piece in enumerate(pieces)
    ]


def _similarities(vectors: Sequence[Sequence[float]]) -> list[float]:
    """Cosine of the mean vectors before and after each piece's start; the first has nothing before it."""
    import numpy

    if len(vectors) < 2:
        return [0.0] * len(vectors)
    matrix = numpy.asarray(vectors, dtype=numpy.float64)
    sums = numpy.vstack([numpy.zeros(matrix.shape[1]), matrix.cumsum(axis=0)])
    at = numpy.arange(1, len(matrix))
    before = sums[at] - sums[numpy.maximum(at - NEIGHBOURS, 0)]
    after = sums[numpy.minimum(at + NEIGHBOURS, len(matrix))] - sums[at]
    lengths = numpy.linalg.norm(before, axis=1) * numpy.linalg.norm(after, axis=1)
    dots = (before * after).sum(axis=1)
    return [0.0, *(dots / numpy.maximum(lengths, 1e-12)).tolist()]


def _standing(similarities: Sequence[float], at: int) -> float:
    """Share of the cuts around that part what is less alike: 0 is the deepest change of topic, 1 the least."""
    around = similarities[max(1, at - SURROUNDINGS) : at + SURROUNDINGS + 1]
    below = sum(similarity < similarities[at] for similarity in around)
    return below / max(1, len(around) - 1)
