"""Finds the headers, footers and page numbers that run through the pages of a PDF, and keeps each of them once.

Lines at the same edge of many pages are compared without their digits, which must count with the pages: page
association (Lin, "Header and Footer Extraction by Page-Association", 2003).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from rag_assets.text.formats.pdf.glyphs import TextRun
from rag_assets.text.formats.pdf.lines import TextLine, group_lines
from rag_assets.text.formats.pdf.rulings import Grid
from rag_assets.text.formats.pdf.stream_tables import ALIGNED_POINTS

EDGE_LINES = 3  # at the top and the bottom of a page, that may run
RUNNING_SHARE = 0.4  # of the pages that a running line is on: left and right pages may have their own
RUNNING_PAGES = 3
STEADY_SHARE = 0.6  # of the steps from one page to the next: a number stays, or counts pages
BLANK_LINES = 2  # a page with no more than them may consist of running lines
HEAD_RUNS, BELOW_HEAD = 3, 2  # of a table's head, at least; lines below it that are looked at
TITLE_SIZE = 1.4  # times the usual size: with a number that counts, a chapter's title, not a header

_DIGITS = re.compile(r"\d+")

Key = str


@dataclass(slots=True)
class Parted:
    """A page's own runs; the running lines above that no page before it has, those below that no later one has."""

    runs: Sequence[TextRun]
    above: list[TextLine] = field(default_factory=list)
    below: list[TextLine] = field(default_factory=list)


def part(pages: Sequence[Sequence[TextRun]], grids: Sequence[Sequence[Grid]]) -> Iterator[Parted]:
    """Each page without its running lines. Each such line is kept once, so that none is lost.

    Above a page it stays where it is seen first; below, where it is seen last: there it parts no sentence from its end.
    """
    if len(pages) < RUNNING_PAGES:
        yield from map(Parted, pages)
        return
    pages = _without_turned(pages)
    lines = [group_lines([run for run in page if run.upright]) for page in pages]
    edges = [_edges(page, drawn) for page, drawn in zip(lines, grids, strict=True)]
    running = _running(edges, usual=median([row.height for page in lines for row in page] or [0.0]))
    parted = [_parted(page, edges[at], running, count=len(lines[at])) for at, page in enumerate(pages)]
    seen: set[Key] = set()
    for page in parted:
        page.above = _fresh(page.above, seen)
    seen_below: set[Key] = set()
    for page in reversed(parted):
        page.below = [row for row in _fresh(page.below, seen_below) if _key(row) not in seen]
    yield from parted


def _without_turned(pages: Sequence[Sequence[TextRun]]) -> list[list[TextRun]]:
    """Marks up a margin stay where they are seen first."""
    counts = Counter(text for page in pages for text in {run.text for run in page if not run.upright})
    least = max(RUNNING_PAGES, RUNNING_SHARE * len(pages))
    seen: set[str] = set()
    found = []
    for page in pages:
        running = {run.text for run in page if not run.upright and counts[run.text] >= least}
        found.append([run for run in page if run.upright or run.text not in running & seen])
        seen |= running
    return found


def _edges(lines: Sequence[TextLine], grids: Sequence[Grid]) -> tuple[list[TextLine], list[TextLine]]:
    """From the outside in; the head of a table that goes on is no header of a page."""
    top = lines[:EDGE_LINES]
    bottom = lines[len(top) :][: -EDGE_LINES - 1 : -1]
    head = next((at for at in range(len(top)) if _is_head(lines[at], lines[at + 1 : at + 1 + BELOW_HEAD])), len(top))
    return _free(top[:head], grids), _free(bottom, grids)


def _is_head(row: TextLine, below: Sequence[TextLine]) -> bool:
    """Whether all runs of a line, three at least, begin or end where others do right below it."""
    others = [run for line in below for run in line.runs]
    return len(row.runs) >= HEAD_RUNS and all(
        any(
            abs(run.left - other.left) < ALIGNED_POINTS or abs(run.right - other.right) < ALIGNED_POINTS
            for other in others
        )
        for run in row.runs
    )


def _free(lines: Sequence[TextLine], grids: Sequence[Grid]) -> list[TextLine]:
    found = []
    for row in lines:
        if any(grid.has_columns and grid.has(row.runs[0].middle_x, row.middle) for grid in grids):
            break
        found.append(row)
    return found


def _running(edges: Sequence[tuple[list[TextLine], list[TextLine]]], *, usual: float) -> frozenset[Key]:
    numbers: dict[Key, dict[int, list[int]]] = defaultdict(dict)
    large: set[Key] = set()
    for page, (top, bottom) in enumerate(edges):
        large |= {_key(row) for row in top if row.height > TITLE_SIZE * usual}
        for row in (*top, *bottom):
            numbers[_key(row)].setdefault(page, _numbers(row))
    least = max(RUNNING_PAGES, RUNNING_SHARE * len(edges))
    return frozenset(
        key
        for key, found in numbers.items()
        if len(found) >= least and _are_steady(found) and not (key in large and _counts(found))
    )


def _counts(found: dict[int, list[int]]) -> bool:
    """Whether its numbers are not the same on all pages."""
    return len(set(map(tuple, found.values()))) > 1


def _key(row: TextLine) -> Key:
    return _DIGITS.sub("#", "".join(row.text.split()).casefold())


def _numbers(row: TextLine) -> list[int]:
    return [int(digits[-9:]) for digits in _DIGITS.findall(row.text)]


def _are_steady(found: dict[int, list[int]]) -> bool:
    """Whether each number of a line stays the same or goes on with the pages; others are what the line says."""
    for place in zip(*found.values(), strict=False):
        steps = [
            (other - one) in (0, page - before)
            for (before, one), (page, other) in pairwise(zip(found, place, strict=True))
        ]
        if sum(steps) < STEADY_SHARE * len(steps):
            return False
    return True


def _parted(
    runs: Sequence[TextRun], edges: tuple[list[TextLine], list[TextLine]], running: frozenset[Key], *, count: int
) -> Parted:
    above, below = (_run(side, running) for side in edges)
    if len(above) + len(below) == count > BLANK_LINES:
        return Parted(runs)  # the same page again: it is one all the same
    dropped = {id(run) for row in (*above, *below) for run in row.runs}
    return Parted([run for run in runs if id(run) not in dropped], above, below[::-1])


def _fresh(rows: Sequence[TextLine], seen: set[Key]) -> list[TextLine]:
    """Those that are not among `seen`, which they are added to."""
    found = [row for row in rows if _key(row) not in seen]
    seen |= {_key(row) for row in found}
    return found


def _run(side: Sequence[TextLine], running: frozenset[Key]) -> list[TextLine]:
    """The outermost lines up to the first that does not run."""
    end = next((at for at, row in enumerate(side) if _key(row) not in running), len(side))
    return list(side[:end])
