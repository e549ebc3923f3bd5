"""rag_document_chunks: a document's chunks and their vectors, written by difference."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pgvector import Vector
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values

from rag_assets.errors import EmbeddingError, MissingVectors
from rag_assets.model import Chunk, ReadDocument, counted
from rag_assets.postgres import texts
from rag_assets.postgres.statements import single, statement

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

PAGE_ROWS = 200  # per INSERT; a vector is 4 kB of text


@dataclass(frozen=True, kw_only=True)
class WriteCounts:
    """What became of a document's chunks; `reused` had their vector from another row.

    With several models, those of all are counted as embedded and deleted.
    """

    kept: int
    reused: int
    embedded: int
    deleted: int


@dataclass(frozen=True, kw_only=True)
class OfModel:
    """A document as it is cut for one model; `vectors` maps content hashes to float32 of shape (dimension,)."""

    name: str
    dimension: int
    chunks: Sequence[Chunk]
    vectors: "Mapping[str, NDArray[float32]]"


def missing_vectors(cursor: Cursor, hashes: Collection[str], *, model: str) -> set[str]:
    """Those of the content hashes for which no vector of this model is stored."""
    cursor.execute(statement("chunks", "list_stored_hashes"), {"hashes": list(hashes), "model": model})
    return set(hashes) - {row[0] for row in cursor.fetchall()}


def write_document(
    cursor: Cursor,
    document_id: str,
    read: ReadDocument,
    *,
    path: str,
    vectors: "Mapping[str, NDArray[float32]]",
    model: str,
    dimension: int,
    others: Sequence[OfModel] = (),
) -> WriteCounts:
    """Make a document's stored text and chunks those that were read, from the file that `path` of the table names.

    Chunks whose content hash and model are stored keep their row and vector, wherever they moved. `vectors`
    maps content hashes to float32 of shape (dimension,); what is not in it is copied from other rows. Beside these
    chunks, it has those of `others`, and of no further model. The document's claim is locked in this transaction
    (outbox.lock), or two could write at once. Raises MissingVectors when a vector is neither given nor stored any more,
    EmbeddingError when what is stored in the end is not one valid vector for each chunk.
    """
    first = OfModel(name=model, dimension=dimension, chunks=read.chunks, vectors=vectors)
    texts.write_text(cursor, document_id, path=path, read=read, model=model)  # before its chunks' words
    values = {"document_id": document_id, "models": [first.name, *(one.name for one in others)]}
    cursor.execute(statement("chunks", "delete_others"), values)
    deleted = int(cursor.rowcount)
    counts = _write_chunks(cursor, document_id, first)
    beside = [_write_chunks(cursor, document_id, one) for one in others]
    return replace(
        counts,
        embedded=counts.embedded + sum(each.embedded for each in beside),
        deleted=deleted + counts.deleted + sum(each.deleted for each in beside),
    )


def delete_document(cursor: Cursor, document_id: str) -> int:
    """Remove the text and chunks of a document whose claim is locked in this transaction; how many chunks."""
    texts.delete(cursor, document_id)
    cursor.execute(statement("chunks", "delete_document"), {"document_id": document_id})
    return int(cursor.rowcount)


@dataclass(frozen=True, kw_only=True)
class StoredVector:
    """A chunk and the vector that is stored of it."""

    id: int
    content: str
    heading_path: tuple[str, ...]
    content_sha256: str  # of the text that was embedded
    embedding: Vector


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which chunks are meant: those that fulfil all conditions; None is no condition."""

    ids: list[str] | None = None
    model: str | None = None
    after_time: datetime | None = None  # when the vector was stored, at or after
    before_time: datetime | None = None
    run: str | None = None
    path: str | None = None  # a pattern of LIKE


def sample_vectors(cursor: Cursor, *, model: str, count: int) -> list[StoredVector]:
    """At most so many trusted chunks of a model, by chance."""
    cursor.execute(statement("chunks", "sample_vectors"), {"model": model, "count": count})
    return [_stored_vector(row) for row in cursor.fetchall()]


def list_vectors(cursor: Cursor, selection: Selection, *, model: str, after: int, limit: int) -> list[StoredVector]:
    """Selected chunks of a model whose row id is above `after`, in the order of their ids."""
    values = asdict(selection) | {"current": model, "after": after, "limit": limit}
    cursor.execute(_of_selection("list_vectors"), values)
    return [_stored_vector(row) for row in cursor.fetchall()]


def selected(cursor: Cursor, selection: Selection) -> list[tuple[str, str]]:
    """Content hash and model of each vector that is selected."""
    cursor.execute(_of_selection("list_selected"), asdict(selection))
    return cursor.fetchall()


def distrust(cursor: Cursor, wrong: Collection[tuple[str, str]]) -> tuple[int, list[str]]:
    """Have vectors of these content hashes and models made anew in all documents; how many, and the documents.

    These become pending first: who holds a document's row in the outbox is the only one who writes its chunks.
    """
    values: dict[str, object] = {"hashes": [sha for sha, _ in wrong], "models": [model for _, model in wrong]}
    cursor.execute(statement("chunks", "list_sharing"), values)
    ids = sorted(row[0] for row in cursor.fetchall())
    cursor.execute(statement("outbox", "enqueue"), {"ids": ids, "operation": "update", "priority": 1})
    cursor.execute(statement("chunks", "distrust"), values | {"ids": ids})
    return int(single(cursor)[0]), ids


def _of_selection(name: str) -> str:
    return statement("chunks", name).replace("{selection}", statement("chunks", "selection"))


def _stored_vector(row: tuple[Any, ...]) -> StoredVector:
    return StoredVector(
        id=row[0], content=row[1], heading_path=tuple(row[2]), content_sha256=row[3], embedding=Vector.from_text(row[4])
    )


def _write_chunks(cursor: Cursor, document_id: str, of_model: OfModel) -> WriteCounts:
    """Make a document's chunks of one model those that were cut."""
    vectors, model = of_model.vectors, of_model.name
    stored = _stored(cursor, document_id, model=model)
    kept, added = _match(of_model.chunks, stored)
    known = _reusable(cursor, [c for c in added if c.content_sha256 not in vectors], model=model)
    gone = [row.id for rows in stored.values() for row in rows]  # _match took out what is kept
    if gone:
        cursor.execute(statement("chunks", "delete_chunks"), {"ids": gone})
    _move(cursor, [(row, chunk) for row, chunk in kept if row.place != _place(chunk)])
    fresh = {c.content_sha256 for c in added if c.content_sha256 in vectors}
    _require_valid([vectors[sha] for sha in fresh], document_id=document_id, dimension=of_model.dimension)
    given = known | {sha: _as_text(vectors[sha]) for sha in fresh}
    _insert(cursor, document_id, added, vectors=given, model=model)
    _check(cursor, document_id, of_model)
    embedded = sum(chunk.content_sha256 in vectors for chunk in added)
    return WriteCounts(kept=len(kept), reused=len(added) - embedded, embedded=embedded, deleted=len(gone))


def _as_text(vector: "NDArray[float32]") -> str:
    """As PostgreSQL reads it. Nine digits are enough to get the same float32 back; Vector.to_text writes seventeen."""
    return "[" + ",".join(["%.9g"] * len(vector)) % tuple(vector.tolist()) + "]"


_Place = tuple[int, int, int, int | None, list[str], str]


@dataclass(frozen=True, kw_only=True)
class _Row:
    id: int
    place: _Place


def _place(chunk: Chunk) -> _Place:
    return (chunk.index, chunk.char_start, chunk.char_end, chunk.page, list(chunk.heading_path), chunk.kind)


def _stored(cursor: Cursor, document_id: str, *, model: str) -> dict[str, list[_Row]]:
    """The document's rows of a model by content hash; the same words may stand in it several times."""
    cursor.execute(statement("chunks", "get_chunks"), {"document_id": document_id, "model": model})
    rows: dict[str, list[_Row]] = defaultdict(list)
    for row_id, content_sha256, *place in cursor.fetchall():
        rows[content_sha256].append(_Row(id=row_id, place=tuple(place)))
    return rows


def _match(chunks: Sequence[Chunk], stored: dict[str, list[_Row]]) -> tuple[list[tuple[_Row, Chunk]], list[Chunk]]:
    """Chunks with the row they keep, and those that have none; kept rows are taken out of `stored`."""
    kept, added = [], []
    for chunk in chunks:
        rows = stored.get(chunk.content_sha256)
        if not rows:
            added.append(chunk)
            continue
        same_place = next((row for row in rows if row.place == _place(chunk)), rows[0])
        rows.remove(same_place)
        kept.append((same_place, chunk))
    return kept, added


def _reusable(cursor: Cursor, chunks: Sequence[Chunk], *, model: str) -> dict[str, str]:
    needed = {chunk.content_sha256 for chunk in chunks}
    if not needed:
        return {}
    cursor.execute(statement("chunks", "get_vectors"), {"hashes": list(needed), "model": model})
    found = dict(cursor.fetchall())
    if missing := needed - found.keys():
        raise MissingVectors(missing, model=model)
    return found


def _move(cursor: Cursor, moved: Sequence[tuple[_Row, Chunk]]) -> None:
    if moved:
        rows = [(row.id, *_place(chunk)) for row, chunk in moved]
        template = "(%s::bigint, %s::integer, %s::integer, %s::integer, %s::integer, %s::text[], %s::text)"
        execute_values(cursor, statement("chunks", "move_chunks"), rows, template=template, page_size=PAGE_ROWS)


def _insert(
    cursor: Cursor, document_id: str, chunks: Sequence[Chunk], *, vectors: Mapping[str, str], model: str
) -> None:
    rows = [
        (
            document_id,
            chunk.index,
            chunk.content,
            chunk.content_sha256,
            chunk.token_count,
            chunk.char_start,
            chunk.char_end,
            chunk.page,
            list(chunk.heading_path),
            chunk.kind,
            vectors[chunk.content_sha256],
            model,
        )
        for chunk in chunks
    ]
    if rows:
        execute_values(cursor, statement("chunks", "insert_chunks"), rows, page_size=PAGE_ROWS)


def _require_valid(vectors: "Sequence[NDArray[float32]]", *, document_id: str, dimension: int) -> None:
    """What PostgreSQL would refuse is an error of the embedder, not of the database."""
    import numpy as np

    for vector in vectors:
        if vector.shape != (dimension,) or not np.isfinite(vector).all():
            raise EmbeddingError(
                f"Document {document_id}: a vector has the shape {vector.shape}, or numbers that are not finite; "
                f"expected {dimension} finite numbers. Set embedding.dimension to the model's, or see "
                "the embedding server's log."
            )


def _check(cursor: Cursor, document_id: str, of_model: OfModel) -> None:
    expected, dimension = len(of_model.chunks), of_model.dimension
    values = {"document_id": document_id, "dimension": dimension, "model": of_model.name}
    cursor.execute(statement("chunks", "count_valid"), values)
    stored, valid = single(cursor)
    if not stored == valid == expected:
        raise EmbeddingError(
            f"Document {document_id}: {counted(expected, 'chunk')} cut, {stored} stored, {valid} with a valid vector "
            f"of {dimension} dimensions. Nothing of it was kept; see the embedding server's log."
        )
