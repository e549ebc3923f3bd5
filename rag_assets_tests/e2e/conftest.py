"""A whole rag_assets as a user runs it: `rag-assets up` in a home of its own, asked through SQL and GraphQL."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
import requests

from rag_assets.bundled import postgres

PATIENCE_SECONDS = 600.0  # a wait ends at once when the thing happens; a slow machine fails nothing


@dataclass(frozen=True, kw_only=True)
class Running:
    """A running `rag-assets up`."""

    process: subprocess.Popen[str]
    environment: Mapping[str, str]
    home: Path
    url: str  # of the webserver
    database_url: str

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(self.database_url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def graphql(self, query: str, **variables: object) -> dict[str, Any]:
        answer = requests.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=60)
        body = answer.json()
        assert "errors" not in body, body["errors"]
        return dict(body["data"])

    def command(self, *arguments: str, succeeds: bool = True) -> list[dict[str, Any]]:
        return command(*arguments, environment=self.environment, succeeds=succeeds)

    def insert(self, path: Path) -> str:
        [(document_id,)] = self.sql('insert into "TblDocumentFiles" (file_path) values (%s) returning id', str(path))
        return str(document_id)

    def chunks(self, document_id: str) -> list[tuple[Any, ...]]:
        return self.sql(
            "select content, embedding is not null from rag_document_chunks where document_id = %s "
            "order by chunk_index",
            document_id,
        )


def command(*arguments: str, environment: Mapping[str, str], succeeds: bool = True) -> list[dict[str, Any]]:
    """Run `rag-assets ... --json`; its objects."""
    done = subprocess.run(
        [sys.executable, "-m", "rag_assets", *arguments, "--json"],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert (done.returncode == 0) is succeeds, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def wait_for(condition: Callable[[], object], *, what: str, seconds: float = PATIENCE_SECONDS) -> float:
    """Seconds until the condition held."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.05)
    return time.monotonic() - started


def llama_servers(root: int) -> list[psutil.Process]:
    """The llama-server processes below a process."""
    return [p for p in psutil.Process(root).children(recursive=True) if _is_llama_server(p)]


def _is_llama_server(process: psutil.Process) -> bool:
    try:
        return any("llama_server" in part or "llama-server" in part for part in process.cmdline())
    except psutil.Error:
        return False


def environment_of(home: Path) -> dict[str, str]:
    """What a user's shell has, with nothing configured but the home; one thread embeds, as other tests are at work."""
    ours = ("DATABASE_URL", "DAGSTER_", "RAG_ASSETS_", "LLAMA_SERVER_", "DOCUMENT_ROOT_PATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    mark = {name: value for name, value in os.environ.items() if name == "RAG_ASSETS_TEST_SESSION"}
    llama_server = {"RAG_ASSETS_LLAMA_SERVER__REQUIRED_MEMORY_GB": "0.5", "RAG_ASSETS_LLAMA_SERVER__THREADS": "1"}
    return {**kept, **mark, **llama_server, "RAG_ASSETS_HOME": str(home), "RAG_ASSETS_SERVICE__PORT": "0"}


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """A home for one test, in which nothing runs yet."""
    return environment_of(home)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, model_path: Path) -> Iterator[Running]:
    """One `rag-assets up` for the tests of a file."""
    with up(tmp_path_factory.mktemp("home"), model_path) as started:
        yield started


@contextmanager
def up(home: Path, model_path: Path, *, without: Collection[str] = (), **variables: str) -> Iterator[Running]:
    """`rag-assets up` on an empty home, without some variables; stopped with SIGINT, and nothing of it left."""
    home.chmod(0o700)
    environment = {**environment_of(home), "LLAMA_SERVER_MODEL": str(model_path), **variables}
    environment = {name: value for name, value in environment.items() if name not in without}
    with (home / "up.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "rag_assets", "up", "--port", "0"],
            env=environment,
            stdout=log,
            stderr=log,
            text=True,
        )
    try:
        url = _url(home / "up.log", process)
        database_url = command("env", environment=environment)[0]["DAGSTER_PG_URL"]
        database_url = re.sub(r"&options=[^&]*", "", database_url.replace("+psycopg2", ""))
        yield Running(process=process, environment=environment, home=home, url=url, database_url=database_url)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=PATIENCE_SECONDS)
        postgres.remove(home)


def _url(log: Path, process: subprocess.Popen[str]) -> str:
    def found() -> re.Match[str] | None:
        assert process.poll() is None, log.read_text()
        return re.search(r"Dagster is at (\S+)", log.read_text())

    wait_for(found, what="rag-assets up")
    match = found()
    assert match
    return match[1]
