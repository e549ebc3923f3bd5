"""Nothing changed: how fast a run over all documents finds that out, without an embedding server."""

import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rag_assets.runtime import Parts
from rag_assets_tests.benchmarks import figures, ground, sample
from rag_assets_tests.benchmarks.figures import Figure, say

AIM = 2_000.0  # documents per second


def measure(*, documents: int, rounds: int) -> Figure:
    """Documents per second of a real Dagster run over all, of the pipeline alone, and of a reconciliation."""
    with ground.home() as home, ground.ready(ground.PartsWithoutServer(ground.load())) as parts:
        say(f"Unpacking {documents} documents")
        paths = sample.unpack(home / "documents", documents=documents)
        count, _ = parts.register(paths)
        say(f"Filling the index with {count} documents")
        fill = _timed(lambda: _run(parts))
        embedded = parts.embedder.texts
        ids = ground.ids(parts)
        ways: dict[str, Callable[[], Any]] = {
            "run": lambda: _run(parts, ids),
            "pipeline": lambda: _pipeline(parts, ids),
            "reconcile": parts.reconcile,
        }
        seen: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds):
            for name, way in ways.items():
                seen[name].append(count / _timed(way))
                say(f"Round {number + 1}: {name} {seen[name][-1]:.0f} documents/s")
        again, started = parts.embedder.texts - embedded, sorted(_logs(home))
    rates = {name: figures.median(values) for name, values in seen.items()}
    return Figure(
        benchmark="noop",
        figure="unchanged documents per second of a Dagster run over all of them",
        value=rates["run"],
        peer="the same documents through the pipeline alone, without Dagster",
        peer_value=rates["pipeline"],
        aim=f">= {AIM:.0f} documents/s, no server started, nothing embedded",
        met=rates["run"] >= AIM and not again and not started,
        rounds=seen["run"],
        details={
            "documents": count,
            "pipeline_documents_per_second": rates["pipeline"],
            "reconcile_documents_per_second": rates["reconcile"],
            "first_fill_documents_per_second": count / fill,
            "chunks_embedded_again": again,
            "servers_started": len(started),
        },
    )


def _run(parts: Parts, ids: list[str] | None = None) -> None:
    from rag_assets.defs import foreground  # reads the settings when it is imported

    report = foreground.ingest(parts, document_ids=ids or (), on_outcomes=lambda _outcomes: None)
    if ids:
        assert report["skipped"] == len(ids), {k: v for k, v in report.items() if k != "failures"}


def _pipeline(parts: Parts, ids: list[str]) -> None:
    run_id = str(uuid.uuid4())
    statuses: Counter[str] = Counter()
    with parts.intake(run_id=run_id) as intake:
        for outcomes in parts.pipeline(run_id=run_id).ingest(intake.documents(ids)):
            statuses.update(outcome.status for outcome in outcomes)
    assert statuses == {"skipped": len(ids)}, statuses


def _timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _logs(home: Path) -> list[Path]:
    return list((home / "logs").glob("llama-server-*.log"))
