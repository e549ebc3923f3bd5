"""Whether what is stored is sound: one look for each question, at a sample of many texts or chunks."""

from dataclasses import dataclass

from psycopg2 import errors as pg_errors
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from rag_assets.postgres import documents, ingestion_log, search
from rag_assets.postgres.chunks import StoredVector
from rag_assets.postgres.database import Database
from rag_assets.postgres.statements import composed, single, statement
from rag_assets.settings import Source

SAMPLED_TEXTS, SAMPLED_CHUNKS = 10_000, 100_000  # looked at, of more, pages by chance: about a second
STARTING_SECONDS = 300  # a run whose engine does not start has ended before
NAMED = 5  # documents that a look names
SAME = 1e-4  # by which similarities differ that are the same but for rounding


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Of `seen` stored texts: the `empty` ones, and those that are `short` of chunks."""

    seen: int
    empty: int
    short: int
    named: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Failed:
    """How many of the documents failed: given up, or about to be tried again."""

    documents: int
    failed: int


@dataclass(frozen=True, kw_only=True)
class Owners:
    """Of `seen` chunks: those that are of no document."""

    seen: int
    ownerless: int
    named: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """How many documents have chunks, and how many of the others are `overlooked`: nobody is about to make any."""

    documents: int
    with_chunks: int
    overlooked: int
    named: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """Of `seen` vectors: those of another dimension, of another length than 1, and of another model; and whose are
    searched."""

    seen: int
    other_size: int
    other_length: int
    other_model: int
    named: tuple[str, ...]
    serving: str | None


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """How many documents are due, for how long the first is, and for how long nobody worked; None: nobody ever did."""

    due: int
    seconds: float
    idle_seconds: float | None
    fault: str | None  # what kept the last run from its documents, if nothing was done since


def texts(cursor: Cursor) -> Texts:
    """Whether each text that is stored has all of its chunks."""
    cursor.execute(_of_sample("look_at_texts", "rag_document_text"), _values(rows=SAMPLED_TEXTS))
    seen, empty, short, named = single(cursor)
    return Texts(seen=seen, empty=empty, short=short, named=tuple(named or ()))


def failed(cursor: Cursor, source: Source) -> Failed:
    """How many documents there are, and how many of them could not be read."""
    cursor.execute(composed("soundness", "count_failed", **documents.identifiers(cursor, source)))
    there, not_read = single(cursor)
    return Failed(documents=there, failed=not_read)


def owners(cursor: Cursor, source: Source) -> Owners:
    """Whether each chunk is of a document that the table has."""
    names = documents.identifiers(cursor, source)
    cursor.execute(_of_sample("look_at_owners", "rag_document_chunks", **names), _values(rows=SAMPLED_CHUNKS))
    seen, ownerless, named = single(cursor)
    return Owners(seen=seen, ownerless=ownerless, named=tuple(named or ()))


def coverage(cursor: Cursor, source: Source) -> Coverage:
    """Whether each document has chunks, or will have."""
    names = documents.identifiers(cursor, source)
    values = _values(id_bytes=documents.ID_BYTES)
    cursor.execute(composed("soundness", "look_at_coverage", **names), values)
    there, with_chunks, overlooked, named = single(cursor)
    return Coverage(documents=there, with_chunks=with_chunks, overlooked=overlooked, named=tuple(named or ()))


def vectors(cursor: Cursor, *, model: str, dimension: int) -> Vectors:
    """Whether each chunk has a vector of this model, as the model makes them."""
    values = _values(rows=SAMPLED_CHUNKS, model=model, dimension=dimension)
    cursor.execute(_of_sample("look_at_vectors", "rag_document_chunks"), values)
    seen, size, length, of_model, named, serving = single(cursor)
    return Vectors(
        seen=seen,
        other_size=size,
        other_length=length,
        other_model=of_model,
        named=tuple(named or ()),
        serving=serving,
    )


def waiting(cursor: Cursor) -> Waiting:
    """Whether somebody works on what is due."""
    fault = ingestion_log.last_fault(cursor)
    faults = list(ingestion_log.FAULTS.values())
    values = {"faults": faults, "is_fault": fault is not None, "starting": STARTING_SECONDS}
    cursor.execute(statement("soundness", "look_at_waiting"), values)
    due, seconds, idle = single(cursor)
    return Waiting(due=due, seconds=seconds or 0.0, idle_seconds=idle, fault=fault)


def is_found(database: Database, one: StoredVector, *, model: str) -> bool:
    """Whether a search for this chunk's vector gives it first, or one with the same vector; zero is like nothing."""
    vector = one.embedding.to_list()
    if not any(vector):
        return False
    try:
        with database.transaction() as cursor:
            hits = search.search(cursor, vector, k=1, model=model)
    except pg_errors.DataException:  # a vector of another dimension is among those it is compared with
        return False
    return bool(hits) and (hits[0].similarity or 0.0) > 1 - SAME


def _values(**values: object) -> dict[str, object]:
    return {"named": NAMED, **values}


def _of_sample(name: str, sampled: str, /, **names: sql.Composable) -> sql.Composed:
    share = composed("soundness", "share", of=sql.Literal(sampled))
    return composed("soundness", name, share=share, **names)
