"""What is known of each document's file."""

from contextlib import closing

from rag_assets import settings
from rag_assets.model import FileFacts
from rag_assets.postgres import chunks, outbox, texts
from rag_assets.postgres.database import Database
from rag_assets_tests import rows


def _store(database: Database, count: int) -> None:
    with database.transaction() as cursor:
        cursor.execute(f"""insert into "TblDocumentFiles" (file_path) select 'f' from generate_series(1, {count})""")
    with database.transaction() as cursor:
        source = settings.Source()
        for claim in outbox.claim_due(cursor, source, limit=count, claimed_by="run:a", seconds=60):
            read = rows.read(f"text {claim.document_id}", size=7)
            vectors = rows.vectors(f"text {claim.document_id}")
            chunks.write_document(
                cursor,
                claim.document_id,
                read,
                path=claim.path,
                vectors=vectors,
                model=rows.MODEL,
                dimension=rows.DIMENSION,
            )


def test_get_stored_gives_the_key_of_done_when_documents_were_read(database_url: str) -> None:
    """Facts, fingerprint, model and path, for those that are known."""
    with closing(Database(database_url)) as database:
        _store(database, 2)
        with database.transaction() as cursor:
            stored = texts.get_stored(cursor, ["1", "3"])
        assert list(stored) == ["1"]
        assert stored["1"].facts == FileFacts(sha256=rows.sha256("text 1"), size=7, mtime_ns=1)
        assert (stored["1"].fingerprint, stored["1"].embedding_model, stored["1"].path) == ("f", rows.MODEL, "f")


def test_list_facts_gives_every_document_once_when_read_in_pages(database_url: str) -> None:
    """Pages follow one another without gap or overlap."""
    with closing(Database(database_url)) as database:
        _store(database, 12)
        found, after = [], ""
        with database.transaction() as cursor:
            while page := texts.list_facts(cursor, after=after, limit=5):
                found += [stored.document_id for stored in page]
                after = found[-1]
        assert sorted(found, key=int) == [str(n) for n in range(1, 13)]


def test_refresh_and_move_change_only_their_columns_when_a_file_was_written_anew(database_url: str) -> None:
    """Size and mtime, or the path, of the documents named; hash and text stay."""
    with closing(Database(database_url)) as database:
        _store(database, 2)
        with database.transaction() as cursor:
            texts.refresh(cursor, {"1": FileFacts(sha256=rows.sha256("text 1"), size=9, mtime_ns=99)})
            texts.move(cursor, {"1": "elsewhere"})
            stored = texts.get_stored(cursor, ["1", "2"])
        assert stored["1"].facts == FileFacts(sha256=rows.sha256("text 1"), size=9, mtime_ns=99)
        assert (stored["1"].path, stored["2"].path, stored["2"].facts.mtime_ns) == ("elsewhere", "f", 1)
