"""How attempts ended, and for how long that is kept."""

from contextlib import closing
from dataclasses import replace

from rag_assets.model import Outcome
from rag_assets.postgres import ingestion_log
from rag_assets.postgres.database import Database

OUTCOME = Outcome(
    document_id="1",
    path="a %s {b}.pdf",
    status="failed",
    stage="embed",
    error_kind="timed_out",
    error_message="late: 100 %",
    content_sha256="s",
    media_type="application/pdf",
    parser="pypdf",
    pages=3,
    characters=10,
    chunks=4,
    chunks_embedded=1,
    chunks_reused=2,
    chunks_deleted=5,
    tokens=6,
    embedding_model="m",
    server_build="b1",
    seconds={"read": 0.5},
    warnings=("page 2 has no text",),
)


def test_log_gives_back_what_was_written_when_a_run_asks_for_its_own(database_url: str) -> None:
    """Every field of the outcome, of the run's last attempt."""
    with closing(Database(database_url)) as database, database.transaction() as cursor:
        ingestion_log.write_log(cursor, [replace(OUTCOME, chunks=99)], run_id="a")
        ingestion_log.write_log(cursor, [OUTCOME, replace(OUTCOME, document_id="2")], run_id="b")
        assert ingestion_log.of_run(cursor, ["1", "3"], run_id="b") == [OUTCOME]
        assert [earlier.chunks for earlier in ingestion_log.of_run(cursor, ["1"], run_id="a")] == [99]
        assert ingestion_log.of_run(cursor, ["1"], run_id="c") == []


def test_purge_keeps_each_documents_last_attempt_when_all_are_old(database_url: str) -> None:
    """History goes, the answer to "how did it end?" stays."""
    with closing(Database(database_url)) as database, database.transaction() as cursor:
        ingestion_log.write_log(cursor, [OUTCOME, OUTCOME, replace(OUTCOME, document_id="2")], run_id="a")
        cursor.execute("update rag_ingestion_log set logged_at = now() - interval '100 days'")
        ingestion_log.write_log(cursor, [replace(OUTCOME, document_id="3")] * 2, run_id="a")
        assert ingestion_log.purge(cursor, days=90) == 1
        cursor.execute("select document_id from rag_ingestion_log order by id")
        assert cursor.fetchall() == [("1",), ("2",), ("3",), ("3",)]
