"""What operators watch, as numbers of the database: what waits, what was done in all, how large the index is."""

from contextlib import suppress
from dataclasses import dataclass
from typing import get_args

import psycopg2
from psycopg2 import errors as pg_errors
from psycopg2.extensions import cursor as Cursor

from rag_assets.errors import RagAssetsError, ServiceError
from rag_assets.model import State
from rag_assets.postgres import vector_index
from rag_assets.postgres.database import Database, require_no_newer
from rag_assets.postgres.statements import nouns, single, statement
from rag_assets.postgres.vector_index import VectorIndex


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """What all attempts that ended alike came to, since the index was made.

    `error_kind` is empty of those that went well. Tokens are those of all chunks of a document, embedded or kept.
    """

    status: str
    error_kind: str
    attempts: int
    characters: int
    chunks_embedded: int
    chunks_reused: int
    chunks_deleted: int
    tokens: int
    read_seconds: float
    chunk_seconds: float
    embed_seconds: float
    write_seconds: float


@dataclass(frozen=True, kw_only=True)
class Starts:
    """How often the embedding server was started for a model, and the seconds that took in all."""

    model: str
    starts: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One look. `states` has every state, also those that no document is in.

    `errors` counts documents that wait or were given up, by the kind of their last error.
    """

    states: dict[str, int]
    errors: dict[str, int]
    changes: int  # that no look has moved to the outbox
    oldest_pending_seconds: float  # 0 where nothing is pending
    attempts: tuple[Attempts, ...]
    starts: tuple[Starts, ...]
    chunks: int | None  # of the model that serves; None where none were counted in time
    size_bytes: int  # of texts, chunks and words, with their indexes
    index: VectorIndex | None
    ticks: int | None  # None where Dagster keeps them elsewhere


@dataclass(frozen=True, kw_only=True)
class Pending:
    """What waits: documents, for how many seconds the oldest of their changes, and how many after an error, by kind."""

    documents: int
    oldest_seconds: float  # 0 where nothing is pending
    kinds: dict[str, int]
    held: int  # deletions that somebody has to confirm; not among the documents


def count_chunks(cursor: Cursor, *, seconds: float) -> int | None:
    """Chunks of the model that serves; None where counting takes longer than this, which hinders no other statement.

    Each chunk is passed over, so that this takes a second for ten million in memory.
    """
    cursor.execute(statement("figures", "begin_counting"), {"milliseconds": int(seconds * 1_000)})
    try:
        return _count(cursor, "count_chunks")
    except pg_errors.QueryCanceled:
        return None
    finally:
        cursor.execute(statement("figures", "end_counting"))


def get(cursor: Cursor, *, chunks: int | None, dagster_schema: str) -> Figures:
    """All of it, with the number of chunks as it was counted last; milliseconds, however many chunks there are.

    Raises SettingsError where a newer program made the tables, and ServiceError where somebody locks one of them for
    more than a second.
    """
    cursor.execute(statement("migrations", "limit_waiting_briefly"))
    try:
        return _get(cursor, chunks=chunks, dagster_schema=dagster_schema)
    except pg_errors.LockNotAvailable as exc:
        raise ServiceError(
            "The database answers, and has no numbers of the index just now: somebody locks one of its tables, as "
            "`vacuum full` and `rag-assets model shrink` do. They are back when that has ended (see pg_locks)."
        ) from exc


def _get(cursor: Cursor, *, chunks: int | None, dagster_schema: str) -> Figures:
    require_no_newer(cursor)
    cursor.execute(statement("figures", "count_waiting"))
    waiting = cursor.fetchall()
    states = dict.fromkeys(get_args(State), 0) | {"indexed": _count(cursor, "count_indexed")}
    errors: dict[str, int] = {}
    for state, kind, count in waiting:
        states[state] += count
        if kind:
            errors[kind] = errors.get(kind, 0) + count
    cursor.execute(statement("figures", "get_backlog"))
    changes, oldest = single(cursor)
    cursor.execute(statement("figures", "sum_attempts"))
    attempts = nouns(cursor, Attempts)
    cursor.execute(statement("figures", "list_starts"))
    starts = nouns(cursor, Starts)
    cursor.execute(statement("figures", "get_sizes"))
    model, size_bytes = single(cursor)
    cursor.execute(statement("figures", "count_ticks"), {"schema": dagster_schema})
    ticks = single(cursor)[0]
    return Figures(
        states=states,
        errors=errors,
        changes=changes,
        oldest_pending_seconds=oldest,
        attempts=tuple(attempts),
        starts=tuple(starts),
        chunks=chunks,
        size_bytes=size_bytes,
        index=vector_index.get(cursor, model) if model else None,
        ticks=ticks,
    )


def get_pending(cursor: Cursor) -> Pending:
    """What waits, from the tables of changes alone: neither chunks nor the documents table are looked at."""
    cursor.execute(statement("figures", "get_pending"))
    [pending] = nouns(cursor, Pending)
    return pending


def note_start(database: Database, model: str, *, seconds: float) -> None:
    """Count a start of the embedding server, which took so long; not where that cannot be written."""
    with suppress(RagAssetsError, psycopg2.Error), database.transaction() as cursor:
        cursor.execute(statement("figures", "add_start"), {"model": model, "seconds": seconds})


def _count(cursor: Cursor, name: str) -> int:
    cursor.execute(statement("figures", name))
    return int(single(cursor)[0])
