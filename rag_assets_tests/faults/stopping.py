"""Ctrl-C, SIGTERM, a terminal that closes, and SIGKILL, of the command line's run and of `up`; the UI's button."""

import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from rag_assets_tests.e2e import backfill
from rag_assets_tests.faults import uprooting
from rag_assets_tests.faults.arena import DOCUMENTS, Arena, Ground, Result, left_after, patience
from rag_assets_tests.faults.uprooting import MARK

FIRST = 12  # documents
LONG_DOCUMENT = 1_500  # sentences: no run is to wait until all of them are embedded
STOP_SECONDS = 120.0  # only what waits for the long documents takes so long
STOPS = [signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)]
NEVER = {"RAG_ASSETS_WORKER__RECONCILE_CRON": "0 0 1 1 *"}
TERMINATE = "mutation Terminate($id: String!) { terminateRun(runId: $id) { __typename } }"
AT_WORK_NOW = "select run_id from dagster.runs where status = 'STARTED'"
SLOWEST = "seconds of the slowest end"
HELD = "select claimed_by, count(*) from rag_outbox where claimed_by is not null group by 1"


def stop_ingest(ground: Ground, *, seed: int, long: bool) -> Result:
    """`rag-assets ingest` is stopped, or killed, with long documents: soon gone, nothing held, the next one goes on."""
    result = Result()
    with uprooting.home(ground, seed=seed) as (arena, environment):
        arena.insert(FIRST)
        for turn in range(2 if long else 1):
            for number in [*STOPS, signal.SIGKILL] if long else STOPS[turn : turn + 1]:
                _lengthen(arena)
                violations = _stopped(arena, environment, number, result)
                _shorten(arena)
                violations += _ingested(arena, environment)
                result.add(violations, trial=f"{number.name}, turn {turn}")
    return result


def stop_up(ground: Ground, *, seed: int, long: bool) -> Result:
    """`rag-assets up` is stopped, or killed alone, with a run at work: soon gone with all it started, nothing held."""
    result = Result()
    with uprooting.home(ground, seed=seed) as (arena, environment):
        arena.insert(FIRST)
        for turn, number in enumerate([*STOPS, signal.SIGKILL] if long else STOPS[:1]):
            with uprooting.up(environment | NEVER) as process:
                _lengthen(arena)
                violations = _until_at_work(arena)
                time.sleep(arena.rng.uniform(0, 3))
                started = time.monotonic()
                process.send_signal(number)
                process.wait(patience(STOP_SECONDS))
                _note_slowest(result, started)
                violations += left_after(environment[MARK]) + _held(arena)
            _shorten(arena)
            result.add([*violations, *_ingested(arena, environment)], trial=f"{number.name}, turn {turn}")
    return result


def terminate_run(ground: Ground, *, seed: int, long: bool) -> Result:
    """A run at work is terminated from the UI: soon canceled, and the documents come with the next one."""
    result = Result()
    with uprooting.home(ground, seed=seed) as (arena, environment):
        arena.insert(FIRST)
        with uprooting.up(environment | NEVER):
            for turn in range(4 if long else 1):
                _lengthen(arena)
                violations = _until_at_work(arena)
                time.sleep(arena.rng.uniform(0, 3))
                started = time.monotonic()
                [(run_id,)] = arena.sql(AT_WORK_NOW)
                backfill.ask(uprooting.url_of(environment), TERMINATE, id=run_id)
                violations += _until_canceled(arena, run_id)
                _note_slowest(result, started)
                _shorten(arena)
                uprooting.judge(arena, result, turn=turn)
                result.violations += [f"turn {turn}: {violation}" for violation in violations]
        result.violations += left_after(environment[MARK])
    return result


def _stopped(arena: Arena, environment: Mapping[str, str], number: signal.Signals, result: Result) -> list[str]:
    log = Path(environment["RAG_ASSETS_HOME"]) / "ingest.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "rag_assets", "ingest"]
        process = subprocess.Popen(command, env={**environment, **NEVER}, stdout=output, stderr=output)
    violations = _until_at_work(arena)
    time.sleep(arena.rng.uniform(0, 3))
    started = time.monotonic()
    process.send_signal(number)
    code = process.wait(patience(STOP_SECONDS))
    if number == signal.SIGKILL:
        return violations + left_after(environment[MARK])
    said = [] if code == 130 else [f"exit code {code}: {log.read_text()[-500:]}"]
    _note_slowest(result, started)
    return [*violations, *said, *left_after(environment[MARK]), *_held(arena)]


def _ingested(arena: Arena, environment: Mapping[str, str]) -> list[str]:
    """What is wrong after one more run of the command line."""
    command = [sys.executable, "-m", "rag_assets", "ingest"]
    done = subprocess.run(command, env={**environment, **NEVER}, capture_output=True, text=True, timeout=patience(300))
    said = [f"exit code {done.returncode}: {done.stderr[-500:]}"] if done.returncode else []
    return said + arena.violations()


def _until_at_work(arena: Arena) -> list[str]:
    deadline = time.monotonic() + patience(60)
    while time.monotonic() < deadline:
        if any(owner.startswith("run:") for owner, _ in arena.sql(HELD)):
            return []
        time.sleep(0.05)
    return ["the run is not at work"]


def _until_canceled(arena: Arena, run_id: str) -> list[str]:
    deadline = time.monotonic() + patience(60)
    while time.monotonic() < deadline:
        [(status,)] = arena.sql(f"select status from dagster.runs where run_id = '{run_id}'")
        if status == "CANCELED":
            return [row for row in _held(arena) if run_id in row]
        time.sleep(0.05)
    return [f"the run is {status}"]


def _note_slowest(result: Result, started: float) -> None:
    """How long it took is told, not judged: on a shared machine, a limit is either wrong or never reached."""
    seconds = round(time.monotonic() - started, 1)
    result.notes[SLOWEST] = max(seconds, result.notes.get(SLOWEST, 0.0))


def _held(arena: Arena) -> list[str]:
    return [f"{count} documents are held by {owner}" for owner, count in arena.sql(HELD)]


def _lengthen(arena: Arena) -> None:
    _rewrite(arena, sentences=LONG_DOCUMENT)


def _shorten(arena: Arena) -> None:
    """So that a fresh build takes seconds."""
    _rewrite(arena, sentences=0)


def _rewrite(arena: Arena, *, sentences: int) -> None:
    for _, name in arena.sql(f"select id, file_path from {DOCUMENTS}"):
        (arena.files / name).write_text(arena.text(sentences))
    arena.sql(f"update {DOCUMENTS} set version = coalesce(version, 0) + 1")
