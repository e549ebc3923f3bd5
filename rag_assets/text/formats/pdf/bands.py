"""A page that has columns in some bands of its height only, or others in each, is parted into those bands.

The gaps between columns are followed from the top down, as long as no run of text crosses them, since bands of a page
seldom have white space between them that an X-Y cut could be made along. The sweep is our own, after no paper.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from operator import itemgetter
from statistics import median

from rag_assets.text.formats.pdf.glyphs import TextRun
from rag_assets.text.formats.pdf.lines import Inset
from rag_assets.text.formats.pdf.prose import is_gutter, is_prose

GUTTER_WIDTH = 0.7  # of the usual height of a line: narrower than that no space between columns is
MOST_BESIDE = 12  # runs on one line, that are looked for
LEAST_RUNS = 8  # runs of a band that has a gutter
MOVED_LINES = 3  # of a heading under columns, that heads what is below them
TITLE_DISTANCE = 1.5  # times the usual size is what stands over columns away from them
HEAD_SPACE = 0.4  # times its size, above a heading that ends all columns
TITLE_SIZE = 1.15  # times the usual size: a title over columns

Span = tuple[float, float]


@dataclass(slots=True)
class Band:
    """Runs below each other, and the upright gaps that none of them reaches into."""

    gaps: Sequence[Span]
    runs: list[TextRun] = field(default_factory=list)
    gutters: list[float] = field(default_factory=list)  # the gaps that part columns of prose
    is_apart: bool = False  # what is below columns, and in none


def split_into_bands(runs: Sequence[TextRun]) -> list[Band]:
    """Bands with columns, and what is between them; a single one where there is nothing to part."""
    found = _by_gaps(runs)
    for band in found:
        band.gutters = [x for x in ((left + right) / 2 for left, right in band.gaps) if is_gutter(band.runs, x)]
    grown = _grown(_grown(found, _upper)[::-1], _lower)[::-1]
    found = [Band([]), *_merged([part for band in grown for part in _cut(band)])]
    for above, below in pairwise(found):
        if above.gutters:
            _move_down(above, below)
            below.is_apart |= not below.gutters and _is_heading(max(below.runs, key=lambda one: one.top), above)
        elif below.gutters:
            _move_up(above, below)
    return [band for band in found if band.runs]


def _grown(found: Sequence[Band], near: Callable[[Sequence[TextRun], list[TextRun]], list[TextRun]]) -> list[Band]:
    """What keeps clear of the gutters of the band before it, up to the first line that does not, belongs to it.

    So do the columns of a smaller band: there, a few lines stand beside each other by chance.
    """
    grown: list[Band] = []
    for band in found:
        last = grown[-1] if grown else Band([])
        if last.gutters and (not band.gutters or len(band.runs) < len(last.runs)):
            crossing = [run for run in band.runs if any(run.left < x < run.right for x in last.gutters)]
            mine = near(band.runs, crossing)
            taken = set(map(id, mine))
            last.runs += mine
            band.runs = [run for run in band.runs if id(run) not in taken]
            band.gutters = [] if mine else band.gutters
        if band.runs:
            grown.append(band)
    return grown


def _upper(runs: Sequence[TextRun], crossing: list[TextRun]) -> list[TextRun]:
    edge = max((run.top for run in crossing), default=-inf)
    return [run for run in runs if run.middle > edge]


def _lower(runs: Sequence[TextRun], crossing: list[TextRun]) -> list[TextRun]:
    edge = min((run.bottom for run in crossing), default=inf)
    return [run for run in runs if run.middle < edge]


def _cut(band: Band) -> list[Band]:
    """Parted at a heading with nothing beside it, where what is below it is on both sides but in no columns."""
    if not band.gutters:
        return [band]
    x = band.gutters[0]
    usual = median(run.size for run in band.runs)
    heads = [run for run in band.runs if run.size > TITLE_SIZE * usual and run.right < x]
    for head in sorted(heads, key=lambda run: -run.top):
        above = [run for run in band.runs if run.bottom >= head.top + HEAD_SPACE * head.size]
        below = [run for run in band.runs if run.middle < head.bottom]
        if len(above) + len(below) + 1 < len(band.runs):
            continue
        left, right = (
            [run for run in below if run.middle_x < x],
            [run for run in below if run.middle_x >= x],
        )
        if (
            left
            and right
            and not is_prose(left)
            and not is_prose(right)
            and all(is_gutter(above, x) for x in band.gutters)
        ):
            return [Band(band.gaps, above, band.gutters), Band([], [head, *below], is_apart=True)]
    return [band]


def _merged(found: Sequence[Band]) -> list[Band]:
    """Those that follow each other with the same columns, or without any, as one."""
    merged: list[Band] = []
    for band in found:
        last = merged[-1] if merged else Band([])
        shared = _shared(last, band)
        if merged and len(last.gutters) == len(band.gutters) == len(shared):
            last.runs += band.runs
            last.is_apart |= band.is_apart
            last.gaps, last.gutters = shared, [(left + right) / 2 for left, right in shared]
        else:
            merged.append(band)
    return merged


def _shared(above: Band, below: Band) -> list[Span]:
    """What of the gutters of one band is a gutter in the other one, too."""
    parts = [
        (max(one[0], other[0]), min(one[1], other[1]))
        for one in above.gaps if any(one[0] < x < one[1] for x in above.gutters)
        for other in below.gaps if any(other[0] < x < other[1] for x in below.gutters)
    ]  # fmt: skip
    return [(left, right) for left, right in parts if left < right]


def _by_gaps(runs: Sequence[TextRun]) -> list[Band]:
    """As high as a gap goes through with runs on both sides of it, and all gutters do; else of one line."""
    least = GUTTER_WIDTH * median(run.height for run in runs)
    page = min(run.left for run in runs), max(run.right for run in runs)
    found = [Band([page])]
    parted, box = False, (inf, -inf, inf)  # whether it has such a gap; its left, right and lower edge
    for run in sorted(runs, key=lambda run: -run.top):
        band, (left, right, bottom) = found[-1], box
        gaps, gone = _without(band.gaps, run, least)
        left, right, bottom = min(left, run.left), max(right, run.right), min(bottom, run.bottom)
        between = _has_between(gaps, left, right)
        ends = not between and (parted or run.top <= box[2])
        if band.runs and (ends or _close_gutter(band, gone)):
            line = [*_beside(run, band), run]
            band, gaps = Band([]), [page]
            for one in line:
                gaps, _ = _without(gaps, one, least)
            left, right = min(one.left for one in line), max(one.right for one in line)
            bottom, between = min(one.bottom for one in line), False
            band.runs = line[:-1]
            found.append(band)
        band.gaps, parted, box = gaps, between, (left, right, bottom)
        band.runs.append(run)
    return [band for band in found if band.runs]


def _has_between(gaps: Sequence[Span], left: float, right: float) -> bool:
    """Whether a gap lies within a span; they stand side by side, so that the first one that may decides."""
    first = bisect_right(gaps, left, key=_start)
    return first < len(gaps) and gaps[first][1] < right


def _beside(run: TextRun, band: Band) -> list[TextRun]:
    """What was taken for the end of a band, but stands on the line that begins another one."""
    beside = [one for one in band.runs[-MOST_BESIDE:] if abs(one.middle - run.middle) < run.height / 2]
    taken = set(map(id, beside))
    band.runs = [one for one in band.runs if id(one) not in taken]
    return beside


def _close_gutter(band: Band, gone: Sequence[Span]) -> bool:
    """Whether one of a band's gaps that is gone is a gutter."""
    if len(band.runs) < LEAST_RUNS:
        return False
    return any(is_gutter(band.runs, (left + right) / 2) for left, right in gone)


def _without(gaps: Sequence[Span], run: TextRun, least: float) -> tuple[Sequence[Span], list[Span]]:
    """What a run leaves of gaps that stand side by side from the left, and those of which nothing is left."""
    first = bisect_right(gaps, run.left, key=_end)
    end = bisect_left(gaps, run.right, key=_start)
    if first >= end:
        return gaps, []
    kept, gone = list[Span](), list[Span]()
    for left, right in gaps[first:end]:
        parts = [(left, min(right, run.left)), (max(left, run.right), right)]
        wide = [part for part in parts if part[1] - part[0] > least]
        kept += wide
        gone += [] if wide else [(left, right)]
    return [*gaps[:first], *kept, *gaps[end:]], gone


_start, _end = itemgetter(0), itemgetter(1)


def _move_down(above: Band, below: Band) -> None:
    """A heading that stands under all columns, nearer to what is below them than to its own."""
    for _ in range(MOVED_LINES):
        last = min(above.runs, key=lambda run: run.bottom)
        over = [run for run in above.runs if run is not last]
        column = [run for run in over if run.left < last.right and last.left < run.right]
        if not column or any(run.bottom < last.top for run in over) or isinstance(last, Inset):
            return
        if min(run.bottom for run in column) - last.top <= last.bottom - max(run.top for run in below.runs):
            return
        above.runs.remove(last)
        below.runs.insert(0, last)
        below.is_apart = True


def _is_heading(run: TextRun, above: Band) -> bool:
    """Whether a band below columns begins with a title that stands beside their gutters."""
    usual = median(one.size for one in above.runs)
    return run.size > TITLE_SIZE * usual and not any(run.left < x < run.right for x in above.gutters)


def _move_up(above: Band, below: Band) -> None:
    """A title over all columns, or lines that are far from them."""
    usual = median(run.size for run in below.runs)
    for _ in range(MOVED_LINES):
        first = max(below.runs, key=lambda run: run.top)
        others = [run for run in below.runs if run.middle < first.bottom]
        line = [run for run in below.runs if run.middle >= first.bottom]
        distance = min(run.bottom for run in line) - max((run.top for run in others), default=first.top)
        is_title = first.size > TITLE_SIZE * usual and len(line) == 1 and distance >= 0
        if not others or not (is_title or distance > TITLE_DISTANCE * usual):
            return
        above.runs += line
        below.runs = others
