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

from rag_assets.errors import SettingsError
from rag_assets.model import Chunk, ParsedText, Structure
from rag_assets.settings import Chunking
from rag_assets.text.chunking import chunker, tokens
from rag_assets_tests.test_tokens import small_tokenizer

CASES = int(os.environ.get("HYPOTHESIS_CASES", "150"))
TOKENIZER = small_tokenizer()


class LetterTokenizer:
    """A tokenizer whose counts do not add up: three characters a token, white space counted too."""

    name = "letters"
    max_tokens = 8_192

    def spans(self, text: str) -> list[tokens.Span]:
        return [(at, min(at + 3, len(text))) for at in range(0, len(text), 3)]

    def count(self, text: str) -> int:
        return -(-len(text) // 3)


def embed(texts: Sequence[str]) -> list[list[float]]:
    """A vector of letter counts: texts of the same words are alike."""
    return [[1.0, *(float(text.lower().count(letter)) for letter in "aeiounst")] for text in texts]


def cut(text: str, *, structure: Structure = "markdown", **options: Any) -> tuple[Chunk, ...]:
    parsed = ParsedText(text=text, media_type="text/plain", parser="test", structure=structure)
    return chunker.chunk(parsed, tokenizer=TOKENIZER, settings=Chunking(**options), embed=embed)


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


def test_semantic_refuses_when_no_embedder_is_given() -> None:
    """It does not quietly become another strategy."""
    parsed = ParsedText(text="hello", media_type="text/plain", parser="test")
    with pytest.raises(SettingsError, match="semantic"):
        chunker.chunk(parsed, tokenizer=TOKENIZER, settings=Chunking(strategy="semantic"))


def prose(count: int, *, seed: int) -> list[str]:
    """Paragraphs of three to six sentences, all different."""
    chooser = random.Random(seed)
    return [" ".join(_sentence(chooser) for _ in range(chooser.randint(3, 6))) for _ in range(count)]


def _sentence(chooser: random.Random) -> str:
    found = ["".join(chooser.choices("abcdefgh", k=chooser.randint(1, 5))) for _ in range(chooser.randint(5, 15))]
    return " ".join(found).capitalize() + "."


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


def test_heading_path_names_the_section_when_headings_nest() -> None:
    """A chunk says under which headings it stands; its own heading is among them."""
    text = "\n\n".join(["# Top", *prose(8, seed=1), "## Inner #", *prose(8, seed=2), "Other\n=====", *prose(8, seed=3)])
    chunks = cut(text, size=200, overlap=0)
    paths = list(dict.fromkeys(chunk.heading_path for chunk in chunks))
    assert paths == [("Top",), ("Top", "Inner"), ("Other",)]
    assert [chunk for chunk in chunks if chunk.content.startswith("## Inner")]


def test_heading_stays_with_its_text_when_it_comes_near_the_limit() -> None:
    """No chunk ends in a heading."""
    text = "\n\n".join(part for body in prose(40, seed=4) for part in ("## the world", body))
    chunks = cut(text, size=100, overlap=10)
    assert len(chunks) > 20
    assert not [chunk for chunk in chunks if chunk.content.endswith("## the world")]


def test_heading_path_is_that_of_the_start_when_an_empty_section_ends() -> None:
    """A heading above an empty section is not repeated in the chunk of the next section."""
    text = "\n\n".join(part for body in prose(20, seed=4) for part in ("# the", body, "### hello", "## world", body))
    headings = {"# the": ("the",), "### hello": ("the", "hello"), "## world": ("the", "world")}
    chunks = cut(text, size=100, overlap=30)
    assert {chunk.content.splitlines()[0] for chunk in chunks} & headings.keys()
    for chunk in chunks:
        assert headings.get(chunk.content.splitlines()[0], chunk.heading_path) == chunk.heading_path


def test_heading_context_goes_before_the_text_when_it_is_set() -> None:
    """What is embedded starts with the headings above; the stored words are the document's own."""
    text = "\n\n".join(["# Top", "## Inner", *prose(20, seed=5)])
    chunks = cut(text, size=128, overlap=0, heading_context=True)
    assert chunks[0].embedded_text == chunks[0].content
    assert len(chunks) > 2
    assert all(chunk.embedded_text == f"Top > Inner\n\n{chunk.content}" for chunk in chunks[1:])


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_headings_are_not_taken_from_code_when_a_fence_holds_them(end: str) -> None:
    """A remark in a shell script is no heading, and the fence ends where it ends."""
    text = end.join(
        ["# Top", "", "```sh", "# not a heading", "ls", "```", "", *prose(8, seed=1), "## Next", *prose(3, seed=2)]
    )
    paths = {chunk.heading_path for chunk in cut(text, size=100, overlap=0)}
    assert paths == {("Top",), ("Top", "Next")}


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("## The `code` of *it* ##", "The code of it"),
        ("# [Link](https://example.org/a) {#anchor}", "Link"),
        ("#   C#", "C#"),
        ("Setext\n---", "Setext"),
    ],
)
def test_heading_path_is_plain_words_when_the_heading_has_marks(line: str, title: str) -> None:
    """What is shown, and embedded as context, is what a reader sees."""
    assert cut(f"{line}\n\nhello world")[0].heading_path == (title,)


@pytest.mark.parametrize("text", ["#hashtag\nhello", "- item\n---\nhello", "---\n---\nhello", "    code\n---"])
def test_no_heading_is_found_when_a_line_only_looks_like_one(text: str) -> None:
    """Tags, lists and rules."""
    assert cut(text)[0].heading_path == ()


@pytest.mark.parametrize("mark", ["```", "~~~~", "  ```"])
def test_fence_stays_whole_when_it_fits(mark: str) -> None:
    """Code in Markdown is cut only if it is over the limit by itself."""
    body = "\n".join(f"the {word} = hello" for word in prose(1, seed=6)[0].split()[:20])
    code = f"{mark}\n{body}\n\n# remark\n{mark}"
    assert 60 < TOKENIZER.count(code) <= 198
    text = "\n\n".join([*prose(3, seed=7), code, *prose(3, seed=8), code, *prose(2, seed=9)])
    whole = [chunk.content.count(code.strip()) for chunk in cut(text, size=200, overlap=20)]
    assert sum(whole) == 2


def test_fence_is_cut_at_lines_when_it_is_over_the_limit() -> None:
    """Every part begins and ends with whole lines."""
    lines = [f"the {word} = hello" for word in " ".join(prose(20, seed=6)).split()]
    text = "```\n" + "\n".join(lines) + "\n```"
    chunks = cut(text, size=100, overlap=10)
    assert len(chunks) > 5
    for chunk in chunks:
        assert set(chunk.content.splitlines()) <= {*lines, "```"}
        assert chunk.kind == "code"


def test_fence_marks_stay_with_the_code_when_a_fence_is_cut() -> None:
    """No chunk is an opening mark alone, even where a definition follows it."""
    code = "\n\n".join(f"def hello{number}():\n    the = world" for number in range(40))
    chunks = cut(f"the world:\n\n```py\n{code}\n```", size=100, overlap=10)
    assert all(not chunk.content.endswith("```py") for chunk in chunks)
    assert chunks[-1].content.strip() != "```"


def test_fence_ends_when_the_quotation_around_it_ends() -> None:
    """Even if it was never closed."""
    chunks = cut("> hello\n> ```\n> the = world\n\nhello\n\n# Next\n\nworld", size=16, overlap=0)
    assert chunks[-1].heading_path == ("Next",)


def test_table_header_goes_with_each_part_when_the_table_is_cut() -> None:
    """A row without its header has no meaning."""
    header = "| name | value |\n| --- | --- |\n"
    rows = "".join(f"| hello {number} | {number * 7} |\n" for number in range(200))
    chunks = cut(f"# Top\n\n{header}{rows}", size=100, overlap=10)
    assert len(chunks) > 5
    assert all(header in chunk.content and chunk.kind == "table" for chunk in chunks)
    assert all(header not in chunk.content.replace(header, "", 1) for chunk in chunks)


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


PYTHON = '''import os

LIMIT = 5


@decorator
def first(a, b):
    """Say hello."""
    for c in a:
        print(c)

    return b


# about the second
class Second:
    def one(self):
        return 1

    def two(self):
        return 2
'''


def test_code_is_cut_before_definitions_when_it_is_too_long() -> None:
    """Decorators and remarks stay with what they are about."""
    chunks = cut(PYTHON, structure="code", size=100, overlap=10)
    starts = [chunk.content.splitlines()[0] for chunk in chunks]
    assert set(starts) <= {"import os", "@decorator", "# about the second", "    def two(self):"}
    assert {chunk.kind for chunk in chunks} == {"code"}


@pytest.mark.parametrize(
    "definition",
    [
        "@asset(\n    name='x',\n)\ndef first(a):\n    return a",
        "// Says hello.\npublic static List<String> names(List<Order> orders) {\n    return orders;\n}",
        "#[derive(Debug)]\npub struct Point<T> {\n    x: T,\n}",
        "static struct node *\npush(struct node *head)\n{\n    return head;\n}",
        "func (s *Server) Run() error {\n\treturn nil\n}",
        "export const use = (options: Options) => {\n  return 1;\n};",
        "CREATE TABLE users (\n    id bigint\n);",
        "[tool.mypy]\nstrict = true",
    ],
    ids=["python", "java", "rust", "c", "go", "typescript", "sql", "toml"],
)
def test_definitions_stay_whole_when_the_language_is_known(definition: str) -> None:
    """Whatever it begins with goes with it: decorators, remarks, a type on a line of its own."""
    chunks = cut("\n".join([definition] * 12), structure="code", size=100, overlap=0)
    first = definition.partition("\n")[0]
    assert len(chunks) > 2
    assert all(chunk.content.startswith(first) for chunk in chunks)


@pytest.mark.parametrize(
    "line",
    [
        "struct node *n = first;",
        "type = 5",
        "module.exports = x",
        "class of problems that are hard",
        "useEffect(() => {",
        "if (x) {",
        "s.mux.HandleFunc(path, func(w Writer) {",
    ],
)
def test_no_definition_is_found_when_a_line_only_looks_like_one(line: str) -> None:
    """Statements and words of remarks: a blank line is the better place to cut."""
    part = f"    hello\n\n    world\n    {line}\n"
    chunks = cut(part * 20, structure="code", size=60, overlap=0)
    assert not [chunk for chunk in chunks if chunk.content.strip().startswith(line)]


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


def test_overlap_repeats_whole_sentences_when_a_section_is_cut() -> None:
    """The chunk begins with the end of the one before, within its setting, from the start of a sentence."""
    text = "\n\n".join(prose(30, seed=11))
    chunks = cut(text, size=300, overlap=100)
    overlapping = [chunk for before, chunk in pairwise(chunks) if chunk.char_start < before.char_end]
    assert len(overlapping) > len(chunks) / 2
    assert all(chunk.content[0].isupper() for chunk in chunks)


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
