"""Places to cut inside a block: a stretch of text comes in, the starts of its parts with their strengths go out."""

import re
from collections.abc import Iterator, Sequence
from zlib import crc32

from rag_assets.text.structure import DEFINITION, ITEM, LINE, SENTENCE, WORD, lines
from rag_assets.text.tokens import Span

LONGEST_TOKEN = 64  # characters
HASHED_CHARACTERS = 24
MARGIN = 12  # characters before the first word of a line, at most
RARITY = 4  # windows, on average, between two places that are always a cut

Cut = tuple[int, int]  # where a part starts, and the strength of the cut before it

_ITEM = re.compile(r"[ \t>]*(?:[-*+•–]|\d{1,9}[.)]|[a-z][.)])[ \t]")
# The characters that can end a sentence come first: `re` skips quickly to them.
_BREAK = re.compile(
    r"""[.!?…؟۔।。！？．\n](?:
    (?<=\n)
    |(?<=[。！？．])["'”’»」』）)\]]*\s*                               # no space follows
    |(?<!\bDr\.)(?<!\bMr\.)(?<!\bMs\.)(?<!\bMrs\.)(?<!\bSt\.)(?<!\bvs\.)(?<!\bNo\.)(?<!\bcf\.)
     (?<!\bFig\.)(?<!\bal\.)(?<![\s.][A-Za-z]\.)["'”’»)\]*_]*\s+(?=[^a-z\s]))""",
    re.VERBOSE,
)
_DEFINITION = re.compile(
    r"\s*(?:@\w|#\[|(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|pub(?:\([^)]*\))?"
    r"|inline|virtual|override|unsafe|extern|const|sealed|partial|open|data)\s+)*"
    r"(?:def|class|function|func|fn|fun|interface|struct|enum|trait|impl|type|namespace|module|mod|object|record"
    r"|sub|procedure|macro_rules!|create|CREATE|resource|describe|it|test)\b)"
)
_CLOSING = re.compile(r"\s*(?:[)\]}]|(?:else|elif|except|finally|catch|end|fi|done|esac)\b)")
_REMARK = re.compile(r"\s*(?:#|//|/\*|\*|--|;|@\w|\"\"\"|'''|<!--)")


def prose(text: str, start: int, *, end: int) -> Iterator[Cut]:
    """Sentences, list items and lines; the strength of a line that begins inside a sentence is that of a word."""
    for match in _BREAK.finditer(text, start, end):
        at = match.end()
        if at >= end:
            return
        if match[0].endswith("\n") and _ITEM.match(text, at, end):
            yield at, ITEM
        else:
            yield at, SENTENCE if match[0] != "\n" else WORD if _runs_on(text, at) else LINE


def _runs_on(text: str, at: int) -> bool:
    """Whether a line only continues the sentence of the one above."""
    return text[at : at + MARGIN].lstrip(" \t>")[:1].islower()


def rows(text: str, start: int, *, end: int) -> Iterator[Cut]:
    """The lines of a table."""
    return ((first, ITEM) for first, _ in lines(text, start, end=end)[1:])


def code(text: str, start: int, *, end: int) -> Iterator[Cut]:
    """Definitions, together with the remarks above them; then blank lines; then any line."""
    spans = lines(text, start, end=end)
    strengths = [_code_strength(text, spans, at=at) for at in range(len(spans))]
    for at in range(len(spans) - 1, 0, -1):
        if strengths[at] > LINE and _REMARK.match(text, *spans[at - 1]):
            strengths[at - 1], strengths[at] = max(strengths[at - 1], strengths[at]), LINE
    return ((spans[at][0], strengths[at]) for at in range(1, len(spans)) if strengths[at])


def _code_strength(text: str, spans: Sequence[Span], *, at: int) -> int:
    line, before = text[slice(*spans[at])], text[slice(*spans[at - 1])]
    if line.isspace():
        return 0
    is_flush = line[0] not in " \t"
    if _CLOSING.match(line):
        return WORD
    if _DEFINITION.match(line):
        return DEFINITION if is_flush else ITEM
    if before.isspace():
        return ITEM if is_flush else SENTENCE
    deeper = _indentation(line) - _indentation(before)
    if deeper == 0 and _CLOSING.match(before):
        return SENTENCE
    return LINE if deeper <= 0 else WORD


def _indentation(line: str) -> int:
    line = line.expandtabs(4)
    return len(line) - len(line.lstrip())


def windows(text: str, spans: Sequence[Span], *, size: int) -> list[int]:
    """Cut a run of tokens into windows of at most `size`: the index of each window's first token.

    A window ends in its last quarter, at the place of lowest hash; or earlier, but not before its second quarter, at
    one of the rare places whose hash makes them a cut for every window that reaches them. So two texts that differ
    at the start soon cut at the same places again.
    """
    starts = [0]
    while len(spans) - starts[-1] > size:
        early, late, end = (starts[-1] + max(1, size * share // 4) for share in (1, 3, 4))
        ranks = (_rank(text, spans, at=at, late=late, rarity=RARITY * size) for at in range(early, end + 1))
        starts.append(min(ranks)[-1])
    return starts


def short_spans(spans: Sequence[Span], *, offset: int) -> list[Span]:
    """The same tokens, moved by `offset`, with the long ones (unknown words) in parts and without empty ones."""
    if all(0 < end - start <= LONGEST_TOKEN for start, end in spans):
        return [(start + offset, end + offset) for start, end in spans]
    return [
        (offset + at, offset + min(at + LONGEST_TOKEN, end))
        for start, end in spans
        for at in range(start, end, LONGEST_TOKEN)
    ]


def word_start(text: str, spans: Sequence[Span], *, at: int, last: int) -> int:
    """Index of the first token from `at` on that begins a word; `last` if there is none before."""
    return next((later for later in range(at, last) if not is_inside_word(text, spans[later][0])), last)


def is_inside_word(text: str, at: int) -> bool:
    """Whether a cut there would part a word."""
    return 0 < at < len(text) and text[at].isalnum() and text[at - 1].isalnum()


def _rank(text: str, spans: Sequence[Span], *, at: int, late: int, rarity: int) -> tuple[bool, bool, int, int]:
    start = spans[at][0]
    place = crc32(text[start : start + HASHED_CHARACTERS].encode("utf-8", "surrogatepass")) % rarity
    return is_inside_word(text, start), at < late and place > 0, place, at
