"""All that a database holds, counted: what a backup is compared with after it was restored."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from rag_assets.model import counted
from rag_assets.postgres.database import Database
from rag_assets.postgres.statements import composed, single, statement


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Migrations that were applied, in order, and the number of rows of each table, by schema.table."""

    migrations: list[str]
    rows: dict[str, int]

    @property
    def words(self) -> str:
        """How much that is, for people, as in "12 rows of 3 tables"."""
        return f"{counted(sum(self.rows.values()), 'row')} of {counted(len(self.rows), 'table')}"


@dataclass(frozen=True, kw_only=True)
class DatabaseSizes:
    """Bytes on disk: of the whole database, and of its tables without their indexes."""

    database: int
    tables: int


@contextmanager
def snapshot(database: Database) -> Iterator[tuple[Cursor, str]]:
    """A transaction that sees one state of everything, and the name by which `pg_dump --snapshot` sees the same."""
    with database.transaction() as cursor:
        cursor.execute(statement("contents", "hold_still"))
        cursor.execute(statement("contents", "export_snapshot"))
        yield cursor, str(single(cursor)[0])


def count(cursor: Cursor) -> Contents:
    """Count the rows of all tables, one after the other: in a snapshot, they belong together."""
    cursor.execute(statement("contents", "list_tables"))
    names = [(str(schema), str(table)) for schema, table in cursor.fetchall()]
    return Contents(
        migrations=_migrations(cursor), rows={".".join(name): _count(cursor, sql.Identifier(*name)) for name in names}
    )


def sizes(cursor: Cursor) -> DatabaseSizes:
    """Bytes on the disk, of the whole database and of the tables of the index."""
    cursor.execute(statement("contents", "get_sizes"))
    whole, tables = single(cursor)
    return DatabaseSizes(database=whole, tables=tables)


def roles(cursor: Cursor) -> list[str]:
    """The accounts besides our own to which rights may have been granted."""
    cursor.execute(statement("contents", "list_roles"))
    return [str(name) for (name,) in cursor.fetchall()]


def analyze(cursor: Cursor) -> None:
    """Have PostgreSQL gather the statistics from which it plans queries, as a restore leaves none."""
    cursor.execute(statement("contents", "analyze"))


def _count(cursor: Cursor, table: sql.Identifier) -> int:
    cursor.execute(composed("contents", "count_rows", table=table))
    return int(single(cursor)[0])


def _migrations(cursor: Cursor) -> list[str]:
    cursor.execute(statement("migrations", "has_migrations"))
    if not single(cursor)[0]:
        return []
    cursor.execute(statement("migrations", "list_migrations"))
    return sorted(str(name) for name, _ in cursor.fetchall())
