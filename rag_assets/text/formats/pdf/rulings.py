"""Collects the straight lines that a page draws, and joins them to grids of cells: tables, forms, frames."""

import ctypes
import math
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice, pairwise, repeat
from operator import itemgetter, neg
from typing import Any

from rag_assets.text.formats.pdf import direct
from rag_assets.text.formats.pdf.direct import HANDLE, INT, PageObject

Box = tuple[float, float, float, float]  # left, right, bottom, top
Turn = Callable[[float, float, float, float], Box]
Matrix = tuple[float, float, float, float, float, float]
Point = tuple[float, float]
Segment = tuple[float, float, int, int]  # x, y, its type, whether it closes a figure

NEAR_POINTS = 2.5  # points: edges that are no further apart are one edge, lines that end so near to each other touch
SHORTEST_POINTS = 4.0  # points
MOST_OBJECTS, MOST_SEGMENTS, MOST_FORMS = 20_000, 20_000, 3  # of one page; deeper forms are not looked into
MOST_LINES, MOST_CELLS, MOST_GRIDS = 800, 20_000, 200  # of one page; with more lines it is a drawing
WHITE_LEVEL = 250  # of 255: a filling that nobody sees
LINE_TO, MOVE_TO = 0, 2  # FPDF_SEGMENT_LINETO, FPDF_SEGMENT_MOVETO
BAND_DISTANCE = 2.5  # times the height of a colored row, to the next colored one
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
        """Its left, right, lower and upper edge."""
        return self.xs[0], self.xs[-1], self.ys[-1], self.ys[0]

    @property
    def size(self) -> tuple[int, int]:
        """How many rows and columns it has."""
        return len(self.ys) - 1, len(self.xs) - 1

    @property
    def has_columns(self) -> bool:
        """Whether there is more than one column."""
        return len(self.xs) > 2

    def has(self, x: float, y: float) -> bool:
        """Whether a place is in one of its cells."""
        return self.xs[0] <= x <= self.xs[-1] and self.ys[-1] <= y <= self.ys[0]

    def column(self, x: float) -> int | None:
        """The number of the column at this place, from 0; None where it is outside."""
        found = bisect_left(self.xs, x)
        return found - 1 if 0 < found < len(self.xs) else 0 if x == self.xs[0] else None

    def row(self, y: float) -> int | None:
        """The number of the row at this height, from 0 at the top; None where it is outside."""
        found = bisect_left(self.ys, -y, key=neg)
        return found - 1 if 0 < found < len(self.ys) else 0 if y == self.ys[0] else None

    def cell(self, x: float, y: float) -> tuple[int, int] | None:
        """Row and column of the cell at this place, the upper left one of a merged cell; None where it is outside."""
        column = self.column(x)
        row = None if column is None else self.row(y)
        return None if row is None or column is None else self.owner[row, column]


@dataclass(slots=True)
class Drawn:
    """What a page draws: `level` and `upright` lines."""

    level: list[Ruling]
    upright: list[Ruling]


def drawn(objects: Sequence[PageObject], turn: Turn | None) -> Drawn:
    """The straight lines among the objects of a page, turned as its text is read."""
    collector = _Collector(turn)
    collector.collect(objects, (1, 0, 0, 1, 0, 0), 0)
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
    def __init__(self, turn: Turn | None) -> None:
        self._turn = turn
        self._calls = _Calls()
        self._objects = self._segments = 0
        self.level: list[Ruling] = []
        self.upright: list[Ruling] = []

    def collect(self, objects: Sequence[PageObject], matrix: Matrix, depth: int) -> None:
        """The lines among the objects of a page or of a form."""
        for kind, group in groupby(objects[: MOST_OBJECTS - self._objects], key=itemgetter(1)):
            items = [item for item, _ in group]
            if kind == direct.FORM and depth < MOST_FORMS:
                for item in items:
                    self._objects += 1
                    inside = direct.objects(item, MOST_OBJECTS - self._objects, kind="FPDFFormObj")
                    self.collect(inside, _times(self._calls.matrix(item), matrix), depth + 1)
                continue
            self._objects += len(items)
            if kind == direct.PATH:
                self._paths(items, matrix)

    def _paths(self, items: Sequence[int], matrix: Matrix) -> None:
        """The lines of paths that follow each other; pdfium is asked for those of all of them at once."""
        calls, kept = self._calls, list[tuple[int, int]]()
        for item, count, is_seen in zip(items, map(calls.count_segments, items), calls.are_seen(items), strict=True):
            if is_seen and 0 <= count <= MOST_SEGMENTS - self._segments:  # pdfium says -1 of what is no path to it
                self._segments += count
                kept.append((item, count))
        segments = iter(calls.segments(kept))
        for item, count in kept:
            self._strokes(islice(segments, count), _times(calls.matrix(item), matrix))

    def _strokes(self, segments: Iterable[Segment], matrix: Matrix) -> None:
        """The straight segments of a path where they are on the page, the one that closes a figure too."""
        a, b, c, d, e, f = matrix
        point = first = _placed(matrix, 0.0, 0.0)
        for x, y, kind, closes in segments:
            here = a * x + c * y + e, b * x + d * y + f
            if kind == MOVE_TO:
                first = here
            elif kind == LINE_TO:
                self._add(point, here)
            if closes:
                self._add(here, first)
            point = here

    def _add(self, start: Point, end: Point) -> None:
        (left, bottom), (right, top) = start, end
        left, right = (left, right) if left <= right else (right, left)
        bottom, top = (bottom, top) if bottom <= top else (top, bottom)
        if self._turn:
            left, right, bottom, top = self._turn(left, right, bottom, top)
        is_level = top - bottom < 1 and right - left >= SHORTEST_POINTS
        is_upright = not is_level and right - left < 1 and top - bottom >= SHORTEST_POINTS
        if (is_level or is_upright) and all(map(math.isfinite, (left, right, bottom, top))):
            if is_level:
                self.level.append(Ruling((top + bottom) / 2, left, right))
            else:
                self.upright.append(Ruling((left + right) / 2, bottom, top))


class _Calls:
    """What pdfium says of single objects of a page."""

    def __init__(self) -> None:
        self.count_segments = direct.function("FPDFPath_CountSegments", INT, HANDLE)
        self._segment = direct.function("FPDFPath_GetPathSegment", HANDLE, HANDLE, INT)
        self._point = direct.function("FPDFPathSegment_GetPoint", INT, HANDLE, HANDLE, HANDLE)
        self._kind = direct.function("FPDFPathSegment_GetType", INT, HANDLE)
        self._closes = direct.function("FPDFPathSegment_GetClose", INT, HANDLE)
        self._mode = direct.function("FPDFPath_GetDrawMode", INT, HANDLE, HANDLE, HANDLE)
        self._fill = direct.function("FPDFPageObj_GetFillColor", INT, HANDLE, HANDLE, HANDLE, HANDLE, HANDLE)
        self._matrix = direct.function("FPDFPageObj_GetMatrix", INT, HANDLE, HANDLE)
        self._floats, self._numbers = (ctypes.c_float * 6)(), (ctypes.c_uint * 4)()
        self._float_place = ctypes.addressof(self._floats)
        self._number_places = _places(self._numbers)

    def matrix(self, item: int) -> Matrix:
        self._matrix(item, self._float_place)
        a, b, c, d, e, f = self._floats
        return a, b, c, d, e, f

    def are_seen(self, items: Sequence[int]) -> Iterator[bool]:
        """Whether each path is drawn, or filled with a color that is not white."""
        modes = (ctypes.c_int * (2 * len(items)))()
        places = _places(modes)
        deque(map(self._mode, items, places[::2], places[1::2]), maxlen=0)
        for item, fill, stroke in zip(items, modes[::2], modes[1::2], strict=True):
            yield bool(stroke) or (bool(fill) and self._is_colored(item))

    def _is_colored(self, item: int) -> bool:
        self._fill(item, *self._number_places)
        return min(self._numbers[:3]) < WHITE_LEVEL

    def segments(self, paths: Sequence[tuple[int, int]]) -> Iterator[Segment]:
        """The segments of paths, one path after the other; of each path, how many it has."""
        found = [segment for item, count in paths for segment in map(self._segment, repeat(item), range(count))]
        points = (ctypes.c_float * (2 * len(found)))()
        places = _places(points)
        deque(map(self._point, found, places[::2], places[1::2]), maxlen=0)
        return zip(points[::2], points[1::2], map(self._kind, found), map(self._closes, found), strict=True)


def _places(numbers: Any) -> range:
    """The address of each of the numbers, which have four bytes."""
    first = ctypes.addressof(numbers)
    return range(first, first + ctypes.sizeof(numbers), 4)


def _times(one: Matrix, other: Matrix) -> Matrix:
    """First `one`, then `other`."""
    a, b, c, d, e, f = one
    g, h, i, j, k, m = other
    return a * g + b * i, a * h + b * j, c * g + d * i, c * h + d * j, e * g + f * i + k, e * h + f * j + m


def _placed(matrix: Matrix, x: float, y: float) -> Point:
    a, b, c, d, e, f = matrix
    return a * x + c * y + e, b * x + d * y + f


def _merged(lines: list[Ruling]) -> list[Ruling]:
    """Parts of the same line taken together, and both edges of a thick one."""
    found: list[Ruling] = []
    open_: list[Ruling] = []
    for line in sorted(lines, key=lambda one: (one.at, one.start)):
        open_ = [one for one in open_ if line.at - one.at <= NEAR_POINTS]
        same = next(
            (one for one in open_ if line.start <= one.end + NEAR_POINTS and one.start <= line.end + NEAR_POINTS), None
        )
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
    return (
        other.start - NEAR_POINTS <= one.at <= other.end + NEAR_POINTS
        and one.start - NEAR_POINTS <= other.at <= one.end + NEAR_POINTS
    )


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
        alike.setdefault(tuple(round(x / NEAR_POINTS / 2) for x in grid.xs), []).append(grid)
    result = []
    for same in alike.values():
        same.sort(key=lambda grid: -grid.ys[0])
        heights = [grid.ys[0] - grid.ys[-1] for grid in same]
        near = all(one.ys[-1] - other.ys[0] <= BAND_DISTANCE * max(heights) for one, other in pairwise(same))
        if len(same) > 1 and same[0].has_columns and near and all(grid.size[0] == 1 for grid in same):
            ys = sorted(_edges([y for grid in same for y in grid.ys]), reverse=True)
            places = [(row, column) for row in range(len(ys) - 1) for column in range(same[0].size[1])]
            result.append(Grid(same[0].xs, ys, {place: place for place in places}, is_banded=True))
        else:
            result += same
    return result


def _edges(places: Sequence[float]) -> list[float]:
    found: list[float] = []
    for place in sorted(places):
        if not found or place - found[-1] > NEAR_POINTS:
            found.append(place)
    return found


def _owners(
    xs: list[float], ys: list[float], level: Sequence[Ruling], upright: Sequence[Ruling]
) -> dict[tuple[int, int], tuple[int, int]]:
    """Places that no line parts are one cell: of the upper left one."""
    owner: dict[tuple[int, int], tuple[int, int]] = {}
    for row in range(len(ys) - 1):
        middle = (ys[row] + ys[row + 1]) / 2
        above = [line for line in level if abs(line.at - ys[row]) <= NEAR_POINTS]
        across = [line.at for line in upright if line.start - NEAR_POINTS <= middle <= line.end + NEAR_POINTS]
        for column in range(len(xs) - 1):
            center = (xs[column] + xs[column + 1]) / 2
            if column and not _has(across, xs[column]):
                owner[row, column] = owner[row, column - 1]
            elif row and not any(line.start - NEAR_POINTS <= center <= line.end + NEAR_POINTS for line in above):
                owner[row, column] = owner[row - 1, column]
            else:
                owner[row, column] = (row, column)
    return owner


def _has(places: Sequence[float], place: float) -> bool:
    return any(abs(one - place) <= NEAR_POINTS for one in places)


def _is_inside(line: Ruling, found: Sequence[Grid]) -> bool:
    return any(
        grid.ys[-1] - NEAR_POINTS <= line.at <= grid.ys[0] + NEAR_POINTS
        and grid.xs[0] - NEAR_POINTS <= line.start
        and line.end <= grid.xs[-1] + NEAR_POINTS
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
