"""Connections that are not what they should be: a real PgBouncer between, few of them, another search_path."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from rag_assets import operations, settings
from rag_assets.errors import SettingsError
from rag_assets.postgres import conninfo
from rag_assets.postgres.database import Database, require_schema
from rag_assets.services import DAGSTER_SCHEMA, Services
from rag_assets_tests import rows

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
needs_pgbouncer = pytest.mark.skipif(PGBOUNCER is None, reason="there is no pgbouncer")


@contextmanager
def pooler(url: str, place: Path, *, ignored: str) -> Iterator[str]:
    """A PgBouncer in transaction mode before this database, of the account that may connect; its URL."""
    server, name = Path(parse_qs(urlsplit(url).query)["host"][0]), urlsplit(url).path.strip("/")
    port = "6432"  # in the name of a socket, in a folder of the test's own
    config = place / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n* = host={server} port=5432 user=rag_assets\n[pgbouncer]\nlisten_port = {port}\n"
        f"unix_socket_dir = {place}\nauth_type = any\npool_mode = transaction\n"
        f"ignore_startup_parameters = {ignored}\n"
    )
    owner = server.stat()
    shutil.chown(place, owner.st_uid, owner.st_gid)
    account = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.getuid() == 0 else {}
    with (place / "log").open("wb") as log:
        process = subprocess.Popen([str(PGBOUNCER), str(config)], stdout=log, stderr=log, **account)  # type: ignore[call-overload]
    try:
        _wait_for(place / f".s.PGSQL.{port}", log=place / "log")
        yield f"postgresql://rag_assets@/{name}?host={place}&port={port}"
    finally:
        process.terminate()
        process.wait()


@needs_pgbouncer
@pytest.mark.parametrize("ignored", ["extra_float_digits", "extra_float_digits, options"])
def test_migrate_refuses_when_a_pooler_drops_options(empty_database_url: str, ignored: str, home: Path) -> None:
    """Before Dagster's tables are made among those of the application, or it tries in vain: with two ways out."""
    with (
        _place() as place,
        pooler(empty_database_url, place, ignored=ignored) as url,
        Services(settings.load(database_url=url)) as services,
        pytest.raises(SettingsError, match=r"options.*set DATABASE_URL to PostgreSQL itself, or DAGSTER_DATABASE_URL"),
    ):
        operations.migrate(services)
    tables = rows.execute(empty_database_url, "select tablename from pg_tables where schemaname = 'public'")
    assert tables == []


@needs_pgbouncer
def test_migrate_works_behind_a_pooler_when_dagster_has_a_database_of_its_own(
    empty_database_url: str, home: Path
) -> None:
    """As the message says."""
    with (
        _place() as place,
        pooler(empty_database_url, place, ignored="options") as url,
        Services(settings.load(database_url=url, dagster_database_url=empty_database_url)) as services,
    ):
        operations.create_table(services)
        assert operations.migrate(services)


def test_connections_are_counted_before_dagster_starts(empty_database_url: str, home: Path) -> None:
    """Said at once what the server allows and what is needed."""
    rows.execute(empty_database_url, f"create schema {DAGSTER_SCHEMA}")
    url = conninfo.as_libpq(empty_database_url, schema=DAGSTER_SCHEMA)
    require_schema(url, DAGSTER_SCHEMA, connections=2, seconds=9)
    most = int(rows.execute(empty_database_url, "show max_connections")[0][0])
    with pytest.raises(SettingsError, match=f"too many clients already.*Needed are {most + 1} connections"):
        require_schema(url, DAGSTER_SCHEMA, connections=most + 1, seconds=9)


def test_migrate_refuses_when_search_path_has_changed(database_url: str) -> None:
    """A second index, that the first one's triggers do not know, is not made in silence."""
    name = urlsplit(database_url).path.strip("/")
    rows.execute(database_url, f"create schema app; alter database {name} set search_path = app, public")
    with (
        closing(Database(database_url)) as database,
        pytest.raises(SettingsError, match="has its index in the schema public, and search_path begins with app now"),
    ):
        database.migrate(settings.Source(), dimension=384)
    assert rows.execute(database_url, "select tablename from pg_tables where schemaname = 'app'") == []
    rows.execute(database_url, "drop function public.notify_document_change cascade")
    with closing(Database(database_url)) as database:
        assert database.migrate(settings.Source(), dimension=384)


def test_migrate_names_search_path_when_it_leads_nowhere(empty_database_url: str) -> None:
    """Not an error of types."""
    name = urlsplit(empty_database_url).path.strip("/")
    rows.execute(empty_database_url, f"alter database {name} set search_path = nowhere")
    with (
        closing(Database(empty_database_url)) as database,
        pytest.raises(SettingsError, match="search_path of the database names no schema that is there"),
    ):
        database.migrate(settings.Source(), dimension=384)


@contextmanager
def _place() -> Iterator[Path]:
    """A folder with a short name, as sockets need it, that another account may own."""
    import tempfile

    place = Path(tempfile.mkdtemp(prefix="rows-"))
    try:
        yield place
    finally:
        shutil.rmtree(place)


def _wait_for(path: Path, *, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
                return
            except OSError:
                time.sleep(0.05)
    raise AssertionError(log.read_text())
