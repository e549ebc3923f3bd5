"""Changes that no trigger saw are found by comparing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest

from rag_assets import settings
from rag_assets.model import FileFacts, StoredText
from rag_assets.postgres import chunks, outbox, reconcile, texts
from rag_assets.postgres.database import Database
from rag_assets.postgres.reconcile import Differences
from rag_assets_tests import rows
from rag_assets_tests.patience import until

INSERT_THREE = """insert into "TblDocumentFiles" (file_path) values ('old'), ('new'), ('gone')"""
SOURCE = settings.Source()
NOTHING = Differences(unknown=0, vanished=0, moved=0, outdated=0, incomplete=0, lacking=0)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Three documents, completed; triggers are off from then on."""
    with closing(Database(database_url)) as database:
        with database.transaction() as cursor:
            cursor.execute("""insert into "TblDocumentFiles" (file_path) values ('a'), ('b'), ('c')""")
        with database.transaction() as cursor:
            for claim in outbox.claim_due(cursor, SOURCE, limit=9, claimed_by="run:a", seconds=60):
                chunks.write_document(
                    cursor,
                    claim.document_id,
                    rows.read("x", "y"),
                    path=claim.path,
                    vectors=rows.vectors("x", "y"),
                    model=rows.MODEL,
                    dimension=rows.DIMENSION,
                )
                outbox.settle(cursor, [(claim, rows.outcome(claim))], run_id="a")
        rows.execute(database_url, 'alter table "TblDocumentFiles" disable trigger all')
        yield database


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("select", NOTHING),
        ("""insert into "TblDocumentFiles" (file_path) values ('d')""", replace(NOTHING, unknown=1)),
        (
            """alter table "TblDocumentFiles" alter file_path drop not null;
            insert into "TblDocumentFiles" (file_path) values (null)""",
            NOTHING,
        ),
        ("""delete from "TblDocumentFiles" where id = 1""", replace(NOTHING, vanished=1)),
        ("""delete from rag_document_text; delete from "TblDocumentFiles" """, replace(NOTHING, vanished=3)),
        ("""update "TblDocumentFiles" set file_path = 'z' where id = 2""", replace(NOTHING, moved=1)),
        ("update rag_document_text set fingerprint = 'old' where document_id = '3'", replace(NOTHING, outdated=1)),
        ("delete from rag_document_chunks where document_id = '3' and chunk_index = 1", replace(NOTHING, incomplete=1)),
        ("update rag_document_text set content = '' where document_id = '3'", replace(NOTHING, incomplete=1)),
        ("""truncate rag_document_text, rag_document_chunks""", replace(NOTHING, unknown=3)),
    ],
)
def test_reconcile_table_enqueues_once_when_something_differs(
    database: Database, statement: str, found: Differences
) -> None:
    """Each kind of difference is found, counted, and pending; a second look finds nothing more."""
    rows.execute(database.url, statement)
    assert reconcile.reconcile_table(database, SOURCE, fingerprints=["f"], models=[rows.MODEL]) == found
    with database.transaction() as cursor:
        assert rows.pending(cursor) == sum(vars(found).values())
    assert reconcile.reconcile_table(database, SOURCE, fingerprints=["f"], models=[rows.MODEL]) == NOTHING


def test_reconcile_table_stops_nobody_who_takes_changes(database: Database) -> None:
    """What it found first is free for others while it looks for more, or each would wait for the other."""
    rows.execute(database.url, """update "TblDocumentFiles" set file_path = 'z' where id = 1""")
    rows.execute(database.url, """insert into "TblDocumentFiles" (file_path) values ('d')""")
    with ThreadPoolExecutor(1) as executor, database.transaction() as taking:
        rows.enqueue(taking, ["1"])
        found = executor.submit(reconcile.reconcile_table, database, SOURCE, fingerprints=["f"], models=[rows.MODEL])
        _wait_for_one_who_waits(database)
        rows.enqueue(taking, ["4"])
        taking.connection.commit()
        assert found.result() == replace(NOTHING, unknown=1)  # the other one is pending by then


def _wait_for_one_who_waits(database: Database) -> None:
    until(lambda: rows.execute(database.url, "select pid from pg_locks where not granted"))


def test_reconcile_files_enqueues_when_bytes_changed_or_vanished(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other bytes and missing files are pending; a file only written anew gets its new mtime noted."""
    monkeypatch.setattr(reconcile, "PAGE_DOCUMENTS", 2)

    def look(stored: StoredText) -> FileFacts | None:
        if stored.document_id == "1":
            return replace(stored.facts, sha256="other", mtime_ns=5)
        return replace(stored.facts, mtime_ns=7) if stored.document_id == "2" else None

    assert reconcile.reconcile_files(database, SOURCE, look=look).changed == 2
    assert reconcile.reconcile_files(database, SOURCE, look=look).changed == 0
    with database.transaction() as cursor:
        assert rows.pending(cursor) == 2
        assert [texts.get_stored(cursor, ["2"])["2"].facts.mtime_ns] == [7]


def test_reconcile_files_stops_nobody_who_stores(database: Database) -> None:
    """It notes an mtime where nobody is about to store another one, and waits for none of them."""

    def look(stored: StoredText) -> FileFacts:
        return replace(stored.facts, mtime_ns=7)

    touch = "update rag_document_text set mtime_ns = 5 where document_id = %s"
    with ThreadPoolExecutor(1) as executor, database.transaction() as storing:
        storing.execute(touch, ["2"])
        assert executor.submit(reconcile.reconcile_files, database, SOURCE, look=look).result(timeout=60).changed == 0
        storing.execute(touch, ["1"])
    with database.transaction() as cursor:
        stored = texts.get_stored(cursor, ["1", "2", "3"])
    assert {name: text.facts.mtime_ns for name, text in stored.items()} == {"1": 5, "2": 5, "3": 7}


def test_reconcile_files_notes_no_facts_of_bytes_that_were_replaced_meanwhile(database: Database) -> None:
    """They would be those of a version that is not stored."""

    def look(stored: StoredText) -> FileFacts:
        rows.execute(database.url, "update rag_document_text set sha256 = 'newer', mtime_ns = 5")
        return replace(stored.facts, mtime_ns=7)

    assert reconcile.reconcile_files(database, SOURCE, look=look).changed == 0
    with database.transaction() as cursor:
        assert {text.facts.mtime_ns for text in texts.get_stored(cursor, ["1", "2", "3"]).values()} == {5}


def test_retry_changed_makes_due_what_was_given_up_when_its_file_changed_since(database: Database) -> None:
    """Given up once is not given up for ever; a file that is as it was then is left alone."""
    with database.transaction() as cursor:
        cursor.execute(INSERT_THREE)
        cursor.execute('select id::text from "TblDocumentFiles" order by id desc limit 3')
        ids = sorted(row[0] for row in cursor.fetchall())
        rows.enqueue(cursor, ids)
        cursor.execute("update rag_outbox set state = 'dead', error_kind = 'empty', not_before = to_timestamp(1e6)")
    times = dict(zip(("old", "new", "gone"), (1e6 - 3_600, 1e6 + 1, None), strict=True))
    assert reconcile.retry_changed(database, SOURCE, changed_at=times.get) == 1
    with database.transaction() as cursor:
        cursor.execute("select document_id from rag_outbox where state = 'pending' and document_id = any(%s)", [ids])
        assert cursor.fetchall() == [(ids[1],)]
    assert reconcile.retry_changed(database, SOURCE, changed_at=times.get) == 0
