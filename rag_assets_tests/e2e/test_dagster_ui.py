"""Dagster's page as `rag-assets up` serves it: what a browser, a foreign page and a curious user get from it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from rag_assets_tests.e2e import conftest as e2e
from rag_assets_tests.e2e.conftest import Running

SECRET = "correct-horse-battery"
LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { id } }
    ... on PythonError { message }
  }
}
"""
VALID = """
query Valid($selector: PipelineSelector!, $config: RunConfigData) {
  isPipelineConfigValid(pipeline: $selector, runConfigData: $config, mode: "default") { __typename }
}
"""
RUN = """
query Run($id: ID!) { runOrError(runId: $id) { ... on Run { status eventConnection { events {
  ... on MessageEvent { message } ... on RunFailureEvent { error { message causes { message } } }
} } } } }
"""
MUTATIONS = {
    "wipe": 'mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["raw_text"]}}]) { __typename } }',
    "limit": 'mutation { setConcurrencyLimit(concurrencyKey: "llama_server", limit: 9) }',
    "partition": 'mutation { addDynamicPartition(repositorySelector: {repositoryName: "__repository__", '
    'repositoryLocationName: "rag_assets"}, partitionsDefName: "documents", partitionKey: "x") { __typename } }',
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, model_path: Path) -> Iterator[Running]:
    """With something in its environment that nobody is to read on the page."""
    with e2e.up(tmp_path_factory.mktemp("home"), model_path, SOME_SECRET=SECRET) as started:
        yield started


@pytest.fixture
def read_only(home: Path, model_path: Path) -> Iterator[Running]:
    with e2e.up(home, model_path, RAG_ASSETS_WEB__READ_ONLY="true") as started:
        yield started


def params(config: dict[str, Any]) -> dict[str, Any]:
    selector = {
        "repositoryLocationName": "rag_assets",
        "repositoryName": "__repository__",
        "pipelineName": "ingest_documents",
    }
    return {"selector": selector, "runConfigData": config, "mode": "default"}


def limit_of_pool(running: Running) -> list[Any]:
    asked = 'query { instance { concurrencyLimit(concurrencyKey: "llama_server") { slotCount } } }'
    return [running.graphql(asked)["instance"]["concurrencyLimit"]["slotCount"]]


def log_of_failed_run(running: Running, run_id: str) -> str:
    """All that the page shows of a run, once it has failed."""
    e2e.wait_for(lambda: running.graphql(RUN, id=run_id)["runOrError"]["status"] == "FAILURE", what="the end of a run")
    return str(running.graphql(RUN, id=run_id))


def test_the_page_takes_orders_only_from_itself(running: Running, tmp_path: Path) -> None:
    """Nothing is launched, wiped or set by what a foreign page can have a browser send."""
    port = running.url.rpartition(":")[2]
    before = limit_of_pool(running)
    for mutation in MUTATIONS.values():
        image = requests.get(f"{running.url}/graphql", params={"query": mutation}, timeout=60)
        form = requests.post(f"{running.url}/graphql", params={"query": mutation}, timeout=60)
        plain = requests.post(
            f"{running.url}/graphql",
            json={"query": mutation},
            headers={"Content-Type": "text/plain; application/json"},
            timeout=60,
        )
        foreign = requests.post(
            f"{running.url}/graphql", json={"query": mutation}, headers={"Origin": "http://evil.example"}, timeout=60
        )
        rebound = requests.post(
            f"{running.url}/graphql", json={"query": mutation}, headers={"Host": f"evil.example:{port}"}, timeout=60
        )
        assert [each.status_code for each in (image, form, plain, foreign, rebound)] == [405, 415, 415, 403, 421]
    assert limit_of_pool(running) == before
    with (
        pytest.raises(InvalidStatus, match="403"),
        connect(f"ws://127.0.0.1:{port}/graphql", origin="http://evil.example"),  # type: ignore[arg-type]
    ):
        pass
    with connect(f"ws://127.0.0.1:{port}/graphql", origin=running.url, subprotocols=["graphql-ws"]):  # type: ignore[arg-type,list-item]
        pass
    page = requests.get(running.url, headers={"Accept": "text/html"}, timeout=60)
    assert "/_next/static/" in page.text  # Dagster's application
    assert page.headers["X-Frame-Options"] == "DENY"


def test_a_run_tells_no_secret(running: Running) -> None:
    """A run's config names no variable of the environment; Dagster's account of itself shows no password."""
    for config in (
        {"ops": {"ingest": {"config": {"document_ids": [{"env": "SOME_SECRET"}]}}}},
        {"ops": {"ingest": {"config": {"batch_id": {"env": "SOME_SECRET"}}}}},
        {"ops": {"ingest": {"config": {"linger": {"env": "SOME_SECRET"}}}}},
    ):
        given = params(config)
        checked = running.graphql(VALID, selector=given["selector"], config=config)["isPipelineConfigValid"]
        assert checked["__typename"] == "RunConfigValidationInvalid", config
        launched = running.graphql(LAUNCH, params=given)["launchRun"]
        assert SECRET not in str(launched)
        if launched["__typename"] == "LaunchRunSuccess":
            assert SECRET not in log_of_failed_run(running, launched["run"]["id"])
    told = str(running.graphql("query { instance { info runLauncher { name } daemonHealth { id } } }"))
    url = e2e.command("env", environment=running.environment)[0]["DAGSTER_PG_URL"]
    assert url not in told
    assert SECRET not in told


def test_a_read_only_page_shows_and_changes_nothing(read_only: Running) -> None:
    """Not a run, a partition, a limit or an asset; what it shows is all there."""
    before = limit_of_pool(read_only)
    for name, mutation in {**MUTATIONS, "launch": LAUNCH}.items():
        variables = {"params": params({})} if name == "launch" else {}
        answer = requests.post(f"{read_only.url}/graphql", json={"query": mutation, "variables": variables}, timeout=60)
        assert answer.status_code == 403, (name, answer.text)
    assert limit_of_pool(read_only) == before
    assert read_only.graphql("query { version }")["version"]
