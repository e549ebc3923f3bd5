"""A run coordinator and a run launcher that start the sensor's runs at once, in a process that is already warm.

Plain Dagster takes up to a second to take a run from the queue, and 1.1 s to spawn a process and import itself; its
processes also outlive the code server that started them, with all that they hold. Ours end with the daemon. Where
the daemon is not that of `rag-assets up`, runs go Dagster's ordinary way.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

import dagster as dg
from dagster import DagsterRun, DagsterRunStatus, DefaultRunLauncher, QueuedRunCoordinator, SubmitRunContext

from rag_assets.defs.dagster_internals import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from rag_assets.defs.jobs import BATCH_TAG, HIDDEN_PREFIX, INDEX_TAG, POOL_NAME, POOL_TAG
from rag_assets.processes import identity, tree

WARM_VARIABLE = "RAG_ASSETS_WARM"  # set where runs are launched (the daemon): nobody else keeps a prewarmed process
RESPAWN_SECONDS = 3.0  # the next one waits so long: its imports would take the processor from the run that just began
RUNNER_TAG = f"{HIDDEN_PREFIX}runner"  # the process that a run was handed to, as `_name` names it
PROCESS_TAG = f"{HIDDEN_PREFIX}process"  # the process that a run found itself in
ACTIVE_STATUSES = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


class PromptRunCoordinator(QueuedRunCoordinator):
    """Queues runs as usual, but launches a run of the sensor at once when no other run is there or waiting."""

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """The run as it is after it was launched, or put into the queue as Dagster does it."""
        run = context.dagster_run
        is_first = run.parent_run_id is None  # a run made from another one has its tags, too
        is_prompt = BATCH_TAG in run.tags and is_first and run.status == DagsterRunStatus.NOT_STARTED
        if not is_prompt or self._others_at_work():
            return super().submit_run(context)
        # Dagster gives a pool its limit when a run that needs it is first taken from the queue, and counts that run
        # against no limit yet: after a run that went past the queue, two would then be at work at once.
        # (Setting a limit that is there is an error of PostgreSQL's storage: its UPDATE comes in a failed transaction.)
        storage, pool = self._instance.event_log_storage, run.tags.get(POOL_TAG, POOL_NAME)
        if pool not in storage.get_concurrency_keys():
            storage.initialize_concurrency_limit_to_default(pool)
        self._instance.launch_run(run.run_id, context.workspace)
        return self._instance.get_run_by_id(run.run_id) or run

    def _others_at_work(self) -> bool:
        return count_runs(self._instance, ACTIVE_STATUSES) > 0

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        """Called once by Dagster, with the instance whose runs are coordinated."""
        super().register_instance(instance)
        if os.environ.get(WARM_VARIABLE):
            _ = instance.run_launcher  # made now, with its prewarmed process, and not by the first change


class WarmRunLauncher(DefaultRunLauncher):
    """Hands runs to a prewarmed process, which has already imported everything, or to a new one; see WARM_VARIABLE."""

    def __init__(self, inst_data: object = None, *, respawn_seconds: float = RESPAWN_SECONDS) -> None:
        super().__init__(inst_data)  # type: ignore[arg-type]
        self._respawn_seconds = respawn_seconds
        self._lock = threading.Lock()
        self._prewarmed: subprocess.Popen[bytes] | None = None
        self._running: list[subprocess.Popen[bytes]] = []
        self._is_disposed = False
        self._prewarm()

    def launch_run(self, context: LaunchRunContext) -> None:
        """Hand the run to a process; it begins there, and this returns at once."""
        if not os.environ.get(WARM_VARIABLE):
            super().launch_run(context)
        elif not self._hand_over(context.dagster_run, self._take_prewarmed() or self._new()):
            self._hand_over(context.dagster_run, self._new())  # the prewarmed one died meanwhile

    def terminate(self, run_id: str) -> bool:
        """Ask the run's process to end; False where it has ended, or is not to be found."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or not _named(run, RUNNER_TAG):
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        if run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        if not _lives(run, RUNNER_TAG):
            return False
        tree.terminate([_pid(run, RUNNER_TAG)])
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Always: the daemon asks `check_run_worker_health` of runs that it believes at work."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """NOT_FOUND where the run's process is known and gone, else RUNNING."""
        if is_lost(run):
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "The run's process is gone.")
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    def dispose(self) -> None:
        """End the processes of this launcher, runs included, by closing their standard input."""
        with self._lock:
            self._is_disposed = True
            for runner in filter(None, (self._prewarmed, *self._running)):
                if runner.stdin:
                    with suppress(OSError):
                        runner.stdin.close()  # tells it to end
        super().dispose()

    def _take_prewarmed(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            runner, self._prewarmed = self._prewarmed, None
            later = threading.Timer(self._respawn_seconds, self._prewarm)
            later.daemon = True
            later.start()
            if runner is None or runner.poll() is not None:
                return None
            self._keep(runner)
            return runner

    def _new(self) -> subprocess.Popen[bytes]:
        with self._lock:
            runner = _spawn()
            self._keep(runner)
            return runner

    def _keep(self, runner: subprocess.Popen[bytes]) -> None:
        """Hold on to a runner, and so to its stdin: it ends when that is closed, as our death does."""
        self._running = [*(other for other in self._running if other.poll() is None), runner]

    def _prewarm(self) -> None:
        with self._lock:
            if self._prewarmed is None and not self._is_disposed and os.environ.get(WARM_VARIABLE):
                self._prewarmed = _spawn()

    def _hand_over(self, run: DagsterRun, runner: subprocess.Popen[bytes]) -> bool:
        self._instance.add_run_tags(run.run_id, {RUNNER_TAG: _name(run, runner.pid)})
        try:
            assert runner.stdin is not None  # noqa: S101 - see _spawn
            runner.stdin.write(f"{run.run_id}\n".encode())
            runner.stdin.flush()
        except OSError:  # nothing of the run has begun
            return False
        return True


def tag_run_with_process(instance: dg.DagsterInstance, run: DagsterRun) -> None:
    """Note which process this run is executed in, unless it was handed to it: it can then be known to be gone."""
    if not _named(run, RUNNER_TAG):
        instance.add_run_tags(run.run_id, {PROCESS_TAG: _name(run, os.getpid())})


def count_runs(instance: dg.DagsterInstance, statuses: Sequence[DagsterRunStatus]) -> int:
    """How many runs have one of these statuses, but for those that build an index of vectors.

    That may take an hour, and takes nothing from the others but time. By their tag: in an instance, several indexes may
    have such a job, each with the name of its own.
    """
    there = instance.get_runs_count(dg.RunsFilter(statuses=list(statuses)))
    of_index = dg.RunsFilter(tags={INDEX_TAG: "yes"}, statuses=list(statuses))
    return there - instance.get_runs_count(of_index) if there else 0


def is_lost(run: DagsterRun) -> bool:
    """Whether the run's process is known, by its tags, and is not there any more."""
    known = [tag for tag in (RUNNER_TAG, PROCESS_TAG) if _named(run, tag)]
    return bool(known) and not any(_lives(run, tag) for tag in known)


def _spawn() -> subprocess.Popen[bytes]:
    """Start a process for a run; it ends by itself when its stdin is closed, which is also what our death does."""
    return subprocess.Popen(
        [sys.executable, "-m", "rag_assets.runner"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=os.name != "nt",
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # it can be asked to end by itself
        env={name: value for name, value in os.environ.items() if name != WARM_VARIABLE},
    )


def _name(run: DagsterRun, pid: int) -> str:
    """Names a process, and whose it is: a run that is made from another one has its tags, too."""
    return f"{run.run_id}:{identity.host()}:{identity.identify(pid)}"


def _named(run: DagsterRun, tag: str) -> str | None:
    """The identity that the tag gives this run's process; None where it is not for this run, or of another machine."""
    ours = f"{run.run_id}:{identity.host()}:"
    value = run.tags.get(tag, "")
    return value.removeprefix(ours) if value.startswith(ours) else None


def _lives(run: DagsterRun, tag: str) -> bool:
    return identity.identify(_pid(run, tag)) == _named(run, tag)


def _pid(run: DagsterRun, tag: str) -> int:
    pid = (_named(run, tag) or "").partition(".")[0]
    return int(pid) if pid.isdecimal() else 0
