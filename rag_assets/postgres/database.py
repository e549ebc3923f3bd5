"""Connections, short transactions and migrations of one PostgreSQL database."""

import hashlib
import queue
import re
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any

import psycopg2
from psycopg2 import errors as pg_errors
from psycopg2 import sql
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, connection

from rag_assets.errors import DatabaseUnavailable, SettingsError
from rag_assets.model import are, counted
from rag_assets.postgres import conninfo, documents, models, roles
from rag_assets.postgres import owner as owners
from rag_assets.postgres.owner import Owner
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
NEEDED_RIGHTS = (
    "`rag-assets init` needs the extension vector (pgvector), which a superuser may have to create, and a role that "
    "may create schemas in the database (grant create on database) and tables in the first schema of its search_path "
    "(grant create on schema), and that owns the documents table or belongs to its owner."
)

REFUSED = psycopg2.DataError  # a value that no column of its type can hold
NOT_MIGRATED = (  # what is missing where `init` never ran, or the search_path leads elsewhere
    pg_errors.UndefinedTable,
    pg_errors.UndefinedFunction,
    pg_errors.UndefinedColumn,
    pg_errors.UndefinedObject,
)

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
                with _named_errors(self.url):
                    with taken.cursor() as cursor:
                        yield cursor
                    taken.commit()
            finally:
                self._release(taken)

    @contextmanager
    def autocommit(self) -> Iterator[Cursor]:
        """A cursor of a connection of its own, without a transaction: for what PostgreSQL does CONCURRENTLY alone."""
        with closing(connect(self.url, seconds=self._settings.connect_timeout_seconds)) as made:
            made.autocommit = True
            with _named_errors(self.url), made.cursor() as cursor:
                yield cursor

    def close(self) -> None:
        """Close the idle connections; those in use are closed when they come back."""
        self._closed = True
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    def create_table(self, source: Source) -> bool:
        """Make the documents table, for people without an application that has one; whether there was none.

        Raises SettingsError where documents are indexed (theirs is the table that is missing), or its schema is not
        there.
        """
        with self.transaction() as cursor:
            try:
                cursor.execute(statement("migrations", "lock_migrations"))
                return documents.create_table(cursor, source)
            except pg_errors.InvalidSchemaName as exc:
                raise SettingsError(
                    f"{conninfo.shown(self.url)}: {_first_line(exc)}. Setting source.table is {source.table!r}, and "
                    "has to name a table in a schema that is there."
                ) from exc

    def migrate(self, source: Source, *, dimension: int, owner: Owner | None = None) -> list[str]:
        """Bring tables, functions and triggers to today's state, and enqueue rows of which nothing is known.

        Returns the names of the migrations that were applied; a second call applies none. Safe to call from
        several processes at once. Raises SourceUnusable, with nothing changed, when there is no source table with the
        configured columns, and SettingsError when an applied migration was edited, when stored vectors have another
        dimension, when the index follows the settings of another `owner`, when a newer program migrated it, or when the
        database itself does not do: its encoding, pgvector, the role's rights.
        """
        with self.transaction() as cursor:
            try:
                return _migrate(cursor, source, dimension=dimension, channel=self._settings.listen_channel, owner=owner)
            except pg_errors.LockNotAvailable as exc:
                raise DatabaseUnavailable(
                    f"{conninfo.shown(self.url)}: a transaction holds {source.table} or a table of ours for long. "
                    "Nothing was changed; try again when it has ended (see pg_stat_activity)."
                ) from exc
            except (pg_errors.UndefinedFile, pg_errors.FeatureNotSupported, pg_errors.InsufficientPrivilege) as exc:
                raise SettingsError(f"{conninfo.shown(self.url)}: {_first_line(exc)}. {NEEDED_RIGHTS}") from exc

    def take_over(self, owner: Owner) -> None:
        """Have the index follow these settings, whoever's it followed."""
        with self.transaction() as cursor:
            owners.take_over(cursor, owner)

    def is_up_to_date_by_others(self, owner: Owner) -> bool:
        """Whether these tables are those of another account, which alone may change them, and need no change.

        Raises SettingsError where they do, or where they follow the settings of another `owner`.
        """
        with self.transaction() as cursor:
            cursor.execute(statement("migrations", "has_migrations"))
            if not single(cursor)[0] or roles.may_migrate(cursor):
                return False
            cursor.execute(statement("migrations", "list_migrations"))
            known = {name for name, _ in cursor.fetchall()}
            _require_none_newer(known)
            if missing := {file.name for file in folder("migrations")} - known:
                raise SettingsError(
                    f"{conninfo.shown(self.url)}: the tables are those of an earlier version ({min(missing)} is not "
                    "applied), and belong to another account: have that one run `rag-assets init`."
                )
            owners.require(cursor, owner)
            return True

    def require_no_newer(self) -> None:
        """SettingsError where a newer program made these tables, as far as this account may know."""
        with self.transaction() as cursor:
            require_no_newer(cursor)

    def establish_roles(self, source: Source, *, dagster_schema: str | None) -> roles.Granted:
        """Make the roles that work with the index, and grant each what it needs; see roles.establish."""
        with self.transaction() as cursor:
            return roles.establish(cursor, source, dagster_schema=dagster_schema)

    def is_migrated(self) -> bool:
        """Whether `migrate` ever made tables of ours in this database."""
        with self.transaction() as cursor:
            cursor.execute(statement("migrations", "has_migrations"))
            return bool(single(cursor)[0])

    def create_schema(self, name: str) -> None:
        """A schema of this name, if there is none: only then has one to be allowed to make it."""
        with self.transaction() as cursor:
            cursor.execute(statement("migrations", "has_schema"), {"name": name})
            if not single(cursor)[0]:
                cursor.execute(composed("migrations", "create_schema", schema=sql.Identifier(name)))

    def drop_schema(self, name: str) -> None:
        """A schema of ours, with all that is in it."""
        with self.transaction() as cursor:
            cursor.execute(composed("migrations", "drop_schema", schema=sql.Identifier(name)))

    def _take(self) -> connection:
        with suppress(queue.Empty):
            while True:
                idle = self._idle.get_nowait()
                if _answers(idle):
                    return idle
                idle.close()
        return connect(self.url, seconds=self._settings.connect_timeout_seconds)

    def _release(self, used: connection) -> None:
        try:
            if used.info.transaction_status != TRANSACTION_STATUS_IDLE:
                used.rollback()
        except psycopg2.Error:
            used.close()
        if self._closed:
            used.close()
        elif not used.closed:
            self._idle.put(used)


@contextmanager
def _named_errors(url: str) -> Iterator[None]:
    """Errors of the database as ours, with what to do."""
    try:
        yield
    except NOT_MIGRATED as exc:
        raise _not_migrated(url, exc) from exc
    except pg_errors.InsufficientPrivilege as exc:
        raise _not_allowed(url, exc) from exc
    except psycopg2.Error as exc:
        if not _is_away(exc):
            raise
        raise unavailable(url, exc) from exc


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
            cursor.execute(statement("documents", "prepare_session"))
            cursor.execute(statement("documents", "lift_limits"))
        # Whatever the application's default: a statement that waited for somebody has to see what was committed.
        made.set_session(isolation_level="READ COMMITTED", autocommit=False)
        return made
    except psycopg2.Error as exc:
        if not _is_away(exc):
            raise
        raise unavailable(url, exc) from None  # nor is what libpq quoted to be read in a traceback


def require_no_newer(cursor: Cursor) -> None:
    """SettingsError where a newer program made these tables, as far as this account may know."""
    cursor.execute(statement("migrations", "may_list_migrations"))
    if single(cursor)[0]:
        cursor.execute(statement("migrations", "list_migrations"))
        _require_none_newer({name for name, _ in cursor.fetchall()})


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
    if isinstance(cause, pg_errors.ReadOnlySqlTransaction):
        return DatabaseUnavailable(
            f"Database {conninfo.shown(url)}: {_first_line(cause)} - it is a standby, or default_transaction_read_only "
            "is on for the server, the database or the role: have DATABASE_URL name one that can be written to; "
            "nothing is lost, pending documents stay pending."
        )
    return DatabaseUnavailable(
        f"Database {conninfo.shown(url)}: {conninfo.redacted_message(cause, url)} "
        "- check that PostgreSQL runs there, that DATABASE_URL is right, and that its disk is not full; "
        "nothing is lost, pending documents stay pending."
    )


def _is_away(error: psycopg2.Error) -> bool:
    """Whether there is no server, or none that can be written to.

    One that ends in the middle of an answer is an error without a code and a class, for psycopg2.
    """
    is_of_a_lost_line = type(error) is psycopg2.DatabaseError and error.pgcode is None
    away = (psycopg2.OperationalError, psycopg2.InterfaceError, pg_errors.ReadOnlySqlTransaction)
    return is_of_a_lost_line or isinstance(error, away)


def _not_allowed(url: str, cause: psycopg2.Error) -> SettingsError:
    return SettingsError(
        f"Database {conninfo.shown(url)}: {_first_line(cause)}. Have DATABASE_URL name the role that ran "
        f"`rag-assets init`, or give this one its rights. {NEEDED_RIGHTS}"
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


def _migrate(cursor: Cursor, source: Source, *, dimension: int, channel: str, owner: Owner | None) -> list[str]:
    _require_encoding(cursor)
    cursor.execute(statement("migrations", "lock_migrations"))
    cursor.execute(statement("migrations", "limit_waiting"))
    _require_schema(cursor)
    documents.require_columns(cursor, source)
    documents.require_no_other_index(cursor, source)
    applied = _apply_migrations(cursor)
    _require_tables(cursor)
    if owner is not None:
        owners.claim(cursor, owner)
        models.serve(cursor, owner.model)
    cursor.execute(statement("chunks", "create_extension"))  # functions take vectors, also where it was dropped
    _apply_functions(cursor, source, channel=channel)
    documents.require_usable_ids(cursor, source)
    applied += _mend_vectors(cursor)
    _require_dimension(cursor, dimension)
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
    _require_none_newer(set(known))
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


def _require_none_newer(known: set[str]) -> None:
    """What a newer program made of its tables, functions and triggers is not to be undone by an older one."""
    if newer := known - {file.name for file in folder("migrations")}:
        raise SettingsError(
            f"This program is older than the tables of the database ({max(newer)} was applied to them): install the "
            "version of rag-assets that did it, or a later one. Nothing was changed."
        )


def _require_tables(cursor: Cursor) -> None:
    cursor.execute(statement("migrations", "list_missing"))
    if missing := [name for (name,) in cursor.fetchall()]:
        raise SettingsError(
            f"Somebody dropped {', '.join(missing)}, and no migration makes a table a second time. Restore it from a "
            "backup, or begin anew: drop all tables rag_*, rag_migrations among them, then rag-assets init"
        )


def _mend_vectors(cursor: Cursor) -> list[str]:
    """Where the extension was dropped, and the vectors with it, have everything embedded anew; what was done."""
    cursor.execute(statement("chunks", "has_vectors"))
    if single(cursor)[0]:
        return []
    cursor.execute(statement("chunks", "add_vectors"))
    cursor.execute(statement("texts", "forget_all"))
    count = cursor.rowcount
    cursor.execute(statement("outbox", "enqueue_texts"))
    return [f"vectors put back after they were dropped: {counted(count, 'document')} {are(count)} embedded anew"]


def _apply_functions(cursor: Cursor, source: Source, *, channel: str) -> None:
    cursor.execute(statement("migrations", "get_schema"))
    name = str(single(cursor)[0])
    of_schema = f"{zlib.crc32(name.encode()):08x}"  # a setting's name has letters and digits alone
    names = documents.identifiers(cursor, source) | {
        "schema": sql.Identifier(name),
        "wrote": sql.Literal(f"rag_assets.wrote_{of_schema}"),
        "truncated": sql.Literal(f"rag_assets.truncated_{of_schema}"),
        "channel": sql.Identifier(channel),
        "unless_changed": documents.unless_changed(cursor, source),
        "id_bytes": sql.Literal(documents.ID_BYTES),
        "id_settings": documents.id_settings(cursor, source),
        "coalesce": sql.SQL(statement("outbox", "coalesce").rstrip(";")),
        "path": _search_path(cursor),
        "relations": _names_made(r"create (?:or replace )?(?:table|view|type) (?:if not exists )?(\w+)"),
        "functions": _names_made(r"create or replace function (\w+)"),
    }
    for file in folder("functions"):
        cursor.execute(sql.SQL(file.read_text(encoding="utf-8")).format(**names))


def _names_made(pattern: str) -> "sql.Literal[list[str]]":
    """The names of what our SQL makes, as an array."""
    texts = [file.read_text(encoding="utf-8") for part in ("migrations", "functions") for file in folder(part)]
    texts.append(statement("migrations", "create_migrations"))
    return sql.Literal(sorted({name for text in texts for name in re.findall(pattern, text)}))


def _search_path(cursor: Cursor) -> sql.Composed:
    """Where functions find our tables and pgvector's operators, whatever the caller's path."""
    cursor.execute(statement("migrations", "get_schemas"))
    names = [sql.Identifier(name) for name in single(cursor)]
    return sql.SQL(", ").join([*names, sql.SQL("pg_catalog"), sql.SQL("pg_temp")])


def _require_dimension(cursor: Cursor, dimension: int) -> None:
    cursor.execute(statement("chunks", "get_dimension"))
    row = cursor.fetchone()  # none where nothing is stored
    current = row[0] if row else dimension
    if current != dimension:
        raise SettingsError(
            f"Setting embedding.dimension is {dimension}, but the stored vectors have {current}. Vectors of two "
            "models cannot be searched together: set it back, or delete all rows of rag_document_chunks and "
            "rag_document_text to embed everything again."
        )
