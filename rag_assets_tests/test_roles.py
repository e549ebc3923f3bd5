"""Roles of the cluster: who ingests and who searches needs no more rights than that, and none is made unasked."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest

from rag_assets import operations
from rag_assets.errors import SettingsError
from rag_assets.postgres import statements, vector_index
from rag_assets.postgres.database import Database
from rag_assets.services import Services
from rag_assets.settings import Source
from rag_assets_tests import rows
from rag_assets_tests.application import WORDS, Application

ROLES = ("rag_owner", "rag_worker", "rag_reader")
OTHERS = ("roles_test_owner", "roles_test_worker", "roles_test_reader", "roles_test_weak")
ALL = ("rag_owner", "rag_reader", "rag_worker")  # in the order in which they are granted
OWNERS = """
select distinct pg_get_userbyid(owner) from (
    select relowner as owner from pg_class where relnamespace = 'public'::regnamespace and relname like 'rag\\_%'
        and relname <> 'rag_of_others'
    union all select proowner from pg_proc where pronamespace = 'public'::regnamespace
        and (proname like 'rag\\_%' or proname = 'notify_document_change')
) as ours"""
WRITES = (
    "delete from rag_document_chunks",
    "update rag_outbox set attempts = 0",
    "insert into rag_serving (model) values ('x')",
)
CHANGES = (
    "truncate rag_chunk_words",
    "select rag_recount_words()",
    "drop table rag_document_text",
    "create table rag_of_mine ()",
    "create or replace function rag_serving_model() returns text language sql as 'select null::text'",
)


@pytest.fixture
def cluster(database_url: str) -> Iterator[Callable[[str, str], str]]:
    """Makes an account that is a member of a role, and gives a URL with which sessions are its own."""

    def member(name: str, role: str) -> str:
        rows.execute(database_url, f"create role {name}; grant {role} to {name}")
        return _as(database_url, name)

    try:
        yield member
    finally:
        for name in (*OTHERS, *ROLES):
            if rows.execute(database_url, f"select 1 from pg_roles where rolname = '{name}'"):
                rows.execute(
                    database_url,
                    f"reassign owned by {name} to current_user; drop owned by {name} cascade; drop role {name}",
                )


def _as(url: str, role: str) -> str:
    return url + ("&" if "?" in url else "?") + "options=" + quote(f"-crole={role}")


def _establish(url: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    with closing(Database(url)) as database:
        found = database.establish_roles(Source(), dagster_schema=None)
    return found.roles, found.to_run


def test_a_worker_ingests_and_a_reader_searches_when_they_have_their_roles(
    application: Application, cluster: Callable[[str, str], str], tmp_path: Path
) -> None:
    """Neither is a superuser or owns a table; the reader can change nothing, and the worker no table."""
    assert _establish(application.url) == (ALL, ())
    assert _establish(application.url) == (ALL, ())
    worker = Application(
        cluster("roles_test_worker", "rag_worker"),
        tmp_path,
        reader=application.reader,
        urgent_reader=application.urgent_reader,
    )
    first, second = application.add("a.txt", *WORDS), application.add("b.txt", "owls")
    missing = (
        "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace and relname like "
        "'rag_%' and relname <> 'rag_migrations' and not has_table_privilege('rag_worker', oid, 'update')"
    )
    assert rows.execute(application.url, missing) == []
    with Services(worker.settings) as services:
        assert operations.migrate(services) == []
        operations.tend(services)
        assert {one.status for one in worker.run().values()} == {"completed"}
        application.remove(second)
        application.change(first)
        assert worker.run()[second].status == "deleted"
        assert operations.status(services).up_to_date == 1
        assert sum(operations.reconcile(services).values()) == 0
        assert operations.retry(services, ids=[first], kind=None) == 0
    reader = cluster("roles_test_reader", "rag_reader")
    asked = "select distinct document_id from rag_search('glaciers', null, 1, mode => 'text')"
    assert rows.execute(reader, asked) == [(first,)]
    assert rows.execute(reader, "select document_id, state from rag_documents") == [(first, "indexed")]
    for statement in WRITES + CHANGES:
        with pytest.raises(Exception, match=r"permission denied|must be owner"):
            rows.execute(reader, statement)
    for statement in CHANGES:
        with pytest.raises(Exception, match=r"permission denied|must be owner"):
            rows.execute(worker.url, statement)
    assert len(application.stored(first)) == len(WORDS)


def test_roles_are_granted_when_autovacuum_is_at_work(
    application: Application, cluster: Callable[[str, str], str]
) -> None:
    """It holds a table's lock and writes into the table's row of the catalogue, as the test does here."""
    others = "select 1 from pg_locks where relation = 'rag_document_chunks'::regclass and not granted"
    with closing(psycopg2.connect(application.url)) as connection, ThreadPoolExecutor(1) as threads:
        with connection, connection.cursor() as cursor:
            cursor.execute("lock table rag_document_chunks in share update exclusive mode")
            established = threads.submit(_establish, application.url)
            while not rows.execute(application.url, others) and not established.done():
                time.sleep(0.01)
            cursor.execute("grant select on rag_document_chunks to pg_monitor")
        assert established.result() == (ALL, ())


def test_statements_are_told_when_the_account_may_make_no_roles(
    application: Application, cluster: Callable[[str, str], str]
) -> None:
    """Nothing fails and nothing is half done; after an administrator ran them, all have their rights."""
    rows.execute(application.url, "create role roles_test_weak; grant usage on schema public to roles_test_weak")
    rows.execute(application.url, 'grant select on "TblDocumentFiles" to roles_test_weak')
    weak = _as(application.url, "roles_test_weak")
    granted, to_run = _establish(weak)
    assert granted == ()
    made = [role for role in ALL if any(f'create role "{role}" nologin;' in one for one in to_run)]
    assert made == list(ALL)
    for statement in to_run:
        rows.execute(application.url, statement)
    assert _establish(application.url) == (ALL, ())
    reader = cluster("roles_test_reader", "rag_reader")
    assert rows.execute(reader, "select * from rag_search('pump')") == []


def test_a_role_of_another_database_gets_nothing_here_when_init_runs_without_roles(
    application: Application, cluster: Callable[[str, str], str]
) -> None:
    """Roles are those of the cluster: that one ingests elsewhere is no reason to let it ingest here."""
    rows.execute(application.url, "create role rag_worker nologin")
    application.database.migrate(Source(), dimension=384)
    asked = "select has_table_privilege('rag_worker', 'rag_outbox', 'insert')"
    assert rows.execute(application.url, asked) == [(False,)]
    _establish(application.url)
    rows.execute(application.url, "revoke insert on rag_changes from rag_worker")
    application.database.migrate(Source(), dimension=384)
    assert rows.execute(application.url, asked.replace("rag_outbox", "rag_changes")) == [(True,)]


def test_a_worker_is_told_who_has_to_migrate_when_the_tables_are_older(
    application: Application, cluster: Callable[[str, str], str], tmp_path: Path
) -> None:
    """It may not change them, and says so before it works on them."""
    _establish(application.url)
    url = cluster("roles_test_worker", "rag_worker")
    worker = Application(url, tmp_path, reader=application.reader, urgent_reader=application.urgent_reader)
    rows.execute(application.url, "delete from rag_migrations where name like '013%'")
    with Services(worker.settings) as services, pytest.raises(SettingsError, match=r"013.*have that one run"):
        operations.migrate(services)


def test_a_member_of_the_owner_migrates_when_it_has_its_role(
    application: Application, cluster: Callable[[str, str], str]
) -> None:
    """All that is ours belongs to rag_owner, also what a member's migration makes; what is not ours, to whom it did."""
    theirs = (
        "select distinct pg_get_userbyid(relowner) from pg_class where relname in ('rag_of_others', 'TblDocumentFiles')"
    )
    rows.execute(application.url, "create table rag_of_others (n integer)")
    before = rows.execute(application.url, theirs)
    _establish(application.url)
    assert rows.execute(application.url, OWNERS) == [("rag_owner",)]
    member = cluster("roles_test_owner", "rag_owner")
    rows.execute(application.url, "drop function rag_neighbours(bigint, integer)")
    with closing(Database(member)) as database:
        assert database.migrate(Source(), dimension=384) == []
    assert rows.execute(application.url, OWNERS) == [("rag_owner",)]
    assert rows.execute(application.url, theirs) == before
    added = application.add("a.txt", *WORDS)
    assert application.run()[added].status == "completed"


def test_a_member_of_the_owner_builds_and_drops_the_index_when_its_progress_is_hidden(
    application: Application, cluster: Callable[[str, str], str]
) -> None:
    """The index belongs to rag_owner. PostgreSQL hides how far a session is from a role that is not its account's."""
    _establish(application.url)
    rows.execute(
        application.url,
        "insert into rag_document_chunks (document_id, chunk_index, content, content_sha256, token_count, char_start, "
        "char_end, kind, embedding_model, embedding) "
        "select n, 0, '', n, 1, 0, 1, 'prose', 'm', array[n, 1, 2] from generate_series(1, 20) as n",
    )
    lines: list[str] = []
    built: list[vector_index.VectorIndex] = []
    with (
        closing(Database(cluster("roles_test_owner", "rag_owner"))) as database,
        closing(psycopg2.connect(application.url)) as writer,
    ):
        with database.transaction() as cursor:
            advice = vector_index.advise(vector_index.get_facts(cursor, "m"), from_rows=10, available_bytes=1 << 34)
        with writer.cursor() as cursor:  # the build waits for this transaction
            cursor.execute(
                "update rag_document_chunks set content = 'x' where id = (select min(id) from rag_document_chunks)"
            )
        thread = threading.Thread(
            target=lambda: built.append(vector_index.build(database, "m", advice, progress=lines.append))
        )
        thread.start()
        building = "select pid from pg_stat_progress_create_index where datname = current_database()"
        while thread.is_alive() and not (found := rows.execute(application.url, building)):
            time.sleep(0.02)
        with database.transaction() as cursor:
            cursor.execute(statements.statement("vector_index", "get_progress"), {"pid": found[0][0]})
            assert cursor.fetchall() == []
        writer.rollback()
        thread.join(timeout=120)
        assert [one.is_valid for one in built] == [True]
        assert all(isinstance(line, str) for line in lines)
        assert rows.execute(application.url, OWNERS) == [("rag_owner",)]
        assert vector_index.drop(database, "m") == 1
