"""Dumps of a home's PostgreSQL, by the programs that come with it: a database becomes a file, and a file a database.

What is restored becomes a database of its own beside the one in use; they change places when it is whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from rag_assets.bundled import data_directory, postgres, postgres_watchdog
from rag_assets.errors import ServiceError
from rag_assets.processes import private_folder, spawning, tree

RESTORING = f"{postgres.DATABASE}_restoring"  # until it is whole
REPLACED = f"{postgres.DATABASE}_replaced"  # the old one, until it is dropped
LOCK_MILLISECONDS = 60_000  # for somebody who holds a table, as a migration does
STOP_SECONDS = 5.0
LOG_LINES = 6


def has_cluster(home: Path) -> bool:
    """Whether a server was ever started in this home, so that looking for its data makes none."""
    return (postgres_watchdog.folder(home) / "data" / "PG_VERSION").exists()


def data_folder(home: Path) -> Path:
    """Where the files of its databases are: as root, it may be outside of the home."""
    return (postgres_watchdog.folder(home) / "data").resolve()


def other_users(home: Path, pid: int) -> list[str]:
    """The process ids of those who use the server of this home besides this one."""
    found = (name.partition(".")[0] for name in postgres_watchdog.users(home))
    return sorted(other for other in found if other != str(pid))


def dump(*, variables: Mapping[str, str], snapshot: str, file: Path) -> None:
    """Write all that the snapshot sees to a file in pg_dump's custom format, which is compressed.

    `variables` are those by which libpq finds the database. Raises ServiceError with what pg_dump says.
    """
    arguments = ["--format=custom", f"--snapshot={snapshot}", f"--lock-wait-timeout={LOCK_MILLISECONDS}"]
    _run("pg_dump", [*arguments, "--no-password", f"--file={file}"], variables=variables)
    file.chmod(0o600)


@contextmanager
def restored(*, url: str, variables: Mapping[str, str], roles: Sequence[str], file: Path) -> Iterator[str]:
    """A database beside the one in use with all that is in a dump: its URL. It is dropped at the end of the block.

    Unless `replace` was called for it. Roles that are not there are made, without a right to log in. Raises
    ServiceError with what pg_restore says.
    """
    with _server(url) as cursor:
        _create_roles(cursor, roles)
        _drop(cursor, RESTORING)
        _drop(cursor, REPLACED)  # of a restore that was killed
        cursor.execute(sql.SQL("create database {} template template0").format(sql.Identifier(RESTORING)))
    try:
        arguments = ["--single-transaction", "--exit-on-error", "--no-password", f"--dbname={RESTORING}", str(file)]
        _run("pg_restore", arguments, variables=variables)
        yield _on(url, RESTORING)
    finally:
        _drop_now_or_later(url, RESTORING)


def replace(url: str) -> None:
    """Put the restored database in the place of the one in use, in one transaction, and drop that one.

    Raises ServiceError, with nothing changed, where somebody is connected to one of them.
    """
    rename = sql.SQL("alter database {} rename to {}")
    old, new, current = map(sql.Identifier, (REPLACED, RESTORING, postgres.DATABASE))
    with _server(url) as cursor:
        cursor.execute("begin")
        cursor.execute(rename.format(current, old))
        cursor.execute(rename.format(new, current))
        cursor.execute("commit")
    _drop_now_or_later(url, REPLACED)


def _run(name: str, arguments: Sequence[str], *, variables: Mapping[str, str]) -> None:
    """Run a program of PostgreSQL to its end; what it says is quoted in the error.

    It is written where temporary files are: the disk of the home, or of the backup, may be full.
    """
    command = [postgres_watchdog.program(str(data_directory.programs()), name), *arguments]
    environment = {**postgres_watchdog.server_environment(), **variables}
    with private_folder.workplace("rag_assets-") as place:
        log = place / f"{name}.log"
        process = spawning.spawn(command, environment=environment, log=log)
        try:
            status = process.wait()
        finally:
            tree.stop_tree(process.pid, seconds=STOP_SECONDS)
        said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
    if status:
        reason = "\n".join(said) or "nothing: is the disk for temporary files full?"
        raise ServiceError(f"{name} ended with status {status}, and nothing was changed. It says:\n{reason}")


@contextmanager
def _server(url: str) -> Iterator[Cursor]:
    """A cursor for what is done to whole databases. ServiceError with what the server says."""
    try:
        with closing(psycopg2.connect(_on(url, "postgres"))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor
    except psycopg2.errors.ObjectInUse as exc:
        raise ServiceError("Somebody connected to the database meanwhile. Nothing was changed; try again.") from exc
    except psycopg2.Error as exc:
        said = " ".join(str(exc).split())
        raise ServiceError(f"The embedded PostgreSQL does not do it: {said}. Nothing was changed.") from exc


def _create_roles(cursor: Cursor, roles: Sequence[str]) -> None:
    cursor.execute("select rolname from pg_roles")
    known = {name for (name,) in cursor.fetchall()}
    for role in (each for each in roles if each not in known):
        cursor.execute(sql.SQL("create role {} nologin").format(sql.Identifier(role)))


def _drop(cursor: Cursor, database: str) -> None:
    cursor.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(database)))


def _drop_now_or_later(url: str, database: str) -> None:
    """The next restore drops it, where a full disk or a server that is gone does not let us."""
    with suppress(ServiceError), _server(url) as cursor:
        _drop(cursor, database)


def _on(url: str, database: str) -> str:
    """The URL of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))
