"""Writes the lines and tables of a PDF as Markdown: headings by their looks, paragraphs, words made whole."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise

from rag_assets.text import encoding
from rag_assets.text.formats import markup
from rag_assets.text.formats.pdf import listings
from rag_assets.text.formats.pdf.glyphs import BROKEN, TextRun
from rag_assets.text.formats.pdf.lines import Item, Listing, Table, TextLine

PAGE_BREAK = "\n\n"
HEADING_SIZE = 1.15  # times the size of most text: a heading
HEADING_CHARACTERS, BOLD_HEADING_CHARACTERS = 200, 90
HEADING_LINES = 3
HEADING_DISTANCE = 1.75  # times its size, between two lines of a heading
PROSE_CHARACTERS, PROSE_SHARE = 30, 0.1  # of a run of prose; of all text, for it to say what is usual
MOST_HEADINGS = 0.25  # of the text: above, large or bold letters are how all of it is set
USUAL_LINES = 3  # of one size at least, for their distance to be the usual one
FOOTNOTE_SIZE = 0.9  # times the size of a line: a footnote below it is smaller
MOST_NOTE_LINES = 20  # of footnotes below a column
NEW_PARAGRAPH = 1.35  # times the usual distance of two lines

_LETTERS = (
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "\xa0": " "}
    # Marks of lists in the fonts Symbol and Wingdings, which say no more than where they stand in the font.
    | {"\uf0b7": "•", "\uf0a7": "▪", "\uf0d8": "➢", "\uf0fc": "✓", "\uf0a8": "□", "\uf06f": "□", "\uf0e0": "→"}
)
_LETTER = re.compile(f"[{''.join(_LETTERS)}]")
_BROKEN = re.compile(rf"([^\W\d_]+)[-\u2010{BROKEN}]$")
_COMPOUND = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)+")
_LEADER = re.compile(r" *(?:\.[ .]?){5,} *")  # to a page's number
_NUMBER = re.compile(r"^(?:[A-Z]|[\dIVX]+)(?:\.\d+)*\.?\s+")  # of a heading
_OTHER = re.compile(r"[\W_]+")  # than letters and digits
_NUMBERED = re.compile(r"\d+(?:\.\d+)*\.?\s+\S")
_NO_HEADING = re.compile(  # an entry of a table of contents, a number of a page
    r"\.{4}|\.{3}\s*\d+$|(?:\. ){3}|^\W*(?:page|seite|página)\s*\d+\s*(?:(?:of|/|von|de)\s*\d+)?\W*$", re.I
)


def pages(
    sheets: Sequence[tuple[Sequence[Item], Sequence[str]]], runs: Sequence[TextRun], titles: dict[str, int]
) -> list[str]:
    """The text of each page, from its lines and tables, and what is said of it; `titles`: levels by `plain` text."""
    if not listings.is_typed(runs):
        sheets = [(listings.with_listings(items), notes) for items, notes in sheets]
    _mend_words(
        [item for items, _ in sheets for item in items if isinstance(item, TextLine) and item.runs[0].upright], runs
    )
    heads = Headings(runs, titles=titles)
    found = []
    for items, notes in sheets:
        text = PAGE_BREAK.join(filter(None, chain(_blocks(items, heads), notes)))
        found.append(encoding.clean(_LEADER.sub(" ... ", _LETTER.sub(_shown, text))).strip())
    return found


def _shown(letter: re.Match[str]) -> str:
    return _LETTERS[letter.group()]


def _mend_words(lines: Sequence[TextLine], runs: Sequence[TextRun]) -> None:
    """Join words that a hyphen breaks at a line's end, also over columns and pages."""
    compounds = {word.casefold() for run in runs if "-" in run.text for word in _COMPOUND.findall(run.text)}
    for at, line in enumerate(lines[:-1]):
        broken = _BROKEN.search(line.text)
        following = _next(lines, at) if broken else line
        rest = following.text.split(maxsplit=1) if broken else []
        if broken and rest and _are_one(line, following, rest[0]):
            tail = re.match(r"[^\W\d_]*", rest[0])
            whole = f"{broken[1]}-{tail[0] if tail else ''}".casefold()
            hyphen = "-" if whole in compounds or not rest[0][0].islower() else ""
            _set_text(line, f"{line.text[: broken.end(1)]}{hyphen}{rest[0]}")
            _set_text(following, rest[1] if len(rest) > 1 else "")
    for line in lines:
        if BROKEN in line.text:
            _set_text(line, line.text.replace(BROKEN, "-"))


def _next(lines: Sequence[TextLine], at: int) -> TextLine:
    """The line after this one; after a footnote, the first line of the next column or page."""
    line, following = lines[at], lines[at + 1]
    if following.height >= FOOTNOTE_SIZE * line.height:
        return following
    later = (row for row in lines[at + 2 : at + 2 + MOST_NOTE_LINES] if row.height >= FOOTNOTE_SIZE * line.height)
    beyond = next(later, following)
    return beyond if beyond.new_region and beyond.height * FOOTNOTE_SIZE <= line.height else following


def _are_one(line: TextLine, following: TextLine, rest: str) -> bool:
    """Whether the next line goes on with the word; a capital or a digit does so on the next line only."""
    return rest[0].islower() or (
        rest[0].isalnum()
        and not following.new_region
        and following.height >= FOOTNOTE_SIZE * line.height  # else it is a footnote
        and 0 < line.middle - following.middle < 2 * line.height
    )


def _set_text(row: TextLine, text: str) -> None:
    """All of a row's text in one run of its whole width."""
    first, last = row.runs[0], row.runs[-1]
    longest = max(row.runs, key=lambda run: len(run.text))
    row.runs = [
        TextRun(text, first.left, last.right, longest.bottom, longest.top, longest.size, longest.bold, longest.upright)
    ]


def _blocks(items: Sequence[Item], heads: "Headings") -> Iterator[str]:
    """Headings, paragraphs and tables; a line of a paragraph is a line of text."""
    usual = _usual_distances(items)
    lines: list[TextLine] = []  # of the block that is being read
    level = 0
    for item, here in zip(items, _levels(items, heads), strict=True):
        if isinstance(item, TextLine):
            if lines and item.text and (here != level or _ends(lines, item, level=level, usual=usual)):
                yield _block(lines, level)
                lines = []
            if item.text:
                lines.append(item)
                level = here
            continue
        yield _block(lines, level)
        lines, level = [], 0
        yield markup.table(item.rows) if isinstance(item, Table) else _listing(item)
    yield _block(lines, level)


def _levels(items: Sequence[Item], heads: "Headings") -> list[int]:
    """Of each line; many large lines that follow each other closely are a paragraph of large letters."""
    after: list[Item | None] = [*items[1:], None]
    levels = [
        heads.level(item, following) if isinstance(item, TextLine) and item.text else 0
        for item, following in zip(items, after, strict=False)  # without items there is one None
    ]
    start = 0
    for at in range(1, len(items) + 1):
        if at < len(items) and levels[at] == levels[start] and _is_next_of_heading(items[at - 1], items[at]):
            continue
        if at - start > HEADING_LINES:
            levels[start:at] = [0] * (at - start)
        start = at
    return levels


def _is_next_of_heading(one: Item, other: Item) -> bool:
    if not isinstance(one, TextLine) or not isinstance(other, TextLine) or other.new_region:
        return False
    return 0 < one.middle - other.middle < HEADING_DISTANCE * other.height


def _listing(code: Listing) -> str:
    return "```\n{}\n```".format(markup.without_fences("\n".join(code.lines)))


def _block(lines: Sequence[TextLine], level: int) -> str:
    if level:
        return markup.heading(" ".join(line.text for line in lines), level)
    return markup.prose("\n".join(line.text for line in lines))


def _ends(lines: Sequence[TextLine], item: TextLine, *, level: int, usual: dict[float, float]) -> bool:
    """Whether a block ends before this line of the same level."""
    distance = lines[-1].middle - item.middle
    if level:
        is_next = 0 < distance < HEADING_DISTANCE * item.height and not _NUMBERED.match(item.text)
        return len(lines) == HEADING_LINES or not is_next
    most = NEW_PARAGRAPH * max(usual.get(_rounded(item.height), usual.get(0, 0)), 0.8 * item.height)
    return item.new_region or distance < 0 or distance > most


def _usual_distances(items: Sequence[Item]) -> dict[float, float]:
    """Between two lines of a paragraph, by the size of their letters: the most frequent one, in points; 0: of all."""
    found: dict[float, Counter[float]] = defaultdict(Counter)
    for one, other in pairwise(items):
        if (
            isinstance(one, TextLine)
            and isinstance(other, TextLine)
            and one.middle > other.middle
            and not other.new_region
        ):
            distance = round(one.middle - other.middle)
            found[0][distance] += 1
            if _rounded(one.height) == _rounded(other.height):
                found[_rounded(other.height)][distance] += 1
    most = {size: counts.most_common(1)[0] for size, counts in found.items()}
    return {size: max(distance, 1) for size, (distance, count) in most.items() if count >= USUAL_LINES or not size}


class Headings:
    """Which lines are headings, and of which level: by the outline, by size, by weight."""

    def __init__(self, runs: Sequence[TextRun], *, titles: dict[str, int]) -> None:
        """`runs`: all text of the document, that of tables too."""
        self._titles = titles
        self._halves: dict[int, int] = {}  # by the second line of a title
        runs = [run for run in runs if run.upright]
        sizes: Counter[float] = Counter()
        for run in runs:
            sizes[_rounded(run.size)] += len(run.text)
        total = sum(sizes.values())
        self._body = _most_common([p for p in runs if len(p.text) >= PROSE_CHARACTERS], PROSE_SHARE * total) or (
            _most_common(runs, 0)
        )
        large = {size: count for size, count in sizes.items() if count and size >= HEADING_SIZE * self._body}
        while sum(large.values()) > MOST_HEADINGS * total:
            del large[min(large)]
        levels = enumerate(_groups(sorted(large, reverse=True)), start=1)
        self._sizes = {size: min(level, 5) for level, group in levels for size in group}
        usual = [run for run in runs if 0.9 * self._body <= run.size < HEADING_SIZE * self._body]
        bold = sum(len(run.text) for run in usual if run.bold and run.bold_start)
        is_rare = bold <= MOST_HEADINGS * sum(len(run.text) for run in usual)
        self._bold_level = min(max(self._sizes.values(), default=0) + 1, 6) if is_rare else 0

    def level(self, line: TextLine, following: Item | None) -> int:
        """The level of a line as a heading, from 1; 0 where it is none."""
        text = line.text
        if not any(map(str.isalpha, text)) or len(text) > HEADING_CHARACTERS or _NO_HEADING.search(text):
            return 0
        if not line.runs[0].upright:
            return 0  # a stamp, a mark up the margin
        known = self._outlined(line, following) if self._titles else 0
        if known:
            return known
        if self._is_large(line):
            return self._sizes.get(_rounded(line.height), 0)
        return self._bold_level if self._is_bold(line) and not _goes_on(line, following) else 0

    def _outlined(self, line: TextLine, following: Item | None) -> int:
        """The level of a line that is a title of the outline, with or without its number, or half of one."""
        here = plain(line.text)
        known = (
            self._halves.get(id(line)) or self._titles.get(here) or self._titles.get(plain(_NUMBER.sub("", line.text)))
        )
        if not known and isinstance(following, TextLine):
            known = self._titles.get(here + plain(following.text))
            if known:
                self._halves[id(following)] = known
        return known or 0

    def _is_large(self, line: TextLine) -> bool:
        return _rounded(line.height) >= HEADING_SIZE * self._body and 1 < len(line.text) <= HEADING_CHARACTERS

    def _is_bold(self, line: TextLine) -> bool:
        return (
            line.bold
            and 0.9 * self._body <= line.height < HEADING_SIZE * self._body
            and 2 < len(line.text) <= BOLD_HEADING_CHARACTERS
            and line.text[-1] not in ".,;"
            and (line.text[0].isupper() or line.text[0].isdigit() or not line.text[0].isascii())
        )


def _most_common(runs: Sequence[TextRun], least: float) -> float:
    """The size of most characters; 0 when they are fewer than `least`."""
    sizes: Counter[float] = Counter()
    for run in runs:
        sizes[_rounded(run.size)] += len(run.text)
    return sizes.most_common(1)[0][0] if sizes and sum(sizes.values()) >= least else 0.0


def _goes_on(line: TextLine, following: Item | None) -> bool:
    """Whether bold words are the beginning of a sentence that the next line continues."""
    if not isinstance(following, TextLine) or not following.text or line.middle - following.middle > 1.5 * line.height:
        return False
    first, text = following.runs[0], following.text
    if line.middle <= following.middle:
        return False
    if following.bold:
        return text[-1] in ".,;" or bool(_NO_HEADING.search(text))
    return first.bold_start or first.text[0].islower()


def _groups(sizes: Sequence[float]) -> list[list[float]]:
    """Sizes that differ by next to nothing are one."""
    groups: list[list[float]] = []
    for size in sizes:
        if groups and size > 0.95 * groups[-1][0]:
            groups[-1].append(size)
        else:
            groups.append([size])
    return groups


def _rounded(size: float) -> float:
    return round(size * 2) / 2


def plain(text: str) -> str:
    """Letters and digits only, for comparing."""
    return _OTHER.sub("", text.casefold())
