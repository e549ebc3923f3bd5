"""Databases of earlier versions become today's, with all that was at work, and wherever a migration is killed."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from rag_assets import settings, words
from rag_assets.errors import DatabaseUnavailable
from rag_assets.pipeline import Reader
from rag_assets.postgres import outbox, reconcile
from rag_assets.postgres import words as stored_words
from rag_assets.postgres.database import Database
from rag_assets.postgres.search import search
from rag_assets_tests import gate, rows
from rag_assets_tests.application import Application, HashEmbedder, paragraph

SOURCE = settings.Source()
DATABASES = Path(__file__).parent / "databases"
OLD = ("005_generations.sql", "009_runs.sql")
COUNT = """select (select count(*) from rag_document_text), (select count(*) from rag_document_chunks),
    (select count(*) from rag_outbox), (select count(*) from rag_changes), (select count(*) from rag_ingestion_log),
    (select count(*) from rag_migrations)"""
MOMENT = re.compile(r"'(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?)\+00'")  # as pg_dump writes a timestamptz


@pytest.fixture
def version() -> str:
    """Whose database it is; a test that names another one is asked with that."""
    return OLD[0]


@pytest.fixture
def old(
    version: str, empty_database_url: str, tmp_path: Path, reader: Reader, urgent_reader: Reader
) -> Iterator[Application]:
    """An application whose database an earlier version made and has not been migrated since."""
    rows.execute(empty_database_url, _as_if_dumped_now((DATABASES / version).read_text(encoding="utf-8")))
    with closing(Application(empty_database_url, tmp_path, reader=reader, urgent_reader=urgent_reader)) as made:
        yield made


def _as_if_dumped_now(dump: str) -> str:
    """The same dump with its times moved, all by as much: claims that ran then run still, whenever a test reads it."""
    first = min(datetime.fromisoformat(found).replace(tzinfo=UTC) for found in MOMENT.findall(dump))
    age = datetime.now(UTC) - first

    def moved(match: re.Match[str]) -> str:
        moment = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
        return f"'{moment + age:%Y-%m-%d %H:%M:%S.%f}+00'"

    return MOMENT.sub(moved, dump)


@pytest.mark.parametrize("version", OLD)
def test_documents_in_all_states_go_on_when_the_database_is_of_an_earlier_version(old: Application) -> None:
    """What was waiting, running, failed, given up or only written down is done; nothing is embedded twice."""
    assert old.database.migrate(SOURCE, dimension=rows.DIMENSION)
    with old.database.transaction() as cursor:
        status = outbox.status(cursor, SOURCE)
    assert (status.documents, status.up_to_date, status.running, status.chunks) == (7, 1, 1, 5)
    assert (status.failed, status.dead, status.warnings) == ({"not_found": 1}, {"unsupported": 1}, ())
    _require_found(old)
    _require_words(old)
    _write_files(old)
    old.sql("update rag_outbox set claimed_until = now(), not_before = now()")  # of the processes that are no more
    with old.database.transaction() as cursor:
        outbox.retry_dead(cursor)
    reconcile.reconcile_table(old.database, SOURCE, fingerprints=[old.reader.fingerprint], models=["all-MiniLM-L6-v2"])
    embedder = HashEmbedder()
    statuses = {document_id: outcome.status for document_id, outcome in old.run(embedder=embedder).items()}
    assert statuses.pop("3") == "deleted"
    assert set(statuses) == set("1245678")
    assert set(statuses.values()) == {"completed"}
    assert sorted(text.strip() for text in embedder.texts) == sorted(paragraph(f"new {n}").strip() for n in "45678")
    assert old.pending() == []


@pytest.mark.parametrize("what", ["insert", "update", "delete", "truncate"])
def test_changes_are_seen_when_the_database_is_of_an_earlier_version(old: Application, what: str) -> None:
    """The triggers of then make room for those of today, without a row that is written down twice."""
    old.database.migrate(SOURCE, dimension=rows.DIMENSION)
    old.sql("delete from rag_changes")
    old.sql(
        {
            "insert": """insert into "TblDocumentFiles" (file_path) values ('new')""",
            "update": """update "TblDocumentFiles" set file_path = file_path where id = 1""",
            "delete": """delete from "TblDocumentFiles" where id = 1""",
            "truncate": """truncate "TblDocumentFiles" """,
        }[what]
    )
    changes = old.sql("select operation, count(*) from rag_changes group by 1")
    assert changes == [("delete", 8)] if what == "truncate" else [(what, 1)]


def test_nothing_is_lost_when_the_server_process_is_killed_at_any_command_of_a_migration(old: Application) -> None:
    """The killed process takes its transaction along: the next attempt does all of it."""
    before = old.sql(COUNT)
    number = 1
    while _is_killed_at(old.url, number):
        assert old.sql(COUNT) == before
        number += 1
    assert number > 20  # so many commands there were at least, in migrations and functions
    assert old.sql(COUNT)[0][:2] == before[0][:2]
    _require_found(old)


@pytest.mark.parametrize("number", [1, 8, 20])
def test_init_finishes_when_it_was_killed_in_the_middle_of_a_migration(
    old: Application, tmp_path: Path, number: int
) -> None:
    """As if it had not begun."""
    before = old.sql(COUNT)
    with gate.closed_at(old.url, number):
        process = subprocess.Popen(
            [sys.executable, "-m", "rag_assets", "init"],
            env=os.environ | {"DATABASE_URL": old.url, "RAG_ASSETS_HOME": str(tmp_path / "init")},
            stdout=subprocess.DEVNULL,
        )
        gate.waiting(old.url)
        process.kill()
        process.wait(gate.SECONDS)
    assert old.sql(COUNT) == before
    assert old.database.migrate(SOURCE, dimension=rows.DIMENSION)
    _require_found(old)


def _is_killed_at(url: str, number: int) -> bool:
    """Whether a migration had a command of this number, and its server process was killed there."""
    killed: list[bool] = []

    def migrate() -> None:
        with closing(Database(url)) as database:
            try:
                database.migrate(SOURCE, dimension=rows.DIMENSION)
                killed.append(False)
            except DatabaseUnavailable:
                killed.append(True)

    def kill() -> None:
        if (pid := gate.waiting(url, unless=lambda: killed)) is not None:
            psutil.Process(pid).kill()

    with gate.closed_at(url, number):
        rows.in_threads([migrate, kill])
    return killed[0]


def _require_found(old: Application) -> None:
    """What was indexed is found by the vectors that it had."""
    with old.database.transaction() as cursor:
        for about, document_id in {"pumps": "1", "roses": "1", "taxes": "2", "trains": "2"}.items():
            vector = rows.vector(paragraph(about).strip()).tolist()
            [hit] = search(cursor, vector, k=1, model=old.settings.embedding.model)
            assert hit.document_id == document_id
            assert f"about {about}" in hit.content


def _require_words(old: Application) -> None:
    """What was indexed is found by its words, once they were filled in."""
    words.fill(old.database, old.settings.search, program="this")
    with old.database.transaction() as cursor:
        assert stored_words.check(cursor) == []
        cursor.execute("select document_id from rag_search('violin', k => 10, mode => 'text')")
        assert cursor.fetchall() == [("3",)]


def _write_files(old: Application) -> None:
    old.write("done.txt", "pumps", "roses")
    old.write("renamed.txt", "taxes", "trains")
    for number, name in {4: "failing.txt", 5: "dead.xyz", 6: "new.txt", 7: "running.txt", 8: "batched.txt"}.items():
        old.write(name, f"new {number}")
