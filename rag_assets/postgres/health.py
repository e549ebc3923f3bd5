"""What `rag-assets doctor` asks the database."""

from dataclasses import dataclass

from psycopg2.extensions import cursor as Cursor

from rag_assets.postgres import documents
from rag_assets.postgres.statements import single, statement
from rag_assets.settings import Source


@dataclass(frozen=True, kw_only=True)
class Health:
    """Versions of pgvector are None where it is not there."""

    server_version: int  # 180000 is 18.0
    pgvector: str | None
    pgvector_available: str | None
    has_tables: bool  # ours
    has_source: bool  # the application's
    has_triggers: bool
    has_chunks: bool


def examine(cursor: Cursor, source: Source) -> Health:
    """What doctor says of the database; changes nothing in it."""
    cursor.execute(statement("health", "get_server"))
    version, installed, available = single(cursor)
    cursor.execute(statement("health", "has_tables"), {"table": documents.quoted(cursor, source)})
    has_tables, has_source = single(cursor)
    return Health(
        server_version=version,
        pgvector=installed,
        pgvector_available=available,
        has_tables=has_tables,
        has_source=has_source,
        has_triggers=has_source and _has_triggers(cursor, source),
        has_chunks=has_tables and _is_true(cursor, "has_chunks"),
    )


def missing_rights(cursor: Cursor, source: Source) -> list[str]:
    """What `init` needs to make our tables and this role may not do, in words."""
    cursor.execute(statement("health", "list_missing_rights"), {"table": documents.quoted(cursor, source)})
    return list(single(cursor)[0])


def _has_triggers(cursor: Cursor, source: Source) -> bool:
    return _is_true(cursor, "has_function") and documents.has_triggers(cursor, source)


def _is_true(cursor: Cursor, name: str) -> bool:
    cursor.execute(statement("health", name))
    return bool(single(cursor)[0])
