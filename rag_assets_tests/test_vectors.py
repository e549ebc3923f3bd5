"""Stored vectors that are not the model's are found, and made anew wherever they are reused."""

import numpy as np
import pytest
from pgvector import Vector

from rag_assets import vectors
from rag_assets.embedding import known
from rag_assets.errors import SettingsError
from rag_assets.postgres import chunks
from rag_assets.postgres.chunks import Selection
from rag_assets_tests import rows
from rag_assets_tests.application import Application, HashEmbedder

MODEL = "all-MiniLM-L6-v2"
WRONG = "update rag_document_chunks set embedding = (select embedding from rag_document_chunks order by id limit 1)"


def _embed(texts: list[str]) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    return np.array([rows.vector(text) for text in texts], dtype=np.float32)


@pytest.fixture
def indexed(application: Application) -> Application:
    """Three documents, of which two share a paragraph."""
    for name, about in (("a", ("pumps", "roses")), ("b", ("roses", "taxes")), ("c", ("violins",))):
        application.add(f"{name}.txt", *about)
    application.run()
    assert application.pending() == []
    return application


def test_sample_finds_vectors_that_are_not_the_models(indexed: Application) -> None:
    """All is well; then a stranger's constant vector is stored with all but one of the chunks."""
    assert vectors.sample(indexed.database, MODEL, _embed).wrong == 0
    indexed.sql(WRONG)
    found = vectors.sample(indexed.database, MODEL, _embed, count=200)
    assert (found.compared, found.wrong) == (5, 4)
    assert found.least < known.SAME_MODEL


def test_vectors_of_another_length_are_wrong(indexed: Application) -> None:
    """Of the right direction and twice as long, or zero: searches by an index compare by inner product."""
    for wrong in ("embedding + embedding", "embedding - embedding"):
        indexed.sql(f"update rag_document_chunks set embedding = {wrong} where content like '%violins%'")
        marked = vectors.distrust_wrong(indexed.database, Selection(), model=MODEL, embed=_embed)
        assert marked == vectors.Marked(chunks=1, documents=("3",))
        assert indexed.run()["3"].status == "completed"
        assert vectors.sample(indexed.database, MODEL, _embed, count=200).wrong == 0


def test_only_wrong_vectors_are_made_anew_when_they_are_asked_for(indexed: Application) -> None:
    """Each stored one is compared; the next run embeds those and no others, and the index is right again."""
    indexed.sql(f"{WRONG} where content like '%violins%'")
    marked = vectors.distrust_wrong(indexed.database, Selection(), model=MODEL, embed=_embed)
    assert marked == vectors.Marked(chunks=1, documents=("3",))
    embedder = HashEmbedder()
    assert indexed.run(embedder=embedder)["3"].status == "completed"
    assert [text for text in embedder.texts if "violins" not in text] == []
    assert all(indexed.stored(document_id) for document_id in "123")


def test_vector_is_made_anew_in_every_document_when_it_is_reused(indexed: Application) -> None:
    """Asked for one document: where the other has the same words, its vector is neither kept nor taken from there."""
    negative = "embedding - embedding - embedding"
    indexed.sql(f"update rag_document_chunks set embedding = {negative} where content like '%roses%'")
    marked = vectors.distrust(indexed.database, Selection(ids=["1"]))
    assert marked == vectors.Marked(chunks=3, documents=("1", "2"))
    with indexed.database.transaction() as cursor:
        assert len(chunks.missing_vectors(cursor, _hashes(indexed, "1"), model=MODEL)) == 2
    embedder = HashEmbedder()
    outcomes = indexed.run(embedder=embedder)
    assert {one.status for one in outcomes.values()} == {"completed"}
    assert len(embedder.texts) == 2  # the shared words once
    assert all(indexed.stored(document_id) for document_id in "123")
    assert indexed.sql("select count(*) from rag_document_chunks where distrusted") == [(0,)]


def test_document_is_not_unchanged_while_a_vector_of_it_is_distrusted(indexed: Application) -> None:
    """Also where its place in the outbox was lost; reconciliation makes it pending."""
    vectors.distrust(indexed.database, Selection(ids=["3"]))
    indexed.sql("delete from rag_outbox")
    indexed.change("3")
    assert indexed.run()["3"].chunks_embedded == 1


def test_distrusted_vector_is_not_reused_when_it_is_marked_meanwhile(indexed: Application) -> None:
    """A run that counted on a stored vector embeds the words itself."""
    indexed.add("d.txt", "violins")

    def mark() -> None:
        vectors.distrust(indexed.database, Selection(ids=["3"]))

    indexed.add("e.txt", "trains")
    embedder = HashEmbedder(meanwhile=mark)
    indexed.run(embedder=embedder)
    assert sum("violins" in text for text in embedder.texts) == 1
    assert indexed.stored("4")


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["model=all-MiniLM-L6-v2"], {"1", "2", "3"}),
        (["model=another"], set()),
        (["after=2000-01-01", "before=2100-01-01T12:00"], {"1", "2", "3"}),
        (["before=2000-01-01"], set()),
        (["run=1", "path=c*"], {"3"}),
        (["path=_.txt"], set()),
        (["run=another"], set()),
    ],
)
def test_where_selects_what_it_says(indexed: Application, conditions: list[str], expected: set[str]) -> None:
    selection, is_wrong = vectors.selection([], conditions)
    assert not is_wrong
    assert set(vectors.distrust(indexed.database, selection).documents) == expected


@pytest.mark.parametrize(
    "conditions",
    [["size=3"], ["model"], ["model="], ["after=yesterday"], ["vectors=good"], ["model=a", "model=b"], ["1=1; drop"]],
)
def test_where_refuses_what_it_does_not_know(conditions: list[str]) -> None:
    with pytest.raises(SettingsError, match="--where"):
        vectors.selection([], conditions)


def test_index_remembers_the_first_use_of_a_model_until_all_of_it_is_distrusted(indexed: Application) -> None:
    """Then its next use is a first one: what was stored and remembered may both have been wrong."""
    indexed.sql("update rag_document_chunks set embedding_model = 'mine'")
    index = vectors.IndexMemory(lambda: indexed.database)
    now = _embed(list(known.TEXTS))
    assert index.recall("mine") is None
    assert (least := index.verify("mine", _embed)) is not None
    assert least > 0.999
    index.remember("mine", now)
    index.remember("mine", -now)
    recalled = index.recall("mine")
    assert recalled is not None
    assert np.allclose(recalled, now)
    vectors.distrust(indexed.database, Selection(ids=["3"], model="mine"))
    assert index.recall("mine") is not None
    vectors.distrust(indexed.database, Selection(model="mine"))
    assert index.recall("mine") is None
    assert index.verify("mine", _embed) is None


def test_text_is_known_again_when_headings_were_embedded_before_it() -> None:
    """`chunking.heading_context`: its hash tells which of the headings."""
    for text in ("words", "Top > Inner\n\nwords", "Inner\n\nwords", "Top\n\nwords"):
        stored = chunks.StoredVector(
            id=1,
            content="words",
            heading_path=("Top", "Inner"),
            content_sha256=vectors._sha256(text),
            embedding=Vector([1.0]),
        )
        assert vectors._embedded_text(stored) == text


def _hashes(application: Application, document_id: str) -> list[str]:
    return [
        sha
        for (sha,) in application.sql(
            f"select content_sha256 from rag_document_chunks where document_id = '{document_id}'"
        )
    ]
