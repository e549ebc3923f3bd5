"""SIGKILL of the daemon, and of every process of `rag-assets up`, under changes: started again, all is done."""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from rag_assets.embedded import postgres
from rag_assets.errors import DatabaseUnavailable
from rag_assets_tests.faults.arena import EVENTS, Arena, Ground, Result, folder, left_after, processes_marked

MARK = "RAG_ASSETS_FAULT"
START_SECONDS = 120.0
SETTLE_SECONDS = 240.0  # a run that was killed is noticed by Dagster's monitoring, its slot freed some seconds later
OURS = ("DATABASE_URL", "DAGSTER_", "RAG_ASSETS_", "LLAMA_SERVER_", "DOCUMENT_ROOT_PATH")


def kill_daemon(ground: Ground, *, seed: int, long: bool) -> Result:
    """The daemon dies while changes come in; `up` starts another, which goes on."""
    result = Result()
    with _home(ground, seed=seed) as (arena, environment), _up(environment) as up:
        for turn in range(3 if long else 1):
            arena.insert(8)
            time.sleep(arena.rng.uniform(0.2, 4))
            _kill([process for process in up.children() if _is_daemon(process)])
            arena.change(5)
            _judge(arena, result, turn=turn)
    result.violations += left_after(environment[MARK])
    return result


def kill_tree(ground: Ground, *, seed: int, long: bool) -> Result:
    """Every process dies at once, PostgreSQL and its keeper too; `up` again, and the changes of before are done."""
    result = Result()
    with _home(ground, seed=seed) as (arena, environment):
        for turn in range(3 if long else 1):
            with _up(environment):
                arena.insert(8)
                arena.change(4)
                time.sleep(arena.rng.uniform(0.2, 5))
                _kill(processes_marked(environment[MARK]))
            with _up(environment):
                arena.change(2)
                _judge(arena, result, turn=turn)
    result.violations += left_after(environment[MARK])
    return result


@contextmanager
def _home(ground: Ground, *, seed: int) -> Iterator[tuple[Arena, dict[str, str]]]:
    """A home with an embedded database, and its application."""
    with folder() as place, ExitStack() as stack:
        home = place / "home"
        environment = _environment(home, place / "files", model=ground.model)
        stack.callback(postgres.remove, home)
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
def _up(environment: Mapping[str, str]) -> Iterator[psutil.Process]:
    """`rag-assets up`, stopped with SIGINT unless it is gone already."""
    log = Path(environment["RAG_ASSETS_HOME"]) / "up.log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "rag_assets", "up", "--port", "0"]
        process = subprocess.Popen(command, env=dict(environment), stdout=output, stderr=output)
    try:
        _await_up(process, log)
        yield psutil.Process(process.pid)
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        process.wait(60)


def _await_up(process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while "Dagster is at" not in log.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"rag-assets up did not start: {log.read_text()}")
        time.sleep(0.1)


def _is_daemon(process: psutil.Process) -> bool:
    return any("dagster._daemon" in part for part in process.cmdline())


def _kill(processes: list[psutil.Process]) -> None:
    assert processes, "there is nothing to kill"
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _judge(arena: Arena, result: Result, *, turn: int) -> None:
    """Wait for the daemon to do everything, then look."""
    started = time.monotonic()
    late = [f"not settled within {SETTLE_SECONDS:.0f} s"]
    while late and time.monotonic() - started < SETTLE_SECONDS:
        time.sleep(0.3)
        with suppress(DatabaseUnavailable):
            late = [] if arena.is_settled() else late
    result.notes[f"settled after {turn}"] = round(time.monotonic() - started, 1)
    result.add([*late, *arena.violations()], trial=f"turn {turn}")
