"""Which way a run goes: past the queue or through it, into a warm process or a new one, and who ends it."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest
import yaml  # type: ignore[import-untyped]
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus

from rag_assets import settings
from rag_assets.defs import jobs, launching, sensors
from rag_assets.defs.jobs import BATCH_TAG, index_job, ingest_job
from rag_assets_tests.project import Project, submit


class Coordinator(launching.PromptRunCoordinator):
    """Keeps which runs went into the queue, and which past it."""

    def __init__(self, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.queued: list[str] = []
        self.launched: list[str] = []
        self.register_instance(instance)
        ordinary = launching.PromptRunCoordinator.__mro__[1]
        monkeypatch.setattr(ordinary, "submit_run", lambda _self, context: self.queued.append(context))
        monkeypatch.setattr(instance, "launch_run", lambda run_id, _workspace: self.launched.append(run_id))

    def submit(self, run_id: str) -> None:
        self.submit_run(cast(Any, SimpleNamespace(dagster_run=self._instance.get_run_by_id(run_id), workspace=None)))


@pytest.mark.parametrize(
    ("tags", "others", "is_prompt"),
    [
        ({BATCH_TAG: "b"}, [], True),
        ({BATCH_TAG: "b"}, [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE], True),
        ({BATCH_TAG: "b"}, [DagsterRunStatus.STARTED], False),
        ({BATCH_TAG: "b"}, [DagsterRunStatus.STARTING], False),
        ({BATCH_TAG: "b"}, [DagsterRunStatus.CANCELING], False),
        ({}, [], False),
    ],
)
def test_change_goes_past_the_queue_when_nothing_else_is_there(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    tags: dict[str, str],
    others: list[DagsterRunStatus],
    is_prompt: bool,
) -> None:
    """Everything else waits its turn: one llama-server at a time."""
    for status in others:
        submit(project, tags={}, status=status)
    run_id = submit(project, tags=tags, status=DagsterRunStatus.NOT_STARTED)
    coordinator = Coordinator(project.instance, monkeypatch)
    coordinator.submit(run_id)
    assert (len(coordinator.launched), len(coordinator.queued)) == ((1, 0) if is_prompt else (0, 1))


def test_change_goes_past_the_queue_while_an_index_is_built(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """That may take an hour; but what embeds beside it is waited for as ever."""
    building = project.definitions.resolve_job_def(index_job.name)
    project.instance.create_run_for_job(building, status=DagsterRunStatus.STARTED, tags=building.run_tags)
    run_id = submit(project, tags={BATCH_TAG: "b"}, status=DagsterRunStatus.NOT_STARTED)
    coordinator = Coordinator(project.instance, monkeypatch)
    coordinator.submit(run_id)
    assert coordinator.launched == [run_id]
    submit(project, tags={}, status=DagsterRunStatus.STARTED)
    coordinator.submit(run_id)
    assert (len(coordinator.launched), len(coordinator.queued)) == (1, 1)


def test_index_of_another_project_is_no_reason_to_wait(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who launches runs knows the names of one index, and an instance may have several: letters_index_vectors."""

    @dg.op
    def build() -> None: ...

    @dg.job(name="letters_index_vectors")
    def of_another() -> None:
        build()

    project.instance.create_run_for_job(of_another, status=DagsterRunStatus.STARTED, tags=index_job.run_tags)
    run_id = submit(project, tags={BATCH_TAG: "b"}, status=DagsterRunStatus.NOT_STARTED)
    coordinator = Coordinator(project.instance, monkeypatch)
    coordinator.submit(run_id)
    assert coordinator.launched == [run_id]


def test_run_that_is_repeated_waits_its_turn(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the batch of the run that failed, but is no change that came this moment."""
    job = project.definitions.resolve_job_def(ingest_job.name)
    first = submit(project, tags={BATCH_TAG: "b"}, status=DagsterRunStatus.FAILURE)
    again = project.instance.create_run_for_job(
        job, tags={BATCH_TAG: "b"}, status=DagsterRunStatus.NOT_STARTED, parent_run_id=first, root_run_id=first
    )
    coordinator = Coordinator(project.instance, monkeypatch)
    coordinator.submit(again.run_id)
    assert (coordinator.launched, len(coordinator.queued)) == ([], 1)


def test_pool_has_its_limit_before_a_run_goes_past_the_queue(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the next run would not know that the place is taken."""
    coordinator = Coordinator(project.instance, monkeypatch)
    for _ in range(2):
        coordinator.submit(submit(project, tags={BATCH_TAG: "b"}, status=DagsterRunStatus.NOT_STARTED))
    assert project.instance.event_log_storage.get_concurrency_keys() == {jobs.POOL_NAME}


@pytest.fixture
def launcher(project: Project, request: pytest.FixtureRequest) -> Iterator[launching.WarmRunLauncher]:
    """One whose prewarmed process comes back after so many seconds as a test asks for."""
    made = launching.WarmRunLauncher(respawn_seconds=getattr(request, "param", launching.RESPAWN_SECONDS))
    made.register_instance(project.instance)
    yield made
    made.dispose()


def test_no_prewarmed_process_is_kept_where_no_run_is_launched(launcher: launching.WarmRunLauncher) -> None:
    """The code server and the webserver have a launcher too."""
    assert launcher._prewarmed is None


@pytest.fixture
def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def run_of(
    project: Project, pid: int | None, *, status: DagsterRunStatus, tag: str = launching.RUNNER_TAG
) -> DagsterRun:
    """A run that a tag says this process has; None: no tag."""
    run_id = submit(project, tags={}, status=status)
    run = project.instance.get_run_by_id(run_id)
    assert run is not None
    if pid is not None:
        project.instance.add_run_tags(run_id, {tag: launching._name(run, pid)})
        run = project.instance.get_run_by_id(run_id)
        assert run is not None
    return run


@pytest.mark.parametrize("tag", [launching.RUNNER_TAG, launching.PROCESS_TAG])
def test_run_whose_process_is_gone_is_found_out(
    project: Project, launcher: launching.WarmRunLauncher, dead_pid: int, tag: str
) -> None:
    """Whoever started it; of a run without a tag, nothing is known."""
    lost = run_of(project, dead_pid, status=DagsterRunStatus.STARTED, tag=tag)
    at_work = run_of(project, os.getpid(), status=DagsterRunStatus.STARTED, tag=tag)
    unknown = run_of(project, None, status=DagsterRunStatus.STARTED)
    health = [launcher.check_run_worker_health(run).status.name for run in (lost, at_work, unknown)]
    assert health == ["NOT_FOUND", "RUNNING", "RUNNING"]


def test_process_is_not_known_by_its_number_alone(project: Project) -> None:
    """It may be another one's by now; and a run on another machine is not judged from here."""
    run = run_of(project, os.getpid(), status=DagsterRunStatus.STARTED)
    named = run.tags[launching.RUNNER_TAG]
    recycled = named.replace(f":{os.getpid()}.", f":{os.getpid()}.0")
    assert launching.is_lost(run.with_tags({launching.RUNNER_TAG: recycled}))
    elsewhere = recycled.replace(platform.node(), "another-machine")
    assert not launching.is_lost(run.with_tags({launching.RUNNER_TAG: elsewhere}))


def test_tags_of_the_run_it_repeats_do_not_make_a_run_lost(
    project: Project, launcher: launching.WarmRunLauncher, dead_pid: int
) -> None:
    """Run again from the UI, or by Dagster itself, a run has the tags of the one that failed."""
    failed = run_of(project, dead_pid, status=DagsterRunStatus.FAILURE)
    again = project.instance.get_run_by_id(submit(project, tags=dict(failed.tags), status=DagsterRunStatus.STARTED))
    assert again is not None
    assert launcher.check_run_worker_health(again).status.name == "RUNNING"


def test_run_signs_with_its_process_unless_it_was_handed_to_it(project: Project) -> None:
    """A run of plain Dagster, or of the command line, can then be known to be gone."""
    handed = run_of(project, os.getpid(), status=DagsterRunStatus.STARTED)
    ordinary = run_of(project, None, status=DagsterRunStatus.STARTED)
    tags = []
    for run in (handed, ordinary):
        launching.tag_run_with_process(project.instance, run)
        signed = project.instance.get_run_by_id(run.run_id)
        assert signed is not None
        assert not launching.is_lost(signed)
        tags.append(launching.PROCESS_TAG in signed.tags)
    assert tags == [False, True]


@pytest.mark.parametrize(("alive", "status"), [(None, "STARTING"), (True, "STARTING"), (False, "FAILURE")])
def test_run_that_lost_its_process_while_starting_is_ended(
    project: Project, dead_pid: int, alive: bool | None, status: str
) -> None:
    """It would hold its place and its documents until Dagster gives it up; others are left alone."""
    pid = {None: None, True: os.getpid(), False: dead_pid}[alive]
    run_id = run_of(project, pid, status=DagsterRunStatus.STARTING).run_id
    sensors.end_lost_runs(project.instance, [DagsterRunStatus.STARTING])
    run = project.instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status.name == status


def test_run_that_ended_while_it_was_looked_at_is_as_it_ended(
    project: Project, dead_pid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is gone has told how its run ended, between the look at that run and the one at the process."""
    run = run_of(project, dead_pid, status=DagsterRunStatus.STARTED)
    is_lost = launching.is_lost

    def ends(looked_at: DagsterRun) -> bool:
        event = dg.DagsterEvent("PIPELINE_SUCCESS", looked_at.job_name)
        project.instance.report_dagster_event(event, looked_at.run_id)
        return is_lost(looked_at)

    monkeypatch.setattr(launching, "is_lost", ends)
    sensors.end_lost_runs(project.instance, [DagsterRunStatus.STARTED])
    ended = project.instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status == DagsterRunStatus.SUCCESS


def test_run_is_terminated_by_asking_its_process(project: Project, launcher: launching.WarmRunLauncher) -> None:
    """It releases its documents then; a run that has ended, or whose process is gone, is not asked."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        ended = run_of(project, process.pid, status=DagsterRunStatus.SUCCESS)
        at_work, gone = (run_of(project, process.pid, status=DagsterRunStatus.STARTED) for _ in range(2))
        assert not launcher.terminate(ended.run_id)
        assert process.poll() is None
        assert launcher.terminate(at_work.run_id)
        assert process.wait() != 0
    assert not launcher.terminate(gone.run_id)


@pytest.mark.parametrize("launcher", [3_600.0], indirect=True)
def test_run_is_not_lost_when_the_prewarmed_process_died(
    project: Project, launcher: launching.WarmRunLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes to a new one, which ends with us, as the prewarmed one would have."""
    monkeypatch.setenv(launching.WARM_VARIABLE, "1")
    made: list[subprocess.Popen[bytes]] = []

    def spawn() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", "import sys; print(sys.stdin.readline(), end='')"]
        made.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        return made[-1]

    monkeypatch.setattr(launching, "_spawn", spawn)
    run = run_of(project, None, status=DagsterRunStatus.NOT_STARTED)
    with subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE) as dead:
        dead.wait()
        launcher._prewarmed = dead
        launcher.launch_run(cast(Any, SimpleNamespace(dagster_run=run)))
    [new] = made
    assert new.stdout is not None
    with new, new.stdout as output:
        assert output.read().decode() == f"{run.run_id}\n"


def test_run_goes_the_ordinary_way_where_none_is_prewarmed(
    project: Project, launcher: launching.WarmRunLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain `dagster dev` works as without us."""
    ordinary: list[object] = []
    way = launching.WarmRunLauncher.__mro__[1]
    monkeypatch.setattr(way, "launch_run", lambda _self, context: ordinary.append(context))
    run = run_of(project, None, status=DagsterRunStatus.NOT_STARTED)
    launcher.launch_run(cast(Any, SimpleNamespace(dagster_run=run)))
    assert len(ordinary) == 1


def test_a_run_that_starts_slowly_is_left_to_start() -> None:
    """On a busy machine that took more than a minute; one whose process is gone is found by that, and not by time."""
    configured = yaml.safe_load((settings.project_root() / "dagster.yaml").read_text(encoding="utf-8"))
    assert configured["run_monitoring"]["start_timeout_seconds"] >= 180
