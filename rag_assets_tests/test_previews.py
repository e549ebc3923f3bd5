"""Previews of documents on Dagster's page: what they show, and how many bytes they take at most."""

import json
from dataclasses import replace
from typing import Literal

import pytest
from dagster import AssetKey, MetadataValue
from pydantic import ValidationError

from rag_assets.defs import events, previews
from rag_assets.model import ChunkBrief, Outcome, Preview
from rag_assets.settings import Source
from rag_assets_tests.application import WORDS
from rag_assets_tests.project import Project

EVENT_BYTES = 8_192  # of one document's three events together
PREVIEW = Preview(
    beginning="# Pumps\n\nTurn it off.",
    language="en",
    cut_by="recursive, 64 tokens at most",
    tokens=(60, 30, 8),
    briefs=(
        ChunkBrief(index=0, page=1, heading="Pumps > Care", tokens=60, beginning="Turn it off\nand wait."),
        ChunkBrief(index=1, page=None, heading="", tokens=30, beginning="a | b <img src=x>"),
    ),
)


def stored_bytes(project: Project, document_id: str) -> int:
    """Of the newest event of each asset, as Dagster's storage has them."""
    found = [project.instance.get_latest_materialization_event(AssetKey(name)) for name in events.ASSETS]
    assert {event.asset_materialization.partition for event in found} == {document_id}
    return sum(len(event.to_json().encode()) for event in found)


def test_text_is_shown_with_what_is_left_out() -> None:
    """It stands as it was read: nothing of it is taken for the page's own words, pictures or links."""
    assert previews.read(PREVIEW, characters=21) == "~~~\n# Pumps\n\nTurn it off.\n~~~\n\nLanguage: en"
    longer = previews.read(replace(PREVIEW, beginning="a ~~~ b", language=""), characters=1_007)
    assert longer == "~~~\na ~~ b\n~~~\n\n*and 1,000 more characters*"


def test_long_lines_are_wrapped_where_the_page_would_cut_them_off() -> None:
    """At spaces; what is set in stays so, and no word is lost."""
    beginning = "  one two-three " * 12
    shown = previews.read(replace(PREVIEW, beginning=beginning), characters=len(beginning))
    _, *lines, _, _, _ = shown.splitlines()
    assert max(map(len, lines)) <= 76
    assert lines[0].startswith("  one two-three")
    assert " ".join(lines).split() == beginning.split()


def test_chunks_are_a_table_and_a_picture() -> None:
    """One row for each, in which no character makes a cell, a picture or a link."""
    settings, _, picture, _, _, _, first, second, _, more = previews.cut(PREVIEW, "17").splitlines()
    assert settings == PREVIEW.cut_by
    assert picture == "`█▅▂` 8 to 60 tokens"
    assert first == r"| 0 | 1 | Pumps \> Care | 60 | Turn it off and wait. |"
    assert second == r"| 1 |  |  | 30 | a \| b \<img src=x\> |"
    assert more == "*1 chunk more: `rag-assets story 17`*"
    assert previews.cut(replace(PREVIEW, tokens=(), briefs=()), "17").startswith("No chunks")
    assert "`█` 9 tokens\n" in previews.cut(replace(PREVIEW, tokens=(9,)), "17")


@pytest.mark.parametrize("chunks", [1, 16, 17, 10_000])
def test_picture_of_lengths_is_as_wide_as_a_page(chunks: int) -> None:
    """However many chunks there are."""
    picture = previews.cut(replace(PREVIEW, tokens=(9,) * chunks), "17").splitlines()[2].split("`")[1]
    assert 1 <= len(picture) <= 16


@pytest.mark.parametrize("letter", ["a", "ä", "अ", "🌱", "|", '"', "\x01", "~"])
def test_previews_are_short_in_every_script(letter: str) -> None:
    """What counts are the bytes of the event, in which a letter may take twelve."""
    brief = ChunkBrief(index=0, page=None, heading=letter * 60, tokens=9, beginning=letter * 60)
    preview = replace(PREVIEW, beginning=letter * 2_000, tokens=(9,) * 30, briefs=(brief,) * 30)
    shown = json.dumps([previews.read(preview, characters=9_999), previews.cut(preview, "17")])
    assert 500 < len(shown) < 1_300


def test_document_is_shown_with_its_text_and_chunks(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the pages of raw_text and chunks; all its events are small."""
    monkeypatch.setattr(events, "SOURCE_URL", "https://files.example.com/documents/of/the/archive/{path}?id={id}")
    document_id = project.application.add("a.txt", *WORDS * 7)
    project.run()
    text, chunks = project.last("raw_text").metadata, project.last("chunks").metadata
    assert WORDS[0] in str(text["text"].value)
    assert WORDS[0] in str(chunks["cut"].value)
    assert "tokens at most" in str(chunks["cut"].value)
    assert (list(text)[2], list(chunks)[2]) == ("text", "cut"), "after the state and the path"
    assert "warnings" not in text
    assert stored_bytes(project, document_id) < EVENT_BYTES


def test_first_words_of_a_chunk_are_those_after_its_headings(project: Project) -> None:
    """The headings stand beside them; a chunk that is nothing else shows them."""
    shown = []
    for content in ("# Pumps\n\n## Care\n\nTurn it off.\n", "# Pumps\n"):
        (project.application.files / "a.md").write_text(content, encoding="utf-8")
        project.application.add_row("a.md")
        project.run()
        shown.append(str(project.last("chunks").metadata["cut"].value).splitlines()[6].split(" | "))
    assert [cells[2] for cells in shown] == [r"Pumps \> Care", "Pumps"]
    assert [cells[4] for cells in shown] == ["Turn it off. |", r"\# Pumps |"]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.0, 0.0), (0.00042, 0.0004), (0.0123, 0.012), (1.23456, 1.235), (754.3211, 754.321)]
)
def test_seconds_are_rounded_and_no_work_took_none(seconds: float, shown: float) -> None:
    """A text of a line is cut in less than a millisecond."""
    outcome = Outcome(document_id="7", path="a.txt", status="completed", stage="done", seconds={"chunk": seconds})
    chunks = next(event for event in events.materializations("7", [outcome]) if event.asset_key == AssetKey("chunks"))
    assert chunks.metadata["seconds"].value == shown


@pytest.mark.parametrize("status", ["completed", "accepted"])
def test_path_is_a_link_where_a_template_is_set(monkeypatch: pytest.MonkeyPatch, status: Literal["completed"]) -> None:
    """On the page of what was read; whatever a path or id has in it, the link leads to the host of the template."""
    outcome = Outcome(document_id="7/&8", path="a b/ü?#{id}.txt", status=status, stage="done")
    plain = [event.metadata["path"] for event in events.materializations("7", [outcome])]
    assert plain == [MetadataValue.path(outcome.path)] * 3
    monkeypatch.setattr(events, "SOURCE_URL", "https://files.example.com/{path}?id={id}")
    link, *others = [event.metadata["path"] for event in events.materializations("7", [outcome])]
    assert link == MetadataValue.url("https://files.example.com/a%20b/%C3%BC%3F%23%7Bid%7D.txt?id=7%2F%268")
    assert others == plain[1:]


@pytest.mark.parametrize(
    "url",
    ["files/{path}", "javascript:{path}", "https://{path}/", "https://a.example/", "https://a.example/{name}"],
)
def test_template_that_makes_no_link_to_a_document_is_refused(url: str) -> None:
    """With what is allowed."""
    with pytest.raises(ValidationError, match=r"allowed is|write \{path\} or \{id\}"):
        Source(url=url)


def test_no_text_is_in_events_when_previews_are_off(project: Project) -> None:
    """As for documents that Dagster's database is not to have a copy of."""
    worker = project.services.settings.worker.model_copy(update={"previews": False})
    project.services.settings = project.services.settings.model_copy(update={"worker": worker})
    project.application.add("a.txt", *WORDS)
    project.run()
    assert WORDS[0] not in "".join(str(project.last(name).metadata) for name in events.ASSETS)
