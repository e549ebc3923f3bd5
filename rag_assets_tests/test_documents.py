"""The application's table, whatever its names and types are."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from rag_assets import settings
from rag_assets.errors import SettingsError
from rag_assets.model import Document
from rag_assets.postgres import documents, outbox
from rag_assets.postgres.database import Database
from rag_assets_tests import rows


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        yield database


@pytest.mark.parametrize(
    ("id_type", "given"),
    [
        ("bigint generated always as identity", None),
        ("uuid default gen_random_uuid()", None),
        ("text", "'doc 1, a'"),
        ("varchar(10)", "'ab'"),
        ("numeric", "17"),
    ],
)
def test_every_step_works_when_the_id_has_another_type(
    empty_database_url: str, id_type: str, given: str | None
) -> None:
    """Trigger, claim and look-up agree on the id's text, through ids that are no ids of this type."""
    source = settings.Source(table="docs", id_column="key", path_column="place")
    rows.execute(empty_database_url, f"create table docs (key {id_type} primary key, place text)")
    with closing(Database(empty_database_url)) as database:
        database.migrate(source, dimension=384)
        columns, values = ("place", "'p'") if given is None else ("key, place", f"{given}, 'p'")
        rows.execute(empty_database_url, f"insert into docs ({columns}) values ({values})")
        with database.transaction() as cursor:
            (claim,) = outbox.claim_due(cursor, source, limit=9, claimed_by="run:a", seconds=9)
            assert claim.path == "p"
            assert documents.all_ids(cursor, source) == [claim.document_id]
            found = documents.get_documents(cursor, source, [claim.document_id, "no id of this type, I hope"])
            assert found == {claim.document_id: Document(id=claim.document_id, path="p")}


def test_names_are_quoted_when_they_hold_anything(empty_database_url: str) -> None:
    """Quotes, percent signs, dots and braces in the table's names break no statement, in a schema of its own."""
    source = settings.Source(table='we"ird."Ta%ble.{x}"', id_column='Id "1" %s', path_column="Pfad {0}")
    rows.execute(empty_database_url, 'create schema "we""ird"')
    with closing(Database(empty_database_url)) as database:
        database.create_table(source)
        database.migrate(source, dimension=384)
        with database.transaction() as cursor:
            (document,) = documents.register(cursor, source, ["a"])
        with database.transaction() as cursor:
            assert documents.count(cursor, source) == 1
            (claim,) = outbox.claim_due(cursor, source, limit=9, claimed_by="run:a", seconds=9)
            assert (claim.document_id, claim.path) == (document.id, "a")
            assert outbox.status(cursor, source).documents == 1


def test_register_adds_only_what_is_not_there_when_called_again(database: Database) -> None:
    """The rows of all paths come back, each once, in whatever state they were."""
    source = settings.Source()
    with database.transaction() as cursor:
        first = documents.register(cursor, source, ["a", "b", "a"])
    with database.transaction() as cursor:
        again = documents.register(cursor, source, ["b", "c"])
        assert documents.count(cursor, source) == 3
    assert sorted(document.path for document in first) == ["a", "b"]
    assert {document.path for document in again} == {"b", "c"}
    assert {document.id for document in first if document.path == "b"} <= {document.id for document in again}


def test_register_names_the_column_when_it_needs_a_value(empty_database_url: str) -> None:
    """A table that needs more than a path is the application's to fill."""
    source = settings.Source(table="docs", id_column="key", path_column="place")
    rows.execute(empty_database_url, "create table docs (key text primary key, place text)")
    with closing(Database(empty_database_url)) as database:
        database.migrate(source, dimension=384)
        with pytest.raises(SettingsError, match="docs need a value in key"), database.transaction() as cursor:
            documents.register(cursor, source, ["a"])


@pytest.mark.parametrize(
    ("place", "rule", "said"),
    [
        ("text check (place like 'docs/%')", "", "violates check constraint"),
        ("varchar(3)", "", "value too long"),
        ("bytea", "", "operator does not exist: bytea = text"),
        ("text generated always as (other) stored, other text", "", "cannot insert a non-DEFAULT value"),
        ("text references places", "", "violates foreign key constraint"),
        ("text references places deferrable initially deferred", "", "violates foreign key constraint"),
        ("text", "create trigger refused before insert on docs for each row execute function refuse()", "not so"),
        (
            "text",
            "create trigger dropped before insert on docs for each row execute function lose()",
            "drops or changes",
        ),
        ("text", "create trigger changed before insert on docs for each row execute function shorten()", "drops or"),
        ("text", "create rule dropped as on insert to docs do instead nothing", "drops or changes"),
    ],
)
def test_register_says_why_when_the_table_does_not_take_the_rows(
    empty_database_url: str, place: str, rule: str, said: str
) -> None:
    """In a sentence that names the table's own rule, with nothing added; not in a traceback."""
    source = settings.Source(table="docs", path_column="place")
    rows.execute(
        empty_database_url,
        f"""
        create table places (place text primary key);
        create table docs (id int generated always as identity, place {place});
        create function refuse() returns trigger language plpgsql as $$ begin raise exception 'not so'; end $$;
        create function lose() returns trigger language plpgsql as $$ begin return null; end $$;
        create function shorten() returns trigger language plpgsql as
            $$ begin new.place := left(new.place, 1); return new; end $$;
        {rule}""",
    )
    with closing(Database(empty_database_url)) as database:
        database.migrate(source, dimension=384)
        with pytest.raises(SettingsError, match=said) as raised, database.transaction() as cursor:
            documents.register(cursor, source, ["files/a.txt"])
    assert "insert the rows yourself" in str(raised.value).lower()
    assert rows.execute(empty_database_url, "select * from docs") == []


def test_nothing_is_created_when_the_table_has_gone(database: Database) -> None:
    """Only `migrate` creates a table; whoever works says that there is none."""
    rows.execute(database.url, 'drop table "TblDocumentFiles"')
    with pytest.raises(SettingsError, match="rag-assets init"), database.transaction() as cursor:
        documents.get_documents(cursor, settings.Source(), ["1"])
