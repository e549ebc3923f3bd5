"""The application's table: rows become Documents, and for those without an application, files become rows."""

from collections.abc import Sequence

from psycopg2 import errors as pg_errors
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from rag_assets.errors import SettingsError
from rag_assets.model import Document
from rag_assets.postgres.statements import composed, single, statement
from rag_assets.settings import Source

_id_types: dict[tuple[str, str, str], str] = {}  # by database, table and column; a type does not change


TYPED_INPUT_VERSION = 160_000  # PostgreSQL 16 can say whether a text is a valid id before it is cast


def ensure_table(cursor: Cursor, source: Source) -> None:
    """Create the table where there is none; SettingsError where it lacks the configured columns."""
    if not _columns(cursor, source):
        cursor.execute(composed("documents", "create_table", **_names(source)))
    require_columns(cursor, source)


def require_columns(cursor: Cursor, source: Source) -> dict[str, str]:
    """The table's columns and their types; SettingsError where there is no table, or not the configured ones."""
    columns = _columns(cursor, source)
    if not columns:
        raise SettingsError(
            f"There is no table {source.table}. Run `rag-assets init` to have one, or set RAG_ASSETS_SOURCE__TABLE, "
            "or [source] table in settings.toml, to the application's (capitals count; another schema: schema.table)."
        )
    for key, column in (("id_column", source.id_column), ("path_column", source.path_column)):
        if column not in columns:
            raise SettingsError(
                f"Setting source.{key} is {column!r}, but the table {source.table} has the columns "
                f"{', '.join(columns)}. Set RAG_ASSETS_SOURCE__{key.upper()}, or [source] {key} in settings.toml."
            )
    return columns


def ensure_triggers(cursor: Cursor, source: Source) -> None:
    """Have our triggers on this table and on no other; locks the table only where something is missing."""
    if not has_triggers(cursor, source):
        cursor.execute(composed("documents", "create_triggers", table=_names(source)["table"]))
    cursor.execute(statement("documents", "list_other_triggers"), {"table": quoted(cursor, source)})
    for schema, other, trigger in cursor.fetchall():
        identifiers = {"trigger": sql.Identifier(trigger), "table": sql.Identifier(schema, other)}
        cursor.execute(composed("documents", "drop_trigger", **identifiers))


def has_triggers(cursor: Cursor, source: Source) -> bool:
    """Whether the table has all our triggers, enabled as they should be."""
    cursor.execute(statement("documents", "has_triggers"), {"table": quoted(cursor, source)})
    return bool(single(cursor)[0])


def quoted(cursor: Cursor, source: Source) -> str:
    """The table's name as PostgreSQL reads it."""
    return _names(source)["table"].as_string(cursor)


def identifiers(cursor: Cursor, source: Source) -> dict[str, sql.Composable]:
    """The names with which statements on the table are composed, quoted.

    `claimed_id` and `given_id` are o.document_id and given as the table's type of id, null where they cannot be one.
    """
    key = (cursor.connection.dsn, source.table, source.id_column)
    if key not in _id_types:
        _id_types[key] = require_columns(cursor, source)[source.id_column]
    typed = cursor.connection.server_version >= TYPED_INPUT_VERSION
    return _names(source) | {
        "claimed_id": _cast("o.document_id", to=_id_types[key], typed=typed),
        "given_id": _cast("given", to=_id_types[key], typed=typed),
    }


def is_changed(cursor: Cursor, source: Source) -> sql.Composable:
    """The condition under which row n is o changed: in any column, but for those of source.ignored_columns."""
    if not source.ignored_columns:
        return sql.SQL("n *<> o")  # compares images, so that types without equality, such as json, do no harm
    columns = [sql.Identifier(name) for name in _columns(cursor, source) if name not in source.ignored_columns]
    new = sql.SQL(", ").join(sql.SQL("n.{}::text").format(column) for column in columns)
    old = sql.SQL(", ").join(sql.SQL("o.{}::text").format(column) for column in columns)
    return sql.SQL("row({}) is distinct from row({})").format(new, old)


def get_documents(cursor: Cursor, source: Source, ids: Sequence[str]) -> dict[str, Document]:
    """The rows of these ids that exist."""
    cursor.execute(composed("documents", "get_documents", **identifiers(cursor, source)), {"ids": list(ids)})
    return {row[0]: Document(id=row[0], path=row[1]) for row in cursor.fetchall()}


def all_ids(cursor: Cursor, source: Source) -> list[str]:
    """The ids of all rows, in their order."""
    cursor.execute(composed("documents", "list_ids", **_names(source)))
    return [row[0] for row in cursor.fetchall()]


def ids_of_buckets(cursor: Cursor, source: Source, numbers: Sequence[int], *, buckets: int) -> list[str]:
    """The ids of the rows whose hash falls into these of so many buckets, in their order."""
    values = {"numbers": list(numbers), "buckets": buckets}
    cursor.execute(composed("documents", "list_ids_of_buckets", **_names(source)), values)
    return [row[0] for row in cursor.fetchall()]


def count(cursor: Cursor, source: Source) -> int:
    cursor.execute(composed("documents", "count_documents", **_names(source)))
    return int(single(cursor)[0])


def touch(cursor: Cursor, source: Source, ids: Sequence[str]) -> int:
    """Make those of these documents that exist pending as if they had changed; how many."""
    values = {"ids": sorted(get_documents(cursor, source, ids)), "operation": "update", "priority": 0}
    cursor.execute(statement("outbox", "enqueue"), values)
    return int(single(cursor)[0])


def register(cursor: Cursor, source: Source, paths: Sequence[str]) -> list[Document]:
    """Add rows for paths that have none; the rows of all of them.

    Raises SettingsError where the table has columns that such a row would need a value for.
    """
    try:
        cursor.execute(composed("documents", "register_paths", **_names(source)), {"paths": list(paths)})
    except pg_errors.NotNullViolation as exc:
        raise SettingsError(
            f"Rows of {source.table} need a value in {exc.diag.column_name}, which `register` cannot know: give the "
            "column a default, or insert the rows yourself."
        ) from exc
    cursor.execute(composed("documents", "get_by_path", **_names(source)), {"paths": list(paths)})
    return [Document(id=row[0], path=row[1]) for row in cursor.fetchall()]


def _names(source: Source) -> dict[str, sql.Composable]:
    return {
        "table": sql.Identifier(*source.table.split(".")),
        "id_column": sql.Identifier(source.id_column),
        "path_column": sql.Identifier(source.path_column),
    }


def _columns(cursor: Cursor, source: Source) -> dict[str, str]:
    """The table's columns and their types, as SQL wants them written; none where there is no such table."""
    cursor.execute(statement("documents", "get_columns"), {"table": quoted(cursor, source)})
    return dict(cursor.fetchall())


def _cast(text: str, *, to: str, typed: bool) -> sql.Composable:
    value, kind = sql.SQL(text), sql.SQL(to)  # of the catalogue, and our own
    if not typed:
        return sql.SQL("{}::{}").format(value, kind)
    condition = sql.SQL("pg_input_is_valid({}, {})").format(value, sql.Literal(to))
    return sql.SQL("case when {} then {}::{} end").format(condition, value, kind)
