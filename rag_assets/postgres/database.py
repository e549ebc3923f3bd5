"""Connections, short transactions and migrations of one PostgreSQL database."""

import hashlib
import queue
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any

import psycopg2
from psycopg2 import errors as pg_errors
from psycopg2 import sql
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, connection

from rag_assets.errors import DatabaseUnavailable, SettingsError
from rag_assets.postgres import conninfo, documents
from rag_assets.postgres.statements import composed, folder, single, statement
from rag_assets.settings import Database as DatabaseSettings
from rag_assets.settings import Source

Cursor = psycopg2.extensions.cursor  # what transaction() gives

APPLICATION_NAME = "rag_assets"
ENCODING = "UTF8"  # documents are in every script
KEEPALIVES: dict[str, Any] = {  # seconds; tcp_user_timeout in milliseconds: a line that is cut is known within a minute
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}


_OTHERWISE = (
    "set DATABASE_URL to PostgreSQL itself, or DAGSTER_DATABASE_URL to a database of Dagster's own, in which it may "
    "make its tables wherever it finds itself."
)


class Database:
    """A pool of at most `pool_max_size` connections; thread-safe. Raises DatabaseUnavailable, with what to check."""

    def __init__(self, url: str, *, settings: DatabaseSettings | None = None) -> None:
        self.url = url
        self._closed = False
        self._settings = settings or DatabaseSettings()
        self._slots = threading.BoundedSemaphore(self._settings.pool_max_size)
        self._idle: queue.LifoQueue[connection] = queue.LifoQueue()

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """A cursor in a transaction: committed at the end of the block, rolled back when it raises."""
        with self._slots:
            taken = self._take()
            try:
                with taken.cursor() as cursor:
                    yield cursor
                taken.commit()
            except (psycopg2.OperationalError, psycopg2.InterfaceError, pg_errors.ReadOnlySqlTransaction) as exc:
                raise unavailable(self.url, exc) from exc
            except (pg_errors.UndefinedTable, pg_errors.UndefinedFunction, pg_errors.UndefinedColumn) as exc:
                raise _not_migrated(self.url, exc) from exc
            except pg_errors.InsufficientPrivilege as exc:
                raise _not_allowed(self.url, exc) from exc
            except psycopg2.DatabaseError as exc:
                if not _is_of_a_lost_line(exc):
                    raise
                raise unavailable(self.url, exc) from exc
            finally:
                self._give_back(taken)

    def close(self) -> None:
        """Close the idle connections; those in use are closed when they come back."""
        self._closed = True
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    def migrate(self, source: Source, *, dimension: int) -> list[str]:
        """Bring tables, functions and triggers to today's state, and enqueue rows of which nothing is known.

        Returns the names of the migrations that were applied; a second call applies none. Safe to call from
        several processes at once. Raises SettingsError when the source table lacks the configured columns, when
        an applied migration was edited, when stored vectors have another dimension, or when the database itself does
        not do: its encoding, pgvector, the role's rights.
        """
        with self.transaction() as cursor:
            try:
                return _migrate(cursor, source, dimension=dimension, channel=self._settings.listen_channel)
            except pg_errors.LockNotAvailable as exc:
                raise DatabaseUnavailable(
                    f"{conninfo.shown(self.url)}: a transaction holds {source.table} or a table of ours for long. "
                    "Nothing was changed; try again when it has ended (see pg_stat_activity)."
                ) from exc
            except (pg_errors.InvalidSchemaName, pg_errors.WrongObjectType) as exc:
                raise SettingsError(
                    f"{conninfo.shown(self.url)}: {_first_line(exc)}. Setting source.table is {source.table!r}, "
                    "and has to name a table (no view, which has no triggers) in a schema that is there."
                ) from exc
            except (pg_errors.UndefinedFile, pg_errors.FeatureNotSupported, pg_errors.InsufficientPrivilege) as exc:
                raise SettingsError(
                    f"{conninfo.shown(self.url)}: {_first_line(exc)}. The database needs the extension vector "
                    "(pgvector), and a role that may create tables, and triggers on the documents table."
                ) from exc

    def create_schema(self, name: str) -> None:
        """A schema of this name, if there is none."""
        with self.transaction() as cursor:
            cursor.execute(composed("migrations", "create_schema", schema=sql.Identifier(name)))

    def _take(self) -> connection:
        with suppress(queue.Empty):
            while True:
                idle = self._idle.get_nowait()
                if _answers(idle):
                    return idle
                idle.close()
        return connect(self.url, seconds=self._settings.connect_timeout_seconds)

    def _give_back(self, used: connection) -> None:
        try:
            if used.info.transaction_status != TRANSACTION_STATUS_IDLE:
                used.rollback()
        except psycopg2.Error:
            used.close()
        if self._closed:
            used.close()
        elif not used.closed:
            self._idle.put(used)


def connect(url: str, *, seconds: int) -> connection:
    """A new connection; DatabaseUnavailable when there is none within `seconds`."""
    conninfo.parsed(url)
    try:
        made: connection = psycopg2.connect(
            url,
            connect_timeout=seconds,
            application_name=APPLICATION_NAME,
            client_encoding=ENCODING,  # whatever PGCLIENTENCODING says
            **KEEPALIVES,
        )
        made.autocommit = True
        with made.cursor() as cursor:
            cursor.execute(statement("documents", "write_ids_alike"))
        # Whatever the application's default: a statement that waited for somebody has to see what was committed.
        made.set_session(isolation_level="READ COMMITTED", autocommit=False)
        return made
    except psycopg2.OperationalError as exc:
        raise unavailable(url, exc) from None  # nor is what libpq quoted to be read in a traceback


def require_schema(url: str, schema: str, *, connections: int, seconds: int) -> None:
    """SettingsError where names are not looked up in `schema`, as the options of the URL say, or where the server does
    not give so many connections at once."""
    with ExitStack() as stack:
        try:
            made = [stack.enter_context(closing(connect(url, seconds=seconds))) for _ in range(connections)]
        except DatabaseUnavailable as exc:
            raise SettingsError(
                f"{exc} Needed are {connections} connections for Dagster at once, beside ours, and a server that takes "
                f"`options`: {_OTHERWISE}"
            ) from None
        with made[0].cursor() as cursor:
            cursor.execute(statement("migrations", "get_schema"))
            found = single(cursor)[0]
    if found != schema:
        raise SettingsError(
            f"Database {conninfo.shown(url)}: a pooler stands between that drops `options`, and Dagster would make its "
            f"tables in the schema {found} instead of {schema}: {_OTHERWISE}"
        )


def connect_async(url: str) -> connection:
    """A connection that has only begun to connect, and on which nothing blocks; always in autocommit."""
    begun: connection = psycopg2.connect(url, async_=True, application_name=APPLICATION_NAME, **KEEPALIVES)
    return begun


def unavailable(url: str, cause: BaseException) -> DatabaseUnavailable:
    """What failed, where (without the password), and what to check."""
    return DatabaseUnavailable(
        f"Database {conninfo.shown(url)}: {conninfo.said(cause, url)} "
        "- check that PostgreSQL runs there, that DATABASE_URL is right, and that its disk is not full; "
        "nothing is lost, pending documents stay pending."
    )


def _is_of_a_lost_line(error: psycopg2.DatabaseError) -> bool:
    """A server that ends in the middle of an answer is an error without a code and a class, for psycopg2."""
    return type(error) is psycopg2.DatabaseError and error.pgcode is None


def _not_allowed(url: str, cause: psycopg2.Error) -> SettingsError:
    return SettingsError(
        f"Database {conninfo.shown(url)}: {_first_line(cause)}. Have DATABASE_URL name the role that ran "
        "`rag-assets init`, or give this one its rights."
    )


def _first_line(cause: psycopg2.Error) -> str:
    return str(cause).strip().splitlines()[0]


def _not_migrated(url: str, cause: psycopg2.Error) -> SettingsError:
    return SettingsError(
        f"Database {conninfo.shown(url)}: {_first_line(cause)}. Run `rag-assets init` to bring it up to date."
    )


def _answers(idle: connection) -> bool:
    """Whether the server is still behind it: a restart leaves dead connections in the pool."""
    try:
        with idle.cursor() as cursor:
            cursor.execute("select 1")
    except psycopg2.Error:
        return False
    return True


def _migrate(cursor: Cursor, source: Source, *, dimension: int, channel: str) -> list[str]:
    _require_encoding(cursor)
    cursor.execute(statement("migrations", "lock_migrations"))
    cursor.execute(statement("migrations", "limit_waiting"))
    _require_schema(cursor)
    documents.ensure_table(cursor, source)
    documents.require_no_other_index(cursor, source)
    applied = _apply_migrations(cursor)
    _set_dimension(cursor, dimension)
    _apply_functions(cursor, source, channel=channel)
    documents.require_comparable_ids(cursor, source)
    documents.ensure_triggers(cursor, source)
    cursor.execute(composed("outbox", "enqueue_unknown", **documents.identifiers(cursor, source)))
    return applied


def _require_schema(cursor: Cursor) -> None:
    cursor.execute(statement("migrations", "get_schema"))
    if single(cursor)[0] is None:
        raise SettingsError(
            "The search_path of the database names no schema that is there: correct it (alter database ... set "
            "search_path), or name one in DATABASE_URL, as in ?options=-csearch_path%3Dpublic"
        )


def _require_encoding(cursor: Cursor) -> None:
    found = cursor.connection.info.parameter_status("server_encoding")
    if found != ENCODING:
        raise SettingsError(
            f"The database of DATABASE_URL has the encoding {found}, in which not every document can be stored; needed "
            f"is {ENCODING}: createdb --encoding={ENCODING} --template=template0 ..."
        )


def _apply_migrations(cursor: Cursor) -> list[str]:
    cursor.execute(statement("migrations", "create_migrations"))
    cursor.execute(statement("migrations", "list_migrations"))
    known = dict(cursor.fetchall())
    applied: list[str] = []
    for file in folder("migrations"):
        text = file.read_text(encoding="utf-8")
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        if known.get(file.name, sha256) != sha256:
            raise SettingsError(
                f"Migration {file.name} is not the one that was applied to this database. "
                "Migrations are never edited: restore the file, and put the change into a new one."
            )
        if file.name not in known:
            cursor.execute(text)
            cursor.execute(statement("migrations", "insert_migration"), {"name": file.name, "sha256": sha256})
            applied.append(file.name)
    return applied


def _apply_functions(cursor: Cursor, source: Source, *, channel: str) -> None:
    cursor.execute(statement("migrations", "get_schema"))
    schema = sql.Identifier(single(cursor)[0])
    names = documents.identifiers(cursor, source) | {
        "schema": schema,
        "channel": sql.Identifier(channel),
        "is_changed": documents.is_changed(cursor, source),
        "id_bytes": sql.Literal(documents.ID_BYTES),
        "id_settings": documents.id_settings(cursor, source),
        "is_same_id": documents.is_same_id(cursor, source),
        "coalesce": sql.SQL(statement("outbox", "coalesce").rstrip(";")),
    }
    for file in folder("functions"):
        cursor.execute(sql.SQL(file.read_text(encoding="utf-8")).format(**names))


def _set_dimension(cursor: Cursor, dimension: int) -> None:
    cursor.execute(statement("chunks", "get_dimension"))
    current, has_chunks = single(cursor)
    if current == dimension:
        return
    if has_chunks:
        raise SettingsError(
            f"Setting embedding.dimension is {dimension}, but the stored vectors have {current}. Vectors of two "
            "models cannot be searched together: set it back, or delete all rows of rag_document_chunks and "
            "rag_document_text to embed everything again."
        )
    cursor.execute(composed("chunks", "alter_dimension", dimension=sql.Literal(dimension)))
