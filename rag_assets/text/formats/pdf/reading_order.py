"""Puts the runs of text of a page in reading order, as lines and tables: column by column, from the top down.

The page is cut where nothing stands, level or upright, and each part again: a recursive X-Y cut (Nagy and Seth, 1984;
Ha, Haralick and Phillips, 1995). An upright gap counts only where `prose` finds running text beside it.
"""

from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from rag_assets.text.formats.pdf import margin_notes, prose, tagged_order
from rag_assets.text.formats.pdf.bands import split_into_bands
from rag_assets.text.formats.pdf.glyphs import TextRun
from rag_assets.text.formats.pdf.lattice_tables import completed, ruled
from rag_assets.text.formats.pdf.line_numbers import without_numbers
from rag_assets.text.formats.pdf.lines import Inset, Item, TextLine, along, group_lines, inset
from rag_assets.text.formats.pdf.rulings import Grid
from rag_assets.text.formats.pdf.stream_tables import tables

BIN_POINTS = 2.0  # points: how finely gutters are looked for
SPANNING_SHARE = 0.6  # of a region's width: wider ones reach across columns
CROSSING_SHARE = 0.04  # of a region's runs may lie across a gutter
MAX_DEPTH = 8
INITIAL_SIZE = 1.8  # times the size of the letters beside it
SHADOW_DISTANCE = 0.3  # of a height
FIGURE_HEIGHT = 5.0  # times the usual height of a line: a figure is there, no space between paragraphs
FAR_DISTANCE = 2.0  # times the size of a line
FRAMED_LINES = 3  # at least, for a frame to be read by itself


def arrange(runs: Sequence[TextRun], grids: Sequence[Grid] = ()) -> list[Item]:
    """Everything on a page in reading order; notes in the margin and text that is turned against the rest come last."""
    ordered = tagged_order.in_order(runs)
    for at, run in enumerate(ordered or runs):
        run.place = at
    if ordered:
        return _tagged(ordered, grids)
    insets, free = _framed(without_numbers(_once(runs), grids), grids)
    turned = [TextLine([run], new_region=True) for run in free if not run.upright]
    upright, notes = margin_notes.part(_with_initials([run for run in free if run.upright]))
    beside = [TextLine([line], new_region=at == 0) for note in notes for at, line in enumerate(note)]
    return [*_unpacked(_region([*upright, *insets], depth=0)), *beside, *turned]


def _tagged(runs: Sequence[TextRun], grids: Sequence[Grid]) -> list[Item]:
    """The lines and tables of a page in the order of its tags; where they are one column, they are read as drawn."""
    kept = without_numbers(_once(runs), grids)
    insets, free = _framed(kept, [grid for grid in grids if grid.is_closed])
    insets, free = _framed([*insets, *tagged_order.with_tables(free)], [grid for grid in grids if not grid.is_closed])
    turned = [TextLine([run], new_region=True) for run in free if not run.upright]
    upright = sorted([*insets, *_with_initials([run for run in free if run.upright])], key=lambda run: run.place)
    items = (item for column in tagged_order.columns(upright) for item in _marked(_region(column, depth=1)))
    return [*_unpacked(items), *turned]


def _unpacked(items: Iterable[Item]) -> Iterator[Item]:
    for item in items:
        if isinstance(item, TextLine) and isinstance(item.runs[0], Inset):
            yield from _unpacked(item.runs[0].items)
        else:
            yield item


def _framed(runs: Sequence[TextRun], grids: Sequence[Grid]) -> tuple[list[TextRun], list[TextRun]]:
    """Tables and frames as insets, and the runs that are in none of them."""
    free = list(runs)
    drawn = sorted(grids, key=lambda one: (one.xs[-1] - one.xs[0]) * (one.ys[0] - one.ys[-1]))
    for grid in (one for whole in drawn for one in completed(whole, free)):
        inside = [run for run in free if _is_in(run, grid)]
        if len(inside) < 2:
            continue
        items = _content(grid, inside, free)
        if items:
            taken = set(map(id, inside))
            free = [run for run in free if id(run) not in taken]
            free.append(inset(items, grid.box, place=min(run.place for run in inside)))
    return [run for run in free if isinstance(run, Inset)], [p for p in free if not isinstance(p, Inset)]


def _content(grid: Grid, inside: list[TextRun], runs: Sequence[TextRun]) -> list[Item]:
    """A table; or, in a frame that has other text beside it, what is in the frame; else nothing."""
    if not any(isinstance(run, Inset) for run in inside):
        found = ruled(grid, inside)
        if found:
            return found
    left, right, bottom, top = grid.box
    if grid.size != (1, 1) or len(inside) < FRAMED_LINES:
        return []
    if any(bottom < run.middle < top and not left <= run.middle_x <= right for run in runs):
        return list(_marked(_region(inside, depth=1)))
    return []


def _is_in(run: TextRun, grid: Grid) -> bool:
    left, right, bottom, top = grid.box
    return left <= run.middle_x <= right and bottom <= run.middle <= top


def _once(runs: Sequence[TextRun]) -> list[TextRun]:
    """Without what is printed twice at nearly the same place, to look bold or to have a shadow."""
    seen: dict[str, list[tuple[float, float]]] = {}  # left edges and middles
    kept = []
    for run in runs:
        near, left, middle = SHADOW_DISTANCE * run.height, run.left, run.middle
        same = seen.setdefault(run.text, [])
        if same and any(abs(one - left) < near and abs(other - middle) < near for one, other in same[-9:]):
            continue
        same.append((left, middle))
        kept.append(run)
    return kept


def _with_initials(runs: list[TextRun]) -> list[TextRun]:
    """Large initials, to the words that they begin."""
    initials = [run for run in runs if len(run.text) == 1 and run.text.isupper()]
    for initial in initials:
        beside = [run for run in runs if _begins(initial, run)]
        if len(beside) > 1:
            first = max(beside, key=lambda run: run.middle)
            first.text = (
                initial.text + ("" if first.text[:1].islower() or first.text[1:2].isupper() else " ") + first.text
            )
            first.left, first.spaces = initial.left, []
            runs = [run for run in runs if run is not initial]
    return runs


def _begins(initial: TextRun, run: TextRun) -> bool:
    """Whether a run of much smaller letters stands close beside an initial."""
    return (
        initial.size > INITIAL_SIZE * run.size
        and initial.bottom < run.middle < initial.top
        and abs(run.left - initial.right) < initial.size / 2
    )


# ---- columns


def _region(runs: list[TextRun], *, depth: int) -> Iterator[Item]:
    may_part = depth < MAX_DEPTH and len(runs) >= 2 * prose.COLUMN_LINES
    bands = _apart(runs) if may_part else [runs]
    has_text = may_part and len(bands) == 1 and prose.has_long_lines(runs)  # else there are no columns of it
    bands = _column_bands(runs) if has_text else bands
    if len(bands) > 1:
        for band in bands:
            yield from _marked(_region(band, depth=depth + 1))
        return
    gutter = _gutter(runs) if has_text else None
    if gutter is None:
        yield from tables(group_lines(runs))
        return
    bars, beside = _bars(runs, gutter, is_page=depth == 0)
    above = float("inf")
    for at, edge in enumerate([*(bar.middle for bar in bars), float("-inf")]):
        band = [run for run in beside if edge < run.middle <= above]
        for side in ([p for p in band if p.middle_x < gutter], [p for p in band if p.middle_x >= gutter]):
            if side:
                yield from _marked(_region(side, depth=depth + 1))
        if at < len(bars):
            bars[at].new_region = bool(band) or at == 0
            yield bars[at]
        above = edge


def _column_bands(runs: list[TextRun]) -> list[list[TextRun]]:
    """Parted where columns begin and end, unless the same gutter parts all of them."""
    parted = split_into_bands(runs)
    gutter = _gutter(runs) if len(parted) > 1 else None
    is_one = all(len(band.gutters) == 1 and _is_within(gutter, band.gaps) for band in parted if band.gutters)
    if is_one and not any(band.is_apart for band in parted):
        return [runs]
    return [band.runs for band in parted]


def _apart(runs: list[TextRun]) -> list[list[TextRun]]:
    """Parted by level bands that nothing is in, higher than the space between paragraphs."""
    least = FIGURE_HEIGHT * median(run.height for run in runs)
    bands: list[list[TextRun]] = []
    reach = float("inf")
    for run in sorted(runs, key=lambda run: -run.top):
        if reach - run.top > least or not bands:
            bands.append([])
            reach = run.bottom
        bands[-1].append(run)
        reach = min(reach, run.bottom)
    return bands


def _bars(runs: list[TextRun], gutter: float, *, is_page: bool) -> tuple[list[TextLine], list[TextRun]]:
    """Lines that run across a gutter, and the runs beside it."""
    crossing = [run for run in runs if run.left < gutter - BIN_POINTS and run.right > gutter + BIN_POINTS]
    beside = [run for run in runs if not (run.left < gutter - BIN_POINTS and run.right > gutter + BIN_POINTS)]
    bars = group_lines(crossing)
    for bar in bars:
        if not bar.is_inset:  # what stands beside a line that runs across is part of that line
            bar.runs = along([*bar.runs, *(run for run in beside if _is_level(run, bar))])
            beside = [run for run in beside if not _is_level(run, bar)]
    if is_page:
        edges = list(_over(beside, gutter))
        taken = {id(run) for row in edges for run in row.runs}
        beside = [run for run in beside if id(run) not in taken]
        bars = sorted([*bars, *edges], key=lambda bar: -bar.middle)
    return bars, beside


def _over(runs: list[TextRun], gutter: float) -> Iterator[TextLine]:
    """The first and the last line of a page that run across a gutter, far from the rest: they are of the page."""
    lines = group_lines(runs)
    for edge, inner in ((lines[:1], lines[1:2]), (lines[-1:], lines[-2:-1])):
        for row, other in zip(edge, inner, strict=False):
            lefts = {run.middle_x < gutter for run in row.runs}
            if len(lefts) == 2 and abs(row.middle - other.middle) > FAR_DISTANCE * row.height and not row.is_inset:
                yield row


def _marked(items: Iterator[Item]) -> Iterator[Item]:
    first = next(items)
    first.new_region = True
    yield first
    yield from items


def _is_level(run: TextRun, bar: TextLine) -> bool:
    return abs(run.middle - bar.middle) < 0.4 * min(run.height, bar.height)


def _gutter(runs: Sequence[TextRun]) -> float | None:
    """Where a vertical gap divides the region into two columns of prose; None: nowhere."""
    left, right = min(run.left for run in runs), max(run.right for run in runs)
    narrow = [run for run in runs if run.right - run.left < SPANNING_SHARE * (right - left)]
    if len(narrow) < 2 * prose.COLUMN_LINES:
        return None
    gaps = _gaps(narrow, left, right)
    return next((x for _, x in sorted(gaps, reverse=True) if prose.is_gutter(narrow, x)), None)


def _is_within(gutter: float | None, gaps: Sequence[tuple[float, float]]) -> bool:
    return gutter is not None and any(left - BIN_POINTS <= gutter <= right + BIN_POINTS for left, right in gaps)


def _gaps(runs: Sequence[TextRun], left: float, right: float) -> list[tuple[float, float]]:
    """(width, middle) of the vertical bands that next to nothing covers."""
    bins = int((right - left) / BIN_POINTS) + 2
    if bins > 100_000:  # a place that no page has
        return []
    steps = [0] * (bins + 1)
    for run in runs:
        steps[int((run.left - left) / BIN_POINTS)] += 1
        steps[int((run.right - left) / BIN_POINTS) + 1] -= 1
    least = median(run.height for run in runs) * 0.3
    found, covered, start = [], 0, None
    for at, step in enumerate(steps):
        covered += step
        if covered <= CROSSING_SHARE * len(runs):
            start = at if start is None else start
        elif start is not None:
            width = (at - start) * BIN_POINTS
            if start > 0 and width >= least:
                found.append((width, left + (start + at) / 2 * BIN_POINTS))
            start = None
    return found
