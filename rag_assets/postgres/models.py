"""rag_embedding_models: each model's vectors of known texts at its first use; rag_serving: whose are searched."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from psycopg2.extensions import cursor as Cursor

from rag_assets.postgres.statements import statement

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray


def get_vectors(cursor: Cursor, model: str, texts: Sequence[str]) -> "NDArray[float32] | None":
    """float32 of shape (texts, dimension), or None where nothing is known of the model and these texts."""
    import numpy as np

    cursor.execute(statement("models", "get_vectors"), {"model": model, "texts": list(texts)})
    row = cursor.fetchone()
    return np.array(row[0], dtype=np.float32) if row else None


def record(cursor: Cursor, model: str, texts: Sequence[str], vectors: "NDArray[float32]") -> None:
    """Keep these vectors as the model's own, float32 of shape (texts, dimension), unless it has some already."""
    values = {"model": model, "texts": list(texts), "vectors": vectors.tolist()}
    cursor.execute(statement("models", "record_model"), values)


def forget(cursor: Cursor, model: str | None) -> None:
    """Forget the model, or each, of which no trusted vector is stored."""
    cursor.execute(statement("models", "forget_models"), {"model": model})


def serve(cursor: Cursor, model: str) -> None:
    """Have searches that name no model take this one's vectors."""
    cursor.execute(statement("models", "serve"), {"model": model})
