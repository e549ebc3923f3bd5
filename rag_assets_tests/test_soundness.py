"""Looks at what is stored: each passes while all is well, and names its fault, the documents and what mends them."""

import pytest

from rag_assets import soundness
from rag_assets.errors import ServerFailedToStart
from rag_assets.soundness import Look
from rag_assets_tests.application import WORDS, Application, HashEmbedder

LOOKS = (
    soundness.texts,
    soundness.failed,
    soundness.owners,
    soundness.coverage,
    soundness.vectors,
    soundness.waiting,
    soundness.canaries,
)
ZERO = "(select array_agg(0)::vector from generate_series(1, 384))"
FAULTS = [  # the look that finds it, what is done, what is said
    (soundness.texts, "update rag_document_text set content = ''", "1 text is empty (of the documents 1): rag-assets"),
    (soundness.texts, "delete from rag_document_chunks", "1 text has not all of the chunks that were cut"),
    (
        soundness.texts,
        "delete from rag_document_chunks where chunk_index = 0",
        "rag-assets reconcile has them read anew",
    ),
    (soundness.coverage, "delete from rag_document_chunks", "1 document has no chunks and is not pending (of the"),
    (
        soundness.owners,
        "update rag_document_chunks set document_id = '77' where chunk_index = 0",
        "1 chunk is of no document of TblDocumentFiles (of the documents 77): rag-assets reconcile",
    ),
    (
        soundness.vectors,
        "update rag_document_chunks set embedding = '[1, 0]' where chunk_index = 0",
        "1 vector has not 384 numbers (of the documents 1): rag-assets reembed --where vectors=wrong.",
    ),
    (
        soundness.vectors,
        f"update rag_document_chunks set embedding = {ZERO} where chunk_index = 0",
        "1 vector is zero or not of length 1 (of the documents 1): rag-assets reembed --where vectors=wrong.",
    ),
    (
        soundness.vectors,
        "update rag_document_chunks set embedding_model = 'another' where chunk_index = 1",
        "1 vector is not of all-MiniLM-L6-v2 (of the documents 1): rag-assets reembed --where model=NAME, with",
    ),
    (
        soundness.vectors,
        "insert into rag_serving (model) values ('another')",
        "Searches compare with the vectors of a",
    ),
    (
        soundness.canaries,
        f"update rag_document_chunks set embedding = {ZERO} where chunk_index = 0",
        "did not find it first, for 1 of 2 chunks: rag-assets reembed --where vectors=wrong, then rag-assets index",
    ),
]


@pytest.fixture
def indexed(application: Application) -> Application:
    """A document of two chunks, and nothing to do."""
    application.add("a.txt", *WORDS[:2])
    application.run()
    return application


def words(look: Look, application: Application) -> tuple[str, ...]:
    """What a look finds wrong."""
    return look(application.database, application.settings).faults


def test_looks_find_nothing_where_all_is_well(indexed: Application) -> None:
    """Neither in an index with documents, nor in one that is empty; what is well is said, too."""
    verdicts = [look(indexed.database, indexed.settings) for look in LOOKS]
    assert [verdict.faults for verdict in verdicts] == [()] * len(LOOKS)
    assert [verdict.words for verdict in verdicts] == [
        "The one text has its chunks.",
        "0 of 1 document could not be read (0.0%).",
        "Each of 2 chunks is of a document of the table.",
        "1 of 1 document can be found; the others are pending, failed or accepted.",
        "Each of 2 chunks has its vector of all-MiniLM-L6-v2, 384 numbers.",
        "Nothing waits.",
        "A search for the vector of a chunk finds it first.",
    ]
    indexed.remove("1")
    indexed.run()
    assert [words(look, indexed) for look in LOOKS] == [()] * len(LOOKS)


@pytest.mark.parametrize(("look", "fault", "said"), FAULTS)
def test_look_finds_its_fault(indexed: Application, look: Look, fault: str, said: str) -> None:
    """And says what it is, of which documents, and which command mends it; what is pending has none."""
    indexed.sql(fault)
    [found] = words(look, indexed)
    assert said in found
    if look is soundness.canaries or "rag_serving" in fault:
        return
    for document_id in ("1", "77"):
        indexed.change(document_id)
    assert words(look, indexed) == ()


def test_look_at_failures_finds_many(indexed: Application) -> None:
    """Of the share that is set, not each of them; accepted ones are none."""
    for name in ("b.txt", "c.txt"):
        indexed.write(name)
        indexed.add_row(name)
    indexed.run()
    [found] = words(soundness.failed, indexed)
    assert found.startswith("2 of 3 documents could not be read (66.7%): rag-assets status says why;")
    indexed.sql("update rag_outbox set state = 'accepted'")
    assert words(soundness.failed, indexed) == ()


def test_look_at_what_waits_finds_that_nobody_works(indexed: Application) -> None:
    """Where somebody does, it may wait long: as in the middle of a large backfill."""
    indexed.add("b.txt", *WORDS)
    assert words(soundness.waiting, indexed) == ()
    indexed.pending()
    indexed.sql("update rag_outbox set enqueued_at = now() - interval '3 hours'")
    assert words(soundness.waiting, indexed) == ()
    indexed.sql("update rag_ingestion_log set logged_at = now() - interval '1 hour'")
    [found] = words(soundness.waiting, indexed)
    assert found.startswith("1 document is due, the first for 180 minutes, and nobody worked on any for 60: is `rag-as")
    assert "rag-assets up" in found
    indexed.sql("update rag_outbox set error_kind = 'not_found', not_before = now() + interval '1 minute'")
    assert words(soundness.waiting, indexed) == ()


def test_much_is_looked_at_by_samples(indexed: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more rows than a look takes, pages that chance chooses; the server has to know that there are many."""
    indexed.sql(
        "insert into rag_document_chunks (document_id, chunk_index, content, content_sha256, token_count, char_start,"
        " char_end, heading_path, kind, embedding, embedding_model)"
        " select document_id, n, content, content_sha256, token_count, char_start, char_end, heading_path, kind,"
        " embedding, embedding_model from rag_document_chunks, generate_series(2, 800) as n where chunk_index = 0"
    )
    indexed.sql("analyze rag_document_chunks")
    assert soundness.vectors(indexed.database, indexed.settings).numbers["vectors"] == 801
    monkeypatch.setattr("rag_assets.postgres.soundness.SAMPLED_CHUNKS", 80)
    sizes = [soundness.vectors(indexed.database, indexed.settings).numbers["vectors"] for _ in range(20)]
    assert 0 < max(sizes) < 801


def _no_engine() -> None:
    raise ServerFailedToStart("No llama-server.")


def test_look_at_what_waits_finds_that_runs_fail(indexed: Application) -> None:
    """For want of an engine: one that has just begun works on nothing yet; one that is at it for long does."""
    indexed.add("b.txt", *WORDS)
    indexed.pending()
    indexed.sql("update rag_outbox set enqueued_at = now() - interval '3 hours'")
    indexed.sql("update rag_ingestion_log set logged_at = now() - interval '1 hour'")
    with pytest.raises(ServerFailedToStart):
        indexed.run(embedder=HashEmbedder(meanwhile=_no_engine))
    indexed.sql("insert into rag_runs (run_id) values ('next')")
    [found] = words(soundness.waiting, indexed)
    assert "nobody worked on any for 60: the last run could not do its work. The embedding server failed" in found
    indexed.sql("update rag_runs set started_at = now() - interval '10 minutes'")
    assert words(soundness.waiting, indexed) == ()
