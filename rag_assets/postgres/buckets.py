"""The documents of a bucket with their states, for Dagster's page: from our tables, which have an index of buckets."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from rag_assets.model import State
from rag_assets.postgres.statements import composed, single, statement


@dataclass(frozen=True, kw_only=True)
class Member:
    """A document of a bucket; `error_kind` is that of its last attempt, where it waits, failed or was accepted."""

    document_id: str
    state: State
    error_kind: str | None


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """How many documents are in a bucket, and some of them: failed ones first, then those that wait."""

    documents: int
    members: tuple[Member, ...]


def ensure_indexes(cursor: Cursor, *, buckets: int) -> None:
    """Have an index of the buckets of our documents, of so many: without it, each look would go through all of them.

    Where it is there, nothing is locked. To make it waits for writers, for some seconds at most.
    """
    if _has_indexes(cursor, buckets):
        return
    cursor.execute(statement("migrations", "lock_migrations"))
    cursor.execute(statement("migrations", "limit_waiting"))
    if not _has_indexes(cursor, buckets):  # another program's, meanwhile
        names = {name: sql.Identifier(index) for name, index in _indexes(buckets).items()}
        cursor.execute(composed("buckets", "create_indexes", bucket=bucket_of(buckets), **names))


def get(cursor: Cursor, numbers: Sequence[int], *, buckets: int, limit: int) -> dict[int, Bucket]:
    """The buckets of these numbers that have documents, each with `limit` of them at most, by number.

    None where the indexes are not there yet: `rag-assets init` makes them.
    """
    if not _has_indexes(cursor, buckets):
        return {}
    values = {"numbers": list(numbers), "limit": limit}
    cursor.execute(composed("buckets", "list_documents", bucket=bucket_of(buckets)), values)
    found: dict[int, list[Member]] = {}
    documents: dict[int, int] = {}
    for number, document_id, state, error_kind, count in cursor.fetchall():
        found.setdefault(number, []).append(Member(document_id=document_id, state=state, error_kind=error_kind))
        documents[number] = count
    return {number: Bucket(documents=documents[number], members=tuple(some)) for number, some in found.items()}


def bucket_of(buckets: int) -> sql.Composable:
    """The number of a document's bucket, of so many, as an expression on the column document_id."""
    return composed("buckets", "get_bucket", buckets=sql.Literal(buckets))


def _has_indexes(cursor: Cursor, buckets: int) -> bool:
    cursor.execute(statement("buckets", "has_indexes"), _indexes(buckets))
    return bool(single(cursor)[0])


def _indexes(buckets: int) -> dict[str, str]:
    return {table: f"rag_{table}_of_{buckets}_buckets" for table in ("texts", "outbox")}
