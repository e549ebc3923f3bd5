"""Connections, the pool, and migrations against a real server."""

import re
import uuid
from contextlib import closing
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg2
import pytest

from rag_assets import settings
from rag_assets.errors import DatabaseUnavailable, SettingsError
from rag_assets.postgres import health, statements
from rag_assets.postgres.database import Database
from rag_assets_tests import rows
from rag_assets_tests.application import WORDS, Application

SOURCE = settings.Source()
_TABLES = sorted(
    table
    for file in statements.folder("migrations")
    for table in re.findall(r"^create table (\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
)


def test_migrate_changes_nothing_when_run_twice(empty_database_url: str) -> None:
    """The second run applies nothing, and the schema stays the same to the letter."""
    with closing(Database(empty_database_url)) as database:
        database.create_table(SOURCE)
        applied = database.migrate(SOURCE, dimension=384)
        before = _schema(empty_database_url)
        assert applied == [file.name for file in statements.folder("migrations")]
        assert database.migrate(SOURCE, dimension=384) == []
    assert _schema(empty_database_url) == before
    assert "rag_outbox.generation" in str(before)


def test_migrate_is_safe_when_several_run_at_once(empty_database_url: str) -> None:
    """Exactly one of four applies the migrations; none fails."""
    results: list[list[str]] = []
    with closing(Database(empty_database_url)) as database:
        rows.in_threads([lambda: database.create_table(SOURCE)] * 4)
        migrate = lambda: results.append(database.migrate(SOURCE, dimension=384))  # noqa: E731
        rows.in_threads([migrate] * 4)
    assert sorted(map(len, results)) == [0, 0, 0, len(statements.folder("migrations"))]


def test_migrate_enqueues_the_rows_of_a_full_table_when_run_first(empty_database_url: str) -> None:
    """What was in the table before us is pending once, behind changes."""
    rows.execute(empty_database_url, 'create table "TblDocumentFiles" (id int primary key, file_path text, extra json)')
    rows.execute(empty_database_url, """insert into "TblDocumentFiles" values (1, 'a', '{}'), (2, 'b', '{}')""")
    with closing(Database(empty_database_url)) as database:
        database.migrate(SOURCE, dimension=384)
        database.migrate(SOURCE, dimension=384)
    pending = rows.execute(empty_database_url, "select document_id, generation, priority from rag_outbox order by 1")
    assert pending == [("1", 1, 1), ("2", 2, 1)]


def test_migrate_works_twice_when_the_table_is_partitioned(empty_database_url: str) -> None:
    """The triggers that its partitions have from it are not those of a table that was the documents table once."""
    rows.execute(
        empty_database_url,
        """create table "TblDocumentFiles" (id int primary key, file_path text) partition by range (id);
        create table first_documents partition of "TblDocumentFiles" for values from (0) to (10);
        create table other_documents partition of "TblDocumentFiles" default""",
    )
    with closing(Database(empty_database_url)) as database:
        for _ in range(2):
            database.migrate(SOURCE, dimension=384)
        rows.execute(empty_database_url, """insert into "TblDocumentFiles" values (1, 'a'), (11, 'b')""")
        rows.execute(empty_database_url, "set session_replication_role = replica; delete from first_documents")
        changes = rows.execute(empty_database_url, "select operation, document_id from rag_changes order by changed_at")
    assert changes == [("insert", "1"), ("insert", "11"), ("delete", "1")]


def test_migrate_names_the_columns_there_are_when_one_is_missing(empty_database_url: str) -> None:
    """The error lists the table's columns and the setting to change."""
    rows.execute(empty_database_url, 'create table "TblDocumentFiles" (key int primary key, place text)')
    with (
        closing(Database(empty_database_url)) as database,
        pytest.raises(SettingsError, match=r"source\.id_column is 'id'.* columns key, place.*SOURCE__ID_COLUMN"),
    ):
        database.migrate(SOURCE, dimension=384)


def test_create_table_names_the_setting_when_its_schema_is_missing(empty_database_url: str) -> None:
    """A schema is the application's: it is not made, but named."""
    with (
        closing(Database(empty_database_url)) as database,
        pytest.raises(SettingsError, match=r'schema "nowhere" does not exist.*source\.table is \'nowhere\.documents\''),
    ):
        database.create_table(settings.Source(table="nowhere.documents"))


def test_migrate_names_the_setting_when_it_is_a_view(empty_database_url: str) -> None:
    """Only a table can tell of its changes."""
    rows.execute(empty_database_url, "create view shown as select 1 as id, 'a'::text as file_path")
    with (
        closing(Database(empty_database_url)) as database,
        pytest.raises(SettingsError, match=r"is no table \(a view.*source\.table is 'shown', and has to name the"),
    ):
        database.migrate(settings.Source(table="shown"), dimension=384)


def test_migrate_refuses_when_the_encoding_is_not_utf8(postgres_url: str) -> None:
    """Documents in every script could not be stored: said before the first one fails."""
    with closing(psycopg2.connect(postgres_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("create database latin template template0 encoding 'LATIN1' locale 'C'")
            try:
                with (
                    closing(Database(urlunsplit(urlsplit(postgres_url)._replace(path="/latin")))) as database,
                    pytest.raises(SettingsError, match=r"encoding LATIN1.*needed is UTF8"),
                ):
                    database.migrate(SOURCE, dimension=384)
            finally:
                cursor.execute("drop database latin with (force)")


def test_connections_speak_utf8_when_the_environment_says_otherwise(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable of libpq is no reason for a document to fail."""
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with closing(Database(database_url)) as database, database.transaction() as cursor:
        cursor.execute("select %s", ("日本",))
        assert cursor.fetchone() == ("日本",)


def test_migrate_refuses_when_an_applied_migration_was_edited(database_url: str) -> None:
    """A migration that is not the one that was applied stops everything."""
    rows.execute(database_url, "update rag_migrations set sha256 = 'other' where name like '001%'")
    with closing(Database(database_url)) as database, pytest.raises(SettingsError, match=r"001_tables\.sql"):
        database.migrate(SOURCE, dimension=384)


def test_migrate_changes_the_dimension_when_there_are_no_chunks(database_url: str) -> None:
    """An empty index follows the setting; one with vectors says what to do."""
    with closing(Database(database_url)) as database:
        database.migrate(SOURCE, dimension=3)
        rows.execute(database_url, _INSERT_CHUNK)
        with pytest.raises(SettingsError, match=r"embedding\.dimension is 384.* have 3"):
            database.migrate(SOURCE, dimension=384)


def test_migrate_moves_the_triggers_when_another_table_is_configured(database_url: str) -> None:
    """A table that is not the documents table any more costs its writers nothing, and cannot fail for us."""
    rows.execute(database_url, "create table other (nr uuid primary key, place text)")
    source = settings.Source(table="public.other", id_column="nr", path_column="place")
    with closing(Database(database_url)) as database:
        database.migrate(source, dimension=384)
    rows.execute(database_url, """insert into "TblDocumentFiles" (file_path) values ('a')""")
    rows.execute(database_url, "insert into other values (gen_random_uuid(), 'b')")
    assert rows.execute(database_url, "select count(*) from rag_changes") == [(1,)]


def test_migrate_refuses_when_the_tables_are_of_a_newer_program(database_url: str) -> None:
    """What that one made is not undone: no function, no trigger is put back to what it was."""
    rows.execute(database_url, "insert into rag_migrations values ('999_future.sql', 'x')")
    rows.execute(database_url, "drop view rag_status")
    with closing(Database(database_url)) as database, pytest.raises(SettingsError, match=r"is older than.*999_future"):
        database.migrate(SOURCE, dimension=384)
    assert rows.execute(database_url, "select to_regclass('rag_status')") == [(None,)]


def test_migrate_has_everything_embedded_anew_when_the_extension_was_dropped(application: Application) -> None:
    """With it went the vectors; what was read is known, and pending."""
    document_id = application.add("a.txt", *WORDS)
    application.run()
    application.sql("drop extension vector cascade")
    application.write("a.txt", *WORDS, "moths")
    application.change(document_id)
    with pytest.raises(SettingsError, match="rag-assets init"):
        application.run()
    [done] = application.database.migrate(SOURCE, dimension=384)
    assert done == "vectors put back after they were dropped: 1 document is embedded anew"
    assert application.run()[document_id].chunks_embedded == len(WORDS) + 1
    assert len(application.stored(document_id)) == len(WORDS) + 1
    assert application.database.migrate(SOURCE, dimension=384) == []


@pytest.mark.parametrize("table", _TABLES)
def test_migrate_says_what_to_do_when_a_table_of_ours_was_dropped(database_url: str, table: str) -> None:
    """It names the table, and does not send you in a circle."""
    rows.execute(database_url, f"drop table {table} cascade")
    with (
        closing(Database(database_url)) as database,
        pytest.raises(SettingsError, match=f"Somebody dropped {table}, and.*begin anew: drop all tables rag_"),
    ):
        database.migrate(SOURCE, dimension=384)


def test_migrate_waits_for_nobody_long_when_the_table_is_in_use(database_url: str) -> None:
    """With all triggers in place, the application's open transaction is no obstacle."""
    with closing(psycopg2.connect(database_url)) as writer, closing(Database(database_url)) as database:
        writer.cursor().execute("""insert into "TblDocumentFiles" (file_path) values ('a')""")
        assert database.migrate(SOURCE, dimension=384) == []


def test_the_application_can_alter_and_drop_its_table_when_migrated(database_url: str) -> None:
    """Nothing of ours depends on the application's table."""
    rows.execute(database_url, 'alter table "TblDocumentFiles" alter column id type int')
    rows.execute(database_url, 'drop table "TblDocumentFiles"')


def test_transaction_rolls_back_when_the_block_raises(database_url: str) -> None:
    """All or nothing, and the connection is fit for the next one."""
    with closing(Database(database_url, settings=settings.Database(pool_max_size=1))) as database:
        with pytest.raises(psycopg2.DataError), database.transaction() as cursor:
            cursor.execute("""insert into "TblDocumentFiles" (file_path) values ('a'); select 1 / 0""")
        with database.transaction() as cursor:
            cursor.execute('select count(*) from "TblDocumentFiles"')
            assert cursor.fetchone() == (0,)


def test_transaction_gets_a_new_connection_when_the_pooled_one_died(database_url: str) -> None:
    """A connection that the server ended is replaced, not handed out."""
    with closing(Database(database_url)) as database:
        with database.transaction() as cursor:
            cursor.execute("select pg_backend_pid()")
            (pid,) = cursor.fetchone()
        rows.execute(database_url, f"select pg_terminate_backend({pid}, 5000)")
        with database.transaction() as cursor:
            cursor.execute("select pg_backend_pid()")
            assert cursor.fetchone() != (pid,)


def test_transaction_says_unavailable_when_the_connection_dies_within(database_url: str) -> None:
    """A server that goes away is a DatabaseUnavailable; the pool works again afterwards."""
    with closing(Database(database_url)) as database:
        with pytest.raises(DatabaseUnavailable), database.transaction() as cursor:
            cursor.execute("select pg_terminate_backend(pg_backend_pid())")
        with database.transaction() as cursor:
            cursor.execute("select 1")


def test_transaction_says_unavailable_when_the_server_ends_within_an_answer(database_url: str) -> None:
    """For psycopg2 that has neither a code nor a class of its own; what has one goes through as it is."""
    with closing(Database(database_url)) as database:
        with pytest.raises(DatabaseUnavailable, match="closed the connection"), database.transaction():
            raise psycopg2.DatabaseError("server closed the connection unexpectedly")
        with pytest.raises(psycopg2.errors.DivisionByZero), database.transaction() as cursor:
            cursor.execute("select 1 / 0")


def test_pool_never_opens_more_connections_than_set_when_many_want_one(database_url: str) -> None:
    """Sixteen threads share three connections."""
    pids: set[int] = set()

    def work() -> None:
        for _ in range(5):
            with database.transaction() as cursor:
                cursor.execute("select pg_backend_pid()")
                pids.add(cursor.fetchone()[0])

    with closing(Database(database_url, settings=settings.Database(pool_max_size=3))) as database:
        rows.in_threads([work] * 16)
    assert 1 <= len(pids) <= 3


def test_unavailable_names_the_url_without_its_password_when_nothing_listens() -> None:
    """The message shows where, and what to check, but no secret."""
    database = Database("postgresql://someone:secret@127.0.0.1:1/docs")
    shown = r"someone:\*\*\*@127\.0\.0\.1:1/docs.*check"
    with pytest.raises(DatabaseUnavailable, match=shown) as caught, database.transaction():
        pass
    assert "secret" not in str(caught.value)


def test_transaction_says_what_to_run_when_nothing_was_migrated(empty_database_url: str) -> None:
    """A database without our tables is a settings error that names the next step."""
    with (
        closing(Database(empty_database_url)) as database,
        pytest.raises(SettingsError, match="rag-assets init"),
        database.transaction() as cursor,
    ):
        cursor.execute("select * from rag_outbox")


def test_transaction_says_what_to_run_when_the_search_path_leads_elsewhere(database_url: str) -> None:
    """A type that is not found is no bug either, be it as pgvector was dropped or as its schema is out of sight."""
    with (
        closing(Database(_with_option(database_url, "search_path=elsewhere"))) as database,
        pytest.raises(SettingsError, match="rag-assets init"),
        database.transaction() as cursor,
    ):
        cursor.execute("select '[1]'::vector")


def test_limits_of_a_database_do_not_end_our_statements(database_url: str) -> None:
    """They are for those who wait for answers; only what DATABASE_URL itself asks for holds."""
    limits = ("statement_timeout", "lock_timeout", "idle_session_timeout", "transaction_timeout")
    names = [name for (name,) in rows.execute(database_url, f"select name from pg_settings where name in {limits}")]
    for name in names:
        rows.execute(database_url, f"alter database {_name_of(database_url)} set {name} = '54321ms'")
    url = _with_option(database_url, "lock_timeout=12345ms")
    with closing(Database(url)) as database, database.transaction() as cursor:
        cursor.execute(f"select name, setting from pg_settings where name in {limits}")
        assert dict(cursor.fetchall()) == dict.fromkeys(names, "0") | {"lock_timeout": "12345"}


def test_transaction_names_the_role_when_it_lacks_rights(database_url: str) -> None:
    """A role that may not read our tables is a matter of settings, not a bug."""
    with (
        closing(Database(database_url)) as database,
        pytest.raises(SettingsError, match=r"denied for table rag_outbox\. Have DATABASE_URL name"),
        database.transaction() as cursor,
    ):
        cursor.execute("set local role pg_monitor; select * from rag_outbox")


@pytest.mark.parametrize(
    ("lacking", "called"),
    [
        ("create on database", "create on the database"),
        ("create on schema", "create on the schema public"),
        ("ownership", 'ownership of "TblDocumentFiles"'),
    ],
)
def test_rights_that_the_role_lacks_are_named_by_migrate_and_before_it(
    empty_database_url: str, lacking: str, called: str
) -> None:
    """Not one right after the other; a right to make triggers is not enough, so it is not asked for."""
    role = f"weak_{uuid.uuid4().hex}"
    database_name = urlsplit(empty_database_url).path.strip("/")
    rights = {
        "create on database": f'grant create on database "{database_name}" to {role}',
        "create on schema": f"grant create on schema public to {role}",
        "ownership": f'alter table "TblDocumentFiles" owner to {role}',
    }
    make_table = 'create table "TblDocumentFiles" (id int primary key, file_path text)'
    rows.execute(empty_database_url, f"create role {role}; {make_table}")
    rows.execute(empty_database_url, "; ".join(right for name, right in rights.items() if name != lacking))
    try:
        with closing(Database(_with_option(empty_database_url, f"role={role}"))) as database:
            with database.transaction() as cursor:
                missing = health.missing_rights(cursor, SOURCE)
            # Whether the extension is one that any role may create is its package's decision.
            assert [called in one for one in missing if "extension" not in one] == [True]
            needed = r"grant create on database.*grant create on schema.*owns the documents"
            with pytest.raises(SettingsError, match=needed):
                database.migrate(SOURCE, dimension=384)
    finally:
        rows.execute(empty_database_url, f"drop owned by {role} cascade; drop role {role}")


def test_transaction_says_that_it_cannot_be_written_to_when_it_is_read_only(database_url: str) -> None:
    """It is there, and its disk is not full: the message speaks of neither, and of a standby."""
    with (
        closing(Database(_with_option(database_url, "default_transaction_read_only=on"))) as database,
        pytest.raises(DatabaseUnavailable, match=r"read-only transaction - it is a standby, or default_.*written to"),
        database.transaction() as cursor,
    ):
        cursor.execute("delete from rag_outbox")


def _name_of(url: str) -> str:
    return '"' + urlsplit(url).path.strip("/") + '"'


def _with_option(url: str, option: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}options=-c{quote(option)}"


_INSERT_CHUNK = """
    insert into rag_document_chunks (document_id, chunk_index, content, content_sha256, token_count, char_start,
        char_end, kind, embedding, embedding_model) values ('1', 0, 'x', 'x', 1, 0, 1, 'prose', '[1,0,0]', 'm')
"""


def _schema(url: str) -> list[tuple[object, ...]]:
    """Columns, constraints, indexes, triggers and functions, as the catalogue prints them."""
    return rows.execute(
        url,
        """
        select 'column', table_name || '.' || column_name, data_type || coalesce(column_default, '')
        from information_schema.columns where table_schema = 'public'
        union all select 'constraint', conname, pg_get_constraintdef(oid) from pg_constraint
        where connamespace = 'public'::regnamespace
        union all select 'index', indexname, indexdef from pg_indexes where schemaname = 'public'
        union all select 'trigger', tgname, pg_get_triggerdef(oid) || tgenabled::text from pg_trigger
        union all select 'function', proname, prosrc from pg_proc where proname ~ '^(rag_|notify_document)'
        union all select 'pending', document_id, generation::text from rag_outbox
        order by 1, 2, 3
        """,
    )


def test_server_that_ends_while_a_session_is_prepared_is_away(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that ends at any other time: psycopg2 has an error of another class for it."""
    connect = psycopg2.connect

    def connected_and_lost(*arguments: Any, **options: Any) -> Any:
        connection = connect(*arguments, **options)
        connection.close()
        return connection

    monkeypatch.setattr(psycopg2, "connect", connected_and_lost)
    with (
        closing(Database(database_url)) as database,
        pytest.raises(DatabaseUnavailable, match="DATABASE_URL is right"),
        database.transaction(),
    ):
        pass
