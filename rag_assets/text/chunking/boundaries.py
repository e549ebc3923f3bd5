"""Places to cut inside a block: a stretch of text comes in, the starts of its parts with their strengths go out."""

import re
from collections.abc import Iterator, Sequence
from zlib import crc32

from rag_assets.text.chunking.structure import AFTER_HEADING, DEFINITION, ITEM, LINE, SENTENCE, WORD, lines
from rag_assets.text.chunking.tokens import Span

LONGEST_TOKEN = 64  # characters
HASHED_CHARACTERS = 24
MARGIN_CHARACTERS = 12  # characters before the first word of a line, at most
LONGEST_SIGNATURE = 300  # characters
LONGEST_DECORATOR = 40  # lines
WINDOWS_PER_CUT = 4  # windows, on average, between two places that are always a cut

Cut = tuple[int, int]  # where a part starts, and the strength of the cut before it

_MARGIN = " \t>"
_ITEM_STARTS = frozenset(_MARGIN + "-*+•–0123456789abcdefghijklmnopqrstuvwxyz")
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
    r"""@\w|\#\[|-{3}$|\[{1,2}[\w.\- "']+\]{1,2}$                                    # decorators; YAML, TOML and INI
    |(?:(?:export|default|declare|public|private|protected|internal|static|final|abstract|async|pub(?:\([^)]*\))?|inline
       |virtual|override|unsafe|extern|const|sealed|partial|open|data|local|case|implicit|suspend|companion)\s+)*(?:
      (?:def(?:p|n|un|macro|module)?|func|fn|impl)\b(?:\s+["'$\w(&*]|<)
      |(?:class|interface|trait|type|namespace|module|mod|object|record|protocol|extension|message|service|variable
        |(?:struct|enum|union)(?:\s+class)?|fun|function|sub|Sub|Function|procedure)\b\*?
       (?:\s*[({]|\s+extends\b|\s+["'$\w][\w.$:"'-]*\s*(?:[({<;:\[@=]|$|extends\b|implements\b|where\b|[\w.$]+\s*[({:]))
      |typedef\s+(?:struct|enum|union)\b|macro_rules!|(?:describe|it|test)\(|(?:resource|data)\s+"
      |(?i:create\s+(?:or\s+replace|(?:global\s+)?temp\w*|unique|table|(?:materialized\s+)?view|index|function|procedure
        |trigger|type|schema|sequence|database|role|user|policy|domain|extension)(?![\w-]))
      |(?:const|let|var)\s+[\w$]+[^=]*=\s*(?:async\b\s*)?(?:function\b|\([^()]*\)[^=]*=>|[\w$]+\s*=>)
      |[\w.]+\s*(?:<-|=)\s*function\b)""",
    re.VERBOSE,
)
_FUNCTION = re.compile(
    r"(?!(?:if|for|foreach|while|until|unless|switch|match|when|case|catch|return|else|elif|do|try|with|using|lock|new"
    r"|synchronized|await|throw|yield|defer|go|and|or|not|assert|guard|function)\b)"
    r"[\w$<>\[\],.?*&:~@ ]*[\w$>*&\]] ?\((?:[^();{}]|\([^();{}]*\))*\)[^;{}()=]*(\{?)$"
)
_FUNCTION_NAME = re.compile(r"[\w~:]+ ?\(")  # alone on its line in C, with its type above
_TYPE = re.compile(r"[A-Za-z_][\w *]*\n")
_CLOSING = re.compile(r"\s*(?:[)\]}]|(?:else|elif|except|finally|catch|end|fi|done|esac)\b)")
_DECORATOR = re.compile(r"\s*(?:@\w|#\[)")
_FENCE = re.compile(r"[ \t>]*(?:[-*+][ \t]+|\d{1,9}[.)][ \t]+)?(?:`{3}|~{3})")
_REMARK = re.compile(r"\s*(?:#|//|/\*|\*|--|;|@\w|\"\"\"|'''|<!--)")


def prose(text: str, start: int, *, end: int) -> Iterator[Cut]:
    """Sentences, list items and lines; the strength of a line that begins inside a sentence is that of a word."""
    for match in _BREAK.finditer(text, start, end):
        before, at = match.span()
        if at >= end:
            return
        first = text[at]
        if text[at - 1] == "\n" and first in _ITEM_STARTS and _ITEM.match(text, at, end):
            yield at, ITEM
        elif at - before > 1 or text[before] != "\n":
            yield at, SENTENCE
        else:
            if first in _MARGIN:
                first = text[at : at + MARGIN_CHARACTERS].lstrip(_MARGIN)[:1]
            yield at, WORD if first.islower() else LINE  # in lower case, it runs on from the line above


def rows(text: str, start: int, *, end: int) -> Iterator[Cut]:
    """Where the rows of a table in Markdown begin, but for the first, each with the strength of a cut before it."""
    return ((first, ITEM) for first, _ in lines(text, start, end=end)[1:])


def code(text: str, start: int, *, end: int) -> Iterator[Cut]:
    """Definitions, together with what stands above them; then blank lines; then any line but a fence's own."""
    spans = lines(text, start, end=end)
    strengths = [_code_strength(text, spans, at=at) for at in range(len(spans))]
    for at in range(len(spans) - 1, 0, -1):
        if strengths[at] > LINE and (top := _top(text, spans, at=at)) < at:
            strengths[top], strengths[at] = max(strengths[top], strengths[at]), LINE
    for mark, at in ((0, 1), (-1, len(spans) - 1)):
        if len(spans) > 1 and _FENCE.match(text, *spans[mark]):
            strengths[at] = AFTER_HEADING
    return ((spans[at][0], strengths[at]) for at in range(1, len(spans)) if strengths[at])


def _top(text: str, spans: Sequence[Span], *, at: int) -> int:
    """The line above that belongs to a definition (a remark, a decorator, a type), or the definition's own."""
    above = text[slice(*spans[at - 1])]
    if _REMARK.match(above):
        return at - 1
    if _TYPE.fullmatch(above) and not _CLOSING.match(above) and _FUNCTION_NAME.match(text, *spans[at]):
        return at - 1
    if above.strip() in (")", "])", "})", ")]"):
        margin = _indentation(above)
        for top in range(at - 2, max(at - LONGEST_DECORATOR, -1), -1):
            line = text[slice(*spans[top])]
            if not line.isspace() and _indentation(line) <= margin:
                return top if _DECORATOR.match(line) else at
    return at


def _code_strength(text: str, spans: Sequence[Span], *, at: int) -> int:
    line, before = text[slice(*spans[at])], text[slice(*spans[at - 1])]
    if line.isspace():
        return 0
    is_flush = line[0] not in " \t"
    if _CLOSING.match(line) or line.strip() == "{":
        return WORD
    if _is_definition(line.strip(), following=text[slice(*spans[at + 1])] if at + 1 < len(spans) else ""):
        return DEFINITION if is_flush else ITEM
    if before.isspace():
        return ITEM if is_flush else SENTENCE
    deeper = _indentation(line) - _indentation(before)
    if (deeper == 0 and _CLOSING.match(before)) or (deeper < 0 and is_flush):
        return SENTENCE
    return LINE if deeper <= 0 else WORD


def _is_definition(line: str, *, following: str) -> bool:
    if _DEFINITION.match(line):
        return True
    function = _FUNCTION.match(line) if len(line) <= LONGEST_SIGNATURE else None
    return function is not None and (function[1] == "{" or following.strip() == "{")


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
        ranks = (_rank(text, spans, at=at, late=late, rarity=WINDOWS_PER_CUT * size) for at in range(early, end + 1))
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
