"""The index of vectors: advised by number, version and memory; built beside writers; found by searches; dropped."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest

from rag_assets.errors import SettingsError
from rag_assets.postgres import vector_index
from rag_assets.postgres.database import Database
from rag_assets.settings import Source
from rag_assets_tests import rows

NAMES = "document_id, chunk_index, content, content_sha256, token_count, char_start, char_end, kind, embedding_model"
MODEL = 'it\'s a "model" of 100%s'


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """2,000 chunks of a model, and a few of another one with more dimensions."""
    with closing(psycopg2.connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("alter table rag_document_chunks disable trigger user")  # words do not matter here
        insert = f"insert into rag_document_chunks ({NAMES}, embedding) select n, 0, '', n, 1, 0, 1, 'prose', %s, "
        several = (
            "array[random() - 0.5, random() - 0.5, random() - 0.5, random() - 0.5] from generate_series(1, 2000) as n"
        )
        cursor.execute(insert.replace("%s", "%(m)s") + several, {"m": MODEL})
        cursor.execute(insert + "'[1,2,3,4,5]' from generate_series(1, 50) as n", ["another"])
    with closing(Database(database_url)) as made:
        yield made


def _advice(database: Database, model: str = MODEL, available: int = 1 << 34) -> vector_index.Advice:
    with database.transaction() as cursor:
        return vector_index.advise(cursor, model, available_bytes=available)


@pytest.mark.parametrize(
    ("version", "rows", "memory", "kind"),
    [
        ("0.8.5", vector_index.EXACT_ROWS - 1, 1 << 20, "exact"),
        ("0.8.5", vector_index.EXACT_ROWS, 1 << 20, "hnsw"),
        ("0.10.0", vector_index.EXACT_ROWS, 1 << 20, "hnsw"),
        ("0.8.3", 10 * vector_index.EXACT_ROWS, 1 << 20, "exact"),
        ("0.8.5", 10 * vector_index.EXACT_ROWS, 1 << 34, "ivfflat"),
    ],
)
def test_kind_of_index_depends_on_rows_version_and_memory(version: str, rows: int, memory: int, kind: str) -> None:
    advised, reason = vector_index._advised(version, rows, memory, 1 << 33)
    assert advised == kind
    assert (version in reason) == (version == "0.8.3")


def test_no_index_is_built_when_vectors_are_few(database: Database) -> None:
    with pytest.raises(SettingsError, match="2000 vectors are compared one by one"):
        vector_index.build(database, MODEL, _advice(database), progress=lambda _line: None)
    assert _advice(database, "no such model").kind == "exact"


@pytest.mark.parametrize("available", [1 << 34, 1 << 20], ids=["hnsw", "ivfflat"])
def test_searches_find_nearly_all_when_an_index_is_built(
    database: Database, monkeypatch: pytest.MonkeyPatch, available: int
) -> None:
    """Either kind serves, beside vectors of another model; one takes the place of the other, and is dropped."""
    monkeypatch.setattr(vector_index, "EXACT_ROWS", 1_000)
    advice = _advice(database, available=available)
    built = vector_index.build(database, MODEL, advice, progress=lambda _line: None)
    assert (built.kind, built.is_valid) == (advice.kind, True)
    again = vector_index.build(database, MODEL, _advice(database), progress=lambda _line: None)
    assert again.kind == "hnsw"
    with database.transaction() as cursor:
        cursor.execute("select name, kind, written from rag_vector_index(%s)", [MODEL])
        assert cursor.fetchall() == [(again.name, "hnsw", "halfvec(4)")]
        share = vector_index.recall(cursor, MODEL)
        assert share is not None
        assert share >= 0.9
        assert vector_index.recall(cursor, "no such model") is None
        assert vector_index.get(cursor, "another") is None
    assert vector_index.drop(database, MODEL) == 1
    assert vector_index.drop(database, MODEL) == 0


def test_an_index_that_is_not_whole_is_replaced_and_never_used(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a build leaves it that was broken off."""
    monkeypatch.setattr(vector_index, "EXACT_ROWS", 1_000)
    first = vector_index.build(database, MODEL, _advice(database), progress=lambda _line: None)
    rows.execute(database_url, f"update pg_index set indisvalid = false where indexrelid = '{first.name}'::regclass")
    with database.transaction() as cursor:
        left = vector_index.get(cursor, MODEL)
        assert left is not None
        assert not left.is_valid
        cursor.execute("select name from rag_vector_index(%s)", [MODEL])
        assert cursor.fetchall() == [(None,)]
    assert vector_index.build(database, MODEL, _advice(database), progress=lambda _line: None).is_valid


def test_writers_go_on_and_a_second_builder_is_refused_while_one_builds(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open transaction holds the build up until it ends; what it writes is in the index."""
    monkeypatch.setattr(vector_index, "EXACT_ROWS", 1_000)
    advice = _advice(database)
    built: list[vector_index.VectorIndex] = []
    with closing(psycopg2.connect(database_url)) as writer, writer.cursor() as cursor:
        cursor.execute("delete from rag_document_chunks where id = 1")
        thread = threading.Thread(
            target=lambda: built.append(vector_index.build(database, MODEL, advice, progress=lambda _line: None))
        )
        thread.start()
        building = "select count(*) from pg_stat_activity where pid <> pg_backend_pid() and query like '%using hnsw%'"
        while thread.is_alive() and rows.execute(database_url, building) == [(0,)]:
            time.sleep(0.02)
        with pytest.raises(SettingsError, match="Another program builds"):
            vector_index.drop(database, MODEL)
        cursor.execute("delete from rag_document_chunks where id = 2")
        writer.commit()
        thread.join(timeout=120)
    assert [one.is_valid for one in built] == [True]


def test_vectors_lie_in_their_row_when_tables_are_made(database_url: str) -> None:
    """Also where the extension was dropped with them: beside the row, each comparison would look a vector up."""
    storage = (
        "select attstorage from pg_attribute where attrelid = 'rag_document_chunks'::regclass and attname = 'embedding'"
    )
    assert rows.execute(database_url, storage) == [("m",)]
    rows.execute(database_url, "drop extension vector cascade")
    with closing(Database(database_url)) as made:
        made.migrate(Source(), dimension=4)
    assert rows.execute(database_url, storage) == [("m",)]
