"""A run is stopped (SIGSTOP) at any moment; another takes its documents, and the first one continues (SIGCONT)."""

import signal
import time
from collections.abc import Mapping
from contextlib import suppress

import psutil

from rag_assets_tests.faults import uprooting
from rag_assets_tests.faults.arena import DOCUMENTS, Arena, Ground, Result, left_after, processes_marked, replace_text
from rag_assets_tests.faults.uprooting import MARK

FIRST = 12  # documents
MOST_RUNS = 10  # that may end before they are stopped
SENT_SECONDS = 1.0  # in which PostgreSQL does what a run had asked for before it was stopped
LONG_DOCUMENT = 1_500  # sentences: the run is at work for some time
PATIENCE_SECONDS = 20  # worker.processing_timeout_seconds here
SHORT = {
    "RAG_ASSETS_WORKER__PROCESSING_TIMEOUT_SECONDS": str(PATIENCE_SECONDS),
    "RAG_ASSETS_WORKER__RECONCILE_CRON": "0 0 1 1 *",
}
ENDED_SECONDS = 300.0  # for a run that continues to notice that it was taken over, on a busy machine
AT_WORK_NOW = "select run_id from dagster.runs where status = 'STARTED' order by id desc limit 1"
RUNNER_OF = "select value from dagster.run_tags where run_id = '{}' and key = '.dagster/rag_assets_runner'"
STATUS_OF = "select status from dagster.runs where run_id = '{}'"


def run_stands_still(ground: Ground, *, seed: int, long: bool) -> Result:
    """With its text workers and its server, or alone; what is newer stays, and nothing of the run is left."""
    result = Result()
    with uprooting.home(ground, seed=seed) as (arena, environment):
        with uprooting.up(environment | SHORT):
            arena.insert(FIRST)
            for turn in range(4 if long else 1):
                violations = _stood_still(arena, result, turn=turn)
                result.violations += [f"turn {turn}: {violation}" for violation in violations]
        result.violations += left_after(environment[MARK])
    return result


def all_stand_still(ground: Ground, *, seed: int, long: bool) -> Result:
    """Every process is stopped for longer than a run may stand still, and continues: no run is taken over for it."""
    result = Result()
    with uprooting.home(ground, seed=seed) as (arena, environment):
        with uprooting.up(environment | SHORT):
            for turn in range(2 if long else 1):
                arena.insert(FIRST)
                _lengthen(arena)
                run_id = _await_run(arena)
                time.sleep(arena.rng.uniform(0, 8))
                _stop_all(environment)
                uprooting.judge(arena, result, turn=turn)
                violations = _harmed(arena, run_id)
                result.violations += [f"turn {turn}: {violation}" for violation in violations]
        result.violations += left_after(environment[MARK])
    return result


def _stood_still(arena: Arena, result: Result, *, turn: int) -> list[str]:
    run_id, stopped = _stopped_at_work(arena)
    try:
        arena.change(4)
        _shorten(arena)
        uprooting.judge(arena, result, turn=turn)  # all is done while it is stopped
        before = arena.stored()
    finally:
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.resume()
    started = time.monotonic()
    while (
        left := [process for process in stopped if _is_alive(process)]
    ) and time.monotonic() < started + ENDED_SECONDS:
        time.sleep(0.2)
    result.notes[f"ended after {turn}"] = round(time.monotonic() - started, 1)
    violations = [f"still there: {process.pid} {' '.join(process.cmdline())[-80:]}" for process in left]
    [(status,)] = arena.sql(STATUS_OF.format(run_id))
    if status != "FAILURE":
        violations.append(f"the run that stood still is {status}")
    if arena.stored() != before:
        violations.append("the run that was taken over changed the index")
    return [*violations, *arena.violations()]


def _stopped_at_work(arena: Arena) -> tuple[str, list[psutil.Process]]:
    """A run that was stopped before it ended, and its stopped processes; one that was too quick is left to its end."""
    for _ in range(MOST_RUNS):
        _lengthen(arena)
        run_id = _await_run(arena)
        time.sleep(arena.rng.uniform(0, 4))
        stopped = _stop_run(arena, run_id)
        time.sleep(SENT_SECONDS)
        if arena.sql(STATUS_OF.format(run_id)) == [("STARTED",)]:
            return run_id, stopped
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.resume()
    raise TimeoutError(f"{MOST_RUNS} runs ended before they were stopped")


def _is_alive(process: psutil.Process) -> bool:
    """Not where only its exit status is left, which its parent, the daemon, fetches when it starts the next process."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _stop_run(arena: Arena, run_id: str) -> list[psutil.Process]:
    """The run's process, and one time in two all that it started."""
    [(name,)] = arena.sql(RUNNER_OF.format(run_id))
    number = int(name.split(":")[2].partition(".")[0])
    stopped: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):  # it has just ended, or one of its own
        runner = psutil.Process(number)
        for process in [runner, *(runner.children(recursive=True) if arena.rng.random() < 0.5 else ())]:
            process.suspend()
            stopped.append(process)
    return stopped


def _stop_all(environment: Mapping[str, str]) -> None:
    everybody = processes_marked(environment[MARK])
    for process in everybody:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    time.sleep(PATIENCE_SECONDS + 40)
    for process in everybody:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)


def _harmed(arena: Arena, run_id: str) -> list[str]:
    """What became of the run, once all is done."""
    found = arena.sql(f"select 1 from dagster.run_tags where run_id = '{run_id}' and key = '.dagster/rag_assets_fault'")
    taken = arena.sql("select run_id from rag_runs where taken_over_at is not null")
    return [f"taken over: {taken}"] * bool(taken) + ["the run failed"] * bool(found)


def _lengthen(arena: Arena) -> None:
    """The first document becomes a long one."""
    [(document_id, name)] = arena.sql(f"select id, file_path from {DOCUMENTS} order by id limit 1")
    replace_text(arena.files / name, arena.text(LONG_DOCUMENT))
    arena.sql(f"update {DOCUMENTS} set version = version + 1 where id = {document_id}")


def _shorten(arena: Arena) -> None:
    [(document_id, name)] = arena.sql(f"select id, file_path from {DOCUMENTS} order by id limit 1")
    replace_text(arena.files / name, arena.text())
    arena.sql(f"update {DOCUMENTS} set version = version + 1 where id = {document_id}")


def _await_run(arena: Arena) -> str:
    deadline = time.monotonic() + uprooting.START_SECONDS
    while not (found := arena.sql(AT_WORK_NOW)):
        if time.monotonic() > deadline:
            raise TimeoutError("no run began")
        time.sleep(0.1)
    return str(found[0][0])
