"""What operators watch, in the text form of Prometheus; every name begins with rag_assets_.

What the database counts comes from its tables, so that it survives restarts; what was asked, from this process.
"""

import threading
from collections.abc import Iterable, Iterator
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rag_assets.errors import ERROR_KINDS
from rag_assets.postgres.figures import Figures
from rag_assets.postgres.ingestion_log import FAULTS

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
KINDS = (*ERROR_KINDS, *FAULTS.values())  # told from the start: a counter that begins at 500 has not increased
STATUSES = ("completed", "failed", "skipped", "deleted")  # of attempts that ended; told from the start, too
LOOK_SECONDS = 5.0  # for which the database is waited for: Prometheus gives up after ten
SECONDS_BUCKETS = (0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Counters and gauges of the search service and of its index, and their text for Prometheus. Thread-safe."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._lock = threading.Lock()
        made: Any = {"registry": self._registry}
        self.searches = Counter("rag_assets_searches", "Searches by mode and outcome.", ["mode", "outcome"], **made)
        self.search_seconds = Histogram(
            "rag_assets_search_seconds", "How long answered searches took.", ["mode"], buckets=SECONDS_BUCKETS, **made
        )
        self.embeddings = Counter("rag_assets_embedding_requests", "Requests for vectors.", ["outcome"], **made)
        self.refusals = Counter("rag_assets_refused_requests", "Requests that did not pass the gate.", ["kind"], **made)
        self._starts = Counter(
            "rag_assets_question_embedder_starts", "Starts of the embedding server for questions.", **made
        )
        self._starts_told = 0
        self._runs = Gauge("rag_assets_embedder_up", "Whether the embedding server for questions runs.", **made)
        self._index = _Index(self._registry)

    def render(
        self,
        figures: Figures | None,
        *,
        is_up: bool,
        embedder_starts: int,
        embedder_runs: bool,
        embedder_memory_bytes: int | None,
    ) -> bytes:
        """All of it as text; only what is known: nothing of the index where the database is away."""
        with self._lock:
            self._starts.inc(embedder_starts - self._starts_told)
            self._starts_told = embedder_starts
            self._runs.set(embedder_runs)
            self._index.now = _families(figures, is_up=is_up, memory_bytes=embedder_memory_bytes)
            return prometheus_client.generate_latest(self._registry)


def of_index(figures: Figures | None, *, is_up: bool, embedder_memory_bytes: int | None) -> bytes:
    """The same of the index alone, as a process can tell it of which nobody asks anything."""
    registry = CollectorRegistry()
    _Index(registry).now = _families(figures, is_up=is_up, memory_bytes=embedder_memory_bytes)
    return prometheus_client.generate_latest(registry)


class _Index(Collector):
    """Hands over what was found at this look, and keeps nothing of the last one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.now: Iterable[Metric] = ()
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        return self.now


def _families(figures: Figures | None, *, is_up: bool, memory_bytes: int | None) -> list[Metric]:
    families = [_gauge("database_up", "Whether the database answered just now.", float(is_up))]
    if memory_bytes is not None:
        said = "What the embedding servers of this home have in memory."
        families.append(_gauge("embedder_memory_bytes", said, memory_bytes))
    if figures is not None:
        families += [*_standing(figures), *_done(figures)]
    return families


def _standing(figures: Figures) -> Iterator[Metric]:
    """What is so now."""
    yield _gauges("documents", "Documents by state.", "state", figures.states)
    yield _gauges("document_errors", "Documents that wait or were given up, by last error.", "kind", figures.errors)
    backlog = {"pending": figures.states["pending"], "unseen": figures.changes}
    yield _gauges("backlog", "Documents to be worked on, and changes that no sensor has seen.", "part", backlog)
    yield _gauge(
        "oldest_pending_seconds", "How long the oldest change waits; 0 where none does.", figures.oldest_pending_seconds
    )
    if figures.chunks is not None:
        yield _gauge("chunks", "Chunks of the model that serves, as they were counted last.", figures.chunks)
    yield _gauge("stored_bytes", "Texts, chunks and words with all their indexes.", figures.size_bytes)
    index = figures.index
    if index is not None:
        yield _gauges("vector_index_bytes", "Size of the index of vectors.", "kind", {index.kind: index.size_bytes})
        if index.noted is not None and index.noted.recall_at_10 is not None:
            recall = {index.kind: index.noted.recall_at_10}
            yield _gauges("vector_index_recall_ratio", "Of the ten nearest, those found, as last seen.", "kind", recall)


def _done(figures: Figures) -> Iterator[Metric]:
    """What was done since the index was made."""
    all_of_them = figures.attempts
    ended = [*((status, 0) for status in STATUSES), *((a.status, a.attempts) for a in all_of_them)]
    yield _counters("attempts", "Attempts at documents by how they ended.", "status", ended)
    failures = [(a.error_kind, a.attempts) for a in all_of_them if a.status == "failed"]
    yield _counters(
        "failures", "Attempts that failed, by kind of error.", "kind", [*((kind, 0) for kind in KINDS), *failures]
    )
    made = sum(a.chunks_embedded for a in all_of_them)
    kept = sum(a.chunks_reused for a in all_of_them)
    yield _counters("chunks_stored", "Chunks stored, embedded or kept.", "vector", [("embedded", made), ("kept", kept)])
    yield _counter("chunks_deleted", "Chunks removed.", sum(a.chunks_deleted for a in all_of_them))
    yield _counter("tokens_stored", "Tokens of documents stored.", sum(a.tokens for a in all_of_them))
    yield _counter("characters_stored", "Characters of documents stored.", sum(a.characters for a in all_of_them))
    stages = [
        ("read", sum(a.read_seconds for a in all_of_them)),
        ("cut", sum(a.chunk_seconds for a in all_of_them)),
        ("embed", sum(a.embed_seconds for a in all_of_them)),
        ("store", sum(a.write_seconds for a in all_of_them)),
    ]
    yield _counters("stage_seconds", "Seconds that documents spent in each stage.", "stage", stages)
    starts = [(one.model, one.starts) for one in figures.starts]
    yield _counters("embedder_starts", "Starts of the embedding server by runs and searches.", "model", starts)
    seconds = [(one.model, one.seconds) for one in figures.starts]
    yield _counters("embedder_start_seconds", "Seconds that these starts took.", "model", seconds)
    if figures.ticks is not None:
        yield _counter("sensor_ticks", "Looks of sensors and schedules that Dagster began.", figures.ticks)


def _gauge(name: str, said: str, value: float) -> Metric:
    return GaugeMetricFamily(f"rag_assets_{name}", said, value=value)


def _gauges(name: str, said: str, label: str, values: dict[str, Any]) -> Metric:
    family = GaugeMetricFamily(f"rag_assets_{name}", said, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _counter(name: str, said: str, value: float) -> Metric:
    return CounterMetricFamily(f"rag_assets_{name}", said, value=value)


def _counters(name: str, said: str, label: str, values: list[tuple[str, Any]]) -> Metric:
    """A counter by one label, whose values are added up where it comes several times."""
    sums: dict[str, Any] = {}
    for key, value in values:
        sums[key] = sums.get(key, 0) + value
    family = CounterMetricFamily(f"rag_assets_{name}", said, labels=[label])
    for key, value in sums.items():
        family.add_metric([key], value)
    return family
