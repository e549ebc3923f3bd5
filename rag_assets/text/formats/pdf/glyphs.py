"""Reads a page with pdfium: runs of text with their places, fonts and tags, comments and values of forms."""

import ctypes
import math
import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain, compress, groupby, islice, pairwise, repeat
from operator import mul
from statistics import median
from typing import Any, NamedTuple

from rag_assets.text.formats.pdf import direct, rulings
from rag_assets.text.formats.pdf.direct import DOUBLE, HANDLE, INT
from rag_assets.text.formats.pdf.rulings import Box, Grid, Ruling, Turn
from rag_assets.text.formats.pdf.tags import Mark, Marks, Tags

MOST_NOTES, MOST_NOTE_BYTES = 2_000, 2**16  # of one page, of one note
MOST_IMAGES = 500  # of one page
MATRIX = 6  # numbers that pdfium has of one
FONT_BYTES = 64  # of a font's name that are looked at
DIRECTION_CHARACTERS = 40  # characters of a page whose direction is asked for

CELL_GAP = 1.1  # of a line's height: further apart on a line are cells or columns, nearer are words
WIDE_SPACE = 0.38  # of a line's height: wider than most spaces between words
HYPHENS = ("\x02", "\ufffe")  # pdfium's marks for a hyphen that broke a word, in place of a line's end
SECOND_HALF = "\ufdd0"  # of a character that pdfium counts as two; no text has it
LINE_ENDS = "\r\n" + "".join(HYPHENS)
LINE_END = re.compile(f"[{LINE_ENDS}]")
WORD_OR_END = re.compile(rf"[^\s\x02\ufffe]+|{LINE_END.pattern}")
_DRAWN = bytes(chr(code) not in f" {LINE_ENDS}" for code in range(256))  # of Latin 1
BROKEN = "\xad"  # at the end of a run: its last word goes on
SLANTED_HEIGHT = 3.0  # times its letters is the height of a run that is turned by any angle
JUSTIFIED_DEVIATION = 0.06  # of a space: by so little differ those of a line that is stretched to both margins
WORD_WIDTH_RATIO = 1.5  # times as wide as the shortest word of a line is its longest: they are no columns of numbers
SLANT_RADIANS = 0.1  # radians
LEVEL_HEIGHT = 1.4  # times its letters is at most the height of a run that is not slanted
SPACED_LETTERS = 5  # single letters in a row: a word set wide, not five words
SINGLE_LETTERS_SHARE = 0.8  # of the words of such a line
SPACED_GAP = 1.7  # times the usual gap between such letters: a space
FULL_SIZE = 0.4, 2.5  # of a letter's box, that its font size may be; else the font counts in units of its own
_FIXED = re.compile(rb"mono|courier|consol|menlo|inconsolata|typewriter|cmtt|lmtt|fixed", re.I)
_BOLD = re.compile(rb"bold|black|heavy|demi|cmbx|[-,]bd", re.I)
# Drawn by themselves over or under the letter that comes before or after them, as TeX does.
ACCENTS = dict(
    zip(
        "`´ˆ˜¨¯˘˙˚¸ˇ˝˛",
        "\u0300\u0301\u0302\u0303\u0308\u0304\u0306\u0307\u030a\u0327\u030c\u030b\u0328",
        strict=True,
    )
)
# Where TeX's own fonts have them: as bitmaps they have no name, and no names for their letters.
_TEX = {"\x0b": "ff", "\x0c": "fi", "\x0e": "ffi", "\x0f": "ffl", "\x15": "–", "\x16": "—"}
_TEX |= {"\x1b": "ff", "\x1c": "fi", "\x1d": "fl", "\x1e": "ffi", "\x1f": "ffl"}
ALEFS, LAM = "اأإآ", "ل"
_MIRRORED = str.maketrans("()[]{}", ")(][}{")
_UPRIGHT, _TURNED = (
    re.compile(r"(?<!\S)[(\[{](?=\w)|(?<=\w)[)\]}](?!\w)"),
    re.compile(r"(?<!\S)[)\]}](?=\w)|(?<=\w)[(\[{](?!\w)"),
)
TEX_BULLET = "\x88"  # elsewhere a control character, which no page shows
_TEX_CODE = re.compile(r"(?<=\w)[\x0b\x0c\x0e\x0f\x15\x16\x1b-\x1f]|[\x0b\x0c\x0e\x0f\x1b-\x1f](?=[^\W\d_])")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_NUMBER = re.compile("[\u0660-\u0669\u06f0-\u06f9\u066a-\u066c]")  # runs to the right within such text, too
_SHAPED = re.compile("[\ufb1d-\ufdff\ufe70-\ufefc]+")  # letters by the form that they have within a word
_SHOWN = re.compile(r"\(((?:[^()\\]|\\.)*)\)\s*(?:Tj|'|\")", re.S)  # a string that a content stream shows
_ESCAPED = re.compile(r"\\([0-7]{3}|.)", re.S)
_ACCENT = re.compile(f"[{''.join(ACCENTS)}]")
_DOTLESS = {"ı": "i", "ȷ": "j"}


@dataclass(slots=True)
class TextRun:
    """Text on one line without a large gap in it; the box in points, y upwards, as the reader sees the page."""

    text: str
    left: float
    right: float
    bottom: float
    top: float
    size: float  # of its font, in points
    bold: bool = False  # at its end
    upright: bool = True
    bold_start: bool = False
    fixed: bool = False  # all letters equally wide, as in code
    spaces: list[tuple[int, float, float]] = field(default_factory=list)  # wide ones: index in the text, from, to
    place: int = 0  # in the order in which the page's author has it read, as far as the file says
    mark: Mark | None = None  # where the tags of the page have it

    @property
    def height(self) -> float:
        """From its lower to its upper edge, in points."""
        return self.top - self.bottom

    @property
    def middle(self) -> float:
        """Half-way between its lower and upper edge, in points from the bottom of the page."""
        return (self.top + self.bottom) / 2

    @property
    def middle_x(self) -> float:
        """Half-way between its left and right edge, in points."""
        return (self.left + self.right) / 2

    def spans(self) -> list[tuple[float, float]]:
        """From where to where there is text without a wide space in it."""
        if not self.spaces:
            return [(self.left, self.right)]
        edges = [self.left, *(x for _, left, right in self.spaces for x in (left, right)), self.right]
        return list(zip(edges[::2], edges[1::2], strict=True))

    def cut(self, places: Sequence[float]) -> list["TextRun"]:
        """Its parts between the wide spaces that lie at these places."""
        if not self.spaces:
            return [self]
        cuts = [space for space in self.spaces if any(space[1] < x < space[2] for x in places)]
        lefts = [self.left, *(right for _, _, right in cuts)]
        rights = [*(left for _, left, _ in cuts), self.right]
        ends = [0, *(at for at, _, _ in cuts), len(self.text)]
        texts = [self.text[start:end].strip() for start, end in pairwise(ends)]
        parts = zip(texts, lefts, rights, strict=True)
        return [replace(self, text=text, left=left, right=right, spaces=[]) for text, left, right in parts]


class _Letters:
    """The letters that a page draws, in its order: where each one is in its text, and the edges of their boxes."""

    def __init__(self, pdfium: Any, page_text: int, text: str, turn: Turn | None) -> None:
        self.at = list(compress(range(len(text)), _are_drawn(text)))
        edges = (ctypes.c_float * (4 * len(self.at)))()
        first, size = ctypes.addressof(edges), ctypes.sizeof(pdfium.FS_RECTF)
        get = direct.function("FPDFText_GetLooseCharBox", INT, HANDLE, INT, HANDLE)
        places = range(first, first + size * len(self.at), size)
        deque(map(get, repeat(page_text), self.at, places), maxlen=0)
        found = list[float](memoryview(edges).cast("B").cast("f"))
        self.lefts, self.tops, self.rights, self.bottoms = (found[at::4] for at in range(4))
        if turn and self.at:
            turned = map(turn, self.lefts, self.rights, self.bottoms, self.tops)
            self.lefts, self.rights, self.bottoms, self.tops = map(list, zip(*turned, strict=True))

    def box(self, number: int) -> Box:
        return self.lefts[number], self.rights[number], self.bottoms[number], self.tops[number]

    def height(self, number: int) -> float:
        return self.tops[number] - self.bottoms[number]

    def middle(self, number: int) -> float:
        """Between its left and its right edge."""
        return (self.lefts[number] + self.rights[number]) / 2

    def are_apart(self, number: int, least: float) -> bool:
        """Whether `apart` has this letter."""
        before, left = number - 1, self.lefts[number]
        if self.rights[number] < self.lefts[before]:
            return True
        return self.rights[before] < left - least * (self.tops[number] - self.bottoms[number])

    def apart(self, least: float) -> list[int]:
        """Which ones do not stand close after the one before: those that are left of it, or `least` heights behind."""
        later = (islice(edges, 1, None) for edges in (self.lefts, self.rights, self.bottoms, self.tops))
        pairs = zip(self.lefts, self.rights, *later, strict=False)
        return [
            number
            for number, (left, right, my_left, my_right, bottom, top) in enumerate(pairs, start=1)
            if my_right < left or right < my_left - least * (top - bottom)
        ]


class Style(NamedTuple):
    """How a font looks: whether it is bold, and all of its letters are equally wide; and whether it has a name."""

    bold: bool
    fixed: bool
    has_name: bool


class _OpenRun:
    """Letters that are being put together, by their numbers among those of the page."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.last = first
        self.text = ""  # with the blanks behind it
        self.is_broken = False  # its last word goes on
        self.spaces: list[tuple[int, float, float]] = []

    def end(self, last: int, text: str) -> None:
        self.last, self.text = last, text

    @property
    def middle(self) -> int:
        """The letter in its middle."""
        return self.first + (self.last - self.first + 1) // 2


class Page:
    """One open page; `runs` are in the order in which the file draws them, and say where its tags have them."""

    def __init__(self, page: Any, marks: Marks | None = None) -> None:
        """`marks` are those of its tags, if it has some."""
        import pypdfium2.raw as pdfium

        self._pdfium = pdfium
        self._page = page
        self._text = page.get_textpage()
        text = direct.handle(self._text.raw)
        self._objects = direct.objects(direct.handle(page.raw))
        self._tags = Tags(text, self._objects, marks) if marks else None
        self.grids: list[Grid] = []  # after `runs` was called, turned as they are
        self._upright: list[Ruling] = []
        self._places: list[float] = []
        self._begins: set[int] = set()  # letters, by number, before which another tagged cell ends
        self._shown = ""  # the page's letters, without white space
        self._calls = _Calls(text)

    def close(self) -> None:
        """Free what pdfium holds of the page."""
        self._text.close()
        self._page.close()

    def runs(self) -> list[TextRun]:
        """The runs of text of the page, line by line in the order of the file, turned upright; finds `grids`, too."""
        text = self._characters().replace("\xa0", " ").replace("\t", " ")
        self._shown = "".join(text.split())
        self._turn = _TURNS[self._quarter(len(text))]
        lines = rulings.drawn(self._objects, self._turn)
        self.grids = rulings.grids(lines)
        parting = chain(lines.upright, *(grid.parting() for grid in self.grids))
        self._upright = sorted(parting, key=lambda line: line.at)
        self._places = [line.at for line in self._upright]
        self._letters = _Letters(self._pdfium, self._calls.text, text, self._turn)
        self._apart = self._far_or_parted() if self._places else self._letters.apart(WIDE_SPACE)
        if self._tags and self._tags.have_cells:
            self._begins = self._beginnings(text, self._tags)
            self._apart = sorted(self._begins.union(self._apart))
        opened: list[list[_OpenRun]] = []  # by line
        start = 0
        for end in [*(mark.start() for mark in LINE_END.finditer(text)), len(text)]:
            if end > start:
                opened.append(self._line(text, start, end))
            start = end + 1
        closed = self._closed(list(chain.from_iterable(opened)))
        return list(chain.from_iterable(_justified([list(islice(closed, len(line))) for line in opened])))

    def image_share(self) -> float:
        """How much of the page its images cover, 0 to 1; scans come in strips, too."""
        width, height = self._page.get_size()
        found = self._page.get_objects(filter=[self._pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=3)
        boxes = (image.get_bounds() for image in islice(found, MOST_IMAGES))
        area = sum(abs(right - left) * abs(top - bottom) for left, bottom, right, top in boxes)
        share = area / max(width * height, 1.0)
        return min(share, 1.0) if math.isfinite(share) else 1.0

    def notes(self, form: Any) -> list[str]:
        """Values of form fields, and comments: they are no part of a page's own text."""
        found = []
        for at in range(min(self._pdfium.FPDFPage_GetAnnotCount(self._page.raw), MOST_NOTES)):
            annotation = self._pdfium.FPDFPage_GetAnnot(self._page.raw, at)
            if annotation:
                found.append(self._note(annotation, form))
                self._pdfium.FPDFPage_CloseAnnot(annotation)
        return [note for note in found if note]

    def _note(self, annotation: Any, form: Any) -> str:
        pdfium = self._pdfium
        kind = pdfium.FPDFAnnot_GetSubtype(annotation)
        if kind == pdfium.FPDF_ANNOT_WIDGET:
            field, value = self._form_field(annotation, form)
            return f"{field}: {value}" if value and value != "Off" else ""
        if not pdfium.FPDF_ANNOT_TEXT <= kind <= pdfium.FPDF_ANNOT_INK or kind == pdfium.FPDF_ANNOT_LINK:
            return ""
        said = self._string(pdfium.FPDFAnnot_GetStringValue, annotation, b"Contents")
        is_mark = pdfium.FPDF_ANNOT_HIGHLIGHT <= kind <= pdfium.FPDF_ANNOT_STRIKEOUT
        return "" if is_mark and "".join(said.split()) in self._shown else said  # some programs copy what is marked

    def _form_field(self, annotation: Any, form: Any) -> tuple[str, str]:
        """Its name and value; those of the annotation itself where the document's form does not know the field."""
        pdfium, field, value = self._pdfium, "", ""
        if form is not None:
            value = self._string(pdfium.FPDFAnnot_GetFormFieldValue, form.raw, annotation)
            field = self._string(pdfium.FPDFAnnot_GetFormFieldAlternateName, form.raw, annotation)
            field = field or self._string(pdfium.FPDFAnnot_GetFormFieldName, form.raw, annotation)
        value = value or self._string(pdfium.FPDFAnnot_GetStringValue, annotation, b"V")
        value = value or ("" if form is not None else self._appearance(annotation))
        names = (self._string(pdfium.FPDFAnnot_GetStringValue, annotation, key) for key in (b"TU", b"T"))
        return field or next(filter(None, names), "Field"), value

    def _appearance(self, annotation: Any) -> str:
        """What the appearance of a field shows in a font of single bytes, but for the mark of a check box."""
        mode = self._pdfium.FPDF_ANNOT_APPEARANCEMODE_NORMAL
        content = self._string(self._pdfium.FPDFAnnot_GetAP, annotation, mode)
        shown = " ".join(_ESCAPED.sub(_unescaped, text) for text in _SHOWN.findall(content))
        return shown if shown.isprintable() and len(shown) > 1 else ""

    def _string(self, get: Callable[..., int], *arguments: Any) -> str:
        """A string as pdfium hands it out: first its length in bytes, then UTF-16 with a zero at the end."""
        size = get(*arguments, None, 0)
        if not 2 < size <= MOST_NOTE_BYTES:
            return ""
        buffer = (ctypes.c_ushort * (size // 2 + 1))()
        get(*arguments, buffer, size)
        return bytes(buffer)[: size - 2].decode("utf-16-le", "replace").strip()

    def _characters(self) -> str:
        count = self._text.count_chars()
        if count <= 0:
            return ""
        buffer = (ctypes.c_ushort * (count + 1))()
        units = self._pdfium.FPDFText_GetText(self._text.raw, 0, count, buffer) - 1
        text = bytes(buffer)[: 2 * units].decode("utf-16-le", "replace")
        if len(text) == count:
            return text
        get = self._pdfium.FPDFText_GetUnicode
        codes = buffer[:count] if units == count else [get(self._text.raw, at) for at in range(count)]
        return "".join(_characters(codes))

    def _beginnings(self, text: str, tags: Tags) -> set[int]:
        """The letters, by number, that begin a word in another tagged cell than the word before it on its line."""
        starts = [found.start() for found in WORD_OR_END.finditer(text)]
        words = [at for at in starts if text[at] not in LINE_ENDS]
        marks = dict(zip(words, tags.marks(words), strict=True))
        found, before = set[int](), None
        for at in starts:
            mark = marks.get(at)
            cell = mark.cell if mark else None
            if cell != before and at in marks:
                found.add(bisect_left(self._letters.at, at))
            before = cell
        return found

    def _line(self, text: str, start: int, end: int) -> list[_OpenRun]:
        """One of pdfium's lines, cut at large gaps, where a tagged cell begins or a line is drawn between two words."""
        at, apart = self._letters.at, self._apart
        first = bisect_left(at, start)
        last = bisect_left(at, end, first) - 1
        if last < first:
            return []
        found = []
        open_run = _OpenRun(first)
        for here in apart[bisect_right(apart, first) : bisect_right(apart, last)]:
            if here in self._begins or self._ends(text, open_run, here):
                open_run.end(here - 1, text[at[open_run.first] : at[here]])
                found.append(open_run)
                open_run = _OpenRun(here)
        open_run.end(last, text[at[open_run.first] : end])
        open_run.is_broken = text[end : end + 1] in HYPHENS
        return [*found, open_run]

    def _ends(self, text: str, open_run: "_OpenRun", here: int) -> bool:
        """Whether a letter is far from those before, or parted from them; a wide space before it is noted."""
        before, box = self._letters.box(here - 1), self._letters.box(here)
        left, right, bottom, top = before
        if box[0] <= right and box[1] >= left:
            return False
        if box[3] <= bottom and box[1] < left:  # the next line: pdfium does not tell where a page has few of them
            return True
        gap = max(box[0] - right, left - box[1])
        if box[2] >= top or bottom >= box[3]:
            return False
        height = box[3] - box[2]
        if gap > CELL_GAP * height or (self._places and self._is_parted(before, box)):
            return True
        if right < box[0] - WIDE_SPACE * height:
            start, end = self._letters.at[open_run.first], self._letters.at[here]
            open_run.spaces.append((end - start - text.count(SECOND_HALF, start, end), right, box[0]))
        return False

    def _far_or_parted(self) -> list[int]:
        """The letters that are far from those before, and those with an upright line between the middles of both."""
        letters, places, found = self._letters, self._places, []
        for here in letters.apart(0.0):
            if letters.are_apart(here, WIDE_SPACE):
                found.append(here)
                continue
            left, right = letters.middle(here - 1), letters.middle(here)
            first = bisect_left(places, min(left, right))
            if first < len(places) and places[first] <= max(left, right):
                found.append(here)
        return found

    def _is_parted(self, one: Box, other: Box) -> bool:
        """Whether an upright line stands between two letters."""
        left, right = (one[0] + one[1]) / 2, (other[0] + other[1]) / 2
        if right < left:
            left, right = right, left
        first = bisect_left(self._places, left)
        end = bisect_right(self._places, right, first)
        if first == end:
            return False
        y = (other[2] + other[3]) / 2
        return any(line.start <= y <= line.end for line in self._upright[first:end])

    def _closed(self, found: Sequence[_OpenRun]) -> Iterator[TextRun]:
        """The runs of these letters; what pdfium says of them is asked for all at once."""
        letters, calls = self._letters, self._calls
        firsts, lasts = [letters.at[run.first] for run in found], [letters.at[run.last] for run in found]
        sizes = calls.sizes([letters.at[run.middle if self._is_raised(run) else run.last] for run in found])
        marks = self._tags.marks(firsts) if self._tags else repeat(None, len(found))
        return map(self._run, found, sizes, calls.styles(firsts), calls.styles(lasts), marks)

    def _is_raised(self, run: _OpenRun) -> bool:
        """Whether the last letter is smaller than the one in the middle, as a raised number is."""
        return self._letters.height(run.last) < self._letters.height(run.middle)

    def _run(self, drawn: _OpenRun, size: float, first: Style, last: Style, mark: Mark | None) -> TextRun:
        letters, own = self._letters, slice(drawn.first, drawn.last + 1)
        left, right = min(letters.lefts[own]), max(letters.rights[own])
        bottom, top = min(letters.bottoms[own]), max(letters.tops[own])
        height = letters.height(drawn.middle)
        if not FULL_SIZE[0] * height <= size <= FULL_SIZE[1] * height:
            size = height
        if not math.isfinite(left + right + bottom + top + size):
            left = right = bottom = top = size = 0.0
        text, spaces = self._words(drawn)
        upright = len(text) < 3 or self._is_upright(drawn, right - left, top - bottom, size)
        if not text.isprintable():
            text = text.replace(TEX_BULLET, "•")
            if not first.has_name:
                text = _TEX_CODE.sub(lambda code: _TEX[code.group()], text)
        if drawn.is_broken:
            text += BROKEN
        fixed = first.fixed and last.fixed
        return TextRun(text, left, right, bottom, top, size, last.bold, upright, first.bold, fixed, spaces, mark=mark)

    def _words(self, open_run: "_OpenRun") -> tuple[str, list[tuple[int, float, float]]]:
        """What a run says, and the wide spaces in it."""
        drawn = open_run.text.replace(SECOND_HALF, "")
        text, spaces = drawn.rstrip(), open_run.spaces
        if text.isascii() and " " not in text[1:3] and "`" not in text:
            return text, spaces
        boxes = [self._letters.box(number) for number in range(open_run.first, open_run.last + 1)]
        if _ACCENT.search(text):
            text, spaces = _accented(drawn, boxes), []
        if _is_spaced(text) and self._has_no_space(open_run):
            text, spaces = _closed_up(drawn, boxes), []
        if not text.isascii() and _RIGHT_TO_LEFT.search(text):
            text, spaces = _logical(drawn, boxes), []
        return text, spaces

    def _is_upright(self, open_run: "_OpenRun", width: float, height: float, size: float) -> bool:
        if width > (0.5 if height < SLANTED_HEIGHT * size else SLANTED_HEIGHT) * height:
            return height < LEVEL_HEIGHT * size or not self._is_slanted(self._letters.at[open_run.last])
        return False

    def _is_slanted(self, at: int) -> bool:
        """Whether a letter is turned by an angle that is no quarter turn, as stamps across a page are."""
        angle = float(self._pdfium.FPDFText_GetCharAngle(self._text.raw, at))
        return SLANT_RADIANS < angle % (math.pi / 2) < math.pi / 2 - SLANT_RADIANS

    def _has_no_space(self, open_run: "_OpenRun") -> bool:
        """Whether all blanks are pdfium's, put in where letters are far apart."""
        is_generated = self._pdfium.FPDFText_IsGenerated
        start = self._letters.at[open_run.first]
        blanks = (at for at, letter in enumerate(open_run.text, start) if letter == " ")
        return all(is_generated(self._text.raw, at) == 1 for at in blanks)

    def _quarter(self, count: int) -> int:
        """Counter-clockwise quarter turns of most of the text, from a sample of it; pdfium counts clockwise."""
        get, raw = self._pdfium.FPDFText_GetCharAngle, self._text.raw
        angles = [get(raw, at) for at in range(0, count, max(1, count // DIRECTION_CHARACTERS))]
        quarters = Counter(round(-angle / (math.pi / 2)) % 4 for angle in angles if angle >= 0)
        return quarters.most_common(1)[0][0] if quarters else 0


class _Calls:
    """What pdfium says of single letters of a page."""

    def __init__(self, text: int) -> None:
        """`text` is the number of pdfium's handle."""
        self.text = text
        self._get_matrix = direct.function("FPDFText_GetMatrix", INT, HANDLE, INT, HANDLE)
        self._get_size = direct.function("FPDFText_GetFontSize", DOUBLE, HANDLE, INT)
        self._get_font = direct.function(
            "FPDFText_GetFontInfo", ctypes.c_ulong, HANDLE, INT, HANDLE, ctypes.c_ulong, HANDLE
        )

    def sizes(self, places: Sequence[int]) -> list[float]:
        """The sizes of these letters' fonts as they are drawn; boxes differ from font to font."""
        matrices = (ctypes.c_float * (MATRIX * len(places)))()
        deque(map(self._get_matrix, repeat(self.text), places, _addresses(matrices, len(places))), maxlen=0)
        found = list[float](memoryview(matrices).cast("B").cast("f"))
        heights = map(math.hypot, found[2::MATRIX], found[3::MATRIX])
        return list(map(mul, map(self._get_size, repeat(self.text), places), heights))

    def styles(self, places: Sequence[int]) -> list[Style]:
        """How these letters' fonts look."""
        count = len(places)
        names, flags = ctypes.create_string_buffer(FONT_BYTES * max(count, 1)), (ctypes.c_int * count)()
        calls = repeat(self.text), places, _addresses(names, count), repeat(FONT_BYTES), _addresses(flags, count)
        deque(map(self._get_font, *calls), maxlen=0)
        read = names.raw
        return [_style_of(read[at * FONT_BYTES : (at + 1) * FONT_BYTES], flag) for at, flag in enumerate(flags)]


def _addresses(array: Any, count: int) -> range:
    """Where each of so many equal parts of an array begins."""
    first, size = ctypes.addressof(array), ctypes.sizeof(array)
    return range(first, first + count * (size // max(count, 1)), max(size // max(count, 1), 1))


@lru_cache(maxsize=1_000)
def _style_of(name: bytes, flags: int) -> Style:
    """Of a font's name, with zeros behind it, and pdfium's flags."""
    name = name.partition(b"\0")[0]
    is_bold, is_fixed = bool(_BOLD.search(name)), bool(_FIXED.search(name))
    return Style(is_bold or bool(flags & 1 << 18), is_fixed or bool(flags & 1), bool(name))


def _are_drawn(text: str) -> bytes:
    """1 for each letter that has a box, 0 for blanks and marks of pdfium's and ours."""
    for mark in (*HYPHENS, SECOND_HALF):
        text = text.replace(mark, " ")
    return text.encode("latin-1", "replace").translate(_DRAWN)


# From a box on the page to the box as it is read, for text that is turned by so many quarters.
_TURNS: tuple[Turn | None, ...] = (
    None,
    lambda left, right, bottom, top: (bottom, top, -right, -left),
    lambda left, right, bottom, top: (-right, -left, -top, -bottom),
    lambda left, right, bottom, top: (-top, -bottom, left, right),
)


def _justified(lines: Sequence[list[TextRun]]) -> Iterator[list[TextRun]]:
    """Lines that were stretched until each word stands by itself are whole again."""
    before: list[TextRun] = []
    for at, line in enumerate(lines):
        if len(line) > 1 and _is_stretched(line):
            after = lines[at + 1] if at + 1 < len(lines) else []
            like = [other for other in (before, after) if other and _has_margins(line, other) and _is_even(other)]
            if like if _is_running(line) else any(map(_is_running, like)):
                line = [replace(line[-1], text=" ".join(run.text for run in line), left=line[0].left, spaces=[])]
        before = line
        yield line


def _is_even(line: Sequence[TextRun]) -> bool:
    """Whether a line is whole or stretched; one with unlike gaps is the row of a table."""
    return len(line) == 1 or _is_stretched(line)


def _is_stretched(line: Sequence[TextRun]) -> bool:
    """Whether these are words with spaces that are all alike."""
    if not all(run.upright and " " not in run.text for run in line):
        return False
    gaps = [other.left - one.right for one, other in pairwise(line)]
    return min(gaps) > 0 and max(gaps) - min(gaps) < JUSTIFIED_DEVIATION * max(gaps)


def _is_running(line: Sequence[TextRun]) -> bool:
    """Whether a line is running text, whole or stretched: its words are unlike, as columns of numbers are not."""
    widths = [run.right - run.left for run in line]
    if len(line) == 1:
        return " " in line[0].text
    return len(line) > 2 and max(widths) > WORD_WIDTH_RATIO * min(widths) and _is_stretched(line)


def _has_margins(line: Sequence[TextRun], other: Sequence[TextRun]) -> bool:
    return abs(line[0].left - other[0].left) + abs(line[-1].right - other[-1].right) < 1


def _characters(codes: Sequence[int]) -> Iterator[str]:
    """As many characters as there are codes: of two halves of one (UTF-16), the second becomes SECOND_HALF."""
    before = 0
    for at, code in enumerate(codes):
        after = codes[at + 1] if at + 1 < len(codes) else 0
        if 0xD800 <= code < 0xDC00 <= after < 0xE000:
            yield chr(0x10000 + ((code - 0xD800) << 10) + after - 0xDC00)
        elif 0xD800 <= before < 0xDC00 <= code < 0xE000:
            yield SECOND_HALF
        else:
            yield chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"
        before = code


def _accented(letters: Sequence[str], boxes: Sequence[Box]) -> str:
    """Accents that stand over a letter, to that letter."""
    places = iter(boxes)
    drawn = [(letter, None if letter == " " else next(places)) for letter in letters]
    found: list[str] = []
    at = 0
    while at < len(drawn):
        letter, box = drawn[at]
        base = at + 1 if letter in ACCENTS and box else at
        while base < len(drawn) and drawn[base][1] is None:  # pdfium sees a space where the pen goes back
            base += 1
        under = drawn[base][1] if base > at and base < len(drawn) else None
        if box and under and drawn[base][0].isalpha() and _overlap(box, under):
            found.append(_DOTLESS.get(drawn[base][0], drawn[base][0]) + ACCENTS[letter])
            at = base + 1
            continue
        if box and letter in ACCENTS and found and found[-1].isalpha() and _overlap(box, drawn[at - 1][1]):
            found[-1] += ACCENTS[letter]
        else:
            found.append(letter)
        at += 1
    return unicodedata.normalize("NFC", "".join(found)).strip()


def _overlap(accent: Box, letter: Box | None) -> bool:
    """Whether the middle of one is over the other: side by side they are two characters."""
    return letter is not None and letter[0] < (accent[0] + accent[1]) / 2 < letter[1]


def _is_spaced(text: str) -> bool:
    """Whether nearly all of its words are single letters; two may be together where the font draws them closer."""
    if " " not in text[1:3]:
        return False
    words = text.split()
    singles = sum(len(word) == 1 for word in words)
    return (
        singles >= max(SPACED_LETTERS, SINGLE_LETTERS_SHARE * len(words))
        and max(map(len, words)) < 3
        and "".join(words).isalpha()
    )


def _closed_up(letters: Sequence[str], boxes: Sequence[Box]) -> str:
    """Words whose letters are set wide."""
    drawn = [letter for letter in letters if letter != " "]
    gaps = [other[0] - one[1] for one, other in pairwise(boxes)]
    least = SPACED_GAP * max(median(gaps), 0.1)
    return "".join(f" {letter}" if gap > least else letter for letter, gap in zip(drawn, [0.0, *gaps], strict=True))


def _logical(letters: Sequence[str], boxes: Sequence[Box]) -> str:
    """Words of scripts that run to the left in the order in which they are read, also where the file has the other."""
    places = iter(boxes)
    drawn = [(letter, 0.0 if letter == " " else next(places)[0]) for letter in letters]
    found: list[str] = []
    for runs_left, group in groupby(drawn, key=lambda one: _runs_left(one[0])):
        word = list(group)
        if runs_left and word[0][1] < word[-1][1]:
            word.reverse()
        for at, (one, other) in enumerate(pairwise(word)):
            if one[1] == other[1] and one[0] in ALEFS and other[0] == LAM:  # one glyph for both, the lam is first
                word[at : at + 2] = other, one
        found += [letter for letter, _ in word]
    text = _SHAPED.sub(lambda shaped: unicodedata.normalize("NFKC", shaped.group()), "".join(found)).rstrip()
    return text.translate(_MIRRORED) if _has_turned_brackets(text) else text


def _runs_left(letter: str) -> bool:
    return bool(_RIGHT_TO_LEFT.match(letter)) and not _NUMBER.match(letter)


def _has_turned_brackets(text: str) -> bool:
    """Whether more brackets open after a word or close before one than the other way round.

    Some files have the letter that a bracket stands for, some the one that it looks like in text to the left.
    """
    return len(_TURNED.findall(text)) > len(_UPRIGHT.findall(text))


def _unescaped(match: re.Match[str]) -> str:
    """The character that a backslash and what is behind it stand for, in a string of a content stream."""
    code = match[1]
    return bytes((int(code, 8) & 255,)).decode("cp1252", "replace") if len(code) == 3 else code
