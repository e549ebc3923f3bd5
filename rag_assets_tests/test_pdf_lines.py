"""PDF: runs of text on a level are one line, read in the direction of its letters."""

import random

from rag_assets.text.formats.pdf import lines
from rag_assets.text.formats.pdf.glyphs import TextRun


def run(text: str, left: float, top: float, *, height: float = 10) -> TextRun:
    return TextRun(text, left=left, bottom=top - height, right=left + 5 * len(text), top=top, size=height, place=0)


def test_runs_on_a_level_are_one_line_in_whatever_order_they_are_drawn() -> None:
    """From the top down, from the left to the right; a note that is a little higher is still of the line."""
    runs = [run("The", 40, 700), run("pump", 70, 700), run("1", 100, 701, height=6), run("stops.", 40, 688)]
    for seed in range(6):
        mixed = random.Random(seed).sample(runs, len(runs))
        found = [[each.text for each in line.runs] for line in lines.group_lines(mixed)]
        assert found == [["The", "pump", "1"], ["stops."]]


def test_line_is_read_from_the_right_when_most_of_it_is() -> None:
    """A number or a foreign word among such letters changes nothing."""
    hebrew = [run("\u05e9\u05dc\u05d5\u05dd", 200, 700), run("\u05e2\u05d5\u05dc\u05dd", 100, 700), run("12", 50, 700)]
    assert [each.text for each in lines.along(hebrew[::-1])] == [each.text for each in hebrew]
    assert not lines.is_right_to_left("The word \u05e9\u05dc among many others")
