"""rag_ingestion_log: one row per document and attempt."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json, execute_values

from rag_assets import visible
from rag_assets.errors import EmbeddingError, NotEnoughMemory, ServerFailedToStart, ServiceError, WrongModel
from rag_assets.model import ClaimOwner, Outcome
from rag_assets.postgres import documents
from rag_assets.postgres.statements import composed, statement
from rag_assets.settings import Source

PAGE_ROWS = 500
FAULTS: dict[type[ServiceError], str] = {  # how the log names what no document is to blame for
    NotEnoughMemory: "not_enough_memory",
    ServerFailedToStart: "server_failed",
    EmbeddingError: "embedding_failed",
    WrongModel: "wrong_model",
}
FAULT_ROWS = 1_000  # of one run at most


def write_log(cursor: Cursor, outcomes: Sequence[Outcome], *, run_id: str) -> None:
    """Record how these attempts ended."""
    execute_values(
        cursor,
        statement("ingestion_log", "insert_log"),
        [_row(outcome, run_id=run_id) for outcome in outcomes],
        page_size=PAGE_ROWS,
    )


def write_fault(cursor: Cursor, source: Source, error: ServiceError, *, claimed_by: ClaimOwner, run_id: str) -> int:
    """Record what kept a run from its documents, for each that it holds, in place of what did before; how many.

    No attempt is counted. Other errors than those in FAULTS leave no row: without settings or a database, none can be.
    """
    kind = next((name for kind, name in FAULTS.items() if isinstance(error, kind)), None)
    if kind is None:
        return 0
    values = {
        "claimed_by": str(claimed_by),
        "run_id": run_id,
        "kind": kind,
        "kinds": list(FAULTS.values()),
        "message": visible.lines(str(error)),
        "limit": FAULT_ROWS,
    }
    cursor.execute(composed("ingestion_log", "insert_fault", **documents.identifiers(cursor, source)), values)
    return int(cursor.rowcount)


def last_fault(cursor: Cursor) -> str | None:
    """What kept the last run from its documents, if nothing was done since."""
    cursor.execute(statement("ingestion_log", "get_last"))
    row = cursor.fetchone()
    return str(row[1]) if row and row[0] in FAULTS.values() else None


def of_run(cursor: Cursor, ids: Sequence[str], *, run_id: str) -> list[Outcome]:
    """How this run's last attempt at each of these documents ended, if there was one."""
    cursor.execute(statement("ingestion_log", "list_of_run"), {"ids": list(ids), "run_id": run_id})
    return [_outcome(cursor, row) for row in cursor.fetchall()]


def failed_in(cursor: Cursor, *, run_id: str) -> list[str]:
    """The documents of which an attempt failed in this run."""
    cursor.execute(statement("ingestion_log", "list_failed"), {"run_id": run_id})
    return [row[0] for row in cursor.fetchall()]


def purge(cursor: Cursor, *, days: int) -> int:
    """Forget attempts older than so many days that are not their document's last; how many. Totals keep them."""
    cursor.execute(statement("ingestion_log", "fold_totals"))
    cursor.execute(statement("ingestion_log", "purge_log"), {"days": days})
    return int(cursor.rowcount)


def _row(outcome: Outcome, *, run_id: str) -> tuple[Any, ...]:
    return (
        outcome.document_id,
        outcome.path,
        run_id,
        outcome.status,
        outcome.stage,
        outcome.error_kind,
        outcome.error_message,
        outcome.content_sha256,
        outcome.media_type,
        outcome.parser,
        outcome.pages,
        outcome.characters,
        outcome.chunks,
        outcome.chunks_embedded,
        outcome.chunks_reused,
        outcome.chunks_deleted,
        outcome.tokens,
        outcome.embedding_model,
        outcome.server_build,
        Json({stage: round(seconds, 4) for stage, seconds in outcome.seconds.items()}),
        list(outcome.warnings),
    )


def _outcome(cursor: Cursor, row: tuple[Any, ...]) -> Outcome:
    names = [column.name for column in cursor.description or ()]
    values = dict(zip(names, row, strict=True))
    values["warnings"] = tuple(values["warnings"])
    return Outcome(**{field.name: values[field.name] for field in fields(Outcome) if field.name in values})
