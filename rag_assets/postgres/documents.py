"""The application's table: rows become Documents, and for those without an application, files become rows."""

from collections.abc import Sequence

from psycopg2 import errors as pg_errors
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a type

from rag_assets.errors import SettingsError
from rag_assets.model import Document
from rag_assets.postgres.statements import composed, statement
from rag_assets.settings import Source

_id_types: dict[tuple[str, Source], str] = {}


def ensure_table(cursor: Cursor, source: Source) -> None:
    """Create the table where there is none; SettingsError where it lacks the configured columns."""
    columns = _columns(cursor, source)
    if not columns:
        cursor.execute(composed("documents", "create_table", **_names(source)))
        return
    for key, column in (("id_column", source.id_column), ("path_column", source.path_column)):
        if column not in columns:
            raise SettingsError(
                f"Setting source.{key} is {column!r}, but the table {source.table} has the columns "
                f"{', '.join(columns)}. Set RAG_ASSETS_SOURCE__{key.upper()}, or [source] {key} in settings.toml."
            )


def identifiers(cursor: Cursor, source: Source) -> dict[str, sql.Composable]:
    """The names with which statements on the table are composed, quoted."""
    key = (cursor.connection.dsn, source)
    if key not in _id_types:
        ensure_table(cursor, source)
        _id_types[key] = _columns(cursor, source)[source.id_column][0]
    # format_type() gave the type's name as SQL wants it, from the catalogue
    return _names(source) | {"id_type": sql.SQL(_id_types[key])}  # type: ignore[arg-type]


def get_documents(cursor: Cursor, source: Source, ids: Sequence[str]) -> dict[str, Document]:
    """The rows of these ids that exist."""
    cursor.execute(composed("documents", "get_documents", **identifiers(cursor, source)), {"ids": list(ids)})
    return {row[0]: Document(id=row[0], path=row[1]) for row in cursor.fetchall()}


def all_ids(cursor: Cursor, source: Source) -> list[str]:
    """The ids of all rows, in their order."""
    cursor.execute(composed("documents", "list_ids", **_names(source)))
    return [row[0] for row in cursor.fetchall()]


def count(cursor: Cursor, source: Source) -> int:
    cursor.execute(composed("documents", "count_documents", **_names(source)))
    return int(cursor.fetchone()[0])


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


def _columns(cursor: Cursor, source: Source) -> dict[str, tuple[str, bool]]:
    table = _names(source)["table"].as_string(cursor)
    cursor.execute(statement("documents", "get_columns"), {"table": table})
    return {name: (kind, optional) for name, kind, optional in cursor.fetchall()}
