"""rag_models: whose vectors are kept beside each other; rag_serving: whose are searched; rag_embedding_models: each
model's vectors of known texts at its first use.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg2 import errors as pg_errors
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json

from rag_assets.errors import SettingsError
from rag_assets.postgres.statements import composed, single, statement

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

TABLES = ("rag_document_chunks", "rag_chunk_words")  # that have rows of each model
LOCK_SECONDS = 2.0


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


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model that served, serves or is to serve; `settings` are those that embed with it, by section."""

    name: str
    settings: dict[str, Any]
    is_kept: bool  # its vectors are written with every change; else they are dropped
    serves: bool


@dataclass(frozen=True, kw_only=True)
class Lacking:
    """How many documents are indexed, and how many of them `lack` vectors of a model; of `left`, none are made."""

    documents: int
    lack: int
    left: int
    named: tuple[str, ...]  # some of those that are left


def hold(cursor: Cursor) -> list[str]:
    """The models whose vectors are kept, until the end of the transaction; none where none was ever added.

    To be asked before anything of documents is locked: who adds, serves or drops a model waits for all who hold them.
    """
    cursor.execute(statement("models", "hold_models"))
    return kept(cursor)


def kept(cursor: Cursor) -> list[str]:
    """The models whose vectors are kept now; none where none was ever added."""
    return [one.name for one in get_all(cursor) if one.is_kept]


def lock(cursor: Cursor) -> None:
    """Wait for all who hold the models, and be alone until the end of the transaction."""
    cursor.execute(statement("models", "lock_models"))


def get_all(cursor: Cursor) -> list[Model]:
    """Those that were ever added, and the one that served before: the older one first."""
    cursor.execute(statement("models", "list_models"))
    return [Model(name=row[0], settings=row[1], is_kept=row[2], serves=row[3]) for row in cursor.fetchall()]


def get_present(cursor: Cursor) -> list[Model]:
    """Of these, those that are kept, or whose vectors are not all removed yet."""
    return [one for one in get_all(cursor) if not is_gone(cursor, one)]


def is_gone(cursor: Cursor, model: Model) -> bool:
    """Whether a model is kept no more and nothing is left of it; all chunks are passed over where it has none."""
    return not model.is_kept and not has_rest(cursor, model.name)


def keep(cursor: Cursor, name: str, settings: dict[str, Any]) -> None:
    """Have a model's vectors be kept from now on."""
    cursor.execute(statement("models", "keep"), {"model": name, "settings": Json(settings)})


def keep_first(cursor: Cursor, name: str, settings: dict[str, Any]) -> None:
    """The same of the model that serves already; nothing happens where it is known."""
    cursor.execute(statement("models", "keep_first"), {"model": name, "settings": Json(settings)})


def keep_no_more(cursor: Cursor, name: str) -> None:
    """Have a model's vectors be written no more."""
    cursor.execute(statement("models", "keep_no_more"), {"model": name})


def set_serving(cursor: Cursor, name: str) -> None:
    """Have searches that name no model take this one's vectors."""
    cursor.execute(statement("models", "serve"), {"model": name})


def serve(cursor: Cursor, name: str) -> None:
    """Have the model of the settings serve, unless others are known by now: then it is they who say which.

    SettingsError for one that was never added, where others were.
    """
    known = get_all(cursor)
    if not known:
        set_serving(cursor, name)
    elif name not in {one.name for one in known}:
        serving = next((one.name for one in known if one.serves), "another one")
        raise SettingsError(
            f"embedding.model is {name}, and {serving} serves. Have another model serve without a pause: rag-assets "
            f"model add {name}; or set embedding.model back."
        )


def enqueue_lacking(cursor: Cursor, name: str, *, with_claimed: bool) -> int:
    """Make documents pending that have no vectors of a model; how many.

    `with_claimed`: also those that are pending already, or worked on by who may not know of it; else they are not.
    """
    cursor.execute(statement("models", "enqueue_lacking"), {"model": name, "with_claimed": with_claimed})
    return int(single(cursor)[0])


def count_lacking(cursor: Cursor, name: str, *, named: int = 5) -> Lacking:
    """How far a model's vectors are."""
    cursor.execute(statement("models", "count_lacking"), {"model": name, "named": named})
    documents, lack, left, some = single(cursor)
    return Lacking(documents=documents, lack=lack, left=left, named=tuple(some or ()))


def has_vectors(cursor: Cursor, name: str) -> bool:
    """Whether there is any chunk of a model."""
    cursor.execute(statement("models", "has_vectors"), {"model": name})
    return bool(single(cursor)[0])


def has_rest(cursor: Cursor, name: str) -> bool:
    """Whether there is any chunk of a model, or what is known of its words."""
    cursor.execute(statement("models", "has_rest"), {"model": name})
    return bool(single(cursor)[0])


def count_vectors(cursor: Cursor, name: str) -> tuple[int, int]:
    """Chunks of a model, and the bytes of their vectors."""
    cursor.execute(statement("models", "count_vectors"), {"model": name})
    chunks, size = single(cursor)
    return int(chunks), int(size)


def remove(
    cursor: Cursor, name: str, *, serving: str, fingerprints: tuple[str, str], after: str, limit: int
) -> list[str]:
    """Remove chunks of a model that is kept no more, of so many documents whose id comes after one; which ones.

    They count as read for the one that serves; `fingerprints` are those of both. Documents that somebody writes just
    now are passed over.
    """
    old, new = fingerprints
    values = {"model": name, "serving": serving, "old": old, "new": new, "after": after, "limit": limit}
    cursor.execute(statement("models", "follow"), values)
    return [row[0] for row in cursor.fetchall()]


def remove_left(cursor: Cursor, name: str, *, limit: int) -> int:
    """Remove so many chunks of a model of which no document is known; how many there were."""
    cursor.execute(statement("models", "remove_left"), {"model": name, "limit": limit})
    return int(single(cursor)[0])


def forget_words(cursor: Cursor, name: str) -> None:
    """Remove what the statistics of words still say of a model that has no chunks any more."""
    cursor.execute(statement("models", "forget_words"), {"model": name})


def size(cursor: Cursor) -> int:
    """Bytes of chunks and words of all models on the disk, with their indexes."""
    cursor.execute(statement("models", "get_size"), {"tables": list(TABLES)})
    return int(single(cursor)[0])


def vacuum(cursor: Cursor, *, full: bool) -> None:
    """Have the space of what was removed be used again; `full`: give it back, while nobody reads or writes.

    Outside of any transaction.
    """
    for table in TABLES:
        cursor.execute(composed("models", "shrink" if full else "vacuum", table=sql.Identifier(table)))


def shrink_soon(cursor: Cursor) -> None:
    """Give space back, unless somebody has the tables for longer: who comes meanwhile would wait behind this.

    Outside of any transaction.
    """
    cursor.execute(statement("models", "wait_shortly"), {"seconds": LOCK_SECONDS})
    with suppress(pg_errors.LockNotAvailable):
        vacuum(cursor, full=True)
