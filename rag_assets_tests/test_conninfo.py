"""Connection texts of every shape: what is said of them holds no secret, wherever it stood."""

import json
import logging
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from psycopg2.extensions import make_dsn
from sqlalchemy import create_engine

from rag_assets import settings, supervisor
from rag_assets.errors import DatabaseUnavailable, SettingsError
from rag_assets.postgres import conninfo
from rag_assets.postgres.database import Database
from rag_assets.postgres.listener import Listener

SECRET = "geheim"
# Each leads nowhere, and holds the secret, or a part of a password that has it, somewhere.
SHAPES = [
    "postgresql://u:geheim@127.0.0.1:1/d",
    "postgresql://u:a#geheim@127.0.0.1:1/d",
    "postgresql://u:a?geheim@127.0.0.1:1/d",
    "postgresql://u:a@geheim@127.0.0.1:1/d",
    "postgresql://u:a/geheim@127.0.0.1:1/d",
    "postgresql://u:geheim/a@127.0.0.1:1/d",
    "postgresql://u:a:geheim@127.0.0.1:1/d",
    "postgresql://u:a%40geheim@127.0.0.1:1/d",
    "postgresql://u:%67eheim@127.0.0.1:1/d",
    "postgresql://u:geheim%zz@127.0.0.1:1/d",
    "postgresql://u:geheim%@127.0.0.1:1/d",
    "postgresql://u:ge heim geheim@127.0.0.1:1/d",
    "postgresql://u:geheim[@127.0.0.1:1/d",
    "postgresql://u:a]geheim@127.0.0.1:1/d",
    "postgresql://:geheim@127.0.0.1:1/d",
    "postgresql://127.0.0.1:1/d?user=u&password=geheim",
    "postgresql://127.0.0.1:1/d?password=geheim#x",
    "postgresql://127.0.0.1:1/d?user=u&password=a&geheim",
    "postgresql://127.0.0.1:1/d?sslpassword=geheim",
    "postgresql://127.0.0.1:1/d?sslmode=geheim",
    "postgresql://127.0.0.1:1/d?options=-cgeheim%3D1",
    "postgresql://127.0.0.1:1/d?pasword=geheim",
    "postgresql://127.0.0.1:1/d#geheim",
    "postgresql://127.0.0.1:1/d?passfile=/tmp/geheim",
    "postgresql://127.0.0.1:1/d?service=geheim",
    "postgresql://u:geheim@127.0.0.1:1,127.0.0.1:2/d",
    "postgresql://u:a@geheim@127.0.0.1:1,127.0.0.1:2/d",
    "postgresql://u:geheim@[::1]:1/d",
    "postgresql://u:geheim@%2Ftmp%2Fnowhere/d",
    "postgresql:///d?host=/tmp/nowhere&user=u&password=geheim",
    "postgresql://u:geheim@127.0.0.1:port/d",
    "postgresql://u:geheim@127.0.0.1:99999/d",
    "postgres://u:geheim@127.0.0.1:1/d",
    "postgresql+psycopg2://u:geheim@127.0.0.1:1/d",
    "mysql://u:geheim@127.0.0.1:1/d",
    "http://u:geheim@127.0.0.1:1/d",
    "u:geheim@127.0.0.1:1/d",
    "geheim",
    "host=127.0.0.1 port=1 user=u password=geheim",
    "host=127.0.0.1 port=1 user=u password = geheim",
    "host=127.0.0.1 port=1 user=u password='geheim'",
    "host=127.0.0.1 port=1 user=u password='a geheim'",
    r"host=127.0.0.1 port=1 user=u password='a\' geheim'",
    r"host=127.0.0.1 port=1 user=u password=a\ geheim",
    "host=127.0.0.1 port=1 user=u password=a geheim",
    "host=127.0.0.1 port=1 user=u password=a geheim dbname=d",
    "host=127.0.0.1 port=1 user=u password='geheim",
    "host=127.0.0.1 port=1 user=u PASSWORD=geheim",
    "host=127.0.0.1 port=1 user=u pass=geheim",
    "host=127.0.0.1 port=1 sslpassword = 'geheim'",
    "host=127.0.0.1 port=geheim",
    "host=127.0.0.1 port=1 sslmode=geheim",
    "host=127.0.0.1 port=1 connect_timeout=geheim",
    "host=127.0.0.1 port=1 dbname='postgresql://u:geheim@h/d'",
    "host='u:geheim@127.0.0.1' port=1",
    "host=127.0.0.1 port=1 sslmode=require sslcert=/geheim",
]


@pytest.mark.parametrize("text", SHAPES)
def test_nothing_secret_is_said_of_a_connection_that_fails(text: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither by the message, nor by what a traceback would show, nor by the log of who listens."""
    said: list[str] = []
    for attempt in (_connect, _listen):
        with pytest.raises((DatabaseUnavailable, SettingsError)) as caught:
            attempt(text)
        error: BaseException | None = caught.value
        while error is not None:
            said.append(str(error))
            error = None if error.__suppress_context__ and not error.__cause__ else error.__cause__ or error.__context__
    said += [conninfo.shown(text), *caplog.messages]
    assert SECRET not in " ".join(said)


COMMANDS = ("status", "doctor", "env", "ingest")


@pytest.mark.parametrize(
    ("text", "command"),
    [*((SHAPES[0], command) for command in COMMANDS), *zip(SHAPES[14::14], COMMANDS, strict=False)],
)
def test_commands_say_nothing_secret_when_the_database_fails(text: str, command: str, tmp_path: Path) -> None:
    """Those that only look, and those that start Dagster; one line, no traceback."""
    variables = {**os.environ, "DATABASE_URL": text, "RAG_ASSETS_HOME": str(tmp_path / "home")}
    line = [sys.executable, "-m", "rag_assets", command]
    done = subprocess.run(line, env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 1
    assert SECRET not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:p@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u@h:5433/d", "postgresql://u@h:5433/d"),
        ("postgres://h/", "postgresql://h/"),
        ("postgresql:///d?host=/tmp/x&password=p&user=u", "postgresql://u:***@/d?host=/tmp/x"),
        ("host=h password='a b' user=u", "postgresql://u:***@h/"),
        ("host=a,b port=1,2 dbname=d sslmode=require", "postgresql://a,b:1,2/d"),
        ("postgresql://[::1]:5/d", "postgresql://[::1]:5/d"),
        ("postgresql://u:p@ss@h/d", conninfo.HIDDEN),
        ("nonsense", conninfo.HIDDEN),
    ],
)
def test_where_a_connection_leads_is_shown_when_all_of_it_is_understood(text: str, shown: str) -> None:
    """Enough to see which database is meant."""
    assert conninfo.shown(text) == shown


@pytest.mark.parametrize("password", ["p", "a b", "a@b", "a/b", "a%b", "a#b?c", "a'b\\c", "ü:", "&=+;"])
@pytest.mark.parametrize("schema", [None, "dagster"])
def test_sqlalchemy_gets_the_same_parameters(password: str, schema: str | None) -> None:
    """Of keywords and of URLs, with any password."""
    text = make_dsn(host="h", port="5", user="u@x", password=password, dbname="d e", sslmode="require")
    made = conninfo.as_sqlalchemy(text, schema=schema)
    engine = create_engine(made)
    [[], found] = engine.dialect.create_connect_args(engine.url)
    expected = {"host": "h", "port": 5, "user": "u@x", "password": password, "dbname": "d e", "sslmode": "require"}
    assert found == expected | ({"options": f"-csearch_path={schema}"} if schema else {})
    assert conninfo.parsed(conninfo.as_libpq(made, schema=None)) == conninfo.parsed(
        conninfo.as_libpq(text, schema=schema)
    )


def test_settings_show_no_url_when_it_is_of_the_wrong_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list in settings.toml is named by its key, without what is in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    Path("settings.toml").write_text('DATABASE_URL = ["geheim"]\n[llama_server]\napi_key = ["geheim"]\n')
    with pytest.raises(SettingsError, match=r"DATABASE_URL") as caught:
        settings.load()
    assert SECRET not in str(caught.value)


def test_a_keyword_text_is_enough_for_every_command(database_url: str, tmp_path: Path) -> None:
    """Dagster's tables land in its schema, whichever way the database is named."""
    text = conninfo.as_libpq(database_url, schema=None)
    assert "://" not in text
    variables = {**os.environ, "DATABASE_URL": text, "RAG_ASSETS_HOME": str(tmp_path / "home")}
    line = [sys.executable, "-m", "rag_assets", "env", "--json"]
    done = subprocess.run(line, env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=True)
    assert json.loads(done.stdout)["DAGSTER_PG_URL"].startswith("postgresql+psycopg2://")
    from rag_assets_tests import rows

    [(schema,)] = rows.execute(database_url, "select schemaname from pg_tables where tablename = 'dynamic_partitions'")
    assert schema == "dagster"


def _connect(text: str) -> None:
    with closing(Database(text)) as database, database.transaction():
        pass


def _listen(text: str) -> None:
    logging.getLogger("rag_assets").setLevel(logging.DEBUG)
    Listener(text, channel="c").close()


def test_dagster_is_told_of_the_schema_only_in_our_database(tmp_path: Path) -> None:
    """A database of Dagster's own is used as it is given."""
    config = settings.load(home=tmp_path, dagster_database_url="host=there dbname=x user=me")
    made = supervisor.dagster_url(config, database_url="postgresql://me@here/db")
    assert made == "postgresql+psycopg2://me@there/x"
