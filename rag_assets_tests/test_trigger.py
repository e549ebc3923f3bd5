"""The trigger against an application that does what it likes: no write fails for us, and no change goes unseen."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2
import pytest
from psycopg2.extensions import cursor as Cursor

from rag_assets import settings
from rag_assets.bundled import postgres
from rag_assets.postgres import outbox, watch
from rag_assets.postgres.database import Database
from rag_assets_tests import rows
from rag_assets_tests.faults import arena

SOURCE = settings.Source()
TABLE = '"TblDocumentFiles"'
COUNTING = settings.Source(ignored_columns=("views",))
WRITES = (
    "insert into {table} (file_path) values ('x')",
    "update {table} set file_path = 'y' where file_path = 'f1'",
    "delete from {table} where file_path = 'f2'",
    "truncate {table}",
)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Five documents, with nothing pending."""
    with closing(Database(database_url)) as database:
        rows.execute(database_url, f"insert into {TABLE} (file_path) select 'f' || n from generate_series(1, 5) as n")
        _forget(database)
        yield database


def _forget(database: Database) -> None:
    rows.execute(database.url, "delete from rag_changes; delete from rag_outbox; delete from rag_looks")


def _pending(database: Database) -> set[str]:
    rows.execute(database.url, "select rag_take_changes()")
    return {name for (name,) in rows.execute(database.url, "select document_id from rag_outbox")}


def _reasons(database: Database) -> set[str]:
    return {reason for (reason,) in rows.execute(database.url, "select reason from rag_looks")}


@contextmanager
def _application(url: str) -> Iterator[Cursor]:
    """A connection in autocommit, as of an application."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        yield cursor


# ---- no write fails


@pytest.mark.parametrize("source", [SOURCE, COUNTING])
@pytest.mark.parametrize(
    "damage",
    [
        f'alter table {TABLE} rename id to "Id"',
        f"alter table {TABLE} drop column id",
        f"alter table {TABLE} rename views to seen",
        f"alter table {TABLE} drop column extra",
        f"alter table {TABLE} rename extra to more",
        f"alter table {TABLE} alter extra type json using null",
        f"alter table {TABLE} rename to renamed; alter table renamed rename to {TABLE}",
        "alter table rag_changes rename to gone",
        "drop table rag_changes",
        "drop table rag_changes; drop table rag_looks",
        "alter table rag_changes drop column document_id",
        "alter table rag_changes add check (document_id is null) not valid",
        "drop table rag_document_chunks, rag_document_text, rag_outbox cascade",
        "drop extension vector cascade",
    ],
)
def test_no_write_fails_when_columns_or_tables_have_changed(
    database: Database, source: settings.Source, damage: str
) -> None:
    """On a connection that wrote before and on a new one; where the table is its own, also in the same transaction."""
    rows.execute(database.url, f"alter table {TABLE} add views int default 0, add extra text")
    database.migrate(source, dimension=384)
    writes = [write.format(table=TABLE) for write in WRITES]
    with closing(psycopg2.connect(database.url)) as migration, migration.cursor() as cursor:
        for statement in (*writes, *([damage] if TABLE in damage else []), *writes):
            cursor.execute(statement)
        migration.rollback()
    with _application(database.url) as before, _application(database.url) as after:
        for cursor in (before, after):
            for write in writes[:-1]:
                cursor.execute(write)
            if cursor is before:
                cursor.execute(damage)
                for write in writes:
                    cursor.execute(write)
            rows.execute(database.url, f"delete from {TABLE}")


def test_no_write_fails_when_the_table_of_changes_is_locked(database: Database) -> None:
    """Who waits for no lock longer than some time gives up our table, not the write."""
    with _application(database.url) as cursor, closing(psycopg2.connect(database.url)) as other:
        other.cursor().execute("lock table rag_changes in access exclusive mode")
        cursor.execute("set lock_timeout = '100ms'")
        for write in WRITES[:-1]:
            cursor.execute(write.format(table=TABLE))
    assert _reasons(database) == {"canceling statement due to lock timeout"}


def test_no_commit_fails_when_it_comes_in_two_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that has notified cannot be prepared: where that is in use, none notifies."""
    monkeypatch.setattr(postgres, "TUNING", postgres.TUNING | {"max_prepared_transactions": "4"})
    with arena.server() as url:
        arena.prepare(url)
        with _application(url) as cursor:
            cursor.execute("begin")
            cursor.execute(f"insert into {TABLE} (file_path) values ('a')")
            cursor.execute("prepare transaction 'one'")
            cursor.execute("commit prepared 'one'")
        assert rows.execute(url, "select document_id from rag_changes") == [("1",)]


# ---- and no change goes unseen


@pytest.mark.parametrize("write", WRITES[:-1])
def test_whole_table_is_looked_at_when_the_id_column_was_renamed(database: Database, write: str) -> None:
    """Once the settings name it: what was written in between is found with all others."""
    rows.execute(database.url, f'alter table {TABLE} rename id to "Id"')
    rows.execute(database.url, write.format(table=TABLE))
    [reason] = _reasons(database)
    assert reason.endswith('has no field "id"')
    source = settings.Source(id_column="Id")
    database.migrate(source, dimension=384)
    watch.tend(database, source)
    there = {str(name) for (name,) in rows.execute(database.url, f'select "Id" from {TABLE}')}
    assert _pending(database) >= there
    assert _reasons(database) == set()


def test_status_says_what_to_do_when_the_trigger_could_not_tell_the_document(database: Database) -> None:
    """The reason, and the command."""
    database.migrate(settings.Source(ignored_columns=("file_path",)), dimension=384)
    rows.execute(database.url, f"alter table {TABLE} add note text, add more text")
    database.migrate(settings.Source(ignored_columns=("file_path",)), dimension=384)
    rows.execute(database.url, f"alter table {TABLE} drop note")
    rows.execute(database.url, f"update {TABLE} set more = 'x'")
    with database.transaction() as cursor:
        [warning] = outbox.status(cursor, SOURCE).warnings
    assert 'record "new" has no field "note"' in warning
    assert warning.endswith("rag-assets init")


def test_questions_do_not_pile_up_when_they_cannot_be_answered(database: Database) -> None:
    """The last one is enough."""
    with database.transaction() as cursor:
        for reason in "abc":
            outbox.ask_look(cursor, reason)
    with database.transaction() as cursor:
        outbox.trim_looks(cursor)
    assert _reasons(database) == {"c"}


def test_each_row_is_noticed_when_one_statement_or_one_transaction_changes_many(database: Database) -> None:
    """The first of a transaction is written in another way than the others; what is rolled back is not seen."""
    rows.execute(database.url, f"insert into {TABLE} (file_path) select 'g' from generate_series(1, 5)")
    assert _pending(database) == {"6", "7", "8", "9", "10"}
    _forget(database)
    rows.execute(
        database.url,
        f"""savepoint a; update {TABLE} set file_path = 'a' where id = 1; rollback to a;
        update {TABLE} set file_path = 'b' where id = 2; savepoint b; delete from {TABLE} where id = 3; rollback to b;
        update {TABLE} set file_path = 'c' where id = 4""",
    )
    assert _pending(database) == {"2", "4"}


OTHERS = {  # what the application has of its own, what it writes, and which documents changed
    "before, which changes the row": (
        "create function raise_it() returns trigger language plpgsql as "
        "$$ begin new.file_path := upper(new.file_path); return new; end $$;"
        "create trigger first before update on {table} for each row execute function raise_it()",
        "update {table} set file_path = 'x' where id = 1",
        {"1"},
    ),
    "before, which gives it another id": (
        "create function move_it() returns trigger language plpgsql as "
        "$$ begin new.id := new.id + 100; return new; end $$;"
        "create trigger first before update on {table} for each row execute function move_it()",
        "update {table} set file_path = 'x' where id = 1",
        {"1", "101"},
    ),
    "before, which refuses it": (
        "create function keep_it() returns trigger language plpgsql as "
        "$$ begin return case when old.id = 1 then null else old end; end $$;"
        "create trigger first before delete on {table} for each row execute function keep_it()",
        "delete from {table} where id < 3",
        {"2"},
    ),
    "deferred until the commit": (
        "create function follow() returns trigger language plpgsql as "
        "$$ begin update {table} set file_path = 'y' where id = new.id - 1; return null; end $$;"
        "create constraint trigger later after update on {table} deferrable initially deferred "
        "for each row when (new.file_path = 'x') execute function follow()",
        "update {table} set file_path = 'x' where id = 3",
        {"2", "3"},
    ),
    "a key that cascades": (
        "create table parent (id bigint primary key); insert into parent select id from {table};"
        "alter table {table} alter id drop identity;"
        "alter table {table} add foreign key (id) references parent on delete cascade on update cascade",
        "delete from parent where id = 1; update parent set id = 20 where id = 2",
        {"1", "2", "20"},
    ),
    "a key whose table is truncated": (
        "create table parent (id bigint primary key); insert into parent select id from {table};"
        "alter table {table} add foreign key (id) references parent;"
        "insert into rag_document_text (document_id, path, sha256, size_bytes, mtime_ns, media_type, parser, content, "
        "fingerprint, embedding_model) select id, file_path, '', 1, 1, '', '', '', '', '' from {table}",
        "truncate parent cascade",
        {"1", "2", "3", "4", "5"},
    ),
    "a view through which it writes": (
        "alter table {table} alter id drop identity; create view shown as select * from {table}",
        "insert into shown (id, file_path) values (9, 'z'); delete from shown where id = 1",
        {"1", "9"},
    ),
    "a merge": (
        "alter table {table} alter id drop identity",
        "merge into {table} as t using (values (1), (8)) as s (id) on t.id = s.id when matched then delete "
        "when not matched then insert (id, file_path) values (s.id, 'z')",
        {"1", "8"},
    ),
    "what is rolled back": (
        "select 1",
        "begin; savepoint s; delete from {table} where id = 1; rollback to s; delete from {table} where id = 2; commit",
        {"2"},
    ),
}


@pytest.mark.parametrize("other", OTHERS)
def test_changes_are_seen_when_the_application_has_rules_of_its_own(database: Database, other: str) -> None:
    """Triggers before, after and at commit, cascading keys, views, MERGE: what the rows are in the end counts."""
    made, write, changed = OTHERS[other]
    with _application(database.url) as cursor:
        cursor.execute(made.replace("{table}", TABLE))
        cursor.execute(write.replace("{table}", TABLE))
    assert _pending(database) == changed
    assert _reasons(database) == set()


@pytest.mark.parametrize("before", ["", "insert into {table} values (9, 'i');"], ids=["first", "later"])
@pytest.mark.parametrize(
    ("write", "expected"),
    [
        ("insert into {table} values (3, 'c')", {("insert", "3")}),
        ("update {table} set file_path = 'b' where id = 1", {("update", "1")}),
        ("update {table} set id = 4 where id = 1", {("update", "4"), ("delete", "1")}),
        ("update {table} set id = null where id = 1", {("update", "1")}),
        ("update {table} set id = 5 where id is null", {("update", "5")}),
        ("delete from {table} where id = 1", {("delete", "1")}),
    ],
)
def test_every_id_of_a_change_is_written_down_when_it_comes_goes_or_is_another(
    empty_database_url: str, before: str, write: str, expected: set[tuple[str, str]]
) -> None:
    """Once each, whether the change is the first of its transaction or a later one."""
    rows.execute(empty_database_url, f"create table {TABLE} (id int, file_path text)")
    with closing(Database(empty_database_url)) as database:
        database.migrate(SOURCE, dimension=384)
    rows.execute(empty_database_url, f"insert into {TABLE} values (1, 'a'), (null, 'n'); delete from rag_changes")
    rows.execute(empty_database_url, (before + write).format(table=TABLE))
    written = rows.execute(empty_database_url, "select operation, document_id from rag_changes")
    assert sorted(row for row in written if row[1] != "9") == sorted(expected)


# ---- partitions and children

PARTITIONED = """
    create table "TblDocumentFiles" (id int primary key, file_path text) partition by range (id);
    create table first_documents partition of "TblDocumentFiles" for values from (0) to (10);
    create table other_documents partition of "TblDocumentFiles" default partition by list (id);
    create table last_documents partition of other_documents default;
    create table new_documents (id int primary key, file_path text);
    insert into new_documents values (21, 'n')
"""
INHERITED = """
    create table "TblDocumentFiles" (id int primary key, file_path text);
    create table first_documents (check (id < 10)) inherits ("TblDocumentFiles");
    create table last_documents (check (id >= 10)) inherits ("TblDocumentFiles");
    create table new_documents (id int not null, file_path text);
    insert into new_documents values (21, 'n')
"""
ATTACH = {
    PARTITIONED: """alter table "TblDocumentFiles" attach partition new_documents for values from (20) to (30)""",
    INHERITED: """alter table new_documents inherit "TblDocumentFiles" """,
}
DETACH = {
    PARTITIONED: """alter table "TblDocumentFiles" detach partition first_documents""",
    INHERITED: """alter table first_documents no inherit "TblDocumentFiles" """,
}


@pytest.fixture(params=[PARTITIONED, INHERITED], ids=["partitions", "children"])
def spread(request: pytest.FixtureRequest, empty_database_url: str) -> Iterator[Database]:
    """A table whose rows are in others; `definition` is what made it."""
    rows.execute(empty_database_url, request.param)
    with closing(Database(empty_database_url)) as database:
        database.migrate(SOURCE, dimension=384)
        yield database


def _definition(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["spread"])


def test_rows_are_seen_when_they_are_written_straight_to_a_partition(spread: Database) -> None:
    """INSERT, UPDATE, DELETE, COPY and TRUNCATE on the part, not on the whole."""
    rows.execute(spread.url, "insert into first_documents values (1, 'a'), (2, 'b')")
    rows.execute(spread.url, "insert into last_documents values (11, 'c')")
    assert _pending(spread) == {"1", "2", "11"}
    _forget(spread)
    rows.execute(spread.url, "update first_documents set file_path = 'z' where id = 1; delete from last_documents")
    assert _pending(spread) == {"1", "11"}
    rows.execute(spread.url, "truncate first_documents")
    assert dict(rows.execute(spread.url, "select document_id, operation from rag_changes")).keys() == {"1", "11"}


def test_parts_are_seen_when_they_come_and_go(spread: Database, request: pytest.FixtureRequest) -> None:
    """At the next look, with the rows that they had; from then on by what is written to them."""
    rows.execute(spread.url, "insert into first_documents values (1, 'a')")
    _forget(spread)
    rows.execute(spread.url, ATTACH[_definition(request)])
    watch.tend(spread, SOURCE)
    assert _pending(spread) == {"1", "21"}
    _forget(spread)
    watch.tend(spread, SOURCE)
    assert _pending(spread) == set()
    rows.execute(spread.url, "update new_documents set file_path = 'm'")
    assert _pending(spread) == {"21"}
    rows.execute(spread.url, DETACH[_definition(request)])
    _forget(spread)
    watch.tend(spread, SOURCE)
    rows.execute(spread.url, "insert into first_documents values (2, 'b')")
    assert _pending(spread) == {"21"}


# ---- a table made anew


@pytest.mark.parametrize(
    "damage",
    [
        f"drop table {TABLE}; create table {TABLE} (id int primary key, file_path text)",
        f"alter table {TABLE} rename to old; create table {TABLE} (like old including all)",
        f"drop trigger rag_document_changed on {TABLE}",
        f"alter table {TABLE} disable trigger all",
        f"alter table {TABLE} enable trigger rag_documents_truncated",
    ],
)
def test_triggers_are_back_when_the_table_was_made_anew(database: Database, damage: str) -> None:
    """With what was written before they were; and status says so until then."""
    rows.execute(database.url, damage)
    rows.execute(database.url, f"insert into {TABLE} (id, file_path) overriding system value values (7, 'x')")
    with database.transaction() as cursor:
        assert any("lacks our triggers" in warning for warning in outbox.status(cursor, SOURCE).warnings)
    watch.tend(database, SOURCE)
    assert "7" in _pending(database)
    with database.transaction() as cursor:
        assert outbox.status(cursor, SOURCE).warnings == ()
    _forget(database)
    rows.execute(database.url, f"update {TABLE} set file_path = 'y' where id = 7")
    assert _pending(database) == {"7"}


def test_tending_waits_for_nobody_long_when_the_table_is_in_use(database: Database) -> None:
    """It is tried again a few seconds later; writers queue behind it no longer than a second."""
    rows.execute(database.url, f"drop trigger rag_document_changed on {TABLE}")
    with closing(psycopg2.connect(database.url)) as writer:
        writer.cursor().execute(f"insert into {TABLE} (file_path) values ('a')")
        watch.tend(database, SOURCE)
    watch.tend(database, SOURCE)
    with database.transaction() as cursor:
        assert outbox.status(cursor, SOURCE).warnings == ()


LETTERS = "create schema letters; create table letters.letters (id bigint primary key, scan text)"
TO_BOTH = {  # what is done in one transaction, and whose changes are then there
    "writes": (
        """insert into "TblDocumentFiles" (file_path) values ('a'); drop table letters.rag_changes;
        insert into letters.letters values (1, 'b'); insert into "TblDocumentFiles" (file_path) values ('c')""",
        {"public": {"1", "2"}},
    ),
    "truncations": ("""truncate letters.letters, "TblDocumentFiles" """, {"public": {"7"}, "letters": {"7"}}),
}


@pytest.mark.parametrize(("statements", "expected"), TO_BOTH.values(), ids=TO_BOTH)
def test_indexes_of_one_database_do_not_hide_changes_of_each_other(
    database_url: str, statements: str, expected: dict[str, set[str]]
) -> None:
    """One transaction may write to the tables of both: what it did for one index, it has not done for the other."""
    rows.execute(database_url, LETTERS)
    other_url = f"{database_url}{'&' if '?' in database_url else '?'}options=-csearch_path%3Dletters,public"
    with closing(Database(other_url)) as other:
        assert other.migrate(settings.Source(table="letters.letters", path_column="scan"), dimension=384)
    for schema in ("public", "letters"):
        known = f"insert into {schema}.rag_outbox (document_id, operation, generation) values ('7', 'insert', 1)"
        rows.execute(database_url, known)
    rows.execute(database_url, statements)
    for schema, ids in expected.items():
        assert {id_ for (id_,) in rows.execute(database_url, f"select document_id from {schema}.rag_changes")} == ids


AT_ONCE = {  # what one index is at in an open transaction, and the other one does meanwhile
    "changes": (
        "select rag_enqueue(array['7'], 'insert')",
        "select rag_take_changes(); select count(*) from rag_outbox",
    ),
    "words": ("select rag_fold_words()", "select rag_fold_words()"),
}
WORD = "insert into rag_word_changes values (default, 'm', 'en', 1, 1, array['pump'], array[1])"


@pytest.mark.parametrize(("one", "other"), AT_ONCE.values(), ids=AT_ONCE)
def test_indexes_of_one_database_do_not_wait_for_each_other(database_url: str, one: str, other: str) -> None:
    """The first fill of a large table takes long, and nobody else's changes should."""
    rows.execute(database_url, LETTERS)
    letters_url = f"{database_url}{'&' if '?' in database_url else '?'}options=-csearch_path%3Dletters,public"
    with closing(Database(letters_url)) as letters:
        letters.migrate(settings.Source(table="letters.letters", path_column="scan"), dimension=384)
        with letters.transaction() as cursor:
            cursor.execute(f"{WORD}; {one}")
            rows.execute(database_url, f"""insert into "TblDocumentFiles" (file_path) values ('a'); {WORD}""")
            assert rows.execute(database_url, f"set lock_timeout = '5s'; {other}") == [(1,)]
