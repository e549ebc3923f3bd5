"""Collects the straight lines that a page draws, and joins them to grids of cells: tables, forms, frames."""

import ctypes
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Box = tuple[float, float, float, float]  # left, right, bottom, top
Turn = Callable[[float, float, float, float], Box]
Matrix = tuple[float, float, float, float, float, float]

NEAR = 2.5  # points: edges that are no further apart are one edge, lines that end so near to each other touch
SHORTEST = 4.0  # points
MOST_OBJECTS, MOST_SEGMENTS, MOST_FORMS = 20_000, 20_000, 3  # of one page; deeper forms are not looked into
MOST_LINES, MOST_CELLS, MOST_GRIDS = 800, 20_000, 200  # of one page; with more lines it is a drawing
WHITE = 250  # of 255: a filling that nobody sees
BANDS = 2.5  # times the height of a colored row, to the next colored one
SAME_EDGES = 3  # lines of the same width below each other, that make a table without upright lines


@dataclass(slots=True)
class Ruling:
    """A straight one; `at` is x of an upright one and y of a level one, in points."""

    at: float
    start: float
    end: float


@dataclass(slots=True)
class Grid:
    """Edges of columns from the left and of rows from the top; `owner` names the cell that a place belongs to."""

    xs: list[float]
    ys: list[float]
    owner: dict[tuple[int, int], tuple[int, int]]  # row and column, to the upper left one of a merged cell
    is_closed: bool = True  # has upright lines
    is_banded: bool = False  # made of bands of color: nothing is drawn between the columns of every other row

    def parting(self) -> list[Ruling]:
        """The lines between its columns that are not drawn."""
        return [Ruling(x, self.ys[-1], self.ys[0]) for x in self.xs] if self.is_banded else []

    @property
    def box(self) -> Box:
        return self.xs[0], self.xs[-1], self.ys[-1], self.ys[0]

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.ys) - 1, len(self.xs) - 1

    @property
    def is_ruled(self) -> bool:
        """Whether there is more than one column."""
        return len(self.xs) > 2

    def column(self, x: float) -> int | None:
        return next((n for n in range(len(self.xs) - 1) if self.xs[n] <= x <= self.xs[n + 1]), None)

    def cell(self, x: float, y: float) -> tuple[int, int] | None:
        column = self.column(x)
        row = next((n for n in range(len(self.ys) - 1) if self.ys[n] >= y >= self.ys[n + 1]), None)
        return None if row is None or column is None else self.owner[row, column]


@dataclass(slots=True)
class Drawn:
    """What a page draws: `level` and `upright` lines."""

    level: list[Ruling]
    upright: list[Ruling]


def drawn(pdfium: Any, page: Any, turn: Turn | None) -> Drawn:
    """The straight lines of a page (a pdfium handle), turned as its text is read."""
    collector = _Collector(pdfium, turn)
    collector.collect(pdfium.FPDFPage_CountObjects, pdfium.FPDFPage_GetObject, page, (1, 0, 0, 1, 0, 0), 0)
    return Drawn(_merged(collector.level), _merged(collector.upright))


def grids(lines: Drawn) -> list[Grid]:
    """Largest first; a table without upright lines is a grid of one column."""
    if len(lines.level) > MOST_LINES or len(lines.upright) > MOST_LINES:
        return []
    found, used = [], set[int]()
    for level, upright in _connected(lines):
        used |= {id(line) for line in level}
        grid = _grid(level, upright)
        if grid:
            found.append(grid)
    found += _open([line for line in lines.level if id(line) not in used or not _is_inside(line, found)], without=found)
    found = _stacked(found)
    found.sort(key=lambda grid: -(grid.xs[-1] - grid.xs[0]) * (grid.ys[0] - grid.ys[-1]))
    return found[:MOST_GRIDS]


class _Collector:
    def __init__(self, pdfium: Any, turn: Turn | None) -> None:
        self._pdfium = pdfium
        self._turn = turn
        self._objects = self._segments = 0
        self.level: list[Ruling] = []
        self.upright: list[Ruling] = []

    def collect(self, count: Any, get: Any, holder: Any, matrix: Matrix, depth: int) -> None:
        pdfium = self._pdfium
        kind, path, form = pdfium.FPDFPageObj_GetType, pdfium.FPDF_PAGEOBJ_PATH, pdfium.FPDF_PAGEOBJ_FORM
        for at in range(min(count(holder), MOST_OBJECTS - self._objects)):
            item = get(holder, at)
            self._objects += 1
            here = kind(item)
            if here == path:
                self._path(item, matrix)
            elif here == form and depth < MOST_FORMS:
                inner = _times(self._matrix(item), matrix)
                self.collect(pdfium.FPDFFormObj_CountObjects, pdfium.FPDFFormObj_GetObject, item, inner, depth + 1)

    def _path(self, item: Any, matrix: Matrix) -> None:
        count = self._pdfium.FPDFPath_CountSegments(item)
        if count > MOST_SEGMENTS - self._segments or not self._is_seen(item):
            return
        self._segments += count
        outer = _times(self._matrix(item), matrix)
        for x, y, to_x, to_y in self._strokes(item, count):
            self._add(_placed(outer, x, y), _placed(outer, to_x, to_y))

    def _strokes(self, item: Any, count: int) -> Iterator[tuple[float, float, float, float]]:
        """Straight segments, the one that closes a figure too."""
        pdfium = self._pdfium
        x, y = ctypes.c_float(), ctypes.c_float()
        point = first = (0.0, 0.0)
        for at in range(count):
            segment = pdfium.FPDFPath_GetPathSegment(item, at)
            pdfium.FPDFPathSegment_GetPoint(segment, ctypes.byref(x), ctypes.byref(y))
            here, kind = (x.value, y.value), pdfium.FPDFPathSegment_GetType(segment)
            if kind == pdfium.FPDF_SEGMENT_MOVETO:
                first = here
            elif kind == pdfium.FPDF_SEGMENT_LINETO:
                yield *point, *here
            if pdfium.FPDFPathSegment_GetClose(segment):
                yield *here, *first
            point = here

    def _is_seen(self, item: Any) -> bool:
        pdfium = self._pdfium
        fill, stroke = ctypes.c_int(), ctypes.c_int()
        pdfium.FPDFPath_GetDrawMode(item, ctypes.byref(fill), ctypes.byref(stroke))
        if stroke.value or not fill.value:
            return bool(stroke.value)
        color = [ctypes.c_uint() for _ in range(4)]
        pdfium.FPDFPageObj_GetFillColor(item, *map(ctypes.byref, color))
        return min(part.value for part in color[:3]) < WHITE

    def _matrix(self, item: Any) -> Matrix:
        found = self._pdfium.FS_MATRIX()
        self._pdfium.FPDFPageObj_GetMatrix(item, ctypes.byref(found))
        return found.a, found.b, found.c, found.d, found.e, found.f

    def _add(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        left, right, bottom, top = *sorted((start[0], end[0])), *sorted((start[1], end[1]))
        if not all(map(math.isfinite, (left, right, bottom, top))):
            return
        if self._turn:
            left, right, bottom, top = self._turn(left, right, bottom, top)
        if top - bottom < 1 and right - left >= SHORTEST:
            self.level.append(Ruling((top + bottom) / 2, left, right))
        elif right - left < 1 and top - bottom >= SHORTEST:
            self.upright.append(Ruling((left + right) / 2, bottom, top))


def _times(one: Matrix, other: Matrix) -> Matrix:
    """First `one`, then `other`."""
    a, b, c, d, e, f = one
    g, h, i, j, k, m = other
    return a * g + b * i, a * h + b * j, c * g + d * i, c * h + d * j, e * g + f * i + k, e * h + f * j + m


def _placed(matrix: Matrix, x: float, y: float) -> tuple[float, float]:
    a, b, c, d, e, f = matrix
    return a * x + c * y + e, b * x + d * y + f


def _merged(lines: list[Ruling]) -> list[Ruling]:
    """Parts of the same line taken together, and both edges of a thick one."""
    found: list[Ruling] = []
    open_: list[Ruling] = []
    for line in sorted(lines, key=lambda one: (one.at, one.start)):
        open_ = [one for one in open_ if line.at - one.at <= NEAR]
        same = next((one for one in open_ if line.start <= one.end + NEAR and one.start <= line.end + NEAR), None)
        if same:
            same.start, same.end = min(same.start, line.start), max(same.end, line.end)
        else:
            fresh = Ruling(line.at, line.start, line.end)
            open_.append(fresh)
            found.append(fresh)
        if len(found) > MOST_LINES:
            break
    return found


# ---- lines to grids


def _connected(lines: Drawn) -> Iterator[tuple[list[Ruling], list[Ruling]]]:
    """Level and upright lines that touch or cross each other."""
    level, upright = list(lines.level), list(lines.upright)
    while upright:
        mine, queue = ([], []), [(1, upright.pop())]  # type: tuple[list[Ruling], list[Ruling]], list[tuple[int, Ruling]]
        while queue:
            side, line = queue.pop()
            mine[side].append(line)
            others = upright if side == 0 else level
            touching = [one for one in others if _touch(line, one)]
            others[:] = [one for one in others if not _touch(line, one)]
            queue += [(1 - side, one) for one in touching]
        if mine[0]:
            yield mine


def _touch(one: Ruling, other: Ruling) -> bool:
    return other.start - NEAR <= one.at <= other.end + NEAR and one.start - NEAR <= other.at <= one.end + NEAR


def _grid(level: Sequence[Ruling], upright: Sequence[Ruling]) -> Grid | None:
    """Open sides are closed where the lines that lead there end."""
    xs = _edges([line.at for line in upright] + [min(x.start for x in level), max(x.end for x in level)])
    ys = _edges([line.at for line in level] + [min(y.start for y in upright), max(y.end for y in upright)])
    if len(xs) < 2 or len(ys) < 2 or len(xs) * len(ys) > MOST_CELLS:
        return None
    ys.reverse()
    return Grid(xs, ys, _owners(xs, ys, level, upright))


def _stacked(found: Sequence[Grid]) -> list[Grid]:
    """Rows of the same columns that are filled with color, every other one of a table, as one grid."""
    alike: dict[tuple[int, ...], list[Grid]] = {}
    for grid in found:
        alike.setdefault(tuple(round(x / NEAR / 2) for x in grid.xs), []).append(grid)
    result = []
    for same in alike.values():
        same.sort(key=lambda grid: -grid.ys[0])
        heights = [grid.ys[0] - grid.ys[-1] for grid in same]
        near = all(one.ys[-1] - other.ys[0] <= BANDS * max(heights) for one, other in pairwise(same))
        if len(same) > 1 and same[0].is_ruled and near and all(grid.size[0] == 1 for grid in same):
            ys = sorted(_edges([y for grid in same for y in grid.ys]), reverse=True)
            places = [(row, column) for row in range(len(ys) - 1) for column in range(same[0].size[1])]
            result.append(Grid(same[0].xs, ys, {place: place for place in places}, is_banded=True))
        else:
            result += same
    return result


def _edges(places: Sequence[float]) -> list[float]:
    found: list[float] = []
    for place in sorted(places):
        if not found or place - found[-1] > NEAR:
            found.append(place)
    return found


def _owners(
    xs: list[float], ys: list[float], level: Sequence[Ruling], upright: Sequence[Ruling]
) -> dict[tuple[int, int], tuple[int, int]]:
    """Places that no line parts are one cell: of the upper left one."""
    owner: dict[tuple[int, int], tuple[int, int]] = {}
    for row in range(len(ys) - 1):
        middle = (ys[row] + ys[row + 1]) / 2
        above = [line for line in level if abs(line.at - ys[row]) <= NEAR]
        across = [line.at for line in upright if line.start - NEAR <= middle <= line.end + NEAR]
        for column in range(len(xs) - 1):
            center = (xs[column] + xs[column + 1]) / 2
            if column and not _has(across, xs[column]):
                owner[row, column] = owner[row, column - 1]
            elif row and not any(line.start - NEAR <= center <= line.end + NEAR for line in above):
                owner[row, column] = owner[row - 1, column]
            else:
                owner[row, column] = (row, column)
    return owner


def _has(places: Sequence[float], place: float) -> bool:
    return any(abs(one - place) <= NEAR for one in places)


def _is_inside(line: Ruling, found: Sequence[Grid]) -> bool:
    return any(
        grid.ys[-1] - NEAR <= line.at <= grid.ys[0] + NEAR
        and grid.xs[0] - NEAR <= line.start
        and line.end <= grid.xs[-1] + NEAR
        for grid in found
    )


def _open(level: Sequence[Ruling], *, without: Sequence[Grid]) -> list[Grid]:
    """Tables that have level lines only: three or more of the same ends."""
    groups: dict[tuple[int, int], list[Ruling]] = {}
    for line in level:
        if not _is_inside(line, without):
            groups.setdefault((round(line.start / 4), round(line.end / 4)), []).append(line)
    found = []
    for lines in groups.values():
        ys = _edges([line.at for line in lines])
        if len(ys) >= SAME_EDGES:
            xs = [min(line.start for line in lines), max(line.end for line in lines)]
            ys.reverse()
            found.append(Grid(xs, ys, {(row, 0): (row, 0) for row in range(len(ys) - 1)}, is_closed=False))
    return found
