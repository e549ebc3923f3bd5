"""What tests need: a real PostgreSQL for the session, a database for each test, no process left over."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg2
import pytest
from psycopg2 import sql

from rag_assets.bundled import postgres
from rag_assets.errors import SettingsError

if TYPE_CHECKING:
    from rag_assets.services import Services
    from rag_assets.settings import Quantization
    from rag_assets.text.sandbox.worker import TextWorker
    from rag_assets_tests.application import Application
    from rag_assets_tests.project import Project
    from rag_assets_tests.spawned import Spawn

DIMENSION = 384
SESSION = "RAG_ASSETS_TEST_SESSION"
WORKERS = 4  # processes that share the whole suite: on two cores, as a test waits for others more than it computes
# The files that take longest, the longest first: whoever is free takes the next file, and no long one may be the last.
LONGEST = (
    "test_faults.py",
    "test_embedder.py",
    "test_cli.py",
    "test_switching.py",
    "test_search_quality.py",
    "test_main_job.py",
    "test_bundled_postgres.py",
    "test_hostile.py",
    "test_worker.py",
    "test_dagster_ui.py",
    "test_conninfo.py",
    "test_chunker.py",
    "test_search_filters.py",
    "test_tokens_server.py",
    "test_service_faults.py",
    "test_backup.py",
    "test_trigger.py",
    "test_data_directory.py",
    "test_sensors.py",
    "test_migration.py",
    "test_landed.py",
    "test_embedding_client.py",
    "test_doctor.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """The whole suite runs in WORKERS processes, each file in one of them; whatever is named, in this one.

    `pytest -n 0` runs the whole suite in this process too, and so does a pytest without pytest-xdist.
    """
    for name in ("COLUMNS", "LINES"):  # of the terminal of who starts the tests: what is printed would be cut to it
        os.environ.pop(name, None)
    if hasattr(config, "workerinput"):
        return  # this is one of them
    heed_signals()
    is_whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.keyword
    if is_whole and getattr(config.option, "numprocesses", 0) is None and not config.option.usepdb:
        config.option.numprocesses = WORKERS
        config.option.dist = "loadfile"
        config.option.loadscopereorder = False  # it would begin with the files that have most tests


def heed_signals() -> None:
    """What asks a process to end is not ignored, as a shell has it for what it starts in the background.

    Each process of a test would ignore it too, and the test would wait for its end.
    """
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    for number, handler in usual.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; within a file, and among the others, the order stays."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session", autouse=True)
def _no_process_left() -> Iterator[None]:
    """Whatever a test starts, it stops; a mark in the environment finds what has detached itself.

    Each of the processes that share the suite has a mark of its own, and looks for what it started itself.
    """
    os.environ[SESSION] = mark = secrets.token_hex(8)
    yield
    detached = {process for process in psutil.process_iter() if _environment(process).get(SESSION) == mark}
    # Of itself, a process sees on Linux with what environment it began, and on Windows the one that it has.
    left = (detached | set(psutil.Process().children(recursive=True))) - {psutil.Process()}
    assert not left, f"left running: {left}"


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}  # gone, or somebody else's


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """One server for the session, in a home that is gone afterwards; tests have databases of their own."""
    home = Path(tempfile.mkdtemp(prefix="rag-assets-tests-")).resolve()
    home.chmod(0o711)  # where root runs the tests, the account that runs the server passes through
    try:
        url = postgres.start(home)
        _execute(url, "alter system set fsync = off")  # a crash of the machine costs tests nothing
        _execute(url, "select pg_reload_conf()")
        yield url
    finally:
        postgres.remove(home)
        shutil.rmtree(home)


@pytest.fixture
def empty_database_url(postgres_url: str) -> Iterator[str]:
    """A database with nothing in it."""
    yield from _database(postgres_url, template="template0")


@pytest.fixture(scope="session")
def _template(postgres_url: str) -> Iterator[str]:
    """The name of a database with every migration applied: cloning it is faster than migrating."""
    from rag_assets.postgres.database import Database
    from rag_assets.settings import Database as DatabaseSettings
    from rag_assets.settings import Source

    for url in _database(postgres_url, template="template0"):
        with closing(Database(url, settings=DatabaseSettings())) as database:
            database.create_table(Source())
            database.migrate(Source(), dimension=DIMENSION)
        yield urlsplit(url).path.strip("/")


@pytest.fixture
def database_url(postgres_url: str, _template: str) -> Iterator[str]:
    """A migrated database without documents."""
    yield from _database(postgres_url, template=_template)


@pytest.fixture(scope="module")
def corpus(
    postgres_url: str,
    _template: str,
    reader: "TextWorker",
    model_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator["Services"]:
    """The samples of the package, and the FILES of the test's module, indexed; tests only read it."""
    from rag_assets_tests import corpus

    files = getattr(request.module, "FILES", {})
    for url in _database(postgres_url, template=_template):
        place = tmp_path_factory.mktemp("corpus")
        with corpus.ingested(url, place, reader=reader, model=model_path, files=files) as services:
            yield services


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A RAG_ASSETS_HOME of the test's own; a PostgreSQL started in it is stopped."""
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    monkeypatch.setenv("RAG_ASSETS_HOME", str(path))
    yield path
    postgres.remove(path)


@pytest.fixture(scope="session")
def model_path() -> Path:
    """The embedded model, made by the first session that needs it and kept for the later ones."""
    from rag_assets.settings import Embedding

    return _model(Embedding().quantization)


@pytest.fixture(scope="session")
def exact_model_path() -> Path:
    """The same with its weights as they were published."""
    return _model("f32")


def _model(quantization: "Quantization") -> Path:
    from rag_assets.bundled import model

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rag-assets-tests"
    cache.mkdir(parents=True, exist_ok=True)
    try:
        return model.ensure(cache, quantization=quantization)
    except SettingsError as exc:
        if os.environ.get("CI") == "true":
            raise  # most of what is promised needs it: no suite passes without
        pytest.skip(f"the model is neither cached in {cache} nor can it be made: {exc}")


@pytest.fixture(scope="session")
def reader(model_path: Path) -> Iterator["TextWorker"]:
    """One warm child process that reads and cuts documents as `application.CHUNKING` says."""
    with _new_reader(model_path) as worker:
        yield worker


@pytest.fixture(scope="session")
def urgent_reader(model_path: Path) -> Iterator["TextWorker"]:
    """Another one, beside which the first may be at work."""
    with _new_reader(model_path) as worker:
        yield worker


@pytest.fixture
def application(
    database_url: str, tmp_path: Path, reader: "TextWorker", urgent_reader: "TextWorker"
) -> Iterator["Application"]:
    """A table and a folder of documents."""
    from rag_assets_tests.application import Application

    with closing(Application(database_url, tmp_path, reader=reader, urgent_reader=urgent_reader)) as made:
        yield made


@pytest.fixture
def project(application: "Application") -> Iterator["Project"]:
    """The project's definitions on an instance of Dagster of the test's own."""
    from rag_assets_tests.project import opened

    with opened(application) as made:
        yield made


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator["Spawn"]:
    """A Python program in a process that is gone after the test."""
    from rag_assets.processes import spawning, tree

    spawned: list[subprocess.Popen[bytes]] = []

    def start(code: str, **environment: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", code]
        spawned.append(spawning.spawn(command, environment={**os.environ, **environment}, log=tmp_path / "a" / "log"))
        return spawned[-1]

    yield start
    for process in spawned:
        tree.stop_tree(process.pid, seconds=0.1)
        process.wait()


def _new_reader(model_path: Path) -> "TextWorker":
    from rag_assets.settings import Chunking, Parsing
    from rag_assets.text.sandbox.worker import TextWorker
    from rag_assets_tests import application

    chunking = Chunking.model_validate(application.CHUNKING)
    return TextWorker(parsing=Parsing(), chunking=chunking, model=model_path)


def _database(server_url: str, *, template: str) -> Iterator[str]:
    name = f"test_{os.getpid()}_{secrets.token_hex(4)}"
    database = sql.Identifier(name)
    # By copying files, 50 ms instead of 300: the other way writes all of it to the write-ahead log.
    create = sql.SQL("create database {} template {} strategy file_copy")
    _execute(server_url, create.format(database, sql.Identifier(template)))
    try:
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        _execute(server_url, sql.SQL("drop database {} with (force)").format(database))


def _execute(url: str, statement: str | sql.Composed) -> None:
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
