"""Takes out the numbers of lines in a margin, as proofs, manuscripts and contracts have them; the lines stay."""

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from rag_assets.text.formats.pdf.glyphs import BROKEN, TextRun
from rag_assets.text.formats.pdf.lines import Inset
from rag_assets.text.formats.pdf.rulings import Grid

LEAST_NUMBERS = 5  # below each other, that count each line
LEAST_NUMBERS_OF_STEPS = 3  # that count each second, fifth or tenth one
STEADY_SHARE = 0.9  # of the steps from one number to the next are the same
CONTINUED_SHARE = 0.3  # of the numbered lines go on with a sentence: those of a list or table begin one
LINE_CHARACTERS = 20  # in the middle one of them
STEPS = (1, 2, 5, 10)
EDGE_POINTS = 3.0  # points: numbers whose left or right edges differ by less stand below each other
FOREIGN_SHARE = 0.1  # times the count of the numbers is the most of other text that stands among them
LINES_APART = 3.5  # times the size of the text, at most from one numbered line to the next in the middle

_NUMBER = re.compile(r"\d{1,5}")


@dataclass(slots=True)
class _Number:
    """A number alone, or at the beginning of a run with a wide space after it."""

    value: int
    run: TextRun
    right: float
    rest: TextRun | None  # of its run


def without_numbers(runs: Sequence[TextRun], grids: Sequence[Grid] = ()) -> list[TextRun]:
    """Without the numbers of lines: they say where a line stands, and would be a column of a table or part a word."""
    taken: dict[int, TextRun | None] = {}
    ruled = [grid for grid in grids if grid.has_columns]
    numbers = [number for run in runs if (number := _number(run)) and not _is_in_table(run, ruled)]
    if len(numbers) < LEAST_NUMBERS_OF_STEPS:
        return list(runs)
    for margin in _margins(numbers):
        if not any(id(number.run) in taken for number in margin) and _is_margin(margin, runs):
            taken |= {id(number.run): number.rest for number in margin}
    kept = (taken.get(id(run), run) for run in runs)
    return [run for run in kept if run is not None]


def _is_in_table(run: TextRun, grids: Sequence[Grid]) -> bool:
    left, middle = run.left, run.middle
    return any(grid.has(left, middle) for grid in grids)


def _number(run: TextRun) -> _Number | None:
    if not run.upright or isinstance(run, Inset):
        return None
    if _NUMBER.fullmatch(run.text):
        return _Number(int(run.text), run, run.right, None)
    if not run.spaces:
        return None
    end, right, left = run.spaces[0]
    first = run.text[:end].strip()
    if not _NUMBER.fullmatch(first):
        return None
    later = [(at - end, start, stop) for at, start, stop in run.spaces[1:]]
    rest = replace(run, text=run.text[end:].strip(), left=left, spaces=later)
    return _Number(int(first), run, right, rest)


def _margins(numbers: Sequence[_Number]) -> list[list[_Number]]:
    """Numbers with the same left or the same right edge, from the top down; most of them first."""
    edges: tuple[Callable[[_Number], float], ...] = (lambda one: one.right, lambda one: one.run.left)
    found: list[list[_Number]] = []
    for edge in edges:
        groups: list[list[_Number]] = []
        for number in sorted(numbers, key=edge):
            if not groups or edge(number) - edge(groups[-1][0]) > EDGE_POINTS:
                groups.append([])
            groups[-1].append(number)
        found += (sorted(group, key=lambda one: -one.run.middle) for group in groups)
    return sorted((group for group in found if len(group) >= LEAST_NUMBERS_OF_STEPS), key=len, reverse=True)


def _is_margin(numbers: Sequence[_Number], runs: Sequence[TextRun]) -> bool:
    """Whether numbers count the lines of running text, with nothing else in their column."""
    steps = Counter(other.value - one.value for one, other in pairwise(numbers))
    step, count = steps.most_common(1)[0]
    if step not in STEPS or count < STEADY_SHARE * (len(numbers) - 1) or (step == 1 and len(numbers) < LEAST_NUMBERS):
        return False
    mine = {id(number.run) for number in numbers}
    others = [run for run in runs if id(run) not in mine]
    if _foreign(numbers, others) > FOREIGN_SHARE * len(numbers):
        return False
    lines = _lines(numbers, others)
    if 2 * len(lines) < len(numbers) or median(len(line.text) for line in lines) < LINE_CHARACTERS:
        return False
    distance = median(one.run.middle - other.run.middle for one, other in pairwise(numbers))
    return distance < LINES_APART * step * median(line.size for line in lines) and _go_on(lines)


def _foreign(numbers: Sequence[_Number], others: Sequence[TextRun]) -> int:
    left, right = min(number.run.left for number in numbers), max(number.right for number in numbers)
    top, bottom = numbers[0].run.top, numbers[-1].run.bottom
    return sum(one.left < right and left < one.right and bottom < one.middle < top for one in others)


def _lines(numbers: Sequence[_Number], others: Sequence[TextRun]) -> list[TextRun]:
    """The text beside the numbers, on the side where it is nearer."""
    others = sorted(others, key=lambda one: one.middle)
    places = [one.middle for one in others]
    sides: tuple[list[tuple[float, TextRun]], ...] = ([], [])
    for number in numbers:
        middle, half = number.run.middle, number.run.height / 2
        level = others[bisect_left(places, middle - half) : bisect_right(places, middle + half)]
        before = [(number.run.left - one.right, one) for one in level if one.right <= number.run.left]
        after = [(one.left - number.right, one) for one in level if one.left >= number.right]
        if number.rest:
            after.append((0.0, number.rest))
        for side, found in zip(sides, (before, after), strict=True):
            side += [min(found, key=lambda one: one[0])] if found else []
    side = min(filter(None, sides), key=lambda side: median(gap for gap, _ in side), default=[])
    return [line for _, line in side]


def _go_on(lines: Sequence[TextRun]) -> bool:
    """Whether lines part sentences: they end in a hyphen or begin with what is no capital."""
    found = sum(
        one.text.endswith(BROKEN) or (other.text[:1].isalpha() and not other.text[0].isupper())
        for one, other in pairwise(lines)
    )
    return found >= CONTINUED_SHARE * len(lines)
