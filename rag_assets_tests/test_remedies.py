"""What is to be done is said with the jobs of an index that has a name, beside the commands."""

import pytest

from rag_assets.defs import jobs, remedies
from rag_assets.settings import Dagster


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "rag-assets reconcile has them deleted.",
            "rag-assets reconcile (or the job letters_reconcile) has them deleted.",
        ),
        ("Run: `rag-assets init`.", "Run: `rag-assets init` (or the job letters_init)."),
        ("then rag-assets index --build.", "then rag-assets index --build (or the job letters_index_vectors)."),
        ("rag-assets reembed 7", "rag-assets reembed 7"),
        ("rag-assets accepted", "rag-assets accepted"),
    ],
)
def test_command_has_its_job_beside_it(words: str, said: str) -> None:
    """Where there is one; an index without a name is that of `rag-assets up`, whose command line knows it."""
    assert remedies.with_jobs(words, Dagster(name="letters")) == said
    assert remedies.with_jobs(words, Dagster()) == words


def test_each_job_is_there() -> None:
    """By the name that it has in Dagster."""
    there = {job.name for job in (jobs.init, jobs.ingest_job, jobs.reconcile, jobs.accept_documents, jobs.index_job)}
    assert set(remedies._JOBS.values()) == there
