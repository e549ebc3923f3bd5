"""Dagster's UI tells each document's story: a backfill, a failure and its mending, by clicks in a real Chromium."""

from pathlib import Path

from rag_assets_tests.e2e import story


def test_a_corpus_is_backfilled_read_and_mended_by_clicks(tmp_path: Path, model_path: Path) -> None:
    """Missing partitions are ingested, a failure says why, is mended and green, and a run of the CLI is repeated."""
    (tmp_path / "home").mkdir()
    with story.opened(tmp_path / "home", tmp_path / "documents") as (person, ids):
        story.story(person, ids, tmp_path / "documents")
