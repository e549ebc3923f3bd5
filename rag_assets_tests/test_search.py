"""The nearest chunks, in exact order."""

from contextlib import closing

import numpy as np

from rag_assets import settings
from rag_assets.model import Claim
from rag_assets.postgres import chunks, outbox, search
from rag_assets.postgres.database import Cursor, Database
from rag_assets_tests import rows


def test_search_gives_the_exact_order_when_compared_with_numpy(database_url: str) -> None:
    """The k best by cosine, their similarity, and where they stand; of this model only."""
    contents = [f"chunk {n}" for n in range(60)]
    with closing(Database(database_url)) as database:
        with database.transaction() as cursor:
            cursor.execute("""insert into "TblDocumentFiles" (file_path) values ('a.txt'), ('b.txt')""")
        with database.transaction() as cursor:
            ours, other = outbox.claim_due(cursor, settings.Source(), limit=2, claimed_by="run:a", seconds=60)
            for claim, model in ((ours, rows.MODEL), (other, "other")):
                _write(cursor, claim, *contents, model=model)
            query = rows.vector("question")
            hits = search.search(cursor, query, k=10, model=rows.MODEL)
    similarities = {content: float(np.dot(rows.vector(content), query)) for content in contents}
    best = sorted(contents, key=lambda content: -similarities[content])[:10]
    assert [hit.content for hit in hits] == best
    assert np.allclose([hit.similarity for hit in hits], [similarities[content] for content in best], atol=1e-6)
    assert {(hit.document_id, hit.path, hit.page, hit.heading_path) for hit in hits} == {
        (ours.document_id, ours.path, 1, ("Part", "Section"))
    }


def test_search_gives_the_same_order_when_documents_say_the_same(database_url: str) -> None:
    """Whichever of them was stored last."""
    with closing(Database(database_url)) as database:
        rows.execute(database_url, """insert into "TblDocumentFiles" (file_path) values ('a.txt'), ('b.txt')""")
        with database.transaction() as cursor:
            claims = outbox.claim_due(cursor, settings.Source(), limit=2, claimed_by="run:a", seconds=60)
            for claim in reversed(claims):
                _write(cursor, claim, "the same", model=rows.MODEL)
            hits = search.search(cursor, rows.vector("question"), k=2, model=rows.MODEL)
    assert [hit.path for hit in hits] == ["a.txt", "b.txt"]


def test_search_finds_nothing_when_nothing_is_stored(database_url: str) -> None:
    """An empty index is no error."""
    with closing(Database(database_url)) as database, database.transaction() as cursor:
        assert search.search(cursor, rows.vector("x"), k=5, model=rows.MODEL) == []


def _write(cursor: Cursor, claim: Claim, *contents: str, model: str) -> None:
    chunks.write_document(
        cursor,
        claim.document_id,
        rows.read(*contents),
        path=claim.path,
        vectors=rows.vectors(*contents),
        model=model,
        dimension=rows.DIMENSION,
    )
