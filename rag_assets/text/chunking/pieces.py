"""The smallest parts of a text: blocks come in, pieces with their tokens go out, for packing to put together."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from zlib import crc32

from rag_assets.text.chunking import boundaries
from rag_assets.text.chunking.boundaries import Cut
from rag_assets.text.chunking.structure import (
    AFTER_HEADING,
    BLOCK,
    DEFINITION,
    ITEM,
    LINE,
    PART,
    SENTENCE,
    STRONGEST,
    WORD,
    Block,
)
from rag_assets.text.chunking.tokens import RemoteTokenizer, Span, Tokenizer

CHARACTERS_PER_TOKEN = 16  # more is text the model has no words for; its pieces end by length
USUAL_CHARACTERS = 8  # of a token; longer blocks are looked into without being counted first
CLOSE_CUTS = 8  # cuts closer than target / 8 characters are thinned out
CONFETTI_CHARACTERS, CONFETTI_CUTS = 8, 100  # characters between two cuts, on average, of more than so many: confetti
LEAST_CONFETTI_CHARACTERS = 32  # characters between two cuts of confetti, at least
HEADER_SHARE = 3  # of a table's header to its rows, at most, in one chunk
HASHED_CHARACTERS = 64
HEADING_SEPARATOR = " > "  # between the headings above a chunk
CUT_PRICES = {
    PART: 10.0,
    AFTER_HEADING: 2.0,
    WORD: 1.5,
    LINE: 0.8,
    SENTENCE: 0.5,
    ITEM: 0.35,
    BLOCK: 0.1,
    DEFINITION: 0.05,
}
SECTION_PRICE = -0.25  # a chunk that runs on into another section is named by the wrong heading
_CUTS = {"prose": boundaries.prose, "table": boundaries.rows, "code": boundaries.code}


class Piece(NamedTuple):
    """A stretch of the text that packing takes whole: it decides only which pieces share a chunk."""

    start: int
    end: int
    tokens: int
    strength: int  # of the cut before it
    price: float  # of a cut before it; 1 is as bad as an empty chunk
    hash: int  # of its first words: decides among cuts of equal strength
    block: Block
    header: Span | None  # the table header that is repeated where a chunk starts here
    reserved_tokens: int  # tokens to leave free in a chunk that starts here


class Sizes(NamedTuple):
    """The sizes by which texts are cut, all in tokens."""

    limit: int  # no chunk exceeds it
    overlap: int  # left free where a chunk may begin with the end of the one before
    whole: int  # a block up to here is one piece
    context: int  # the most that is left free for headings before a chunk

    @property
    def target(self) -> int:
        """What a piece of prose must fit; code and tables are not repeated and may have `limit`."""
        return max(1, self.limit - self.overlap)


class TokenizedText:
    """A text, with the number of tokens of any stretch of it; stretches are (start, end) in characters."""

    def __init__(self, text: str, tokenizer: Tokenizer) -> None:
        self.text = text
        self._tokenizer = tokenizer
        # Asking a server for every sentence would take longer than embedding them.
        is_remote = isinstance(tokenizer, RemoteTokenizer)
        self._ends = [end for _, end in tokenizer.spans(text)] if is_remote else None

    def tokens(self, start: int, end: int) -> int:
        """The number of tokens of a stretch."""
        if self._ends is None:
            return self._tokenizer.count(self.text[start:end])
        return bisect_right(self._ends, end) - bisect_right(self._ends, start)

    def count(self, text: str) -> int:
        """The number of tokens of another text, such as the headings above a chunk."""
        return self._tokenizer.count(text)

    def spans(self, start: int, end: int) -> list[Span]:
        """The tokens, none of them empty or longer than a long word."""
        return boundaries.short_spans(self._tokenizer.spans(self.text[start:end]), offset=start)

    def windows(self, start: int, end: int, *, size: int) -> list[Span]:
        """At least two stretches, of at most `size` tokens each as tokens are counted in the whole."""
        spans = self.spans(start, end)
        size = max(1, min(size, (len(spans) + 1) // 2))
        starts = [start, *(spans[at][0] for at in boundaries.windows(self.text, spans, size=size)[1:])]
        if len(starts) == 1:
            starts.append((start + end) // 2)
        return list(zip(starts, [*starts[1:], end], strict=True))


class Cutter:
    """Cuts the blocks of one text as far down as their size asks for."""

    def __init__(self, measured: TokenizedText, sizes: Sizes, *, fences_whole: bool) -> None:
        self._measured = measured
        self._text = measured.text
        self._sizes = sizes
        self._fences_whole = fences_whole
        self._contexts: dict[tuple[str, ...], int] = {}  # heading path -> tokens
        self._headers: dict[Span, int] = {}  # header of a table -> tokens

    def pieces(self, block: Block) -> Iterator[Piece]:
        """The block in pieces of at most the target's tokens, in its order, without gaps; one that fits stays whole."""
        if self._is_whole(block):
            yield from self._fitting(block, block.start, end=block.end, strength=block.strength)
            return
        starts = [(block.start, block.strength), *self._thinned(block)]
        ends = [*(start for start, _ in starts[1:]), block.end]
        if block.header and self._measured.tokens(block.start, ends[0]) > self._sizes.limit:
            starts.insert(1, (block.header[1], AFTER_HEADING))
            ends.insert(0, block.header[1])
        for (start, strength), end in zip(starts, ends, strict=True):
            yield from self._fitting(block, start, end=end, strength=strength)

    def _is_whole(self, block: Block) -> bool:
        is_fence = block.kind == "code" and self._fences_whole
        most = self._sizes.limit if is_fence else self._sizes.whole
        if block.end - block.start > most * (CHARACTERS_PER_TOKEN if is_fence else USUAL_CHARACTERS):
            return False
        return self._measured.tokens(block.start, block.end) <= most

    def _thinned(self, block: Block) -> Iterator[Cut]:
        """Of cuts that are very close, as in tables of numbers, the stronger; of equal ones those a hash chooses."""
        closest = self._sizes.target // CLOSE_CUTS
        cuts = list(_CUTS[block.kind](self._text, block.start, end=block.end))
        is_confetti = len(cuts) > CONFETTI_CUTS and len(cuts) * CONFETTI_CHARACTERS > block.end - block.start
        nearest = LEAST_CONFETTI_CHARACTERS if is_confetti else 0
        first = block.header[1] if block.header else block.start
        kept: Cut = (first, STRONGEST)
        for at, strength in cuts:
            is_close = at < kept[0] + nearest or (at < kept[0] + closest and self._hash(at) % 4 > 0)
            if at > first and not is_close and kept[0] > first:
                yield kept
            if at > first and (not is_close or strength > kept[1]):
                kept = (at, strength)
        if kept[0] > first:
            yield kept

    def _fitting(self, block: Block, start: int, *, end: int, strength: int) -> Iterator[Piece]:
        """One piece, or several where a sentence, a line or an unknown word is too long."""
        most = self._sizes.target if block.kind == "prose" else self._sizes.limit
        if end - start <= most * CHARACTERS_PER_TOKEN:
            tokens = self._measured.tokens(start, end)
            if tokens <= most or end - start == 1:
                yield self._piece(block, start, end=end, tokens=tokens, strength=strength)
                return
        for at, stop in self._measured.windows(start, end, size=self._sizes.target // 4):
            inside = PART if boundaries.is_inside_word(self._text, at) else WORD
            yield from self._fitting(block, at, end=stop, strength=strength if at == start else inside)

    def _piece(self, block: Block, start: int, *, end: int, tokens: int, strength: int) -> Piece:
        header, reserved = self._header(block, start, tokens=tokens)
        reserved += self._context(block)
        if block.kind == "prose" and strength <= BLOCK:
            reserved += self._sizes.overlap
        price = CUT_PRICES.get(strength, SECTION_PRICE)
        return Piece(start, end, tokens, strength, price, self._hash(start), block, header, reserved)

    def _header(self, block: Block, start: int, *, tokens: int) -> tuple[Span | None, int]:
        """The header to repeat and the tokens to leave free: all of them where rows stand without it, alone."""
        if not block.header or start < block.header[1]:
            return None, 0
        if block.header not in self._headers:
            self._headers[block.header] = self._measured.tokens(*block.header)
        header, limit = self._headers[block.header], self._sizes.limit
        if header > HEADER_SHARE * max(tokens, limit // (HEADER_SHARE + 1)):
            return None, 0
        return (block.header, header) if header + tokens <= limit else (None, limit - tokens)

    def _context(self, block: Block) -> int:
        if not self._sizes.context or not block.path:
            return 0
        if block.path not in self._contexts:
            self._contexts[block.path] = self._measured.count(HEADING_SEPARATOR.join(block.path))
        return min(self._sizes.context, self._contexts[block.path])

    def _hash(self, at: int) -> int:
        return crc32(self._text[at : at + HASHED_CHARACTERS].encode("utf-8", "surrogatepass"))


def pieces(blocks: Sequence[Block], cutter: Cutter) -> list[Piece]:
    """Cut all blocks; the pieces come in the order of the text and cover the blocks without a gap."""
    return [piece for block in blocks for piece in cutter.pieces(block)]
