"""A backfill as Dagster's UI starts it: through the webserver's GraphQL.

`python -m rag_assets_tests.e2e.backfill URL` starts one of all documents and shows how it ended.
"""

import json
import sys
import time
from collections import Counter
from typing import Any

import requests

ASSETS = ("raw_text", "chunks", "embeddings")
SECONDS = 600.0

LAUNCH = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
STATUS = """
query Status($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill { status error { message } runs { id status } }
  }
}
"""
PARTITIONS = """
query Partitions($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      partitionKeys
      assetPartitionStatuses {
        ... on DefaultPartitionStatuses { materializedPartitions failedPartitions }
      }
    }
  }
}
"""


def ask(url: str, query: str, **variables: object) -> dict[str, Any]:
    answer = requests.post(f"{url}/graphql", json={"query": query, "variables": variables}, timeout=60).json()
    assert "errors" not in answer, answer["errors"]
    return dict(answer["data"])


def partitions(url: str, asset: str) -> dict[str, list[str]]:
    """The asset's partitions: all, materialized, failed."""
    node = ask(url, PARTITIONS, key={"path": [asset]})["assetNodeOrError"]
    statuses = node["assetPartitionStatuses"]
    return {
        "all": node["partitionKeys"],
        "materialized": statuses["materializedPartitions"],
        "failed": statuses["failedPartitions"],
    }


def run(url: str, keys: list[str]) -> dict[str, Any]:
    """Start a backfill of these partitions of all three assets and wait for its end; its status and runs."""
    params = {"assetSelection": [{"path": [asset]} for asset in ASSETS], "partitionNames": keys}
    launched = ask(url, LAUNCH, params=params)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        state = ask(url, STATUS, id=launched["backfillId"])["partitionBackfillOrError"]
        if state["status"] not in ("REQUESTED", "CANCELING", "FAILING"):
            return dict(state)
        time.sleep(1)
    raise TimeoutError(f"backfill {launched['backfillId']} is still {state['status']}")


if __name__ == "__main__":
    webserver = sys.argv[1]
    started = time.monotonic()
    ended = run(webserver, partitions(webserver, ASSETS[0])["all"])
    found = {asset: {k: len(v) for k, v in partitions(webserver, asset).items()} for asset in ASSETS}
    runs = Counter(run["status"] for run in ended["runs"])
    report = {"status": ended["status"], "runs": runs, "partitions": found, "seconds": time.monotonic() - started}
    print(json.dumps(report))
