"""Parsed text into chunks: structure decides where to cut, the model's own tokens decide how much fits."""

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rag_assets import settings
from rag_assets.errors import SettingsError
from rag_assets.model import Chunk, ChunkKind, ParsedText
from rag_assets.text.chunking import boundaries, packing, semantic, structure
from rag_assets.text.chunking.packing import Group
from rag_assets.text.chunking.pieces import HEADING_SEPARATOR, Cutter, Piece, Sizes, TokenizedText, pieces
from rag_assets.text.chunking.semantic import Embed
from rag_assets.text.chunking.structure import BLOCK, PART, SENTENCE, WORD, Block
from rag_assets.text.chunking.tokens import SPECIAL_TOKENS, Span, Tokenizer

VERSION = 4  # of the rules; another one means that documents are cut anew
CONTEXT_SHARE = 4  # with heading_context, up to 1/4 of a chunk is left free for the headings above it
PIECE_SHARE = 4  # paragraphs up to 1/4 of a chunk are not looked into
SEMANTIC_FULLNESS = 0.5  # semantic chunks may be smaller where the topic changes
OVERLAPPED_PIECES = 8  # looked at for overlap, at most


def chunk(
    parsed: ParsedText, *, tokenizer: Tokenizer, settings: settings.Chunking, embed: Embed | None = None
) -> tuple[Chunk, ...]:
    """Cut a document. Nothing is lost, no chunk is empty or over the limit, the same input gives the same chunks.

    `embed` is needed by the semantic strategy only: texts -> one vector each. Raises SettingsError without it.
    """
    cutting = _Cutting(parsed, tokenizer, settings)
    if not cutting.blocks:
        return ()
    fitting: list[_Body] = []
    for body in _bodies(cutting, settings, embed=embed):
        is_repeated_whole = bool(fitting) and body.start <= fitting[-1].start
        fitting.extend(cutting.fitted(replace(body, start=body.own) if is_repeated_whole else body))
    return tuple(cutting.chunk(index, body) for index, body in enumerate(fitting))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Body:
    """A chunk in the making; `outer` are the headings above that its own text does not show."""

    start: int
    end: int
    kind: ChunkKind
    path: tuple[str, ...]
    outer: tuple[str, ...]
    own: int  # where what is repeated from the chunk before ends
    header: Span | None = None
    tokens: int = 0  # of the content, once it is known to fit


def _bodies(cutting: "_Cutting", settings: settings.Chunking, *, embed: Embed | None) -> Iterator[_Body]:
    if settings.strategy == "fixed":
        return cutting.fixed()
    if settings.strategy == "recursive":
        return cutting.recursive()
    if embed is None:
        raise SettingsError("chunking.strategy is 'semantic', which needs the embedder, and none was given")
    return cutting.semantic(embed)


class _Cutting:
    """One document, its measures, and what becomes of it under the settings."""

    def __init__(self, parsed: ParsedText, tokenizer: Tokenizer, settings: settings.Chunking) -> None:
        self.parsed = parsed
        self.text = parsed.text
        self.tokenizer = tokenizer
        self.overlap = min(settings.overlap, settings.size // 2)  # more would be the same text again and again
        self.heading_context = settings.heading_context
        self.limit = min(settings.size - SPECIAL_TOKENS, tokenizer.max_tokens)
        self.target = max(1, self.limit - self.overlap)  # of a window, before its overlap
        self.blocks = structure.blocks(parsed)
        self.measured = TokenizedText(parsed.text, tokenizer)

    def recursive(self) -> Iterator[_Body]:
        parts = pieces(self.blocks, self._cutter(self.target // PIECE_SHARE))
        return self._packed(parts, packing.pack(parts, size=self.limit))

    def semantic(self, embed: Embed) -> Iterator[_Body]:
        parts = semantic.with_cut_prices(self.text, pieces(self.blocks, self._cutter(0)), embed=embed)
        return self._packed(parts, packing.pack(parts, size=self.limit, fullness=SEMANTIC_FULLNESS))

    def fixed(self) -> Iterator[_Body]:
        """Windows of nearly the target's size, wherever that cuts, with exactly the overlap before them."""
        starts = [block.start for block in self.blocks]
        spans = self.measured.spans(0, len(self.text))
        cuts = boundaries.windows(self.text, spans, size=self.target)
        for before, cut, following in zip([0, *cuts], cuts, [*cuts[1:], len(spans)], strict=False):
            first = max(cut - self.overlap, min(before + 1, cut))
            first = boundaries.word_start(self.text, spans, at=first, last=cut)
            start = spans[first][0] if first else 0
            end = spans[following][0] if following < len(spans) else len(self.text)
            block = self.blocks[max(0, bisect_right(starts, start) - 1)]
            outer = block.path[:-1] if block.is_heading else block.path
            own = spans[cut][0] if cut else 0
            yield _Body(start=start, end=end, kind=block.kind, path=block.path, outer=outer, own=own)

    def fitted(self, body: _Body) -> Iterator[_Body]:
        """The body without white space around it; without overlap or in parts if it is over the limit after all.

        Counts of parts do not always add up: where a word was cut, and with other models' tokenizers.
        """
        start, end = _trimmed(self.text, body.start, end=body.end)
        if start == end:
            return
        body = replace(body, start=start, end=end)
        tokens = self.tokenizer.count(self._content(body))
        if tokens <= self.limit or end - start == 1:
            yield replace(body, tokens=tokens)
        elif start < body.own:
            yield from self.fitted(replace(body, start=body.own))
        else:
            for first, last in self.measured.windows(start, end, size=self.limit):
                yield from self.fitted(replace(body, start=first, end=last, header=None))

    def chunk(self, index: int, body: _Body) -> Chunk:
        content = self._content(body)
        context = self._context(body.outer, content)
        embedded = context + content
        return Chunk(
            index=index,
            content=content,
            content_sha256=hashlib.sha256(embedded.encode("utf-8", "surrogatepass")).hexdigest(),
            embedded_text=embedded,
            token_count=self.tokenizer.count(embedded) if context else body.tokens,
            char_start=body.start,
            char_end=body.end,
            page=self._page(body.start),
            heading_path=body.path,
            kind=body.kind,
        )

    def _cutter(self, whole: int) -> Cutter:
        context = self.target // CONTEXT_SHARE if self.heading_context else 0
        sizes = Sizes(limit=self.limit, overlap=self.overlap, whole=whole, context=context)
        return Cutter(self.measured, sizes, fences_whole=self.parsed.structure == "markdown")

    def _packed(self, parts: Sequence[Piece], groups: Sequence[Group]) -> Iterator[_Body]:
        for previous, (first, last) in zip([0, *(first for first, _ in groups)], groups, strict=False):
            head = parts[first]
            block = _named_by(parts[first:last])
            outer = head.block.path[:-1] if head.block.is_heading else head.block.path
            yield _Body(
                start=self._with_overlap(parts, (first, last), previous=previous),
                end=parts[last - 1].end,
                kind=_kind(parts[first:last]),
                path=block.path,
                outer=outer,
                own=head.start,
                header=head.header,
            )

    def _with_overlap(self, parts: Sequence[Piece], group: Group, *, previous: int) -> int:
        """Where the chunk starts when whole sentences before its own text are repeated, within one section.

        `previous` is the first piece of the chunk before, which is never repeated as a whole.
        """
        first, last = group
        start, free = parts[first].start, self._free_for_overlap(parts[first:last])
        for at in range(first, max(previous, first - OVERLAPPED_PIECES), -1):
            before, after = parts[at - 1 : at + 1]
            if not _runs_on(before, after) or free <= 0:
                return start
            if before.tokens > free or at - 1 == previous:
                words = after.strength in (PART, WORD)
                last_start = self._last_sentences(before, after.start, free=free, words=words)
                return last_start if last_start < after.start else start
            start, free = start if before.strength == PART else before.start, free - before.tokens
        return start

    def _free_for_overlap(self, group: Sequence[Piece]) -> int:
        used = sum(piece.tokens for piece in group) + group[0].reserved_tokens - self.overlap
        return min(self.overlap, self.limit - used)

    def _last_sentences(self, piece: Piece, end: int, *, free: int, words: bool) -> int:
        if words:
            spans = self.measured.spans(piece.start, end)
            at = boundaries.word_start(self.text, spans, at=max(1, len(spans) - free), last=len(spans))
            return spans[at][0] if at < len(spans) else end
        cuts = boundaries.prose(self.text, piece.start, end=end)
        starts = [at for at, strength in cuts if strength >= SENTENCE]
        return next((at for at in starts if self.measured.tokens(at, end) <= free), end)

    def _content(self, body: _Body) -> str:
        header = self.text[slice(*body.header)] if body.header else ""
        return header + self.text[body.start : body.end]

    def _context(self, outer: tuple[str, ...], content: str) -> str:
        """The headings above, before the content; the outermost are left out where they do not fit."""
        for first in range(len(outer) if self.heading_context else 0):
            context = HEADING_SEPARATOR.join(outer[first:]) + "\n\n"
            if self.tokenizer.count(context + content) <= self.limit:
                return context
        return ""

    def _page(self, at: int) -> int | None:
        offsets = self.parsed.page_offsets
        return max(1, bisect_right(offsets, at)) if offsets else None


def _named_by(group: Sequence[Piece]) -> Block:
    """The block whose headings name the group: the last of the headings it starts with, or its first text."""
    block = group[0].block
    for piece in group:
        if not block.is_heading or piece.block.path[: len(block.path)] != block.path:
            break
        block = piece.block
    return block


def _kind(group: Sequence[Piece]) -> ChunkKind:
    kinds: Counter[ChunkKind] = Counter()
    for piece in group:
        kinds[piece.block.kind] += piece.tokens
    return kinds.most_common(1)[0][0]


def _runs_on(before: Piece, after: Piece) -> bool:
    is_heading = after.block.is_heading
    return after.strength <= BLOCK and before.block.kind == after.block.kind == "prose" and not is_heading


def _trimmed(text: str, start: int, *, end: int) -> Span:
    """Without white space around it, but with the indentation of its first line."""
    body = text[start:end]
    stripped = body.lstrip()
    if not stripped:
        return start, start
    skipped = len(body) - len(stripped)
    line = body.rfind("\n", 0, skipped) + 1
    return start + line, start + len(body.rstrip())
