"""Previews of documents on Dagster's page: what they show, and how many bytes they take at most."""

import json
from dataclasses import replace

import pytest
from dagster import AssetKey

from rag_assets.defs import events, previews
from rag_assets.model import ChunkBrief, Preview
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


def test_chunks_are_a_table_and_a_picture() -> None:
    """One row for each, in which no character makes a cell, a picture or a link."""
    settings, _, picture, _, _, _, first, second, _, more = previews.cut(PREVIEW, "17").splitlines()
    assert settings == PREVIEW.cut_by
    assert picture == "`█▅▂` 8 to 60 tokens"
    assert first == r"| 0 | 1 | Pumps \> Care | 60 | Turn it off and wait. |"
    assert second == r"| 1 |  |  | 30 | a \| b \<img src=x\> |"
    assert more == "*1 chunk more: `rag-assets story 17`*"
    assert previews.cut(replace(PREVIEW, tokens=(), briefs=()), "17").startswith("No chunks")


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


def test_document_is_shown_with_its_text_and_chunks(project: Project) -> None:
    """On the pages of raw_text and chunks; all its events are small."""
    document_id = project.application.add("a.txt", *WORDS)
    project.run()
    text, chunks = project.last("raw_text").metadata, project.last("chunks").metadata
    assert WORDS[0] in str(text["text"].value)
    assert WORDS[0] in str(chunks["cut"].value)
    assert "tokens at most" in str(chunks["cut"].value)
    assert "warnings" not in text
    assert stored_bytes(project, document_id) < EVENT_BYTES


def test_no_text_is_in_events_when_previews_are_off(project: Project) -> None:
    """As for documents that Dagster's database is not to have a copy of."""
    worker = project.services.settings.worker.model_copy(update={"previews": False})
    project.services.settings = project.services.settings.model_copy(update={"worker": worker})
    project.application.add("a.txt", *WORDS)
    project.run()
    assert WORDS[0] not in "".join(str(project.last(name).metadata) for name in events.ASSETS)
