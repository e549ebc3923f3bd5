"""What the search service counts, in the text form of Prometheus; every name begins with rag_."""

import threading
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from rag_assets.model import Summary

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS_BUCKETS = (0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Counters and gauges of the search service, and their text for Prometheus. Thread-safe."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._lock = threading.Lock()
        made: Any = {"registry": self._registry}
        self.searches = Counter("rag_searches", "Searches by mode and outcome.", ["mode", "outcome"], **made)
        self.search_seconds = Histogram(
            "rag_search_seconds", "How long answered searches took.", ["mode"], buckets=SECONDS_BUCKETS, **made
        )
        self.embeddings = Counter("rag_embedding_requests", "Requests for vectors by outcome.", ["outcome"], **made)
        self.refusals = Counter("rag_refused_requests", "Requests that did not pass the gate.", ["kind"], **made)
        self._starts = Counter("rag_embedder_starts", "Starts of the embedding server for questions.", **made)
        self._starts_told = 0
        self._runs = Gauge("rag_embedder_up", "Whether it runs.", **made)
        self._database = Gauge("rag_database_up", "Whether the database answered.", **made)
        self._documents = Gauge("rag_documents", "Documents by state.", ["state"], **made)
        self._errors = Gauge("rag_document_errors", "Documents whose last attempt failed, by kind.", ["kind"], **made)
        self._chunks = Gauge("rag_chunks", "Stored chunks of the model.", **made)
        self._oldest = Gauge("rag_oldest_pending_seconds", "How long the oldest change waits; 0 where none.", **made)

    def render(self, summary: Summary | None, *, embedder_starts: int, embedder_runs: bool) -> bytes:
        """All of it as text; of the index only what is known: nothing where the database is away."""
        with self._lock:
            self._starts.inc(embedder_starts - self._starts_told)
            self._starts_told = embedder_starts
            self._runs.set(embedder_runs)
            self._database.set(summary is not None)
            self._documents.clear()
            self._errors.clear()
            if summary is not None:
                for state, count in summary.states.items():
                    self._documents.labels(state).set(count)
                for kind, count in summary.errors.items():
                    self._errors.labels(kind).set(count)
            self._chunks.set(summary.chunks if summary is not None else float("nan"))
            oldest = summary.oldest_pending_seconds or 0 if summary is not None else float("nan")
            self._oldest.set(oldest)
            return prometheus_client.generate_latest(self._registry)
