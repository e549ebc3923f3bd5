"""SIGKILL of the daemon, of every process of `rag-assets up`, and of any of them amid everything that people do."""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import requests

from rag_assets.bundled import postgres, postgres_watchdog
from rag_assets.errors import DatabaseUnavailable
from rag_assets_tests.e2e import backfill
from rag_assets_tests.faults.arena import (
    DOCUMENTS,
    EVENTS,
    Arena,
    Ground,
    Result,
    folder,
    left_after,
    processes_marked,
    workers_marked,
)

MARK = "RAG_ASSETS_FAULT"
START_SECONDS = 120.0
# A run that was killed is noticed by Dagster's monitoring, its slot freed some seconds later: so long nothing may move.
SETTLE_SECONDS = 240.0
LONGEST_SECONDS = 1_800.0  # for all, however much is done again and again
VICTIMS = {  # by what is in their command lines
    "daemon": "dagster-daemon",
    "code server": "dagster api grpc",
    "webserver": "rag_assets.service.dagster_ui",
    "search service": "rag_assets.service.search_service",
    "run": "rag_assets.runner",
    "llama-server": "--api-key-file",  # whichever engine it is
    "text worker": "rag_assets.text.sandbox import child",
}
EACH_MINUTE = {"RAG_ASSETS_WORKER__RECONCILE_CRON": "* * * * *"}
# What asking says while a database, the webserver or the code server, and with it an asset, is away.
AWAY = (psycopg2.Error, requests.RequestException, AssertionError, KeyError)
# Changes with each document that is done, and with each request for vectors of a run at work.
PROGRESS = """
    select (select coalesce(max(id), 0) from rag_ingestion_log), (select count(*) from rag_outbox),
        (select json_agg((run_id, progress) order by run_id)::text from rag_runs)
"""
SHOWN_SECONDS = 150.0  # reconciliation, each minute here, tells Dagster what a run was killed before it could tell
OURS = ("DATABASE_URL", "DAGSTER_", "RAG_ASSETS_", "LLAMA_SERVER_", "DOCUMENT_ROOT_PATH")


def kill_daemon(ground: Ground, *, seed: int, long: bool) -> Result:
    """The daemon dies while changes come in; `up` starts another, which goes on."""
    result = Result()
    with home(ground, seed=seed) as (arena, environment):
        with up(environment) as running:
            for turn in range(3 if long else 1):
                arena.insert(8)
                time.sleep(arena.rng.uniform(0.2, 4))
                _kill(_victims(running, "daemon"))
                arena.change(5)
                judge(arena, result, turn=turn)
        result.violations += left_after(environment[MARK])
    return result


def kill_tree(ground: Ground, *, seed: int, long: bool) -> Result:
    """Every process dies at once, PostgreSQL and its watchdog too; `up` again, and the changes of before are done."""
    result = Result()
    with home(ground, seed=seed) as (arena, environment):
        for turn in range(3 if long else 1):
            with up(environment):
                arena.insert(8)
                arena.change(4)
                time.sleep(arena.rng.uniform(0.2, 5))
                _kill(processes_marked(environment[MARK]))
            with up(environment):
                arena.change(2)
                judge(arena, result, turn=turn)
        result.violations += left_after(environment[MARK])
    return result


def kill_anything(ground: Ground, *, seed: int, long: bool) -> Result:
    """Deeds in an order of the seed; then the index is a fresh build's, and Dagster shows its documents and no others.

    Changes, backfills, commands, and the death of a process, PostgreSQL too, some of them at the same time.
    """
    result = Result()
    with home(ground, seed=seed) as (arena, environment):
        with up(environment | EACH_MINUTE) as running:
            scene = _Scene(arena, environment, running)
            arena.insert(20)
            for turn in range(10 if long else 1):
                result.notes[f"deeds of {turn}"] = [scene.do() for _ in range(arena.rng.randint(3, 8))]
                scene.await_database()
                arena.change(2)
                judge(arena, result, turn=turn)
                result.violations += [f"turn {turn}: {wrong}" for wrong in scene.wrongly_shown()]
            scene.await_commands()
        result.violations += left_after(environment[MARK])
    return result


def two_ups(ground: Ground, *, seed: int, long: bool) -> Result:
    """Two `rag-assets up`, each with a home of its own, on one database; then one of them loses its daemon."""
    result = Result()
    with home(ground, seed=seed) as (arena, environment):
        first = environment | {"DATABASE_URL": arena.url}
        second = first | {"RAG_ASSETS_HOME": str(arena.place / "second")}
        with up(first) as running, up(second):
            for turn in range(6 if long else 1):
                arena.insert(10)
                arena.change(6)
                if turn % 2:
                    _kill(_victims(running, "daemon"))
                    arena.change(4)
                judge(arena, result, turn=turn)
        result.violations += left_after(environment[MARK])
    return result


class _Scene:
    """What may happen to a running `rag-assets up`."""

    def __init__(self, arena: Arena, environment: Mapping[str, str], running: psutil.Process) -> None:
        self._arena = arena
        self._environment = environment
        self._running = running
        self._home = Path(environment["RAG_ASSETS_HOME"])
        self._commands: list[subprocess.Popen[bytes]] = []
        self._url = url_of(environment)
        self._deeds: dict[str, Callable[[], object]] = {
            "insert": lambda: arena.insert(arena.rng.randint(1, 40)),
            "change": lambda: arena.change(arena.rng.randint(1, 12)),
            "backfill": self._backfill,
            "reconcile": lambda: self._command("reconcile"),
            "ingest": lambda: self._command("ingest"),
            "kill postgres": self._kill_postgres,
            **{f"kill {name}": lambda name=name: self._kill_one(name) for name in VICTIMS},  # type: ignore[misc]
        }

    def do(self) -> str:
        """One deed; its name, and what became of it where something was away for it."""
        name = self._arena.rng.choice(list(self._deeds))
        try:
            self._deeds[name]()
        except AWAY as exc:
            name = f"{name}: {type(exc).__name__}"
        time.sleep(self._arena.rng.uniform(0, 4))
        return name

    def await_database(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with suppress(psycopg2.OperationalError):
                self._arena.sql("select 1")
                return
            time.sleep(0.2)

    def await_commands(self) -> None:
        for command in self._commands:
            command.wait(SETTLE_SECONDS)

    def wrongly_shown(self) -> list[str]:
        """What Dagster's page of an asset shows beside the documents there are, once it had time to be told."""
        deadline = time.monotonic() + SHOWN_SECONDS
        while wrong := self._shown_now():
            if time.monotonic() > deadline:
                return wrong
            time.sleep(1)
        return []

    def _shown_now(self) -> list[str]:
        there = {document_id for (document_id,) in self._arena.sql(f"select id::text from {DOCUMENTS}")}
        try:
            pages = {asset: backfill.partitions(self._url, asset) for asset in backfill.ASSETS}
        except AWAY as exc:
            return [f"Dagster does not answer: {exc}"]
        return [
            f"{asset}: {len(there)} documents, {len(page['all'])} partitions, {len(page['materialized'])} materialized"
            for asset, page in pages.items()
            if page["failed"] or set(page["all"]) != there or len(page["materialized"]) != len(there)
        ]

    def _backfill(self) -> None:
        """Of the documents that Dagster knows, as its page offers them."""
        keys = backfill.partitions(self._url, backfill.ASSETS[0])["all"]
        selection = [{"path": [asset]} for asset in backfill.ASSETS]
        backfill.ask(self._url, backfill.LAUNCH, params={"assetSelection": selection, "partitionNames": keys})

    def _command(self, name: str) -> None:
        command = [sys.executable, "-m", "rag_assets", name]
        with (self._home / "commands.log").open("ab") as log:
            self._commands.append(subprocess.Popen(command, env=dict(self._environment), stdout=log, stderr=log))

    def _kill_one(self, name: str) -> None:
        if victims := _victims(self._running, name):
            _kill(victims[:1])

    def _kill_postgres(self) -> None:
        pid = postgres_watchdog.running_server((self._home / "postgres" / "data").resolve())
        if pid is not None:
            _kill([psutil.Process(pid)])


@contextmanager
def home(ground: Ground, *, seed: int) -> Iterator[tuple[Arena, dict[str, str]]]:
    """A home with an embedded database, and its application."""
    with folder() as place, ExitStack() as stack:
        home = place / "home"
        environment = _environment(home, place / "files", model=ground.model)
        stack.callback(postgres.remove, home)
        stack.callback(_end_all, environment[MARK])  # what a kind found left, it has told by then
        url = _database_url(environment)
        chunking = {"size": 512, "overlap": 50}  # what `up` uses
        arena = stack.enter_context(Arena(url, place, model=ground.model, seed=seed, chunking=chunking))
        arena.vector_of = None
        arena.sql('alter table "TblDocumentFiles" add column version int')
        arena.sql(EVENTS)
        yield arena, environment


def _environment(home: Path, files: Path, *, model: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    ours = {
        MARK: secrets.token_hex(8),
        "RAG_ASSETS_HOME": str(home),
        "DOCUMENT_ROOT_PATH": str(files),
        "LLAMA_SERVER_MODEL": str(model),
        "RAG_ASSETS_LLAMA_SERVER__REQUIRED_MEMORY_GB": "0.5",
        "RAG_ASSETS_SOURCE__MASS_DELETION_SHARE": "1",  # what the application deletes here is meant
        "RAG_ASSETS_WORKER__RETRY_BASE_SECONDS": "1",
    }
    return kept | ours


def _database_url(environment: Mapping[str, str]) -> str:
    """Of the home's database, which is started and made for it."""
    command = [sys.executable, "-m", "rag_assets", "env", "--json", "--pid", str(os.getpid())]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return re.sub(r"&options=[^&]*", "", found["DAGSTER_PG_URL"].replace("+psycopg2", ""))


@contextmanager
def up(environment: Mapping[str, str]) -> Iterator[psutil.Process]:
    """`rag-assets up`, stopped with SIGINT unless it is gone already."""
    log = Path(environment["RAG_ASSETS_HOME"]) / "up.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("w") as output:
        command = [sys.executable, "-m", "rag_assets", "up", "--port", "0"]
        process = subprocess.Popen(command, env=dict(environment), stdout=output, stderr=output)
    try:
        _await_up(process, log)
        yield psutil.Process(process.pid)
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        process.wait(START_SECONDS)


def url_of(environment: Mapping[str, str]) -> str:
    """Where the webserver of this home's `rag-assets up` is."""
    found = re.search(r"Dagster is at (\S+)", (Path(environment["RAG_ASSETS_HOME"]) / "up.log").read_text())
    assert found
    return found[1]


def _await_up(process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while "Dagster is at" not in log.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"rag-assets up did not start: {log.read_text()}")
        time.sleep(0.1)


def _victims(running: psutil.Process, name: str) -> list[psutil.Process]:
    """Those of the descendants that are this."""
    found = []
    for process in running.children(recursive=True):
        with suppress(psutil.Error):
            if VICTIMS[name] in " ".join(process.cmdline()):
                found.append(process)
    return found


def _end_all(mark: str) -> None:
    for process in workers_marked(mark):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _kill(processes: list[psutil.Process]) -> None:
    assert processes, "there is nothing to kill"
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def judge(arena: Arena, result: Result, *, turn: int) -> None:
    """Wait for the daemon to do everything, as long as it gets on; then look."""
    started = moved_at = time.monotonic()
    late, before = ["not settled"], None
    while late and time.monotonic() < min(moved_at + SETTLE_SECONDS, started + LONGEST_SECONDS):
        time.sleep(0.3)
        with suppress(DatabaseUnavailable, psycopg2.Error):
            late = [] if arena.is_settled() else late
            if (now := arena.sql(PROGRESS)) != before:
                before, moved_at = now, time.monotonic()
    waited, stood = time.monotonic() - started, time.monotonic() - moved_at
    result.notes[f"settled after {turn}"] = round(waited, 1)
    late = [f"{what} within {waited:.0f} s, the last {stood:.0f} without progress" for what in late]
    result.add([*late, *arena.violations()], trial=f"turn {turn}")
