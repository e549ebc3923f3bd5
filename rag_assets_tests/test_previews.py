"""Previews of documents on Dagster's page: what they show, and how many bytes they take at most."""

import json
from dataclasses import replace
from typing import Literal

import pytest
from dagster import AssetKey, DagsterInstance, MetadataValue, OpExecutionContext, job, op
from pydantic import ValidationError

from rag_assets.defs import events, previews
from rag_assets.model import ChunkBrief, Outcome, Preview
from rag_assets.settings import Chunking, Source
from rag_assets_tests.application import WORDS
from rag_assets_tests.project import Project

EVENT_BYTES = 8_000  # of one document's three events together
LONG_ID = "01234567-89ab-cdef-0123-456789abcdef"
LETTERS = ["a", "ä", "अ", "漢", "🌱", "|", '"', "\x01", "~"]
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


def stored_bytes(instance: DagsterInstance, document_id: str) -> int:
    """Of the newest event of each asset, as Dagster's storage has them."""
    found = [instance.get_latest_materialization_event(AssetKey(name)) for name in events.ASSETS]
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


@pytest.mark.parametrize("letter", LETTERS)
def test_previews_are_short_in_every_script(letter: str) -> None:
    """What counts are the bytes of the event, in which a letter may take twelve."""
    brief = ChunkBrief(index=0, page=None, heading=letter * 60, tokens=9, beginning=letter * 60)
    preview = replace(PREVIEW, beginning=letter * 2_000, tokens=(9,) * 30, briefs=(brief,) * 30)
    shown = json.dumps([previews.read(preview, characters=9_999), previews.cut(preview, "17")])
    assert 400 < len(shown) < 1_000


def test_document_is_shown_with_its_text_and_chunks(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the pages of raw_text and chunks; all its events are small."""
    monkeypatch.setattr(events, "SOURCE_URL", "https://files.example.com/documents/of/the/archive/{path}?id={id}")
    document_id = project.application.add("a.txt", *WORDS * 7)
    project.run()
    text, chunks = project.last("raw_text").metadata, project.last("chunks").metadata
    assert WORDS[0] in str(text["text"].value)
    assert WORDS[0] in str(chunks["cut"].value)
    assert "tokens at most" in str(chunks["cut"].value)
    assert (list(text)[2], next(iter(chunks))) == ("text", "cut"), "after the state and the path"
    assert "warnings" not in text
    assert stored_bytes(project.instance, document_id) < EVENT_BYTES


def test_long_document_with_a_long_path_has_small_events(project: Project) -> None:
    """Words, headings and folders in scripts of which JSON makes six or twelve bytes a letter, over many chunks."""
    folder = project.application.files / "Dokumentasi perawatan pompa" / ("漢字" * 30) / ("🌱" * 30)
    folder.mkdir(parents=True)
    sections = [
        f"# Perawatan 漢字 {number} 🌱🌱🌱\n\n{' '.join(WORDS)} 水泵维修手册 {'🌱 ' * 90}" for number in range(200)
    ]
    name = str((folder / f"{'長い' * 30}.md").relative_to(project.application.files))
    (project.application.files / name).write_text("\n\n".join(sections), encoding="utf-8")
    document_id = project.application.add_row(name)
    project.run()
    facts = project.last("raw_text").metadata
    assert project.last("chunks").metadata["chunks"].value >= 200
    assert str(facts["path"].value).endswith("長い.md")
    assert stored_bytes(project.instance, document_id) < EVENT_BYTES


@pytest.mark.parametrize("letter", LETTERS)
@pytest.mark.parametrize("status", ["completed", "accepted"])
def test_events_are_small_whatever_is_told(
    letter: str, status: Literal["completed"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where everything that a document or its row has in it is as long as it may be."""
    monkeypatch.setattr(events, "SOURCE_URL", "https://files.example.com/documents/of/the/archive/{path}?id={id}")
    brief = ChunkBrief(index=10_000, page=10_000, heading=letter * 500, tokens=9_999, beginning=letter * 500)
    outcome = Outcome(
        document_id=LONG_ID,
        path=letter * 2_000,
        status=status,
        stage="done",
        error_kind="unsupported",
        error_message=letter * 2_000,
        content_sha256="0" * 64,
        media_type="application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        parser="delimited",
        pages=99_999,
        characters=999_999_999,
        chunks=999_999,
        chunks_embedded=999_999,
        chunks_reused=999_999,
        chunks_deleted=999_999,
        tokens=999_999_999,
        embedding_model=letter * 200,
        server_build=letter * 200,
        seconds=dict.fromkeys(("read", "chunk", "embed"), 99_999.999),
        warnings=(letter * 500,) * 50,
        preview=Preview(
            beginning=letter * 2_000,
            language="id",
            cut_by=Chunking(strategy="recursive", size=99_999, overlap=9_999, heading_context=True).words,
            tokens=tuple(range(1, 201)),
            briefs=(brief,) * 30,
        )
        if status == "completed"
        else None,
    )

    @op
    def ingest(context: OpExecutionContext) -> None:
        for event in events.materializations(LONG_ID, [outcome]):
            context.log_event(event)

    @job
    def ingest_documents() -> None:
        ingest()

    with DagsterInstance.ephemeral() as instance:
        assert ingest_documents.execute_in_process(instance=instance).success
        assert 5_000 < stored_bytes(instance, LONG_ID) < EVENT_BYTES


def test_long_path_is_shown_by_its_end() -> None:
    """Which tells more than its beginning, the folder that many documents share."""
    assert previews.ending("a/b.txt", events.PATH_BYTES) == "a/b.txt"
    shown = previews.ending(f"{'漢' * 99}/b.txt", events.PATH_BYTES)
    assert shown.startswith("…漢")
    assert shown.endswith("漢/b.txt")
    assert len(json.dumps(shown)) - 2 <= events.PATH_BYTES


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
    """A text of a line is read in less than a millisecond."""
    outcome = Outcome(document_id="7", path="a.txt", status="completed", stage="done", seconds={"read": seconds})
    text = next(event for event in events.materializations("7", [outcome]) if event.asset_key == AssetKey("raw_text"))
    assert text.metadata["seconds"].value == shown


@pytest.mark.parametrize("status", ["completed", "accepted"])
def test_path_is_a_link_where_a_template_is_set(monkeypatch: pytest.MonkeyPatch, status: Literal["completed"]) -> None:
    """On the page of what was read; whatever a path or id has in it, the link leads to the host of the template."""
    outcome = Outcome(document_id="7/&8", path="a b/ü?#{id}.txt", status=status, stage="done")
    plain, *others = [event.metadata for event in events.materializations("7", [outcome])]
    assert plain["path"] == MetadataValue.path(outcome.path)
    assert not any("path" in metadata for metadata in others), "one page has it, and leaves the bytes to the others"
    monkeypatch.setattr(events, "SOURCE_URL", "https://files.example.com/{path}?id={id}")
    link = next(event.metadata["path"] for event in events.materializations("7", [outcome]))
    assert link == MetadataValue.url("https://files.example.com/a%20b/%C3%BC%3F%23%7Bid%7D.txt?id=7%2F%268")
    monkeypatch.setattr(events, "SOURCE_URL", "https://files.example.com/{path}?" + "a" * events.PATH_BYTES)
    shown = next(event.metadata["path"] for event in events.materializations("7", [outcome]))
    assert shown == plain["path"], "a part of a link leads nowhere"


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
