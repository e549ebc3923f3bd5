"""Questions and their documents are read from a folder, and measured by mode."""

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from rag_assets import evaluation, settings
from rag_assets.errors import SettingsError
from rag_assets.services import Services
from rag_assets_tests import rows
from rag_assets_tests.application import HashEmbedder, paragraph


class Questioner(HashEmbedder):
    """Asked with the words of a text, it gives that text's vector."""

    def embed_query(self, text: str) -> Sequence[float]:
        return [float(value) for value in rows.vector(text)]

    def close(self) -> None:
        """Nothing was started."""


def test_measures_are_those_of_the_books_when_documents_are_ranked() -> None:
    """nDCG with a logarithmic discount, recall of all that is relevant, and the first hit's place."""
    relevant = {"a": 1.0, "b": 1.0}
    assert evaluation.ndcg(["a", "b"], relevant) == 1
    assert evaluation.ndcg(["x", "a"], {"a": 1.0}) == pytest.approx(0.6309, abs=1e-4)
    assert evaluation.recall(["x", "a"], relevant) == 0.5
    assert evaluation.reciprocal_rank(["x", "a"], relevant) == 0.5
    assert evaluation.reciprocal_rank(["x"], relevant) == 0


def test_bounds_hold_the_mean_when_questions_are_drawn_anew() -> None:
    """The same each time, and closer the more agree."""
    found = evaluation.quality("text", [(["a"], {"a": 1.0})] * 8 + [(["x"], {"a": 1.0})] * 2)
    assert found == evaluation.quality("text", [(["a"], {"a": 1.0})] * 8 + [(["x"], {"a": 1.0})] * 2)
    assert found.ndcg_low < found.ndcg_at_10 < found.ndcg_high
    assert evaluation.quality("text", [(["a"], {"a": 1.0})] * 10).ndcg_low == 1


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "queries.jsonl"),
        ({"queries.jsonl": '{"_id": "1", "text": "why"}'}, "test.tsv"),
        ({"queries.jsonl": "no json", "qrels/test.tsv": "query-id\tcorpus-id\tscore\n1\t2\t1"}, "line 1"),
        ({"a.csv": "q,d\n1,2\n"}, "question and document"),
        ({"a.csv": "question,document\n"}, "no row"),
    ],
)
def test_a_folder_is_refused_when_something_is_missing(tmp_path: Path, files: dict[str, str], said: str) -> None:
    """With what it needs."""
    _write(tmp_path, files)
    with pytest.raises(SettingsError, match=said):
        evaluation.read(tmp_path)


def test_a_corpus_is_measured_beside_the_index_when_it_comes_along(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_path: Path
) -> None:
    """In a schema of its own that is gone afterwards; the index keeps what it has."""
    corpus = {"d1": paragraph("pumps"), "d2": paragraph("roses"), "d3": paragraph("taxes")}
    asked = {"q1": paragraph("pumps").strip(), "q2": "roses"}
    _write(
        tmp_path / "folder",
        {
            "corpus.jsonl": "\n".join(
                json.dumps({"_id": key, "title": "", "text": text}) for key, text in corpus.items()
            ),
            "queries.jsonl": "\n".join(json.dumps({"_id": key, "text": text}) for key, text in asked.items()),
            "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\nq2\td3\t0\n",
        },
    )
    monkeypatch.setattr(Services, "model_path", model_path)
    configured = settings.load(home=tmp_path / "home", database_url=database_url)
    questions = evaluation.read(tmp_path / "folder")
    with closing(Services(configured, embedder=Questioner())) as services:
        found = {one.mode: one for one in evaluation.evaluate(services, questions)}
    assert found["text"].ndcg_at_10 == 1
    assert found["text"].mrr == 1
    assert found["hybrid"].recall_at_100 == found["vector"].recall_at_100 == 1
    assert found["hybrid"].questions == 2
    assert rows.execute(database_url, "select count(*) from rag_document_chunks") == [(0,)]
    assert rows.execute(database_url, "select nspname from pg_namespace where nspname like 'rag_evaluate%'") == []


def _write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
