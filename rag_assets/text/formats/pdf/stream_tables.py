"""Finds tables that have no drawn lines: lines of text whose runs stand below each other.

What Tabula and Camelot call "stream": columns are the upright gaps that no line of the table crosses.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from operator import itemgetter
from statistics import median

from rag_assets.text.formats.pdf.glyphs import BROKEN, TextRun
from rag_assets.text.formats.pdf.lines import Item, Table, TextLine, is_right_to_left
from rag_assets.text.formats.pdf.wrapped_rows import LEAST_ROW_LEADING, MOST_CELL_LEADING, leading_lines, rows_of_lines

LABEL = re.compile(
    r"[•◦▪‣●○■□–\-*·\uf0b7\uf0a7]|\(?(?:\d{1,3}|[a-zA-Z]|[ivxlcIVXLC]{1,5})[.)]|\d{1,3}:|\[\d{1,3}\]|\d{1,2}(?:\.\d{1,2}){1,4}\.?"
)
BULLET = re.compile(r"[•◦▪‣●○■□\uf0b7\uf0a7]")
LEADER = re.compile(r"(?:\.[ .]?){5}")
LABEL_GAP = 3.0  # times the height of the text
NUMBER = re.compile(r"[-+(]?[$€£]?\s?\d[\d.,\s]*[%)]?|[-–—]|n/?a", re.I)
FORMULA_NUMBER = re.compile(r"\([A-Z]?\.?\d{1,3}(?:\.\d{1,3})*[a-z]?\)")
SECTION = re.compile(r"(?:\d{1,2}|[A-Z]|[IVX]{1,5})(?:\.\d{1,2})*\.?")
RELATION, DECIMAL = re.compile("[=≈≡∈→←∼≃∝⊂⊆]"), re.compile(r"\d[.,]\d")  # tables have < and >, of probabilities
FORMULA_WORD = re.compile(r"[^\W\d_]{4,}")  # longer than the letters, the units and most functions of formulas
FUNCTIONS = frozenset(
    "sinh cosh tanh sign rank diag trace limsup liminf argmax argmin softmax sigmoid otherwise that with where".split()  # noqa: SIM905
)
MOST_TABLE_LINES, MOST_ATTEMPT_LINES = 200, 60  # lines of a table on a page; lines of an attempt
COLUMN_GAP = 0.3  # of a font's size: what no text of a table crosses parts columns
COLUMN_GAP_LINES = 3  # at least, for two numbers that are near each other to be two cells
COLLISION_SHARE = 0.2  # of the runs may share a cell
LINE_END_HYPHENS = (BROKEN, "\u2010")  # at the end of a line: what stands within one is typed as another character
PROSE_LINES, PROSE_CHARACTERS, PROSE_WIDTH = 3, 25, 0.8  # of the longest line has the middle one in prose
WORD_SPACE = 0.5  # of a font's size: nearer to each other are words, not cells
HEADING_SIZE = 1.15  # times the size of a table's first line: a heading
ALIGNED_POINTS = 1.0  # points: runs whose left edges differ by less stand below each other
HEAD_DISTANCE = 2.0  # times its height: a line further above a table is not its head
WRAPPED_CHARACTERS = 15  # characters at least, of a cell that goes on below beside others that do
FULL_ROW_SHARE = 0.5  # of a row's columns: a line that fills more begins a row of its own


def tables(lines: list[TextLine]) -> list[Item]:
    """Lines and the tables among them, found without drawn lines.

    From each line of several runs on, rows of cells of several lines are looked for first, by their distances; then
    lines whose runs stand in columns, as far as those go.
    """
    for line in lines:
        line.runs = _labelled(_whole(line.runs))
    items: list[Item] = []
    at = 0
    while at < len(lines):
        table, end = _wrapped_table(lines[at : at + MOST_TABLE_LINES]) if _is_split(lines[at]) else (None, 0)
        if table:
            items.append(table)
            at += end
            continue
        end = _end_of_run(lines, at) if _is_split(lines[at]) else at + 1
        found = _table(lines[at:end]) if end - at > 1 else []
        head = _head(items[-1], lines[at:end], found[0]) if found and items else []
        if head:
            items.pop()
            found = _headed(found, head)
        # Of a long run that is no table, half is given up, lest each of its lines is the start of another attempt.
        after = end if found else at + 1 + (end - at) // MOST_ATTEMPT_LINES * (MOST_ATTEMPT_LINES // 2)
        items += found or lines[at:after]
        at = after
    return items


def _wrapped_table(lines: Sequence[TextLine]) -> tuple[Table | None, int]:
    """A table of wrapped cells that begins with the first of these lines, and how many of them it takes."""
    end, columns = leading_lines(lines)
    groups = rows_of_lines(lines[:end], columns) if len(columns) > 1 else []
    if not groups:
        return None, 0
    runs = [[run for line in group for run in line.runs] for group in groups]
    rows = [
        [joined(run.text for run in row if left <= run.middle_x < right) for left, right in columns] for row in runs
    ]
    return Table(directed(rows)), end


def _headed(found: list[Item], head: list[str]) -> list[Item]:
    first, *others = found
    return [Table([head, *first.rows]), *others] if isinstance(first, Table) else found


def _head(above: Item, lines: Sequence[TextLine], table: Item) -> list[str]:
    """The cells of a line right above a table, whose words stand over its columns but too near for cells."""
    if not isinstance(above, TextLine) or not isinstance(table, Table) or len(above.runs) > 1:
        return []
    if _is_heading(above, lines[0]):
        return []
    if not 0 < above.middle - lines[0].middle < HEAD_DISTANCE * above.height or is_right_to_left(above.text):
        return []
    columns = column_spans([line for line in _cut(lines) if _is_split(line)])
    if len(columns) != len(table.rows[0]) or above.left > columns[0][1] or above.right < columns[-1][0]:
        return []
    places = [(one[1] + other[0]) / 2 for one, other in pairwise(columns)]
    cells = [part.text for part in above.runs[0].cut(places)]
    return next((parts for parts in (cells, above.text.split()) if len(parts) == len(columns)), [])


def _is_split(line: TextLine) -> bool:
    """Into cells; an entry of a table of contents is a line."""
    return len(line.runs) > 2 or (len(line.runs) == 2 and not LEADER.search(line.text))


def _whole(runs: list[TextRun]) -> list[TextRun]:
    """Runs with no more than a space between them are one: an index or a raised number came between."""
    found = runs[:1]
    for run in runs[1:]:
        last = found[-1]
        runs_left = run.right <= last.left
        gap = last.left - run.right if runs_left else run.left - last.right
        are_numbers = last.text[-1:].isdigit() and run.text[:1].isdigit()
        is_near = 0 <= gap < WORD_SPACE * max(last.size, run.size) and not are_numbers
        if is_near or not run.text.strip(". "):  # a dot of those that lead to a page's number
            space = (len(last.text) + 1, last.right, run.left)
            later = [(at + space[0], left, right) for at, left, right in run.spaces]
            found[-1] = replace(
                max(last, run, key=lambda one: len(one.text)),
                text=f"{last.text} {run.text}", left=min(last.left, run.left), right=max(last.right, run.right),
                spaces=[] if runs_left else [*last.spaces, space, *later],
                bold=last.bold and run.bold, bold_start=last.bold_start,
            )  # fmt: skip
        else:
            found.append(run)
    return found


def _labelled(runs: list[TextRun]) -> list[TextRun]:
    """The mark or number of an entry is no cell: it belongs to what follows."""
    if len(runs) < 2 or not LABEL.fullmatch(runs[0].text):
        return runs
    label, text = runs[:2]
    if not 0 <= text.left - label.right < LABEL_GAP * text.height:
        return runs
    return [replace(text, text=f"{label.text} {text.text}", left=label.left, spaces=[]), *runs[2:]]


def _end_of_run(lines: Sequence[TextLine], start: int) -> int:
    """After the last of the lines from here on that have several runs, or go on below one that is not the first.

    One other line is allowed between them.
    """
    end = start
    last = fullest = lines[start]
    for at in range(start, min(len(lines), start + MOST_TABLE_LINES)):
        if at > start and lines[at - 1].middle - lines[at].middle > 4 * lines[at].height:
            break
        if lines[at].is_inset or _is_heading(lines[at], lines[start]):
            break
        if _is_split(lines[at]):
            end, last = at + 1, lines[at]
            fullest = max(fullest, last, key=lambda line: len(line.runs))
        elif _is_below(lines[at], last) or _goes_on_below(lines[at], last):
            end = at + 1
        elif at - end >= 1:
            break
    return end + _rest_of_cells(lines[end : start + MOST_TABLE_LINES], fullest, last=lines[end - 1])


def _rest_of_cells(lines: Sequence[TextLine], fullest: TextLine, *, last: TextLine) -> int:
    """How many lines are the rest of a cell that is longer than those beside it."""
    for at, line in enumerate(lines):
        if len(line.runs) > 1 or line.is_inset or not _goes_on_below(line, fullest):
            return at
        if not 0 < last.middle - line.middle < MOST_CELL_LEADING * line.height:
            return at
        last = line
    return len(lines)


def _goes_on_below(line: TextLine, above: TextLine) -> bool:
    """Whether a line stands below a cell; with two of them, the first may be a note in the margin of running text."""
    return len(above.runs) > 2 and any(abs(line.left - run.left) < ALIGNED_POINTS for run in above.runs[1:])


def _is_below(line: TextLine, above: TextLine) -> bool:
    """Whether the wide spaces of a line are the gaps of the one above: its cells are filled to the brim.

    The space after the mark of a list is none of them.
    """
    if BULLET.match(line.text):
        return False
    spaces = [space for run in line.runs for space in run.spaces]
    gaps = [(one.right, other.left) for one, other in pairwise(above.runs)]
    most = sum(len(run.spaces) + 1 for run in above.runs)
    return len(gaps) <= len(spaces) <= most and all(
        any(left < gap_right and gap_left < right for _, left, right in spaces) for gap_left, gap_right in gaps
    )


def _is_heading(line: TextLine, first: TextLine) -> bool:
    """Whether a line is large, and one run, but for the number of a section before it; that of a bold one will do."""
    if len(line.runs) > 2:
        return False
    is_numbered = len(line.runs) == 2 and bool(SECTION.fullmatch(line.runs[0].text))
    is_large = line.height > HEADING_SIZE * first.height
    return (len(line.runs) == 1 and is_large) or (is_numbered and (is_large or (line.bold and not first.bold)))


def _table(lines: Sequence[TextLine]) -> list[Item]:
    """A table; the lines of columns of prose beside each other, one column after the other; nothing, if neither."""
    several = [line for line in lines if _is_split(line)]
    if len(several) > 1 and all(BULLET.match(run.text) for line in lines for run in line.runs):
        return list(_beside(lines, column_spans(several)))  # lists beside each other
    if len(several) < 2 or (len(several) == 2 and len(several[0].runs) < 3):
        return []
    if _are_numbered_formulas(several) or _is_formula(lines):
        return []
    return _tabled(_cut(lines)) or _tabled(lines)


def _are_numbered_formulas(lines: Sequence[TextLine]) -> bool:
    """Whether most lines have a sign of equality, and one ends in the number of a formula."""
    equal = sum("=" in line.text for line in lines)
    return 2 * equal > len(lines) and any(FORMULA_NUMBER.fullmatch(line.runs[-1].text) for line in lines)


def _is_formula(lines: Sequence[TextLine]) -> bool:
    """Whether there is a sign of equality among letters and whole numbers, and no word: a matrix, a fraction."""
    texts = [run.text for line in lines for run in line.runs]
    words = {word.casefold() for text in texts for word in FORMULA_WORD.findall(text)}
    return words <= FUNCTIONS and any(map(RELATION.search, texts)) and not any(map(DECIMAL.search, texts))


def _cut(lines: Sequence[TextLine]) -> list[TextLine]:
    """Lines with their runs cut where a space goes through all of them."""
    edges = column_gaps(lines, lines=COLUMN_GAP_LINES)
    return [TextLine([part for run in line.runs for part in run.cut(edges)], line.new_region) for line in lines]


def _tabled(lines: Sequence[TextLine]) -> list[Item]:
    several = [line for line in lines if _is_split(line)]
    columns = column_spans(several)
    if len(columns) < 2:
        return []
    placed = [cells_of(line, columns) for line in lines]
    collisions = sum(len(line.runs) - sum(map(bool, cells)) for line, cells in zip(lines, placed, strict=True))
    if collisions > COLLISION_SHARE * sum(len(line.runs) for line in lines):
        return []
    if not collisions and all(map(_is_prose, zip(*placed, strict=True))):
        return list(_beside(lines, columns))
    return [Table(directed(_joined_rows(lines, placed)))]


def _beside(lines: Sequence[TextLine], columns: Sequence[tuple[float, float]]) -> Iterator[TextLine]:
    """The lines of each column, one column after the other."""
    placed = [(place(run, columns), at, run) for at, line in enumerate(lines) for run in line.runs]
    for _, at, run in sorted(placed, key=lambda one: one[:2]):
        yield TextLine([run], new_region=at == 0)


def column_gaps(rows: Sequence[TextLine], *, lines: int) -> list[float]:
    """The middles of the upright strips that no text crosses, in rows of several parts; `lines` have text beside."""
    parts = [[span for run in row.runs for span in run.spans()] for row in rows]
    parts = [spans for spans in parts if len(spans) > 1]
    if len(parts) < lines:
        return []
    least = COLUMN_GAP * median(row.height for row in rows)
    found, reach = [], float("inf")
    for left, right in sorted(span for spans in parts for span in spans):
        if left - reach > least:
            found.append((left + reach) / 2)
        reach = max(right, reach) if reach < float("inf") else right
    return [x for x in found if sum(min(spans)[0] < x < max(spans)[1] for spans in parts) >= lines]


def directed(rows: list[list[str]]) -> list[list[str]]:
    """The first column first: it is the right one where text runs to the left."""
    if is_right_to_left("".join(cell for row in rows for cell in row)):
        return [row[::-1] for row in rows]
    return rows


def _is_prose(column: Sequence[str]) -> bool:
    """Whether these are lines of running text: long, and as long as the column is wide."""
    lengths = sorted(len(cell) for cell in column if cell)
    if len(lengths) < PROSE_LINES or any(NUMBER.fullmatch(cell) for cell in column):
        return False
    middle = lengths[len(lengths) // 2]
    return middle >= PROSE_CHARACTERS and middle >= PROSE_WIDTH * lengths[-1]


def _joined_rows(lines: Sequence[TextLine], cells: list[list[str]]) -> list[list[str]]:
    """Lines that stand closer than others are one row, when that gives no cell two numbers."""
    gaps = [one.middle - other.middle for one, other in pairwise(lines)]
    least, most = min(gaps), max(gaps)
    size = max(line.height for line in lines)
    if least > MOST_CELL_LEADING * size or most < LEAST_ROW_LEADING * least:
        return with_continuations(cells)
    groups: list[list[list[str]]] = [[cells[0]]]
    for gap, line in zip(gaps, cells[1:], strict=True):
        if gap < (least + most) / 2 and gap < MOST_CELL_LEADING * size:
            groups[-1].append(line)
        else:
            groups.append([line])
    if any(len(group) > 1 and not _is_row(group) for group in groups):
        return with_continuations(cells)
    return [[joined(filter(None, column)) for column in zip(*group, strict=True)] for group in groups]


def _is_row(group: Sequence[Sequence[str]]) -> bool:
    full = sum(sum(map(bool, line)) > FULL_ROW_SHARE * len(line) for line in group)
    return full <= 1 and not has_numbers_below(group)


def with_continuations(cells: Sequence[list[str]]) -> list[list[str]]:
    """A line with nothing but words that go on with cells of the line above is part of that row."""
    found: list[list[str]] = []
    for line in cells:
        filled = [at for at, cell in enumerate(line) if cell]
        if found and filled and _are_rest(found[-1], line, filled):
            for at in filled:
                found[-1][at] = joined([found[-1][at], line[at]])
        else:
            found.append(list(line))
    return [[cell.replace(BROKEN, "-") for cell in line] for line in found]


def _are_rest(row: Sequence[str], line: Sequence[str], filled: Sequence[int]) -> bool:
    """Of several cells, one must go on in the middle of a sentence, and all that they go on with must be long."""
    if not all(_goes_on(row, line[at], at) for at in filled):
        return False
    if len(filled) == 1:
        return True
    is_rest = any(line[at][0].islower() or row[at].endswith(LINE_END_HYPHENS) for at in filled)
    return filled[0] > 0 and is_rest and all(len(row[at]) >= WRAPPED_CHARACTERS for at in filled)


def _goes_on(row: Sequence[str], cell: str, at: int) -> bool:
    """In the first column, which names the row, only with a small letter or a bracket."""
    if not row[at] or NUMBER.fullmatch(cell) or NUMBER.fullmatch(row[at]):
        return False
    return at > 0 or cell[0].islower() or cell[0] == "("


def column_spans(lines: Sequence[TextLine]) -> list[tuple[float, float]]:
    """Left and right of each column: the places of the fullest lines' runs, where they overlap taken together."""
    most = max(len(line.runs) for line in lines)
    spans = sorted((p.left, p.right) for line in lines if len(line.runs) >= 0.7 * most for p in line.runs)
    found: list[tuple[float, float]] = []
    for left, right in spans:
        if found and left < found[-1][1]:
            found[-1] = (found[-1][0], max(right, found[-1][1]))
        else:
            found.append((left, right))
    return found


def cells_of(line: TextLine, columns: Sequence[tuple[float, float]]) -> list[str]:
    """The words of a line by the columns that they stand in; those of one column joined."""
    cells = [""] * len(columns)
    for run in line.runs:
        at = place(run, columns)
        cells[at] = f"{cells[at]} {run.text}".strip()
    return cells


def place(run: TextRun, columns: Sequence[tuple[float, float]]) -> int:
    """The column that most of a run is in, or that it is nearest to; `columns` stand side by side, from the left."""
    first = max(bisect_right(columns, run.left, key=_left) - 1, 0)
    end = max(bisect_left(columns, run.right, key=_left), first + 1)
    near = range(first, min(end + 1, len(columns)))
    return max(near, key=lambda n: min(run.right, columns[n][1]) - max(run.left, columns[n][0]))


_left = itemgetter(0)


def has_numbers_below(lines: Sequence[Sequence[str]]) -> bool:
    """Whether a column has a number in more than one line: no cell has two."""
    return any(sum(bool(NUMBER.fullmatch(cell)) for cell in column if cell) > 1 for column in zip(*lines, strict=True))


def joined(lines: Iterable[str]) -> str:
    """Lines of a cell as one, its broken words mended."""
    text = ""
    for line in lines:
        if text.endswith(LINE_END_HYPHENS):
            text = text[:-1] + ("" if line[:1].islower() else "-") + line
        else:
            text = f"{text} {line}" if text else line
    return text.replace(BROKEN, "-")
