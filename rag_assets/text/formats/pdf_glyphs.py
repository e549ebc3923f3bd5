"""A page of a PDF as pdfium sees it, to pieces of text with their places."""

import ctypes
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Box = tuple[float, float, float, float]  # left, right, bottom, top
MOST_NOTES, MOST_NOTE_BYTES = 2_000, 2**16  # of one page, of one note
SAMPLE = 40  # characters of a page whose direction is asked for

GAP = 1.1  # of a line's height: further apart on a line are cells or columns, nearer are words
HYPHENS = ("\x02", "\ufffe")  # pdfium's marks for a hyphen that broke a word, in place of a line's end
BLANKS = frozenset(" \xa0\t")
LINE_END = re.compile("[\r\n\x02\ufffe]")
BROKEN = "\xad"  # at the end of a piece: its last word goes on


@dataclass(slots=True)
class Piece:
    """Text on one line without a large gap in it; the box in points, y upwards, as the reader sees the page."""

    text: str
    left: float
    right: float
    bottom: float
    top: float
    size: float  # height of one character in it
    bold: bool = False
    upright: bool = True

    @property
    def height(self) -> float:
        return self.top - self.bottom

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2

    @property
    def middle_x(self) -> float:
        return (self.left + self.right) / 2


class Page:
    """One open page; `pieces` are in the order in which the file draws them."""

    def __init__(self, page: Any) -> None:
        import pypdfium2.raw as pdfium

        self._pdfium = pdfium
        self._page = page
        self._text = page.get_textpage()

    def close(self) -> None:
        self._text.close()
        self._page.close()

    def pieces(self) -> list[Piece]:
        text = self._characters()
        self._turn = _TURNS[self._quarter(len(text))]
        pieces: list[Piece] = []
        start = 0
        for end in [*(found.start() for found in LINE_END.finditer(text)), len(text)]:
            if end > start:
                line = list(self._line(text, start, end))
                if line and text[end : end + 1] in HYPHENS:
                    line[-1].text += BROKEN
                pieces += line
            start = end + 1
        return pieces

    def image_share(self) -> float:
        """How much of the page its largest image covers, 0 to 1."""
        width, height = self._page.get_size()
        found = self._page.get_objects(filter=[self._pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=3)
        boxes = (image.get_bounds() for image in found)
        areas = [abs(right - left) * abs(top - bottom) for left, bottom, right, top in boxes]
        return float(max(areas, default=0.0) / max(width * height, 1.0))

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
        if kind == pdfium.FPDF_ANNOT_WIDGET and form is not None:
            value = self._string(pdfium.FPDFAnnot_GetFormFieldValue, form.raw, annotation)
            field = self._string(pdfium.FPDFAnnot_GetFormFieldName, form.raw, annotation)
            return f"{field}: {value}" if value and value != "Off" else ""
        if kind in (pdfium.FPDF_ANNOT_TEXT, pdfium.FPDF_ANNOT_FREETEXT):
            return self._string(pdfium.FPDFAnnot_GetStringValue, annotation, b"Contents")
        return ""

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
        get = self._pdfium.FPDFText_GetUnicode  # characters beyond the basic plane: one call for each
        return "".join(_character(get(self._text.raw, at)) for at in range(count))

    def _line(self, text: str, start: int, end: int) -> Iterator[Piece]:
        """One of pdfium's lines, cut at large gaps."""
        get, raw, turn = self._pdfium.FPDFText_GetLooseCharBox, self._text.raw, self._turn
        box = self._pdfium.FS_RECTF()
        reference = ctypes.byref(box)
        letters: list[str] = []
        boxes: list[Box] = []
        for at in range(start, end):
            letter = text[at]
            if letter in BLANKS:
                letters.append(" ")
                continue
            get(raw, at, reference)
            here = (box.left, box.right, box.bottom, box.top)
            if turn:
                here = turn(*here)
            if boxes:
                before = boxes[-1]
                gap = max(here[0] - before[1], before[0] - here[1])
                if gap > GAP * (here[3] - here[2]) and here[2] < before[3] and before[2] < here[3]:
                    yield self._piece(letters, boxes, at - 1)
                    letters, boxes = [], []
            letters.append(letter)
            boxes.append(here)
        if boxes:
            yield self._piece(letters, boxes, end - 1)

    def _piece(self, letters: Sequence[str], boxes: Sequence[Box], at: int) -> Piece:
        """`at`: the index of a character of it, whose font is taken for that of all."""
        lefts, rights, bottoms, tops = zip(*boxes, strict=True)
        left, right, bottom, top = min(lefts), max(rights), min(bottoms), max(tops)
        middle = boxes[len(boxes) // 2]
        size = middle[3] - middle[2]
        if not all(map(math.isfinite, (left, right, bottom, top, size))):
            left = right = bottom = top = size = 0.0
        text = "".join(letters).strip()
        upright = len(text) < 3 or right - left > 0.5 * (top - bottom)
        return Piece(text, left, right, bottom, top, size, self._is_bold(at), upright)

    def _quarter(self, count: int) -> int:
        """Counter-clockwise quarter turns of most of the text, from a sample of it; pdfium counts clockwise."""
        get, raw = self._pdfium.FPDFText_GetCharAngle, self._text.raw
        angles = [get(raw, at) for at in range(0, count, max(1, count // SAMPLE))]
        quarters = Counter(round(-angle / (math.pi / 2)) % 4 for angle in angles if angle >= 0)
        return quarters.most_common(1)[0][0] if quarters else 0

    def _is_bold(self, at: int) -> bool:
        name = ctypes.create_string_buffer(64)
        flags = ctypes.c_int()
        self._pdfium.FPDFText_GetFontInfo(self._text.raw, at, name, 64, ctypes.byref(flags))
        return b"bold" in name.value.lower() or b"black" in name.value.lower() or bool(flags.value & (1 << 18))


# From a box on the page to the box as it is read, for text that is turned by so many quarters.
_TURNS: tuple[Callable[[float, float, float, float], Box] | None, ...] = (
    None,
    lambda left, right, bottom, top: (bottom, top, -right, -left),
    lambda left, right, bottom, top: (-right, -left, -top, -bottom),
    lambda left, right, bottom, top: (-top, -bottom, left, right),
)


def _character(code: int) -> str:
    return chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"
