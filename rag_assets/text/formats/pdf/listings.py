"""Makes listings of lines that are set in letters of one width, with the indentation that a reader sees."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from rag_assets.text.formats.pdf.glyphs import BROKEN, TextRun
from rag_assets.text.formats.pdf.lines import Item, Listing, TextLine

FIXED_WIDTH_SHARE = 0.5  # of a document's characters: with more of them in such letters, it is typewritten, not code
LEAST_LINES = 2  # at least, of a listing
EMPTY_LINE = 1.7  # times the usual distance: a line is left out there
MOST_EMPTY = 3  # lines, of those that a page leaves out at once
MOST_COLUMNS = 200  # of indentation


def is_typed(runs: Sequence[TextRun]) -> bool:
    """Whether most of a document is set in letters of one width."""
    fixed = sum(len(run.text) for run in runs if run.fixed)
    return fixed > FIXED_WIDTH_SHARE * sum(len(run.text) for run in runs)


def with_listings(items: Sequence[Item]) -> list[Item]:
    """Neighbouring lines in such letters as one listing."""
    found: list[Item] = []
    rows: list[TextLine] = []
    for item in items:
        is_code = isinstance(item, TextLine) and not item.is_inset and item.fixed and item.runs[0].upright
        if is_code and isinstance(item, TextLine) and (not rows or rows[-1].middle > item.middle):
            rows.append(item)
            continue
        found += _listed(rows)
        rows = []
        if is_code and isinstance(item, TextLine):
            rows.append(item)
        else:
            found.append(item)
    return [*found, *_listed(rows)]


def _listed(rows: list[TextLine]) -> Sequence[Item]:
    if len(rows) < LEAST_LINES:
        return rows
    return [Listing(list(_lines(rows)))]


def _lines(rows: Sequence[TextLine]) -> Iterator[str]:
    left = min(row.left for row in rows)
    widths = [(run.right - run.left) / len(run.text) for row in rows for run in row.runs if run.text]
    width = max(median(widths), 0.1)
    distances = [one.middle - other.middle for one, other in pairwise(rows)]
    usual = max(median(distances), 0.1)
    for row, distance in zip(rows, [usual, *distances], strict=True):
        if distance > EMPTY_LINE * usual:
            yield from [""] * min(round(distance / usual) - 1, MOST_EMPTY)
        yield _spaced(row, left, width)


def _spaced(row: TextLine, left: float, width: float) -> str:
    """Each run at its column."""
    line = ""
    for run in row.runs:
        column = min(round((run.left - left) / width), MOST_COLUMNS)
        line += " " * max(column - len(line), 1 if line else 0) + run.text.replace(BROKEN, "-")
    return line
