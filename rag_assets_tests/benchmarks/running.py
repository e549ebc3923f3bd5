"""`rag-assets up` as a user starts it, asked through SQL and GraphQL, and stopped with all that it started."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import requests
from psycopg2.extensions import connection as Connection

from rag_assets import footprint, supervisor
from rag_assets.services import Services
from rag_assets_tests.benchmarks import ground
from rag_assets_tests.benchmarks.figures import say

START_SECONDS = 180.0
STOP_SECONDS = 60.0
INTERRUPT = signal.SIGINT if os.name != "nt" else signal.CTRL_BREAK_EVENT  # type: ignore[attr-defined,unused-ignore]


@dataclass(frozen=True, kw_only=True)
class Up:
    """A running `rag-assets up`, and a connection of the application's."""

    process: "subprocess.Popen[str]"
    home: Path
    url: str  # of the webserver
    services: Services
    connection: Connection = field(repr=False)

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def graphql(self, query: str, **variables: object) -> dict[str, Any]:
        body = {"query": query, "variables": variables}
        answer = requests.post(f"{self.url}/graphql", json=body, timeout=120).json()
        assert "errors" not in answer, answer["errors"]
        return dict(answer["data"])

    def insert(self, path: Path) -> tuple[str, float]:
        """One committed row; its id, and when the commit had returned (seconds of time.perf_counter)."""
        [(document_id,)] = self.sql(f"insert into {ground.TABLE} (file_path) values (%s) returning id::text", str(path))
        return document_id, time.perf_counter()

    def memory(self) -> int:
        """Bytes (PSS) of `up`, its descendants and PostgreSQL."""
        return footprint.total_bytes(self.process.pid, home=self.home)

    def servers(self) -> int:
        """How many llama-server processes there are now."""
        return sum(_is_server(process) for process in psutil.Process(self.process.pid).children(recursive=True))


@contextmanager
def up(home: Path, services: Services) -> Iterator[Up]:
    """Started on this home, whose database is up and migrated, and ready when this yields."""
    say("Starting rag-assets up")
    log = home / "up.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "rag_assets", "up", "--port", "0"],
            stdout=output,
            stderr=output,
            text=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("DAGSTER_")},
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
    try:
        url = _url(log, process)
        os.environ.update(supervisor.environment(services.settings, database_url=services.database_url))
        with closing(psycopg2.connect(services.database_url)) as connection:
            connection.autocommit = True
            yield Up(process=process, home=home, url=url, services=services, connection=connection)
    finally:
        say("Stopping rag-assets up")
        _stop(process)


def _url(log: Path, process: "subprocess.Popen[str]") -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if found := re.search(r"Dagster is at (\S+)", log.read_text()):
            return found[1]
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise TimeoutError(f"`rag-assets up` is not ready within {START_SECONDS:.0f} s: {log.read_text()}")


def _stop(process: "subprocess.Popen[str]") -> None:
    children: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children(recursive=True)
    with suppress(ProcessLookupError):
        process.send_signal(INTERRUPT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in psutil.wait_procs(children, timeout=5)[1]:
        with suppress(psutil.NoSuchProcess):
            child.kill()


def _is_server(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return any("llama_server" in part or "llama-server" in part for part in process.cmdline()[:4])
    return False
