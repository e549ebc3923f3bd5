"""The structure of a text: headings, fences and tables, and what only looks like one."""

import pytest

from rag_assets_tests.cutting import cut, prose


def test_heading_path_names_the_section_when_headings_nest() -> None:
    """A chunk says under which headings it stands; its own heading is among them."""
    text = "\n\n".join(["# Top", *prose(8, seed=1), "## Inner #", *prose(8, seed=2), "Other\n=====", *prose(8, seed=3)])
    chunks = cut(text, size=200, overlap=0)
    paths = list(dict.fromkeys(chunk.heading_path for chunk in chunks))
    assert paths == [("Top",), ("Top", "Inner"), ("Other",)]
    assert [chunk for chunk in chunks if chunk.content.startswith("## Inner")]


def test_heading_path_keeps_what_is_no_tag() -> None:
    """Types of code stand between angle brackets; emphasis and links go."""
    text = "\n\n".join(
        [
            "# Map<String, Wombat> of <b>R&D</b>",
            *prose(8, seed=1),
            "## List<Potoroo> <br/>and [more](a.md)",
            *prose(8, seed=2),
        ]
    )
    titles = ("Map<String, Wombat> of R&D", "List<Potoroo> and more")
    assert cut(text, size=200, overlap=0)[-1].heading_path == titles


def test_heading_path_is_that_of_the_start_when_an_empty_section_ends() -> None:
    """A heading above an empty section is not repeated in the chunk of the next section."""
    text = "\n\n".join(part for body in prose(20, seed=4) for part in ("# the", body, "### hello", "## world", body))
    headings = {"# the": ("the",), "### hello": ("the", "hello"), "## world": ("the", "world")}
    chunks = cut(text, size=100, overlap=30)
    assert {chunk.content.splitlines()[0] for chunk in chunks} & headings.keys()
    for chunk in chunks:
        assert headings.get(chunk.content.splitlines()[0], chunk.heading_path) == chunk.heading_path


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
