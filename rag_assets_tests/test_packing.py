"""Pieces are packed into chunks: whole where they fit, with an overlap of whole sentences."""

from itertools import pairwise

import pytest

from rag_assets.model import ParsedText
from rag_assets.settings import Chunking
from rag_assets.text.chunking import chunker
from rag_assets_tests.cutting import TOKENIZER, LetterTokenizer, cut, prose


def test_long_header_is_counted_once_and_not_for_each_row() -> None:
    """A CSV of 200,000 columns took over 30 s of the processor: its header was counted for each of 18,000 pieces."""

    class Counting(LetterTokenizer):
        counted = 0  # characters

        def count(self, text: str) -> int:
            self.counted += len(text)
            return super().count(text)

    width = 2_000
    text = "| x " * width + "|\n" + "| --- " * width + "|\n" + ("| 1 " * width + "|\n") * 2
    parsed = ParsedText(text=text, media_type="text/csv", parser="test", structure="markdown")
    tokenizer = Counting()
    assert len(chunker.chunk(parsed, tokenizer=tokenizer, settings=Chunking())) > 20
    assert tokenizer.counted < 20 * len(text)


@pytest.mark.parametrize("overlap", [0, 20, 63])
@pytest.mark.parametrize("columns", [4, 8, 11, 14])
def test_rows_stay_whole_when_header_and_row_come_near_the_limit(columns: int, overlap: int) -> None:
    """A row that fits is never cut; it has its header where both fit."""
    header = "|" + " hello |" * columns + "\n|" + " - |" * columns + "\n"
    rows = ["|" + f" {chr(97 + number)} |" * columns for number in range(8)]
    fits = TOKENIZER.count(header + rows[0]) <= 62
    chunks = cut(header + "\n".join(rows), size=64, overlap=overlap)
    for row in rows:
        assert [chunk for chunk in chunks if row in chunk.content and (header in chunk.content or not fits)]


def test_overlap_repeats_whole_sentences_when_a_section_is_cut() -> None:
    """The chunk begins with the end of the one before, within its setting, from the start of a sentence."""
    text = "\n\n".join(prose(30, seed=11))
    chunks = cut(text, size=300, overlap=100)
    overlapping = [chunk for before, chunk in pairwise(chunks) if chunk.char_start < before.char_end]
    assert len(overlapping) > len(chunks) / 2
    assert all(chunk.content[0].isupper() for chunk in chunks)
