"""What Dagster offers under no public name: the one file that imports from `dagster._*`.

REASONS says of each private name why it is needed. A test compares it with the imports below, so that a change of
Dagster's version has one list to be checked against. What few processes need is imported inside a function.
"""

import logging
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterUserCodeProcessError
from dagster._core.events import AssetMaterializationPlannedData, DagsterEventBatchMetadata, generate_event_batch_id
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster_shared.error import SerializableErrorInfo

__all__ = [
    "REASONS",
    "CheckRunHealthResult",
    "LaunchRunContext",
    "PlainFailure",
    "WorkerStatus",
    "execute_here",
    "execute_run",
    "failed_run",
    "is_backfilling",
    "log_batch",
    "planned_event",
    "web_application",
]

REASONS = {
    "dagster._core.errors.DagsterUserCodeProcessError": "an error that says what is recorded of it: no traceback",
    "dagster._core.events.AssetMaterializationPlannedData": "a planned event makes a partition FAILED",
    "dagster._core.events.DagsterEventBatchMetadata": "events in batches cost 0.3 ms each, 12 ms one by one",
    "dagster._core.events.generate_event_batch_id": "the name of such a batch",
    "dagster._core.launcher.CheckRunHealthResult": "what a run launcher answers about a run's process",
    "dagster._core.launcher.LaunchRunContext": "what a run launcher is given",
    "dagster._core.launcher.WorkerStatus": "part of CheckRunHealthResult",
    "dagster._core.execution.plan.objects.StepFailureData": "the step of a run that failed without being executed",
    "dagster._core.execution.plan.objects.UserFailureData": "what its failure says, as that of a dg.Failure does",
    "dagster._core.execution.backfill.BulkActionsFilter": "which backfills `get_backfills` is to find",
    "dagster._core.execution.backfill.BulkActionStatus": "those under way",
    "dagster._cli.api._execute_run_command_body": "executes a run in a process that has imported everything before",
    "dagster._utils.interrupts.capture_interrupts": "the same: a signal ends the run, not the process",
    "dagster._core.definitions.job_base.InMemoryJob": "a job as `execute_run` takes it",
    "dagster._core.execution.api.execute_run": "executes a run that was made with its origin, in this process",
    "dagster._core.remote_origin.ManagedGrpcPythonEnvCodeLocationOrigin": "the origin of a run: its code location",
    "dagster._core.remote_origin.RemoteJobOrigin": "the same: its job",
    "dagster._core.remote_origin.RemoteRepositoryOrigin": "the same: what holds the job there",
    "dagster._core.types.loadable_target_origin.LoadableTargetOrigin": "the same: its module",
    "dagster._core.workspace.context.WorkspaceProcessContext": "the web page's context, behind our guard",
    "dagster._core.workspace.load_target.WorkspaceFileTarget": "where the web page finds the code server",
    "dagster._utils.log.configure_loggers": "the web page's log lines as JSON",
}


REPOSITORY = "__repository__"  # what holds the jobs of dg.Definitions


class PlainFailure(DagsterUserCodeProcessError, dg.Failure):
    """A Failure of which Dagster records and shows the description, and no traceback; its step is not tried again."""

    def __init__(self, description: str, metadata: Mapping[str, Any] | None = None) -> None:
        said = SerializableErrorInfo(description, stack=[], cls_name=dg.Failure.__name__)
        facts = {"metadata": metadata, "allow_retries": False}
        super().__init__(description, user_code_process_error_infos=[said], **facts)  # type: ignore[no-untyped-call]


def log_batch(
    context: dg.AssetExecutionContext, reported: Sequence[dg.AssetMaterialization] | Sequence[dg.AssetObservation]
) -> None:
    """Log one event for each, all in one INSERT, which comes with the last one."""
    step, batch_id = context.get_step_execution_context(), generate_event_batch_id()  # type: ignore[no-untyped-call]
    for each in reported:
        batch = DagsterEventBatchMetadata(batch_id, is_end=each is reported[-1])
        if isinstance(each, dg.AssetObservation):
            dg.DagsterEvent.asset_observation(step, each, batch)
        else:
            dg.DagsterEvent.asset_materialization(step, each, batch)


def planned_event(*, job: str, step_key: str, asset: str, partition: str) -> dg.DagsterEvent:
    """Says that a partition of an asset is to be materialized; without a materialization after it, it has FAILED."""
    planned = AssetMaterializationPlannedData(dg.AssetKey(asset), partition=partition)
    return dg.DagsterEvent.build_asset_materialization_planned_event(job, step_key, planned)


def failed_run(
    instance: dg.DagsterInstance,
    like: dg.DagsterRun,
    *,
    step_key: str,
    run_config: Mapping[str, object],
    tags: Mapping[str, str],
    planned: Sequence[tuple[str, str]],
    failure: dg.Failure,
) -> str:
    """Record a run of the same job as `like` that was to materialize these assets and partitions, and failed; its id.

    Nothing is executed. It can be repeated as any other run that failed, with its own config.
    """
    from dagster._core.execution.plan.objects import StepFailureData, UserFailureData

    run_id, status = str(uuid.uuid4()), dg.DagsterRunStatus.NOT_STARTED
    facts = {"run_id": run_id, "status": status, "run_config": run_config, "tags": tags}
    run = instance.add_run(like._replace(**facts, root_run_id=None, parent_run_id=None))

    def report(kind: dg.DagsterEventType, **facts: Any) -> None:
        event = dg.DagsterEvent(kind.value, run.job_name, step_key=step_key, **facts)
        instance.report_dagster_event(event, run_id, logging.ERROR if "message" in facts else logging.DEBUG)

    report(dg.DagsterEventType.RUN_START)
    for asset, partition in planned:
        event = planned_event(job=run.job_name, step_key=step_key, asset=asset, partition=partition)
        instance.report_dagster_event(event, run_id, logging.DEBUG)
    report(dg.DagsterEventType.STEP_START)
    message = str(failure.description)
    error = SerializableErrorInfo(message, stack=[], cls_name=dg.Failure.__name__)
    said = UserFailureData("intentional-failure", message, failure.metadata)  # type: ignore[no-untyped-call]
    data = StepFailureData(error, user_failure_data=said)  # type: ignore[no-untyped-call]
    report(dg.DagsterEventType.STEP_FAILURE, event_specific_data=data, message=message)
    instance.report_run_failed(run, message)
    return run_id


def is_backfilling(instance: dg.DagsterInstance) -> bool:
    """Whether a backfill goes on, whose runs to come may name any partition as the end of a range."""
    from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus  # 0.1 s that few processes need

    under_way = BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])
    return bool(instance.get_backfills(filters=under_way, limit=1))


def execute_run(run_id: str, instance: dg.DagsterInstance) -> None:
    """Execute a run that was launched, in this process; how it ends is in its events. SIGINT and SIGTERM end the run.

    The most fragile of all: it is what the command `dagster api execute_run` does once it has read its arguments.
    """
    from dagster._cli.api import _execute_run_command_body
    from dagster._utils.interrupts import capture_interrupts

    with capture_interrupts():
        _execute_run_command_body(run_id, instance, lambda _event: None, set_exit_code_on_failure=False)


def execute_here(
    job: dg.JobDefinition,
    *,
    instance: dg.DagsterInstance,
    run_id: str,
    run_config: Mapping[str, object],
    tags: Mapping[str, str],
    module: str,
    location: str,
) -> None:
    """Execute a job in this process, as a run of the code location that has the same job in its definitions.

    The public `execute_in_process` makes a run that belongs nowhere: no page of a job shows it, and nobody can have it
    repeated. Raises what the run raises.
    """
    from dagster._core.definitions.job_base import InMemoryJob
    from dagster._core.execution.api import execute_run
    from dagster._core.remote_origin import (
        ManagedGrpcPythonEnvCodeLocationOrigin,
        RemoteJobOrigin,
        RemoteRepositoryOrigin,
    )
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

    target = LoadableTargetOrigin(executable_path=sys.executable, module_name=module)
    code = ManagedGrpcPythonEnvCodeLocationOrigin(target, location_name=location)
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(code, REPOSITORY), job.name)
    run = instance.create_run_for_job(
        job, run_id=run_id, run_config=run_config, tags={**job.run_tags, **tags}, remote_job_origin=origin
    )
    execute_run(InMemoryJob(job), run, instance, raise_on_error=True)


@contextmanager
def web_application(
    instance: dg.DagsterInstance, workspace: Path, *, read_only: bool, as_json: bool, poll_milliseconds: int
) -> Iterator[Any]:
    """Dagster's web page as an ASGI application, for the code server that the file `workspace` names.

    It logs one JSON object per line where `as_json` says so, and looks for new events so often.
    """
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster._utils.log import configure_loggers
    from dagster_webserver.app import create_app_from_workspace_process_context

    configure_loggers(formatter="json" if as_json else "colored", log_level="INFO")
    target, version = WorkspaceFileTarget(paths=[str(workspace)]), metadata.version("dagster-webserver")
    with WorkspaceProcessContext(instance, target, version=version, read_only=read_only) as context:
        yield create_app_from_workspace_process_context(context, "", poll_milliseconds)
