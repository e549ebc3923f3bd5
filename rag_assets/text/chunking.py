"""Parsed text into chunks: structure decides where to cut, the embedding model's own tokens decide how much fits."""

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from rag_assets import settings
from rag_assets.model import Chunk, ChunkKind, ParsedText
from rag_assets.text import boundaries, packing, structure
from rag_assets.text.packing import Piece
from rag_assets.text.structure import BLOCK, SENTENCE, WORD, Block
from rag_assets.text.tokens import SPECIAL_TOKENS, Span, Tokenizer

CHARACTERS_PER_TOKEN = 16  # more means text the model has no words for; such chunks end early
HEADING_CHARACTERS = 400  # of a chunk's start, where its own headings stand
CONTEXT_SHARE = 4  # at most 1/4 of a chunk's tokens is left free for the headings above it

Embed = Callable[[Sequence[str]], Sequence[Sequence[float]]]


def chunk(
    parsed: ParsedText,
    *,
    tokenizer: Tokenizer,
    settings: settings.Chunking,
    embed: Embed | None = None,
) -> tuple[Chunk, ...]:
    """Cut a document; deterministic, nothing is lost, no chunk is empty or over the limit."""
    cutter = _Cutter(parsed, tokenizer, settings=settings)
    if not cutter.blocks:
        return ()
    bodies = cutter.fixed() if settings.strategy == "fixed" else cutter.recursive()
    fitting = (part for body in bodies for part in cutter.fitted(body))
    return tuple(cutter.chunk(index, body) for index, body in enumerate(fitting))


class _Body:
    """A chunk in the making."""

    __slots__ = ("end", "header", "kind", "path", "start")

    def __init__(
        self, start: int, end: int, *, kind: ChunkKind, path: tuple[str, ...], header: Span | None
    ) -> None:
        self.start, self.end, self.kind, self.path, self.header = start, end, kind, path, header


class _Cutter:
    def __init__(self, parsed: ParsedText, tokenizer: Tokenizer, *, settings: settings.Chunking) -> None:
        self.parsed = parsed
        self.text = parsed.text
        self.tokenizer = tokenizer
        self.settings = settings
        self.limit = min(settings.size - SPECIAL_TOKENS, tokenizer.max_tokens)
        self.target = max(1, self.limit - settings.overlap)  # what packing fills; the rest is for overlap
        self.blocks = structure.blocks(parsed)

    # ---- recursive: by structure

    def recursive(self) -> Iterator[_Body]:
        pieces = [piece for block in self.blocks for piece in self._pieces(block)]
        for first, last in packing.pack(self.text, pieces, size=self.target):
            yield self._body(pieces, first=first, last=last)

    def _pieces(self, block: Block) -> Iterator[Piece]:
        tokens = self.tokenizer.count(self.text[block.start : block.end])
        if tokens <= self._whole(block):
            yield self._piece(block, block.start, end=block.end, strength=block.strength, tokens=tokens)
            return
        cuts = {"prose": boundaries.prose, "table": boundaries.rows, "code": boundaries.code}[block.kind]
        starts = [(block.start, block.strength), *cuts(self.text, block.start, end=block.end)]
        ends = [start for start, _ in starts[1:]] + [block.end]
        for (start, strength), end in zip(starts, ends, strict=True):
            yield from self._small(block, start, end=end, strength=strength)

    def _whole(self, block: Block) -> int:
        """Up to how many tokens the block is not looked into."""
        return (
            self.limit if block.kind == "code" and self.parsed.structure == "markdown" else self.target // 4
        )

    def _small(self, block: Block, start: int, *, end: int, strength: int) -> Iterator[Piece]:
        tokens = self.tokenizer.count(self.text[start:end])
        if end - start == 1 or (tokens <= self.target and end - start <= self.target * CHARACTERS_PER_TOKEN):
            yield self._piece(block, start, end=end, strength=strength, tokens=tokens)
            return
        for at, stop in self._windows(start, end=end, size=max(1, self.target // 4)):
            yield from self._small(block, at, end=stop, strength=strength if at == start else WORD)

    def _piece(self, block: Block, start: int, *, end: int, strength: int, tokens: int) -> Piece:
        header = block.header if block.header and start >= block.header[1] else None
        room = self.tokenizer.count(self.text[slice(*header)]) if header else 0
        if room > self.target // 2:
            header, room = None, 0
        if self.settings.heading_context:
            room += min(self.tokenizer.count(" > ".join(block.path)), self.target // CONTEXT_SHARE)
        return Piece(start, end, tokens, strength, block.kind, block.path, header, room)

    def _windows(self, start: int, *, end: int, size: int) -> list[Span]:
        part = self.text[start:end]
        spans = boundaries.short_spans(self.tokenizer.spans(part))
        starts = [0, *(spans[at][0] for at in boundaries.windows(part, spans, size=size)[1:])]
        return [(start + a, start + b) for a, b in zip(starts, [*starts[1:], end - start], strict=True)]

    def _body(self, pieces: Sequence[Piece], *, first: int, last: int) -> _Body:
        group = pieces[first:last]
        start = self._with_overlap(pieces, first=first, tokens=sum(piece.tokens for piece in group))
        kinds: Counter[ChunkKind] = Counter()
        for piece in group:
            kinds[piece.kind] += piece.tokens
        head = group[0]
        return _Body(
            start, group[-1].end, kind=kinds.most_common(1)[0][0], path=head.path, header=head.header
        )

    def _with_overlap(self, pieces: Sequence[Piece], *, first: int, tokens: int) -> int:
        """Start of the chunk when whole sentences of the text before it are repeated."""
        here = pieces[first]
        free = min(self.settings.overlap, self.limit - tokens - here.room)
        before = pieces[first - 1] if first else None
        if before is None or free <= 0 or here.strength > BLOCK or {here.kind, before.kind} != {"prose"}:
            return here.start
        cuts = boundaries.prose(self.text, before.start, end=before.end)
        starts = [before.start, *(at for at, strength in cuts if strength >= SENTENCE)]
        for start in starts:
            if self.tokenizer.count(self.text[start : here.start]) <= free:
                return start
        return here.start

    # ---- fixed: windows of nearly the same size

    def fixed(self) -> Iterator[_Body]:
        starts = [block.start for block in self.blocks]
        spans = boundaries.short_spans(self.tokenizer.spans(self.text))
        cuts = boundaries.windows(self.text, spans, size=self.target)
        for cut, following in zip(cuts, [*cuts[1:], len(spans)], strict=True):
            start = (
                boundaries.word_start(self.text, spans, at=max(0, cut - self.settings.overlap)) if cut else 0
            )
            end = spans[following][0] if following < len(spans) else len(self.text)
            at = spans[cut][0] if cut else 0
            block = self.blocks[max(0, bisect_right(starts, at) - 1)]
            yield _Body(start, end, kind=block.kind, path=block.path, header=None)

    # ---- both

    def fitted(self, body: _Body) -> Iterator[_Body]:
        """The body without white space around it; in parts where it is over the limit after all.

        Counts of parts do not always add up: where a cut went through a word, and with other tokenizers.
        """
        body.start, body.end = _trimmed(self.text, body.start, end=body.end)
        if body.end - body.start <= 1 or self.tokenizer.count(self._content(body)) <= self.limit:
            yield from [body] if body.start < body.end else []
            return
        size = self.limit
        while len(parts := self._windows(body.start, end=body.end, size=size)) == 1:
            size = size // 2
        for start, end in parts:
            yield from self.fitted(_Body(start, end, kind=body.kind, path=body.path, header=None))

    def _content(self, body: _Body) -> str:
        header = self.text[slice(*body.header)] if body.header else ""
        return header + self.text[body.start : body.end]

    def _prefix(self, body: _Body, content: str) -> str:
        """The headings above that are not in the chunk itself; the outermost go first where they do not fit."""
        if not self.settings.heading_context:
            return ""
        path = [title for title in body.path if title not in content[:HEADING_CHARACTERS]]
        for first in range(len(path)):
            prefix = " > ".join(path[first:]) + "\n\n"
            if self.tokenizer.count(prefix + content) <= self.limit:
                return prefix
        return ""

    def chunk(self, index: int, body: _Body) -> Chunk:
        content = self._content(body)
        embedded = self._prefix(body, content) + content
        return Chunk(
            index=index,
            content=content,
            content_sha256=hashlib.sha256(embedded.encode("utf-8", "surrogatepass")).hexdigest(),
            embedded_text=embedded,
            token_count=self.tokenizer.count(embedded),
            char_start=body.start,
            char_end=body.end,
            page=self._page(body.start),
            heading_path=body.path,
            kind=body.kind,
        )

    def _page(self, at: int) -> int | None:
        offsets = self.parsed.page_offsets
        return max(1, bisect_right(offsets, at)) if offsets else None


def _trimmed(text: str, start: int, *, end: int) -> Span:
    """Without white space around it, but with the indentation of its first line."""
    body = text[start:end]
    stop = start + len(body.rstrip())
    skipped = len(body) - len(body.lstrip())
    line = body.rfind("\n", 0, skipped) + 1
    return start + line if line else start, max(stop, start)
