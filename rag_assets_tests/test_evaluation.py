"""Questions and their documents are read from a folder, and measured by mode."""

import json
import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from rag_assets import evaluation, operations, settings
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
        ({"queries.jsonl": '{"text": "why"}', "qrels/test.tsv": "query-id\tcorpus-id\tscore\n1\t2\t1"}, "`_id`"),
        ({"queries.jsonl": "[1]", "qrels/test.tsv": "query-id\tcorpus-id\tscore\n1\t2\t1"}, "line 1"),
        ({"queries.jsonl": "", "qrels/test.tsv": "query-id\tcorpus-id\tscore\n1\t2\tmuch"}, "line 2.*score"),
        ({"queries.jsonl": "", "qrels/test.tsv": "query-id\tscore\n1\t1"}, "line 2.*corpus-id"),
        ({"a.csv": "q,d\n1,2\n"}, "question and document"),
        ({"a.csv": "question,document\n"}, "no row"),
    ],
)
def test_a_folder_is_refused_when_something_is_missing(tmp_path: Path, files: dict[str, str], said: str) -> None:
    """With what it needs."""
    _write(tmp_path, files)
    with pytest.raises(SettingsError, match=said):
        evaluation.read(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="FIFOs are POSIX")
@pytest.mark.parametrize("name", ["questions.csv", "corpus.jsonl"])
def test_a_fifo_in_the_folder_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    """Nor is a corpus passed over that is one."""
    if name == "corpus.jsonl":
        (tmp_path / "qrels").mkdir()
        (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
        (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "?"}\n')
    os.mkfifo(tmp_path / name)
    with pytest.raises(SettingsError, match="it is a folder, pipe or device"):
        evaluation.read(tmp_path)


def test_a_corpus_is_measured_beside_the_index_when_it_comes_along(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_path: Path
) -> None:
    """In a schema of its own that is gone afterwards; the index, which has documents, keeps what it has."""
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
        operations.create_table(services)
        operations.migrate(services)
        rows.execute(
            database_url,
            "insert into rag_document_text (document_id, path, sha256, size_bytes, mtime_ns, media_type, parser, "
            "content, fingerprint, embedding_model) "
            "values ('7', 'a.md', '', 0, 0, 'text/plain', 'plain', '', '', 'm') returning 1",
        )
        found = {one.mode: one for one in evaluation.evaluate(services, questions)}
    assert rows.execute(database_url, "select document_id from rag_document_text") == [("7",)]
    assert found["text"].ndcg_at_10 == 1
    assert found["text"].mrr == 1
    assert found["hybrid"].recall_at_100 == found["vector"].recall_at_100 == 1
    assert found["hybrid"].questions == 2
    assert rows.execute(database_url, "select count(*) from rag_document_chunks") == [(0,)]
    assert rows.execute(database_url, "select nspname from pg_namespace where nspname like 'rag_evaluate%'") == []


def test_documents_that_are_not_there_are_named_when_questions_name_them(database_url: str, tmp_path: Path) -> None:
    """None of them can be found: without a word, search would look bad for what is missing from the index."""
    named = ["7", "sub/a.md", "b.md", "c", "gone.md", "x%_'\\\\"]
    _write(
        tmp_path / "folder", {"q.csv": "question,document\n" + "".join(f'q{n},"{d}"\n' for n, d in enumerate(named))}
    )
    for id_, path in (("7", "sub/seven.md"), ("8", "sub/a.md"), ("9", "D:\\docs\\b.md"), ("10", "sub/c.txt")):
        rows.execute(
            database_url,
            "insert into rag_document_text (document_id, path, sha256, size_bytes, mtime_ns, media_type, parser, "
            f"content, fingerprint, embedding_model) values ('{id_}', '{path}', '', 0, 0, '', '', '', '', 'm')",
        )
    configured = settings.load(home=tmp_path / "home", database_url=database_url)
    unknown: list[str] = []
    with closing(Services(configured, embedder=Questioner())) as services:
        found = list(evaluation.evaluate(services, evaluation.read(tmp_path / "folder"), unknown=unknown))
    assert unknown == ["gone.md", named[-1]]
    assert {one.unknown_documents for one in found} == {2}


def test_a_key_of_a_corpus_is_no_path_when_it_looks_like_one(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_path: Path
) -> None:
    """A folder from elsewhere writes nothing but into the scratch folder, and its documents are found by their keys."""
    keys = ["../../outside", str(tmp_path / "absolute"), "with\nnewline", "x" * 300]
    corpus = [
        {"_id": key, "text": paragraph(word)}
        for key, word in zip(keys, ("pumps", "roses", "taxes", "owls"), strict=True)
    ]
    _write(
        tmp_path / "folder",
        {
            "corpus.jsonl": "\n".join(map(json.dumps, corpus)),
            "queries.jsonl": "\n\n" + json.dumps({"_id": "q1", "text": "pumps"}) + "\n",
            "qrels/test.tsv": f"query-id\tcorpus-id\tscore\nq1\t{keys[0]}\t1\n",
        },
    )
    monkeypatch.setattr(Services, "model_path", model_path)
    configured = settings.load(home=tmp_path / "home", database_url=database_url)
    before = sorted(tmp_path.rglob("*.md"))
    with closing(Services(configured, embedder=Questioner())) as services:
        found = {one.mode: one for one in evaluation.evaluate(services, evaluation.read(tmp_path / "folder"))}
    assert found["text"].mrr == 1
    assert sorted(tmp_path.rglob("*.md")) == before


def _write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
