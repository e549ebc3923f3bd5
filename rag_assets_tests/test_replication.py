"""A documents table that logical replication fills: real publications and subscriptions, between two databases."""

import time
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

import psycopg2
import pytest

from rag_assets.bundled import postgres
from rag_assets.postgres.database import Database
from rag_assets.settings import Source
from rag_assets_tests import rows
from rag_assets_tests.faults import arena

TABLE = '"TblDocumentFiles"'
LOGICAL = {"wal_level": "logical", "max_wal_senders": "5", "max_logical_replication_workers": "4"}
PATIENCE_SECONDS = 120.0


@pytest.fixture
def server_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server of the test's own: that of the others does not replicate."""
    monkeypatch.setattr(postgres, "TUNING", postgres.TUNING | LOGICAL)
    with arena.server() as url:
        yield url


def test_every_change_is_noticed_when_logical_replication_applies_it(server_url: str) -> None:
    """It applies rows without statements: the initial copy, inserts, updates, deletes, other ids, and TRUNCATE."""
    publisher, subscriber = _database(server_url, "publisher"), _database(server_url, "subscriber")
    with closing(Database(subscriber)) as database:
        database.migrate(Source(), dimension=384)
    _execute(publisher, f"create publication documents for table {TABLE}")
    _execute(publisher, f"insert into {TABLE} values (1, 'a'), (2, 'b'), (3, 'c')")
    _execute(publisher, "select pg_create_logical_replication_slot('documents', 'pgoutput')")
    _execute(
        subscriber,
        f"create subscription documents connection '{_options(publisher)}' publication documents "
        "with (create_slot = false, slot_name = 'documents')",
    )
    _wait_for(subscriber, {"1", "2", "3"})
    for statement, changed in (
        (f"insert into {TABLE} values (4, 'd')", {"4"}),
        (f"update {TABLE} set file_path = 'z' where id = 1", {"1"}),
        (f"update {TABLE} set file_path = file_path where id = 2; insert into {TABLE} values (5, 'e')", {"2", "5"}),
        (f"delete from {TABLE} where id = 2", {"2"}),
        (f"update {TABLE} set id = 9 where id = 3", {"3", "9"}),
    ):
        _execute(subscriber, "delete from rag_changes")
        _execute(publisher, statement)
        _wait_for(subscriber, changed)
    _execute(subscriber, "select rag_take_changes()")
    _execute(publisher, f"truncate {TABLE}")
    _wait_for(subscriber, {"3", "9"})


def _database(server_url: str, name: str) -> str:
    _execute(server_url, f"create database {name}")
    url = urlsplit(server_url)._replace(path=f"/{name}").geturl()
    _execute(url, f"create table {TABLE} (id bigint primary key, file_path text not null)")
    return url


def _options(url: str) -> str:
    with closing(psycopg2.connect(url)) as connection:
        wanted = ("host", "port", "user", "password", "dbname")
        known = connection.info.dsn_parameters | {"password": connection.info.password}
    return " ".join(f"{name}={known[name]}" for name in wanted if known.get(name))


def _execute(url: str, statement: str) -> None:
    """Outside of a transaction, as such statements want it."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(statement)


def _wait_for(url: str, changed: set[str]) -> None:
    """These, and no others: changes arrive in their order, and these are the last."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := {name for (name,) in rows.execute(url, "select document_id from rag_changes")}) < changed:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    assert found == changed
