"""A run coordinator and a run launcher that start the sensor's runs at once, in a process that is already warm.

Plain Dagster takes up to a second to take a run from the queue, and 1.1 s to spawn a process and import itself.
Runs of the user interface, and everything where no warm process is at hand, go Dagster's ordinary way.
"""

import os
import subprocess
import sys
import threading
from contextlib import suppress

import dagster as dg
import psutil
from dagster import DagsterRun, DagsterRunStatus
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext

from rag_assets.defs.jobs import BATCH_TAG, POOL

WARM_VARIABLE = "RAG_ASSETS_WARM"  # set where runs are launched (the daemon), so that nobody else keeps a spare
RESPAWN_SECONDS = 3.0  # a new spare waits so long: its imports would take the processor from the run that just began
RUNNER_TAG = "rag_assets/runner"  # pid:create_time of the process that executes a run
ACTIVE = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


class PromptRunCoordinator(QueuedRunCoordinator):
    """Queues runs as usual, but launches a run of the sensor at once when no other run is there or waiting."""

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        run = context.dagster_run
        is_prompt = BATCH_TAG in run.tags and run.status == DagsterRunStatus.NOT_STARTED
        if not is_prompt or self._instance.get_runs_count(dg.RunsFilter(statuses=ACTIVE)):
            return super().submit_run(context)
        # Dagster gives a pool its limit when a run that needs it is first taken from the queue, and counts that run
        # against no limit yet: after a run that went past the queue, two would then be at work at once.
        # (Setting a limit that is there is an error of PostgreSQL's storage: its UPDATE comes in a failed transaction.)
        storage = self._instance.event_log_storage
        if POOL not in storage.get_concurrency_keys():
            storage.initialize_concurrency_limit_to_default(POOL)
        self._instance.launch_run(run.run_id, context.workspace)
        return self._instance.get_run_by_id(run.run_id) or run

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        super().register_instance(instance)
        if os.environ.get(WARM_VARIABLE):
            _ = instance.run_launcher  # made now, with its spare, and not by the first change


class WarmRunLauncher(DefaultRunLauncher):
    """Hands runs to a spare process that has already imported everything; Dagster's own way when there is none."""

    def __init__(self, inst_data: object = None) -> None:
        super().__init__(inst_data)  # type: ignore[arg-type]
        self._lock = threading.Lock()
        self._spare: subprocess.Popen[bytes] | None = None
        self._running: list[subprocess.Popen[bytes]] = []
        self._is_disposed = False
        self._keep_spare()

    def launch_run(self, context: LaunchRunContext) -> None:
        runner = self._take_spare()
        if runner is None or not self._hand_over(context.dagster_run, runner):
            super().launch_run(context)

    def terminate(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        if run is None or RUNNER_TAG not in run.tags:
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        if run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        process = _process(run)
        if process is not None:
            process.terminate()
        return process is not None

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        if RUNNER_TAG not in run.tags:
            return CheckRunHealthResult(WorkerStatus.RUNNING)  # watched by the code server that started it
        if is_lost(run):
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "The run's process is gone.")
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    def dispose(self) -> None:
        with self._lock:
            self._is_disposed = True
            for runner in filter(None, (self._spare, *self._running)):
                if runner.stdin:
                    with suppress(OSError):
                        runner.stdin.close()  # tells it to end
        super().dispose()

    def _take_spare(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            runner, self._spare = self._spare, None
            later = threading.Timer(RESPAWN_SECONDS, self._keep_spare)
            later.daemon = True
            later.start()
            self._running = [r for r in self._running if r.poll() is None]
            if runner is None or runner.poll() is not None:
                return None
            self._running.append(runner)
            return runner

    def _keep_spare(self) -> None:
        with self._lock:
            if self._spare is None and not self._is_disposed and os.environ.get(WARM_VARIABLE):
                self._spare = _spawn()

    def _hand_over(self, run: DagsterRun, runner: subprocess.Popen[bytes]) -> bool:
        created = psutil.Process(runner.pid).create_time()
        self._instance.add_run_tags(run.run_id, {RUNNER_TAG: f"{runner.pid}:{created}"})
        try:
            assert runner.stdin is not None  # noqa: S101 - see _spawn
            runner.stdin.write(f"{run.run_id}\n".encode())
            runner.stdin.flush()
        except OSError:  # it died between the look and the word; nothing of the run has begun
            return False
        return True


def is_lost(run: DagsterRun) -> bool:
    """Whether it was handed to a process that is no more."""
    return RUNNER_TAG in run.tags and _process(run) is None


def _spawn() -> subprocess.Popen[bytes]:
    """Start a spare; it ends by itself when its stdin is closed, which is also what our death does."""
    return subprocess.Popen(
        [sys.executable, "-m", "rag_assets.runner"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=os.name != "nt",
        env={name: value for name, value in os.environ.items() if name != WARM_VARIABLE},
    )


def _process(run: DagsterRun) -> psutil.Process | None:
    pid, _, created = run.tags[RUNNER_TAG].partition(":")
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(int(pid))
        if abs(process.create_time() - float(created)) < 1 and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None
