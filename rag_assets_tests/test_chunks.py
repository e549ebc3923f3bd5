"""A document's chunks and vectors are written by difference, completely or not at all."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from rag_assets import settings
from rag_assets.errors import EmbeddingError, MissingVectors
from rag_assets.model import Claim, ReadDocument
from rag_assets.postgres import chunks, outbox
from rag_assets.postgres.chunks import WriteCounts
from rag_assets.postgres.database import Database
from rag_assets_tests import rows

SOURCE = settings.Source()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        yield database


def test_write_document_keeps_rows_and_vectors_when_chunks_moved(database: Database) -> None:
    """Only what is new is inserted and what is gone deleted; what moved keeps its id, wherever it went."""
    claim = _claim(database)
    assert _write(database, claim, "a", "b", "c") == WriteCounts(kept=0, reused=0, embedded=3, deleted=0)
    before = _rows(database)
    assert _write(database, claim, "new", "c", "a") == WriteCounts(kept=2, reused=0, embedded=1, deleted=1)
    after = _rows(database)
    assert [row["content"] for row in after] == ["new", "c", "a"]
    assert [row["chunk_index"] for row in after] == [0, 1, 2]
    ids = {row["content"]: row["id"] for row in before}
    assert [after[1]["id"], after[2]["id"]] == [ids["c"], ids["a"]]
    assert [row["char_start"] for row in after] == [0, 3, 4]


def test_write_document_touches_no_row_when_nothing_changed(database: Database) -> None:
    """The same document again updates no chunk: bookkeeping must not rewrite vectors."""
    claim = _claim(database)
    _write(database, claim, "a", "b")
    before = _rows(database)
    assert _write(database, claim, "a", "b", given=()) == WriteCounts(kept=2, reused=0, embedded=0, deleted=0)
    assert _rows(database) == before


def test_write_document_stores_the_vectors_exactly_when_they_are_given(database: Database) -> None:
    """float32 in, the same float32 out."""
    _write(database, _claim(database), "a")
    (stored,) = _sql(database, "select embedding::text from rag_document_chunks")
    assert np.array_equal(np.array(stored[0].strip("[]").split(","), dtype=np.float32), rows.vector("a"))


def test_write_document_copies_vectors_when_another_document_has_them(database: Database) -> None:
    """The same words in another document need no embedding."""
    first, second = _claims(database, 2)
    _write(database, first, "a", "b")
    assert _write(database, second, "b", "c", given=("c",)) == WriteCounts(kept=0, reused=1, embedded=1, deleted=0)
    assert _sql(database, "select count(distinct embedding::text), count(*) from rag_document_chunks") == [(3, 4)]


def test_write_document_handles_the_same_words_when_they_stand_in_it_twice(database: Database) -> None:
    """Each occurrence is a chunk; losing one of them deletes one row."""
    claim = _claim(database)
    assert _write(database, claim, "a", "a", "a").embedded == 3
    assert _write(database, claim, "a", "b", "a") == WriteCounts(kept=2, reused=0, embedded=1, deleted=1)
    assert [row["content"] for row in _rows(database)] == ["a", "b", "a"]


def test_write_document_embeds_anew_when_the_model_changed(database: Database) -> None:
    """Vectors of another model are neither kept nor reused."""
    claim = _claim(database)
    _write(database, claim, "a")
    with database.transaction() as cursor:
        assert chunks.missing_vectors(cursor, [rows.sha256("a")], model="other") == {rows.sha256("a")}
    assert _write(database, claim, "a", model="other").embedded == 1
    assert _sql(database, "select embedding_model from rag_document_chunks") == [("other",)]


def test_write_document_raises_missing_vectors_when_a_stored_one_has_gone(database: Database) -> None:
    """Nothing is written; the pipeline can embed what is named and try again."""
    claim = _claim(database)
    _write(database, claim, "a")
    with pytest.raises(MissingVectors) as caught:
        _write(database, claim, "b", "c", given=("c",))
    assert caught.value.hashes == {rows.sha256("b")}
    assert [row["content"] for row in _rows(database)] == ["a"]


@pytest.mark.parametrize("scale", [0.0, 2.0])
def test_write_document_refuses_when_a_vector_is_not_valid(database: Database, scale: float) -> None:
    """A vector that is not of length 1 never counts as completed, and leaves nothing behind."""
    vectors = {rows.sha256("a"): rows.vector("a") * scale}
    claim = _claim(database)
    with pytest.raises(EmbeddingError, match="1 chunk cut, 1 stored, 0 with a valid"):
        _write_read(database, claim, rows.read("a"), vectors=vectors)
    assert _rows(database) == []


def test_write_document_refuses_when_a_vector_is_not_finite_or_of_another_dimension(database: Database) -> None:
    """NaN, infinity and a wrong dimension are errors of the embedder that name the document."""
    claim = _claim(database)
    wrong = [
        np.full(rows.DIMENSION, np.nan, np.float32),
        np.full(rows.DIMENSION, np.inf, np.float32),
        np.ones(3, np.float32),
    ]
    for vector in wrong:
        with pytest.raises(EmbeddingError, match=f"Document {claim.document_id}"):
            _write_read(database, claim, rows.read("a"), vectors={rows.sha256("a"): vector})


@pytest.mark.parametrize("count", [0, 1, 450])
def test_write_document_stores_all_chunks_when_there_are_none_or_many(database: Database, count: int) -> None:
    """Also a document without chunks is stored: it has its text row."""
    contents = [f"chunk {n}" for n in range(count)]
    claim = _claim(database)
    _write(database, claim, *contents)
    assert [row["content"] for row in _rows(database)] == contents
    assert _sql(database, "select chunk_count from rag_document_text") == [(count,)]


def test_write_document_stores_what_sql_could_misread_when_the_text_holds_it(database: Database) -> None:
    """Percent signs, braces, quotes, backslashes, emoji: words are never SQL."""
    strange = "100 % {x} %s %(y)s 'q' \"d\" \\ \U0001f600 ; drop table"
    _write(database, _claim(database), strange)
    assert [row["content"] for row in _rows(database)] == [strange]


def test_delete_document_removes_text_and_chunks_when_the_row_is_gone(database: Database) -> None:
    """Nothing of a vanished document stays, and nothing of others goes."""
    first, second = _claims(database, 2)
    _write(database, first, "a", "b")
    _write(database, second, "b")
    with database.transaction() as cursor:
        assert chunks.delete_document(cursor, first.document_id) == 2
    assert {row["document_id"] for row in _rows(database)} == {second.document_id}
    assert _sql(database, "select document_id from rag_document_text") == [(second.document_id,)]


def _write(
    database: Database, claim: Claim, *contents: str, given: tuple[str, ...] | None = None, model: str = rows.MODEL
) -> WriteCounts:
    """Write these chunks, with vectors for all of them that are not stored, or for those given."""
    vectors = rows.vectors(*(contents if given is None else given))
    return _write_read(database, claim, rows.read(*contents), vectors=vectors, model=model)


def _write_read(
    database: Database, claim: Claim, read: ReadDocument, *, vectors: Any, model: str = rows.MODEL
) -> WriteCounts:
    with database.transaction() as cursor:
        return chunks.write_document(
            cursor, claim.document_id, read, path=claim.path, vectors=vectors, model=model, dimension=rows.DIMENSION
        )


def _claim(database: Database) -> Claim:
    return _claims(database, 1)[0]


def _claims(database: Database, count: int) -> list[Claim]:
    with database.transaction() as cursor:
        cursor.execute(f"""insert into "TblDocumentFiles" (file_path) select 'f' from generate_series(1, {count})""")
    with database.transaction() as cursor:
        return outbox.claim_due(cursor, SOURCE, limit=count, claimed_by="run:a", seconds=600)


def _rows(database: Database) -> list[dict[str, Any]]:
    names = ("id", "document_id", "chunk_index", "content", "char_start", "xmin")
    found = _sql(
        database,
        "select id, document_id, chunk_index, content, char_start, xmin::text from rag_document_chunks "
        "order by document_id, chunk_index",
    )
    return [dict(zip(names, row, strict=True)) for row in found]


def _sql(database: Database, statement: str) -> list[tuple[Any, ...]]:
    return rows.execute(database.url, statement)
