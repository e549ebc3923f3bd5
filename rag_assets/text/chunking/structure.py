"""The shape of a text: a parsed document comes in, its blocks with kind, heading path and table header go out."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from rag_assets.model import ChunkKind, ParsedText, Structure
from rag_assets.text.chunking.tokens import Span

# How good a place before something is to cut: higher is better.
PART, AFTER_HEADING, WORD, LINE, SENTENCE, ITEM, BLOCK, DEFINITION, SECTION = range(9)
STRONGEST = SECTION + 6  # before a first-level heading

SHORTEST_BLOCK, FEW_BLOCKS = 8, 1_000  # characters, on average, of the blocks of a text that has more than so many
TITLE_CHARACTERS = 300  # of a heading; some documents have whole paragraphs there

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_HEADING = re.compile(r" {0,3}(#{1,6})(?=[ \t\r\n]|\Z)")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t\r]*\n?$")
_NO_TITLE = re.compile(r"[ \t]*(?:[-*+>|]|\d{1,9}[.)][ \t]|=+[ \t]*\n?$)| {4}|\t")
# Of < and >, what a title of List<Integer> has is no markup: only tags that HTML has within a line.
_TITLE_MARKUP = re.compile(
    r"!?\[([^\]]*)\]\([^)]*\)|\{#[^}]*\}|[`*]+|<!--.*?-->|</?(?:a|abbr|b|bdi|bdo|big|br|cite|code|del|dfn|em|font|i|img|ins"
    r"|kbd|mark|q|s|samp|small|span|strike|strong|sub|sup|tt|u|var|wbr)(?:[\s/][^>]*)?>",
    re.IGNORECASE,
)
_FENCE = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?(?:(`{3,})[^`\n]*|(~{3,}).*)\n?$")
_FENCE_STARTS = frozenset("`~>-*+0123456789")  # a fence may stand in a list or a quotation
_DELIMITER_CELL = re.compile(r"[ \t]*:?-+:?[ \t]*")
_ROW = re.compile(r"[ \t>]*\|")


class Block(NamedTuple):
    """A stretch that belongs together; `header` is where a table's header row stands."""

    start: int
    end: int
    kind: ChunkKind
    strength: int  # of the cut before it
    path: tuple[str, ...]
    header: Span | None = None
    is_heading: bool = False


def blocks(parsed: ParsedText) -> list[Block]:
    """The document's blocks in order; between them is only white space.

    Where they are a few characters each, as in what no reader wrote, all of the text is one block.
    """
    readers = {"markdown": _markdown, "plain": _plain, "code": _code}
    structure: Structure = parsed.structure
    most = FEW_BLOCKS + len(parsed.text) // SHORTEST_BLOCK
    found = list(islice(readers[structure](parsed.text), most + 1))
    if len(found) <= most:
        return found
    return [Block(found[0].start, len(parsed.text.rstrip()), "prose", BLOCK, ())]


def lines(text: str, start: int, *, end: int) -> list[Span]:
    """The lines of a stretch, line ends included."""
    return [match.span() for match in _LINE.finditer(text, start, end)]


def _plain(text: str) -> Iterator[Block]:
    start: int | None = None
    for first, last in lines(text, 0, end=len(text)):
        blank = text[first:last].isspace()
        if blank and start is not None:
            yield Block(start, first, "prose", BLOCK, ())
            start = None
        elif not blank and start is None:
            start = first
    if start is not None:
        yield Block(start, len(text), "prose", BLOCK, ())


def _code(text: str) -> Iterator[Block]:
    if text and not text.isspace():
        yield Block(0, len(text), "code", BLOCK, ())


def _markdown(text: str) -> Iterator[Block]:
    return _Markdown(text).blocks()


class _Markdown:
    """One pass over the lines; only what decides where to cut is told apart."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = lines(text, 0, end=len(text))
        self.path: list[tuple[int, str]] = []  # level and title of the headings above
        self.glue = BLOCK  # strength of the cut before an ordinary block that comes next

    def blocks(self) -> Iterator[Block]:
        at = 0
        while at < len(self.lines):
            if self._line(at).isspace():
                at += 1
                continue
            end, block = self._block(at)
            self.glue = self._glue(block)
            yield block
            at = end

    def _glue(self, block: Block) -> int:
        """A heading goes with what follows it, and so does a line that announces something."""
        if block.is_heading:
            return AFTER_HEADING
        announces = block.kind == "prose" and self.text[block.start : block.end].rstrip().endswith((":", "："))
        return LINE if announces else BLOCK

    def _block(self, at: int) -> tuple[int, Block]:
        line = self._line(at)
        if heading := _HEADING.match(line):
            return self._heading(at, end=at + 1, level=len(heading[1]), title=_title(line[heading.end() :]))
        if fence := _FENCE.match(line):
            return self._fence(at, mark=fence[1] or fence[2])
        if self._is_table(at):
            return self._table(at)
        if self._is_underlined(at):
            level = 1 if "=" in self._line(at + 1) else 2
            return self._heading(at, end=at + 2, level=level, title=_title(line))
        return self._paragraph(at)

    def _heading(self, at: int, *, end: int, level: int, title: str) -> tuple[int, Block]:
        ends_empty_section = bool(self.path) and level < self.path[-1][0]
        self.path = [(above, name) for above, name in self.path if above < level]
        if title:
            self.path.append((level, title))
        is_glued = self.glue == AFTER_HEADING and not ends_empty_section
        strength = AFTER_HEADING if is_glued else STRONGEST - level + 1
        return end, self._made(at, end=end, kind="prose")._replace(strength=strength, is_heading=True)

    def _fence(self, at: int, *, mark: str) -> tuple[int, Block]:
        closing = re.compile(rf"[ \t>]*{re.escape(mark[0])}{{{len(mark)},}}[ \t\r]*\n?$")
        is_quoted = self._line(at).lstrip().startswith(">")
        end = at + 1
        while end < len(self.lines) and not closing.match(self._line(end)):
            if is_quoted and self._line(end).lstrip()[:1] not in ("", ">"):
                return end, self._made(at, end=end, kind="code")  # the quotation ends, and its fence with it
            end += 1
        end = min(end + 1, len(self.lines))
        return end, self._made(at, end=end, kind="code")

    def _is_table(self, at: int) -> bool:
        line = self._line(at)
        if _ROW.match(line):
            return True
        return "|" in line and at + 1 < len(self.lines) and _is_delimiter(self._line(at + 1))

    def _table(self, at: int) -> tuple[int, Block]:
        end = at + 1
        while end < len(self.lines) and "|" in self._line(end):
            end += 1
        block = self._made(at, end=end, kind="table")
        if end > at + 2 and _is_delimiter(self._line(at + 1)):
            return end, block._replace(header=(self.lines[at][0], self.lines[at + 1][1]))
        return end, block

    def _is_underlined(self, at: int) -> bool:
        if at + 1 >= len(self.lines) or _NO_TITLE.match(self._line(at)):
            return False
        return bool(_UNDERLINE.match(self._line(at + 1)))

    def _paragraph(self, at: int) -> tuple[int, Block]:
        end = at + 1
        while end < len(self.lines) and not self._interrupts(end):
            end += 1
        return end, self._made(at, end=end, kind="prose")

    def _interrupts(self, at: int) -> bool:
        """Whether a paragraph ends before this line."""
        line = self._line(at)
        first = line.lstrip()[:1]
        if first == "" or (first == "#" and _HEADING.match(line)):
            return True
        if first in _FENCE_STARTS and _FENCE.match(line):
            return True
        return "|" in line and self._is_table(at)

    def _made(self, at: int, *, end: int, kind: ChunkKind) -> Block:
        path = tuple(name for _, name in self.path)
        return Block(self.lines[at][0], self.lines[end - 1][1], kind, self.glue, path)

    def _line(self, at: int) -> str:
        start, end = self.lines[at]
        return self.text[start:end]


def _title(line: str) -> str:
    """A heading's words, without Markdown's marks."""
    title = line[:TITLE_CHARACTERS].strip()
    without_end = title.rstrip("#")
    if not without_end or without_end[-1] in " \t":
        title = without_end
    return " ".join(_TITLE_MARKUP.sub(r"\1", title).split())


def _is_delimiter(line: str) -> bool:
    """Whether it is the line of dashes below a table's header row."""
    row = line.strip(" \t\r>\n")
    if "|" not in row or not set(row) <= set("|:- \t"):
        return False
    return all(_DELIMITER_CELL.fullmatch(cell) for cell in row.removeprefix("|").removesuffix("|").split("|"))
