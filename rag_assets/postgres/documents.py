"""The application's table: rows become Documents, and for those without an application, files become rows."""

from collections.abc import Sequence

import psycopg2
from psycopg2 import errors as pg_errors
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from rag_assets.errors import SettingsError, SourceUnusable
from rag_assets.model import Document, are, counted
from rag_assets.postgres.statements import composed, single, statement
from rag_assets.settings import Source

TABLE_KINDS = frozenset("rpf")  # kinds of relations that have triggers: tables, partitioned and foreign ones
# In UTF-8, of an id as text. As a partition key, where a character may take three, it fits an index of Dagster's with
# what stands beside it there: an entry has 2,704 bytes.
ID_BYTES = 800
# Types of ids that are written alike in every session.
ALIKE_EVERYWHERE = {"smallint", "integer", "bigint", "numeric", "text", "character varying", "character", "uuid"}

# Classes and codes of errors with which a table refuses a row: its types, constraints, partitions and triggers.
REFUSAL_CODES = ("22", "23", "428C9", "42804", "42883", "44", "P0")


def create_table(cursor: Cursor, source: Source) -> bool:
    """Create the table where there is none; whether there was none.

    SettingsError where documents are indexed: then it is their table that is missing, and an empty one in its place
    would mean that all of them are gone.
    """
    if _columns(cursor, source):
        return False
    if indexed := count_indexed(cursor):
        raise SettingsError(
            f"{counted(indexed, 'document')} {are(indexed)} indexed, and {source.table}, the table of all rows, is "
            "missing: an empty one would mean that all are gone. Name that table back, or correct source.table."
        )
    cursor.execute(composed("documents", "create_table", **_names(source)))
    return True


def require_columns(cursor: Cursor, source: Source) -> dict[str, str]:
    """The table's columns and their types.

    SourceUnusable where there is no table, or not the configured columns, or where this role does not see all rows.
    """
    cursor.execute(statement("documents", "get_columns"), {"table": quoted(cursor, source)})
    found = cursor.fetchall()
    if not found:
        raise SourceUnusable(
            f"There is no table {source.table}: work is paused, and nothing of the index is deleted. If it has another "
            "name, set RAG_ASSETS_SOURCE__TABLE, or [source] table in settings.toml (capitals count; another schema: "
            "schema.table). If there is to be a new one: rag-assets init --create-table"
        )
    if found[0][2] not in TABLE_KINDS:
        raise SourceUnusable(
            f"{source.table} is no table (a view has no triggers): work is paused, and nothing of the index is "
            f"deleted. Setting source.table is {source.table!r}, and has to name the application's table."
        )
    columns = {name: kind for name, kind, _ in found}
    for key, column in (("id_column", source.id_column), ("path_column", source.path_column)):
        if column not in columns:
            raise SourceUnusable(
                f"Setting source.{key} is {column!r}, but the table {source.table} has the columns "
                f"{', '.join(columns)}: work is paused, and nothing of the index is deleted. Set "
                f"RAG_ASSETS_SOURCE__{key.upper()}, or [source] {key} in settings.toml; then: rag-assets init"
            )
    _require_all_rows(cursor, source)
    return columns


def ensure_triggers(cursor: Cursor, source: Source) -> bool:
    """Have our triggers on this table, its partitions and children, and on no other; whether something was missing.

    Locks the tables only where it was.
    """
    if has_triggers(cursor, source):
        return False
    cursor.execute(statement("documents", "list_other_triggers"), {"table": quoted(cursor, source)})
    for schema, other, trigger in cursor.fetchall():
        identifiers = {"trigger": sql.Identifier(trigger), "table": sql.Identifier(schema, other)}
        cursor.execute(composed("documents", "drop_trigger", **identifiers))
    cursor.execute(statement("documents", "list_tables"), {"table": quoted(cursor, source)})
    for schema, name, is_own, can_be_truncated in cursor.fetchall():
        table = sql.Identifier(schema, name)
        if is_own:
            cursor.execute(composed("documents", "create_row_trigger", table=table))
        cursor.execute(composed("documents", "enable_row_trigger", table=table))
        if can_be_truncated:
            cursor.execute(composed("documents", "create_truncate_trigger", table=table))
    return True


def require_no_other_index(cursor: Cursor, source: Source) -> None:
    """SettingsError where an index of this table is in another schema than the one that search_path begins with now."""
    cursor.execute(statement("documents", "list_other_schemas"), {"table": quoted(cursor, source)})
    if row := cursor.fetchone():
        theirs, ours = row
        raise SettingsError(
            f"{source.table} has its index in the schema {theirs}, and search_path begins with {ours} now, where "
            f"another one would be made: put {theirs} first again, for the role, the database, or in DATABASE_URL "
            f"(?options=-csearch_path%3D{theirs}). To have the index there instead: drop function "
            f"{theirs}.notify_document_change cascade"
        )


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
    The type is the one that the column has when the statement runs: a table may be replaced at any time.
    """
    require_columns(cursor, source)
    names = _names(source)
    as_id = sql.SQL("rag_as_id({}, (null::{table}).{id_column})")
    given = {name: sql.SQL(text) for name, text in (("claimed_id", "o.document_id"), ("given_id", "given"))}
    return names | {name: as_id.format(text, **names) for name, text in given.items()}


def count_indexed(cursor: Cursor) -> int:
    """How many documents are indexed; 0 too where there are no tables yet."""
    cursor.execute(statement("documents", "has_texts"))
    if not single(cursor)[0]:
        return 0
    cursor.execute(statement("documents", "count_texts"))
    return int(single(cursor)[0])


def unless_changed(cursor: Cursor, source: Source) -> sql.Composable:
    """What ends the trigger where an UPDATE of old to new does not count: if it changed none but ignored columns."""
    if not source.ignored_columns:
        return sql.SQL("")
    columns = [sql.Identifier(name) for name in _columns(cursor, source) if name not in source.ignored_columns]
    new = sql.SQL(", ").join(sql.SQL("new.{}::pg_catalog.text").format(column) for column in columns)
    old = sql.SQL(", ").join(sql.SQL("old.{}::pg_catalog.text").format(column) for column in columns)
    same = sql.SQL("array[{}]::pg_catalog.text[] operator(pg_catalog.=) array[{}]::pg_catalog.text[]")
    unless = sql.SQL("if tg_op operator(pg_catalog.=) 'UPDATE' then if {} then return new; end if; end if;")
    return unless.format(same.format(new, old))


def get_documents(cursor: Cursor, source: Source, ids: Sequence[str]) -> dict[str, Document]:
    """The rows of these ids that exist, by the id as it was given: 07 may name the document 7."""
    values = {"ids": [one for one in ids if is_fit(one)]}
    cursor.execute(composed("documents", "get_documents", **identifiers(cursor, source)), values)
    return {row[0]: Document(id=row[1], path=row[2]) for row in cursor.fetchall()}


def id_settings(cursor: Cursor, source: Source) -> sql.Composable:
    """The end of a function's head: that ids are written in it as in our own sessions, whoever calls it.

    Empty for the usual types of ids, which are written alike everywhere: settings of a function cost its callers time.
    """
    if _id_type(cursor, source) in ALIKE_EVERYWHERE:
        return sql.SQL("")
    return sql.SQL(statement("documents", "prepare_session").replace(";", ""))


def is_fit(document_id: str) -> bool:
    """Whether a text can be the id of a document: not too long, and one that PostgreSQL can hold."""
    try:
        return "\0" not in document_id and len(document_id.encode()) <= ID_BYTES
    except UnicodeEncodeError:  # bytes of a command line that are no UTF-8
        return False


def require_usable_ids(cursor: Cursor, source: Source) -> None:
    """SettingsError where the id column has a type without equality, such as json, or is a virtual one.

    No row could be found by its id, or the trigger would not see it.
    """
    cursor.execute(statement("documents", "is_virtual"), {"table": quoted(cursor, source), "column": source.id_column})
    if single(cursor)[0]:
        raise SettingsError(
            f"Setting source.id_column is {source.id_column!r}, a virtual column, which no trigger sees. Name the "
            "column that it is computed from, or make it a stored one (generated always as ... stored)."
        )
    try:
        cursor.execute(composed("documents", "compare_ids", **identifiers(cursor, source)))
    except pg_errors.UndefinedFunction as exc:
        raise SettingsError(
            f"Setting source.id_column is {source.id_column!r}, whose values cannot be compared "
            f"({exc.diag.message_primary}). Name a column of numbers, texts or uuids."
        ) from exc


def all_ids(cursor: Cursor, source: Source) -> list[str]:
    """The ids of all documents, in their order, each once."""
    cursor.execute(composed("documents", "list_ids", **identifiers(cursor, source)), {"id_bytes": ID_BYTES})
    return list(dict.fromkeys(row[0] for row in cursor.fetchall()))


def ids_of_buckets(cursor: Cursor, source: Source, numbers: Sequence[int], *, buckets: int) -> list[str]:
    """The ids of the rows whose hash falls into these of so many buckets, in their order."""
    values = {"numbers": list(numbers), "buckets": buckets, "id_bytes": ID_BYTES}
    cursor.execute(composed("documents", "list_ids_of_buckets", **identifiers(cursor, source)), values)
    return list(dict.fromkeys(row[0] for row in cursor.fetchall()))


def count(cursor: Cursor, source: Source) -> int:
    """How many rows the application's table has."""
    cursor.execute(composed("documents", "count_documents", **identifiers(cursor, source)))
    return int(single(cursor)[0])


def register(cursor: Cursor, source: Source, paths: Sequence[str]) -> list[Document]:
    """Add rows for paths that have none; the rows of all of them.

    Raises SettingsError where the table does not take such rows: it has columns that need a value, or rules of its own.
    """
    try:
        cursor.execute(composed("documents", "register_paths", **_names(source)), {"paths": list(paths)})
    except psycopg2.DatabaseError as exc:
        if refusal := _refusal(exc, source):
            raise SettingsError(f"{refusal}, or insert the rows yourself. Nothing was added.") from exc
        raise
    cursor.execute(composed("documents", "get_by_path", **_names(source)), {"paths": list(paths)})
    found = [Document(id=row[0], path=row[1]) for row in cursor.fetchall()]
    if any(document.id is None for document in found):
        raise SettingsError(
            f"Rows of {source.table} get no {source.id_column} by themselves: give the column a default, as in "
            "`generated always as identity`, or insert the rows yourself. Nothing was added."
        )
    if lost := set(paths) - {document.path for document in found}:
        raise SettingsError(
            f"{counted(len(lost), 'row')} that {source.table} took {are(len(lost))} not there as written, first that "
            f"of {min(lost)}: a trigger or a rule of the table drops or changes what is inserted. Insert the rows "
            "yourself. Nothing was added."
        )
    return found


def _refusal(exc: psycopg2.DatabaseError, source: Source) -> str:
    """Why the table takes no row with a path alone, and what to do; empty where the table is not why it failed."""
    if isinstance(exc, pg_errors.NotNullViolation):
        column = exc.diag.column_name
        return (
            f"Rows of {source.table} need a value in {column}, which `register` cannot know: give the column a default"
        )
    if not str(exc.pgcode).startswith(REFUSAL_CODES):
        return ""
    return (
        f"{source.table} takes no row with a path in {source.path_column} alone ({exc.diag.message_primary}): correct "
        "source.table and source.path_column"
    )


def _require_all_rows(cursor: Cursor, source: Source) -> None:
    """A row that is hidden from this role would count as deleted: SourceUnusable where there may be one."""
    cursor.execute(statement("documents", "hides_rows"), {"table": quoted(cursor, source)})
    hidden, role = single(cursor)
    if hidden:
        raise SourceUnusable(
            f"Row-level security may hide rows of {source.table} from the role {role}, and a hidden row would count as "
            "deleted: work is paused, and nothing of the index is deleted. Give the role a policy that shows all, as "
            f"in create policy rag_assets on {quoted(cursor, source)} for select to "
            f"{sql.Identifier(role).as_string(cursor)} using (true), or BYPASSRLS"
        )


def _names(source: Source) -> dict[str, sql.Composable]:
    return {
        "table": sql.Identifier(*source.table_parts),
        "id_column": sql.Identifier(source.id_column),
        "path_column": sql.Identifier(source.path_column),
    }


def _id_type(cursor: Cursor, source: Source) -> str:
    """The type of the id column, without its size."""
    return require_columns(cursor, source)[source.id_column].partition("(")[0]


def _columns(cursor: Cursor, source: Source) -> dict[str, str]:
    """The table's columns and their types, as SQL wants them written; none where there is no such table."""
    cursor.execute(statement("documents", "get_columns"), {"table": quoted(cursor, source)})
    return {name: kind for name, kind, _ in cursor.fetchall()}
