"""Runs on workers of Celery, by the files of deploy/celery; skipped where Redis or dagster-celery is missing."""

import os

import pytest

from rag_assets_tests.benchmarks import ground, machines

MISSING = machines.missing()
DOCUMENTS = 400


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
def test_no_document_is_lost_or_stored_twice_when_a_worker_is_killed_and_redis_restarted() -> None:
    """Two workers share the documents; the one that is left goes on, and another one comes in the place of the dead."""
    with ground.home():
        os.environ["RAG_ASSETS_WORKER__DOCUMENTS_PER_RUN"] = "40"
        with machines.prepared(ground.load().home, documents=DOCUMENTS, request_seconds=0.2) as cluster:
            trial = cluster.run(2, at={0.25: cluster.kill_worker, 0.6: cluster.restart_broker})
    assert (trial.lost, trial.double) == (0, 0)
    assert sum(trial.stored_by_each_run) == DOCUMENTS
    assert len(trial.stored_by_each_run) > 1
