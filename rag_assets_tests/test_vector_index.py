"""The index of vectors: advised by number, version and memory; built beside writers; found by searches; dropped."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import psycopg2
import pytest

from rag_assets import upkeep
from rag_assets.errors import SettingsError
from rag_assets.postgres import conninfo, vector_index
from rag_assets.postgres.database import Database
from rag_assets.settings import Source
from rag_assets_tests import rows
from rag_assets_tests.homes import posix

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


def _advice(
    database: Database, model: str = MODEL, available: int = 1 << 34, from_rows: int = 1_000
) -> vector_index.Advice:
    with database.transaction() as cursor:
        facts = vector_index.get_facts(cursor, model)
    return vector_index.advise(facts, from_rows=from_rows, available_bytes=available)


def _no_progress(_line: str) -> None:
    """Nobody asked for it."""


@pytest.mark.parametrize(
    ("version", "rows", "dimension", "available", "kind"),
    [
        ("0.8.5", 49_999, 384, 1 << 33, "exact"),
        ("0.8.5", 50_000, 384, 1 << 33, "hnsw"),
        ("0.10.0", 50_000, 384, 1 << 33, "hnsw"),
        ("0.8.3", 500_000, 384, 1 << 33, "exact"),
        ("0.8.5", 500_000, 384, 1 << 30, "ivfflat"),
        ("0.8.5", 20_000_000, 384, 1 << 35, "ivfflat"),
        ("0.8.5", 20_000_000, 384, 1 << 40, "ivfflat"),
        ("0.8.5", 50_000, 4_001, 1 << 33, "exact"),
    ],
)
def test_kind_of_index_depends_on_rows_version_dimension_and_memory(
    version: str, rows: int, dimension: int, available: int, kind: str
) -> None:
    facts = vector_index.Facts(version=version, rows=rows, dimension=dimension, changes=0)
    advice = vector_index.advise(facts, from_rows=50_000, available_bytes=available)
    assert advice.kind == kind
    assert (version in advice.reason) == (version == "0.8.3")


def test_a_graph_is_built_among_more_neighbours_when_it_has_more_rows(database: Database, database_url: str) -> None:
    """Groups of near doubles are joined with the others; a small one is built as pgvector does by itself."""
    large = replace(_advice(database), rows=640_000)
    for advice, width in ((_advice(database), 64), (large, 160), (replace(large, rows=9_000_000), 200)):
        built = vector_index.build(database, MODEL, advice, progress=_no_progress)
        found = rows.execute(database_url, f"select reloptions from pg_class where relname = '{built.name}'")
        assert found == [([f"ef_construction={width}"],)]


def test_no_index_is_built_when_vectors_are_few(database: Database) -> None:
    with pytest.raises(SettingsError, match="2,000 vectors are compared one by one; an index is for 2,001 and more"):
        vector_index.build(database, MODEL, _advice(database, from_rows=2_001), progress=_no_progress)
    assert _advice(database, "no such model").kind == "exact"


@pytest.mark.parametrize("available", [1 << 34, 1 << 20], ids=["hnsw", "ivfflat"])
def test_searches_find_nearly_all_when_an_index_is_built(database: Database, available: int) -> None:
    """Either kind serves, beside vectors of another model; one takes the place of the other, and is dropped."""
    advice = _advice(database, available=available)
    built = vector_index.build(database, MODEL, advice, progress=_no_progress)
    assert (built.kind, built.is_valid) == (advice.kind, True)
    again = vector_index.build(database, MODEL, _advice(database), progress=_no_progress)
    assert again.kind == "hnsw"
    assert again.noted is not None
    assert (again.noted.rows, again.noted.size_bytes, again.noted.recall_at_10) == (2000, again.size_bytes, 1.0)
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


def test_an_index_that_is_not_whole_is_replaced_and_never_used(database: Database, database_url: str) -> None:
    """As a build leaves it that was broken off."""
    first = vector_index.build(database, MODEL, _advice(database), progress=_no_progress)
    rows.execute(database_url, f"update pg_index set indisvalid = false where indexrelid = '{first.name}'::regclass")
    with database.transaction() as cursor:
        left = vector_index.get(cursor, MODEL)
        assert left is not None
        assert not left.is_valid
        cursor.execute("select name from rag_vector_index(%s)", [MODEL])
        assert cursor.fetchall() == [(None,)]
    assert vector_index.build(database, MODEL, _advice(database), progress=_no_progress).is_valid


def test_writers_go_on_and_a_second_builder_is_refused_while_one_builds(database: Database, database_url: str) -> None:
    """An open transaction holds the build up until it ends; what it writes is in the index."""
    advice = _advice(database)
    built: list[vector_index.VectorIndex] = []
    with closing(psycopg2.connect(database_url)) as writer, writer.cursor() as cursor:
        cursor.execute("delete from rag_document_chunks where id = 1")
        thread = threading.Thread(
            target=lambda: built.append(vector_index.build(database, MODEL, advice, progress=_no_progress))
        )
        thread.start()
        building = "select count(*) from pg_stat_activity where pid <> pg_backend_pid() and query like '%using hnsw%'"
        while thread.is_alive() and rows.execute(database_url, building) == [(0,)]:
            time.sleep(0.02)
        with pytest.raises(SettingsError, match="Another program builds"):
            vector_index.drop(database, MODEL)
        assert upkeep.hindrance(database, rows=1) == "waits: another program builds or drops an index of vectors"
        cursor.execute("delete from rag_document_chunks where id = 2")
        writer.commit()
        thread.join(timeout=120)
    assert [one.is_valid for one in built] == [True]
    assert upkeep.hindrance(database, rows=1) == ""


@contextmanager
def _held_up(database_url: str) -> Iterator[None]:
    """A transaction is open that a build waits for."""
    with closing(psycopg2.connect(database_url)) as writer, writer.cursor() as cursor:
        cursor.execute("delete from rag_document_chunks where id = 1")
        yield


def test_the_old_index_serves_until_the_new_one_is_whole(database: Database, database_url: str) -> None:
    """Nobody compares all vectors meanwhile; then the old one is gone."""
    old = vector_index.build(database, MODEL, _advice(database), progress=_no_progress)
    built: list[vector_index.VectorIndex] = []
    serving = f"select name from rag_vector_index({psycopg2.extensions.adapt(MODEL)})"
    with _held_up(database_url):
        thread = threading.Thread(
            target=lambda: built.append(vector_index.build(database, MODEL, _advice(database), progress=_no_progress))
        )
        thread.start()
        building = "select count(*) from pg_class where relname like 'rag\\_vectors\\_%'"
        while thread.is_alive() and rows.execute(database_url, building) == [(1,)]:
            time.sleep(0.02)
        assert rows.execute(database_url, serving) == [(old.name,)]
    thread.join(timeout=120)
    [new] = built
    assert new.name != old.name
    assert rows.execute(database_url, serving) == [(new.name,)]
    assert rows.execute(database_url, building) == [(1,)]
    back = vector_index.build(database, MODEL, _advice(database), progress=_no_progress)
    assert back.name == old.name


def test_everything_is_as_it_was_when_a_build_is_broken_off(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Ctrl-C, or as Dagster ends a run: the old index serves, nothing is left of the new one, others may build."""
    monkeypatch.setattr(vector_index, "PROGRESS_SECONDS", 0.01)
    old = vector_index.build(database, MODEL, _advice(database), progress=_no_progress)

    def interrupt(_line: str) -> None:
        raise KeyboardInterrupt

    writer = psycopg2.connect(database_url)
    with closing(writer), writer.cursor() as cursor:
        cursor.execute("delete from rag_document_chunks where id = 1")
        monkeypatch.setattr(vector_index, "_drop_left", lambda *given: (writer.rollback(), drop_left(*given)))
        with pytest.raises(KeyboardInterrupt):
            vector_index.build(database, MODEL, _advice(database), progress=interrupt)
    with database.transaction() as cursor:
        assert [one.name for one in vector_index.get_all(cursor, MODEL)] == [old.name]
    assert upkeep.hindrance(database, rows=1) == ""


drop_left = vector_index._drop_left


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


def test_ingestion_and_migration_go_on_while_one_builds(database: Database, database_url: str) -> None:
    """Every command migrates first, which changes tables only where they are not yet as they should be."""
    with _held_up(database_url):
        thread = threading.Thread(
            target=lambda: vector_index.build(database, MODEL, _advice(database), progress=_no_progress)
        )
        thread.start()
        building = "select count(*) from pg_stat_activity where pid <> pg_backend_pid() and query like '%using hnsw%'"
        while thread.is_alive() and rows.execute(database_url, building) == [(0,)]:
            time.sleep(0.02)
        with closing(Database(database_url)) as other:
            assert other.migrate(Source(), dimension=4) == []
        rows.execute(database_url, "delete from rag_document_chunks where id = 3")
        assert thread.is_alive()
    thread.join(timeout=120)


def test_a_build_takes_what_the_server_may_have_when_it_needs_more(database: Database) -> None:
    built = vector_index.build(database, MODEL, replace(_advice(database), memory_bytes=1 << 50), progress=_no_progress)
    assert built.is_valid


@posix
def test_one_process_builds_when_the_server_has_no_room_for_memory_that_several_share(
    database: Database, database_url: str
) -> None:
    """As in a container, whose /dev/shm has 64 MB."""
    with closing(psycopg2.connect(database_url)) as connection, connection, connection.cursor() as cursor:
        for setting in ("max_parallel_maintenance_workers = 2", "min_parallel_table_scan_size = 0"):
            cursor.execute(f"alter database {connection.info.dbname} set {setting}")
    advice = replace(_advice(database), memory_bytes=shutil.disk_usage("/dev/shm").total + (1 << 30))
    told: list[str] = []
    with closing(Database(database_url)) as anew:
        built = vector_index.build(anew, MODEL, advice, progress=told.append)
    assert built.is_valid
    assert [line for line in told if "/dev/shm" in line] != []


@pytest.mark.parametrize(
    ("said", "is_shared"),
    [
        ('could not resize shared memory segment "/PostgreSQL.917504" to 67128448 bytes: No space left', True),
        ("konnte Größe des Shared-Memory-Segments »/PostgreSQL.917504« nicht auf 67128448 Bytes ändern", True),
        ('could not extend file "/srv/PostgreSQL.17/base/1/2": No space left on device', False),
        ('could not extend file "base/16384/24576": No space left on device', False),
    ],
)
def test_room_that_processes_share_is_told_from_a_disk_in_each_language(said: str, is_shared: bool) -> None:
    """Building alone helps only against the former; messages are in the language that the server was set to."""
    assert bool(vector_index.SHARED_SEGMENT.search(said)) is is_shared


def test_two_installations_search_their_own_when_one_is_where_the_extension_is(
    database: Database, database_url: str
) -> None:
    """Each has functions of the same names, and the second finds both, as pgvector is in the schema of the first."""
    database.create_schema("second")
    url = conninfo.as_libpq(database_url, schema="second,public")
    rows.execute(url, "create table second.documents (id bigint primary key, file_path text)")
    with closing(Database(url)) as second:
        second.migrate(Source(table="second.documents"), dimension=4)
        rows.execute(
            url,
            f"insert into rag_document_chunks ({NAMES}, embedding) select n, 0, 'a pump', n, 1, 0, 1, 'prose', 'm', "
            "array[random() - 0.5, random() - 0.5, random() - 0.5, random() - 0.5] from generate_series(1, 6000) as n",
        )
        built = vector_index.build(second, "m", _advice(second, "m"), progress=_no_progress)
    assert (built.recall_at_10 or 0) >= 0.9
    of_some = "(select array_agg(n::text) from generate_series(1, 3000) as n)"
    found = rows.execute(url, f"select document_id from rag_search('pump', k => 5, documents => {of_some})")
    assert [int(one) <= 3000 for (one,) in found] == [True] * 5
