"""What the search service counts: figures of the index only where they are known."""

import math

from prometheus_client.parser import text_string_to_metric_families

from rag_assets.model import Summary
from rag_assets.service.metrics import Metrics

SUMMARY = Summary(
    model="m",
    dimension=3,
    documents=3,
    states={"completed": 2, "pending": 1},
    errors={"encrypted": 1},
    chunks=7,
    oldest_pending_seconds=None,
    faults=(),
)


def figures(metrics: Metrics, summary: Summary | None, *, starts: int = 0) -> dict[str, float]:
    """Each sample by its name and the values of its labels."""
    text = metrics.render(summary, embedder_starts=starts, embedder_runs=False).decode()
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {".".join([sample.name, *sample.labels.values()]): sample.value for sample in found}


def test_index_is_told_as_it_is_now() -> None:
    """What was told before and is no more is not repeated; nothing waits: 0 seconds."""
    metrics = Metrics()
    first = figures(metrics, SUMMARY)
    assert (first["rag_documents.completed"], first["rag_document_errors.encrypted"], first["rag_chunks"]) == (2, 1, 7)
    assert (first["rag_database_up"], first["rag_oldest_pending_seconds"]) == (1, 0)
    away = figures(metrics, None)
    assert away["rag_database_up"] == 0
    assert math.isnan(away["rag_chunks"])
    assert not [name for name in away if name.startswith(("rag_documents.", "rag_document_errors."))]


def test_starts_are_counted_once() -> None:
    """However often somebody asks."""
    metrics = Metrics()
    assert [figures(metrics, None, starts=n)["rag_embedder_starts_total"] for n in (1, 1, 3)] == [1, 1, 3]
