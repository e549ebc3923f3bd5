"""Chunks: always within the limit, never lossy, cut where a reader would, and the same after an edit elsewhere.

HYPOTHESIS_CASES=5000 runs the long form of the property tests (150 cases each otherwise).
"""

import hashlib
import os
import random
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_assets.model import Chunk, ParsedText, Structure
from rag_assets.settings import Chunking
from rag_assets.text.chunking import chunker, tokens
from rag_assets_tests.cutting import TOKENIZER, LetterTokenizer, cut, embed, prose

CASES = int(os.environ.get("HYPOTHESIS_CASES", "150"))


words = st.sampled_from(
    ["hello", "world", "the", "naïve", "中文字符", "שלום", "مرحبا", "ไทย", "😀👩‍👩‍👧", "x" * 90, "a.b", "1,2"]
)
sentence = st.lists(words, min_size=1, max_size=14).map(lambda found: " ".join(found).capitalize() + ". ")
paragraph = st.lists(sentence, min_size=1, max_size=6).map("".join)
heading = st.builds(lambda level, title: "#" * level + " " + title, st.integers(1, 6), words)
fence = st.lists(words, max_size=12).map(lambda found: "```py\n" + "\n".join(found) + "\n```")
table = st.lists(st.tuples(words, words), max_size=12).map(
    lambda rows: "| one | two |\n| --- | --- |\n" + "\n".join(f"| {a} | {b} |" for a, b in rows)
)
items = st.lists(sentence, min_size=1, max_size=8).map(lambda found: "\n".join(f"- {item}" for item in found))
raw = st.text(max_size=60)
documents = st.lists(st.one_of(paragraph, heading, fence, table, items, raw), max_size=12).map("\n\n".join)
options = st.builds(
    lambda size, overlap, strategy, headings: {
        "size": size,
        "overlap": size * overlap // 100,
        "strategy": strategy,
        "heading_context": headings,
    },
    st.sampled_from([16, 24, 48, 200]),
    st.sampled_from([0, 10, 50, 99]),
    st.sampled_from(["recursive", "fixed", "semantic"]),
    st.booleans(),
)
structures = st.sampled_from(["markdown", "plain", "code"])


@settings(max_examples=CASES * 2, deadline=None)
@given(documents, structures, options)
def test_chunks_keep_every_promise_when_text_is_any(text: str, structure: Structure, chosen: dict[str, Any]) -> None:
    """Within the limit, lossless, exact offsets, overlap within its setting, deterministic, never empty."""
    chunks = cut(text, structure=structure, **chosen)
    _check(text, chunks, size=chosen["size"], overlap=chosen["overlap"])
    assert chunks == cut(text, structure=structure, **chosen)


def _check(text: str, chunks: Sequence[Chunk], *, size: int, overlap: int) -> None:
    _check_each(text, chunks, size=size)
    assert _uncovered(text, chunks) == ""
    for before, after in pairwise(chunks):
        assert before.char_start < after.char_start
        assert before.char_end < after.char_end
        assert TOKENIZER.count(text[after.char_start : before.char_end]) <= overlap


def _check_each(text: str, chunks: Sequence[Chunk], *, size: int) -> None:
    for index, chunk in enumerate(chunks):
        body = text[chunk.char_start : chunk.char_end]
        assert chunk.index == index
        assert body.strip()
        assert chunk.content.endswith(body)
        assert chunk.embedded_text.endswith(chunk.content)
        assert chunk.token_count == TOKENIZER.count(chunk.embedded_text) <= size - tokens.SPECIAL_TOKENS
        assert chunk.content_sha256 == hashlib.sha256(chunk.embedded_text.encode()).hexdigest()


def _uncovered(text: str, chunks: Sequence[Chunk]) -> str:
    """Characters that are in no chunk, without white space."""
    left, position = "", 0
    for chunk in chunks:
        left += text[position : chunk.char_start]
        position = max(position, chunk.char_end)
    return (left + text[position:]).strip()


@settings(max_examples=CASES, deadline=None)
@given(documents, st.sampled_from([16, 40, 200]), st.sampled_from(["recursive", "fixed", "semantic"]))
def test_chunks_fit_when_counts_do_not_add_up(text: str, size: int, strategy: Any) -> None:
    """With any model's tokenizer the limit holds and nothing is lost."""
    parsed = ParsedText(text=text, media_type="text/plain", parser="test")
    chosen = Chunking(size=size, overlap=4, strategy=strategy)
    remote = tokens.RemoteTokenizer(
        "remote", lambda part: [part[at : at + 3] for at in range(0, len(part), 3)], max_tokens=512
    )
    for tokenizer in (LetterTokenizer(), remote):
        chunks = chunker.chunk(parsed, tokenizer=tokenizer, settings=chosen, embed=embed)
        assert _uncovered(text, chunks) == ""
        assert all(chunk.token_count <= size - tokens.SPECIAL_TOKENS for chunk in chunks)


@pytest.mark.parametrize("strategy", ["recursive", "fixed", "semantic"])
@pytest.mark.parametrize(
    "text",
    [
        "ab" * 100_000,
        "hello world " * 180_000,
        "中文字符" * 50_000,
        "שלום " * 20_000,
        "👩‍👩‍👧" * 5_000,
        "# a" + " " * 200_000 + "b",
        "| a |" + " " * 200_000 + "\n" + " " * 200_000 + "|-",
        "# " + "[" * 200_000,
        "." + " " * 200_000 + "a",
        "x\n" * 50_000,
        "\0" * 5_000 + "\u200b",
        "ჰ" * 99_999,
    ],
    ids=[
        "one long word",
        "one 2 MB line",
        "no spaces",
        "right to left",
        "emoji",
        "wide heading",
        "wide table",
        "brackets",
        "wide gap",
        "confetti",
        "control",
        "unknown word",
    ],
)
def test_chunks_keep_every_promise_when_text_is_hard(text: str, strategy: str) -> None:
    """Sizes that a recursion or a square would not survive."""
    _check(text, cut(text, strategy=strategy), size=512, overlap=50)


@pytest.mark.parametrize("size", [16, 17, 24, 32])
@pytest.mark.parametrize("strategy", ["recursive", "fixed", "semantic"])
def test_no_chunk_lies_in_the_one_before_when_words_are_cut(size: int, strategy: Any) -> None:
    """Counts do not add up inside words; a chunk that has to be cut again loses its overlap, not its place."""
    for seed in range(6):
        chooser = random.Random(seed)
        runs = ["".join(chooser.choices("abcdef", k=chooser.choice([2, 3, 3]))) for _ in range(60)]
        starts = [f"{tokens.WORD_START}{run}" for run in [*"abcdef", *runs[:20]]]
        tokenizer = tokens.WordPiece([*starts, *"abcdef", *runs[20:]])
        text = "".join(chooser.choices("abcdef/+", k=6_000))
        parsed = ParsedText(text=text, media_type="text/plain", parser="test")
        for overlap in (1, size // 2, size - 1):
            chosen = Chunking(size=size, overlap=overlap, strategy=strategy)
            chunks = chunker.chunk(parsed, tokenizer=tokenizer, settings=chosen, embed=embed)
            assert _uncovered(text, chunks) == ""
            for before, after in pairwise(chunks):
                assert before.char_start < after.char_start
                assert before.char_end < after.char_end


@pytest.mark.parametrize("size", [20, 32, 64])
@pytest.mark.parametrize("strategy", ["recursive", "fixed", "semantic"])
def test_words_stay_whole_when_a_sentence_is_too_long(size: int, strategy: str) -> None:
    """Of a sentence over the limit each part, and its overlap, begins and ends with whole words."""
    text = " ".join(["hello", "wonderful", "the", "abcdef"] * 300)
    chunks = cut(text, size=size, overlap=size // 3, strategy=strategy)
    assert {word for chunk in chunks for word in chunk.content.split()} == {"hello", "wonderful", "the", "abcdef"}


@pytest.mark.parametrize("text", ["", " \n\t\n", "\u00a0\u3000"])
def test_nothing_is_cut_when_text_is_blank(text: str) -> None:
    """No chunk is ever empty."""
    assert cut(text) == ()


@pytest.mark.parametrize(("strategy", "most"), [("recursive", 8), ("semantic", 16), ("fixed", 30)])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_few_chunks_change_when_one_paragraph_is_edited(strategy: str, most: int, share: float) -> None:
    """A document of more than 200 chunks keeps nearly all of them: cuts do not count from the top."""
    paragraphs = prose(600, seed=7)
    before = {chunk.content_sha256 for chunk in cut("\n\n".join(paragraphs), size=256, overlap=20, strategy=strategy)}
    edited = int(share * len(paragraphs))
    paragraphs[edited] = f"Something else was written. {paragraphs[edited]}"
    after = cut("\n\n".join(paragraphs), size=256, overlap=20, strategy=strategy)
    assert len(after) > 200
    assert sum(chunk.content_sha256 not in before for chunk in after) <= most


def test_heading_stays_with_its_text_when_it_comes_near_the_limit() -> None:
    """No chunk ends in a heading."""
    text = "\n\n".join(part for body in prose(40, seed=4) for part in ("## the world", body))
    chunks = cut(text, size=100, overlap=10)
    assert len(chunks) > 20
    assert not [chunk for chunk in chunks if chunk.content.endswith("## the world")]


def test_heading_context_goes_before_the_text_when_it_is_set() -> None:
    """What is embedded starts with the headings above; the stored words are the document's own."""
    text = "\n\n".join(["# Top", "## Inner", *prose(20, seed=5)])
    chunks = cut(text, size=128, overlap=0, heading_context=True)
    assert chunks[0].embedded_text == chunks[0].content
    assert len(chunks) > 2
    assert all(chunk.embedded_text == f"Top > Inner\n\n{chunk.content}" for chunk in chunks[1:])


def test_page_is_found_when_the_format_has_pages() -> None:
    """The page on which the chunk starts."""
    pages = prose(6, seed=10)
    offsets = tuple(sum(len(page) + 2 for page in pages[:at]) for at in range(6))
    parsed = ParsedText(text="\n\n".join(pages), media_type="application/pdf", parser="test", page_offsets=offsets)
    chunks = chunker.chunk(parsed, tokenizer=TOKENIZER, settings=Chunking(size=150, overlap=0))
    assert {chunk.page for chunk in chunks} == {1, 2, 3, 4, 5, 6}
    for chunk in chunks:
        assert chunk.page is not None
        assert offsets[chunk.page - 1] <= chunk.char_start
        assert chunk.page == 6 or chunk.char_start < offsets[chunk.page]


# ---- costs


def lines_run(action: Callable[[], object]) -> int:
    """How many lines of Python code it takes: unlike seconds, the same on every machine."""
    count = 0

    def trace(_frame: FrameType, event: str, _argument: object) -> Callable[..., Any]:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("structure", ["plain", "markdown", "code"])
@pytest.mark.parametrize("line", ["{\n", "\\\n", "{", "# a\n", "```\n", "- a\n", "a\n\n"])
def test_cost_of_cutting_is_bounded_by_the_length(structure: Structure, line: str) -> None:
    """Lines of single marks took up to 250 steps a character: each was a piece, weighed against the 128 before it."""
    text = line * (20_000 // len(line))
    cut(text, structure=structure)  # fills caches
    assert lines_run(lambda: cut(text, structure=structure)) < 65 * len(text)


@pytest.mark.parametrize("structure", ["plain", "markdown", "code"])
@pytest.mark.parametrize("line", ["{\n", "\\\n", "# a\n"])
def test_cost_of_cutting_is_low_when_lines_have_one_mark_each(structure: Structure, line: str) -> None:
    """They were 50 to 60 steps a character: every fourth was a place to cut that was weighed, and all are alike."""
    text = line * (20_000 // len(line))
    cut(text, structure=structure)  # fills caches
    assert lines_run(lambda: cut(text, structure=structure)) < 25 * len(text)
