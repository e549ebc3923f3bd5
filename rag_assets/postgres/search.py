"""The nearest chunks to a vector."""

from collections.abc import Sequence

from psycopg2.extensions import cursor as Cursor

from rag_assets.model import Hit
from rag_assets.postgres.statements import statement


def search(cursor: Cursor, vector: Sequence[float], *, k: int, model: str) -> list[Hit]:
    """The k chunks of this model nearest to `vector` (dimension floats) by cosine distance, best first; exact."""
    text = "[" + ",".join(f"{float(value):.9g}" for value in vector) + "]"
    cursor.execute(statement("chunks", "search"), {"vector": text, "model": model, "k": k})
    return [
        Hit(
            document_id=row[0],
            path=row[1],
            chunk_index=row[2],
            content=row[3],
            similarity=row[4],
            page=row[5],
            heading_path=tuple(row[6]),
        )
        for row in cursor.fetchall()
    ]
