"""Ctrl-C, SIGTERM, a terminal that closes, and SIGKILL, of the command line's run and of `rag-assets up`."""

import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from rag_assets_tests.faults import uprooting
from rag_assets_tests.faults.arena import DOCUMENTS, Arena, Ground, Result, left_after
from rag_assets_tests.faults.uprooting import MARK

FIRST = 12  # documents
LONG_DOCUMENT = 1_500  # sentences: no run is to wait until all of them are embedded
STOP_SECONDS = 15.0  # far above what it takes, far below what a long document does
AT_WORK = "the run is not at work"
STOPS = [signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)]
NEVER = {"RAG_ASSETS_WORKER__RECONCILE_CRON": "0 0 1 1 *"}
HELD = "select claimed_by, count(*) from rag_outbox where claimed_by is not null group by 1"


def stop_ingest(ground: Ground, *, seed: int, long: bool) -> Result:
    """`rag-assets ingest` is stopped, or killed, with long documents: soon gone, nothing held, the next one goes on."""
    result = Result()
    with uprooting.home(ground, seed=seed) as (arena, environment):
        arena.insert(FIRST)
        for turn in range(2 if long else 1):
            for number in [*STOPS, signal.SIGKILL] if long else STOPS[turn : turn + 1]:
                _lengthen(arena)
                violations = _stopped(arena, environment, number)
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
                process.wait(60)
                patience = 10 if number == signal.SIGKILL else 1  # the run notices that its parents are gone
                violations += _late(started) + left_after(environment[MARK], seconds=patience) + _held(arena)
            _shorten(arena)
            result.add([*violations, *_ingested(arena, environment)], trial=f"{number.name}, turn {turn}")
    return result


def _stopped(arena: Arena, environment: Mapping[str, str], number: signal.Signals) -> list[str]:
    log = Path(environment["RAG_ASSETS_HOME"]) / "ingest.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "rag_assets", "ingest"]
        process = subprocess.Popen(command, env={**environment, **NEVER}, stdout=output, stderr=output)
    violations = _until_at_work(arena)
    time.sleep(arena.rng.uniform(0, 3))
    started = time.monotonic()
    process.send_signal(number)
    code = process.wait(120)
    if number == signal.SIGKILL:
        return violations + left_after(environment[MARK])
    said = [] if code == 130 else [f"exit code {code}: {log.read_text()[-500:]}"]
    return [*violations, *_late(started), *said, *left_after(environment[MARK], seconds=1), *_held(arena)]


def _ingested(arena: Arena, environment: Mapping[str, str]) -> list[str]:
    """What is wrong after one more run of the command line."""
    command = [sys.executable, "-m", "rag_assets", "ingest"]
    done = subprocess.run(command, env={**environment, **NEVER}, capture_output=True, text=True, timeout=300)
    said = [f"exit code {done.returncode}: {done.stderr[-500:]}"] if done.returncode else []
    return said + arena.violations()


def _until_at_work(arena: Arena) -> list[str]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if any(owner.startswith("run:") for owner, _ in arena.sql(HELD)):
            return []
        time.sleep(0.05)
    return [AT_WORK]


def _late(started: float) -> list[str]:
    seconds = time.monotonic() - started
    return [f"ended after {seconds:.1f} s"] if seconds > STOP_SECONDS else []


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
