"""Pieces of a text: whole blocks where they fit, else parts that keep what belongs to each."""

import pytest

from rag_assets_tests.cutting import TOKENIZER, cut, prose


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
