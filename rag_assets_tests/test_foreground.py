"""Runs of the command line in Dagster's page: where they are listed, and how they are repeated."""

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster_graphql.schema import create_schema

from rag_assets import definitions
from rag_assets.defs import foreground
from rag_assets_tests.application import WORDS
from rag_assets_tests.project import Project

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Dagster's own, when it lists a schedule

OF_THE_JOB = """
query Runs($job: PipelineSelector!) {
  pipelineOrError(params: $job) { ... on Pipeline { pipelineSnapshotId runs { id pipelineSnapshotId status tags { key }
    repositoryOrigin { repositoryLocationName } } } }
}
"""
REPEAT = """
mutation Again($id: String!) {
  launchRunReexecution(reexecutionParams: {parentRunId: $id, strategy: FROM_FAILURE}) {
    __typename
    ... on LaunchRunSuccess { run { id status } }
    ... on PythonError { message }
  }
}
"""
JOB = {
    "repositoryLocationName": foreground.LOCATION,
    "repositoryName": "__repository__",
    "pipelineName": "ingest_documents",
}


LAUNCHER = {"module": "dagster._core.launcher.sync_in_memory_run_launcher", "class": "SyncInMemoryRunLauncher"}


@pytest.fixture
def page(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkspaceProcessContext]:
    """What Dagster's page asks: the definitions as they are loaded, on the project's services; runs that it
    launches are executed here and now."""
    code = LoadableTargetOrigin(module_name=foreground.MODULE)
    target = InProcessWorkspaceLoadTarget(InProcessCodeLocationOrigin(code, location_name=foreground.LOCATION))
    settings = {"run_launcher": LAUNCHER, "telemetry": {"enabled": False}}
    with (
        dg.DagsterInstance.local_temp(str(tmp_path), overrides=settings) as instance,
        WorkspaceProcessContext(instance, target) as context,
    ):
        project.instance = instance
        monkeypatch.setattr(definitions.rag, "_given", project.services)
        monkeypatch.setattr(dg.DagsterInstance, "get", lambda: nullcontext(instance))
        yield context


def graphql(page: WorkspaceProcessContext, query: str, **variables: object) -> dict[str, Any]:
    asked = create_schema().execute_async(query, context_value=page.create_request_context(), variables=variables)
    answer = asyncio.run(asked)
    assert not answer.errors, answer.errors
    return dict(answer.data)


def test_run_of_the_command_line_is_one_of_the_job(project: Project, page: WorkspaceProcessContext) -> None:
    """The job's page and the timeline list it with those of the sensor, as one of the job that is loaded now."""
    project.application.add("a.txt", *WORDS)
    report = foreground.ingest(project.services, on_outcomes=lambda _outcomes: None)
    job = graphql(page, OF_THE_JOB, job=JOB)["pipelineOrError"]
    [run] = job["runs"]
    assert (run["id"], run["status"]) == (report.run_id, "SUCCESS")
    assert run["repositoryOrigin"] == {"repositoryLocationName": foreground.LOCATION}
    assert run["pipelineSnapshotId"] == job["pipelineSnapshotId"]


def test_run_of_the_command_line_is_repeated_from_its_failure(project: Project, page: WorkspaceProcessContext) -> None:
    """By a click in Dagster's page: a run that tries again what failed in it is in the queue."""
    document_id = project.application.add_row("missing.txt")
    report = foreground.ingest(project.services, on_outcomes=lambda _outcomes: None)
    assert list(report.failed) == [document_id]
    again = graphql(page, REPEAT, id=report.run_id)["launchRunReexecution"]
    assert again["__typename"] == "LaunchRunSuccess", again
    assert again["run"]["status"] == "QUEUED"


def test_tags_for_us_alone_are_not_shown(project: Project, page: WorkspaceProcessContext) -> None:
    """A list of runs has what people look for: not which process it was, but what it did."""
    project.application.add("a.txt", *WORDS)
    foreground.ingest(project.services, on_outcomes=lambda _outcomes: None)
    [run] = graphql(page, OF_THE_JOB, job=JOB)["pipelineOrError"]["runs"]
    assert {tag["key"] for tag in run["tags"] if "rag_assets" in tag["key"]} == {"rag_assets/summary"}
